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

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crosswatch_core::model::ledger_view::{AttemptView, LedgerView};
use crosswatch_core::model::plan::{Plan, WorkspacePlan};
use crosswatch_core::model::settings::Adopt;
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::model::time::Span;
use crosswatch_core::plan::incremental::Planner;
use simulation::Large;

/// That of the daemon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Pairs that are measured unless others are named; the last is what the bars are about.
const PAIRS: [usize; 4] = [50_000, 100_000, 250_000, 500_000];
/// How often a plan from scratch is made, and how many heads move.
const SCRATCH: usize = 3;
const HEADS: usize = 21;

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
    let mut recorded = Recorded::new(pairs);
    let snapshot = resident();
    let mut planner = Planner::new();
    // Until everything is recorded, as after the first passes of a daemon.
    let mut plan = planner.plan(&recorded.world.snapshot, &recorded.ledger);
    for _ in 0..5 {
        recorded.record(&plan);
        recorded.world.snapshot.at = recorded.world.snapshot.at + Span::minutes(30);
        plan = planner.plan(&recorded.world.snapshot, &recorded.ledger);
    }
    // The allocator gives back after a second what was freed.
    std::thread::sleep(Duration::from_millis(1_500));
    plan = planner.plan(&recorded.world.snapshot, &recorded.ledger);
    let settled = plan.workspaces.iter().all(|plan| plan.facts.is_empty());
    assert!(settled, "facts still move");
    let counted: usize = plan.workspaces.iter().map(|plan| plan.subjects().count() - 1).sum();
    let grown = resident() - before;
    let scratch = median(
        &mut (0..SCRATCH)
            .map(|_| {
                timed(|| {
                    drop(crosswatch_core::plan::plan(&recorded.world.snapshot, &recorded.ledger));
                })
            })
            .collect::<Vec<_>>(),
    );
    let heads = recorded.moves(&mut planner, Large::push);
    let bases = recorded.moves(&mut planner, Large::push_base);
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

/// The world and what is recorded of it.
struct Recorded {
    world: Large,
    ledger: LedgerView,
}

impl Recorded {
    fn new(pairs: usize) -> Self {
        Self {
            world: Large::new(pairs, |rules| rules.adopt = Adopt::None),
            ledger: LedgerView { ledger_id: "bench".to_owned(), workspaces: Arc::default() },
        }
    }

    /// What a commit writes and its view takes over.
    fn record(&mut self, plan: &Plan) {
        for plan in &plan.workspaces {
            let triggers = plan.acting().next().is_some();
            let facts = !(plan.facts.is_empty() && plan.looks.is_empty());
            if facts || plan.mainline.is_some() || triggers {
                take_over(&mut self.ledger, plan);
            }
        }
    }

    /// How long plans take after moves that are each in one repository: median and worst.
    fn moves(&mut self, planner: &mut Planner, make: fn(&mut Large)) -> (Duration, Duration) {
        planner.plan(&self.world.snapshot, &self.ledger);
        let mut times = Vec::new();
        for _ in 0..HEADS {
            make(&mut self.world);
            self.world.snapshot.at = self.world.snapshot.at + Span::seconds(1);
            let (snapshot, ledger) = (self.world.snapshot.clone(), self.ledger.clone());
            let begun = Instant::now();
            let plan = replan(planner, &snapshot, &ledger);
            times.push(begun.elapsed());
            self.record(&plan);
            // The plan after a commit has nothing to record; it is not what is measured.
            planner.plan(&self.world.snapshot, &self.ledger);
        }
        let median = median(&mut times);
        (median, times.last().copied().unwrap_or_default())
    }
}

/// With a name of its own in profiles.
#[inline(never)]
fn replan(planner: &mut Planner, snapshot: &Snapshot, ledger: &LedgerView) -> Plan {
    planner.plan(snapshot, ledger)
}

fn take_over(ledger: &mut LedgerView, plan: &WorkspacePlan) {
    let part = ledger.part_mut(&plan.id);
    part.looks.extend(plan.looks.iter().cloned());
    part.changes.extend(plan.facts.iter().cloned());
    if let Some(facts) = &plan.mainline {
        part.mainline = Some(facts.clone());
    }
    for subject in plan.acting() {
        for trigger in &subject.triggers {
            let (ci, parts) = (trigger.ci.clone(), trigger.parts.clone());
            let attempt = AttemptView::queued(ci, &trigger.request, parts);
            part.attempts.entry(subject.subject.clone()).or_default().push(attempt);
        }
    }
}
