//! The whole daemon in miniature, with the real rules, under faults that a seed decides.
//!
//! `scripts/simulate` runs many seeds; these variables tell what is run:
//! `CROSSWATCH_SIMULATION_SEEDS` how many, `_FROM` the first, `_STEPS` steps of each, `_JOBS` threads,
//! `_CASE` one case as a failure prints it, such as `7:0-3,9`, or a whole seed.

#![expect(
    clippy::disallowed_methods,
    reason = "a test is told what to run, and says how fast it was"
)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use simulation::{Case, Failure, Memory, Simulation, Taken, shrunk};

fn told<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(format!("CROSSWATCH_SIMULATION_{name}")).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What has to occur among so many seeds that they are worth anything.
const EXPECTED: [&str; 24] = [
    "build",
    "unchanged",
    "covered",
    "superseded",
    "unknown",
    "held: Settling",
    "held: Draft",
    "held: Approval",
    "held: Adopted",
    "held: Paused",
    "held: Mainline",
    "held: Retry",
    "held: Archived",
    "held: Mergeability",
    "blocked: DependencyClosed",
    "blocked: TooMany",
    "blocked: TwoChanges",
    "blocked: UpdateFailed",
    "blocked: Ci",
    "a crash",
    "a jump of the clock",
    "a rebuild",
    "an approval",
    "a reload",
];

/// What it went through; a rule that panics is a failure too.
fn outcome(case: &Case) -> Result<Taken, Failure> {
    let ran = catch_unwind(AssertUnwindSafe(|| Simulation::run(case, &mut Memory::new())));
    ran.unwrap_or_else(|why| {
        let text = why.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| why.downcast_ref::<&str>().copied());
        Err(Failure(format!("a panic: {}", text.unwrap_or("of no words"))))
    })
}

fn report(case: &Case, failure: Failure) -> String {
    let first = failure.to_string();
    let (small, failure) = shrunk(case, failure, |case| outcome(case).err());
    format!(
        "seed {} fails: {first}\nthe smallest case that was found, {} steps: {failure}\n\
         replay it with CROSSWATCH_SIMULATION_CASE={small}",
        case.seed,
        small.steps.len(),
    )
}

#[test]
fn faults_lose_nothing_and_double_nothing() {
    let steps: u32 = told("STEPS", 60);
    if let Ok(text) = std::env::var("CROSSWATCH_SIMULATION_CASE") {
        let case =
            text.parse::<u64>().map_or_else(|_| text.parse(), |seed| Ok(Case::whole(seed, steps)));
        let case = case.unwrap_or_else(|why: String| panic!("{why}"));
        if let Err(failure) = outcome(&case) {
            panic!("{}", report(&case, failure));
        }
        return;
    }
    let (from, seeds): (u64, u64) = (told("FROM", 0), told("SEEDS", 300));
    let (next, failed, taken) = (AtomicU64::new(from), AtomicBool::new(false), AtomicU64::new(0));
    let seen = Mutex::new(BTreeSet::new());
    let begun = std::time::Instant::now();
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds || failed.load(Ordering::Relaxed) {
                return None;
            }
            let case = Case::whole(seed, steps);
            match outcome(&case) {
                Ok(one) => {
                    taken.fetch_add(one.steps, Ordering::Relaxed);
                    seen.lock().unwrap_or_else(PoisonError::into_inner).extend(one.seen);
                }
                Err(failure) => {
                    failed.store(true, Ordering::Relaxed);
                    return Some((case, failure));
                }
            }
        }
    };
    let jobs: usize = told("JOBS", 2);
    let found = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().find_map(|worker| worker.join().ok().flatten())
    });
    if let Some((case, failure)) = found {
        panic!("{}", report(&case, failure));
    }
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&str> = EXPECTED.into_iter().filter(|word| !seen.contains(*word)).collect();
    assert!(seeds < 300 || missing.is_empty(), "{seeds} seeds never had {missing:?}");
    let (taken, spent) = (taken.into_inner(), begun.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let speed = taken as f64 / spent;
    println!(
        "{seeds} seeds of {steps} steps, {taken} in all: {speed:.0} steps a second, {spent:.0} s"
    );
}

#[test]
fn a_case_is_read_as_it_is_written() {
    for text in ["7:0-3,9,12c", "0:", "3:1c,2,5-9c"] {
        let case: Case = text.parse().unwrap_or_else(|why: String| panic!("{why}"));
        assert_eq!(case.to_string(), text);
    }
    assert!("7:x".parse::<Case>().is_err());
}
