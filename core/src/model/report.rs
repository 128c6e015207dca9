//! What is said on forges about changes, before it is known how a forge says it.

use std::collections::BTreeMap;

use super::identity::{ChangeId, Name, Oid, RepositoryId};

/// Longest description of a status, in characters: what GitHub takes.
pub const DESCRIPTION: usize = 140;

/// How a change stands, as far as one workspace is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusState {
    /// A build is on its way.
    Pending,
    /// It ended, and that says nothing of this change alone.
    Inconclusive,
    /// It passed.
    Success,
    /// It failed.
    Failure,
    /// There is no verdict on the code.
    Error,
}

impl StatusState {
    const ALL: [Self; 5] =
        [Self::Pending, Self::Inconclusive, Self::Success, Self::Failure, Self::Error];

    /// The word for it in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Inconclusive => "inconclusive",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }

    /// Whether it says how something ended.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Inconclusive)
    }

    /// The state with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Where a status stands. Forges keep one for each commit and context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusKey {
    /// Repository.
    pub repository: RepositoryId,
    /// Commit.
    pub head: Oid,
    /// Whose it is: `crosswatch/WORKSPACE`.
    pub context: Name,
}

/// What a status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: StatusState,
    /// One sentence of at most [`DESCRIPTION`] characters, fit for everybody who reads the change.
    pub description: String,
    /// Where more is to be read.
    pub target: Option<String>,
}

/// What a workspace should say and the ledger does not have yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// Statuses.
    pub statuses: Vec<(StatusKey, Status)>,
    /// What is to be mended about changes, each fit for everybody who reads the change; nothing is left
    /// where there are none.
    pub remarks: Vec<(ChangeId, Vec<String>)>,
}

impl Reports {
    /// Whether there is nothing new to say.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much is new.
    pub fn len(&self) -> usize {
        self.statuses.len() + self.remarks.len()
    }
}

/// What the ledger has of a workspace's reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Statuses that should be there; whether they are is the reporter's to know.
    pub statuses: BTreeMap<StatusKey, Status>,
    /// What is to be mended, by change; never empty.
    pub remarks: BTreeMap<ChangeId, Vec<String>>,
}

impl Said {
    /// Nothing.
    pub const EMPTY: Self = Self { statuses: BTreeMap::new(), remarks: BTreeMap::new() };

    /// What was stored.
    pub fn take_over(&mut self, reports: &Reports) {
        self.statuses.extend(reports.statuses.iter().cloned());
        for (change, remarks) in &reports.remarks {
            self.remarks.remove(change);
            if !remarks.is_empty() {
                self.remarks.insert(change.clone(), remarks.clone());
            }
        }
    }
}
