//! Merge queues: what a forge is about to merge, built as it would be merged.
//!
//! GitHub makes a branch for each entry of a queue: the base with everything that is queued up to one
//! change. That branch is what is built, with the changes elsewhere that those in it depend on. It covers
//! nothing and is covered by nothing, and for everything else it is not there.

mod approval;
mod entry;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::build::{Priority, SetMember};
use crate::model::fingerprint::Print;
use crate::model::identity::{ChangeId, Fingerprint, Name, RepositoryId, Subject};
use crate::model::ledger_view::{Adopted, Look};
use crate::model::observed::Purpose;
use crate::model::plan::{
    CandidatePlan, Decision, FingerprintPart, Held, SetPlan, SubjectPlan, Trigger,
};
use crate::model::queue::QueueId;

use entry::{Entry, entries, entry};

pub(crate) use entry::Root;

use super::attempts;
use super::candidate::{self, Because, Gate, Standing, Undecided};
use super::decide::{Deciding, bare, undecided};
use super::fingerprint;
use super::gone::Lost;
use super::look::{Facts, View};
use super::mainline::paused;
use super::openness::{Open, State};
use super::overrides::overrides;
use super::request;
use super::rights::Authors;
use super::sets::ChangeSet;

/// Decides on every entry of the queues of what the workspace tracks, and on those that are there no
/// more; with looks by which those are known that were there before the first.
pub(crate) fn decide(deciding: &Deciding<'_, '_>, facts: &Facts) -> (Vec<SubjectPlan>, Vec<Look>) {
    let view = deciding.view;
    let mut decided: BTreeMap<Subject, SubjectPlan> = BTreeMap::new();
    let mut looks = Vec::new();
    for id in deciding.changes.queued.iter().filter(|id| view.hosted(id)) {
        let Some(repository) = deciding.tracked.repositories.get(id) else { continue };
        let Some(part) = view.repository(id) else { continue };
        view.about(Some(id));
        let Some(listing) = part.listing.value() else {
            let last = part.listing.last_known(Purpose::Display);
            let why = deciding.changes.unread.get(id).cloned().unwrap_or_default();
            for (queue, _) in
                last.map(|last| entries(deciding, id, repository, last)).into_iter().flatten()
            {
                let plan = unknown(queue, why.clone());
                decided.insert(plan.subject.clone(), plan);
            }
            continue;
        };
        let all = entries(deciding, id, repository, listing);
        for (queue, head) in &all {
            let branch = Name::from(queue.branch());
            let look = Look { repository: id.clone(), branch };
            let of_base = Look { repository: id.clone(), branch: view.oldest(id, &queue.base) };
            let first = deciding.changes.looks.contains(&of_base);
            if first {
                looks.push(look.clone());
            }
            let before = first || view.ledger.looks.contains(&look);
            let plan = match entry(view, listing, &all, queue, *head) {
                Ok(entry) => Deciding::queued(deciding, &entry, before, facts),
                Err(why) => unknown(queue.clone(), why),
            };
            decided.insert(plan.subject.clone(), plan);
        }
    }
    for subject in view.ledger.attempts.keys() {
        let queue = subject.queue().filter(|queue| view.in_scope(&queue.repository));
        if let Some(queue) = queue.filter(|_| !decided.contains_key(subject)) {
            view.about(Some(&queue.repository));
            if let Some(plan) = gone(deciding, subject, queue) {
                decided.insert(subject.clone(), plan);
            }
        }
    }
    view.about(None);
    (decided.into_values().collect(), looks)
}

fn unknown(queue: QueueId, reason: String) -> SubjectPlan {
    let plan = bare(&queue.change(), Decision::Unknown { reason });
    SubjectPlan { subject: Subject::Queue(Box::new(queue)), ..plan }
}

/// Members that are not in the queue itself.
fn elsewhere((repository, base): (&RepositoryId, &Name), set: &[SetMember]) -> Vec<SetMember> {
    let queued =
        |member: &SetMember| member.change.repository == *repository && member.base == *base;
    set.iter().filter(|member| !queued(member)).cloned().collect()
}

/// Whether a member is in the queue itself.
pub(crate) fn has(view: &View<'_>, queue: &QueueId, member: &SetMember) -> bool {
    let repository = &queue.repository;
    member.change.repository == *repository && member.base == view.oldest(repository, &queue.base)
}

/// What the fingerprint of an entry is made of.
pub(crate) fn parts(
    view: &View<'_>,
    queue: &QueueId,
    plan: &SubjectPlan,
    difference: Option<Fingerprint>,
) -> Vec<FingerprintPart> {
    let own = plan.overrides.iter().find(|one| one.change == queue.change());
    let Some(own) = own else { return Vec::new() };
    let base = view.oldest(&queue.repository, &queue.base);
    let elsewhere = elsewhere((&queue.repository, &base), &plan.set);
    fingerprint::parts_of_queue(view, (&queue.repository, &base, own.head), &elsewhere, difference)
}

/// An entry that was triggered and is in no queue any more.
fn gone(deciding: &Deciding<'_, '_>, subject: &Subject, queue: &QueueId) -> Option<SubjectPlan> {
    if !attempts::of(deciding.view, subject).iter().any(|attempt| attempt.stage.open()) {
        return None;
    }
    let over = deciding.lost(&queue.repository).map(|lost| match lost {
        Lost::Gone(why) => why,
        Lost::No(_) => "it left the merge queue, or its base is no longer tracked".to_owned(),
    });
    Some(deciding.over(subject, &queue.change(), over))
}

/// What decides on one entry.
struct Queued<'q> {
    entry: &'q Entry,
    subject: &'q Subject,
    /// Whether it was there before we watched.
    before: bool,
    facts: &'q Facts,
}

impl Deciding<'_, '_> {
    fn queued(&self, entry: &Entry, before: bool, facts: &Facts) -> SubjectPlan {
        let root = Root::Queue(entry);
        let subject = root.subject();
        for id in &entry.changes {
            if let Err(why) = self.in_queue(entry, id) {
                return unknown(entry.id.clone(), why);
            }
        }
        let queued = Queued { entry, subject: &subject, before, facts };
        let set = root.set(self.view, self.graph);
        let gate = Gate {
            not_now: &|set| {
                let fingerprint = self.print(entry, set, None);
                self.not_now_queued(&queued, set, fingerprint)
            },
            approval: &|set| self.unapproved(&queued, set),
        };
        match candidate::because(self, &set, &gate) {
            Because::Nothing => self.judged_queue(&queued, set, None),
            Because::Unknown(reason) => {
                self.bare_queue(&queued, set, None, Decision::Unknown { reason })
            }
            Because::Of(why) => match candidate::candidate(self, root, why, set, &gate) {
                Standing::Settled(settled) => {
                    let own = self.with(&settled);
                    own.judged_queue(&queued, settled.set.clone(), Some(settled.plan.clone()))
                }
                Standing::Open(open) => {
                    let Undecided { decision, set, plan } = *open;
                    self.bare_queue(&queued, set, Some(plan), decision)
                }
            },
        }
    }

    /// Whether a change of an entry is what the queue takes it for. Branches and changes may be read a
    /// moment apart.
    fn in_queue(&self, entry: &Entry, id: &ChangeId) -> Result<&Open<'_>, String> {
        match self.changes.states.get(id) {
            Some(State::Open(open)) if *open.base == entry.base => Ok(open),
            Some(State::Open(open)) => {
                Err(format!("{id} is queued for {}, but goes to {}", entry.base, open.base))
            }
            Some(State::Unknown(why)) => Err(why.clone()),
            Some(State::Merged { .. }) | None => {
                Err(format!("{id} is queued, but is not among the open changes"))
            }
        }
    }

    fn print(
        &self,
        entry: &Entry,
        set: &ChangeSet,
        difference: Option<Fingerprint>,
    ) -> Fingerprint {
        let elsewhere = elsewhere((&entry.id.repository, &entry.base), &set.members);
        let own = (&entry.id.repository, &entry.base, entry.head);
        fingerprint::of_queue(self.view, own, &elsewhere, difference)
    }

    /// The plan of an entry that has no fingerprint while something of it is not known.
    fn bare_queue(
        &self,
        queued: &Queued<'_>,
        set: ChangeSet,
        candidate: Option<CandidatePlan>,
        decision: Decision,
    ) -> SubjectPlan {
        let entry = queued.entry;
        let mut overrides = overrides(self.view, self.tracked, self.graph, &set);
        if let Some(own) = overrides.iter_mut().find(|one| one.change == entry.last) {
            (own.ref_name, own.head) = (entry.id.ref_name(), entry.head);
        }
        let trusted = matches!(self.authors_of(queued, &set), Authors::Trusted);
        let of = SetPlan {
            packages: self.packages(&entry.last),
            set: set.members,
            overrides,
            references: Vec::new(),
            findings: set.findings,
            notes: set.notes,
        };
        SubjectPlan {
            subject: queued.subject.clone(),
            of: Arc::new(of),
            trusted,
            candidate: candidate.map(Box::new),
            ..bare(&entry.last, decision)
        }
    }

    fn judged_queue(
        &self,
        queued: &Queued<'_>,
        set: ChangeSet,
        candidate: Option<CandidatePlan>,
    ) -> SubjectPlan {
        let view = self.view;
        let Queued { entry, subject, .. } = queued;
        if set.unknown.is_some() || set.unpaid.is_some() {
            let decision = undecided(&set);
            return self.bare_queue(queued, set, candidate, decision);
        }
        let difference = candidate.as_ref().and_then(|plan| plan.difference.as_ref());
        let difference = difference.and_then(|difference| difference.digest);
        let fingerprint = self.print(entry, &set, difference);
        let elsewhere = elsewhere((&entry.id.repository, &entry.base), &set.members);
        let own = (&entry.id.repository, &entry.base, entry.head);
        let parts = || fingerprint::parts_of_queue(view, own, &elsewhere, difference);
        let (decision, due) = match self.not_now_queued(queued, &set, fingerprint) {
            Some(decision) => (decision, Vec::new()),
            None => {
                let standing = attempts::standing(view, subject, fingerprint, &parts, None);
                match self.unapproved(queued, &set).filter(|_| !standing.due.is_empty()) {
                    Some(decision) => (decision, Vec::new()),
                    None => (standing.decision, standing.due),
                }
            }
        };
        let approved_as = self.approved_as(queued, &set);
        let mut plan = self.bare_queue(queued, set, candidate, decision);
        plan.superseded = attempts::superseded(
            view,
            subject,
            Some(fingerprint),
            "another head or dependency took its place",
        );
        plan.print = Some(Print::Own(fingerprint));
        let Some(open) = self.graph.open.get(&entry.last) else { return plan };
        let triggers = due.into_iter().map(|due| {
            let mut request =
                request::of_change(self, (&entry.last, open), &plan, fingerprint, &due);
            request.primary.revision = Some(entry.head);
            Trigger {
                priority: request::priority(due.cause, Priority::Mainline),
                ci: due.ci,
                request,
                parts: parts(),
                needs_approval: !plan.trusted,
                approved_as: approved_as.clone().unwrap_or_default(),
            }
        });
        plan.triggers = triggers.collect();
        plan
    }

    /// Why an entry is not built now, whatever became of its builds.
    fn not_now_queued(
        &self,
        queued: &Queued<'_>,
        set: &ChangeSet,
        fingerprint: Fingerprint,
    ) -> Option<Decision> {
        let view = self.view;
        let Queued { entry, subject, .. } = queued;
        let held = |why, reason: String, until| Some(Decision::Held { why, reason, until });
        if !view.settings.build_changes {
            let reason = "this workspace builds no changes (`build`)".to_owned();
            return held(Held::Paused, reason, None);
        }
        if let Some((why, reason)) = &set.blocked {
            return Some(Decision::Blocked { why: *why, reason: reason.clone() });
        }
        if let Some(reason) = paused(view) {
            return held(Held::Paused, reason, None);
        }
        let known = attempts::known(view, subject, fingerprint);
        if known {
            return None;
        }
        if let Some(decision) = self.unapproved(queued, set) {
            return Some(decision);
        }
        if attempts::rebuild(view, subject).is_some() {
            return None;
        }
        if self.adopted(queued) {
            let reason = "it was queued before we watched; `crosswatch rebuild` releases it, or \
                          queueing it again";
            return held(Held::Adopted, reason.to_owned(), None);
        }
        let opens = entry.changes.iter().filter_map(|id| Some((id, self.graph.open.get(id)?)));
        let untouched: Option<Vec<Decision>> =
            opens.map(|(id, open)| self.untouched(id, open)).collect();
        if let Some(decision) = untouched.and_then(|all| all.into_iter().next()) {
            return Some(decision);
        }
        let (until, reason) = set.waiting.clone()?;
        held(Held::Mainline, reason, Some(until))
    }

    /// Whether it was there before we watched, and is not built as its last change would be.
    fn adopted(&self, queued: &Queued<'_>) -> bool {
        let facts = queued.facts.now.get(&queued.entry.last);
        let recent = facts.is_some_and(|facts| facts.adopted == Adopted::Recent);
        queued.before && !recent
    }
}
