//! One case from its first look to its rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::{Approval, Rebuild};
use crosswatch_core::model::plan::{Decision, Held};
use crosswatch_core::model::time::{Span, Timestamp};

use crate::checks::{Books, SLEEP};
use crate::ci::Ci;
use crate::daemon::Daemon;
use crate::ledger::Ledger;
use crate::looking::{Looking, Outside};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::sending::{self, OnItsWay, Stop};
use crate::settings::Variant;
use crate::world::World;
use crate::{Case, Failure, Step};

/// When it begins.
const START: Timestamp = Timestamp(1_790_000_000_000);
/// True time within which everything has to come to rest.
const AT_MOST: Span = Span::hours(8);
/// Quiet rounds that are rest: more than one `reconcile`.
const ROUNDS: u32 = 6;

/// What a case went through.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Steps, those until it came to rest included.
    pub steps: u64,
    /// What was decided or happened at least once.
    pub seen: BTreeSet<String>,
}

/// A daemon in its world.
pub struct Simulation<'l> {
    truly: Timestamp,
    /// What the machine's clock is ahead by.
    ahead: i64,
    jumped_at: Option<Timestamp>,
    /// The clock jumped, or the daemon began anew, since its last pass.
    leapt: bool,
    began: bool,
    world: World,
    ci: Ci,
    wire: Vec<OnItsWay>,
    daemon: Option<Daemon>,
    books: Books,
    ledger: &'l mut dyn Ledger,
    steps: u64,
}

impl<'l> Simulation<'l> {
    /// Runs a case; gives what it went through.
    pub fn run(case: &Case, ledger: &'l mut dyn Ledger) -> Result<Taken, Failure> {
        let mut random = Random::of_step(case.seed, u32::MAX);
        let mut books = Books::default();
        for _ in 0..random.below(4) {
            books.variant.edit(&mut random);
        }
        (books.variant.paused, books.variant.second) = (false, true);
        let settings = Arc::new(books.variant.settings());
        let daemon = Daemon::start(BTreeMap::new(), settings, Looking::default(), START);
        let mut simulation = Self {
            truly: START,
            ahead: 0,
            jumped_at: None,
            leapt: false,
            began: false,
            world: World::new(&mut random, START),
            ci: Ci::default(),
            wire: Vec::new(),
            daemon: Some(daemon),
            books,
            ledger,
            steps: 0,
        };
        // The first look is not disturbed: what it adopts is another question.
        for _ in 0..12 {
            simulation.truly = simulation.truly + Span::seconds(20);
            simulation.work(&mut random, false)?;
        }
        for step in &case.steps {
            simulation.step(case.seed, *step)?;
        }
        simulation.rest(case.seed)?;
        Ok(Taken { steps: simulation.steps, seen: simulation.books.seen })
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.truly.0 + self.ahead)
    }

    /// What passed while the machine was awake.
    fn passed(&mut self) -> Span {
        self.books.now(self.truly);
        self.books.awake_since(Timestamp::default())
    }

    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("a daemon")
    }

    fn step(&mut self, seed: u64, step: Step) -> Result<(), Failure> {
        let mut random = Random::of_step(seed, step.index);
        if !step.calm {
            self.happens(&mut random);
        }
        // Slowly while a request is on its way: that is when the order of things matters.
        let longest = match self.wire.is_empty() {
            false => 4,
            true if random.once_in(10) => 300,
            true if random.once_in(60) => 4000,
            true => 20,
        };
        self.truly = self.truly + Span::seconds(random.below(longest));
        self.work(&mut random, !step.calm)
    }

    /// Something happens outside.
    fn happens(&mut self, random: &mut Random) {
        match random.below(24) {
            0..12 => {
                let moved = self.world.happens(random, self.truly);
                // Hints are lost, doubled, or about something else.
                let now = self.now();
                for _ in 0..random.below(3) {
                    let known = self.world.repositories.keys().next().cloned();
                    let lies = if random.once_in(6) { known } else { None };
                    if let Some(id) = lies.or_else(|| moved.clone()) {
                        self.daemon().looking.hint(id, now);
                    }
                }
            }
            12..14 => {
                let ids: Vec<_> = self.world.repositories.keys().cloned().collect();
                let down = random.once_in(2);
                if let Some(repository) =
                    random.pick(&ids).and_then(|id| self.world.repositories.get_mut(id))
                {
                    repository.down = down;
                }
            }
            14 => {
                // A whole forge goes, or everything comes back.
                let (hosted, down) = (random.once_in(2), random.once_in(3));
                let all = self.world.repositories.values_mut();
                all.filter(|one| !down || one.hosted == hosted).for_each(|one| one.down = down);
            }
            15 => self.ci.down = random.once_in(4),
            16 if random.once_in(2) => self.crash(),
            17 if random.once_in(2) => {
                self.books.seen.insert("a reload".to_owned());
                self.books.variant.edit(random);
                self.reload();
            }
            18..21 => self.people(random),
            21 if random.once_in(5) => self.jump(random),
            22 => {
                let builds: Vec<_> = self.ci.builds.keys().copied().collect();
                let (now, passed) = (self.now(), self.passed());
                let daemon = self.daemon();
                let hint = crosswatch_core::control::outbox::Event::Hint(builds);
                let limits = sending::limits();
                crosswatch_core::control::outbox::step(
                    &mut daemon.outbox,
                    hint,
                    &limits,
                    now,
                    passed,
                );
            }
            _ => {}
        }
    }

    fn reload(&mut self) {
        let settings = self.books.variant.settings();
        let now = self.now();
        self.daemon().reload(settings, now);
    }

    /// The clock is moved by up to a day, or the machine sleeps.
    fn jump(&mut self, random: &mut Random) {
        if !self.wire.is_empty() {
            return;
        }
        let by = i64::try_from(random.below(24 * 3_600_000)).unwrap_or(0);
        match random.below(4) {
            0 => self.ahead += by,
            1 => self.ahead -= by,
            2 => self.ahead = 0,
            _ => {
                // Builds go on while the machine sleeps.
                self.truly = self.truly + SLEEP;
                self.books.sleeps.push(self.truly);
                self.ci.progress(random, false, self.truly);
            }
        }
        self.books.seen.insert("a jump of the clock".to_owned());
        self.jumped_at = Some(self.truly);
        self.leapt = true;
    }

    /// Somebody approves what is shown, or asks for something.
    fn people(&mut self, random: &mut Random) {
        let now = self.now();
        let Some(plan) = self.daemon().plan.clone() else { return };
        let Some(workspace) = random.pick(&plan.workspaces) else { return };
        let id: Name = workspace.id.clone();
        match random.below(8) {
            0..4 => {
                let wait = |planned: &&crosswatch_core::model::plan::SubjectPlan| {
                    matches!(*planned.decision, Decision::Held { why: Held::Approval, .. })
                };
                let waiting: Vec<_> = workspace.subjects().filter(wait).collect();
                if let Some(planned) = random.pick(&waiting) {
                    let (subject, set) = (planned.subject.clone(), planned.set.clone());
                    self.books.approvals.push((id.clone(), subject.clone(), set.clone()));
                    let approval = Approval { subject, set, by: "ann".to_owned(), at: now };
                    self.ledger.approve(&id, approval, now);
                    self.books.seen.insert("an approval".to_owned());
                }
            }
            4 => {
                if let Some(planned) = random.pick(&workspace.subjects().collect::<Vec<_>>()) {
                    let subject: Subject = planned.subject.clone();
                    *self.books.rebuilds.entry((id.clone(), subject.clone())).or_default() += 1;
                    let rebuild = Rebuild { by: "ann".to_owned(), at: now, alone: false };
                    self.ledger.rebuild(&id, &subject, rebuild, now);
                    self.books.seen.insert("a rebuild".to_owned());
                }
            }
            5 => self.ledger.pause(&id, Some("ann"), now),
            6 => self.ledger.pause(&id, None, now),
            _ => {
                let fresh = random.once_in(2);
                self.daemon().order(id, fresh);
            }
        }
    }

    fn crash(&mut self) {
        let (now, passed) = (self.now(), self.passed());
        self.books.seen.insert("a crash".to_owned());
        self.ledger.crash(now);
        self.began = true;
        self.daemon = self.daemon.take().map(|daemon| daemon.crash(now));
        // It looks at its rows before anything else can happen.
        let daemon = self.daemon.as_mut().expect("a daemon");
        let rows = self.ledger.rows().into_iter().map(|(row, _)| row).collect();
        let event = crosswatch_core::control::outbox::Event::Rows(rows);
        let limits = sending::limits();
        let effects =
            crosswatch_core::control::outbox::step(&mut daemon.outbox, event, &limits, now, passed);
        daemon.todo.extend(effects);
    }

    /// The tasks of the daemon, in any order; under faults some miss their wake.
    fn work(&mut self, random: &mut Random, faults: bool) -> Result<(), Failure> {
        self.steps += 1;
        let truly = self.truly;
        let (arrived, ahead): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.wire).into_iter().partition(|message| message.at <= truly);
        self.wire = ahead;
        for message in arrived {
            sending::intended(self.ledger, message.id)?;
            self.ci.take(message.id, message.key, false, truly);
        }
        if !random.once_in(3) {
            self.ci.progress(random, faults, truly);
        }
        let first = random.below(4);
        for task in 0..4 {
            if faults && random.once_in(4) {
                continue;
            }
            if self.task((first + task) % 4, random, faults)? {
                self.crash();
            }
        }
        self.books.check(&self.ci, &self.ledger.view())
    }

    /// One task; whether the daemon crashed in it.
    fn task(&mut self, task: u64, random: &mut Random, faults: bool) -> Result<bool, Failure> {
        let (now, truly, passed) = (self.now(), self.truly, self.passed());
        let jumped = self.jumped_at.is_some_and(|at| truly.since(at) < Span::hours(1));
        let daemon = self.daemon.as_mut().expect("a daemon");
        daemon.snapshot.at = now;
        match task {
            0 | 1 => {
                let world = &mut self.world;
                let mut outside = Outside { random, world, faults, now, truly, jumped };
                if task == 1 {
                    daemon.workspaces(&mut outside)?;
                } else {
                    let plan = daemon.plan.clone();
                    let Daemon { looking, snapshot, .. } = daemon;
                    looking.advance(snapshot, plan.as_ref(), &mut outside)?;
                }
                Ok(false)
            }
            2 => {
                if std::mem::take(&mut self.leapt) & std::mem::take(&mut self.began) {
                    // A daemon that was not there cannot know what the clock did.
                    self.books.unnoticed = Some(truly);
                }
                daemon.pass(self.ledger, &mut self.books, random, &self.world, faults)
            }
            _ => {
                let (ledger, ci, wire) = (&mut *self.ledger, &mut self.ci, &mut self.wire);
                let mut outside =
                    sending::Outside { random, ledger, ci, wire, faults, now, truly, passed };
                match daemon.send(&mut outside) {
                    Ok(()) => Ok(false),
                    Err(Stop::Crashed) => Ok(true),
                    Err(Stop::Failed(failure)) => Err(failure),
                }
            }
        }
    }

    /// The faults are over: it comes to rest, and what should have been built was.
    fn rest(&mut self, seed: u64) -> Result<(), Failure> {
        let mut random = Random::of_step(seed, u32::MAX - 1);
        for repository in self.world.repositories.values_mut() {
            repository.down = false;
        }
        self.ci.down = false;
        self.books.variant = Variant { paused: false, second: true, ..self.books.variant.clone() };
        self.reload();
        let now = self.now();
        for workspace in ["w", "v"] {
            self.ledger.pause(&workspace.into(), None, now);
        }
        let ends = self.truly + AT_MOST;
        let (mut calm, mut quiet, mut read) = (0, false, 0);
        while calm < ROUNDS {
            let wait = match (quiet, self.wire.is_empty()) {
                (true, true) => 200,
                _ => 20,
            };
            self.truly = self.truly + Span::seconds(wait);
            self.work(&mut random, false)?;
            let daemon = self.daemon.as_ref().expect("a daemon");
            quiet = daemon.quiet(self.ledger);
            calm = if quiet { calm + 1 } else { 0 };
            if calm >= ROUNDS - 1 {
                read += 1;
            }
            self.books.settled = read > 0;
            if self.truly > ends {
                return Err(Failure(self.unrest()));
            }
        }
        let plan = self.daemon().plan.clone().expect("a plan");
        let snapshot = self.daemon().snapshot.clone();
        let view = self.ledger.view();
        Oracle::new(&self.world, &self.books, &view).check(&snapshot, &plan)
    }

    fn unrest(&mut self) -> String {
        let mut text = "it never comes to rest".to_owned();
        let daemon = self.daemon.as_ref().expect("a daemon");
        let plan = daemon.plan.as_ref();
        for planned in plan.iter().flat_map(|plan| &plan.workspaces).flat_map(|w| w.subjects()) {
            text += &format!("\n  {}: {:?}", planned.subject, planned.decision);
        }
        for (row, _) in self.ledger.rows() {
            text += &format!("\n  {row:?}");
        }
        for (id, kept) in &daemon.kept {
            text += &format!("\n  {id}: {:?} pending {}", kept.life, kept.part.pending);
        }
        text += &format!("\n  {}", daemon.looking.under_way(self.now()));
        let wanted = plan.map(|plan| &plan.wanted);
        text + &format!("\n  at {} {wanted:?}", self.truly)
    }
}
