//! Branches and changes of a repository, as one look at it showed them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identity::{Name, Oid};
use super::time::Timestamp;
use crate::references::References;

/// All branches and change refs of one repository: known whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The branch that `HEAD` points at.
    pub default_branch: Option<Name>,
    /// Head of each branch, by its name without `refs/heads/`.
    pub branches: BTreeMap<Name, Oid>,
    /// Change refs, by number.
    pub changes: Vec<OpenRef>,
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
}

/// What a commit tells the plan. Its message is read once, when it is fetched, and not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// Committer date.
    pub committed_at: Timestamp,
    /// References of the `Depends-On:` trailers.
    pub references: References,
}
