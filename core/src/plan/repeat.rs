//! What came of a move in one workspace comes of it in all whose plans were the same there.
//!
//! A part of a plan that two workspaces share was decided from the same: they track its repository alike and
//! knew the same of its open changes (see [`super::alike`]), and whatever moves in a ledger has a new part
//! decided. So where nothing but repositories moved, and every part that this matters to is shared, only what
//! is known of changes that were not open has to be compared.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::build::PackageHead;
use crate::model::identity::{ChangeId, RepositoryId};
use crate::model::ledger_view::{ChangeFacts, WorkspaceLedger};
use crate::model::part::Part;
use crate::model::plan::SubjectPlan;
use crate::model::snapshot::Snapshot;

use super::alike::{Taken, triggered};
use super::look::View;
use super::scope::{Earlier, listing};
use super::tracked::Tracked;
use super::workspace::Planned;

/// What came of a move.
pub(crate) struct Repeat {
    /// The repositories that moved, of those that are watched.
    moved: Vec<RepositoryId>,
    /// All to which that mattered, with what was decided of each: where nothing was, nothing says that others
    /// would decide alike.
    before: Vec<(RepositoryId, Arc<Part>)>,
    /// What the ledger knew of changes that are open and were not.
    known: Vec<(ChangeId, Option<ChangeFacts>)>,
    /// To these it would have mattered if they were watched.
    beyond: BTreeSet<RepositoryId>,
    /// The repositories of `before`, in the place of whose parts these come.
    pub(crate) scope: BTreeSet<RepositoryId>,
    parts: Vec<Arc<Part>>,
    facts: Vec<(ChangeId, ChangeFacts)>,
}

impl Repeat {
    /// Of a workspace, with the repositories that were decided again, all of them as other workspaces may.
    /// Nothing where something else concerned it as well, or its mainline moved.
    pub(crate) fn of(
        earlier: &Earlier<'_>,
        (snapshot, ledger): (&Snapshot, &WorkspaceLedger),
        scope: &BTreeSet<RepositoryId>,
        planned: &Planned,
    ) -> Option<Self> {
        let (last, now) = (earlier.planned, &planned.plan);
        let moved = earlier.only.filter(|_| now.mainline.is_none())?;
        let (mut before, mut beyond, mut known) = (Vec::new(), BTreeSet::new(), Vec::new());
        for id in scope {
            let part = last.plan.part(id)?;
            let were = listing(earlier.snapshot, id);
            let open = listing(snapshot, id).into_iter().flat_map(|listing| &listing.changes);
            let new = open.filter(|now| were.is_none_or(|were| were.change(now.number).is_none()));
            known.extend(new.map(|now| {
                let change = id.change(now.number);
                let facts = ledger.changes.get(&change).cloned();
                (change, facts)
            }));
            let tied = earlier.once.tied(id);
            let all = tied.iter().flat_map(|tied| &**tied).chain(part.names());
            beyond.extend(all.filter(|other| !scope.contains(*other)).cloned());
            before.push((id.clone(), Arc::clone(part)));
        }
        Some(Self {
            moved: moved.iter().map(|id| (*id).clone()).collect(),
            before,
            known,
            beyond,
            scope: scope.clone(),
            parts: scope.iter().filter_map(|id| now.part(id)).cloned().collect(),
            facts: now.facts.clone(),
        })
    }

    /// Whether it comes of the move in this workspace too, which has the same rules.
    pub(crate) fn fits(&self, earlier: &Earlier<'_>, ledger: &WorkspaceLedger) -> bool {
        let Planned { plan, plain, .. } = earlier.planned;
        let shared = |(id, part): &(RepositoryId, Arc<Part>)| {
            plan.part(id).is_some_and(|own| Arc::ptr_eq(own, part))
        };
        *plain
            && earlier.only.is_some_and(|moved| moved.iter().copied().eq(&self.moved))
            && self.before.iter().all(shared)
            && self.known.iter().all(|(id, facts)| ledger.changes.get(id) == facts.as_ref())
            && !self.beyond.iter().any(|id| plan.watched.contains_key(id))
    }

    /// What it is in this workspace.
    pub(crate) fn taken<'v>(
        &self,
        view: &dyn Fn() -> View<'v>,
        tracked: &Tracked,
        heads: &Arc<[PackageHead]>,
    ) -> Taken {
        let parts = self.parts.iter().map(|part| {
            if !part.acts() {
                return Arc::clone(part);
            }
            let view = view();
            let own = |plan: &SubjectPlan| triggered(&view, (tracked, heads), plan);
            Arc::new(part.with(part.subjects.iter().map(own).collect()))
        });
        Taken { parts: parts.collect(), facts: self.facts.clone() }
    }
}
