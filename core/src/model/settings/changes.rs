//! The words that rules for changes take.

use serde::{Deserialize, Serialize};

/// What happens to drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drafts {
    /// Like any other change.
    Build,
    /// Held until they are ready.
    Hold,
}

/// Which members of a set get builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependencies {
    /// Only the tops of sets.
    Tops,
    /// Every change its own.
    Each,
    /// Tops first, then the others.
    Both,
}

/// What is done with changes that were open before we watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopt {
    /// Build those whose head is younger than 24 h, at most 20.
    Recent,
    /// Build all of them.
    All,
    /// Build none of them.
    None,
}

/// What a closed dependency means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnClosed {
    /// The set is blocked.
    Block,
    /// The dependency is left out.
    Ignore,
}

/// What a conflict with the base means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The head is built, and the conflict is said.
    Head,
    /// The set is blocked.
    Block,
}

/// Which ref a build checks out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefKind {
    /// The merge ref where the forge has a mergeable one, else the head.
    Auto,
    /// Always the merge ref.
    Merge,
    /// Always the head.
    Head,
}

/// What two changes of one repository and base mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameRepository {
    /// Blocked until one is rebased on the other.
    Block,
    /// The CI gets both heads, in order.
    Ci,
}

/// When a change with a verdict is built again because the mainline moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebuildOnBase {
    /// Never.
    #[default]
    None,
    /// When a package moved that its set affects.
    Affected,
    /// When any package moved.
    All,
}
