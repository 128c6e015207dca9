//! Bounded questions that the plan asks of the world: the single thing that flows back.

use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Recipe};
use super::change::{CommitFacts, Fate, Files, Rights};
use super::identity::{Name, Oid, RepositoryId};

/// Something that the plan wants to know and a listing does not show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Committer date and references of a commit.
    Commit {
        /// Where it can be fetched.
        repository: RepositoryId,
        /// The commit.
        oid: Oid,
    },
    /// Whether `descendant` contains `ancestor`.
    Contains {
        /// Where both can be fetched.
        repository: RepositoryId,
        /// The commit looked for.
        ancestor: Oid,
        /// The commit whose history is searched.
        descendant: Oid,
    },
    /// What became of a change that is not among the open ones of its repository.
    Fate {
        /// The repository.
        repository: RepositoryId,
        /// Number of the change.
        number: u64,
    },
    /// The manifest that a workspace would have with some changes in it.
    Candidate(Box<Recipe>),
    /// Which files an open change touches.
    Files {
        /// The repository.
        repository: RepositoryId,
        /// Number of the change.
        number: u64,
        /// Its head.
        head: Oid,
        /// The branch that it wants to be merged into.
        base: Name,
    },
    /// Whether the forge can merge an open change.
    Mergeable {
        /// The repository.
        repository: RepositoryId,
        /// Number of the change.
        number: u64,
        /// Its head.
        head: Oid,
        /// The head of the branch that it wants to be merged into.
        base: Oid,
    },
    /// What an account may do in a repository.
    Rights {
        /// The repository.
        repository: RepositoryId,
        /// Name of the account, in lower case.
        login: Name,
    },
}

impl Question {
    /// The repository that is asked; a candidate is made of many.
    pub fn repository(&self) -> Option<&RepositoryId> {
        match self {
            Self::Commit { repository, .. }
            | Self::Contains { repository, .. }
            | Self::Fate { repository, .. }
            | Self::Files { repository, .. }
            | Self::Mergeable { repository, .. }
            | Self::Rights { repository, .. } => Some(repository),
            Self::Candidate(_) => None,
        }
    }
}

/// An answer. Those about commits, about one head, and candidates stay true for ever; a fate is asked
/// for again when the change's repository was seen to move, rights are now and then, and a forge that
/// has not finished trying to merge is soon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::Commit`].
    Commit(CommitFacts),
    /// To [`Question::Contains`].
    Contains(bool),
    /// To [`Question::Fate`].
    Fate(Fate),
    /// To [`Question::Files`].
    Files(Files),
    /// To [`Question::Candidate`].
    Candidate(Candidate),
    /// To [`Question::Mergeable`]; nothing while the forge tries.
    Mergeable(Option<bool>),
    /// To [`Question::Rights`].
    Rights(Rights),
}

impl Answer {
    /// Whether it can never become another one.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Commit(_) | Self::Contains(_) | Self::Files(_) => true,
            // By its recipe; a person has a failed one made again.
            Self::Candidate(_) => true,
            Self::Fate(Fate::Merged { .. }) | Self::Mergeable(Some(_)) => true,
            Self::Mergeable(None) | Self::Rights(_) => false,
            Self::Fate(Fate::Open | Fate::Closed { .. } | Fate::Missing) => false,
        }
    }
}
