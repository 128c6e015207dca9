//! The same plan with less work: a workspace none of whose inputs moved keeps its plan, and of the others
//! only what a move can matter to is decided again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::identity::RepositoryId;
use crate::model::ledger_view::LedgerView;
use crate::model::observed::Observed;
use crate::model::plan::Plan;
use crate::model::question::Question;
use crate::model::settings::WorkspaceSettings;
use crate::model::snapshot::Snapshot;

use super::scope::Earlier;
use super::shared::Shared;
use super::ties::Ties;
use super::workspace::Planned;
use super::{assemble, by_first_names, each, workspace};

/// Remembers the last plan with its inputs.
#[derive(Default)]
pub struct Planner {
    last: Option<Last>,
    shared: Shared,
}

/// A plan and what it was made from; `planned` are those of the workspaces, in their order.
struct Last {
    snapshot: Snapshot,
    ledger: LedgerView,
    planned: Vec<Planned>,
    ties: Ties,
}

impl Planner {
    /// Nothing remembered: the first plan is made from scratch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plan, equal to [`super::plan`] of the same arguments.
    pub fn plan(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> Plan {
        let last = self.last.take().filter(|last| {
            Arc::ptr_eq(&last.snapshot.settings, &snapshot.settings)
                && last.ledger.ledger_id == ledger.ledger_id
        });
        let workspaces = &snapshot.settings.workspaces;
        let named = by_first_names(snapshot);
        let whole = |settings: &WorkspaceSettings| {
            workspace::planned(&named, settings, ledger, &self.shared)
        };
        let (planned, ties) = match last {
            None => (each(workspaces, |settings| whole(settings)), Ties::of(snapshot)),
            Some(Last { snapshot: before, ledger: view, planned, mut ties }) => {
                let moved = Moved::between(&before, snapshot);
                ties.revise(snapshot, &moved);
                let was = by_first_names(&before);
                let again = |(settings, planned): (&Arc<WorkspaceSettings>, Planned)| {
                    let earlier = Earlier {
                        planned: &planned,
                        snapshot: &was,
                        ledger: &view,
                        moved: &moved,
                        ties: &ties,
                    };
                    if holds(&earlier, settings, snapshot, ledger) {
                        return planned;
                    }
                    let revised =
                        workspace::revised(&earlier, &named, settings, ledger, &self.shared);
                    revised.unwrap_or_else(|| whole(settings))
                };
                (workspaces.iter().zip(planned).map(again).collect(), ties)
            }
        };
        self.keep(snapshot, ledger, planned, ties)
    }

    /// Makes the plan from scratch and compares it with the incremental one; whether they were equal.
    /// Where they differ the one from scratch is returned and remembered. Workspace after workspace, so
    /// that no two plans of everything are in memory. The first plan is one from scratch itself.
    pub fn check(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> (Plan, bool) {
        self.shared.tidy();
        let first = self.last.is_none();
        let made = self.plan(snapshot, ledger);
        if first {
            return (made, true);
        }
        let Some(last) = self.last.take() else { return (made, true) };
        let mut equal = true;
        let named = by_first_names(snapshot);
        let settings = snapshot.settings.workspaces.iter();
        let compared = settings.zip(last.planned).map(|(settings, planned)| {
            let scratch = workspace::planned(&named, settings, ledger, &self.shared);
            if planned.plan == scratch.plan {
                return planned;
            }
            equal = false;
            scratch
        });
        let compared = compared.collect();
        (self.keep(snapshot, ledger, compared, last.ties), equal)
    }

    fn keep(
        &mut self,
        snapshot: &Snapshot,
        ledger: &LedgerView,
        planned: Vec<Planned>,
        ties: Ties,
    ) -> Plan {
        let plans = planned.iter().map(|planned| Arc::clone(&planned.plan)).collect();
        let (frozen, view) = (snapshot.clone(), ledger.clone());
        self.last = Some(Last { snapshot: frozen, ledger: view, planned, ties });
        assemble(snapshot, plans)
    }
}

/// Whether nothing that the plan was made from moved.
fn holds(
    earlier: &Earlier<'_>,
    settings: &WorkspaceSettings,
    now: &Snapshot,
    ledger: &LedgerView,
) -> bool {
    let Earlier { planned, snapshot: before, ledger: view, moved, .. } = earlier;
    let plan = &planned.plan;
    planned.settled
        && before.at <= now.at
        && plan.next_at.is_none_or(|next| now.at < next)
        && same(view.workspaces.get(&settings.id), ledger.workspaces.get(&settings.id))
        && same(before.workspaces.get(&settings.name), now.workspaces.get(&settings.name))
        && !moved.repositories.iter().any(|id| plan.watched.contains_key(id))
        && !moved.answers.iter().any(|question| plan.consulted.contains(question))
}

/// What differs between two snapshots, whoever uses it: few things, while there are many workspaces.
pub(crate) struct Moved<'a> {
    pub(crate) repositories: Vec<&'a RepositoryId>,
    pub(crate) answers: Vec<&'a Question>,
}

impl<'a> Moved<'a> {
    fn between(before: &'a Snapshot, now: &'a Snapshot) -> Self {
        Self {
            repositories: differing(&before.repositories, &now.repositories, Arc::ptr_eq),
            answers: differing(&before.answers, &now.answers, |one, other| match (one, other) {
                (Observed::Known(one), Observed::Known(other)) => Arc::ptr_eq(one, other),
                (one, other) => one == other,
            }),
        }
    }
}

/// Keys that one of the maps lacks, or under which they have something else.
pub(crate) fn differing<'a, K: Ord, V>(
    before: &'a BTreeMap<K, V>,
    now: &'a BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> Vec<&'a K> {
    if std::ptr::eq(before, now) {
        return Vec::new();
    }
    let (mut before, mut now) = (before.iter().peekable(), now.iter().peekable());
    let mut differing = Vec::new();
    loop {
        match (before.peek(), now.peek()) {
            (None, None) => return differing,
            (Some((one, old)), Some((other, new))) if one == other => {
                if !same(old, new) {
                    differing.push(*other);
                }
                before.next();
                now.next();
            }
            (Some((one, _)), other) if other.is_none_or(|(other, _)| one < other) => {
                differing.push(*one);
                before.next();
            }
            (_, Some((other, _))) => {
                differing.push(*other);
                now.next();
            }
            (Some(_), None) => return differing,
        }
    }
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_gone_or_other_differs() {
        let map = |pairs: &[(u8, u8)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        let differ = |before: &[(u8, u8)], now: &[(u8, u8)]| -> Vec<u8> {
            differing(&map(before), &map(now), u8::eq).into_iter().copied().collect()
        };
        assert!(differ(&[], &[]).is_empty());
        assert!(differ(&[(1, 1), (2, 2)], &[(1, 1), (2, 2)]).is_empty());
        assert_eq!(
            differ(&[(1, 1), (3, 3), (5, 5)], &[(2, 2), (3, 9), (5, 5), (6, 6)]),
            [1, 2, 3, 6]
        );
        assert_eq!(differ(&[(1, 1), (9, 9)], &[]), [1, 9]);
        assert_eq!(differ(&[], &[(1, 1)]), [1]);
    }
}
