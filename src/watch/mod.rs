//! One registry of what is watched over all workspaces: each repository is asked once a cycle, and
//! the plan's questions are answered beside it. What was seen goes to the board; what moved goes to
//! the mirrors that workspaces read.

mod answers;
mod memory;
mod mirroring;
mod registry;

pub use answers::Answers;
pub use memory::{Memory, Remembered};
pub use mirroring::Mirroring;
pub use registry::{Hints, Registry};

use std::sync::Arc;

use crosswatch_core::model::settings::ForgeSettings;
use secrecy::SecretString;

use crate::forge::git::{GitRemote, Mirrors};

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
