//! What a CI is asked for and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::identity::{ChangeId, Fingerprint, Name, Oid, RepositoryId, Subject};
use super::manifest::Repeats;
use super::settings::Spelling;
use super::time::Timestamp;

/// How a build ended, as far as the fingerprint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It passed.
    Success,
    /// It failed.
    Failure,
    /// A person cancelled it.
    Cancelled,
    /// The CI skipped it, lost it or broke: no verdict on the code, tried again.
    Lost,
    /// The CI refused the request for good.
    Refused,
}

impl Verdict {
    /// Whether a fingerprint is spent by it.
    pub fn spends(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Cancelled)
    }

    /// The word for it in tables, JSON and the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Refused => "refused",
        }
    }

    /// The verdict with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Success, Self::Failure, Self::Cancelled, Self::Lost, Self::Refused]
            .into_iter()
            .find(|verdict| verdict.word() == word)
    }
}

/// Where an attempt is between decision and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Decided, nothing sent.
    Queued,
    /// A request may be on its way.
    Sending,
    /// The CI took it.
    Sent,
    /// The CI builds it.
    Running,
    /// It ended, with a verdict.
    Ended(Verdict),
    /// It was dropped before anything was sent, since it was no longer wanted.
    Dropped,
}

impl Stage {
    /// The word for it in tables, JSON and the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Running => "running",
            Self::Ended(verdict) => verdict.word(),
            Self::Dropped => "dropped",
        }
    }

    /// The stage with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Queued, Self::Sending, Self::Sent, Self::Running, Self::Dropped]
            .into_iter()
            .find(|stage| stage.word() == word)
            .or_else(|| Verdict::from_word(word).map(Self::Ended))
    }

    /// Whether something may still come of it.
    pub fn open(self) -> bool {
        matches!(self, Self::Queued | Self::Sending | Self::Sent | Self::Running)
    }
}

/// Who is served first: a person's wish, the mainline, recent changes, others, bots, and what only
/// fills idle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A person asked for it.
    Person,
    /// The mainline.
    Mainline,
    /// A change that moved within the last day.
    Recent,
    /// Any other change.
    Other,
    /// A bot's change.
    Bot,
    /// Epochs and recovery.
    Idle,
}

impl Priority {
    /// All, most urgent first.
    pub const ALL: [Self; 6] =
        [Self::Person, Self::Mainline, Self::Recent, Self::Other, Self::Bot, Self::Idle];

    /// Position in [`Self::ALL`], as the ledger stores it.
    pub fn rank(self) -> i64 {
        self as i64
    }

    /// The priority of that rank, the least urgent for one that is unknown.
    pub fn from_rank(rank: i64) -> Self {
        Self::ALL.into_iter().find(|priority| priority.rank() == rank).unwrap_or(Self::Idle)
    }
}

/// Why an attempt is made.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its fingerprint has no verdict.
    #[default]
    New,
    /// A person asked for it.
    Person,
    /// Nothing moved but the workspace's epoch.
    Epoch,
    /// It failed while the mainline was red, which is green now.
    Recovery,
    /// What it stands on moved.
    Base,
}

impl Cause {
    /// Whether it only fills idle time.
    pub fn idle(self) -> bool {
        matches!(self, Self::Epoch | Self::Recovery | Self::Base)
    }
}

/// What a build stands on, as digests of the mainline's commits: equal ones mean that nothing moved.
/// Names are not in it, so that they can be hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Of all packages.
    pub all: u64,
    /// Of the packages that the build affects.
    pub affected: u64,
}

impl Base {
    /// Of the mainline's heads and the packages that a build affects; nothing while heads are unknown.
    pub fn of(heads: &[PackageHead], affected: &[Name]) -> Option<Self> {
        let affected: BTreeSet<&Name> = affected.iter().collect();
        let mut base = Self { all: 0, affected: 0 };
        for head in heads {
            let digest = blake3::hash(head.head.as_bytes());
            let digest = digest.as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes);
            base.all = base.all.wrapping_add(digest);
            if affected.contains(&head.package) {
                base.affected = base.affected.wrapping_add(digest);
            }
        }
        (!heads.is_empty()).then_some(base)
    }
}

/// 128 bits that name one attempt in every retry of a send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

impl RequestId {
    /// BLAKE3-128 over ledger, workspace, subject, CI, fingerprint and attempt.
    pub fn new(
        ledger: &str,
        workspace: &str,
        subject: &Subject,
        ci: &str,
        fingerprint: &Fingerprint,
        attempt: u32,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("crosswatch request id 1");
        for part in [ledger, workspace, &subject.to_string(), ci] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&fingerprint.0);
        hasher.update(&attempt.to_le_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for RequestId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a request id of 32 hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| wrong())
    }
}

impl Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a CI is asked to build. It is stored with the attempt, so a retry sends the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// Names this attempt in every retry.
    pub request_id: RequestId,
    /// Workspace by its present name.
    pub workspace: Name,
    /// Mainline or change.
    pub subject: Subject,
    /// What makes this build worth running.
    pub fingerprint: Fingerprint,
    /// From 1, for each (subject, fingerprint, CI).
    pub attempt: u32,
    /// Why it is built.
    #[serde(default)]
    pub cause: Cause,
    /// The same in one sentence.
    pub reason: String,
    /// How the last build of the mainline on the same CI had ended when this was decided.
    #[serde(default)]
    pub mainline: Option<Verdict>,
    /// What the decision was made at.
    pub decided_at: Timestamp,
    /// The change itself and its set, in build order; empty for the mainline.
    pub set: Vec<SetMember>,
    /// What must be checked out instead of the mainline.
    pub overrides: Vec<Override>,
    /// Spellings of them that the workspace wants its CIs to be given.
    #[serde(default)]
    pub spellings: Vec<Spelling>,
    /// The mainline's heads by package: what is checked out where no override says otherwise.
    pub heads: Arc<[PackageHead]>,
    /// Packages that changed and all that depend on them, in build order.
    pub affected: Vec<Name>,
    /// Whether every head in it is trusted (approval aside).
    pub trusted: bool,
    /// Page of the subject, if the daemon has a public address.
    pub page: Option<String>,
    /// Repository, branch and head that the CI's own change record should name.
    pub primary: Primary,
}

impl BuildRequest {
    /// What its own repository has in the place of the mainline, unless another override contains it.
    pub fn own(&self) -> Option<&Override> {
        let own = match &self.subject {
            Subject::Mainline => return None,
            Subject::Change(change) => change.clone(),
            Subject::Queue(queue) => queue.change(),
        };
        self.overrides.iter().find(|entry| entry.change == own)
    }
}

/// One change of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SetMember {
    /// The change.
    pub change: ChangeId,
    /// Its head when it was decided.
    pub head: Oid,
    /// Its effective base branch.
    pub base: Name,
}

/// What must be checked out instead of the mainline for one member of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The change that it comes from.
    pub change: ChangeId,
    /// Where the change can be read, if the forge has pages.
    pub change_url: Option<String>,
    /// Packages that it applies to, by their override keys, in name order.
    pub packages: Vec<Name>,
    /// Where to fetch from.
    pub repository_url: String,
    /// Full ref to fetch, such as `refs/pull/12/head`.
    pub ref_name: String,
    /// The commit that was decided on; the CI can check that it builds it.
    pub head: Oid,
    /// Branch that it replaces.
    pub base: Name,
    /// Whether one of the packages is pinned, so that the pin must be nulled.
    pub unpin: bool,
    /// By override key, what the tool's own spelling must say again. Keys that are not here, such as
    /// the workspace's own source, stand in no spelling of a tool that replaces whole entries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeats: BTreeMap<Name, Arc<Repeats>>,
}

/// A package and the commit of it that the mainline has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageHead {
    /// Package.
    pub package: Name,
    /// Where it comes from.
    pub repository: RepositoryId,
    /// Commit of the mainline.
    pub head: Oid,
}

/// The one repository, branch and commit that a CI's change record names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Primary {
    /// Address of the repository.
    pub repository_url: String,
    /// Its identity.
    pub repository: Option<RepositoryId>,
    /// Source branch or base branch.
    pub branch: Name,
    /// The commit.
    pub revision: Option<Oid>,
    /// Author of the change, where the forge knows one.
    pub author: Option<String>,
    /// Who owns the head of the change, where the forge knows it.
    #[serde(default)]
    pub committer: Option<String>,
    /// The forge's number of the repository that the change comes from, where it has one.
    #[serde(default)]
    pub source_project_id: Option<u64>,
    /// When the commit was made or the change was updated.
    pub when: Option<Timestamp>,
}
