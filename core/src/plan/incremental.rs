//! The same plan with less work: a workspace none of whose inputs moved keeps its plan, and of the others
//! only what a move can matter to is decided again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::identity::{Name, RepositoryId};
use crate::model::ledger_view::LedgerView;
use crate::model::observed::Observed;
use crate::model::plan::Plan;
use crate::model::question::Question;
use crate::model::settings::WorkspaceSettings;
use crate::model::snapshot::Snapshot;
use crate::model::time::Timestamp;

use super::alike::Pass;
use super::scope::{self, Earlier};
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
        let workspaces = &snapshot.settings.workspaces;
        let named = by_first_names(snapshot);
        let last = self.last.take().filter(|last| {
            Arc::ptr_eq(&last.snapshot.settings, &snapshot.settings)
                && last.ledger.ledger_id == ledger.ledger_id
                && last.snapshot.renamed() == *named.aliases
        });
        let whole = |settings: &WorkspaceSettings, pass: &Pass<'_>| {
            workspace::planned(&named, settings, ledger, &self.shared, Some(pass))
        };
        let (planned, ties) = match last {
            None => {
                let ties = Ties::of(&named);
                let pass = Pass::new(&named, &ties);
                let planned = each(workspaces, |settings| whole(settings, &pass));
                drop(pass);
                (planned, ties)
            }
            Some(Last { snapshot: before, ledger: view, planned, mut ties }) => {
                let moved = Moved::between((&before, &view), (snapshot, ledger));
                ties.revise(&named, &moved);
                let was = by_first_names(&before);
                let pass = Pass::new(&named, &ties);
                let again = |(settings, planned): (&Arc<WorkspaceSettings>, Planned)| {
                    let earlier = Earlier {
                        planned: &planned,
                        snapshot: &was,
                        ledger: &view,
                        moved: &moved,
                        ties: &ties,
                    };
                    if holds(&earlier, settings, snapshot.at) {
                        return planned;
                    }
                    let revised =
                        workspace::revised(&earlier, &named, settings, ledger, &self.shared, &pass);
                    revised.unwrap_or_else(|| whole(settings, &pass))
                };
                let planned = workspaces.iter().zip(planned).map(again).collect();
                drop(pass);
                (planned, ties)
            }
        };
        self.keep(snapshot, ledger, planned, ties)
    }

    /// Makes the plan from scratch, each workspace for itself, and compares it with the incremental one; whether they were equal.
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
            let scratch = workspace::planned(&named, settings, ledger, &self.shared, None);
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
fn holds(earlier: &Earlier<'_>, settings: &WorkspaceSettings, now: Timestamp) -> bool {
    let Earlier { planned, snapshot: before, moved, .. } = earlier;
    let plan = &planned.plan;
    planned.settled
        && before.at <= now
        && plan.next_at.is_none_or(|next| now < next)
        && !moved.ledgers.contains(&settings.id)
        && !moved.parts.contains(&settings.name)
        && !moved.repositories.iter().any(|id| plan.watched.contains_key(id))
        && scope::asking(planned, &moved.answers).next().is_none()
}

/// What differs between two snapshots, whoever uses it, and two views of the ledger: few things, while there
/// are many workspaces.
pub(crate) struct Moved<'a> {
    /// By the ids of workspaces.
    ledgers: BTreeSet<&'a Name>,
    /// By the names of workspaces.
    parts: BTreeSet<&'a Name>,
    pub(crate) repositories: Vec<&'a RepositoryId>,
    pub(crate) answers: Vec<&'a Question>,
}

impl<'a> Moved<'a> {
    fn between(
        (before, view): (&'a Snapshot, &'a LedgerView),
        (now, ledger): (&'a Snapshot, &'a LedgerView),
    ) -> Self {
        let ledgers = differing(&view.workspaces, &ledger.workspaces, Arc::ptr_eq);
        let parts = differing(&before.workspaces, &now.workspaces, Arc::ptr_eq);
        Self {
            ledgers: ledgers.into_iter().collect(),
            parts: parts.into_iter().collect(),
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
