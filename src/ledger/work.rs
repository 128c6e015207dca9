//! What of a plan has to be written, worked out without the database.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::model::build::{RequestId, Stage};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::{
    ChangeFacts, LedgerView, Look, MainlineFacts, WorkspaceLedger,
};
use crosswatch_core::model::plan::{Plan, SubjectPlan, Superseded, Trigger, WorkspacePlan};

/// What the last commits wrote, so that a plan that says the same again writes nothing.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The term that it was gathered in.
    pub(super) term: i64,
    /// Word and reason of the last decision, by workspace.
    pub(super) decisions: BTreeMap<Name, BTreeMap<Subject, (String, String)>>,
    /// Superseded attempts that were dropped or marked already.
    pub(super) settled: BTreeSet<RequestId>,
}

/// Something to write for one subject, or the looks of a workspace.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) workspace: &'a Name,
    pub(super) subject: Subject,
    pub(super) plan: Option<&'a SubjectPlan>,
    pub(super) facts: Option<&'a ChangeFacts>,
    pub(super) mainline: Option<&'a MainlineFacts>,
    pub(super) triggers: Vec<&'a Trigger>,
    pub(super) superseded: Vec<&'a Superseded>,
    pub(super) decision: Option<(&'static str, &'a str)>,
    /// Looks come last in a workspace: without them its changes are adopted again after a crash,
    /// which is what a first look does anyway.
    pub(super) looks: Vec<&'a Look>,
}

impl<'a> Work<'a> {
    fn new(workspace: &'a Name, subject: Subject) -> Self {
        Self {
            workspace,
            subject,
            plan: None,
            facts: None,
            mainline: None,
            triggers: Vec::new(),
            superseded: Vec::new(),
            decision: None,
            looks: Vec::new(),
        }
    }

    fn nothing(&self) -> bool {
        self.facts.is_none()
            && self.mainline.is_none()
            && self.triggers.is_empty()
            && self.superseded.is_empty()
            && self.decision.is_none()
            && self.looks.is_empty()
    }
}

/// Everything of the plan that the ledger does not have yet, in the order to write it.
pub(super) fn to_write<'a>(plan: &'a Plan, view: &LedgerView, memory: &Memory) -> Vec<Work<'a>> {
    let empty = WorkspaceLedger::default();
    let mut all = Vec::new();
    for workspace in &plan.workspaces {
        let known = view.workspaces.get(&workspace.id).map_or(&empty, |known| known);
        of_workspace(workspace, known, memory, &mut all);
    }
    all
}

fn of_workspace<'a>(
    plan: &'a WorkspacePlan,
    known: &WorkspaceLedger,
    memory: &Memory,
    all: &mut Vec<Work<'a>>,
) {
    let id = &plan.id;
    let mut works: BTreeMap<Subject, Work<'a>> = BTreeMap::new();
    let decisions = memory.decisions.get(id);
    for subject in &plan.subjects {
        let attempts = known.attempts.get(&subject.subject).map_or(&[][..], Vec::as_slice);
        let stage_of = |request: &RequestId| {
            attempts.iter().find(|attempt| attempt.request_id == *request).map(|found| found.stage)
        };
        let mut work = Work::new(id, subject.subject.clone());
        work.plan = Some(subject);
        work.triggers = subject
            .triggers
            .iter()
            .filter(|trigger| {
                matches!(stage_of(&trigger.request.request_id), None | Some(Stage::Dropped))
            })
            .collect();
        work.superseded = subject
            .superseded
            .iter()
            .filter(|old| !memory.settled.contains(&old.request_id))
            .filter(|old| match stage_of(&old.request_id) {
                None => true,
                Some(Stage::Queued) => true,
                Some(stage) => old.cancel && stage.open(),
            })
            .collect();
        let (word, reason) = (subject.decision.word(), subject.decision.reason());
        let last = decisions.and_then(|decisions| decisions.get(&subject.subject));
        if last.is_none_or(|last| last.0 != word || last.1 != reason) {
            work.decision = Some((word, reason));
        }
        works.insert(subject.subject.clone(), work);
    }
    for (change, facts) in &plan.facts {
        if known.changes.get(change) != Some(facts) {
            let subject = Subject::Change(change.clone());
            works.entry(subject.clone()).or_insert_with(|| Work::new(id, subject)).facts =
                Some(facts);
        }
    }
    if let Some(facts) = &plan.mainline
        && known.mainline.as_ref() != Some(facts)
    {
        works
            .entry(Subject::Mainline)
            .or_insert_with(|| Work::new(id, Subject::Mainline))
            .mainline = Some(facts);
    }
    all.extend(works.into_values().filter(|work| !work.nothing()));
    let looks: Vec<&Look> = plan.looks.iter().filter(|look| !known.looks.contains(look)).collect();
    if !looks.is_empty() {
        let mut work = Work::new(id, Subject::Mainline);
        work.looks = looks;
        all.push(work);
    }
}
