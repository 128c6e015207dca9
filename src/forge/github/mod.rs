//! GitHub and GitHub Enterprise Server: the reader of repositories and of what became of changes.
//!
//! A repository is read whole or not at all: alone by REST with ETags, with others by GraphQL. Whether
//! it has to be read is asked of GraphQL, for many repositories at once. What each way of not answering means is in `failure`.

mod deliveries;
mod facts;
mod failure;
#[cfg(test)]
mod fuzz;
mod graphql;
pub mod hook;
mod marks;
mod name;
mod rest;
mod whole;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crosswatch_core::model::change::{Fate, Files, Listing, Rights};
use crosswatch_core::model::identity::{ChangeId, Name, Oid, RepositoryId};
use crosswatch_core::model::locator::Locator;
use crosswatch_core::model::report::{Status, StatusKey};
use crosswatch_core::model::settings::{ForgeKind, ForgeSettings, Settings};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::references::{self, Forges, References};
use futures_util::future::{BoxFuture, try_join};
use secrecy::{ExposeSecret, SecretString};

use super::{BATCH, Delivered, ForgeApi, ForgeError, Listed, Sticky};
use crate::http::conditional::{AskError, Conditional, Reply};
use crate::http::{Api, HttpError, HttpRequest, Method, Pages, StatusCode, Toll, Urgency};
use failure::{Failure, Reason};

/// How long an answer may take; GitHub itself gives up after ten seconds.
const DEADLINE: Span = Span::seconds(30);

/// Reads the references of a change's body.
pub type BodyReader = Arc<dyn Fn(&ChangeId, &str) -> References + Send + Sync>;

/// The reader of bodies by the forges of a configuration, once for each way in which its workspaces read.
pub fn body_reader(settings: Arc<Settings>) -> BodyReader {
    let locator = Locator::new(&settings);
    let readings = settings.readings();
    Arc::new(move |change, body| {
        let forges = Forges::of(&settings, &locator);
        references::read_for(body, change, &forges, &readings)
    })
}

/// Why there can be no reader.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The forge is of another kind.
    #[error("forge {forge}: its kind is not `github`")]
    Kind {
        /// Its name.
        forge: Name,
    },
    /// Its API has no usable address.
    #[error("forge {forge}: `api_url` cannot be used: {why}; write it like https://api.github.com")]
    Address {
        /// Its name.
        forge: Name,
        /// What is wrong with it.
        #[source]
        why: HttpError,
    },
}

/// One GitHub with one credential.
#[derive(Clone)]
pub struct GitHub(Arc<Inner>);

struct Inner {
    identity: Name,
    rest: Api,
    graphql: Api,
    token: Option<SecretString>,
    ask: Conditional,
    reader: BodyReader,
    deadline: Span,
    /// Repositories that GraphQL lately managed to answer for at once.
    batch: AtomicUsize,
    gathering: whole::Gathering,
}

impl GitHub {
    /// The GitHub of these settings, asked through `ask` with `token`. The reader of bodies must be the
    /// same for as long as `ask` is: what it read is kept there.
    pub fn new(
        settings: &ForgeSettings,
        token: Option<SecretString>,
        ask: Conditional,
        reader: BodyReader,
    ) -> Result<Self, SetupError> {
        Self::within(DEADLINE, settings, token, ask, reader)
    }

    /// The same, with another time for each answer.
    pub fn within(
        deadline: Span,
        settings: &ForgeSettings,
        token: Option<SecretString>,
        ask: Conditional,
        reader: BodyReader,
    ) -> Result<Self, SetupError> {
        let forge = &settings.name;
        let ForgeKind::GitHub(github) = &settings.kind else {
            return Err(SetupError::Kind { forge: forge.clone() });
        };
        let api = |url: &str| {
            let api = Api::new(url)
                .map_err(|why| SetupError::Address { forge: forge.clone(), why })?
                .header("accept", "application/vnd.github+json".to_owned())
                .header("x-github-api-version", "2022-11-28".to_owned());
            Ok(match &token {
                Some(token) => {
                    let value = format!("Bearer {}", token.expose_secret());
                    api.authorization(forge.as_str(), value)
                }
                None => api,
            })
        };
        let url = github.api_url.trim_end_matches('/');
        // Of an Enterprise Server the one is at /api/v3, the other at /api/graphql.
        let graphql = url.strip_suffix("/v3").unwrap_or(url);
        Ok(Self(Arc::new(Inner {
            identity: settings.identity.clone(),
            rest: api(url)?,
            graphql: api(graphql)?,
            token,
            ask,
            reader,
            deadline,
            batch: AtomicUsize::new(BATCH),
            gathering: whole::Gathering::default(),
        })))
    }
}

impl ForgeApi for GitHub {
    fn list(&self, repository: RepositoryId) -> BoxFuture<'static, Result<Listed, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(whole::list(inner, repository))
    }

    fn fate(
        &self,
        repository: RepositoryId,
        number: u64,
    ) -> BoxFuture<'static, Result<Fate, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(inner.fate(&repository, number).await?) })
    }

    fn files(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Files, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(facts::files(&inner, &repository, number, head).await?) })
    }

    fn mergeable(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Option<bool>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(facts::mergeable(&inner, &repository, number, head).await?) })
    }

    fn rights(
        &self,
        repository: RepositoryId,
        login: Name,
    ) -> BoxFuture<'static, Result<Rights, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(facts::rights(&inner, &repository, &login).await?) })
    }

    fn marks(
        &self,
        repositories: Vec<RepositoryId>,
    ) -> BoxFuture<'static, Result<BTreeMap<RepositoryId, String>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(marks::marks(&inner, repositories).await?) })
    }

    fn deliveries(
        &self,
        place: String,
        hook: u64,
        since: Timestamp,
    ) -> BoxFuture<'static, Result<Vec<Delivered>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(deliveries::read(&inner, &place, hook, since).await?) })
    }

    fn toll_of_writes(&self, _: &RepositoryId) -> Toll {
        write::toll(&self.0)
    }

    fn say(&self, key: StatusKey, status: Status) -> BoxFuture<'static, Result<(), ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { write::status(&inner, &key, &status).await })
    }

    fn comment(&self, sticky: Sticky) -> BoxFuture<'static, Result<Option<String>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { write::comment(&inner, &sticky).await })
    }
}

impl Inner {
    async fn list(&self, repository: RepositoryId) -> Result<Listed, Failure> {
        let name = name::of(&repository)?;
        let about = self.about(&repository).await?;
        // A renamed repository is read by its id: by its old name each answer would be a detour, and
        // by its new name the references in bodies would count from there.
        let moved = !about.full_name.eq_ignore_ascii_case(&name);
        let at = if moved { format!("repositories/{}", about.id) } else { format!("repos/{name}") };
        let (branches, changes) =
            try_join(self.branches(&repository, &at), self.changes(&repository, &at)).await?;
        let public = about.private == Some(false);
        let mut listing = Listing { archived: about.archived, public, ..Listing::default() };
        for (branch, head) in branches.iter().flat_map(|page| page.iter()) {
            listing.branches.insert(branch.clone(), *head);
        }
        // An empty repository names one that is not there.
        let default = about.default_branch.as_deref().map(Name::from);
        listing.default_branch = default.filter(|name| listing.branches.contains_key(name));
        let changes = changes.iter().flat_map(|page| page.iter());
        let changes: BTreeMap<u64, _> = changes.map(|change| (change.number, change)).collect();
        listing.changes = changes.into_values().cloned().collect();
        Ok(Listed { forge_id: about.id.to_string(), spelling: about.full_name.clone(), listing })
    }

    async fn about(&self, repository: &RepositoryId) -> Result<Arc<rest::About>, Failure> {
        let at = format!("repos/{}", name::of(repository)?);
        self.value(repository, &at, rest::about).await
    }

    async fn branches(
        &self,
        repository: &RepositoryId,
        at: &str,
    ) -> Result<Vec<Arc<rest::Branches>>, Failure> {
        let at = format!("{at}/git/matching-refs/heads/");
        let read = self.pages(repository, &at, rest::branches).await;
        match read {
            // What git has no commit of has no refs, says GitHub in this way.
            Err(failure) if failure.status == Some(StatusCode::CONFLICT) => Ok(Vec::new()),
            other => other,
        }
    }

    async fn changes(
        &self,
        repository: &RepositoryId,
        at: &str,
    ) -> Result<Vec<Arc<rest::Changes>>, Failure> {
        // The newest first, and always in the same words: see `Conditional::pages`.
        let at = format!("{at}/pulls?state=open&sort=created&direction=desc&per_page=100");
        let (of, reader) = (repository.clone(), Arc::clone(&self.reader));
        self.pages(repository, &at, move |body| rest::changes(body, &of, &reader)).await
    }

    async fn fate(&self, repository: &RepositoryId, number: u64) -> Result<Fate, Failure> {
        let at = format!("repos/{}/pulls/{number}", name::of(repository)?);
        match self.value(repository, &at, rest::fate).await {
            Ok(fate) => Ok((*fate).clone()),
            Err(failure) if matches!(failure.reason, Reason::NotFound) => {
                // Only who sees the repository can say that something is not in it.
                self.about(repository).await?;
                Ok(Fate::Missing)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn value<T, P>(
        &self,
        repository: &RepositoryId,
        at: &str,
        parse: P,
    ) -> Result<Arc<T>, Failure>
    where
        T: Send + Sync + 'static,
        P: Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    {
        let asked = async {
            let request = self.request(at)?;
            self.ask.get(self.rest.toll("core", 1, Urgency::Poll), request, parse).await
        };
        match asked.await {
            Ok(Reply::Value { value, .. }) => Ok(value),
            Ok(Reply::Status(answer)) => {
                Err(Failure::status(repository, &answer).without(&self.token))
            }
            Err(error) => Err(Failure::asking(repository, &error).without(&self.token)),
        }
    }

    async fn pages<T, P>(
        &self,
        repository: &RepositoryId,
        at: &str,
        parse: P,
    ) -> Result<Vec<Arc<T>>, Failure>
    where
        T: Send + Sync + 'static,
        P: Fn(&[u8]) -> Result<T, String> + Clone + Send + Sync + 'static,
    {
        let asked = async {
            let request = self.request(at)?;
            let toll = self.rest.toll("core", 1, Urgency::Poll);
            self.ask.pages(&self.rest, &toll, request, parse).await
        };
        match asked.await {
            Ok(Pages::Whole { pages, .. }) => Ok(pages),
            Ok(Pages::Status(answer)) => {
                Err(Failure::status(repository, &answer).without(&self.token))
            }
            Err(error) => Err(Failure::asking(repository, &error).without(&self.token)),
        }
    }

    fn request(&self, at: &str) -> Result<HttpRequest, AskError> {
        Ok(self.rest.request(Method::GET, at)?.deadline(self.deadline))
    }
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GitHub").field(&self.0.rest).finish()
    }
}
