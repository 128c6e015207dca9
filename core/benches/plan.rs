//! What a plan costs: from scratch, after one push, and in memory, with 1,000 workspaces of 200 packages
//! that share 2,000 repositories; beside BLAKE3 of 256 MB on one core.
//!
//! `cargo bench --bench plan -- PAIRS…` measures other numbers of (workspace, change) pairs than the usual
//! four.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time that the world takes"
)]
#![expect(clippy::disallowed_types, reason = "each size is measured in a process of its own")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crosswatch_core::model::change::{
    Association, Author, ForgeChange, Listing, OpenRef, SourceBranch,
};
use crosswatch_core::model::common::Common;
use crosswatch_core::model::identity::{ChangeId, Name, Oid, RepositoryId};
use crosswatch_core::model::ledger_view::{AttemptView, LedgerView, WorkspaceLedger};
use crosswatch_core::model::manifest::{Manifest, Package, Vcs};
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::plan::{Plan, WorkspacePlan};
use crosswatch_core::model::settings::{Adopt, WorkspaceSettings};
use crosswatch_core::model::snapshot::{RepositoryPart, Snapshot, WorkspacePart};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::plan::incremental::Planner;
use crosswatch_core::references::{References, Via, Written};
use simulation::Variant;

/// That of the daemon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const WORKSPACES: usize = 1_000;
const PACKAGES: usize = 200;
const REPOSITORIES: usize = 2_000;
/// Pairs that are measured unless others are named; the last is what the bars are about.
const PAIRS: [usize; 4] = [50_000, 100_000, 250_000, 500_000];
/// Of five changes one depends on another one, in chains of at most this length.
const CHAIN: usize = 8;
const CYCLES: usize = 5;
/// How often a plan from scratch is made, and how many heads move.
const SCRATCH: usize = 3;
const HEADS: usize = 21;
/// When the world begins.
const START: i64 = 1_790_000_000_000;

/// Bars: from scratch, after one push (median and worst), and growth in memory.
const SCRATCH_BAR: Duration = Duration::from_millis(600);
const MEDIAN_BAR: Duration = Duration::from_millis(1);
const WORST_BAR: Duration = Duration::from_millis(5);
const GROWTH_BAR: f64 = 150.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only has to see that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let named: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    match (named.as_slice(), std::env::var_os("CROSSWATCH_BENCH_PLAN")) {
        ([pairs], Some(_)) => measure(*pairs),
        _ => each(if named.is_empty() { &PAIRS } else { &named }),
    }
}

/// Each number in a process of its own, so that none begins with the memory of another.
fn each(numbers: &[usize]) -> ExitCode {
    println!("BLAKE3 of 256 MB: {:.0} ms on one core", millis(blake3()));
    println!(
        "{:>8}  {:>12}  {:>22}  {:>22}  {:>10}",
        "pairs", "from scratch", "one head: median, worst", "one base: median, worst", "growth"
    );
    let mut held = true;
    for pairs in numbers {
        let own = std::env::current_exe().expect("this program");
        let status = Command::new(own)
            .args(["--bench", &pairs.to_string()])
            .env("CROSSWATCH_BENCH_PLAN", "1")
            .status()
            .expect("this program starts");
        // The bars are about the last number.
        held = status.success();
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn blake3() -> Duration {
    let data = vec![7u8; 256 << 20];
    let begun = Instant::now();
    std::hint::black_box(blake3::hash(&data));
    begun.elapsed()
}

fn measure(pairs: usize) -> ExitCode {
    let before = resident();
    let mut world = World::new(pairs * REPOSITORIES / (WORKSPACES * PACKAGES));
    let snapshot = resident();
    let mut planner = Planner::new();
    // Until everything is recorded, as after the first passes of a daemon.
    let mut plan = planner.plan(&world.snapshot, &world.ledger);
    for _ in 0..5 {
        world.record(&plan);
        world.snapshot.at = world.snapshot.at + Span::minutes(30);
        plan = planner.plan(&world.snapshot, &world.ledger);
    }
    let settled = plan.workspaces.iter().all(|plan| plan.facts.is_empty());
    assert!(settled, "facts still move");
    let counted: usize = plan.workspaces.iter().map(|plan| plan.subjects.len() - 1).sum();
    let grown = resident() - before;
    let scratch = median(
        &mut (0..SCRATCH)
            .map(|_| {
                timed(|| {
                    drop(crosswatch_core::plan::plan(&world.snapshot, &world.ledger));
                })
            })
            .collect::<Vec<_>>(),
    );
    let heads = world.moves(&mut planner, World::push);
    let bases = world.moves(&mut planner, World::push_base);
    println!(
        "{counted:>8}  {:>9.0} ms  {:>9.2} ms, {:>6.2} ms  {:>9.2} ms, {:>6.2} ms  {grown:>7.0} MB ({:.0} MB the snapshot)",
        millis(scratch),
        millis(heads.0),
        millis(heads.1),
        millis(bases.0),
        millis(bases.1),
        snapshot - before,
    );
    let held = scratch <= SCRATCH_BAR
        && heads.0 <= MEDIAN_BAR
        && heads.1 <= WORST_BAR
        && grown <= GROWTH_BAR;
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn timed(mut work: impl FnMut()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Resident memory of this process, in MB.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096.0 / 1e6
}

struct World {
    snapshot: Snapshot,
    ledger: LedgerView,
    next_oid: u64,
    /// For numbers that look random and are the same in each run.
    seed: u64,
}

fn path(number: usize) -> String {
    format!("robotics-group/package-{number:04}")
}

fn repository(number: usize) -> RepositoryId {
    RepositoryId::new("github.com", path(number))
}

impl World {
    fn new(changes: usize) -> Self {
        let mut settings = Variant::default().settings();
        let workspace = settings.workspaces.first().expect("a workspace").as_ref().clone();
        settings.workspaces = (0..WORKSPACES)
            .map(|at| {
                let name = Name::from(format!("w{at:04}"));
                let mut own =
                    WorkspaceSettings { name: name.clone(), id: name, ..workspace.clone() };
                own.changes.adopt = Adopt::None;
                Arc::new(own)
            })
            .collect();
        let mut world = Self {
            snapshot: Snapshot::unread(Timestamp(START), Arc::new(settings)),
            ledger: LedgerView { ledger_id: "bench".to_owned(), workspaces: BTreeMap::new() },
            next_oid: 1,
            seed: 1,
        };
        world.repositories(changes);
        world.workspaces();
        world
    }

    fn oid(&mut self) -> Oid {
        self.next_oid += 1;
        blake3::hash(&self.next_oid.to_le_bytes()).to_hex()[..40].parse().expect("an oid")
    }

    fn random(&mut self, below: usize) -> usize {
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below as u64).expect("small")
    }

    fn repositories(&mut self, changes: usize) {
        // Dealt out in turn; repositories that are `REPOSITORIES / PACKAGES` apart share workspaces.
        let stride = REPOSITORIES / PACKAGES;
        let ids: Vec<ChangeId> = (0..changes)
            .map(|at| repository(at % REPOSITORIES).change(1 + (at / REPOSITORIES) as u64))
            .collect();
        let mut depends: BTreeMap<usize, usize> = BTreeMap::new();
        let mut at = 0;
        while depends.len() < changes / 5 && at + CHAIN * stride < changes {
            for step in 0..CHAIN - 1 {
                depends.insert(at + step * stride, at + (step + 1) * stride);
            }
            at += if (at + 1) % stride == 0 { 1 + CHAIN * stride } else { 1 };
        }
        for cycle in 0..CYCLES {
            let one = changes - 1 - cycle;
            depends.insert(one, one - stride);
            depends.insert(one - stride, one);
        }
        let mut repositories = BTreeMap::new();
        for number in 0..REPOSITORIES {
            let id = repository(number);
            let branch = Name::from("main");
            let mut listing = Listing {
                default_branch: Some(branch.clone()),
                archived: false,
                public: true,
                branches: BTreeMap::from([(branch, self.oid())]),
                former: Default::default(),
                changes: Vec::new(),
            };
            for at in (number..changes).step_by(REPOSITORIES) {
                let below = depends.get(&at).and_then(|other| ids.get(*other));
                listing.changes.push(self.change(&id, ids[at].number, below));
            }
            let part = RepositoryPart {
                id: id.clone(),
                spelling: path(number),
                url: format!("https://github.com/{}.git", path(number)),
                listing: Observed::known(listing),
            };
            repositories.insert(id, Arc::new(part));
        }
        self.snapshot.repositories = Arc::new(repositories);
    }

    fn change(&mut self, id: &RepositoryId, number: u64, below: Option<&ChangeId>) -> OpenRef {
        let written = below.map(|change| Written {
            change: change.clone(),
            as_written: format!("{}#{}", change.repository.path, change.number),
            line: 3,
            via: Via::Line,
        });
        let references =
            References { references: written.into_iter().collect(), ..References::default() };
        OpenRef {
            number,
            head: self.oid(),
            base: Some("main".into()),
            ref_name: format!("refs/pull/{number}/head").into(),
            merge: true,
            forge: Some(Box::new(ForgeChange {
                draft: false,
                author: Some(Author {
                    login: "somebody".into(),
                    bot: false,
                    association: Association::Member,
                }),
                source: Some(SourceBranch {
                    repository: id.clone(),
                    owner: "robotics-group".into(),
                    branch: format!("topic-{number}").into(),
                }),
                created_at: Timestamp(START - 3_600_000),
                labels: BTreeSet::new(),
                mergeable: Some(true),
                references,
            })),
        }
    }

    fn workspaces(&mut self) {
        let stride = REPOSITORIES / PACKAGES;
        let mut packages = Common::default();
        let mut parts = BTreeMap::new();
        for settings in &self.snapshot.settings.workspaces {
            let at = parts.len();
            let of = |step: usize| (at + step * stride) % REPOSITORIES;
            let listed = (0..PACKAGES).map(|step| {
                let number = of(step);
                Package {
                    name: format!("package-{number:04}").into(),
                    vcs: Vcs::Git {
                        url: format!("https://github.com/{}.git", path(number)),
                        branch: Some("main".into()),
                        pin: None,
                    },
                    directory: None,
                    path: None,
                    depends_on: Vec::new(),
                    override_key: format!("package-{number:04}").into(),
                    repeats: None,
                }
            });
            let mut manifest = Manifest::new(listed.collect(), Vec::new()).expect("a manifest");
            manifest.share(&mut packages);
            let part = WorkspacePart {
                name: settings.name.clone(),
                manifest: Observed::known(manifest),
                updated: None,
                failure: None,
                pending: false,
            };
            parts.insert(settings.name.clone(), Arc::new(part));
        }
        self.snapshot.workspaces = Arc::new(parts);
    }

    /// What a commit writes and its view takes over.
    fn record(&mut self, plan: &Plan) {
        for plan in &plan.workspaces {
            let triggers = plan.subjects.iter().any(|subject| !subject.triggers.is_empty());
            let facts = !(plan.facts.is_empty() && plan.looks.is_empty());
            if facts || plan.mainline.is_some() || triggers {
                take_over(&mut self.ledger, plan);
            }
        }
    }

    /// How long plans take after moves that are each in one repository: median and worst.
    fn moves(&mut self, planner: &mut Planner, make: fn(&mut Self)) -> (Duration, Duration) {
        planner.plan(&self.snapshot, &self.ledger);
        let mut times = Vec::new();
        for _ in 0..HEADS {
            make(self);
            self.snapshot.at = self.snapshot.at + Span::seconds(1);
            let (snapshot, ledger) = (self.snapshot.clone(), self.ledger.clone());
            let begun = Instant::now();
            let plan = planner.plan(&snapshot, &ledger);
            times.push(begun.elapsed());
            self.record(&plan);
            // The plan after a commit has nothing to record; it is not what is measured.
            planner.plan(&self.snapshot, &self.ledger);
        }
        let median = median(&mut times);
        (median, times.last().copied().unwrap_or_default())
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Listing, Oid)) {
        let oid = self.oid();
        let id = repository(self.random(REPOSITORIES));
        let repositories = Arc::make_mut(&mut self.snapshot.repositories);
        let part = repositories.get_mut(&id).expect("a repository");
        let mut next = RepositoryPart::clone(part);
        let mut listing = Listing::clone(next.listing.value().expect("known"));
        edit(&mut listing, oid);
        next.listing = Observed::known(listing);
        *part = Arc::new(next);
    }

    fn push(&mut self) {
        self.edit(|listing, oid| {
            if let Some(change) = listing.changes.first_mut() {
                change.head = oid;
            }
        });
    }

    fn push_base(&mut self) {
        self.edit(|listing, oid| {
            listing.branches.insert("main".into(), oid);
        });
    }
}

fn take_over(ledger: &mut LedgerView, plan: &WorkspacePlan) {
    let entry = ledger.workspaces.entry(plan.id.clone()).or_default();
    let part: &mut WorkspaceLedger = Arc::make_mut(entry);
    part.looks.extend(plan.looks.iter().cloned());
    part.changes.extend(plan.facts.iter().cloned());
    if let Some(facts) = &plan.mainline {
        part.mainline = Some(facts.clone());
    }
    for subject in &plan.subjects {
        for trigger in &subject.triggers {
            let (ci, parts) = (trigger.ci.clone(), trigger.parts.clone());
            let attempt = AttemptView::queued(ci, &trigger.request, parts);
            part.attempts.entry(subject.subject.clone()).or_default().push(attempt);
        }
    }
}
