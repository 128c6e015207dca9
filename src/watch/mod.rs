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

use std::sync::Arc;

use crosswatch_core::model::settings::{ForgeKind, ForgeSettings};
use secrecy::SecretString;
use tokio::sync::watch;

use crate::forge::Apis;
use crate::forge::git::{GitRemote, Mirrors};
use crate::forge::governor::Governor;

/// Reads the token of a forge, if it has one; the error says why it cannot be read.
pub type TokenReader =
    Arc<dyn Fn(&ForgeSettings) -> Result<Option<SecretString>, String> + Send + Sync>;

/// What looks and answers are made with.
#[derive(Clone)]
pub struct Readers {
    /// Lists refs.
    pub remote: GitRemote,
    /// Reads commits.
    pub mirrors: Mirrors,
    /// Reads the token of a forge, each time anew.
    pub token: TokenReader,
    /// Forges with an API, by the configuration in force.
    pub apis: watch::Receiver<Apis>,
    /// Limits of those forges.
    pub governor: Governor,
}

impl Readers {
    /// Percent of their usual length that intervals of a forge have now.
    fn stretch(&self, settings: &ForgeSettings) -> u64 {
        let keys = api_host(settings).map(|host| self.governor.keys(&host)).unwrap_or_default();
        keys.iter().map(|key| self.governor.stretch(key)).max().unwrap_or(100)
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
