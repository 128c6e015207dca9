//! What the planner sees of the ledger: what was triggered, and facts that only time can show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::build::{Base, BuildRequest, Cause, PackageHead, RequestId, SetMember, Stage, Verdict};
use super::identity::{ChangeId, Fingerprint, Name, Oid, RepositoryId, Subject};
use super::made_of::MadeOf;
use super::report::Said;
use super::time::Timestamp;

/// The whole view. A workspace that is not in it has an empty ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// Names the ledger itself; part of request ids.
    pub ledger_id: String,
    /// By workspace id (not name).
    pub workspaces: Arc<BTreeMap<Name, Arc<WorkspaceLedger>>>,
}

impl LedgerView {
    /// The part of a workspace, by its id, to be written over.
    pub fn part_mut(&mut self, id: &Name) -> &mut WorkspaceLedger {
        let workspaces = Arc::make_mut(&mut self.workspaces);
        Arc::make_mut(workspaces.entry(id.clone()).or_default())
    }
}

/// The part of one workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceLedger {
    /// (Repository, branch) pairs that were looked at before; the first look adopts.
    pub looks: BTreeSet<Look>,
    /// Facts about changes.
    pub changes: LiteMap<ChangeId, ChangeFacts>,
    /// Facts about the mainline, once it was recorded.
    pub mainline: Option<MainlineFacts>,
    /// Attempts of each subject, oldest first; at least the last ten and all that are open.
    pub attempts: BTreeMap<Subject, Vec<AttemptView>>,
    /// Approvals that were given.
    pub approvals: Vec<Approval>,
    /// Rebuilds that people asked for, the last one for each subject.
    pub rebuilds: BTreeMap<Subject, Rebuild>,
    /// Who paused the workspace, if somebody did.
    pub paused_by: Option<String>,
    /// What should be said on forges. It decides nothing, so no saved snapshot has it.
    #[serde(skip)]
    pub said: Said,
}

impl WorkspaceLedger {
    /// The part of a workspace of which nothing is recorded.
    pub const EMPTY: Self = Self {
        looks: BTreeSet::new(),
        changes: LiteMap::new_vec(),
        mainline: None,
        attempts: BTreeMap::new(),
        approvals: Vec::new(),
        rebuilds: BTreeMap::new(),
        paused_by: None,
        said: Said::EMPTY,
    };
}

/// A branch of a repository that a workspace looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Look {
    /// Repository.
    pub repository: RepositoryId,
    /// Branch; empty for a pinned package.
    pub branch: Name,
}

/// What only watching over time shows about a change: how it came in, which is the workspace's own, and
/// what was seen, which workspaces share and which is read as if it stood here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFacts {
    /// How it came in.
    pub adopted: Adopted,
    /// What was seen of it.
    #[serde(flatten)]
    pub seen: Arc<Seen>,
}

impl std::ops::Deref for ChangeFacts {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl ChangeFacts {
    /// What was seen, to be written over.
    pub fn seen_mut(&mut self) -> &mut Seen {
        Arc::make_mut(&mut self.seen)
    }
}

/// What was seen of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Its head when last seen.
    pub head: Oid,
    /// When the head last moved while we watched; the first look counts.
    pub head_moved_at: Timestamp,
    /// The references when last seen, as digest; nothing while they were not read.
    pub references: Option<Fingerprint>,
    /// When the references last moved while we watched.
    pub references_moved_at: Timestamp,
    /// Merged dependencies that had not arrived in the mainline, each with when that was first seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub awaited: BTreeMap<ChangeId, Timestamp>,
    /// What only watching a pull request shows; nothing on plain git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<ForgeFacts>,
    /// Single look-ups that its author paid for, as far as they may still count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<Asked>>,
}

/// Look-ups of changes that are not among the open ones, for the references of one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who paid: the author's name in lower case, empty where the account is gone.
    pub by: Name,
    /// What was asked, each with when.
    pub at: BTreeMap<ChangeId, Timestamp>,
}

/// What only watching over time shows about a change of a forge with pull requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeFacts {
    /// Whether it was a draft when last seen.
    pub draft: bool,
    /// The base branch when last seen.
    pub base: Name,
    /// When one of these last moved while we watched; the first look counts.
    pub moved_at: Timestamp,
    /// Which ref was chosen when that was last known.
    pub choice: Option<RefChoice>,
    /// The head for which the forge said whether it can be merged; it is not asked again about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Oid>,
}

/// Which ref of a change a build checks out under `ref: auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefChoice {
    /// The merge ref.
    Merge,
    /// The head, of a draft or a stacked change.
    Head,
    /// The head, since it conflicts with its base.
    Conflict,
}

/// How a change came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopted {
    /// It was opened while we watched.
    No,
    /// It was open before we watched; whether it is recent is not known yet.
    Undecided,
    /// It was open before we watched and is recent enough to be built.
    Recent,
    /// It was open before we watched; held while its set is the one of which this is the [`mark`](super::fingerprint::mark).
    Held(Fingerprint),
}

/// What only watching over time shows about the mainline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainlineFacts {
    /// The fingerprint that was found when the watch began; it is not built.
    pub recorded: Fingerprint,
    /// The fingerprint when last seen.
    pub fingerprint: Fingerprint,
    /// When it last moved.
    pub moved_at: Timestamp,
    /// When it first moved since the last build.
    pub gathering_since: Timestamp,
    /// Heads of the last triggered build, or those recorded at first.
    pub heads: Arc<[PackageHead]>,
    /// Sets that were green together and are partly merged, by fingerprint, each with when that was
    /// first seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partly: BTreeMap<Fingerprint, Timestamp>,
}

/// One attempt, as far as decisions need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Its name.
    pub request_id: RequestId,
    /// The CI.
    pub ci: Name,
    /// What it builds.
    pub fingerprint: Fingerprint,
    /// From 1.
    pub attempt: u32,
    /// How far it is.
    pub stage: Stage,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The set that it builds; empty for the mainline.
    pub set: Arc<[SetMember]>,
    /// The parts of its fingerprint.
    pub parts: MadeOf,
    /// Page of the build.
    pub link: Option<String>,
    /// What the CI or the outbox said last about it.
    pub note: Option<String>,
    /// Why it was made.
    #[serde(default)]
    pub cause: Cause,
    /// How the last build of the mainline on the same CI had ended when it was decided: success or
    /// failure, nothing before the first.
    #[serde(default)]
    pub mainline: Option<Verdict>,
    /// What it stands on, if that was known.
    #[serde(default)]
    pub base: Option<Base>,
}

impl AttemptView {
    /// One that was just decided, with the parts of its fingerprint.
    pub fn queued(
        ci: Name,
        request: &BuildRequest,
        parts: Vec<super::plan::FingerprintPart>,
    ) -> Self {
        Self {
            request_id: request.request_id,
            ci,
            fingerprint: request.fingerprint,
            attempt: request.attempt,
            stage: Stage::Queued,
            decided_at: request.decided_at,
            ended_at: None,
            set: request.set.as_slice().into(),
            parts: parts.into_iter().collect(),
            link: None,
            note: None,
            cause: request.cause,
            mainline: request.mainline,
            base: Base::of(&request.heads, &request.affected),
        }
    }

    /// Why it is made again when it ended without a verdict: what filled idle time still does.
    pub fn retried(&self) -> Cause {
        if self.cause.idle() { self.cause } else { Cause::New }
    }
}

/// Somebody's word that a set may be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The subject of the set.
    pub subject: Subject,
    /// The exact members; another head, base or member needs another approval.
    pub set: Vec<SetMember>,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Approval {
    /// Whether it releases this: the same heads and bases, whatever the order in which they depend on
    /// each other now.
    pub fn releases(&self, subject: &Subject, set: &[SetMember]) -> bool {
        self.subject == *subject
            && self.set.len() == set.len()
            && set.iter().all(|member| self.set.contains(member))
    }
}

/// A rebuild that a person asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Build a covered change for itself.
    pub alone: bool,
}

impl Rebuild {
    /// Asked for after all of these, whatever the clock said when they were decided.
    pub fn after(self, attempts: &[AttemptView]) -> Self {
        let last = attempts.iter().map(|attempt| attempt.decided_at).max();
        let at = last.map_or(self.at, |last| self.at.max(Timestamp(last.0.saturating_add(1))));
        Self { at, ..self }
    }
}
