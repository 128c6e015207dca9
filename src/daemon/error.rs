//! Why a daemon does not start, or ends.

use std::path::PathBuf;

use crate::config::ConfigErrors;
use crate::ledger::LedgerError;

/// An error that ends the daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(ConfigErrors),
    /// The state directory cannot be used.
    #[error(
        "state_dir {path} cannot be used: {why}; make it, or name another in the configuration"
    )]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// Another daemon has the state directory.
    #[error("state_dir {path} is in use by process {rival}; stop that daemon first")]
    Rival {
        /// The directory.
        path: PathBuf,
        /// The other daemon.
        rival: String,
    },
    /// A secret that the daemon itself needs.
    #[error("the secret of `{what}` cannot be read: {why}")]
    Secret {
        /// Key of the configuration.
        what: String,
        /// Why not.
        why: String,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The HTTP client.
    #[error("the HTTP client cannot be made: {why}")]
    Http {
        /// Why not.
        why: String,
    },
    /// The pages or the socket.
    #[error("{0}")]
    Web(String),
    /// Signals.
    #[error("signals cannot be waited for: {why}")]
    Signals {
        /// The system's words.
        why: String,
    },
    /// `--once` ended with builds that did not succeed.
    #[error("{failed} of {ended} builds did not succeed; `crosswatch builds` shows them")]
    Failed {
        /// Builds that did not succeed.
        failed: usize,
        /// All that ended.
        ended: usize,
    },
}

impl DaemonError {
    /// The exit code of the command line: 2 for a wrong configuration, else 1.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Config(_)) { 2 } else { 1 }
    }
}
