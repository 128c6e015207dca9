//! Runs of a workspace's commands, as they are remembered.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::time::{Span, Timestamp};

/// Which of a workspace's commands a run was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Makes the workspace.
    Bootstrap,
    /// Brings it up to date.
    Update,
    /// Prints the manifest.
    Manifest,
}

impl RunKind {
    /// The word for it, in log names too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Update => "update",
            Self::Manifest => "manifest",
        }
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One run. It is written down before it starts, so that a daemon that died meanwhile can be asked what
/// became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Of which command.
    pub kind: RunKind,
    /// When it was started.
    pub started_at: Timestamp,
    /// When its last process was gone; nothing while it runs.
    pub ended_at: Option<Timestamp>,
    /// How it ended, for people; nothing while it runs.
    pub outcome: Option<String>,
    /// Where its output is.
    pub log: Option<PathBuf>,
}

impl RunRecord {
    /// How long it took, once it ended.
    pub fn took(&self) -> Option<Span> {
        Some(self.ended_at?.since(self.started_at))
    }
}
