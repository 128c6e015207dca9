//! One registry of what is watched over all workspaces: each repository is asked once a cycle, and
//! the plan's questions are answered beside it. What was seen goes to the board; what moved goes to
//! the mirrors that workspaces read.

mod again;
mod answers;
mod by_api;
mod hearing;
mod looking;
mod memory;
mod mirroring;
mod registry;

pub use answers::Answers;
pub use memory::{Kept, Memory, Remembered, SeenAs};
pub use mirroring::Mirroring;
pub use registry::{Announcement, Hint, Hints, Registry};

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::settings::{ForgeKind, ForgeSettings};
use secrecy::SecretString;
use tokio::sync::watch;

use crate::forge::git::{GitRemote, Mirrors};
use crate::forge::governor::Governor;
use crate::forge::{Apis, ForgeApi};
use looking::{chain, no_api};

/// Reads the token of a plain git server, if it has one; the error says why it cannot be read.
pub type PlainToken =
    Arc<dyn Fn(&ForgeSettings) -> Result<Option<SecretString>, String> + Send + Sync>;

/// What git is given to read a repository with.
#[derive(Clone)]
pub struct TokenReader {
    /// Of plain git servers.
    pub plain: PlainToken,
    /// Forges with an API know which of their credentials reads what.
    pub apis: watch::Receiver<Apis>,
}

impl TokenReader {
    /// The token for a repository, if there is one.
    async fn token(
        &self,
        forge: &ForgeSettings,
        repository: &RepositoryId,
    ) -> Result<Option<SecretString>, String> {
        if forge.kind.git().is_some() {
            return (self.plain)(forge);
        }
        let api = self.api(forge).ok_or_else(|| no_api(&forge.identity))?;
        api.token(repository.clone()).await.map_err(|error| chain(&error))
    }

    /// Name of the credential for a repository, never its value.
    fn credential(&self, forge: &ForgeSettings, repository: &RepositoryId) -> Option<String> {
        if forge.kind.git().is_some() {
            return forge.tokens.first().map(ToString::to_string);
        }
        self.api(forge)?.asker(repository)
    }

    fn api(&self, forge: &ForgeSettings) -> Option<Arc<dyn ForgeApi>> {
        self.apis.borrow().get(&*forge.identity).cloned()
    }
}

/// What looks and answers are made with.
#[derive(Clone)]
pub struct Readers {
    /// Lists refs.
    pub remote: GitRemote,
    /// Reads commits.
    pub mirrors: Mirrors,
    /// What git is given, each time anew.
    pub token: TokenReader,
    /// Forges with an API, by the configuration in force.
    pub apis: watch::Receiver<Apis>,
    /// Limits of those forges.
    pub governor: Governor,
}

impl Readers {
    /// Percent of their usual length that intervals have now of what is asked by a credential.
    fn stretch(&self, settings: &ForgeSettings, credential: &str) -> u64 {
        let keys = api_host(settings).map(|host| self.governor.keys(&host)).unwrap_or_default();
        let of = keys.iter().filter(|key| key.credential == credential);
        of.map(|key| self.governor.stretch(key)).max().unwrap_or(100)
    }

    /// Names of a forge's credentials, each with why it is of no use; an empty one where it has none.
    fn credentials(&self, settings: &ForgeSettings) -> BTreeMap<String, Option<String>> {
        let api = self.apis.borrow().get(&*settings.identity).cloned();
        let mut all = api.map(|api| api.credentials()).unwrap_or_default();
        if all.is_empty() {
            all.insert(String::new(), None);
        }
        all
    }

    /// Which of them is asked about a repository; empty where it has none.
    fn asker(&self, id: &RepositoryId) -> String {
        let api = self.apis.borrow().get(&*id.forge).cloned();
        api.and_then(|api| api.asker(id)).unwrap_or_default()
    }
}

/// Host of a forge's API, with a port unless it is the usual one: what its limits are kept by.
pub fn api_host(settings: &ForgeSettings) -> Option<String> {
    let ForgeKind::GitHub(github) = &settings.kind else { return None };
    let url = url::Url::parse(&github.api_url).ok()?;
    let host = url.host_str()?.to_owned();
    Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

/// Host and port that a URL is asked at; local paths all share one.
fn server(url: &str) -> String {
    url::Url::parse(url)
        .ok()
        .and_then(|url| {
            let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
            Some(match url.port_or_known_default() {
                Some(port) => format!("{host}:{port}"),
                None => host,
            })
        })
        .unwrap_or_else(|| "local".to_owned())
}

/// What the schedule knows a credential of a forge by.
fn scheduled(identity: &str, credential: &str) -> String {
    if credential.is_empty() { identity.to_owned() } else { format!("{identity} {credential}") }
}
