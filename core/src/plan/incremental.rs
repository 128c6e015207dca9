//! The same plan with less work: a workspace none of whose inputs moved keeps its plan, and of the others
//! only what a move can matter to is decided again.

use std::cmp::Ordering;
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

use super::alias::Named;
use super::alike::{Pass, Rules};
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
    named: Named,
    ledger: LedgerView,
    planned: Vec<Planned>,
    known: Known,
}

/// What follows from all workspaces and repositories together.
struct Known {
    ties: Ties,
    rules: Rules,
    watching: Watching,
}

impl Planner {
    /// Nothing remembered: the first plan is made from scratch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plan, equal to [`super::plan`] of the same arguments.
    pub fn plan(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> Plan {
        let same = |last: &Last| {
            Arc::ptr_eq(&last.snapshot.settings, &snapshot.settings)
                && last.ledger.ledger_id == ledger.ledger_id
        };
        let again = self.last.take().filter(same);
        let again = again.and_then(|last| self.again(last, snapshot, ledger));
        let last = again.unwrap_or_else(|| self.scratch(snapshot, ledger));
        let plan = assemble(snapshot, &last.planned);
        self.last = Some(last);
        plan
    }

    fn scratch(&self, snapshot: &Snapshot, ledger: &LedgerView) -> Last {
        let named = Named::of(snapshot);
        let ties = Ties::of(&named.snapshot);
        let rules = Rules::of(&snapshot.settings);
        let pass = Pass::new(&named.snapshot, &ties, &rules);
        let planned = each(&snapshot.settings.workspaces, |settings| {
            workspace::planned(&named.snapshot, settings, ledger, &self.shared, Some(&pass))
        });
        drop(pass);
        let watching = Watching::of(&planned);
        let (snapshot, ledger) = (snapshot.clone(), ledger.clone());
        Last { snapshot, named, ledger, planned, known: Known { ties, rules, watching } }
    }

    /// From the last plan; nothing where repositories have other names than then.
    fn again(&self, last: Last, snapshot: &Snapshot, ledger: &LedgerView) -> Option<Last> {
        let Last { snapshot: before, named: was, ledger: view, mut planned, mut known } = last;
        let moved = Moved::between((&before, &view), (snapshot, ledger));
        let named = was.after(snapshot, &moved.repositories);
        if was.snapshot.aliases != named.snapshot.aliases {
            return None;
        }
        known.ties.revise(&named.snapshot, &moved);
        let pass = Pass::new(&named.snapshot, &known.ties, &known.rules);
        let settings = &snapshot.settings.workspaces;
        let times = (before.at, snapshot.at);
        let touched = known.watching.touched(&moved, &planned, settings, times);
        let (now, shared) = (&named.snapshot, &self.shared);
        let work = touched.iter().filter_map(|(at, why)| {
            let earlier = Earlier {
                planned: planned.get(*at)?,
                snapshot: &was.snapshot,
                ledger: &view,
                moved: &moved,
                only: (!why.otherwise).then_some(why.repositories.as_slice()),
                once: &pass.once,
            };
            Some((*at, settings.get(*at)?, earlier))
        });
        let work: Vec<_> = work.collect();
        type Work<'w> = (usize, &'w Arc<WorkspaceSettings>, Earlier<'w>);
        let repeated = |(at, settings, earlier): &Work<'_>| {
            Some((*at, workspace::repeated(earlier, now, settings, ledger, &pass)?))
        };
        let make = |(at, settings, earlier): &Work<'_>| {
            let revised = || workspace::revised(earlier, now, settings, ledger, shared, &pass);
            let whole = || workspace::planned(now, settings, ledger, shared, Some(&pass));
            (*at, revised().unwrap_or_else(whole))
        };
        // What the first one decides the others take over, mostly all of it and at no cost that is worth
        // a thread.
        let (first, others) = work.split_at(work.len().min(1));
        let mut made: Vec<_> = first.iter().map(make).collect();
        let mut rest = Vec::new();
        for work in others {
            match repeated(work) {
                Some(planned) => made.push(planned),
                None => rest.push(work),
            }
        }
        made.extend(each(&rest, |work| repeated(work).unwrap_or_else(|| make(work))));
        drop(work);
        drop(pass);
        for (at, now) in made {
            let Some(before) = planned.get_mut(at) else { continue };
            if !Arc::ptr_eq(&before.plan.watched, &now.plan.watched) {
                known.watching.forget(at, before);
                known.watching.learn(at, &now);
            }
            *before = now;
        }
        let (snapshot, ledger) = (snapshot.clone(), ledger.clone());
        Some(Last { snapshot, named, ledger, planned, known })
    }

    /// Makes the plan from scratch, each workspace for itself, and compares it with the incremental one;
    /// whether they were equal.
    /// Where they differ the one from scratch is returned and remembered. Workspace after workspace, so
    /// that no two plans of everything are in memory. The first plan is one from scratch itself.
    pub fn check(&mut self, snapshot: &Snapshot, ledger: &LedgerView) -> (Plan, bool) {
        self.shared.tidy();
        let first = self.last.is_none();
        let made = self.plan(snapshot, ledger);
        let Some(last) = self.last.as_mut().filter(|_| !first) else { return (made, true) };
        let mut equal = true;
        let named = by_first_names(snapshot);
        for (settings, planned) in snapshot.settings.workspaces.iter().zip(&mut last.planned) {
            let scratch = workspace::planned(&named, settings, ledger, &self.shared, None);
            if planned.plan != scratch.plan {
                equal = false;
                *planned = scratch;
            }
        }
        if !equal {
            last.known.watching = Watching::of(&last.planned);
        }
        (assemble(snapshot, &last.planned), equal)
    }
}

#[cfg(test)]
impl Planner {
    /// Remembers something else, as a fault may leave it.
    pub(super) fn spoil(&mut self) {
        if let Some(last) = &mut self.last {
            last.known.watching = Watching::default();
            for planned in &mut last.planned {
                Arc::make_mut(&mut planned.plan).epoch += 1;
            }
        }
    }
}

/// Which workspaces watch a repository, by their place.
#[derive(Default)]
struct Watching(BTreeMap<RepositoryId, Vec<usize>>);

impl Watching {
    fn of(planned: &[Planned]) -> Self {
        let mut watching = Self::default();
        for (at, planned) in planned.iter().enumerate() {
            watching.learn(at, planned);
        }
        watching
    }

    fn learn(&mut self, at: usize, planned: &Planned) {
        for id in planned.plan.watched.keys() {
            match self.0.get_mut(id) {
                Some(workspaces) => workspaces.push(at),
                None => drop(self.0.insert(id.clone(), vec![at])),
            }
        }
    }

    fn forget(&mut self, at: usize, planned: &Planned) {
        for id in planned.plan.watched.keys() {
            if let Some(workspaces) = self.0.get_mut(id) {
                workspaces.retain(|known| *known != at);
            }
        }
    }

    /// The places of workspaces whose plans may not hold any more, in their order.
    fn touched<'m>(
        &self,
        moved: &Moved<'m>,
        planned: &[Planned],
        settings: &[Arc<WorkspaceSettings>],
        (before, now): (Timestamp, Timestamp),
    ) -> Vec<(usize, Touched<'m>)> {
        let mut touched: BTreeMap<usize, Touched<'_>> = BTreeMap::new();
        for id in &moved.repositories {
            for at in self.0.get(*id).into_iter().flatten() {
                touched.entry(*at).or_default().repositories.push(*id);
            }
        }
        // An answer may concern whoever asked, whatever that one watches.
        let asks = |one: &Planned| scope::asking(one, &moved.answers).next().is_some();
        let asked = if moved.answers.is_empty() { Vec::new() } else { each(planned, asks) };
        for (at, (one, settings)) in planned.iter().zip(settings).enumerate() {
            let due = before > now || !one.settled || one.next_at.is_some_and(|next| next <= now);
            let own = moved.ledgers.contains(&settings.id) || moved.parts.contains(&settings.name);
            if due || own || asked.get(at).is_some_and(|asked| *asked) {
                touched.entry(at).or_default().otherwise = true;
            }
        }
        touched.into_iter().collect()
    }
}

/// Why a plan may not hold any more.
#[derive(Default)]
struct Touched<'m> {
    /// Repositories that moved and are watched.
    repositories: Vec<&'m RepositoryId>,
    /// Whether there is something else.
    otherwise: bool,
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
        let ledgers = replaced(&view.workspaces, &ledger.workspaces, Arc::ptr_eq);
        let parts = replaced(&before.workspaces, &now.workspaces, Arc::ptr_eq);
        Self {
            ledgers: ledgers.into_iter().collect(),
            parts: parts.into_iter().collect(),
            repositories: replaced(&before.repositories, &now.repositories, Arc::ptr_eq),
            answers: replaced(&before.answers, &now.answers, |one, other| match (one, other) {
                (Observed::Known(one), Observed::Known(other)) => Arc::ptr_eq(one, other),
                (one, other) => one == other,
            }),
        }
    }
}

/// Keys that one of the maps lacks, or under which they have something else; both in their order.
pub(crate) fn differing<'a, K: Ord + 'a, V: 'a>(
    before: impl IntoIterator<Item = (&'a K, &'a V)>,
    now: impl IntoIterator<Item = (&'a K, &'a V)>,
    same: impl Fn(&V, &V) -> bool,
) -> Vec<&'a K> {
    let (mut before, mut now) = (before.into_iter().peekable(), now.into_iter().peekable());
    let mut differing = Vec::new();
    loop {
        let order = match (before.peek(), now.peek()) {
            (Some((one, _)), Some((other, _))) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return differing,
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { now.next() } else { None };
        match (old, new) {
            (Some((_, old)), Some((_, new))) if same(old, new) => {}
            (old, new) => differing.extend(old.or(new).map(|(key, _)| key)),
        }
    }
}

/// The same of maps that may be one.
fn replaced<'a, K: Ord, V>(
    before: &'a Arc<BTreeMap<K, V>>,
    now: &'a Arc<BTreeMap<K, V>>,
    same: impl Fn(&V, &V) -> bool,
) -> Vec<&'a K> {
    if Arc::ptr_eq(before, now) { Vec::new() } else { differing(&**before, &**now, same) }
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
