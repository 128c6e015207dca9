//! What must hold after every step. Who looks here decides by what is true outside, never by the plan.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::model::build::{Cause, RequestId, SetMember, Stage, Verdict};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::{Adopted, LedgerView};
use crosswatch_core::model::plan::{Decision, Held, Plan, SubjectPlan, Trigger, WorkspacePlan};
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::model::time::{Span, Timestamp};

use crate::Failure;
use crate::ci::{Ci, Key};
use crate::daemon::Daemon;
use crate::oracle::Oracle;
use crate::settings::Variant;
use crate::world::{Who, World};

/// Longest time that a decision may wait for time alone.
const LONGEST_WAIT: Span = Span::minutes(65);

/// How long the machine sleeps when it does.
pub const SLEEP: Span = Span::hours(8);

/// Shortest quiet time before a first build.
const QUIET: Span = Span::seconds(30);

/// What was intended and allowed, beside the ledger.
#[derive(Default)]
pub struct Books {
    /// What each request builds.
    intents: BTreeMap<RequestId, (Name, Subject, Vec<SetMember>)>,
    /// How often something was to be built once more because the mainline had been red.
    recoveries: BTreeMap<Key, usize>,
    /// How often people asked for a subject.
    pub rebuilds: BTreeMap<(Name, Subject), usize>,
    /// What people approved.
    pub approvals: Vec<(Name, Subject, Vec<SetMember>)>,
    /// The configuration in force.
    pub variant: Variant,
    /// What was decided at least once, in words.
    pub seen: BTreeSet<String>,
    /// Nothing moves any more and everything was read: what has to be built can be told.
    pub settled: bool,
    /// What time it truly is.
    truly: Timestamp,
    /// When the machine woke up.
    pub sleeps: Vec<Timestamp>,
    /// When the clock last jumped with no daemon there to notice.
    pub unnoticed: Option<Timestamp>,
}

/// A decision without its details.
fn word(decision: &Decision) -> String {
    match decision {
        Decision::Held { why, .. } => format!("held: {why:?}"),
        Decision::Blocked { why, .. } => format!("blocked: {why:?}"),
        other => other.word().to_owned(),
    }
}

fn failed<T>(text: String) -> Result<T, Failure> {
    Err(Failure(text))
}

impl Books {
    /// Whether the head of a member needs no approval.
    pub fn trusted(&self, world: &World, member: &SetMember) -> bool {
        let repository = world.repositories.get(&member.change.repository);
        let change = repository.and_then(|one| one.changes.get(&member.change.number));
        let Some(change) = change else { return true };
        match change.author {
            Who::Writer | Who::Member => true,
            Who::Stranger => self.variant.trusts,
            Who::Bot => false,
        }
    }

    /// Whether somebody approved exactly this.
    pub fn approved(&self, workspace: &Name, subject: &Subject, set: &[SetMember]) -> bool {
        let same = |heads: &[SetMember]| {
            heads.len() == set.len() && heads.iter().all(|member| set.contains(member))
        };
        self.approvals
            .iter()
            .any(|(id, approved, heads)| id == workspace && approved == subject && same(heads))
    }

    /// What time it truly is.
    pub fn now(&mut self, truly: Timestamp) {
        self.truly = truly;
    }

    /// What passed since then while the machine was awake.
    pub fn awake_since(&self, time: Timestamp) -> Span {
        let slept = self.sleeps.iter().filter(|woke| **woke > time).count();
        Span(self.truly.since(time).0.saturating_sub(SLEEP.times(slept as u64).0))
    }

    /// A first build of what was opened while we watched comes after a quiet time, whatever the clock did.
    fn quiet(
        &self,
        workspace: &WorkspacePlan,
        planned: &SubjectPlan,
        view: &LedgerView,
        world: &World,
    ) -> Result<(), Failure> {
        let Some(change) = planned.subject.change() else { return Ok(()) };
        let facts = view.workspaces.get(&workspace.id).and_then(|part| part.changes.get(change));
        let opened = facts.is_some_and(|facts| facts.adopted == Adopted::No);
        let noticed = self.unnoticed.is_none_or(|at| self.truly.since(at) > Span::hours(1));
        let first = |trigger: &&Trigger| {
            trigger.request.cause == Cause::New && trigger.request.attempt == 1
        };
        if !opened || !noticed || !planned.triggers.iter().any(|trigger| first(&trigger)) {
            return Ok(());
        }
        let head = planned.set.iter().find(|member| member.change == *change);
        let made = head.and_then(|member| world.git.get(member.head));
        match made.map(|commit| self.awake_since(commit.at)) {
            Some(quiet) if quiet < QUIET => {
                failed(format!("{} is built after a quiet time of {quiet}", planned.subject))
            }
            _ => Ok(()),
        }
    }

    /// Before a plan is committed.
    pub fn planned(
        &mut self,
        plan: &Plan,
        snapshot: &Snapshot,
        view: &LedgerView,
        world: &World,
    ) -> Result<(), Failure> {
        if plan.next_at.is_some_and(|next| next <= plan.at) {
            return failed(format!("the plan of {} asks for a pass in the past", plan.at));
        }
        for planned in plan.workspaces.iter().flat_map(|workspace| workspace.subjects()) {
            self.seen.insert(word(&planned.decision));
        }
        let oracle = self.settled.then(|| Oracle::new(world, self, view));
        for workspace in &plan.workspaces {
            for planned in workspace.subjects() {
                self.subject(workspace, planned, snapshot, world)?;
                self.quiet(workspace, planned, view, world)?;
                let Some(oracle) = &oracle else { continue };
                for trigger in &planned.triggers {
                    let set = &trigger.request.set;
                    oracle.may_be_built(&workspace.id, &planned.subject, set)?;
                }
            }
        }
        Ok(())
    }

    fn subject(
        &self,
        workspace: &WorkspacePlan,
        planned: &SubjectPlan,
        snapshot: &Snapshot,
        world: &World,
    ) -> Result<(), Failure> {
        let subject = format!("{} {}", workspace.workspace, planned.subject);
        if let Decision::Held { why, until, .. } = &*planned.decision {
            if *why == Held::Stale {
                return failed(format!("{subject} is stale after hours"));
            }
            if until.is_some_and(|until| until.since(snapshot.at) > LONGEST_WAIT) {
                return failed(format!("{subject} waits too long: {:?}", planned.decision));
            }
        }
        let known = |repository| {
            let part = snapshot.repositories.get(repository);
            part.is_some_and(|part| part.listing.value().is_some())
        };
        for trigger in &planned.triggers {
            let set = &trigger.request.set;
            for member in set {
                if !known(&member.change.repository) {
                    let repository = &member.change.repository;
                    return failed(format!("{subject} is built while {repository} is unknown"));
                }
                if !world.history.contains(&(member.change.clone(), member.head)) {
                    return failed(format!("{subject} is built with a head that never was"));
                }
            }
            let trusted = set.iter().all(|member| self.trusted(world, member));
            if !trusted && !self.approved(&workspace.id, &planned.subject, set) {
                return failed(format!("{subject} is built untrusted and not approved: {set:?}"));
            }
        }
        let Some(change) = planned.subject.change() else { return Ok(()) };
        let watched = workspace.watched.contains_key(&change.repository);
        if !planned.superseded.is_empty() && watched {
            let members = planned.set.iter().map(|member| &member.change.repository);
            for repository in members.chain([&change.repository]) {
                if !known(repository) {
                    return failed(format!("{subject} is superseded; {repository} is unknown"));
                }
            }
        }
        let gone = matches!(*planned.decision, Decision::Superseded { .. });
        if gone && watched && !world.ever_gone.contains(change) {
            return failed(format!("{subject} was open all the time: {:?}", planned.decision));
        }
        Ok(())
    }

    /// After a plan was committed.
    pub fn committed(&mut self, plan: &Plan) {
        for workspace in &plan.workspaces {
            for planned in workspace.subjects() {
                for trigger in &planned.triggers {
                    let request = &trigger.request;
                    if request.cause == Cause::Recovery {
                        let subject = planned.subject.clone();
                        let key = (workspace.id.clone(), subject, request.fingerprint);
                        *self.recoveries.entry(key).or_default() += 1;
                    }
                    let set = trigger.request.set.clone();
                    let intent = (workspace.id.clone(), planned.subject.clone(), set);
                    self.intents.insert(trigger.request.request_id, intent);
                }
            }
        }
    }

    /// After every step.
    pub fn check(&self, ci: &Ci, view: &LedgerView) -> Result<(), Failure> {
        let stages = Daemon::stages(view);
        for (id, builds) in &ci.builds {
            let name = || match self.intents.get(id) {
                Some((workspace, subject, _)) => format!("{workspace} {subject} ({id})"),
                None => id.to_string(),
            };
            if !self.intents.contains_key(id) {
                return failed(format!("{} is built and was never decided", name()));
            }
            if builds.len() > 1 {
                return failed(format!("{} was sent twice: {builds:?}", name()));
            }
            match stages.get(id) {
                None => return failed(format!("{} is built and not in the ledger", name())),
                Some(Stage::Queued) => {
                    return failed(format!("{} is built and would be sent again", name()));
                }
                Some(Stage::Ended(verdict @ (Verdict::Success | Verdict::Failure))) => {
                    if builds.first().is_none_or(|build| build.ended != Some(*verdict)) {
                        return failed(format!("{} ended otherwise: {verdict:?}", name()));
                    }
                }
                Some(_) => {}
            }
        }
        for (key, count) in ci.finished() {
            let (workspace, subject, _) = key;
            let asked = self.rebuilds.get(&(workspace.clone(), subject.clone()));
            let again = self.recoveries.get(key).copied().unwrap_or(0);
            if count > 1 + asked.copied().unwrap_or(0) + again {
                return failed(format!("{workspace} {subject} was built {count} times: {key:?}"));
            }
        }
        Ok(())
    }
}
