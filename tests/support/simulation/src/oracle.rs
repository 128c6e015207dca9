//! What has to be built, read naively from `changes.md` and from what is true outside. It shares no
//! rule with the planner; of the ledger it takes what only memory can tell: what was built, approved and
//! adopted, and the last heads of changes that a plain git server no longer shows.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::model::build::{SetMember, Stage, Verdict};
use crosswatch_core::model::identity::{ChangeId, Name, RepositoryId, Subject};
use crosswatch_core::model::ledger_view::{Adopted, AttemptView, LedgerView, WorkspaceLedger};
use crosswatch_core::model::plan::{Decision, Plan};
use crosswatch_core::model::settings::{Dependencies, Drafts, OnClosed, SameRepository};
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::plan::explain::Explainer;

use crate::Failure;
use crate::checks::Books;
use crate::world::{self, Change, DEFINITIONS, State, Who, World};

/// What has to become of one change.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its set, ordered by identity.
    pub set: Vec<SetMember>,
    /// It cannot be built as it is.
    blocked: bool,
    /// The set is cut off, since it is too large.
    cut: bool,
    /// The change that stands for the cycle that it is part of.
    leader: Option<ChangeId>,
}

/// Everything that has to become of the world as it is.
pub struct Oracle<'a> {
    world: &'a World,
    books: &'a Books,
    view: &'a LedgerView,
    workspaces: BTreeMap<Name, BTreeMap<ChangeId, Expected>>,
}

/// Where a reference leads.
enum Leads {
    Member(ChangeId),
    Closed,
    Nowhere,
}

struct Reading<'a> {
    world: &'a World,
    books: &'a Books,
    ledger: Option<&'a WorkspaceLedger>,
    tracked: BTreeSet<RepositoryId>,
}

impl<'a> Reading<'a> {
    fn change(&self, id: &ChangeId) -> Option<&'a Change> {
        self.world.repositories.get(&id.repository)?.changes.get(&id.number)
    }

    fn hosted(&self, id: &RepositoryId) -> bool {
        self.world.repositories.get(id).is_some_and(|one| one.hosted)
    }

    fn contained(&self, id: &RepositoryId, head: crosswatch_core::model::identity::Oid) -> bool {
        let main = self.world.repositories.get(id).map(|one| one.main);
        main.is_some_and(|main| self.world.git.contains(head, main))
    }

    fn open(&self, id: &ChangeId) -> Option<&'a Change> {
        let change = self.change(id).filter(|change| change.state == State::Open)?;
        let merged = !self.hosted(&id.repository) && self.contained(&id.repository, change.head);
        (!merged).then_some(change)
    }

    /// The open change whose source branch that is.
    fn owner(&self, repository: &RepositoryId, branch: &Name) -> Option<ChangeId> {
        let numbers = self.world.repositories.get(repository)?.changes.keys();
        numbers.map(|number| repository.change(*number)).find(|id| {
            let writer = self.open(id).is_some_and(|change| change.author == Who::Writer);
            writer && world::topic(id.number) == *branch
        })
    }

    /// The change that it stands on, and the base of the bottom of its stack.
    fn stack(&self, id: &ChangeId) -> (Option<ChangeId>, Name) {
        let own = self.open(id).map_or_else(|| "main".into(), |change| change.base.clone());
        let Some(first) = self.owner(&id.repository, &own) else { return (None, own) };
        let (mut seen, mut bottom) = (vec![id.clone()], first.clone());
        loop {
            if seen.contains(&bottom) {
                return (None, own);
            }
            seen.push(bottom.clone());
            let base = self.open(&bottom).map_or_else(|| "main".into(), |c| c.base.clone());
            match self.owner(&id.repository, &base) {
                Some(next) => bottom = next,
                None => return (Some(first), base),
            }
        }
    }

    fn base(&self, id: &ChangeId) -> Name {
        self.stack(id).1
    }

    fn leads(&self, to: &ChangeId) -> Leads {
        if !self.tracked.contains(&to.repository) {
            return Leads::Nowhere;
        }
        if self.open(to).is_some() {
            let fits = &*self.base(to) == "main";
            return if fits { Leads::Member(to.clone()) } else { Leads::Nowhere };
        }
        let closed = |head| {
            if self.contained(&to.repository, head) { Leads::Nowhere } else { Leads::Closed }
        };
        match self.change(to) {
            // Merged: what stands for it is in the mainline.
            Some(change) if matches!(change.state, State::Merged(_)) => Leads::Nowhere,
            Some(change) if !self.hosted(&to.repository) => closed(change.head),
            Some(change) if change.landed => Leads::Nowhere,
            Some(change) => closed(change.head),
            None if self.hosted(&to.repository) => Leads::Nowhere,
            // A plain git server shows no more of it than what was seen.
            None => match self.ledger.and_then(|ledger| ledger.changes.get(to)) {
                Some(facts) => closed(facts.head),
                None => Leads::Nowhere,
            },
        }
    }

    /// What a change depends on directly, and whether some of it was closed.
    fn needs(&self, id: &ChangeId) -> (BTreeSet<ChangeId>, bool) {
        let Some(change) = self.open(id) else { return (BTreeSet::new(), false) };
        let trailers = self.world.git.get(change.head).map(|commit| &commit.names);
        let names = match (self.hosted(&id.repository), change.author) {
            (false, _) => trailers,
            (true, Who::Bot) => None,
            (true, _) => Some(&change.names),
        };
        let mut needs: BTreeSet<ChangeId> = self.stack(id).0.into_iter().collect();
        let mut closed = false;
        for name in names.into_iter().flatten().filter(|name| *name != id) {
            match self.leads(name) {
                Leads::Member(member) => drop(needs.insert(member)),
                Leads::Closed => closed = true,
                Leads::Nowhere => {}
            }
        }
        (needs, closed)
    }

    fn reach(&self, id: &ChangeId) -> BTreeSet<ChangeId> {
        let mut reached = BTreeSet::from([id.clone()]);
        let mut queue = vec![id.clone()];
        while let Some(next) = queue.pop() {
            for other in self.needs(&next).0 {
                if reached.insert(other.clone()) {
                    queue.push(other);
                }
            }
        }
        reached
    }

    fn expected(&self, id: &ChangeId) -> Expected {
        let variant = &self.books.variant;
        let reached = self.reach(id);
        let member = |id: &ChangeId| {
            let head = self.open(id)?.head;
            Some(SetMember { change: id.clone(), head, base: self.base(id) })
        };
        let set: Vec<SetMember> = reached.iter().filter_map(member).collect();
        let cut = set.len() > variant.max_dependencies + 1;
        let closed = reached.iter().any(|id| self.needs(id).1);
        let git = &self.world.git;
        let two = set.iter().any(|one| {
            set.iter().any(|other| {
                one.change.repository == other.change.repository
                    && one.change.number < other.change.number
                    && one.base == other.base
                    && !git.contains(one.head, other.head)
                    && !git.contains(other.head, one.head)
            })
        });
        let blocked = cut
            || (closed && variant.on_closed == OnClosed::Block)
            || (two && variant.same_repository == SameRepository::Block);
        let cycle = reached.iter().filter(|other| self.reach(other).contains(id));
        let leader = cycle.min().filter(|least| *least != id).cloned();
        Expected { set, blocked, cut, leader }
    }
}

impl<'a> Oracle<'a> {
    /// Of the world as it is.
    pub fn new(world: &'a World, books: &'a Books, view: &'a LedgerView) -> Self {
        let mut workspaces = BTreeMap::new();
        for name in ["w", "v"] {
            let mut tracked: BTreeSet<RepositoryId> =
                world.tracked(name).into_iter().map(world::id).collect();
            if name == "w" {
                tracked.insert(world::id(DEFINITIONS));
            }
            let ledger = view.workspaces.get(name).map(AsRef::as_ref);
            let reading = Reading { world, books, ledger, tracked };
            let mut expected = BTreeMap::new();
            for id in &reading.tracked {
                let numbers = world.repositories.get(id).map(|one| one.changes.keys());
                for number in numbers.into_iter().flatten() {
                    let change = id.change(*number);
                    if reading.open(&change).is_some() && &*reading.base(&change) == "main" {
                        expected.insert(change.clone(), reading.expected(&change));
                    }
                }
            }
            workspaces.insert(name.into(), expected);
        }
        Self { world, books, view, workspaces }
    }

    fn epoch(&self, workspace: &Name) -> String {
        let epoch = if **workspace == *"w" { self.books.variant.epoch } else { 0 };
        epoch.to_string()
    }

    /// Attempts of exactly this set in the present epoch.
    fn attempts(
        &self,
        workspace: &Name,
        subject: &Subject,
        set: &[SetMember],
    ) -> Vec<&AttemptView> {
        let part = self.view.workspaces.get(workspace);
        let all = part.and_then(|part| part.attempts.get(subject));
        let same = |attempt: &&AttemptView| {
            let epoch = attempt.parts.iter().find(|part| part.what == "epoch");
            sorted(&attempt.set) == sorted(set)
                && epoch.is_some_and(|part| part.value == self.epoch(workspace))
                && attempt.stage != Stage::Dropped
        };
        all.into_iter().flatten().filter(same).collect()
    }

    /// What is triggered when all was read must be what is there.
    pub fn may_be_built(
        &self,
        workspace: &Name,
        subject: &Subject,
        set: &[SetMember],
    ) -> Result<(), Failure> {
        let Some(change) = subject.change() else { return Ok(()) };
        let expected = self.workspaces.get(workspace).and_then(|all| all.get(change));
        let Some(expected) = expected else {
            return Err(Failure(format!("{workspace} {subject} is built and is not open")));
        };
        if expected.blocked || sorted(set) != expected.set {
            let set = sorted(set);
            return Err(Failure(format!(
                "{workspace} {subject} is built as {set:?}, {expected:?}"
            )));
        }
        Ok(())
    }

    /// The word for what has to become of a change, once everything that can happen did.
    fn word(&self, workspace: &Name, change: &ChangeId) -> &'static str {
        let Some(all) = self.workspaces.get(workspace) else { return "absent" };
        let Some(expected) = all.get(change) else { return "absent" };
        if let Some(leader) = &expected.leader {
            return match self.word(workspace, leader) {
                "unchanged" => "covered",
                other => other,
            };
        }
        let variant = &self.books.variant;
        if expected.blocked {
            return "blocked";
        }
        let subject = Subject::Change(change.clone());
        if variant.dependencies == Dependencies::Tops {
            let covers = all.iter().any(|(other, above)| {
                let subject = Subject::Change(other.clone());
                other != change
                    && above.leader.is_none()
                    && above.set.iter().any(|member| member.change == *change)
                    && above.set.len() > expected.set.len()
                    && self.may(workspace, &subject, &above.set)
                    && self.word(workspace, other) == "unchanged"
            });
            if covers {
                return "covered";
            }
        }
        let attempts = self.attempts(workspace, &subject, &expected.set);
        if variant.paused && **workspace == *"w" {
            return "held";
        }
        let ledger = self.view.workspaces.get(workspace);
        let asked = ledger.is_some_and(|ledger| {
            let all = ledger.attempts.get(&subject).map_or(&[][..], Vec::as_slice);
            let asked = ledger.rebuilds.get(&subject);
            asked.is_some_and(|asked| all.iter().all(|a| a.decided_at < asked.at))
        });
        let may = self.may(workspace, &subject, &expected.set);
        if attempts.is_empty() {
            let repository = self.world.repositories.get(&change.repository);
            let truth = repository.and_then(|one| one.changes.get(&change.number));
            let archived = repository.is_some_and(|one| one.archived);
            let draft = truth.is_some_and(|c| repository.is_some_and(|r| r.hosted) && c.draft);
            let facts = ledger.and_then(|ledger| ledger.changes.get(change));
            let adopted = facts.is_some_and(|facts| matches!(facts.adopted, Adopted::Held(_)));
            if !asked && (archived || (draft && variant.drafts == Drafts::Hold)) {
                return "held";
            }
            if !may || adopted {
                return "held";
            }
            return "unbuilt";
        }
        let mut newest_first = attempts;
        newest_first.sort_by_key(|attempt| std::cmp::Reverse(attempt.attempt));
        let is_lost = |a: &&&AttemptView| a.stage == Stage::Ended(Verdict::Lost);
        let word = match newest_first.first().map(|attempt| attempt.stage) {
            Some(Stage::Ended(Verdict::Success | Verdict::Failure)) => "unchanged",
            Some(Stage::Ended(Verdict::Refused)) => "blocked",
            _ if newest_first.iter().take_while(is_lost).count() >= 3 => "blocked",
            _ => "unbuilt",
        };
        // What is trusted no more is not tried again.
        if !may && (asked || word == "unbuilt") { "held" } else { word }
    }

    fn may(&self, workspace: &Name, subject: &Subject, set: &[SetMember]) -> bool {
        let approvals = self.view.workspaces.get(workspace).map(|part| &part.approvals);
        let approved = approvals
            .into_iter()
            .flatten()
            .any(|approval| approval.subject == *subject && sorted(&approval.set) == sorted(set));
        approved || set.iter().all(|member| self.books.trusted(self.world, member))
    }

    /// Once the faults are over: what should have been built was, and nothing else is said.
    pub fn check(&self, snapshot: &Snapshot, plan: &Plan) -> Result<(), Failure> {
        for workspace in &plan.workspaces {
            let name = &workspace.workspace;
            let all = self.workspaces.get(&workspace.id);
            for (change, expected) in all.into_iter().flatten() {
                let subject = Subject::Change(change.clone());
                let word = self.word(&workspace.id, change);
                let Some(planned) = workspace.subject(&subject) else {
                    return Err(Failure(format!("{name} {change} is open and not in the plan")));
                };
                let said = planned.decision.word();
                if said != word {
                    let decision = &planned.decision;
                    return Err(Failure(format!(
                        "{name} {change} should be {word}: {decision:?}, {expected:?}"
                    )));
                }
                if !expected.cut
                    && expected.leader.is_none()
                    && sorted(&planned.set) != expected.set
                {
                    return Err(Failure(format!(
                        "{name} {change} has the set {:?}, not {:?}",
                        planned.set, expected.set
                    )));
                }
            }
            for planned in workspace.subjects() {
                let Some(change) = planned.subject.change() else { continue };
                if all.is_none_or(|all| !all.contains_key(change)) {
                    let decision = &planned.decision;
                    return Err(Failure(format!("{name} {change} is not open: {decision:?}")));
                }
            }
            self.mainline(snapshot, workspace)?;
        }
        Ok(())
    }

    fn mainline(
        &self,
        snapshot: &Snapshot,
        workspace: &crosswatch_core::model::plan::WorkspacePlan,
    ) -> Result<(), Failure> {
        let name = &workspace.workspace;
        let ledger = self.view.workspaces.get(&workspace.id);
        let Some(planned) = workspace.subject(&Subject::Mainline) else {
            return Err(Failure(format!("{name} has no mainline")));
        };
        let paused = self.books.variant.paused && *workspace.id == *"w";
        match &*planned.decision {
            Decision::Unchanged { .. } => {}
            Decision::Blocked { .. } => return Ok(()),
            Decision::Held { .. } if paused => return Ok(()),
            other => return Err(Failure(format!("{name} mainline: {other:?}"))),
        }
        let heads = self.world.checkouts(&workspace.id);
        let explainer = Explainer::new(snapshot, self.view, workspace);
        for part in explainer.iter().flat_map(|explainer| explainer.parts(planned)) {
            let package = part.what.split(' ').next().unwrap_or_default();
            if let Some(head) = heads.get(package)
                && part.value != head.to_string()
            {
                return Err(Failure(format!("{name} mainline is not at the head of {package}")));
            }
        }
        let recorded = ledger.and_then(|ledger| ledger.mainline.as_ref()).map(|f| f.recorded);
        let attempts = ledger.and_then(|ledger| ledger.attempts.get(&Subject::Mainline));
        let fingerprint = workspace.fingerprint(planned);
        let verdict = attempts.into_iter().flatten().any(|attempt| {
            Some(attempt.fingerprint) == fingerprint
                && matches!(attempt.stage, Stage::Ended(verdict) if verdict.spends())
        });
        if verdict || recorded == fingerprint {
            return Ok(());
        }
        Err(Failure(format!("{name} mainline has no verdict")))
    }
}

fn sorted(set: &[SetMember]) -> Vec<SetMember> {
    let mut set = set.to_vec();
    set.sort_by(|one, other| one.change.cmp(&other.change));
    set
}
