//! What should happen, with a reason for every part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use super::build::{BuildRequest, Override, Priority, RequestId, SetMember};
use super::candidate::Difference;
use super::fingerprint::Print;
use super::identity::{ChangeId, Fingerprint, Name, Oid, RepositoryId, Subject};
use super::ledger_view::{ChangeFacts, Look, MainlineFacts};
use super::part::Part;
use super::parts::Parts;
use super::question::Question;
use super::report::Reports;
use super::time::Timestamp;
use crate::references::{Finding, Written};

/// The whole plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The snapshot's time.
    pub at: Timestamp,
    /// By workspace name.
    pub workspaces: Vec<Arc<WorkspacePlan>>,
    /// What should be asked of the world.
    pub wanted: BTreeSet<Question>,
    /// When some decision stops to hold.
    pub next_at: Option<Timestamp>,
}

impl Plan {
    /// The part of a workspace.
    pub fn workspace(&self, name: &str) -> Option<&Arc<WorkspacePlan>> {
        self.workspaces.iter().find(|plan| &*plan.workspace == name)
    }
}

/// The plan of one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspacePlan {
    /// Its name.
    pub workspace: Name,
    /// Its id, under which the ledger keeps it.
    pub id: Name,
    /// Its epoch; with the id it makes fingerprints its own.
    pub epoch: u64,
    /// What is decided: the mainline first, then each repository.
    pub parts: Parts,
    /// Heads that its update answers for, once all of them are known.
    pub inputs: Option<Arc<Vec<(Look, Oid)>>>,
    /// Repositories that must be watched for it.
    pub watched: Arc<BTreeMap<RepositoryId, Watched>>,
    /// Packages that cannot be watched, each with the reason.
    pub unwatched: Arc<Vec<Unwatched>>,
    /// New first looks.
    pub looks: Vec<Look>,
    /// Facts that are new or moved.
    pub facts: Vec<(ChangeId, ChangeFacts)>,
    /// Facts of the mainline, if they moved.
    pub mainline: Option<MainlineFacts>,
    /// What should be said on forges and the ledger does not have yet. No part of what is shown: it
    /// follows from the decisions, and from what was said before.
    pub reports: Reports,
}

impl WorkspacePlan {
    /// What it asks of the world.
    pub fn wanted(&self) -> BTreeSet<Question> {
        self.parts.wanted()
    }

    /// When one of its decisions stops to hold.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.parts.next_at()
    }

    /// Its subjects: the mainline, then by repository changes and entries of merge queues.
    pub fn subjects(&self) -> impl Iterator<Item = &SubjectPlan> {
        self.parts.iter().flat_map(|part| &part.subjects)
    }

    /// Those for which something is to be triggered or ended.
    pub fn acting(&self) -> impl Iterator<Item = &SubjectPlan> {
        let parts = self.parts.iter().filter(|part| part.acts());
        parts.flat_map(|part| &part.subjects).filter(|subject| subject.acts())
    }

    /// The plan of a subject.
    pub fn subject(&self, subject: &Subject) -> Option<&SubjectPlan> {
        let part = self.parts.find(subject.repository())?;
        part.subjects.iter().find(|plan| plan.subject == *subject)
    }

    /// What is decided of a repository.
    pub fn part(&self, repository: &RepositoryId) -> Option<&Arc<Part>> {
        self.parts.find(Some(repository))
    }

    /// The fingerprint of one of its subjects, if everything in it is known.
    pub fn fingerprint(&self, subject: &SubjectPlan) -> Option<Fingerprint> {
        subject.print.as_ref().map(|print| print.of(&self.id, self.epoch))
    }

    /// Every question whose answer it used or missed; one may come several times.
    pub fn consulted(&self) -> impl Iterator<Item = &Question> {
        self.parts.iter().flat_map(|part| &*part.asked.consulted)
    }
}

/// A repository that must be watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Watched {
    /// Where it is fetched from.
    pub url: Name,
    /// Its path as people write it.
    pub spelling: Name,
}

/// A package that cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unwatched {
    /// The package.
    pub package: Name,
    /// Why not.
    pub reason: String,
}

/// What is decided about one subject, and everything it was decided from. Nothing in it is the workspace's
/// own unless it acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPlan {
    /// The subject.
    pub subject: Subject,
    /// The decision; workspaces that decide the same share one, since there are many.
    pub decision: Arc<Decision>,
    /// Its set with what follows from that; its parts are read as if they stood here.
    pub of: Arc<SetPlan>,
    /// Whether every head of the set is trusted without an approval.
    pub trusted: bool,
    /// What the set makes of the manifest, where it touches what decides that.
    pub candidate: Option<Box<CandidatePlan>>,
    /// What its fingerprint is made of, if everything in it is known; see [`WorkspacePlan::fingerprint`].
    pub print: Option<Print>,
    /// Builds to trigger now.
    pub triggers: ThinVec<Trigger>,
    /// Attempts that are no longer wanted, each with what should happen to it.
    pub superseded: ThinVec<Superseded>,
}

impl SubjectPlan {
    /// Whether something is to be triggered or ended.
    pub fn acts(&self) -> bool {
        !self.triggers.is_empty() || !self.superseded.is_empty()
    }
}

impl std::ops::Deref for SubjectPlan {
    type Target = SetPlan;

    fn deref(&self) -> &SetPlan {
        &self.of
    }
}

/// A subject with all that belongs to it, as far as nothing in it is the workspace's own: workspaces that
/// see the same share one, since there are many and they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SetPlan {
    /// Packages because of which the subject matters here.
    pub packages: Vec<Name>,
    /// The change and all that it depends on, dependencies first.
    pub set: Vec<SetMember>,
    /// What a build checks out instead of the mainline.
    pub overrides: Vec<Override>,
    /// References of the change itself.
    pub references: Vec<Written>,
    /// Clear references that fail.
    pub findings: Vec<Finding>,
    /// Things that only our page shows.
    pub notes: Vec<Finding>,
}

/// A candidate: a set that may alter what the manifest says, and how far that is worked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CandidatePlan {
    /// Why there is one.
    pub because: String,
    /// How often its tool exported a manifest for it.
    pub rounds: usize,
    /// How its manifest differs from the mainline's; nothing while it is not settled.
    pub difference: Option<Difference>,
}

/// One thing that a fingerprint is made of, in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FingerprintPart {
    /// What it is, such as `mirror/base-types#2 head`.
    pub what: String,
    /// Its value.
    pub value: String,
}

/// A build to trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trigger {
    /// The CI.
    pub ci: Name,
    /// Who is served first.
    pub priority: Priority,
    /// The request as it will be sent.
    pub request: BuildRequest,
    /// What its fingerprint is made of.
    pub parts: Vec<FingerprintPart>,
    /// Whether it needs an approval; checked again when it is committed.
    pub needs_approval: bool,
    /// Whose approvals these are, each with the set that it is of: the subject's own where none is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_as: Vec<(Subject, Vec<SetMember>)>,
}

/// An attempt that is no longer wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Superseded {
    /// The attempt.
    pub request_id: RequestId,
    /// Why.
    pub why: String,
    /// Cancel it if it is with the CI already; a queued one is dropped in any case.
    pub cancel: bool,
}

/// A decision. Each carries its reason, which says nothing of the workspace; none is the absence of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Decision {
    /// An attempt is wanted now, or is queued or under way.
    Build {
        /// Why.
        reason: String,
    },
    /// The fingerprint has a verdict already, or was recorded when the watch began.
    Unchanged {
        /// What is known of it.
        reason: String,
    },
    /// Another change's build has it.
    Covered {
        /// That change.
        by: ChangeId,
        /// In words.
        reason: String,
    },
    /// It waits.
    Held {
        /// What for.
        why: Held,
        /// In words, with what releases it.
        reason: String,
        /// When time alone releases it.
        until: Option<Timestamp>,
    },
    /// It cannot be built until somebody mends something.
    Blocked {
        /// What is wrong.
        why: Blocked,
        /// In words, with who can mend it.
        reason: String,
    },
    /// It is no longer wanted, but builds of it were.
    Superseded {
        /// Why.
        reason: String,
    },
    /// Something it needs could not be read.
    Unknown {
        /// What.
        reason: String,
    },
}

impl Decision {
    /// One of the seven words of the vocabulary.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Build { .. } => "build",
            Self::Unchanged { .. } => "unchanged",
            Self::Covered { .. } => "covered",
            Self::Held { .. } => "held",
            Self::Blocked { .. } => "blocked",
            Self::Superseded { .. } => "superseded",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The reason in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Build { reason }
            | Self::Unchanged { reason }
            | Self::Covered { reason, .. }
            | Self::Held { reason, .. }
            | Self::Blocked { reason, .. }
            | Self::Superseded { reason }
            | Self::Unknown { reason } => reason,
        }
    }

    /// Whether a build of it exists or is about to.
    pub fn stands(&self) -> bool {
        matches!(self, Self::Build { .. } | Self::Unchanged { .. })
    }
}

/// What a subject waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Quiet time after a move.
    Settling,
    /// It is a draft and drafts are held.
    Draft,
    /// Nothing moved for `max_age`.
    Stale,
    /// A head is not trusted and nobody approved the set.
    Approval,
    /// It was open before we watched.
    Adopted,
    /// The workspace is paused.
    Paused,
    /// An update has to run, or a merged dependency has to arrive.
    Mainline,
    /// The CI lost the last attempt; the next one is due later.
    Retry,
    /// The forge keeps its repository read-only.
    Archived,
    /// The forge has not said yet whether it can be merged.
    Mergeability,
    /// It touches nothing that the workspace watches in its repository.
    NoWatchedPath,
    /// A set that was green together is merged in part.
    PartlyMerged,
    /// Its author asked for more single look-ups than an hour allows.
    ReferenceBudget,
}

/// What is wrong with a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// A dependency was closed unmerged.
    DependencyClosed,
    /// More members than `max_dependencies`.
    TooMany,
    /// Two members of one repository, none of which contains the other.
    TwoChanges,
    /// A member conflicts with its base, and `on_conflict` says that this blocks.
    Conflict,
    /// The workspace's update failed.
    UpdateFailed,
    /// The workspace's tool fails with the set.
    CandidateFailed,
    /// With each manifest that the set gives, it becomes another set.
    CandidateUnsettled,
    /// The CI refused it, or lost every attempt.
    Ci,
}
