//! Which changes of a workspace a move can matter to: those of the repositories that moved, and of all that
//! text, sets or builds tie to them.
//!
//! Where that is not plain to see it is all of them: while something is unknown, merged in part or short of a
//! budget, and with rules that look at all changes together.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::build::SetMember;
use crate::model::change::Listing;
use crate::model::identity::RepositoryId;
use crate::model::ledger_view::{LedgerView, WorkspaceLedger};
use crate::model::part::Part;
use crate::model::question::Question;
use crate::model::settings::RebuildOnBase;
use crate::model::snapshot::Snapshot;

use super::incremental::{Moved, differing};
use super::look::View;
use super::once::Once;
use super::workspace::Planned;

/// The last plan of a workspace, and what moved since.
pub(crate) struct Earlier<'e> {
    pub(crate) planned: &'e Planned,
    pub(crate) snapshot: &'e Snapshot,
    pub(crate) ledger: &'e LedgerView,
    pub(crate) moved: &'e Moved<'e>,
    /// The repositories that moved and are watched, where nothing else did that concerns it.
    pub(crate) only: Option<&'e [&'e RepositoryId]>,
    pub(crate) once: &'e Once<'e>,
}

/// What has to be decided again.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The repositories whose changes are to be decided on.
    pub(crate) repositories: BTreeSet<RepositoryId>,
    /// Whether a branch that the mainline tracks moved.
    pub(crate) heads: bool,
}

/// Nothing where everything has to be decided again.
pub(crate) fn scope(view: &View<'_>, earlier: &Earlier<'_>) -> Option<Scope> {
    let last = earlier.planned;
    let plan = &last.plan;
    let part = earlier.snapshot.workspaces.get(&view.settings.name);
    let same_part = match (part, view.part) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    let rules = &view.settings.changes;
    let together = rules.branch_matching || rules.rebuild_on_base != RebuildOnBase::None;
    if !same_part || together || !last.plain || view.at() < earlier.snapshot.at {
        return None;
    }
    let mut scope = Scope { repositories: BTreeSet::new(), heads: false };
    for id in earlier.moved.repositories.iter().filter(|id| plan.watched.contains_key(**id)) {
        let (before, now) = (listing(earlier.snapshot, id)?, listing(view.snapshot, id)?);
        if before.default_branch != now.default_branch || before.former != now.former {
            return None;
        }
        scope.heads |= before.branches != now.branches;
        scope.repositories.insert((*id).clone());
    }
    let asking = asking(last, &earlier.moved.answers);
    let is_due = |part: &&Arc<Part>| part.asked.next_at.is_some_and(|at| at <= view.at());
    let due =
        plan.next_at().filter(|at| *at <= view.at()).map(|_| plan.parts.iter().filter(is_due));
    let again = asking.chain(due.into_iter().flatten());
    scope.repositories.extend(again.filter_map(|part| part.repository.clone()));
    unsettled(last, &mut scope.repositories);
    let empty = WorkspaceLedger::EMPTY;
    let before = earlier.ledger.workspaces.get(&view.settings.id).map_or(&empty, |ledger| ledger);
    if !std::ptr::eq(before, view.ledger) {
        recorded(before, view.ledger, &mut scope.repositories)?;
    }
    // Where it is more, little is saved.
    close(view, earlier, &mut scope.repositories, plan.watched.len() / 2)?;
    Some(scope)
}

/// Parts that were decided from one of these answers.
pub(crate) fn asking<'p>(
    planned: &'p Planned,
    moved: &'p [&Question],
) -> impl Iterator<Item = &'p Arc<Part>> {
    let plan = &planned.plan;
    // Nobody asks about what is neither watched nor decided on.
    let concerns = |question: &Question| {
        let known = |id| plan.watched.contains_key(id) || plan.part(id).is_some();
        question.repository().is_none_or(known)
    };
    let moved: Vec<&Question> = moved.iter().copied().filter(|q| concerns(q)).collect();
    let parts = (!moved.is_empty()).then(|| plan.parts.iter());
    parts
        .into_iter()
        .flatten()
        .filter(move |part| moved.iter().any(|q| part.asked.consulted.contains(*q)))
}

pub(crate) fn listing<'a>(snapshot: &'a Snapshot, id: &RepositoryId) -> Option<&'a Listing> {
    snapshot.repositories.get(id)?.listing.value().map(|listing| &**listing)
}

/// What the last plan wanted to have recorded, triggered or said.
fn unsettled(last: &Planned, dirty: &mut BTreeSet<RepositoryId>) {
    if last.settled {
        return;
    }
    let plan = &last.plan;
    dirty.extend(plan.looks.iter().map(|look| look.repository.clone()));
    dirty.extend(plan.facts.iter().map(|(id, _)| id.repository.clone()));
    dirty.extend(plan.reports.statuses.iter().map(|(key, _)| key.repository.clone()));
    dirty.extend(plan.reports.remarks.iter().map(|(id, _)| id.repository.clone()));
    let acts = plan.parts.iter().filter(|part| part.acts());
    dirty.extend(acts.filter_map(|part| part.repository.clone()));
}

/// What is recorded otherwise than before; nothing where that matters to all changes.
fn recorded(
    before: &WorkspaceLedger,
    now: &WorkspaceLedger,
    dirty: &mut BTreeSet<RepositoryId>,
) -> Option<()> {
    let same = before.approvals == now.approvals
        && before.rebuilds == now.rebuilds
        && before.paused_by == now.paused_by;
    if !same {
        return None;
    }
    let looks = before.looks.symmetric_difference(&now.looks);
    dirty.extend(looks.map(|look| look.repository.clone()));
    let facts = differing(&before.changes, &now.changes, |one, other| one == other);
    dirty.extend(facts.into_iter().map(|id| id.repository.clone()));
    for subject in differing(&before.attempts, &now.attempts, |one, other| one == other) {
        // How the mainline stands decides whether failures are tried again.
        dirty.insert(subject.repository()?.clone());
        let attempts = [before, now].into_iter().filter_map(|ledger| ledger.attempts.get(subject));
        let members = attempts.flatten().flat_map(|attempt| attempt.set.iter());
        dirty.extend(members.map(|member| member.change.repository.clone()));
    }
    let (said, says) = (&before.said, &now.said);
    let statuses = differing(&said.statuses, &says.statuses, |one, other| one == other);
    dirty.extend(statuses.into_iter().map(|key| key.repository.clone()));
    let remarks = differing(&said.remarks, &says.remarks, |one, other| one == other);
    dirty.extend(remarks.into_iter().map(|id| id.repository.clone()));
    Some(())
}

/// Adds whatever is tied to something in it, until nothing is; nothing where that is more than so many.
fn close(
    view: &View<'_>,
    earlier: &Earlier<'_>,
    dirty: &mut BTreeSet<RepositoryId>,
    at_most: usize,
) -> Option<()> {
    let plan = &earlier.planned.plan;
    let sets = view.ledger.attempts.values().flatten().filter(|attempt| attempt.set.len() > 1);
    let sets: Vec<&[SetMember]> = sets.map(|attempt| &*attempt.set).collect();
    let mut fresh: Vec<RepositoryId> = dirty.iter().cloned().collect();
    let mut add = |other: &RepositoryId, fresh: &mut Vec<RepositoryId>| {
        if !dirty.contains(other) && plan.watched.contains_key(other) {
            dirty.insert(other.clone());
            fresh.push(other.clone());
        }
        dirty.len() <= at_most
    };
    let mut tied: Option<Arc<[RepositoryId]>> = None;
    while let Some(id) = fresh.pop() {
        let within = |tied: &Option<Arc<[RepositoryId]>>, id: &RepositoryId| {
            tied.as_ref().is_some_and(|tied| tied.binary_search(id).is_ok())
        };
        // What is tied to one of these is what is tied to the others.
        if !within(&tied, &id) {
            tied = earlier.once.tied(&id);
            if !tied.iter().flat_map(|tied| &**tied).all(|other| add(other, &mut fresh)) {
                return None;
            }
        }
        // What its changes were tied to by a text that is another one now. What is queued has the ties of
        // the changes in it.
        let named = plan.part(&id).map_or(&[][..], |part| part.names());
        let mut named = named.iter().filter(|other| !within(&tied, other));
        let has = |set: &&&[SetMember]| set.iter().any(|member| member.change.repository == id);
        let built = sets.iter().filter(has).flat_map(|set| set.iter());
        let mut built = built.map(|member| &member.change.repository);
        if !(named.all(|other| add(other, &mut fresh)) && built.all(|other| add(other, &mut fresh)))
        {
            return None;
        }
    }
    (dirty.len() <= at_most).then_some(())
}
