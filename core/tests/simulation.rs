//! A small seeded simulation: forge, polling, planner, outbox and CI with faults and crashes, where the
//! real step functions and the real planner decide and only the world is a model.
//!
//! `CROSSWATCH_SIMULATION_SEED=N cargo test -p crosswatch-core --test simulation` replays one seed.

#![expect(clippy::expect_used, reason = "a simulation that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::control::outbox::{self, CiLimits, Effect, Mark, Row, Said, heard};
use crosswatch_core::control::polling;
use crosswatch_core::model::build::{Priority, RequestId, Stage, Verdict};
use crosswatch_core::model::change::{CommitFacts, Listing, OpenRef};
use crosswatch_core::model::identity::{Fingerprint, Name, Oid, RepositoryId, Subject};
use crosswatch_core::model::ledger_view::{AttemptView, LedgerView, WorkspaceLedger};
use crosswatch_core::model::locator::Locator;
use crosswatch_core::model::manifest::{Manifest, Package, Vcs};
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::plan::{Decision, Plan};
use crosswatch_core::model::question::{Answer, Question};
use crosswatch_core::model::settings::{
    Adopt, Authors, ChangeRules, Database, Dependencies, Drafts, ForgeKind, ForgeSettings,
    GitForge, Limits, MainlineRules, ManifestFormat, ManifestFrom, ManifestSource, OnClosed,
    RefKind, SameRepository, Settings, Tool, UpdateOn, WorkspaceSettings,
};
use crosswatch_core::model::snapshot::{RepositoryPart, Snapshot, WorkspacePart};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::plan::incremental::Planner;
use crosswatch_core::references::{References, Written};

const SEEDS: u64 = 50;
const REPOSITORIES: u64 = 3;
const DEADLINE: Span = Span::seconds(10);

/// splitmix64: the same seed gives the same run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// A change as the model of the forge has it.
#[derive(Clone)]
struct Change {
    head: Oid,
    depends_on: Option<(u64, u64)>,
}

/// A request as the model of the CI has it.
struct Build {
    arrives_at: Timestamp,
    ends_at: Timestamp,
    verdict: Verdict,
}

struct World {
    dice: Dice,
    now: Timestamp,
    // The outside, which survives everything.
    mains: BTreeMap<u64, Oid>,
    changes: BTreeMap<(u64, u64), Change>,
    outages: BTreeSet<u64>,
    ci: BTreeMap<RequestId, Build>,
    commits: u64,
    // The ledger, which survives crashes.
    ledger: WorkspaceLedger,
    rows: BTreeMap<RequestId, Row>,
    finished: BTreeMap<(Subject, Fingerprint), u32>,
    // The process, which does not.
    settings: Arc<Settings>,
    polling: polling::State,
    outbox: outbox::State,
    planner: Planner,
    parts: BTreeMap<RepositoryId, Arc<RepositoryPart>>,
    answers: BTreeMap<Question, Observed<Answer>>,
    faults: bool,
}

fn oid(number: u64) -> Oid {
    format!("{number:040x}").parse().expect("an object name")
}

fn repository(number: u64) -> RepositoryId {
    RepositoryId::new("mirror", format!("r{number}"))
}

fn settings() -> Settings {
    let limits = Limits { timeout: Span::hours(1), silence: Span(0), grace: Span::seconds(1) };
    let forge = ForgeSettings {
        name: Name::from("mirror"),
        identity: Name::from("mirror"),
        kind: ForgeKind::Git(GitForge { changes: Vec::new(), base: None, authors: Authors::Any }),
        url: "https://git.example.org".to_owned(),
        also: Vec::new(),
        token: None,
        interval: Span::seconds(10),
        reconcile: Span::minutes(15),
    };
    let run = crosswatch_core::model::settings::Step { run: vec!["true".to_owned()], limits };
    let workspace = WorkspaceSettings {
        name: Name::from("w"),
        id: Name::from("w"),
        tool: Tool::Custom,
        source: None,
        bootstrap: None,
        update: None,
        update_on: UpdateOn::Definitions,
        manifest: ManifestSource {
            format: ManifestFormat::Crosswatch,
            from: ManifestFrom::Run(run),
            max_bytes: 1,
        },
        ci: vec![Name::from("ci")],
        build_changes: true,
        build_mainline: false,
        changes: ChangeRules {
            settle_new: Span::seconds(20),
            settle_push: Span::seconds(10),
            settle_bots: Span::minutes(10),
            drafts: Drafts::Build,
            max_age: Span::days(120),
            dependencies: Dependencies::Tops,
            trusted: Vec::new(),
            bots: Vec::new(),
            adopt: Adopt::All,
            max_dependencies: 50,
            on_closed: OnClosed::Ignore,
            ref_kind: RefKind::Auto,
            same_repository: SameRepository::Ci,
            pinned_roots: false,
            branch_matching: false,
        },
        mainline: MainlineRules { settle: Span::minutes(2), settle_at_most: Span::minutes(15) },
        epoch: 0,
        max_in_flight: 4,
        report_to: Vec::new(),
        env: BTreeMap::new(),
        paused: false,
    };
    Settings {
        state_dir: "/state".into(),
        database: Database::Sqlite,
        listen: "127.0.0.1:0".to_owned(),
        public_url: None,
        forges: BTreeMap::from([(forge.name.clone(), Arc::new(forge))]),
        ci: BTreeMap::new(),
        workspaces: vec![Arc::new(workspace)],
        max_updates: 1,
    }
}

fn manifest() -> Manifest {
    let packages = (0..REPOSITORIES).map(|number| Package {
        name: Name::from(format!("r{number}")),
        vcs: Vcs::Git {
            url: format!("https://git.example.org/r{number}"),
            branch: Some(Name::from("main")),
            pin: None,
        },
        directory: None,
        path: None,
        depends_on: Vec::new(),
        override_key: Name::from(format!("r{number}")),
    });
    Manifest::new(packages.collect(), Vec::new()).expect("a manifest")
}

fn limits() -> outbox::Limits {
    let ci = CiLimits {
        max_in_flight: 4,
        poll: Span::seconds(5),
        can_be_asked: true,
        lost_after: Span::minutes(10),
    };
    outbox::Limits {
        ci: BTreeMap::from([(Name::from("ci"), ci)]),
        workspaces: BTreeMap::from([(Name::from("w"), 4)]),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            now: Timestamp(1_800_000_000_000),
            mains: (0..REPOSITORIES).map(|number| (number, oid(number + 1))).collect(),
            changes: BTreeMap::new(),
            outages: BTreeSet::new(),
            ci: BTreeMap::new(),
            commits: 100,
            ledger: WorkspaceLedger::default(),
            rows: BTreeMap::new(),
            finished: BTreeMap::new(),
            settings: Arc::new(settings()),
            polling: polling::State::default(),
            outbox: outbox::State::default(),
            planner: Planner::new(),
            parts: BTreeMap::new(),
            answers: BTreeMap::new(),
            faults: true,
        }
    }

    /// Something happens outside.
    fn happens(&mut self) {
        let repository = self.dice.below(REPOSITORIES);
        let number = self.dice.below(3) + 1;
        self.commits += 1;
        let head = oid(self.commits);
        match self.dice.below(12) {
            0..=4 => {
                let other = self.dice.below(REPOSITORIES);
                let depends_on = (other != repository && self.dice.one_in(2)).then_some((other, 1));
                self.changes.insert((repository, number), Change { head, depends_on });
            }
            5 => {
                self.changes.remove(&(repository, number));
            }
            6 => {
                self.mains.insert(repository, head);
            }
            7 | 8 => {
                self.outages.insert(repository);
            }
            _ => self.outages.clear(),
        }
    }

    /// The process dies; ledger and outside go on.
    fn crash(&mut self) {
        self.polling = polling::State::default();
        self.outbox = outbox::State::default();
        self.planner = Planner::new();
        self.parts.clear();
        self.answers.clear();
    }

    fn crashes_here(&mut self) -> bool {
        let crash = self.faults && self.dice.one_in(60);
        if crash {
            self.crash();
        }
        crash
    }

    fn look(&mut self) {
        let wanted = (0..REPOSITORIES).map(|number| polling::Wanted {
            id: repository(number),
            server: format!("server{number}"),
            interval: Span::seconds(10),
        });
        let watch = polling::Event::Watch(wanted.collect());
        for polling::Effect::Look(id) in polling::step(&mut self.polling, watch, self.now) {
            let number: u64 = id.path[1..].parse().expect("a number");
            let answered = !self.outages.contains(&number);
            let before = self.parts.get(&id).map(|part| part.listing.clone());
            let before = before.unwrap_or_else(|| Observed::not_read_yet(self.now));
            let listing = if answered {
                let changes = self.changes.range((number, 0)..(number + 1, 0));
                let changes = changes.map(|((_, number), change)| OpenRef {
                    number: *number,
                    head: change.head,
                    base: None,
                    ref_name: Name::from(format!("refs/pull/{number}/head")),
                    merge: false,
                });
                let main = Name::from("main");
                before.replaced_by(Observed::known(Listing {
                    default_branch: Some(main.clone()),
                    branches: BTreeMap::from([(main, self.mains[&number])]),
                    changes: changes.collect(),
                }))
            } else {
                before.failed("outage", self.now)
            };
            let (spelling, url) = (id.path.to_string(), String::new());
            let part = RepositoryPart { id: id.clone(), spelling, url, listing };
            self.parts.insert(id.clone(), Arc::new(part));
            let looked = polling::Event::Looked { id, answered };
            polling::step(&mut self.polling, looked, self.now);
        }
    }

    fn pass(&mut self) -> Option<Plan> {
        let part = WorkspacePart {
            name: Name::from("w"),
            manifest: Observed::known(manifest()),
            updated: None,
            failure: None,
            pending: false,
        };
        let snapshot = Snapshot {
            at: self.now,
            settings: Arc::clone(&self.settings),
            locator: Arc::new(Locator::new(&self.settings)),
            workspaces: BTreeMap::from([(part.name.clone(), Arc::new(part))]),
            repositories: self.parts.clone(),
            answers: self.answers.clone(),
            times: BTreeMap::new(),
        };
        let view = LedgerView {
            ledger_id: "simulated".to_owned(),
            workspaces: BTreeMap::from([(Name::from("w"), Arc::new(self.ledger.clone()))]),
        };
        let plan = self.planner.plan(&snapshot, &view);
        if self.crashes_here() {
            return None;
        }
        self.commit(&plan);
        for question in &plan.wanted {
            self.answer(question);
        }
        Some(plan)
    }

    fn answer(&mut self, question: &Question) {
        let number: u64 = question.repository().path[1..].parse().expect("a number");
        if self.outages.contains(&number) {
            return;
        }
        let answer = match question {
            Question::Contains { .. } => Answer::Contains(false),
            Question::Commit { oid, .. } => {
                let change = self.changes.values().find(|change| change.head == *oid);
                let references = change.and_then(|change| change.depends_on).map(|(to, number)| {
                    let change = repository(to).change(number);
                    Written { as_written: change.to_string(), change, line: 3 }
                });
                let references = References {
                    references: references.into_iter().collect(),
                    ..Default::default()
                };
                Answer::Commit(CommitFacts { committed_at: self.now, references })
            }
        };
        self.answers.insert(question.clone(), Observed::known(answer));
    }

    /// The transaction of a pass: all of it or nothing.
    fn commit(&mut self, plan: &Plan) {
        let plan = &plan.workspaces[0];
        self.ledger.looks.extend(plan.looks.iter().cloned());
        self.ledger.changes.extend(plan.facts.iter().cloned());
        for subject in &plan.subjects {
            for superseded in &subject.superseded {
                if let Some(change) = subject.subject.change() {
                    let part = &self.parts[&change.repository];
                    assert!(part.listing.value().is_some(), "superseded by an outage");
                }
                let Some(row) = self.rows.get_mut(&superseded.request_id) else { continue };
                if row.stage == Stage::Queued {
                    self.mark(superseded.request_id, Stage::Dropped);
                } else {
                    row.cancel_wanted |= superseded.cancel;
                }
            }
            for trigger in &subject.triggers {
                let request = &trigger.request;
                if self.rows.contains_key(&request.request_id) {
                    continue;
                }
                self.rows.insert(
                    request.request_id,
                    Row {
                        id: request.request_id,
                        ci: trigger.ci.clone(),
                        workspace: Name::from("w"),
                        stage: Stage::Queued,
                        priority: Priority::Recent,
                        queued_at: self.now,
                        not_before: None,
                        sending_deadline: None,
                        taken_at: None,
                        cancel_wanted: false,
                    },
                );
                let attempts = self.ledger.attempts.entry(subject.subject.clone()).or_default();
                attempts.push(AttemptView {
                    request_id: request.request_id,
                    ci: trigger.ci.clone(),
                    fingerprint: request.fingerprint,
                    attempt: request.attempt,
                    stage: Stage::Queued,
                    decided_at: self.now,
                    ended_at: None,
                    set: request.set.clone(),
                    parts: subject.parts.clone(),
                    link: None,
                    note: None,
                });
            }
        }
    }

    fn mark(&mut self, id: RequestId, stage: Stage) {
        let row = self.rows.get_mut(&id).expect("a row");
        row.stage = stage;
        for (subject, attempts) in &mut self.ledger.attempts {
            for attempt in attempts.iter_mut().filter(|attempt| attempt.request_id == id) {
                attempt.stage = stage;
                if let Stage::Ended(verdict) = stage {
                    attempt.ended_at = Some(self.now);
                    if verdict.spends() {
                        let key = (subject.clone(), attempt.fingerprint);
                        *self.finished.entry(key).or_default() += 1;
                    }
                }
            }
        }
    }

    fn act(&mut self) {
        let open: Vec<Row> = self.rows.values().filter(|row| row.stage.open()).cloned().collect();
        let limits = limits();
        let effects = outbox::step(&mut self.outbox, outbox::Event::Rows(open), &limits, self.now);
        for effect in effects {
            if self.crashes_here() {
                return;
            }
            match effect {
                Effect::Send(id) => {
                    let row = self.rows.get_mut(&id).expect("a row");
                    assert_eq!(row.stage, Stage::Queued, "sent without being queued");
                    row.sending_deadline = Some(self.now + DEADLINE);
                    self.mark(id, Stage::Sending);
                    if self.crashes_here() {
                        return;
                    }
                    self.send(id);
                }
                Effect::Ask(id) => self.ask(id, &limits),
                Effect::Cancel(id) => {
                    if let Some(build) = self.ci.get_mut(&id)
                        && build.ends_at > self.now
                    {
                        build.ends_at = self.now;
                        build.verdict = Verdict::Cancelled;
                    }
                    self.ask(id, &limits);
                }
                Effect::GiveUp(_) => unreachable!("this CI can be asked"),
            }
            let (Effect::Send(id) | Effect::Ask(id) | Effect::Cancel(id) | Effect::GiveUp(id)) =
                effect;
            outbox::step(&mut self.outbox, outbox::Event::Done(id), &limits, self.now);
        }
    }

    /// The request is taken at once, late but within its deadline, or never; the answer may be lost.
    fn send(&mut self, id: RequestId) {
        let luck = if self.faults { self.dice.below(6) } else { 0 };
        let delay = if luck == 1 { Span(self.dice.below(DEADLINE.0)) } else { Span(0) };
        if luck == 2 {
            return;
        }
        let arrives_at = self.now + delay;
        let ends_at = arrives_at + Span::seconds(self.dice.below(120));
        let verdict = match self.dice.below(8) {
            0 => Verdict::Failure,
            1 if self.faults => Verdict::Lost,
            _ => Verdict::Success,
        };
        assert!(!self.ci.contains_key(&id), "{id} was sent to a CI that has it");
        self.ci.insert(id, Build { arrives_at, ends_at, verdict });
        if luck == 0 {
            self.rows.get_mut(&id).expect("a row").taken_at = Some(self.now);
            self.mark(id, Stage::Sent);
        }
    }

    fn ask(&mut self, id: RequestId, limits: &outbox::Limits) {
        let said = match self.ci.get(&id) {
            Some(build) if build.arrives_at > self.now => Said::Never,
            Some(build) if build.ends_at <= self.now => Said::Ended(build.verdict),
            Some(_) => Said::Running,
            None => Said::Never,
        };
        let row = self.rows[&id].clone();
        match heard(&row, &said, &limits.ci["ci"], self.now) {
            Mark::Stay => {}
            Mark::Queued => self.mark(id, Stage::Queued),
            Mark::Sent => self.mark(id, Stage::Sent),
            Mark::Running => self.mark(id, Stage::Running),
            Mark::Ended(verdict, _) => self.mark(id, Stage::Ended(verdict)),
            Mark::Dropped => self.mark(id, Stage::Dropped),
        }
    }

    fn step(&mut self, most: Span) -> Option<Plan> {
        self.now = self.now + Span(self.dice.below(most.0) + 1);
        self.look();
        let plan = self.pass();
        self.act();
        for ((subject, fingerprint), count) in &self.finished {
            assert!(*count <= 1, "{subject} was built {count} times as {fingerprint}");
        }
        plan
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..80 {
        if world.dice.one_in(3) {
            world.happens();
        }
        world.step(Span::seconds(10));
    }
    world.faults = false;
    world.outages.clear();
    let mut last = None;
    for _ in 0..200 {
        last = world.step(Span::seconds(60)).or(last);
    }
    let plan = last.expect("a plan");
    for subject in &plan.workspaces[0].subjects[1..] {
        let done =
            matches!(subject.decision, Decision::Unchanged { .. } | Decision::Covered { .. });
        assert!(done, "{}: {:?}", subject.subject, subject.decision);
    }
    assert_eq!(plan.workspaces[0].subjects.len() - 1, world.changes.len());
}

#[test]
fn whatever_fails_everything_is_built_once_in_the_end() {
    if let Ok(seed) = std::env::var("CROSSWATCH_SIMULATION_SEED") {
        return run(seed.parse().expect("a number"));
    }
    for seed in 0..SEEDS {
        if let Err(cause) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("replay with CROSSWATCH_SIMULATION_SEED={seed}");
            std::panic::resume_unwind(cause);
        }
    }
}
