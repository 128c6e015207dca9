//! The daemon's side of a run: starts the keeper, tells it what to run, hears how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosswatch_core::model::time::Timestamp;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::bubblewrap::Sandboxes;
use super::cgroup::{Cgroups, Group};
use super::descendants::{Stat, kill_all, of_run, signal};
use super::run::{Ended, Outcome, Run, RunResult};
use super::sanitise::Sanitiser;
use super::wire::{Capture, Inbox, Order, Report, Spec, Usage, Word, frame};
use super::{KEEPER, environment, parent, sandbox};
use crate::clock::Clock;

const TAIL_LINES: usize = 40;
/// Beyond the run's own deadlines: after that the keeper itself must be stuck.
const KEEPER_PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked whether somebody stopped the keeper.
const LOOK: Duration = Duration::from_millis(500);
/// One that was found stopped so often without a word between, although it was woken each time, is
/// given up when its run should be over.
const STOPPED_LOOKS: u32 = 3;
/// How long what a dead keeper guarded may take to go.
const SWEEP_PATIENCE: Duration = Duration::from_secs(5);

/// A run that goes on, for those who watch.
#[derive(Clone, Debug)]
pub struct Running {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Since when.
    pub started_at: Timestamp,
    /// Its log, if it has one.
    pub log: Option<PathBuf>,
    /// What it uses.
    pub usage: Usage,
}

/// Starts runs, each under a keeper of its own.
#[derive(Clone, Debug)]
pub struct Supervisor {
    exe: PathBuf,
    clock: Clock,
    sandboxes: Sandboxes,
    cgroups: Option<Cgroups>,
    running: Arc<Mutex<BTreeMap<String, Running>>>,
}

impl Supervisor {
    /// Keepers are this same program.
    pub fn new(clock: Clock) -> Self {
        Self::with_exe("/proc/self/exe", clock)
    }

    /// Keepers are started from `exe`, for programs that are not crosswatch themselves (tests).
    pub fn with_exe(exe: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            exe: exe.into(),
            clock,
            cgroups: None,
            running: Arc::default(),
            sandboxes: Sandboxes::default(),
        }
    }

    /// Gives each run a control group.
    pub fn with_cgroups(self, cgroups: Option<Cgroups>) -> Self {
        Self { cgroups, ..self }
    }

    /// What runs now.
    pub fn running(&self) -> Vec<Running> {
        self.lock().values().cloned().collect()
    }

    /// Runs to the end, whatever that is. When the future is dropped the run is ended as well.
    pub async fn run(&self, run: Run, cancel: &CancellationToken) -> Ended {
        let started_at = self.clock.now();
        let command = run.command.clone();
        let run = match sandbox::wrap(self, run).await {
            Ok(run) => run,
            Err(error) => return self.not_started(started_at, error.to_string()),
        };
        let capture = match run.capture.map(|_| tempfile::NamedTempFile::new()).transpose() {
            Ok(capture) => capture,
            Err(error) => return self.not_started(started_at, format!("no room: {error}")),
        };
        let id = new_id();
        let max = run.capture.unwrap_or_default();
        let file = capture.as_ref().map(|file| Capture { file: file.path().to_owned(), max });
        let log = run.log.clone();
        let watched = Running { command, started_at, log, usage: Usage::default() };
        self.lock().insert(id.clone(), watched.clone());
        let _gone = Gone { id: &id, running: &self.running };
        let report = match self.drive(run, file, &id, started_at, cancel).await {
            Ok(Some(report)) => report,
            Ok(None) => return self.keeper_lost(watched, &id).await,
            Err(error) => return self.not_started(started_at, format!("its keeper: {error}")),
        };
        for trouble in &report.trouble {
            tracing::warn!(trouble, "a run's output or result was lost");
        }
        let stdout = capture.map(|file| std::fs::read(file.path())).transpose();
        let unread = stdout.is_err();
        Ended {
            tail: last_lines(&report.tail),
            outcome: report.outcome,
            started_at,
            ended_at: self.clock.now(),
            stdout: stdout.ok().flatten().unwrap_or_default(),
            stdout_truncated: report.stdout_truncated || unread,
        }
    }

    /// What is known of sandboxes here.
    pub fn sandbox(&self) -> &Sandboxes {
        &self.sandboxes
    }

    /// The clock of its runs.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_started(&self, started_at: Timestamp, why: impl Into<String>) -> Ended {
        Ended {
            outcome: Outcome::CouldNotStart(why.into()),
            started_at,
            ended_at: self.clock.now(),
            tail: Vec::new(),
            stdout: Vec::new(),
            stdout_truncated: false,
        }
    }

    /// Ends what a dead keeper guarded, and says how that run ended in the keeper's place.
    async fn keeper_lost(&self, run: Running, id: &str) -> Ended {
        let group = self.cgroups.as_ref().and_then(|groups| Group::existing(&groups.of_run(id)));
        let left = || -> BTreeSet<Pid> {
            let mut left = of_run(id);
            left.extend(group.iter().flat_map(Group::members));
            // Nothing but keepers is started by the daemon, so whoever else is below the parent
            // lost its keeper.
            left.extend(parent::strays());
            left
        };
        let sweep = async {
            loop {
                if let Some(group) = &group {
                    group.kill();
                }
                kill_all(left);
                if left().is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(SWEEP_PATIENCE, sweep).await.is_err() {
            tracing::error!(run = id, "processes of a run whose keeper died cannot be killed");
        }
        if let Some(group) = group {
            group.remove();
        }
        let ended = Ended {
            outcome: Outcome::KeeperLost,
            ..self.not_started(run.started_at, String::new())
        };
        if let Some(log) = run.log {
            let result = RunResult {
                command: run.command,
                outcome: ended.outcome.clone(),
                text: ended.outcome.to_string(),
                started_at: ended.started_at,
                ended_at: ended.ended_at,
            };
            if let Err(error) = result.write(&RunResult::path(&log)) {
                tracing::warn!(log = %log.display(), %error, "a run's result was not written");
            }
        }
        ended
    }

    /// `None` when the keeper was lost after it had begun.
    async fn drive(
        &self,
        run: Run,
        capture: Option<Capture>,
        id: &str,
        started_at: Timestamp,
        cancel: &CancellationToken,
    ) -> io::Result<Option<Report>> {
        let limits = run.limits;
        let env = environment::of_run(run.env, id);
        let spec = Spec {
            command: run.command,
            dir: run.dir,
            env,
            limits,
            log: run.log,
            capture,
            lock: run.lock,
            cgroup: self.cgroups.as_ref().map(|groups| groups.of_run(id)),
            stdin: run.stdin,
            started_at,
        };
        let order = frame(&Order::Start(Box::new(spec)))?;
        let (mut control, mut keeper) = self.spawn()?;
        let due = limits.wall.to_std().saturating_add(limits.grace.to_std());
        let talk = self.talk(&mut control, &order, &keeper, id, due, cancel);
        let patience = due.saturating_add(KEEPER_PATIENCE);
        let report = tokio::time::timeout(patience, talk).await.ok().flatten();
        if report.is_none() {
            drop(keeper.start_kill());
        }
        keeper.wait().await?;
        Ok(report)
    }

    /// Tells the keeper what to do and hears what it says, to its last word. `None` when it was lost,
    /// or does not work any more although its run should be over: after `due`.
    async fn talk(
        &self,
        control: &mut UnixStream,
        order: &[u8],
        keeper: &Child,
        id: &str,
        due: Duration,
        cancel: &CancellationToken,
    ) -> Option<Report> {
        control.write_all(order).await.ok()?;
        let (mut read, mut write) = control.split();
        let (mut inbox, mut piece) = (Inbox::default(), vec![0; 16 * 1024]);
        let mut looks = tokio::time::interval(LOOK);
        let (mut past, mut stopped, mut asked) = (Duration::ZERO, 0, false);
        loop {
            tokio::select! {
                length = read.read(&mut piece) => {
                    let length = length.ok().filter(|length| *length > 0)?;
                    inbox.push(piece.get(..length)?);
                    stopped = 0;
                }
                () = cancel.cancelled(), if !asked => {
                    asked = true;
                    // A keeper that cannot be told is gone, which the reading side sees.
                    drop(write.write_all(&frame(&Order::Cancel).ok()?).await);
                }
                _ = looks.tick() => {
                    past = past.saturating_add(LOOK);
                    stopped = if woken(keeper) { stopped + 1 } else { 0 };
                    if stopped >= STOPPED_LOOKS && past > due {
                        return None;
                    }
                }
            }
            while let Some(word) = inbox.pop().ok()? {
                match word {
                    Word::Ended(report) => return Some(*report),
                    Word::Progress(usage) => {
                        if let Some(run) = self.lock().get_mut(id) {
                            run.usage = usage;
                        }
                    }
                    Word::Started { pid } => tracing::debug!(run = id, pid, "a command runs"),
                }
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "keepers are the processes that are started here"
    )]
    fn spawn(&self) -> io::Result<(UnixStream, Child)> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        theirs.set_nonblocking(false)?;
        let mut command = Command::new(&self.exe);
        command.arg0("crosswatch").arg(KEEPER).env_clear().current_dir("/");
        command.envs(std::env::var_os("TMPDIR").map(|folder| ("TMPDIR", folder)));
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(false);
        Ok((ours, command.spawn()?))
    }
}

/// Whether a keeper was stopped, or is traced; then it is woken, and meets its deadlines.
fn woken(keeper: &Child) -> bool {
    let Some(pid) = keeper.id().and_then(|pid| i32::try_from(pid).ok()) else { return false };
    let stopped = Stat::of(pid).is_some_and(|stat| matches!(stat.state, 'T' | 't'));
    if stopped {
        signal(Pid::from_raw(pid), Signal::SIGCONT);
    }
    stopped
}

/// Takes a run off the list however it ends, a dropped future included.
struct Gone<'a> {
    id: &'a str,
    running: &'a Mutex<BTreeMap<String, Running>>,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(self.id);
    }
}

/// Unique on this machine, also across restarts of the daemon.
fn new_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    let random = || std::hash::RandomState::new().build_hasher().finish();
    format!("{}-{:016x}{:016x}", std::process::id(), random(), random())
}

fn last_lines(text: &str) -> Vec<String> {
    let mut sanitiser = Sanitiser::default();
    let mut clean = String::new();
    sanitiser.push(text.as_bytes(), &mut clean);
    let lines: Vec<&str> = clean.lines().collect();
    let skip = lines.len().saturating_sub(TAIL_LINES);
    lines.into_iter().skip(skip).map(str::to_owned).collect()
}
