//! The decision on every change of a workspace.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thin_vec::ThinVec;

use crate::model::build::{Base, PackageHead, Priority, SetMember};
use crate::model::candidate::Difference;
use crate::model::fingerprint::{Leaf, Print, mark, of_set};
use crate::model::identity::{ChangeId, Fingerprint, Name, RepositoryId, Subject};
use crate::model::ledger_view::Adopted;
use crate::model::manifest::Manifest;
use crate::model::plan::{
    CandidatePlan, Decision, FingerprintPart, Held, SetPlan, SubjectPlan, Trigger,
};
use crate::model::settings::{Dependencies, WorkspaceSettings};
use crate::model::time::Span;
use crate::references::Finding;

use super::attempts::{self, Due};
use super::candidate::{self, Because, Gate, Settled, Standing, Undecided};
use super::decided::Decided;
use super::fingerprint;
use super::holds::last_moved;
use super::look::{Facts, View};
use super::mainline::paused;
use super::openness::{Changes, Open, State};
use super::overrides::overrides;
use super::queue::Root;
use super::request;
use super::rights::{Asking, Authors};
use super::sets::{self, ChangeSet, Graph};
use super::shared::Shared;
use super::tracked::{Tracked, TrackedRepository};

/// A change whose head is younger than this is recent.
pub(crate) const RECENT: Span = Span::hours(24);

/// What a set is without its candidate.
#[derive(Clone)]
pub(crate) struct Plain {
    members: Arc<[Leaf]>,
    now: Fingerprint,
    /// As what it is held if it was open before we watched.
    mark: Fingerprint,
}

impl Plain {
    /// Of the members of a set.
    pub(crate) fn of(settings: &WorkspaceSettings, members: Arc<[Leaf]>) -> Self {
        let now = of_set(&settings.id, settings.epoch, &members);
        Self { now, mark: mark(&members), members }
    }

    /// Whether a set like this is what was open before we watched and is held as this.
    pub(crate) fn is(&self, held: Fingerprint) -> bool {
        held == self.mark
    }
}

/// What the decisions on changes share.
pub(crate) struct Deciding<'v, 'a> {
    pub(crate) view: &'v View<'a>,
    pub(crate) tracked: &'v Tracked,
    pub(crate) changes: &'v Changes<'a>,
    pub(crate) graph: &'v Graph<'a>,
    pub(crate) mainline: &'v Arc<[PackageHead]>,
    /// What says which packages there are: the mainline's manifest, or that of a set's candidate.
    pub(crate) manifest: Option<&'v Manifest>,
    /// How that differs from the mainline's.
    pub(crate) difference: Option<&'v Difference>,
    /// Repositories that only candidates have.
    pub(crate) beyond: &'v BTreeMap<RepositoryId, Arc<TrackedRepository>>,
    /// More of these.
    pub(crate) discovered: &'v RefCell<BTreeMap<RepositoryId, Arc<TrackedRepository>>>,
    /// Whether some candidate is not known, and with it what it has.
    pub(crate) undecided: &'v Cell<bool>,
    /// Clear references that fail of changes that are not judged by the mainline's manifest.
    pub(crate) findings: &'v RefCell<BTreeMap<ChangeId, Vec<Finding>>>,
    /// What builds would stand on, where changes are built again because of it.
    pub(crate) base: Option<Base>,
    /// Adopted changes that are not recent and wait for their fingerprint to be held with.
    pub(crate) to_hold: &'v BTreeSet<ChangeId>,
    /// What workspaces share.
    pub(crate) shared: &'v Shared,
    /// Changes that a change whose state is not known depended on, with that change.
    pub(crate) below: &'v BTreeMap<ChangeId, ChangeId>,
}

/// Decides on every change that matters to the workspace, tops first; `facts` gets what adoption adds.
pub(crate) fn decide(deciding: &Deciding<'_, '_>, facts: &mut Facts) -> Vec<SubjectPlan> {
    let mut decided = Decided::default();
    for id in deciding.graph.tops_first() {
        if deciding.graph.leader(id).is_some() {
            continue;
        }
        deciding.view.about(Some(&id.repository));
        if let Some(plan) = deciding.open_change(id, facts, &decided) {
            decided.insert(id.clone(), plan);
        }
    }
    for (id, leader) in deciding.graph.followers() {
        if let Some(plan) = decided.get(leader) {
            if deciding.to_hold.contains(id) {
                let set = deciding.graph.set(deciding.view, id);
                deciding.hold(id, &set, &deciding.plain(&set), facts);
            }
            let decision = if plan.decision.stands() {
                deciding.shared.decision(Decision::Covered {
                    by: leader.clone(),
                    reason: format!("it and {leader} depend on each other and are built as one"),
                })
            } else {
                plan.decision.clone()
            };
            let follower = SubjectPlan {
                subject: Subject::Change(id.clone()),
                decision,
                of: deciding.shared.set(
                    id,
                    SetPlan {
                        packages: deciding.packages(id),
                        references: deciding.references(id),
                        ..SetPlan::clone(&plan.of)
                    },
                ),
                triggers: ThinVec::new(),
                superseded: ThinVec::new(),
                ..SubjectPlan::clone(plan)
            };
            decided.insert(id.clone(), follower);
        }
    }
    for (id, open) in &deciding.graph.open {
        // What only a candidate has matters as a member of that.
        if deciding.beyond.contains_key(&id.repository)
            && decided.get(id).is_none()
            && let Some(decision) = deciding.covered(id, open, &decided)
        {
            let references = deciding.references(id);
            let of = deciding.shared.set(id, SetPlan { references, ..SetPlan::default() });
            decided.insert(id.clone(), SubjectPlan { of, ..bare(id, decision) });
            deciding.findings.borrow_mut().insert(id.clone(), Vec::new());
        }
    }
    for (id, state) in &deciding.changes.states {
        if deciding.beyond.contains_key(&id.repository) {
            continue;
        }
        if let State::Unknown(why) = state {
            let plan = bare(id, Decision::Unknown { reason: why.clone() });
            decided.insert(id.clone(), plan);
        }
    }
    for subject in deciding.view.ledger.attempts.keys() {
        if let Some(id) = subject.change().filter(|id| deciding.view.in_scope(&id.repository))
            && decided.get(id).is_none()
        {
            deciding.view.about(Some(&id.repository));
            if let Some(plan) = deciding.gone(subject, id) {
                decided.insert(id.clone(), plan);
            }
        }
    }
    deciding.view.about(None);
    decided.into_plans()
}

/// A plan that says nothing but the decision.
pub(crate) fn bare(id: &ChangeId, decision: Decision) -> SubjectPlan {
    SubjectPlan {
        subject: Subject::Change(id.clone()),
        decision: Arc::new(decision),
        of: Arc::default(),
        trusted: false,
        candidate: None,
        print: None,
        triggers: ThinVec::new(),
        superseded: ThinVec::new(),
    }
}

/// On a set of which not all members are known.
pub(crate) fn undecided(set: &ChangeSet) -> Decision {
    match (&set.unknown, &set.unpaid) {
        (None, Some((until, reason))) => Decision::Held {
            why: Held::ReferenceBudget,
            reason: reason.clone(),
            until: Some(*until),
        },
        (unknown, _) => Decision::Unknown { reason: unknown.clone().unwrap_or_default() },
    }
}

impl<'a> Deciding<'_, 'a> {
    /// The same by the manifest of a candidate.
    pub(crate) fn with<'s>(&'s self, settled: &'s Settled<'a>) -> Deciding<'s, 'a> {
        Deciding {
            tracked: &settled.tracked,
            graph: &settled.graph,
            manifest: Some(settled.manifest),
            difference: settled.plan.difference.as_ref(),
            ..*self
        }
    }

    pub(crate) fn packages(&self, id: &ChangeId) -> Vec<Name> {
        let Some(repository) = self.tracked.repositories.get(&id.repository) else {
            return Vec::new();
        };
        let Some(open) = self.graph.open.get(id) else { return Vec::new() };
        repository.overridden(open.base).map(|used| used.package.clone()).collect()
    }

    fn references(&self, id: &ChangeId) -> Vec<crate::references::Written> {
        let open = self.graph.open.get(id);
        open.map(|open| open.references.references.clone()).unwrap_or_default()
    }

    /// Nothing for a change that is no root here.
    fn open_change(
        &self,
        id: &ChangeId,
        facts: &mut Facts,
        decided: &Decided,
    ) -> Option<SubjectPlan> {
        let open = self.graph.open.get(id)?;
        let root = sets::root(self.view, self.tracked, self.graph, id);
        if !root && !self.beyond.contains_key(&id.repository) {
            return None;
        }
        let set = self.graph.set(self.view, id);
        let plain = self.plain(&set);
        self.hold(id, &set, &plain, facts);
        let facts: &Facts = facts;
        let gate = Gate {
            not_now: &|set| {
                self.not_now(&self.asking(id, open, set, &plain), plain.now, facts, decided)
            },
            approval: &|set| self.approval(&self.asking(id, open, set, &plain), facts),
        };
        let standing = match candidate::because(self, &set, &gate) {
            Because::Nothing => {
                let judged = || self.judged(id, open, set, (None, &plain), facts, decided);
                return root.then(judged);
            }
            Because::Unknown(reason) => {
                let asking = self.asking(id, open, &set, &plain);
                return Some(self.undecided(&asking, Decision::Unknown { reason }, None, facts));
            }
            Because::Of(why) => candidate::candidate(self, Root::Change(id), why, set, &gate),
        };
        match standing {
            Standing::Settled(settled) => {
                let own = self.with(&settled);
                let open = own.graph.open.get(id)?;
                if !root && !sets::root(own.view, own.tracked, own.graph, id) {
                    return None;
                }
                let findings = own.graph.findings(id).cloned().collect();
                self.findings.borrow_mut().insert(id.clone(), findings);
                let candidate = (Some(settled.plan.clone()), &plain);
                Some(own.judged(id, open, settled.set.clone(), candidate, facts, decided))
            }
            Standing::Open(undecided) => {
                let Undecided { decision, set, plan } = *undecided;
                if matches!(decision, Decision::Unknown { .. }) {
                    self.undecided.set(true);
                }
                // What its references lead to is for its manifest to say.
                self.findings.borrow_mut().insert(id.clone(), Vec::new());
                let asking = self.asking(id, open, &set, &plain);
                Some(self.undecided(&asking, decision, Some(plan), facts))
            }
        }
    }

    /// A set whose manifest is not known: built already if a build had these members.
    fn asking<'s>(
        &self,
        id: &'s ChangeId,
        open: &'s Open<'s>,
        set: &'s ChangeSet,
        plain: &'s Plain,
    ) -> Asking<'s> {
        let built = attempts::had(self.view, &Subject::Change(id.clone()), &set.members);
        Asking { id, open, set, built, plain }
    }

    /// The plan of a set that has no fingerprint while its manifest is not known.
    fn undecided(
        &self,
        asking: &Asking<'_>,
        decision: Decision,
        candidate: Option<CandidatePlan>,
        facts: &Facts,
    ) -> SubjectPlan {
        SubjectPlan {
            of: self.set_plan(asking),
            trusted: self.is_trusted(asking, facts),
            candidate: candidate.map(Box::new),
            ..bare(asking.id, decision)
        }
    }

    /// What belongs to a set, shared with the workspaces that see it alike.
    fn set_plan(&self, asking: &Asking<'_>) -> Arc<SetPlan> {
        let &Asking { id, open, set, .. } = asking;
        let made = SetPlan {
            packages: self.packages(id),
            set: set.members.clone(),
            overrides: overrides(self.view, self.tracked, self.graph, set),
            references: open.references.references.clone(),
            findings: set.findings.clone(),
            notes: set.notes.clone(),
        };
        self.shared.set(id, made)
    }

    fn plain(&self, set: &ChangeSet) -> Plain {
        Plain::of(self.view.settings, fingerprint::members(&set.members))
    }

    /// An adopted change that is not recent is held with the fingerprint of its set, once that is known.
    fn hold(&self, id: &ChangeId, set: &ChangeSet, plain: &Plain, facts: &mut Facts) {
        if self.to_hold.contains(id)
            && set.unknown.is_none()
            && set.unpaid.is_none()
            && let Some(facts) = facts.now.get_mut(id)
        {
            facts.adopted = Adopted::Held(plain.mark);
        }
    }

    /// The plan of a set whose manifest is known: the mainline's, or its candidate's, with which the
    /// fingerprint comes that the set has without one.
    fn judged(
        &self,
        id: &ChangeId,
        open: &Open<'_>,
        set: ChangeSet,
        (candidate, plain): (Option<CandidatePlan>, &Plain),
        facts: &Facts,
        decided: &Decided,
    ) -> SubjectPlan {
        let subject = Subject::Change(id.clone());
        let difference = candidate.as_ref().and_then(|plan| plan.difference.as_ref());
        let difference = difference.and_then(|difference| difference.digest);
        let known = set.unknown.is_none() && set.unpaid.is_none();
        let print = known.then(|| match difference {
            None => Arc::clone(&plain.members),
            Some(difference) => fingerprint::with_difference(&set.members, difference),
        });
        let fingerprint = print.as_ref().map(|print| match difference {
            None => plain.now,
            Some(_) => of_set(&self.view.settings.id, self.view.settings.epoch, print),
        });
        let built = fingerprint.is_some_and(|print| attempts::known(self.view, &subject, print));
        let asking = Asking { id, open, set: &set, built, plain };
        let trusted = self.is_trusted(&asking, facts);
        let parts = || fingerprint::parts_of_set(self.view, &set.members, difference);
        let (decision, due) = match fingerprint {
            Some(fingerprint) => {
                self.known_change(&asking, fingerprint, &parts, trusted, facts, decided)
            }
            None => (undecided(&set), Vec::new()),
        };
        let superseded = match fingerprint {
            Some(_) => attempts::superseded(
                self.view,
                &subject,
                fingerprint,
                "another head, base or dependency took its place",
            ),
            None => ThinVec::new(),
        };
        let of = self.set_plan(&asking);
        let mut plan = SubjectPlan {
            subject,
            decision: self.shared.decision(decision),
            of,
            trusted,
            candidate: candidate.map(Box::new),
            print: print.map(Print::Set),
            triggers: ThinVec::new(),
            superseded,
        };
        plan.triggers = self.triggers(&asking, &plan, (fingerprint, due), &parts, (facts, decided));
        plan
    }

    fn known_change(
        &self,
        asking: &Asking<'_>,
        fingerprint: Fingerprint,
        parts: &dyn Fn() -> Vec<FingerprintPart>,
        trusted: bool,
        facts: &Facts,
        decided: &Decided,
    ) -> (Decision, Vec<Due>) {
        let view = self.view;
        let &Asking { id, open, set, .. } = asking;
        let subject = Subject::Change(id.clone());
        if let Some(decision) = self.not_now(asking, fingerprint, facts, decided) {
            return (decision, Vec::new());
        }
        let again = self.again(id, open, set, trusted, facts);
        let standing = attempts::standing(view, &subject, fingerprint, parts, again.as_ref());
        // What was trusted when it was built and is not any more keeps its verdict, and runs no more.
        if let Some(decision) = self.approval(asking, facts).filter(|_| !standing.due.is_empty()) {
            return (decision, Vec::new());
        }
        if view.settings.changes.dependencies == Dependencies::Tops
            && !attempts::alone(view, &subject, fingerprint)
            && !standing.due.is_empty()
            && let Some(above) = self.unread_above(id, decided)
        {
            let reason = format!(
                "{above} may depend on it and cannot be read now; `rebuild --alone` does not wait for it"
            );
            return (Decision::Unknown { reason }, Vec::new());
        }
        (standing.decision, standing.due)
    }

    /// Why a set is not built now, whatever became of its builds.
    fn not_now(
        &self,
        asking: &Asking<'_>,
        fingerprint: Fingerprint,
        facts: &Facts,
        decided: &Decided,
    ) -> Option<Decision> {
        let view = self.view;
        let &Asking { id, open, set, plain, .. } = asking;
        let rules = &view.settings.changes;
        let subject = Subject::Change(id.clone());
        let held = |why, reason: String, until| Some(Decision::Held { why, reason, until });
        if !view.settings.build_changes {
            let reason = "this workspace builds no changes (`build`)".to_owned();
            return held(Held::Paused, reason, None);
        }
        if let Some((why, reason)) = &set.blocked {
            return Some(Decision::Blocked { why: *why, reason: reason.clone() });
        }
        let known = attempts::known(view, &subject, fingerprint);
        let rebuild = attempts::rebuild(view, &subject);
        if rules.dependencies == Dependencies::Tops
            && !attempts::alone(view, &subject, fingerprint)
            && let Some(covered) = self.covered(id, open, decided)
        {
            return Some(covered);
        }
        if let Some(reason) = paused(view) {
            return held(Held::Paused, reason, None);
        }
        let waits = !known && rebuild.is_none();
        if let Some(decision) = self.conflict(set).filter(|_| !known) {
            return Some(decision);
        }
        if let Some(decision) = self.not_ready(id, open).filter(|_| waits) {
            return Some(decision);
        }
        if let Some(decision) = self.approval(asking, facts).filter(|_| !known) {
            return Some(decision);
        }
        if !waits {
            return None;
        }
        let own = facts.now.get(id);
        match own.map(|facts| facts.adopted) {
            Some(Adopted::Undecided) => {
                let reason = "it was open before we watched; its commits are being read".to_owned();
                return held(Held::Adopted, reason, None);
            }
            Some(Adopted::Held(adopted)) if plain.is(adopted) => {
                let reason =
                    "it was open before we watched; a push or `crosswatch rebuild` releases it";
                let reason = reason.to_owned();
                return held(Held::Adopted, reason, None);
            }
            _ => {}
        }
        if let Some(facts) = own {
            let moved = last_moved(facts, open.dated);
            if !view.until(moved + rules.max_age) {
                let reason =
                    format!("nothing of it moved for {}; a push releases it", rules.max_age);
                return held(Held::Stale, reason, None);
            }
        }
        // Which folders count in a repository that only its candidate has is for that to say.
        if self.tracked.repositories.contains_key(&id.repository)
            && let Some(decision) = self.untouched(id, open)
        {
            return Some(decision);
        }
        if let Some((until, reason)) = self.settling(set, facts) {
            return held(Held::Settling, reason, Some(until));
        }
        self.not_arrived(set, facts)
    }

    /// Why code of a set must not run: a head of it is not trusted, and nobody approved exactly this.
    fn approval(&self, asking: &Asking<'_>, facts: &Facts) -> Option<Decision> {
        let subject = Subject::Change(asking.id.clone());
        if self.approved(&subject, &asking.set.members) {
            return None;
        }
        let why = match self.authors(asking, facts) {
            Authors::Trusted => return None,
            Authors::No(why) => why.map(|why| format!(" ({why})")).unwrap_or_default(),
        };
        let reason = format!(
            "a head of its set is not trusted{why}; `crosswatch approve` releases exactly this set"
        );
        Some(Decision::Held { why: Held::Approval, reason, until: None })
    }

    fn is_trusted(&self, asking: &Asking<'_>, facts: &Facts) -> bool {
        matches!(self.authors(asking, facts), Authors::Trusted)
    }

    pub(crate) fn approved(&self, subject: &Subject, set: &[SetMember]) -> bool {
        let approvals = &self.view.ledger.approvals;
        approvals.iter().any(|approval| approval.releases(subject, set))
    }

    fn triggers(
        &self,
        asking: &Asking<'_>,
        plan: &SubjectPlan,
        (fingerprint, due): (Option<Fingerprint>, Vec<Due>),
        parts: &dyn Fn() -> Vec<FingerprintPart>,
        (facts, decided): (&Facts, &Decided),
    ) -> ThinVec<Trigger> {
        let Some(fingerprint) = fingerprint.filter(|_| !due.is_empty()) else {
            return ThinVec::new();
        };
        let &Asking { id, open, .. } = asking;
        let recent = facts.now.get(id).is_some_and(|facts| {
            let moved = last_moved(facts, open.dated);
            moved + RECENT > self.view.at()
        });
        let extra = self.view.settings.changes.dependencies == Dependencies::Both
            && self.covered(id, open, decided).is_some();
        let by_bot = self.by_bot(open);
        let priority = match (extra, by_bot, recent) {
            (true, _, _) => Priority::Idle,
            (false, true, _) => Priority::Bot,
            (false, false, true) => Priority::Recent,
            (false, false, false) => Priority::Other,
        };
        due.into_iter()
            .map(|due| {
                let priority = request::priority(due.cause, priority);
                let request = request::of_change(self, (id, open), plan, fingerprint, &due);
                let needs_approval = !plan.trusted;
                Trigger {
                    ci: due.ci,
                    priority,
                    request,
                    parts: parts(),
                    needs_approval,
                    approved_as: Vec::new(),
                }
            })
            .collect()
    }
}
