//! Branches and changes of a repository, as one look at it showed them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::identity::{Name, Oid, RepositoryId};
use super::queue::{FOLDER, made_by_queue, queued};
use super::time::Timestamp;
use crate::references::References;

/// All branches and change refs of one repository: known whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The branch that `HEAD` points at.
    pub default_branch: Option<Name>,
    /// Whether the forge keeps it read-only.
    #[serde(default)]
    pub archived: bool,
    /// Whether everybody may read it; what no forge says so of counts as private.
    #[serde(default)]
    pub public: bool,
    /// Head of each branch, by its name without `refs/heads/`.
    pub branches: BTreeMap<Name, Oid>,
    /// Names that a branch had before, the first one first, by its present name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former: BTreeMap<Name, Vec<Name>>,
    /// Open changes (on plain git: change refs), in the order of their numbers.
    pub changes: Vec<OpenRef>,
}

impl Listing {
    /// The open change of that number.
    pub fn change(&self, number: u64) -> Option<&OpenRef> {
        let at = self.changes.binary_search_by_key(&number, |change| change.number).ok()?;
        self.changes.get(at)
    }

    /// The same of a repository that is watched as `own` and called `now` by its forge: what comes from
    /// itself comes from there.
    #[must_use]
    pub fn watched_as(mut self, own: &RepositoryId, now: &RepositoryId) -> Self {
        let sources = self
            .changes
            .iter_mut()
            .filter_map(|change| change.forge.as_mut().and_then(|forge| forge.source.as_mut()));
        for source in sources.filter(|source| source.repository == *now) {
            source.repository = own.clone();
        }
        self
    }

    /// The branches that a merge queue made.
    pub fn queued(&self) -> impl Iterator<Item = (&Name, &Oid)> {
        let from = self.branches.range::<str, _>((Bound::Included(FOLDER), Bound::Unbounded));
        from.take_while(|(branch, _)| made_by_queue(branch))
    }

    /// Whether something that is built has this head: an open change, or an entry of a merge queue.
    pub fn builds(&self, head: Oid) -> bool {
        self.changes.iter().any(|change| change.head == head)
            || self.queued().any(|(_, at)| *at == head)
    }

    /// The ref that has `head` and is of the change of that number: the change's own, or that of an entry
    /// of a merge queue that ends with it.
    pub fn ref_of(&self, number: u64, head: Oid) -> Option<Name> {
        let own = self.change(number).filter(|listed| listed.head == head);
        own.map(|listed| listed.ref_name.clone()).or_else(|| {
            let ends = |branch: &str| queued(branch).is_some_and(|(_, last, _)| last == number);
            let same = self.queued().find(|(branch, at)| **at == head && ends(branch));
            same.map(|(branch, _)| Name::from(format!("refs/heads/{branch}")))
        })
    }
}

/// A change as a plain git server shows it: refs. Whether it is still open is for the plan to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRef {
    /// Number of the change.
    pub number: u64,
    /// What the change's head ref points at.
    pub head: Oid,
    /// The base branch that a sibling ref or the forge's configuration names.
    pub base: Option<Name>,
    /// The head ref, such as `refs/pull/12/head`.
    pub ref_name: Name,
    /// The sibling merge ref, if the server shows one.
    pub merge: bool,
    /// What a forge with pull requests says of it; nothing on plain git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<Box<ForgeChange>>,
}

/// What a forge says of an open change beside its refs. The body is read once, when it arrives, and
/// not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeChange {
    /// Not ready by its author's own word.
    pub draft: bool,
    /// Who opened it; nothing where the account is gone.
    pub author: Option<Author>,
    /// Where the head comes from; nothing where that repository is gone.
    pub source: Option<SourceBranch>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Names of its labels.
    pub labels: BTreeSet<Name>,
    /// Whether the forge can merge it into its base; nothing while the forge has not tried.
    pub mergeable: Option<bool>,
    /// References of its body.
    pub references: References,
}

/// Who opened a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Name of the account.
    pub login: Name,
    /// Whether the forge flags it as a bot.
    pub bot: bool,
    /// What the forge says of the account's standing in the base repository.
    pub association: Association,
}

/// Standing of an account in a repository. Having contributed once is no standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Association {
    /// Owns it.
    Owner,
    /// Is a member of the organisation that owns it.
    Member,
    /// Was invited to it.
    Collaborator,
    /// None of these, or a word that we do not know.
    None,
}

/// What an account may do in a repository, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Write there, or more.
    Write,
    /// Less than that.
    Less,
    /// The forge does not tell our credential.
    Untold,
}

/// Where the head of a change comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceBranch {
    /// The repository, which may be the base repository itself.
    pub repository: RepositoryId,
    /// Account that owns that repository.
    pub owner: Name,
    /// The branch there.
    pub branch: Name,
}

/// What became of a change that is not among the open ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is open: the list of open ones was read before that.
    Open,
    /// Merged; the commit that stands for it in the base branch, where the forge names one.
    Merged {
        /// The merge commit, or the last of the rebased or squashed ones.
        commit: Option<Oid>,
        /// The branch that it was merged into, where the forge names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<Name>,
    },
    /// Closed without being merged.
    Closed {
        /// Its head when it was closed.
        head: Option<Oid>,
        /// Names of its labels.
        labels: BTreeSet<Name>,
    },
    /// There is no such change, or none that the credential may see.
    Missing,
}

/// What a commit tells the plan. Its message is read once, when it is fetched, and not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// Committer date.
    pub committed_at: Timestamp,
    /// References of the `Depends-On:` trailers.
    pub references: References,
}

/// Which files a change touches, by both names where one was renamed. Unlike a list that could not be
/// read, one that is too long is an answer, and for ever the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Files {
    /// All of them, by their paths from the repository's root.
    Listed(BTreeSet<Name>),
    /// More than are listed anywhere: it may touch any file.
    TooMany,
}

impl Files {
    /// Entries of a list that is believed to be whole; GitHub lists no more.
    pub const MOST: usize = 3_000;
    /// Bytes of all their names.
    const BYTES: usize = 1024 * 1024;

    /// Of a list of `entries` entries with these names.
    pub fn of(entries: usize, names: impl IntoIterator<Item = String>) -> Self {
        let mut listed = BTreeSet::new();
        let mut bytes = 0_usize;
        for name in names {
            bytes = bytes.saturating_add(name.len());
            if bytes > Self::BYTES {
                return Self::TooMany;
            }
            listed.insert(Name::from(name));
        }
        if entries < Self::MOST { Self::Listed(listed) } else { Self::TooMany }
    }
}
