//! The verbs of the ledger that a simulated daemon uses, and a ledger in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::control::outbox::Row;
use crosswatch_core::model::build::{BuildRequest, RequestId, Stage, Verdict};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::leap::{Carried, Leap};
use crosswatch_core::model::ledger_view::{
    Approval, AttemptView, LedgerView, Rebuild, WorkspaceLedger,
};
use crosswatch_core::model::plan::Plan;
use crosswatch_core::model::time::Timestamp;

/// A row with what is sent for it.
pub type OpenRow = (Row, BuildRequest);

/// What is written down, and survives a crash.
pub trait Ledger {
    /// What the planner sees.
    fn view(&mut self) -> LedgerView;
    /// The clock ran ahead of what passed.
    fn carry(&mut self, leap: Leap, now: Timestamp);
    /// The one transaction of a pass.
    fn commit(&mut self, plan: &Plan, now: Timestamp);
    /// Attempts that are not over.
    fn rows(&mut self) -> Vec<OpenRow>;
    /// Whether the row is another one now.
    fn mark(&mut self, id: RequestId, mark: Marking, now: Timestamp) -> bool;
    /// Somebody's word that a set may be built.
    fn approve(&mut self, workspace: &Name, approval: Approval, now: Timestamp);
    /// Somebody wants a subject built again.
    fn rebuild(&mut self, workspace: &Name, subject: &Subject, rebuild: Rebuild, now: Timestamp);
    /// Nothing is triggered while somebody paused it.
    fn pause(&mut self, workspace: &Name, by: Option<&str>, now: Timestamp);
    /// The process that used it died.
    fn crash(&mut self, now: Timestamp);
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// A request is about to be sent, and is on its way until then.
    Sending(Timestamp),
    /// The CI took it.
    Sent,
    /// It was surely not taken; not again before this time.
    QueuedAgain(Timestamp),
    /// The CI builds it.
    Running,
    /// It ended.
    Ended(Verdict),
    /// It ended because it was no longer wanted.
    Dropped,
}

/// A ledger in memory that does what the SQL of the real one says.
#[derive(Default)]
pub struct Memory {
    view: LedgerView,
    rows: BTreeMap<RequestId, (Name, OpenRow)>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        let view = LedgerView { ledger_id: "ledger".to_owned(), ..LedgerView::default() };
        Self { view, rows: BTreeMap::new() }
    }

    fn part(&mut self, workspace: &Name) -> &mut WorkspaceLedger {
        self.view.part_mut(workspace)
    }

    fn stage(&mut self, id: RequestId, stage: Stage, now: Timestamp) {
        let Some((workspace, (row, _))) = self.rows.get_mut(&id) else { return };
        row.stage = stage;
        let workspace = workspace.clone();
        for attempt in self.part(&workspace).attempts.values_mut().flatten() {
            if attempt.request_id == id {
                attempt.stage = stage;
                attempt.ended_at = (!stage.open()).then_some(now);
            }
        }
        if !stage.open() {
            self.rows.remove(&id);
        }
    }
}

impl Ledger for Memory {
    fn view(&mut self) -> LedgerView {
        self.view.clone()
    }

    fn carry(&mut self, leap: Leap, _: Timestamp) {
        for part in Arc::make_mut(&mut self.view.workspaces).values_mut() {
            let part = Arc::make_mut(part);
            let Carried { changes, mainline } = leap.of(part);
            part.changes.extend(changes);
            part.mainline = mainline.or(part.mainline.take());
        }
    }

    fn commit(&mut self, plan: &Plan, now: Timestamp) {
        for workspace in &plan.workspaces {
            let acts = workspace
                .subjects()
                .any(|planned| !planned.triggers.is_empty() || !planned.superseded.is_empty());
            let facts = !workspace.looks.is_empty() || !workspace.facts.is_empty();
            if !acts && !facts && workspace.mainline.is_none() {
                continue;
            }
            let id = &workspace.id;
            let part = self.part(id);
            part.looks.extend(workspace.looks.iter().cloned());
            part.changes.extend(workspace.facts.iter().cloned());
            if let Some(facts) = &workspace.mainline {
                part.mainline = Some(facts.clone());
            }
            for planned in workspace.subjects() {
                for gone in &planned.superseded {
                    let Some((_, (row, _))) = self.rows.get_mut(&gone.request_id) else { continue };
                    if row.stage == Stage::Queued {
                        self.stage(gone.request_id, Stage::Dropped, now);
                    } else {
                        row.cancel_wanted |= gone.cancel;
                    }
                }
                for trigger in &planned.triggers {
                    let request = trigger.request.clone();
                    let part = self.part(id);
                    let own = [(planned.subject.clone(), planned.set.clone())];
                    let needed = match trigger.approved_as.as_slice() {
                        [] => &own[..],
                        others => others,
                    };
                    let approved = needed.iter().all(|(subject, set)| {
                        part.approvals.iter().any(|approval| approval.releases(subject, set))
                    });
                    let attempts = part.attempts.entry(planned.subject.clone()).or_default();
                    let known = attempts.iter().any(|a| a.request_id == request.request_id);
                    if known || (trigger.needs_approval && !approved) {
                        continue;
                    }
                    let (ci, parts) = (trigger.ci.clone(), trigger.parts.clone());
                    attempts.push(AttemptView::queued(ci, &request, parts));
                    attempts.sort_by_key(|a| (a.decided_at, a.attempt, a.ci.clone()));
                    let row = Row {
                        id: request.request_id,
                        ci: trigger.ci.clone(),
                        workspace: id.clone(),
                        stage: Stage::Queued,
                        priority: trigger.priority,
                        queued_at: request.decided_at,
                        not_before: None,
                        sending_deadline: None,
                        taken_at: None,
                        cancel_wanted: false,
                    };
                    self.rows.insert(row.id, (id.clone(), (row, request)));
                }
            }
        }
    }

    fn rows(&mut self) -> Vec<OpenRow> {
        self.rows.values().map(|(_, row)| row.clone()).collect()
    }

    fn mark(&mut self, id: RequestId, mark: Marking, now: Timestamp) -> bool {
        let Some((_, (row, _))) = self.rows.get_mut(&id) else { return false };
        let stage = row.stage;
        let next = match mark {
            Marking::Sending(deadline) if stage == Stage::Queued && !row.cancel_wanted => {
                row.sending_deadline = Some(deadline);
                Stage::Sending
            }
            Marking::Sent if matches!(stage, Stage::Sending | Stage::Sent) => {
                row.taken_at = Some(now);
                Stage::Sent
            }
            Marking::QueuedAgain(not_before) if stage == Stage::Sending => {
                (row.not_before, row.sending_deadline) = (Some(not_before), None);
                Stage::Queued
            }
            Marking::Running if stage != Stage::Queued => {
                row.taken_at.get_or_insert(now);
                Stage::Running
            }
            Marking::Ended(verdict) => Stage::Ended(verdict),
            Marking::Dropped => Stage::Dropped,
            _ => return false,
        };
        self.stage(id, next, now);
        true
    }

    fn approve(&mut self, workspace: &Name, approval: Approval, _now: Timestamp) {
        let approvals = &mut self.part(workspace).approvals;
        approvals.retain(|before| before.subject != approval.subject);
        approvals.push(approval);
    }

    fn rebuild(&mut self, workspace: &Name, subject: &Subject, rebuild: Rebuild, _now: Timestamp) {
        let part = self.part(workspace);
        let attempts = part.attempts.get(subject).map_or(&[][..], Vec::as_slice);
        let rebuild = rebuild.after(attempts);
        part.rebuilds.insert(subject.clone(), rebuild);
    }

    fn pause(&mut self, workspace: &Name, by: Option<&str>, _now: Timestamp) {
        self.part(workspace).paused_by = by.map(str::to_owned);
    }

    fn crash(&mut self, _now: Timestamp) {}
}
