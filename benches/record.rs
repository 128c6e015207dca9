//! What it takes to record the first plan of 500,000 (workspace, change) pairs, and to start again with as
//! many attempts: 1,000 workspaces of 200 packages that share 2,000 repositories, on SQLite.
//!
//! `cargo bench --bench record -- PAIRS` measures another number of pairs, in databases that are kept where
//! `CROSSWATCH_BENCH_FOLDER` says.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time that the world takes"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crosswatch::clock::Clock;
use crosswatch::ledger::{Ledger, Term};
use crosswatch::store::Store;
use crosswatch_core::model::plan::WorkspacePlan;
use crosswatch_core::model::settings::{Adopt, Dependencies};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::plan::incremental::Planner;
use nix::time::{ClockId, clock_gettime};
use simulation::Large;

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PAIRS: usize = 500_000;
/// Seconds until the first plan is recorded and of a start, milliseconds of a transaction.
const RECORDED_BAR: f64 = 60.0;
const START_BAR: f64 = 5.0;
const TRANSACTION_BAR: f64 = 500.0;
/// How often a daemon starts.
const STARTS: usize = 3;
/// Passes after which nothing is new any more.
const PASSES: usize = 20;
/// Between passes: with this nothing settles any more.
const SETTLED: Span = Span::minutes(30);
/// Which step this process is, and the database.
const STEP: &str = "CROSSWATCH_BENCH_RECORD";
/// Where databases are made and stay.
const FOLDER: &str = "CROSSWATCH_BENCH_FOLDER";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only has to see that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let pairs = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(PAIRS);
    let Ok(step) = std::env::var(STEP) else { return each(pairs) };
    let (step, place) = step.split_once(' ').expect("a step and its database");
    let (step, place) = (step.to_owned(), PathBuf::from(place));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let step = async move {
        match step.as_str() {
            "record" => record(pairs, &place).await,
            "fill" => fill(pairs, &place).await,
            "prune" => prune(&place).await,
            _ => start(pairs, &place).await,
        }
    };
    let held = runtime.block_on(async { tokio::spawn(step).await.expect("no panic") });
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each step in a process of its own, so that none begins with the memory of another.
fn each(pairs: usize) -> ExitCode {
    let own = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os(FOLDER).map_or_else(|| own.path().to_owned(), PathBuf::from);
    let step = |step: &str, file: &str| {
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program)
            .args(["--bench", &pairs.to_string()])
            .env(STEP, format!("{step} {}", folder.join(file).display()))
            .status();
        status.expect("this program starts").success()
    };
    let mut held = true;
    if !folder.join("full.sqlite").exists() {
        held &= step("record", "first.sqlite");
        held &= step("fill", "full.sqlite");
    }
    for _ in 0..STARTS {
        held &= step("start", "full.sqlite");
    }
    if std::env::var_os(FOLDER).is_none() {
        held &= step("prune", "full.sqlite");
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is open when the watch begins, none of which is built.
async fn record(pairs: usize, place: &Path) -> bool {
    let world = Large::new(pairs, |rules| rules.adopt = Adopt::None);
    let mut daemon = Daemon::start(world, place).await;
    daemon.until_recorded(Span::seconds(1)).await;
    daemon.say(&format!("{pairs} pairs recorded"), Some(RECORDED_BAR))
}

/// A build of each, ended with a verdict. Builds are triggered as by a daemon, and their ends, each of
/// which is a transaction of its own, stored at once.
async fn fill(pairs: usize, place: &Path) -> bool {
    let mut daemon = Daemon::start(built(pairs), place).await;
    daemon.until_recorded(SETTLED).await;
    let held = daemon.say(&format!("{pairs} pairs triggered"), None);
    daemon.ledger.close().await;
    end_all(place).await;
    let mut daemon = Daemon::start(daemon.world, place).await;
    daemon.until_recorded(SETTLED).await;
    let held = daemon.say("… ended", None) && held;
    daemon.ledger.close().await;
    held
}

fn built(pairs: usize) -> Large {
    Large::new(pairs, |rules| {
        rules.adopt = Adopt::All;
        rules.dependencies = Dependencies::Each;
    })
}

/// As the outbox leaves what a CI built.
async fn end_all(place: &Path) {
    let pool = connect(place).await;
    let ended = sqlx::query(
        "UPDATE attempts SET stage = 'success', is_open = 0, taken_at = decided_at + 5000, \
         ended_at = decided_at + 900000, remote = substr(request_id, 1, 6), \
         link = 'https://ci.example.org/#/builders/3/builds/' || substr(request_id, 1, 6) \
         WHERE is_open = 1",
    );
    ended.execute(&pool).await.expect("they end");
    pool.close().await;
}

async fn connect(place: &Path) -> sqlx::AnyPool {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", place.display());
    sqlx::AnyPool::connect(&url).await.expect("a database")
}

/// A start with all of that.
async fn start(pairs: usize, place: &Path) -> bool {
    let mut world = built(pairs);
    // Later than all that was recorded.
    world.snapshot.at = world.snapshot.at + SETTLED.times(3 * PASSES as u64);
    let (before, begun) = (resident(), Moment::now());
    let store = Store::sqlite(place).await.expect("a store");
    let ledger = Ledger::open(store, Clock::system()).await.expect("a ledger");
    ledger.lead("bench").await.expect("leads");
    let view = ledger.view();
    let (read, grown) = (begun.passed(), resident() - before);
    let reading = Moment::now();
    let plan = Planner::new().check(&world.snapshot, &view).0;
    let (planned, all) = (reading.passed(), begun.passed().0);
    let attempts: usize =
        view.workspaces.values().flat_map(|part| part.attempts.values()).map(Vec::len).sum();
    let triggers: usize = plan.workspaces.iter().map(|plan| triggered(plan)).sum();
    assert_eq!(triggers, 0, "what has a verdict is built again");
    println!(
        "a start with {attempts} attempts: {all:.1} s: read {:.1} s ({:.1} s of processors, {grown:.0} MB), \
         planned {:.1} s ({:.1} s of processors, {:.0} MB){}",
        read.0,
        read.1,
        planned.0,
        planned.1,
        resident() - before,
        verdict(all, START_BAR, "s"),
    );
    all <= START_BAR
}

/// Lets everything go that is old: the history of all decisions, and what two workspaces built too often.
async fn prune(place: &Path) -> bool {
    let pool = connect(place).await;
    let again = sqlx::query(
        "WITH RECURSIVE again (number) AS (SELECT 10 UNION ALL SELECT number + 1 FROM again \
         WHERE number < 89) INSERT INTO attempts (request_id, workspace, subject, ci, fingerprint, \
         attempt, stage, is_open, priority, decided_at, ended_at, heads, members, seen, parts) \
         SELECT substr(request_id, 1, 30) || number, workspace, subject, ci, fingerprint, number, stage, is_open, \
         priority, decided_at, ended_at, heads, members, seen, parts FROM attempts, again \
         WHERE workspace IN ('w0000', 'w0001') ON CONFLICT DO NOTHING",
    );
    let again = again.execute(&pool).await.expect("more attempts").rows_affected();
    pool.close().await;
    let store = Store::sqlite(place).await.expect("a store");
    let ledger = Ledger::open(store, Clock::system()).await.expect("a ledger");
    let term = ledger.lead("bench").await.expect("leads");
    let begun = Instant::now();
    let transactions = ledger.prune(&term, Timestamp(i64::MAX)).await.expect("pruned");
    let longest = transactions.iter().max().map_or(0, |longest| longest.0) as f64;
    println!(
        "pruned, with {again} more attempts: {:.1} s, {} transactions, the longest {longest:.0} ms{}",
        begun.elapsed().as_secs_f64(),
        transactions.len(),
        verdict(longest, TRANSACTION_BAR, "ms"),
    );
    ledger.close().await;
    longest <= TRANSACTION_BAR
}

/// A moment, by the clock and by the time that processors spent on this process.
struct Moment(Instant, Duration);

impl Moment {
    fn now() -> Self {
        let spent = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock");
        Self(Instant::now(), Duration::from(spent))
    }

    /// Seconds since then.
    fn passed(&self) -> (f64, f64) {
        let now = Self::now();
        ((now.0 - self.0).as_secs_f64(), (now.1 - self.1).as_secs_f64())
    }
}

/// What a daemon's passes are made of.
struct Daemon {
    world: Large,
    planner: Planner,
    ledger: Ledger,
    term: Term,
    place: PathBuf,
    planning: Duration,
    committing: Duration,
    transactions: Vec<Span>,
    queued: usize,
    passes: usize,
}

impl Daemon {
    async fn start(world: Large, place: &Path) -> Self {
        let store = Store::sqlite(place).await.expect("a store");
        let ledger = Ledger::open(store, Clock::system()).await.expect("a ledger");
        let term = ledger.lead("bench").await.expect("leads");
        Self {
            world,
            planner: Planner::new(),
            ledger,
            term,
            place: place.to_owned(),
            planning: Duration::ZERO,
            committing: Duration::ZERO,
            transactions: Vec::new(),
            queued: 0,
            passes: 0,
        }
    }

    /// Passes until one has nothing to record.
    async fn until_recorded(&mut self, between: Span) {
        let mut new = true;
        while new && self.passes < PASSES {
            new = self.pass().await;
            self.world.snapshot.at = self.world.snapshot.at + between;
        }
        assert!(!new, "something is new in each of {PASSES} passes");
    }

    /// Whether there was something to record.
    async fn pass(&mut self) -> bool {
        let (begun, view) = (Instant::now(), self.ledger.view());
        let plan = self.planner.plan(&self.world.snapshot, &view);
        let planned = begun.elapsed();
        let committed = self.ledger.commit(&self.term, &plan).await.expect("committed");
        self.planning += planned;
        self.committing += begun.elapsed() - planned;
        self.passes += 1;
        self.queued += committed.queued.len();
        let new = !committed.transactions.is_empty();
        self.transactions.extend(committed.transactions);
        new
    }

    /// Says what it took, and whether that holds.
    fn say(&self, what: &str, bar: Option<f64>) -> bool {
        let seconds = (self.planning + self.committing).as_secs_f64();
        let longest = self.transactions.iter().max().map_or(0, |longest| longest.0) as f64;
        println!(
            "{what}: {seconds:.1} s: planned {:.1} s, committed {:.1} s, {} passes, {} attempts, {:.0} MB on disk, \
             {:.0} MB resident{}",
            self.planning.as_secs_f64(),
            self.committing.as_secs_f64(),
            self.passes,
            self.queued,
            self.place.metadata().expect("a file").len() as f64 / 1e6,
            resident(),
            bar.map(|bar| verdict(seconds, bar, "s")).unwrap_or_default(),
        );
        println!(
            "  {} transactions, the longest {longest:.0} ms{}",
            self.transactions.len(),
            verdict(longest, TRANSACTION_BAR, "ms"),
        );
        bar.is_none_or(|bar| seconds <= bar) && longest <= TRANSACTION_BAR
    }
}

fn triggered(plan: &WorkspacePlan) -> usize {
    plan.subjects().map(|subject| subject.triggers.len()).sum()
}

fn verdict(measured: f64, bar: f64, unit: &str) -> String {
    format!("   bar {bar} {unit}: {}", if measured <= bar { "held" } else { "MISSED" })
}

/// Resident memory of this process, in MB.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096.0 / 1e6
}
