//! The same plan with less work: a workspace none of whose inputs moved keeps its plan.

use std::sync::Arc;

use crate::model::ledger_view::LedgerView;
use crate::model::observed::Observed;
use crate::model::plan::{Plan, WorkspacePlan};
use crate::model::settings::WorkspaceSettings;
use crate::model::snapshot::Snapshot;

use super::{assemble, plan, workspace};

/// Remembers the last plan with its inputs.
#[derive(Default)]
pub struct Planner {
    last: Option<(Snapshot, LedgerView, Plan)>,
}

impl Planner {
    /// Nothing remembered: the first plan is made from scratch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plan, equal to [`plan`] of the same arguments.
    pub fn plan(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> Plan {
        let made = match &self.last {
            Some((before, view, last))
                if Arc::ptr_eq(&before.settings, &snapshot.settings)
                    && view.ledger_id == ledger.ledger_id =>
            {
                let workspaces = snapshot
                    .settings
                    .workspaces
                    .iter()
                    .map(|settings| {
                        let kept = last.workspace(&settings.name).filter(|plan| {
                            holds(plan, settings, (before, view), (snapshot, ledger))
                        });
                        match kept {
                            Some(plan) => Arc::clone(plan),
                            None => Arc::new(workspace(snapshot, settings, ledger)),
                        }
                    })
                    .collect();
                assemble(snapshot, workspaces)
            }
            _ => plan(snapshot, ledger),
        };
        self.last = Some((snapshot.clone(), ledger.clone(), made.clone()));
        made
    }

    /// Makes the plan from scratch and compares it with the incremental one; whether they were equal.
    /// The one from scratch is returned and remembered.
    pub fn check(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> (Plan, bool) {
        let incremental = self.plan(snapshot, ledger);
        let scratch = plan(snapshot, ledger);
        let equal = incremental == scratch;
        self.last = Some((snapshot.clone(), ledger.clone(), scratch.clone()));
        (scratch, equal)
    }
}

/// Whether nothing that the plan was made from moved.
fn holds(
    plan: &WorkspacePlan,
    settings: &WorkspaceSettings,
    (before, view): (&Snapshot, &LedgerView),
    (now, ledger): (&Snapshot, &LedgerView),
) -> bool {
    // Facts and triggers of a plan name its time; they are made again until the ledger has them.
    let settled = plan.facts.is_empty()
        && plan.looks.is_empty()
        && plan.mainline.is_none()
        && plan.subjects.iter().all(|subject| subject.triggers.is_empty());
    settled
        && before.at <= now.at
        && plan.next_at.is_none_or(|next| now.at < next)
        && same(view.workspaces.get(&settings.id), ledger.workspaces.get(&settings.id))
        && same(before.workspaces.get(&settings.name), now.workspaces.get(&settings.name))
        && plan.watched.keys().all(|id| same(before.repositories.get(id), now.repositories.get(id)))
        && plan.consulted.iter().all(|question| {
            match (before.answers.get(question), now.answers.get(question)) {
                (None, None) => true,
                (Some(Observed::Known(one)), Some(Observed::Known(other))) => {
                    Arc::ptr_eq(one, other)
                }
                (Some(one), Some(other)) => one == other,
                _ => false,
            }
        })
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
