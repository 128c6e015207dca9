//! The daemon around the pure parts: a ledger that survives a crash, and everything that does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::control::lifecycle::{self, Step};
use crosswatch_core::control::outbox::{self, Effect, Row};
use crosswatch_core::control::{polling, slots};
use crosswatch_core::model::build::{BuildRequest, RequestId, Stage};
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::ledger_view::{AttemptView, LedgerView};
use crosswatch_core::model::locator::Locator;
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::plan::{Decision, Plan};
use crosswatch_core::model::settings::Settings;
use crosswatch_core::model::snapshot::{RepositoryPart, Snapshot, Updated, WorkspacePart};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::plan::incremental::Planner;
use crosswatch_core::plan::update_inputs;

use super::world::{Random, Server, manifest};

/// What a crash leaves: the ledger and the state of the workspace.
pub struct Kept {
    pub ledger: LedgerView,
    pub rows: BTreeMap<RequestId, (Row, BuildRequest)>,
    lifecycle: lifecycle::State,
    part: WorkspacePart,
}

pub struct Daemon {
    pub kept: Kept,
    settings: Arc<Settings>,
    pub snapshot: Snapshot,
    planner: Planner,
    polling: polling::State,
    looks: Vec<RepositoryId>,
    pub outbox: outbox::State,
    pub todo: Vec<Effect>,
    slots: slots::State,
    running: Option<Step>,
    pub plan: Option<Plan>,
}

impl Daemon {
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        let part = WorkspacePart {
            name: "w".into(),
            manifest: Observed::not_read_yet(now),
            updated: None,
            failure: None,
            pending: true,
        };
        let ledger = LedgerView { ledger_id: "ledger".to_owned(), ..LedgerView::default() };
        let lifecycle = lifecycle::State::default();
        let kept = Kept { ledger, rows: BTreeMap::new(), lifecycle, part };
        Self::start(kept, Arc::new(settings), now)
    }

    fn start(mut kept: Kept, settings: Arc<Settings>, now: Timestamp) -> Self {
        // What was running is not written down.
        let written = serde_json::to_string(&kept.lifecycle).expect("json");
        kept.lifecycle = serde_json::from_str(&written).expect("json");
        let snapshot = Snapshot {
            at: now,
            locator: Arc::new(Locator::new(&settings)),
            settings: Arc::clone(&settings),
            workspaces: Arc::new([(Name::from("w"), Arc::new(kept.part.clone()))].into()),
            repositories: Arc::default(),
            answers: Arc::default(),
            times: Arc::default(),
        };
        Self {
            kept,
            settings,
            snapshot,
            planner: Planner::new(),
            polling: polling::State::default(),
            looks: Vec::new(),
            outbox: outbox::State::default(),
            todo: Vec::new(),
            slots: slots::State::default(),
            running: None,
            plan: None,
        }
    }

    pub fn crash(self, now: Timestamp) -> Self {
        Self::start(self.kept, self.settings, now)
    }

    fn inputs(&self) -> Option<lifecycle::Inputs> {
        update_inputs(&self.snapshot, self.settings.workspaces.first().expect("one"))
    }

    /// The workspace asks for a slot, is granted one, or its step ends.
    pub fn workspace(
        &mut self,
        random: &mut Random,
        server: &Server,
        faults: bool,
        now: Timestamp,
    ) {
        let mut events = vec![lifecycle::Event::Tick(self.inputs())];
        if self.running.is_some() && random.once_in(3) {
            let step = self.running.take();
            let succeeded = !(faults && random.once_in(3));
            if succeeded && step == Some(Step::Update) {
                let part = &mut self.kept.part;
                part.manifest = part.manifest.replaced_by(Observed::known(manifest()));
                let inputs = self.inputs().unwrap_or_default();
                part_updated(&mut self.kept.part, Updated { checkouts: server.heads(), inputs });
            }
            self.kept.part.failure = (!succeeded).then(|| "it broke".to_owned());
            let end = if succeeded { lifecycle::End::Succeeded } else { lifecycle::End::Failed };
            events.push(lifecycle::Event::Ended(end));
        }
        while let Some(event) = events.pop() {
            let rules = lifecycle::Rules { key: "w", rebootstrap_after: 5 };
            for effect in lifecycle::step(&mut self.kept.lifecycle, event, &rules, now) {
                let event = match effect {
                    lifecycle::Effect::Request(priority) => {
                        slots::Event::Request("w".into(), priority)
                    }
                    lifecycle::Effect::Release => slots::Event::Release("w".into()),
                    lifecycle::Effect::Run(step) => {
                        self.running = Some(step);
                        continue;
                    }
                    // The simulation has no directories.
                    lifecycle::Effect::SetAside
                    | lifecycle::Effect::PutBack
                    | lifecycle::Effect::KeepNew => continue,
                };
                let room = slots::Room { at_most: 1, overloaded: false };
                for slots::Effect::Grant(_) in slots::step(&mut self.slots, event, room, now) {
                    events.push(lifecycle::Event::Granted(self.inputs()));
                }
            }
        }
        self.kept.part.pending = lifecycle::pending(&self.kept.lifecycle, self.inputs().as_ref());
        let known = self.snapshot.workspaces.get("w").map(|part| &**part);
        if known != Some(&self.kept.part) {
            Arc::make_mut(&mut self.snapshot.workspaces)
                .insert("w".into(), Arc::new(self.kept.part.clone()));
        }
    }

    /// Looks at repositories; a look reads what is there when it ends.
    pub fn poll(&mut self, random: &mut Random, server: &Server, now: Timestamp) {
        let mut events = vec![polling::Event::Tick];
        if let Some(workspace) = self.plan.as_ref().and_then(|plan| plan.workspaces.first()) {
            let wanted = workspace.watched.keys().map(|id| polling::Wanted {
                id: id.clone(),
                server: "git.example.org".to_owned(),
                interval: Span::minutes(1),
                marks: None,
            });
            events.push(polling::Event::Watch(wanted.collect()));
        }
        for id in std::mem::take(&mut self.looks) {
            if random.once_in(3) {
                self.looks.push(id);
                continue;
            }
            let read = server.listing(&id);
            let part = self.snapshot.repositories.get(&id);
            let before =
                part.map_or_else(|| Observed::not_read_yet(now), |part| part.listing.clone());
            let answered = read.is_some();
            let listing = match read {
                Some(listing) => before.replaced_by(Observed::known(listing)),
                None => before.failed("timed out", now),
            };
            let spelling = id.path.to_string();
            let url = format!("https://git.example.org/{spelling}");
            let next = RepositoryPart { id: id.clone(), spelling, url, listing };
            if part.is_none_or(|part| **part != next) {
                Arc::make_mut(&mut self.snapshot.repositories).insert(id.clone(), Arc::new(next));
            }
            events.push(polling::Event::Looked { id, answered });
        }
        for event in events {
            for effect in polling::step(&mut self.polling, event, now) {
                if let polling::Effect::Look(id) = effect {
                    self.looks.push(id);
                }
            }
        }
    }

    /// One pass: plan, commit.
    pub fn pass(&mut self, random: &mut Random, server: &Server, now: Timestamp) {
        self.snapshot.at = now;
        let (plan, equal) = self.planner.check(&self.snapshot, &self.kept.ledger);
        assert!(equal, "the incremental plan is another one than that from scratch");
        self.commit(&plan);
        for question in &plan.wanted {
            if !random.once_in(5)
                && let Some(answer) = server.answer(question)
            {
                Arc::make_mut(&mut self.snapshot.answers)
                    .insert(question.clone(), Observed::known(answer));
            }
        }
        self.plan = Some(plan);
    }

    fn commit(&mut self, plan: &Plan) {
        let workspace = plan.workspaces.first().expect("a workspace");
        let Kept { ledger, rows, .. } = &mut self.kept;
        let ledger = Arc::make_mut(ledger.workspaces.entry("w".into()).or_default());
        ledger.looks.extend(workspace.looks.iter().cloned());
        ledger.changes.extend(workspace.facts.iter().cloned());
        if let Some(facts) = &workspace.mainline {
            ledger.mainline = Some(facts.clone());
        }
        for planned in &workspace.subjects {
            for gone in &planned.superseded {
                if let Some(change) = planned.subject.change() {
                    let members = planned.set.iter().map(|member| &member.change.repository);
                    for id in members.chain([&change.repository]) {
                        let part = self.snapshot.repositories.get(id);
                        let known = part.is_some_and(|part| part.listing.value().is_some());
                        assert!(known, "{change} was superseded while {id} was not known");
                    }
                }
                if let Some((row, _)) = rows.get_mut(&gone.request_id) {
                    row.cancel_wanted |= gone.cancel;
                    if row.stage == Stage::Queued {
                        mark(ledger, row, Stage::Dropped, plan.at);
                    }
                }
            }
            for trigger in &planned.triggers {
                let request = trigger.request.clone();
                let row = Row {
                    id: request.request_id,
                    ci: trigger.ci.clone(),
                    workspace: "w".into(),
                    stage: Stage::Queued,
                    priority: trigger.priority,
                    queued_at: plan.at,
                    not_before: None,
                    sending_deadline: None,
                    taken_at: None,
                    cancel_wanted: false,
                };
                let queued = AttemptView::queued(row.ci.clone(), &request, planned.parts.clone());
                ledger.attempts.entry(planned.subject.clone()).or_default().push(queued);
                let before = rows.insert(row.id, (row, request));
                assert!(before.is_none(), "one request id twice");
            }
        }
    }

    pub fn mark(&mut self, id: RequestId, stage: Stage, now: Timestamp) {
        let Kept { ledger, rows, .. } = &mut self.kept;
        let ledger = Arc::make_mut(ledger.workspaces.entry("w".into()).or_default());
        if let Some((row, _)) = rows.get_mut(&id) {
            mark(ledger, row, stage, now);
        }
    }

    /// Whether nothing is under way or waits for time.
    pub fn quiet(&self) -> bool {
        let Some(plan) = &self.plan else { return false };
        let waits = |decision: &Decision| {
            matches!(
                decision,
                Decision::Unknown { .. }
                    | Decision::Build { .. }
                    | Decision::Superseded { .. }
                    | Decision::Held { .. }
            )
        };
        plan.wanted.is_empty()
            && !self.kept.part.pending
            && plan.workspaces.iter().flat_map(|w| &w.subjects).all(|s| !waits(&s.decision))
            && self.kept.rows.values().all(|(row, _)| !row.stage.open())
    }
}

fn part_updated(part: &mut WorkspacePart, updated: Updated) {
    part.updated = Some(updated);
}

fn mark(
    ledger: &mut crosswatch_core::model::ledger_view::WorkspaceLedger,
    row: &mut Row,
    stage: Stage,
    now: Timestamp,
) {
    row.stage = stage;
    if stage == Stage::Sent {
        row.taken_at = Some(now);
    }
    for attempt in ledger.attempts.values_mut().flatten() {
        if attempt.request_id == row.id {
            attempt.stage = stage;
            attempt.ended_at = (!stage.open()).then_some(now);
        }
    }
}
