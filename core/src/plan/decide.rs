//! The decision on every change of a workspace.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::build::{Base, PackageHead, Priority, SetMember};
use crate::model::identity::{ChangeId, Fingerprint, Name, Subject};
use crate::model::ledger_view::Adopted;
use crate::model::plan::{Decision, Held, SubjectPlan, Trigger};
use crate::model::settings::Dependencies;
use crate::model::time::Span;

use super::attempts::{self, Due};
use super::fate::{Fated, fated};
use super::fingerprint;
use super::holds::last_moved;
use super::look::{Facts, View};
use super::mainline::paused;
use super::openness::{Changes, Open, State};
use super::overrides::overrides;
use super::request;
use super::rights::{Asking, Authors};
use super::sets::{ChangeSet, Graph};
use super::tracked::Tracked;
use super::trust::trusted;

/// A change whose head is younger than this is recent.
pub(crate) const RECENT: Span = Span::hours(24);

/// What the decisions on changes share.
pub(crate) struct Deciding<'v, 'a> {
    pub(crate) view: &'v View<'a>,
    pub(crate) tracked: &'v Tracked,
    pub(crate) changes: &'v Changes<'a>,
    pub(crate) graph: &'v Graph<'a>,
    pub(crate) mainline: &'v [PackageHead],
    /// What builds would stand on, where changes are built again because of it.
    pub(crate) base: Option<Base>,
    /// Adopted changes that are not recent and wait for their fingerprint to be held with.
    pub(crate) to_hold: &'v BTreeSet<ChangeId>,
    /// Changes that a change whose state is not known depended on, with that change.
    pub(crate) below: &'v BTreeMap<ChangeId, ChangeId>,
}

/// Decides on every change that matters to the workspace, tops first; `facts` gets what adoption adds.
pub(crate) fn decide(deciding: &Deciding<'_, '_>, facts: &mut Facts) -> Vec<SubjectPlan> {
    let mut decided: BTreeMap<ChangeId, SubjectPlan> = BTreeMap::new();
    for id in deciding.graph.tops_first() {
        if deciding.graph.leader(id).is_some() {
            continue;
        }
        if let Some(plan) = deciding.open_change(id, facts, &decided) {
            decided.insert(id.clone(), plan);
        }
    }
    let followers: Vec<(&ChangeId, &ChangeId)> = deciding
        .graph
        .open
        .keys()
        .filter_map(|id| deciding.graph.leader(id).map(|leader| (id, leader)))
        .collect();
    for (id, leader) in followers {
        if let Some(plan) = decided.get(leader) {
            let decision = if plan.decision.stands() {
                Decision::Covered {
                    by: leader.clone(),
                    reason: format!("it and {leader} depend on each other and are built as one"),
                }
            } else {
                plan.decision.clone()
            };
            let follower = SubjectPlan {
                subject: Subject::Change(id.clone()),
                decision,
                triggers: Vec::new(),
                superseded: Vec::new(),
                packages: deciding.packages(id),
                references: deciding.references(id),
                ..plan.clone()
            };
            decided.insert(id.clone(), follower);
        }
    }
    for (id, state) in &deciding.changes.states {
        if let State::Unknown(why) = state {
            let plan = bare(id, Decision::Unknown { reason: why.clone() });
            decided.insert(id.clone(), plan);
        }
    }
    for subject in deciding.view.ledger.attempts.keys() {
        if let Some(id) = subject.change()
            && !decided.contains_key(id)
            && let Some(plan) = deciding.gone(subject, id)
        {
            decided.insert(id.clone(), plan);
        }
    }
    decided.into_values().collect()
}

/// A plan that says nothing but the decision.
fn bare(id: &ChangeId, decision: Decision) -> SubjectPlan {
    SubjectPlan {
        subject: Subject::Change(id.clone()),
        decision,
        packages: Vec::new(),
        set: Vec::new(),
        overrides: Vec::new(),
        trusted: false,
        fingerprint: None,
        parts: Vec::new(),
        references: Vec::new(),
        findings: Vec::new(),
        notes: Vec::new(),
        triggers: Vec::new(),
        superseded: Vec::new(),
    }
}

/// On a set of which not all members are known.
fn undecided(set: &ChangeSet) -> Decision {
    match (&set.unknown, &set.unpaid) {
        (None, Some((until, reason))) => Decision::Held {
            why: Held::ReferenceBudget,
            reason: reason.clone(),
            until: Some(*until),
        },
        (unknown, _) => Decision::Unknown { reason: unknown.clone().unwrap_or_default() },
    }
}

impl Deciding<'_, '_> {
    fn packages(&self, id: &ChangeId) -> Vec<Name> {
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
        decided: &BTreeMap<ChangeId, SubjectPlan>,
    ) -> Option<SubjectPlan> {
        let repository = self.tracked.repositories.get(&id.repository)?;
        let open = self.graph.open.get(id)?;
        let pinned_root = self.view.settings.changes.pinned_roots
            && repository.overridden(open.base).next().is_some();
        if !repository.tracks(open.base) && !pinned_root {
            return None;
        }
        let subject = Subject::Change(id.clone());
        let set = self.graph.set(self.view, id);
        let overrides = overrides(self.view, self.tracked, self.graph, &set);
        let (fingerprint, parts) = fingerprint::of_set(self.view, &set.members);
        let trusted = set.members.iter().all(|member| self.trusted(member));
        let known = set.unknown.is_none() && set.unpaid.is_none();
        let fingerprint = known.then_some(fingerprint);
        let asking = Asking { id, open, set: &set, fingerprint };
        let trusted = trusted || matches!(self.rights(&asking, facts), Authors::Write);
        if self.to_hold.contains(id)
            && known
            && let Some(facts) = facts.now.get_mut(id)
        {
            facts.adopted = Adopted::Held(fingerprint::of_set_in(self.view, &set.members, 0));
        }
        let (decision, due) = match fingerprint {
            Some(fingerprint) => {
                self.known_change(id, open, &set, fingerprint, &parts, trusted, facts, decided)
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
            None => Vec::new(),
        };
        let mut plan = SubjectPlan {
            subject,
            decision,
            packages: self.packages(id),
            overrides,
            trusted,
            fingerprint,
            parts,
            references: open.references.references.clone(),
            findings: set.findings.clone(),
            notes: set.notes.clone(),
            set: set.members,
            triggers: Vec::new(),
            superseded,
        };
        plan.triggers = self.triggers(id, open, &plan, due, facts, decided);
        plan.compact();
        Some(plan)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one decision looks at everything about a change"
    )]
    fn known_change(
        &self,
        id: &ChangeId,
        open: &Open<'_>,
        set: &ChangeSet,
        fingerprint: Fingerprint,
        parts: &[crate::model::plan::FingerprintPart],
        trusted: bool,
        facts: &Facts,
        decided: &BTreeMap<ChangeId, SubjectPlan>,
    ) -> (Decision, Vec<Due>) {
        let view = self.view;
        let rules = &view.settings.changes;
        let subject = Subject::Change(id.clone());
        let held = |why, reason: String, until| (Decision::Held { why, reason, until }, Vec::new());
        if !view.settings.build_changes {
            let reason = "this workspace builds no changes (`build`)".to_owned();
            return held(Held::Paused, reason, None);
        }
        if let Some((why, reason)) = &set.blocked {
            return (Decision::Blocked { why: *why, reason: reason.clone() }, Vec::new());
        }
        let known = attempts::known(view, &subject, fingerprint);
        let rebuild = attempts::rebuild(view, &subject);
        let alone = attempts::alone(view, &subject, fingerprint);
        if rules.dependencies == Dependencies::Tops
            && !alone
            && let Some(covered) = self.covered(id, open, decided)
        {
            return (covered, Vec::new());
        }
        if let Some(reason) = paused(view) {
            return held(Held::Paused, reason, None);
        }
        let waits = !known && rebuild.is_none();
        if let Some(decision) = self.conflict(set).filter(|_| !known) {
            return (decision, Vec::new());
        }
        if let Some(decision) = self.not_ready(id, open).filter(|_| waits) {
            return (decision, Vec::new());
        }
        if !trusted && !known && !self.approved(&subject, &set.members) {
            let asking = Asking { id, open, set, fingerprint: Some(fingerprint) };
            let why = match self.rights(&asking, facts) {
                Authors::No(Some(why)) => format!(" ({why})"),
                _ => String::new(),
            };
            let reason = format!(
                "a head of its set is not trusted{why}; `crosswatch approve {} {id}` releases exactly this set",
                view.settings.name
            );
            return held(Held::Approval, reason, None);
        }
        let own = facts.now.get(id);
        if waits {
            match own.map(|facts| facts.adopted) {
                Some(Adopted::Undecided) => {
                    let reason =
                        "it was open before we watched; its commits are being read".to_owned();
                    return held(Held::Adopted, reason, None);
                }
                // An epoch builds again what was built.
                Some(Adopted::Held(adopted))
                    if adopted == fingerprint
                        || adopted == fingerprint::of_set_in(view, &set.members, 0) =>
                {
                    let reason = format!(
                        "it was open before we watched; a push or `crosswatch rebuild {} {id}` releases it",
                        view.settings.name
                    );
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
            if let Some(decision) = self.untouched(id, open) {
                return (decision, Vec::new());
            }
            if let Some((until, reason)) = self.settling(set, facts) {
                return held(Held::Settling, reason, Some(until));
            }
            if let Some(decision) = self.not_arrived(set, facts) {
                return (decision, Vec::new());
            }
        }
        let again = self.again(id, open, set, trusted, facts);
        let standing = attempts::standing(view, &subject, fingerprint, parts, again.as_ref());
        if rules.dependencies == Dependencies::Tops
            && !alone
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

    fn trusted(&self, member: &SetMember) -> bool {
        trusted(self.view, &member.change)
    }

    pub(crate) fn approved(&self, subject: &Subject, set: &[SetMember]) -> bool {
        let approvals = &self.view.ledger.approvals;
        approvals.iter().any(|approval| approval.subject == *subject && approval.set == set)
    }

    fn triggers(
        &self,
        id: &ChangeId,
        open: &Open<'_>,
        plan: &SubjectPlan,
        due: Vec<Due>,
        facts: &Facts,
        decided: &BTreeMap<ChangeId, SubjectPlan>,
    ) -> Vec<Trigger> {
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
                let request = request::of_change(self, id, open, plan, &due);
                let needs_approval = !plan.trusted;
                Trigger { ci: due.ci, priority, request, needs_approval }
            })
            .collect()
    }

    /// A subject that was triggered once and is no open change any more.
    fn gone(&self, subject: &Subject, id: &ChangeId) -> Option<SubjectPlan> {
        if !attempts::of(self.view, subject).iter().any(|attempt| attempt.stage.open()) {
            return None;
        }
        let gone = self.view.gone(&id.repository).map(|since| {
            format!(
                "its repository is gone: {} has answered 404 since {since}",
                id.repository.forge
            )
        });
        let why = if let Some(gone) = &gone {
            gone.as_str()
        } else if !self.tracked.repositories.contains_key(&id.repository) {
            let manifest = self.view.part.and_then(|part| part.manifest.value());
            if manifest.is_none() {
                let reason = "the manifest is not known".to_owned();
                return Some(bare(id, Decision::Unknown { reason }));
            }
            "its repository is no longer part of the workspace"
        } else if let Some(why) = self.changes.unread.get(&id.repository) {
            return Some(bare(id, Decision::Unknown { reason: why.clone() }));
        } else {
            match (self.changes.states.get(id), self.tracked.repositories.get(&id.repository)) {
                (Some(State::Merged { .. }), _) => "it is merged",
                (Some(State::Open(_)), _) => "its base is no longer tracked",
                (Some(State::Unknown(_)), _) => return None,
                (None, Some(repository)) if self.view.hosted(&id.repository) => {
                    match fated(self.view, repository, id) {
                        Fated::Merged { .. } => "it is merged",
                        Fated::Closed | Fated::Missing => "it is closed",
                        Fated::Unknown(why) => {
                            return Some(bare(id, Decision::Unknown { reason: why }));
                        }
                    }
                }
                (None, _) => "it is closed",
            }
        };
        let mut plan = bare(id, Decision::Superseded { reason: why.to_owned() });
        plan.superseded = attempts::superseded(self.view, subject, None, why);
        Some(plan)
    }
}
