//! GitHub and GitHub Enterprise Server: the reader of repositories and of what became of changes.
//!
//! A repository is read whole or not at all: alone by REST with ETags, with others by GraphQL. Whether
//! it has to be read is asked of GraphQL, for many repositories at once. What each way of not answering means is in `failure`.

mod app;
mod change;
mod deliveries;
mod facts;
mod failure;
#[cfg(test)]
mod fuzz;
mod gather;
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
use crosswatch_core::model::settings::{ForgeKind, ForgeSettings, Settings};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::references::{self, Forges, References};
use futures_util::future::{BoxFuture, try_join};
use secrecy::SecretString;

use super::{BATCH, Delivered, ForgeApi, ForgeError, Listed, Saying, Spoken, Sticky};
use crate::http::conditional::{AskError, Conditional, Reply};
use crate::http::{Api, Bearer, HttpError, HttpRequest, Method, Pages, StatusCode, Toll, Urgency};
use deliveries::Asking;
use failure::Failure;

pub use app::App;

/// How long an answer may take; GitHub itself gives up after ten seconds.
pub const DEADLINE: Span = Span::seconds(30);

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
    /// The key of its application is none.
    #[error(
        "forge {forge}: the key of its application cannot be used: {why}; name the file that the application's page gives"
    )]
    Key {
        /// Its name.
        forge: Name,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// The REST API of these settings, without a credential.
fn rest_api(settings: &ForgeSettings) -> Result<Api, SetupError> {
    let forge = &settings.name;
    let ForgeKind::GitHub(github) = &settings.kind else {
        return Err(SetupError::Kind { forge: forge.clone() });
    };
    api_at(forge, github.api_url.trim_end_matches('/'))
}

fn api_at(forge: &Name, url: &str) -> Result<Api, SetupError> {
    let api = Api::new(url).map_err(|why| SetupError::Address { forge: forge.clone(), why })?;
    Ok(api
        .header("accept", "application/vnd.github+json".to_owned())
        .header("x-github-api-version", "2022-11-28".to_owned()))
}

/// One GitHub with one credential.
#[derive(Clone)]
pub struct GitHub(Arc<Inner>);

struct Inner {
    identity: Name,
    rest: Api,
    graphql: Api,
    /// What is left out of everything that is said.
    token: Option<Bearer>,
    /// Whether it is an application's, which writes check runs.
    app: bool,
    ask: Conditional,
    reader: BodyReader,
    deadline: Span,
    /// Repositories that GraphQL lately managed to answer for at once.
    batch: AtomicUsize,
    whole: gather::Gathering<RepositoryId>,
    changes: gather::Gathering<ChangeId>,
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
        let credential = token.map(|token| (settings.name.to_string(), Bearer::new(token)));
        Self::by(deadline, settings, credential, ask, reader)
    }

    /// The same by a credential of this name, whose token may be replaced.
    pub fn by(
        deadline: Span,
        settings: &ForgeSettings,
        credential: Option<(String, Bearer)>,
        ask: Conditional,
        reader: BodyReader,
    ) -> Result<Self, SetupError> {
        Self::make(deadline, settings, (credential, false), ask, reader)
    }

    /// The same by an installation of an application.
    pub fn by_app(
        settings: &ForgeSettings,
        credential: (String, Bearer),
        ask: Conditional,
        reader: BodyReader,
    ) -> Result<Self, SetupError> {
        Self::make(DEADLINE, settings, (Some(credential), true), ask, reader)
    }

    fn make(
        deadline: Span,
        settings: &ForgeSettings,
        (credential, app): (Option<(String, Bearer)>, bool),
        ask: Conditional,
        reader: BodyReader,
    ) -> Result<Self, SetupError> {
        let ForgeKind::GitHub(github) = &settings.kind else {
            return Err(SetupError::Kind { forge: settings.name.clone() });
        };
        let url = github.api_url.trim_end_matches('/');
        // Of an Enterprise Server the one is at /api/v3, the other at /api/graphql.
        let graphql = api_at(&settings.name, url.strip_suffix("/v3").unwrap_or(url))?;
        let with = |api: Api| match &credential {
            Some((name, token)) => api.bearer(name.clone(), token.clone()),
            None => api,
        };
        Ok(Self(Arc::new(Inner {
            identity: settings.identity.clone(),
            rest: with(rest_api(settings)?),
            graphql: with(graphql),
            token: credential.as_ref().map(|(_, token)| token.clone()),
            app,
            ask,
            reader,
            deadline,
            batch: AtomicUsize::new(BATCH),
            whole: gather::Gathering::default(),
            changes: gather::Gathering::default(),
        })))
    }
}

impl ForgeApi for GitHub {
    fn list(&self, repository: RepositoryId) -> BoxFuture<'static, Result<Listed, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(gather::ask(&inner, &repository).await?) })
    }

    fn fate(
        &self,
        repository: RepositoryId,
        number: u64,
    ) -> BoxFuture<'static, Result<Fate, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(facts::fate(&inner, &repository.change(number)).await?) })
    }

    fn files(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Files, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(facts::files(&inner, &repository.change(number), head).await?) })
    }

    fn mergeable(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Option<bool>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(
            async move { Ok(facts::mergeable(&inner, &repository.change(number), head).await?) },
        )
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
        Box::pin(async move {
            let asking = Asking { api: &inner.rest, ask: &inner.ask, token: inner.token.as_ref() };
            Ok(deliveries::read(asking, &place, hook, since).await?)
        })
    }

    fn toll_of_writes(&self, _: &RepositoryId) -> Option<Toll> {
        Some(write::toll(&self.0))
    }

    fn say(&self, saying: Saying) -> BoxFuture<'static, Result<Spoken, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { write::say(&inner, &saying).await })
    }

    fn comment(&self, sticky: Sticky) -> BoxFuture<'static, Result<Option<String>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { write::comment(&inner, &sticky).await })
    }

    fn asker(&self, _repository: &RepositoryId) -> Option<String> {
        self.0.token.as_ref().map(|_| self.0.rest.credential().to_owned())
    }

    fn token(
        &self,
        _repository: RepositoryId,
    ) -> BoxFuture<'static, Result<Option<SecretString>, ForgeError>> {
        let token = self.0.token.as_ref().map(Bearer::token);
        Box::pin(std::future::ready(Ok(token)))
    }

    fn credentials(&self) -> BTreeMap<String, Option<String>> {
        self.0.token.iter().map(|_| (self.0.rest.credential().to_owned(), None)).collect()
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
                Err(Failure::status(repository, &answer).without(self.token.as_ref()))
            }
            Err(error) => Err(Failure::asking(repository, &error).without(self.token.as_ref())),
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
                Err(Failure::status(repository, &answer).without(self.token.as_ref()))
            }
            Err(error) => Err(Failure::asking(repository, &error).without(self.token.as_ref())),
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
