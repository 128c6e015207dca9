//! What would be built if somebody did something: pure edits of a snapshot, planned before and after.
//!
//! Quiet times are left out on both sides, since the question is what is built and not when.

mod edited;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::edited::Edited;
use super::plan;
use crate::model::build::{RequestId, SetMember, Stage};
use crate::model::identity::{ChangeId, Name, Oid, RepositoryId, Subject};
use crate::model::ledger_view::{AttemptView, LedgerView};
use crate::model::plan::{Plan, SubjectPlan};
use crate::model::snapshot::Snapshot;
use crate::model::time::Span;

/// Edits that one question may have.
pub const MAX_EDITS: usize = 100;

/// Something that somebody might do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Merge a change into its base.
    Merged(String),
    /// Close a change without merging it.
    Closed(String),
    /// Push to a change.
    Head(String, Oid),
}

impl Edit {
    /// The change as it was written.
    fn change(&self) -> &str {
        match self {
            Self::Merged(change) | Self::Closed(change) | Self::Head(change, _) => change,
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Merged(change) => write!(f, "merged:{change}"),
            Self::Closed(change) => write!(f, "closed:{change}"),
            Self::Head(change, head) => write!(f, "head:{change}={head}"),
        }
    }
}

impl FromStr for Edit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text: String = text.chars().take(100).collect();
            format!("{text:?} is not merged:CHANGE, closed:CHANGE or head:CHANGE=SHA")
        };
        let (what, rest) = text.split_once(':').ok_or_else(wrong)?;
        if rest.is_empty() {
            return Err(wrong());
        }
        match what {
            "merged" => Ok(Self::Merged(rest.to_owned())),
            "closed" => Ok(Self::Closed(rest.to_owned())),
            "head" => {
                let (change, head) = rest.rsplit_once('=').ok_or_else(wrong)?;
                let head = head.parse().map_err(|why| format!("in head:{change}=SHA, {why}"))?;
                Ok(Self::Head(change.to_owned(), head))
            }
            _ => Err(wrong()),
        }
    }
}

/// Why an edit cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhatIfError {
    /// Nothing of that name is open.
    #[error("{0}: no watched repository has such a change; `crosswatch changes` lists them")]
    NoChange(String),
    /// Several have that end.
    #[error("{edit}: it may be {one} or {other}; write it whole")]
    Ambiguous {
        /// The edit.
        edit: String,
        /// One change.
        one: ChangeId,
        /// Another.
        other: ChangeId,
    },
    /// The repository cannot be read now.
    #[error("{edit}: {repository} cannot be read now, so nothing can be said of it: {why}")]
    Unread {
        /// The edit.
        edit: String,
        /// The repository.
        repository: RepositoryId,
        /// Why.
        why: String,
    },
    /// The base is not there.
    #[error("{0}: it is not known into which branch it would be merged")]
    NoBase(String),
    /// It is in its base already.
    #[error("{0}: it is merged already")]
    Merged(String),
    /// More edits than anybody asks for.
    #[error("more than {MAX_EDITS} edits at once")]
    TooMany,
}

/// What edits would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIf {
    /// The edits, with the changes' whole names.
    pub edits: Vec<String>,
    /// What had to be taken for granted.
    pub assumed: Vec<String>,
    /// Subjects that would be decided otherwise or built, by workspace.
    pub differences: Vec<Difference>,
}

/// One subject that would be decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Workspace.
    pub workspace: Name,
    /// Mainline or change.
    pub subject: Subject,
    /// The decision now, as `word: reason`; nothing if it does not matter now.
    pub now: Option<String>,
    /// The decision then, as `word: reason`; nothing if it would not matter any more.
    pub then: Option<String>,
    /// The builds that it would get.
    pub builds: Vec<Build>,
    /// Builds that would be dropped or cancelled.
    pub ended: Vec<RequestId>,
}

/// A build that would be triggered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The CI.
    pub ci: Name,
    /// Why.
    pub reason: String,
    /// Its set; empty for the mainline.
    pub set: Vec<SetMember>,
    /// Packages that would be built.
    pub affected: Vec<Name>,
}

/// What would be built if `edits` were done, one after the other.
pub fn what_if(
    snapshot: &Snapshot,
    ledger: &LedgerView,
    edits: &[Edit],
) -> Result<WhatIf, WhatIfError> {
    if edits.len() > MAX_EDITS {
        return Err(WhatIfError::TooMany);
    }
    let now = plan(snapshot, ledger);
    let ledger = committed(ledger, &now);
    let before = hasty(snapshot);
    let mut edited = Edited { snapshot: before.clone(), assumed: Vec::new() };
    let mut names = Vec::new();
    for edit in edits {
        names.push(edited.edit(edit)?);
    }
    edited.updates(&before);
    let without = plan(&before, &ledger);
    let with = plan(&edited.snapshot, &ledger);
    Ok(WhatIf {
        edits: names,
        assumed: edited.assumed,
        differences: differences(&now, &without, &with),
    })
}

/// The ledger's view once it took over what a plan decided.
pub fn committed(ledger: &LedgerView, plan: &Plan) -> LedgerView {
    let mut ledger = ledger.clone();
    for made in &plan.workspaces {
        let part = ledger.part_mut(&made.id);
        part.looks.extend(made.looks.iter().cloned());
        part.changes.extend(made.facts.iter().cloned());
        if let Some(facts) = &made.mainline {
            part.mainline = Some(facts.clone());
        }
        for subject in made.acting() {
            let attempts = part.attempts.entry(subject.subject.clone()).or_default();
            for gone in &subject.superseded {
                for attempt in attempts.iter_mut().filter(|a| a.request_id == gone.request_id) {
                    if gone.cancel || attempt.stage == Stage::Queued {
                        attempt.stage = Stage::Dropped;
                    }
                }
            }
            attempts.extend(subject.triggers.iter().map(|trigger| {
                let parts = trigger.parts.clone();
                AttemptView::queued(trigger.ci.clone(), &trigger.request, parts)
            }));
        }
        part.attempts.retain(|_, attempts| !attempts.is_empty());
    }
    ledger
}

/// The same world with nobody waiting for quiet.
fn hasty(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    for workspace in &mut Arc::make_mut(&mut snapshot.settings).workspaces {
        let workspace = Arc::make_mut(workspace);
        workspace.changes.settle_new = Span::default();
        workspace.changes.settle_push = Span::default();
        workspace.changes.settle_bots = Span::default();
        workspace.mainline.settle = Span::default();
        workspace.mainline.settle_at_most = Span::default();
    }
    snapshot
}

fn differences(now: &Plan, without: &Plan, with: &Plan) -> Vec<Difference> {
    let mut differences = Vec::new();
    for then in &with.workspaces {
        let name = &then.workspace;
        let (Some(now), Some(before)) = (now.workspace(name), without.workspace(name)) else {
            continue;
        };
        let subjects: BTreeSet<&Subject> =
            then.subjects().chain(before.subjects()).map(|plan| &plan.subject).collect();
        for subject in subjects {
            let (one, other) = (before.subject(subject), then.subject(subject));
            let same = match (one, other) {
                (Some(one), Some(other)) => {
                    one.decision == other.decision
                        && one.print == other.print
                        && one.triggers == other.triggers
                        && one.superseded == other.superseded
                }
                _ => false,
            };
            if same {
                continue;
            }
            let words = |plan: &SubjectPlan| {
                format!("{}: {}", plan.decision.word(), plan.decision.reason())
            };
            differences.push(Difference {
                workspace: name.clone(),
                subject: subject.clone(),
                now: now.subject(subject).map(words),
                then: other.map(words),
                builds: other.map(builds).unwrap_or_default(),
                ended: other
                    .map(|plan| plan.superseded.iter().map(|gone| gone.request_id).collect())
                    .unwrap_or_default(),
            });
        }
    }
    differences
}

fn builds(plan: &SubjectPlan) -> Vec<Build> {
    plan.triggers
        .iter()
        .map(|trigger| Build {
            ci: trigger.ci.clone(),
            reason: trigger.request.reason.clone(),
            set: trigger.request.set.clone(),
            affected: trigger.request.affected.clone(),
        })
        .collect()
}
