//! Looks at the machine and the configuration and says what holds, what holds less and what is broken.
//!
//! Facts are gathered in one place and judged in another, which is pure, so that every judgement can be
//! tested without a machine that deserves it. Nothing is changed by looking.

mod checks;
mod facts;
mod peers;
mod system;

use serde::Serialize;

pub use checks::judge;
pub use facts::{
    Cgroup, Daemon, Facts, Folder, Limit, Peer, ProcMount, Programs, SecretFact, Site, Usage,
    gather,
};

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// The daemon works, and holds less than it could.
    Weaker,
    /// Something that is configured cannot work.
    Broken,
}

impl Level {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Weaker => "weaker",
            Self::Broken => "broken",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub check: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What that means; empty when all is well.
    pub means: String,
    /// What to do about it; empty when there is nothing to do.
    pub way_out: String,
}
