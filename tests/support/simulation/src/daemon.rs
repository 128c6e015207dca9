//! The daemon around the pure parts: what survives a crash, and everything that does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::control::leap::Leaps;
use crosswatch_core::control::{lifecycle, outbox, slots};
use crosswatch_core::model::build::Stage;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::ledger_view::LedgerView;
use crosswatch_core::model::locator::Locator;
use crosswatch_core::model::plan::{Plan, WorkspacePlan};
use crosswatch_core::model::settings::Settings;
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::model::time::Timestamp;
use crosswatch_core::plan::explain::Explainer;
use crosswatch_core::plan::incremental::Planner;
use crosswatch_core::plan::{plan, update_inputs};

use crate::Failure;
use crate::checks::Books;
use crate::ledger::Ledger;
use crate::looking::{self, Looking};
use crate::random::Random;
use crate::workspace::{self, Kept, Running};
use crate::world::World;

/// The daemon.
pub struct Daemon {
    /// Workspaces by id, as a crash leaves them.
    pub kept: BTreeMap<Name, Kept>,
    /// The configuration in force.
    pub settings: Arc<Settings>,
    /// What it sees.
    pub snapshot: Snapshot,
    /// What it asks of forges.
    pub looking: Looking,
    /// What is under way at the CI.
    pub outbox: outbox::State,
    /// Acts at the CI that are not carried out yet.
    pub todo: Vec<outbox::Effect>,
    /// What it last published.
    pub plan: Option<Plan>,
    leaps: Leaps,
    planner: Planner,
    slots: slots::State,
    running: BTreeMap<Name, Running>,
    ordered: BTreeMap<Name, bool>,
    granted: Vec<Name>,
}

impl Daemon {
    /// One that starts with what a crash left.
    pub fn start(
        kept: BTreeMap<Name, Kept>,
        settings: Arc<Settings>,
        looking: Looking,
        now: Timestamp,
    ) -> Self {
        let kept = kept.into_iter().map(|(id, kept)| (id, kept.restarted())).collect();
        let snapshot = Snapshot::unread(now, Arc::clone(&settings));
        let mut daemon = Self {
            kept,
            settings,
            snapshot,
            looking,
            outbox: outbox::State::default(),
            todo: Vec::new(),
            plan: None,
            leaps: Leaps::default(),
            planner: Planner::new(),
            slots: slots::State::default(),
            running: BTreeMap::new(),
            ordered: BTreeMap::new(),
            granted: Vec::new(),
        };
        daemon.show(now);
        daemon
    }

    /// It dies and starts again.
    pub fn crash(self, now: Timestamp) -> Self {
        let looking = self.looking.restarted();
        Self::start(self.kept, self.settings, looking, now)
    }

    /// Another configuration is put in force.
    pub fn reload(&mut self, settings: Settings, now: Timestamp) {
        let settings = Arc::new(settings);
        self.snapshot.locator = Arc::new(Locator::new(&settings));
        self.snapshot.settings = Arc::clone(&settings);
        self.settings = settings;
        let ids: Vec<Name> = self.settings.workspaces.iter().map(|one| one.id.clone()).collect();
        for id in self.kept.keys().filter(|id| !ids.contains(id)) {
            // What ran there is ended with it, and it waits for nothing any more.
            self.running.remove(id);
            let room = slots::Room { at_most: 1, overloaded: false };
            let event = slots::Event::Release(id.clone());
            for slots::Effect::Grant(name) in slots::step(&mut self.slots, event, room, now) {
                self.granted.push(name);
            }
        }
        let gone: Vec<Name> = self.kept.keys().filter(|id| !ids.contains(id)).cloned().collect();
        for id in gone {
            if let Some(kept) = self.kept.remove(&id) {
                // Its folder stays for the case that it comes back.
                self.kept.insert(id, kept.restarted());
            }
        }
        self.show(now);
    }

    /// The parts of the configured workspaces, under their names.
    fn show(&mut self, now: Timestamp) {
        let mut parts = BTreeMap::new();
        for settings in &self.settings.workspaces {
            let (id, name) = (settings.id.clone(), settings.name.clone());
            let kept = self.kept.entry(id).or_insert_with(|| Kept::new(name.clone(), now));
            kept.part.name = name.clone();
            let before = self.snapshot.workspaces.get(&name);
            parts.insert(name, workspace::shared(before, kept));
        }
        let same = |(name, part): (&Name, &Arc<_>)| {
            self.snapshot.workspaces.get(name).is_some_and(|before| Arc::ptr_eq(before, part))
        };
        if parts.len() != self.snapshot.workspaces.len() || !parts.iter().all(same) {
            self.snapshot.workspaces = Arc::new(parts);
        }
    }

    /// A person wants an update, or a fresh directory.
    pub fn order(&mut self, id: Name, fresh: bool) {
        self.ordered.insert(id, fresh);
    }

    /// Life cycles and subprocesses move on.
    pub fn workspaces(&mut self, outside: &mut looking::Outside<'_>) -> Result<(), Failure> {
        let mut ids: Vec<Name> =
            self.settings.workspaces.iter().map(|one| one.id.clone()).collect();
        let mut granted = std::mem::take(&mut self.granted);
        while !ids.is_empty() || !granted.is_empty() {
            let by_grant = granted.pop();
            let Some(id) = by_grant.clone().or_else(|| ids.pop()) else { break };
            let found = self.settings.workspaces.iter().find(|one| one.id == id);
            let (Some(settings), Some(mut kept)) = (found.cloned(), self.kept.remove(&id)) else {
                continue;
            };
            let mut running = self.running.remove(&id);
            let snapshot = &self.snapshot;
            let inputs = || update_inputs(snapshot, &settings);
            let event = match by_grant {
                Some(_) => Some(lifecycle::Event::Granted(inputs())),
                None => self.ordered.remove(&id).map(|fresh| lifecycle::Event::Ordered { fresh }),
            };
            let mut seen = workspace::Outside {
                random: &mut *outside.random,
                world: outside.world,
                slots: &mut self.slots,
                faults: outside.faults,
                now: outside.now,
                truly: outside.truly,
            };
            let more = workspace::advance(&id, &mut kept, &mut running, &inputs, event, &mut seen);
            granted.extend(more);
            kept.check()?;
            if let Some(running) = running {
                self.running.insert(id.clone(), running);
            }
            self.kept.insert(id, kept);
        }
        self.show(outside.now);
        Ok(())
    }

    /// One pass: plan, compare, commit. `Ok(true)` if it crashed around its commit.
    pub fn pass(
        &mut self,
        ledger: &mut dyn Ledger,
        books: &mut Books,
        random: &mut Random,
        world: &World,
        faults: bool,
    ) -> Result<bool, Failure> {
        let now = self.snapshot.at;
        if let Some(leap) = self.leaps.look(now, books.awake_since(Timestamp::default())) {
            ledger.carry(leap, now);
            self.leaps.carried();
        }
        let view = ledger.view();
        let made = self.planner.plan(&self.snapshot, &view);
        let scratch = plan(&self.snapshot, &view);
        if made != scratch {
            return Err(Failure(format!(
                "the incremental plan is another one than that from scratch: {}",
                difference(&made, &scratch)
            )));
        }
        books.planned(&made, &self.snapshot, &view, world)?;
        if random.once_in(8) {
            self.explain(&made, &view, random)?;
        }
        if faults && random.once_in(60) {
            return Ok(true);
        }
        ledger.commit(&made, now);
        books.committed(&made);
        if faults && random.once_in(60) {
            return Ok(true);
        }
        let consulted: BTreeSet<_> =
            made.workspaces.iter().flat_map(|workspace| workspace.consulted()).collect();
        Arc::make_mut(&mut self.snapshot.answers)
            .retain(|question, _| consulted.contains(question));
        drop(consulted);
        self.plan = Some(made);
        Ok(false)
    }

    /// Each decision can be explained.
    fn explain(&self, plan: &Plan, view: &LedgerView, random: &mut Random) -> Result<(), Failure> {
        let Some(workspace) = random.pick(&plan.workspaces) else { return Ok(()) };
        let subjects: Vec<_> = workspace.subjects().collect();
        let Some(subject) = random.pick(&subjects) else { return Ok(()) };
        let explainer = Explainer::new(&self.snapshot, view, workspace);
        let Some(explainer) = explainer else {
            return Err(Failure(format!("{} cannot be explained", workspace.workspace)));
        };
        let explained = explainer.explain(subject);
        if explained.rule.is_empty() || explained.decision.reason().is_empty() {
            return Err(Failure(format!("{} has no reason", subject.subject)));
        }
        Ok(())
    }

    /// Whether nothing is under way or waits for time.
    pub fn quiet(&self, ledger: &mut dyn Ledger) -> bool {
        let Some(plan) = &self.plan else { return false };
        let pending = self.snapshot.workspaces.values().any(|part| part.pending);
        let waits = plan.workspaces.iter().flat_map(|one| one.subjects()).any(|planned| {
            use crosswatch_core::model::plan::{Decision, Held};
            match &*planned.decision {
                Decision::Unknown { .. } | Decision::Build { .. } | Decision::Superseded { .. } => {
                    true
                }
                Decision::Held { until: Some(_), .. } => true,
                Decision::Held { why, .. } => matches!(why, Held::Mainline | Held::Settling),
                _ => false,
            }
        });
        let open = ledger.rows().iter().any(|(row, _)| row.stage.open());
        plan.wanted.is_empty() && !pending && !waits && !open
    }

    /// Stage of each attempt that the ledger knows.
    pub fn stages(view: &LedgerView) -> BTreeMap<crosswatch_core::model::build::RequestId, Stage> {
        let attempts = view.workspaces.values().flat_map(|part| part.attempts.values().flatten());
        attempts.map(|attempt| (attempt.request_id, attempt.stage)).collect()
    }
}

/// The first subject that two plans decide differently, in words.
fn difference(one: &Plan, other: &Plan) -> String {
    for (one, other) in one.workspaces.iter().zip(&other.workspaces) {
        for (a, b) in one.subjects().zip(other.subjects()) {
            if a != b {
                return format!("{}: {a:?}\n  and {b:?}", one.workspace);
            }
        }
        if one != other {
            let fields = [
                ("inputs", one.inputs == other.inputs),
                ("watched", one.watched == other.watched),
                ("looks", one.looks == other.looks),
                ("facts", one.facts == other.facts),
                ("mainline", one.mainline == other.mainline),
                ("wanted", one.wanted() == other.wanted()),
                ("parts", one.parts == other.parts),
                ("next_at", one.next_at() == other.next_at()),
                ("subjects", one.subjects().count() == other.subjects().count()),
            ];
            let fields = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name);
            let fields: Vec<&str> = fields.collect();
            let times = (one.next_at(), other.next_at());
            let read = |plan: &WorkspacePlan| plan.consulted().cloned().collect::<BTreeSet<_>>();
            let (one_read, other_read) = (read(one), read(other));
            let consulted: Vec<_> = one_read.symmetric_difference(&other_read).collect();
            let name = &one.workspace;
            return format!("{name}: its {}, {times:?}, {consulted:?}", fields.join(", "));
        }
    }
    "beside the workspaces".to_owned()
}
