//! The whole daemon in miniature, with the real rules, under faults that a seed decides.
//!
//! `CROSSWATCH_SIMULATION_SEED=N` replays one seed.

#![expect(clippy::expect_used, clippy::panic, reason = "a simulation that cannot go on fails")]

#[path = "simulation/daemon.rs"]
mod daemon;
#[path = "simulation/sending.rs"]
mod sending;
#[path = "simulation/world.rs"]
mod world;

use std::collections::BTreeSet;

use crosswatch_core::model::build::{BuildRequest, Cause, RequestId, Stage};
use crosswatch_core::model::identity::{ChangeId, Subject};
use crosswatch_core::model::plan::{Blocked, Decision};
use crosswatch_core::model::time::{Span, Timestamp};

use daemon::Daemon;
use sending::OnItsWay;
use world::{Ci, Random, Server};

const SEEDS: u64 = 50;

#[test]
fn faults_lose_nothing_and_double_nothing() {
    #[expect(clippy::disallowed_methods, reason = "a test is told which seed to replay")]
    let replayed = std::env::var("CROSSWATCH_SIMULATION_SEED").ok();
    let seeds = match replayed.and_then(|seed| seed.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    for seed in seeds {
        let failed = std::panic::catch_unwind(|| Simulation::new(seed).run()).is_err();
        assert!(!failed, "replay with CROSSWATCH_SIMULATION_SEED={seed}");
    }
}

struct Simulation {
    random: Random,
    now: Timestamp,
    server: Server,
    ci: Ci,
    wire: Vec<OnItsWay>,
    daemon: Option<Daemon>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let now = Timestamp(1_790_000_000_000);
        Self {
            random: Random(seed),
            now,
            server: Server::new(),
            ci: Ci::default(),
            wire: Vec::new(),
            daemon: Some(Daemon::new(world::settings(), now)),
        }
    }

    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("a daemon")
    }

    fn run(mut self) {
        for _ in 0..350 {
            self.world();
            // Slowly while a request is on its way: that is when the order of things matters.
            let longest = match self.wire.is_empty() {
                false => 4,
                true if self.random.once_in(10) => 300,
                true => 20,
            };
            self.now = self.now + Span::seconds(self.random.below(longest));
            self.work(true);
            self.check();
        }
        for repository in self.server.repositories.values_mut() {
            repository.down = false;
        }
        self.ci.down = false;
        let mut calm = 0;
        let mut rounds = 0;
        while calm < 30 {
            self.now = self.now + Span::seconds(20);
            self.work(false);
            self.check();
            calm = if self.daemon().quiet() { calm + 1 } else { 0 };
            rounds += 1;
            if rounds > 1500 {
                let plan = self.daemon().plan.clone();
                let plan = plan.expect("a plan");
                let subjects = plan.workspaces.iter().flat_map(|w| &w.subjects);
                for planned in subjects {
                    eprintln!("{}: {:?}", planned.subject, planned.decision);
                }
                panic!("it never comes to rest");
            }
        }
        self.check_end();
    }

    /// Something happens outside.
    fn world(&mut self) {
        let path = self.random.path();
        match self.random.below(12) {
            0..3 => self.server.push(&mut self.random, path, self.now),
            3 => self.server.close(path),
            4 => {
                let delete = self.random.once_in(2);
                self.server.merge(path, delete);
            }
            5 => self.server.push_base(path),
            6 => {
                let down = self.random.once_in(2);
                if let Some(repository) = self.server.repositories.get_mut(&world::id(path)) {
                    repository.down = down;
                }
            }
            7 => self.ci.down = self.random.once_in(5),
            8 if self.random.once_in(4) => self.crash(),
            _ => {}
        }
    }

    fn crash(&mut self) {
        let now = self.now;
        self.daemon = self.daemon.take().map(|daemon| daemon.crash(now));
    }

    /// The tasks of the daemon, in any order; under faults some miss their wake.
    fn work(&mut self, faults: bool) {
        let now = self.now;
        let (arrived, ahead) =
            std::mem::take(&mut self.wire).into_iter().partition(|message| message.at <= now);
        self.wire = ahead;
        let arrived: Vec<OnItsWay> = arrived;
        for message in arrived {
            self.arrive(message.id);
        }
        if !self.random.once_in(3) {
            self.ci.progress(&mut self.random, faults);
        }
        let first = self.random.below(4);
        for task in 0..4 {
            if faults && self.random.once_in(4) {
                continue;
            }
            let Self { random, server, ci, wire, daemon, .. } = self;
            let daemon = daemon.as_mut().expect("a daemon");
            let crashed = match (first + task) % 4 {
                0 => {
                    daemon.poll(random, server, now);
                    false
                }
                1 => {
                    daemon.workspace(random, server, faults, now);
                    false
                }
                2 => {
                    daemon.pass(random, server, now);
                    false
                }
                _ => daemon.send(random, ci, wire, faults, now),
            };
            if crashed {
                self.crash();
            }
        }
    }

    fn arrive(&mut self, id: RequestId) {
        let (_, request) =
            self.daemon().kept.rows.get(&id).expect("intent is stored before it is sent");
        let key = (request.subject.clone(), request.fingerprint);
        self.ci.take(id, key, false);
    }

    fn check(&mut self) {
        let Self { ci, daemon, .. } = self;
        let rows = &daemon.as_ref().expect("a daemon").kept.rows;
        for (id, builds) in &ci.builds {
            let (row, _) = rows.get(id).expect("intent is stored before it is sent");
            assert!(row.sending_deadline.is_some(), "{id} was never marked");
            assert_eq!(builds.len(), 1, "{id} was sent twice: {builds:?}");
        }
        for (key, count) in ci.finished() {
            // A failure that the mainline may have caused is built once more.
            let again = |request: &BuildRequest| {
                request.cause == Cause::Recovery
                    && (&request.subject, &request.fingerprint) == (&key.0, &key.1)
            };
            let allowed =
                1 + rows.values().filter(|(_, request)| count > 1 && again(request)).count();
            assert!(count <= allowed, "{} at {} was built {count} times", key.0, key.1);
        }
    }

    /// Every open change that nothing depends on was built as it is now, or says why it cannot be.
    fn check_end(&mut self) {
        let open = self.server.open();
        let mut needed: BTreeSet<&ChangeId> = BTreeSet::new();
        for (id, (_, references)) in &open {
            needed.extend(references.iter().filter(|other| *other != id));
        }
        let daemon = self.daemon.as_ref().expect("a daemon");
        let plan = daemon.plan.as_ref().expect("a plan");
        let workspace = plan.workspaces.first().expect("a workspace");
        let ledger = daemon.kept.ledger.workspaces.get("w").expect("a ledger");
        let mut subjects: Vec<Subject> = vec![Subject::Mainline];
        let tops = open.keys().filter(|id| !needed.contains(id));
        subjects.extend(tops.cloned().map(Subject::Change));
        for subject in subjects {
            let planned = workspace.subject(&subject).unwrap_or_else(|| panic!("no {subject}"));
            match &planned.decision {
                Decision::Unchanged { .. } => {}
                Decision::Blocked { why: Blocked::Ci, .. } => continue,
                Decision::Blocked {
                    why: Blocked::DependencyClosed | Blocked::TwoChanges, ..
                } if !needs(&open, &subject).is_empty() => {
                    continue;
                }
                other => panic!("{subject}: {other:?}"),
            }
            if let Some(top) = subject.change() {
                let mut expected = needs(&open, &subject);
                expected.insert(top.clone());
                expected.retain(|id| open.contains_key(id));
                let set: BTreeSet<ChangeId> =
                    planned.set.iter().map(|member| member.change.clone()).collect();
                assert_eq!(set, expected, "the set of {top}");
                for member in &planned.set {
                    assert_eq!(open.get(&member.change).map(|(head, _)| *head), Some(member.head));
                }
            }
            let attempts = ledger.attempts.get(&subject).map_or(&[][..], Vec::as_slice);
            let verdict = attempts.iter().any(|attempt| {
                Some(attempt.fingerprint) == planned.fingerprint
                    && matches!(attempt.stage, Stage::Ended(verdict) if verdict.spends())
            });
            let recorded = ledger.mainline.as_ref().map(|facts| facts.recorded);
            let recorded = subject == Subject::Mainline && recorded == planned.fingerprint;
            assert!(verdict || recorded, "{subject} has no verdict");
        }
    }
}

/// What a change refers to, over any depth.
fn needs(
    open: &std::collections::BTreeMap<
        ChangeId,
        (crosswatch_core::model::identity::Oid, BTreeSet<ChangeId>),
    >,
    subject: &Subject,
) -> BTreeSet<ChangeId> {
    let mut reached = BTreeSet::new();
    let mut queue: Vec<&ChangeId> = subject.change().into_iter().collect();
    while let Some(id) = queue.pop() {
        for other in open.get(id).into_iter().flat_map(|(_, references)| references) {
            if Some(other) != subject.change() && reached.insert(other.clone()) {
                queue.push(other);
            }
        }
    }
    reached
}
