//! What supervision costs: `/bin/true` under a keeper beside a bare spawn of it, turn by turn.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "the bare spawn is what is compared with")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crosswatch::clock::Clock;
use crosswatch::supervise::{Cgroups, Run, Supervisor};
use tokio_util::sync::CancellationToken;

const TURNS: usize = 200;
/// What a supervised run may cost more than a bare one, at the median.
const BAR: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test --benches` only has to see that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let plain = Supervisor::with_exe(env!("CARGO_BIN_EXE_crosswatch"), Clock::system());
    let cgroups = Cgroups::find().ok().map(|found| found.prepare(folder.path()));
    let grouped = cgroups.is_some();
    let whole = plain.clone().with_cgroups(cgroups);
    let never = CancellationToken::new();
    let (mut bare, mut kept, mut update) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let start = Instant::now();
        let status = tokio::process::Command::new("/bin/true").status().await.expect("it runs");
        bare.push(start.elapsed());
        assert!(status.success());
        let start = Instant::now();
        let ended = plain.run(Run::new(["/bin/true"], folder.path()), &never).await;
        kept.push(start.elapsed());
        assert!(ended.outcome.success(), "{ended:?}");
        let mut run = Run::new(["/bin/true"], folder.path());
        run.log = Some(folder.path().join(format!("{turn}.log")));
        run.lock = Some(folder.path().join("lock"));
        let start = Instant::now();
        let ended = whole.run(run, &never).await;
        update.push(start.elapsed());
        assert!(ended.outcome.success(), "{ended:?}");
    }
    let base = row("bare spawn", bare);
    let cost = row("under a keeper", kept).saturating_sub(base);
    let group = if grouped { "control group, " } else { "" };
    row(&format!("with {group}log, lock, result"), update);
    let verdict = if cost < BAR { "held" } else { "MISSED" };
    println!("overhead of a keeper {cost:.1?}   bar {BAR:?}: {verdict}");
    if cost < BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(name: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let (median, late) = (at(50), at(95));
    println!("{name:<44} median {median:>8.2?}   p95 {late:>8.2?}   n {}", times.len());
    median
}
