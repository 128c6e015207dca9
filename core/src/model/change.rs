//! What a plain listing of refs says about branches and changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identity::{Name, Oid};

/// Branches and change refs of one repository, as one listing showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The branch that `HEAD` points at, also when it has no commit yet.
    pub default_branch: Option<Name>,
    /// Every branch by its name without `refs/heads/`.
    pub branches: BTreeMap<Name, Oid>,
    /// Change refs in the order of their numbers.
    pub changes: Vec<OpenRef>,
}

/// A ref that stands for a change. That it exists does not yet mean that the change is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRef {
    /// The number in the ref's name.
    pub number: u64,
    /// The commit that the change proposes.
    pub head: Oid,
    /// The branch that it wants to be merged into, unless nothing says which.
    pub base: Option<Name>,
    /// The whole name of the ref, such as `refs/pull/12/head`.
    pub ref_name: Name,
    /// Whether the server keeps a test merge (`refs/pull/12/merge`), as it does for open changes.
    pub merge: bool,
}
