//! Lists that come in pages: read to their end, or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

use super::conditional::{AskError, Conditional, Freshness, Reply};
use super::{Api, HttpAnswer, HttpRequest, Method, Toll, links, shown};

/// Pages of one list.
const PAGES: usize = 1000;

/// How often a list is read again because it changed while it was read.
const WALKS: usize = 5;

/// A whole list, or the answer that stood in its way.
#[derive(Clone, Debug)]
pub enum Pages<T> {
    /// Every page, in order.
    Whole {
        /// The parsed pages.
        pages: Vec<Arc<T>>,
        /// Whether any of them differs from what was known before.
        changed: bool,
    },
    /// A page answered with another status than 200.
    Status(Arc<HttpAnswer>),
}

struct Page<T> {
    url: String,
    value: Arc<T>,
    freshness: Freshness,
    digest: String,
}

impl Conditional {
    /// Reads a list from its first page to its last, which is the one that names no next; a short or
    /// empty page ends nothing.
    ///
    /// Ask for the newest first: what is added behind a last page that is full changes neither that page
    /// nor its ETag.
    ///
    /// A list that changed while its pages were read is read again: an item that moved from a page that
    /// was not yet read to one that had been would be missed. What did not change costs 304s.
    pub async fn pages<T, P>(
        &self,
        api: &Api,
        toll: &Toll,
        first: HttpRequest,
        parse: P,
    ) -> Result<Pages<T>, AskError>
    where
        T: Send + Sync + 'static,
        P: Fn(&[u8]) -> Result<T, String> + Clone + Send + Sync + 'static,
    {
        let to = shown(&first.url);
        let mut changed = false;
        for _ in 0..WALKS {
            let pages = match self.walk(api, toll, first.clone(), parse.clone()).await? {
                Ok(pages) => pages,
                Err(answer) => return Ok(Pages::Status(answer)),
            };
            let moved =
                |page: &Page<T>| matches!(page.freshness, Freshness::Miss | Freshness::Changed);
            let moved = pages.iter().any(moved);
            changed |= moved;
            if !moved || self.stand(toll, &first, &pages, parse.clone()).await? {
                let pages = pages.into_iter().map(|page| page.value).collect();
                return Ok(Pages::Whole { pages, changed });
            }
        }
        Err(AskError::Endless { to, why: "the list changed whenever it was read" })
    }

    /// Reads pages from the first on, until `enough` says so of one, and at most `most`. For lists that
    /// begin with the newest and never end, such as logs: nothing moves in them but their beginning.
    pub async fn first_pages<T, P>(
        &self,
        api: &Api,
        toll: &Toll,
        first: HttpRequest,
        parse: P,
        (enough, most): (impl Fn(&T) -> bool, usize),
    ) -> Result<Pages<T>, AskError>
    where
        T: Send + Sync + 'static,
        P: Fn(&[u8]) -> Result<T, String> + Clone + Send + Sync + 'static,
    {
        let mut pages: Vec<Arc<T>> = Vec::new();
        let mut next = Some(first.clone());
        while let Some(request) = next.take().filter(|_| pages.len() < most) {
            let url = request.url.clone();
            match self.get(toll.clone(), request, parse.clone()).await? {
                Reply::Value { value, headers, moved_to, .. } => {
                    if !enough(&value) {
                        let from = moved_to.as_deref().unwrap_or(&url);
                        next = following(api, &first, from, &headers)?;
                    }
                    pages.push(value);
                }
                Reply::Status(answer) => return Ok(Pages::Status(answer)),
            }
        }
        Ok(Pages::Whole { pages, changed: true })
    }

    async fn walk<T, P>(
        &self,
        api: &Api,
        toll: &Toll,
        first: HttpRequest,
        parse: P,
    ) -> Result<Result<Vec<Page<T>>, Arc<HttpAnswer>>, AskError>
    where
        T: Send + Sync + 'static,
        P: Fn(&[u8]) -> Result<T, String> + Clone + Send + Sync + 'static,
    {
        let to = shown(&first.url);
        let endless = |why| AskError::Endless { to: to.clone(), why };
        let mut seen = BTreeSet::new();
        let mut pages = Vec::new();
        let mut next = first.clone();
        loop {
            if !seen.insert(next.url.clone()) {
                return Err(endless("a page names itself or an earlier one as the next"));
            }
            if pages.len() >= PAGES {
                return Err(endless("there are more than 1,000"));
            }
            let url = next.url.clone();
            let reply = self.get(toll.clone(), next, parse.clone()).await?;
            let (value, freshness, headers, moved_to, digest) = match reply {
                Reply::Value { value, freshness, headers, moved_to, digest } => {
                    (value, freshness, headers, moved_to, digest)
                }
                Reply::Status(answer) => return Ok(Err(answer)),
            };
            let from = moved_to.as_deref().unwrap_or(&url);
            let follow = following(api, &first, from, &headers)?;
            pages.push(Page { url, value, freshness, digest });
            match follow {
                Some(request) => next = request,
                None => return Ok(Ok(pages)),
            }
        }
    }

    /// Whether all pages but the last are still what was read, so that nothing can have moved from a
    /// later one into them unseen.
    async fn stand<T, P>(
        &self,
        toll: &Toll,
        first: &HttpRequest,
        pages: &[Page<T>],
        parse: P,
    ) -> Result<bool, AskError>
    where
        T: Send + Sync + 'static,
        P: Fn(&[u8]) -> Result<T, String> + Clone + Send + Sync + 'static,
    {
        let earlier = pages.split_last().map(|(_, earlier)| earlier).unwrap_or_default();
        for page in earlier {
            let request = HttpRequest { url: page.url.clone(), ..first.clone() };
            let stands = match self.get(toll.clone(), request, parse.clone()).await? {
                Reply::Value { digest, .. } => digest == page.digest,
                Reply::Status(_) => false,
            };
            if !stands {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The request for the page behind one that was read at `from`, if its headers name one.
fn following(
    api: &Api,
    first: &HttpRequest,
    from: &str,
    headers: &[(String, String)],
) -> Result<Option<HttpRequest>, AskError> {
    let elsewhere = || AskError::Elsewhere { to: shown(&first.url) };
    let link = headers.iter().find(|(name, _)| name == "link");
    let Some(target) = links::next(link.map(|(_, value)| value.as_str())) else { return Ok(None) };
    let target = Url::parse(from).ok().and_then(|from| from.join(target).ok());
    let target = target.filter(|url| api.holds(url)).ok_or_else(elsewhere)?;
    let mut request = api.request(Method::GET, target.as_str()).map_err(|_| elsewhere())?;
    request.headers.clone_from(&first.headers);
    request.deadline = first.deadline;
    request.silence = first.silence;
    request.max_body = first.max_body;
    request.follow = first.follow;
    Ok(Some(request))
}
