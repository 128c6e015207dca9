//! The same plan with less work: a workspace none of whose inputs moved keeps its plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::identity::RepositoryId;
use crate::model::ledger_view::LedgerView;
use crate::model::observed::Observed;
use crate::model::plan::{Plan, WorkspacePlan};
use crate::model::question::Question;
use crate::model::settings::WorkspaceSettings;
use crate::model::snapshot::Snapshot;

use super::shared::Shared;
use super::{assemble, by_first_names, workspace};

/// Remembers the last plan with its inputs.
#[derive(Default)]
pub struct Planner {
    last: Option<(Snapshot, LedgerView, Plan)>,
    shared: Shared,
}

impl Planner {
    /// Nothing remembered: the first plan is made from scratch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plan, equal to [`super::plan`] of the same arguments.
    pub fn plan(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> Plan {
        let last = self.last.as_ref().filter(|(before, view, _)| {
            Arc::ptr_eq(&before.settings, &snapshot.settings) && view.ledger_id == ledger.ledger_id
        });
        let moved = last.map(|(before, ..)| Moved::between(before, snapshot));
        let named = by_first_names(snapshot);
        let workspaces = snapshot.settings.workspaces.iter().map(|settings| {
            let kept = last.zip(moved.as_ref()).and_then(|((before, view, plan), moved)| {
                plan.workspace(&settings.name)
                    .filter(|plan| holds(plan, settings, moved, (before, view), (snapshot, ledger)))
            });
            match kept {
                Some(plan) => Arc::clone(plan),
                None => Arc::new(workspace(&named, settings, ledger, &self.shared)),
            }
        });
        let made = assemble(snapshot, workspaces.collect());
        self.last = Some((snapshot.clone(), ledger.clone(), made.clone()));
        made
    }

    /// Makes the plan from scratch and compares it with the incremental one; whether they were equal.
    /// Where they differ the one from scratch is returned and remembered. Workspace after workspace, so
    /// that no two plans of everything are in memory.
    pub fn check(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> (Plan, bool) {
        self.shared.tidy();
        let incremental = self.plan(snapshot, ledger);
        let mut equal = true;
        let named = by_first_names(snapshot);
        let settings = snapshot.settings.workspaces.iter();
        let workspaces = settings.zip(&incremental.workspaces).map(|(settings, kept)| {
            let scratch = workspace(&named, settings, ledger, &self.shared);
            if **kept == scratch {
                return Arc::clone(kept);
            }
            equal = false;
            Arc::new(scratch)
        });
        let made = assemble(snapshot, workspaces.collect());
        if !equal {
            self.last = Some((snapshot.clone(), ledger.clone(), made.clone()));
        }
        (made, equal)
    }
}

/// Whether nothing that the plan was made from moved.
fn holds(
    plan: &WorkspacePlan,
    settings: &WorkspaceSettings,
    moved: &Moved<'_>,
    (before, view): (&Snapshot, &LedgerView),
    (now, ledger): (&Snapshot, &LedgerView),
) -> bool {
    // Facts and triggers of a plan name its time; these and reports are made again until the ledger
    // has them.
    let settled = plan.facts.is_empty()
        && plan.looks.is_empty()
        && plan.mainline.is_none()
        && plan.reports.is_empty()
        && plan.subjects.iter().all(|subject| subject.triggers.is_empty());
    settled
        && before.at <= now.at
        && plan.next_at.is_none_or(|next| now.at < next)
        && same(view.workspaces.get(&settings.id), ledger.workspaces.get(&settings.id))
        && same(before.workspaces.get(&settings.name), now.workspaces.get(&settings.name))
        && !moved.repositories.iter().any(|id| plan.watched.contains_key(id))
        && !moved.answers.iter().any(|question| plan.consulted.contains(question))
}

/// What differs between two snapshots, whoever uses it: few things, while there are many workspaces.
struct Moved<'a> {
    repositories: Vec<&'a RepositoryId>,
    answers: Vec<&'a Question>,
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
fn differing<'a, K: Ord, V>(
    before: &'a Arc<BTreeMap<K, V>>,
    now: &'a Arc<BTreeMap<K, V>>,
    same: impl Fn(&V, &V) -> bool,
) -> Vec<&'a K> {
    if Arc::ptr_eq(before, now) {
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
        let map = |pairs: &[(u8, u8)]| Arc::new(pairs.iter().copied().collect::<BTreeMap<_, _>>());
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
