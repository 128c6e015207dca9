//! One conditional question, from what is kept to what is known now.

use std::any::TypeId;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::entries::{Entry, Parsed};
use super::flights::{Landed, Landing, Question};
use super::shelf::{Kept, digest};
use super::{AskError, Freshness, Inner, Outcome, Reply};
use crate::http::{HttpAnswer, HttpError, HttpRequest, Toll, shown};

/// Headers that are kept with a body.
const KEPT: [&str; 2] = ["link", "last-modified"];

/// Longest ETag that is sent back.
const ETAG: usize = 1024;

pub(super) async fn get<T, P>(
    inner: &Arc<Inner>,
    toll: Toll,
    request: HttpRequest,
    parse: P,
) -> Result<Reply<T>, AskError>
where
    T: Send + Sync + 'static,
    P: Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
{
    let to = shown(&request.url);
    let id = identity(&toll, &request)?;
    let of = TypeId::of::<T>();
    let host = toll.host.clone();
    let question = Question { id: id.clone(), of, urgency: toll.urgency };
    let ask = Ask {
        inner: Arc::clone(inner),
        id,
        of,
        to: to.clone(),
        toll,
        request,
        parse: move |body: &[u8]| parse(body).map(|value| -> Parsed { Arc::new(value) }),
    };
    let (landing, joined) = inner.flights.join(question, || ask.fly()).await;
    if joined {
        inner.count(&host, Outcome::Coalesced);
    }
    match landing? {
        Landed::Status(answer) => Ok(Reply::Status(answer)),
        Landed::Value { value, freshness, headers, moved_to, digest } => {
            let value = value.downcast().map_err(|_| AskError::Unreadable {
                to,
                why: "it was read as something else".to_owned(),
            })?;
            Ok(Reply::Value { value, freshness, headers, moved_to, digest })
        }
    }
}

/// Credential, URL, and whatever else selects an answer. Nothing can be told back from it.
fn identity(toll: &Toll, request: &HttpRequest) -> Result<String, AskError> {
    let bad = |why: &str| HttpError::BadRequest { to: shown(&request.url), why: why.to_owned() };
    if request.method != Method::GET || !request.body.is_empty() {
        return Err(bad("only GET without a body can be conditional").into());
    }
    let url = Url::parse(&request.url).map_err(|_| bad("check the URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("a user part has no place in it").into());
    }
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(&toll.host);
    part(&toll.credential);
    part(url.as_str());
    for (name, value) in &request.headers {
        // The credential's name stands for it; its value changes without another identity.
        if !name.eq_ignore_ascii_case("authorization") {
            part(&name.to_ascii_lowercase());
            part(value.expose_secret());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

struct Ask<P> {
    inner: Arc<Inner>,
    id: String,
    of: TypeId,
    to: String,
    toll: Toll,
    request: HttpRequest,
    parse: P,
}

/// What may be revalidated: an answer, with its value or with the body that gives it.
struct Known {
    kept: Kept,
    value: Result<Parsed, Bytes>,
}

impl<P> Ask<P>
where
    P: Fn(&[u8]) -> Result<Parsed, String> + Send + Sync + 'static,
{
    async fn fly(self) -> Landing {
        let before = self.inner.entries().get(&self.id);
        let mut known = match &before {
            Some(entry) => self.known(entry).await,
            None => None,
        };
        loop {
            let mut request = self.request.clone();
            if let Some(known) = &known {
                request = request.header("if-none-match", known.kept.etag.clone());
            }
            let answer = self.inner.pass(self.toll.clone(), request, &self.to).await?;
            if answer.status != StatusCode::NOT_MODIFIED {
                return self.read(answer, before);
            }
            let Some(known) = known.take() else {
                return Err(AskError::Unasked { to: self.to });
            };
            if let Some(landed) = self.revalidated(known, &answer) {
                return Ok(landed);
            }
            // What was kept is of no use: ask once more, without a condition.
            self.inner.forget(&self.id);
        }
    }

    /// What is kept, where it may still be used and is all there.
    async fn known(&self, entry: &Entry) -> Option<Known> {
        if !entry.is_fresh(self.inner.bounds.max_age, self.inner.clock.now()) {
            return None;
        }
        if let Some(value) = entry.value(self.of) {
            return Some(Known { kept: entry.kept.clone(), value: Ok(value) });
        }
        let (shelf, _) = self.inner.shelf.clone().filter(|_| entry.shelved)?;
        let kept = entry.kept.clone();
        let read = tokio::task::spawn_blocking(move || shelf.read(&kept)).await;
        match read.ok().flatten() {
            Some(body) => Some(Known { kept: entry.kept.clone(), value: Err(body) }),
            None => {
                self.inner.forget(&self.id);
                None
            }
        }
    }

    fn revalidated(&self, known: Known, answer: &HttpAnswer) -> Option<Landed> {
        let Known { mut kept, value } = known;
        if answer.header("etag").is_some_and(|etag| !same(etag, &kept.etag)) {
            return None;
        }
        let value = match value {
            Ok(value) => value,
            Err(body) => (self.parse)(&body).ok()?,
        };
        for (name, value) in kept_headers(answer) {
            kept.headers.retain(|(other, _)| *other != name);
            kept.headers.push((name, value));
        }
        let headers = Arc::new(kept.headers.clone());
        self.inner.entries().revalidated(&kept, self.of, &value);
        self.inner.count(&self.toll.host, Outcome::Read(Freshness::Revalidated));
        let (freshness, moved_to) = (Freshness::Revalidated, None);
        Some(Landed::Value { value, freshness, headers, moved_to, digest: kept.digest })
    }

    fn read(&self, answer: HttpAnswer, before: Option<Entry>) -> Landing {
        if answer.status != StatusCode::OK {
            // A body that may no longer be read is not kept either.
            if matches!(answer.status.as_u16(), 401 | 403 | 404 | 410 | 451) {
                self.inner.forget(&self.id);
            }
            return Ok(Landed::Status(Arc::new(answer)));
        }
        let mut value = (self.parse)(&answer.body).map_err(|why| AskError::Unreadable {
            to: self.to.clone(),
            why: why.chars().filter(|c| !c.is_control()).take(300).collect(),
        })?;
        let digest = digest(&answer.body);
        let mut freshness = Freshness::Miss;
        if let Some(before) = before {
            freshness = Freshness::Changed;
            if before.kept.digest == digest {
                freshness = Freshness::Unchanged;
                value = before.value(self.of).unwrap_or(value);
            }
        }
        let headers = kept_headers(&answer);
        let etag = answer.header("etag").filter(|etag| {
            let no_store = answer.header("cache-control").unwrap_or_default();
            let plain = etag.trim_start_matches("W/");
            let quoted = plain.len() >= 2 && plain.starts_with('"') && plain.ends_with('"');
            quoted && etag.len() <= ETAG && !no_store.to_ascii_lowercase().contains("no-store")
        });
        match etag {
            // A redirect's target has an ETag of its own, which says nothing of the redirect.
            Some(etag)
                if answer.moved_to.is_none() && answer.body.len() <= self.inner.bounds.body =>
            {
                let kept = Kept {
                    id: self.id.clone(),
                    etag: etag.to_owned(),
                    headers: headers.clone(),
                    read_at: self.inner.clock.now(),
                    digest: digest.clone(),
                    size: answer.body.len(),
                };
                let value = Some((self.of, Arc::clone(&value)));
                let entry = Entry { kept, value, shelved: false };
                self.inner.keep(entry, answer.body.clone());
            }
            _ => self.inner.forget(&self.id),
        }
        self.inner.count(&self.toll.host, Outcome::Read(freshness));
        let moved_to = answer.moved_to;
        Ok(Landed::Value { value, freshness, headers: Arc::new(headers), moved_to, digest })
    }
}

fn kept_headers(answer: &HttpAnswer) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for name in KEPT {
        let values: Vec<&str> =
            answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if !values.is_empty() {
            all.push((name.to_owned(), values.join(", ")));
        }
    }
    all
}

/// Weak comparison: the same opaque tag.
fn same(one: &str, other: &str) -> bool {
    one.trim_start_matches("W/") == other.trim_start_matches("W/")
}
