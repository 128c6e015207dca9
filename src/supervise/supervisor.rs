//! The daemon's side of a run: starts the keeper, tells it what to run, hears how it ended.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;

use crosswatch_core::model::time::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::bubblewrap::Sandboxes;
use super::descendants::{kill_all, of_run};
use super::run::{Ended, Outcome, Run};
use super::sanitise::Sanitiser;
use super::wire::{CANCEL, Capture, MAX_FRAME, Report, Spec, frame};
use super::{KEEPER, environment, sandbox};
use crate::clock::Clock;

const TAIL_LINES: usize = 40;
/// Beyond the run's own deadlines: after that the keeper itself must be stuck.
const KEEPER_PATIENCE: Span = Span::seconds(60);

/// Starts runs, each under a keeper of its own.
#[derive(Clone, Debug)]
pub struct Supervisor {
    exe: PathBuf,
    clock: Clock,
    sandboxes: Sandboxes,
}

impl Supervisor {
    /// Keepers are this same program.
    pub fn new(clock: Clock) -> Self {
        Self::with_exe("/proc/self/exe", clock)
    }

    /// Keepers are started from `exe`, for programs that are not crosswatch themselves (tests).
    pub fn with_exe(exe: impl Into<PathBuf>, clock: Clock) -> Self {
        Self { exe: exe.into(), clock, sandboxes: Sandboxes::default() }
    }

    /// Runs to the end, whatever that is. When the future is dropped the run is ended as well.
    pub async fn run(&self, run: Run, cancel: &CancellationToken) -> Ended {
        let started_at = self.clock.now();
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
        let report = match self.drive(run, file, &id, cancel).await {
            Ok(Some(report)) => report,
            Ok(None) => {
                kill_all(|| of_run(&id));
                return Ended { outcome: Outcome::KeeperLost, ..self.not_started(started_at, "") };
            }
            Err(error) => return self.not_started(started_at, format!("its keeper: {error}")),
        };
        if let Some(error) = &report.log_error {
            tracing::warn!(error, "output of a run was lost");
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

    fn not_started(
        &self,
        started_at: crosswatch_core::model::time::Timestamp,
        why: impl Into<String>,
    ) -> Ended {
        Ended {
            outcome: Outcome::CouldNotStart(why.into()),
            started_at,
            ended_at: self.clock.now(),
            tail: Vec::new(),
            stdout: Vec::new(),
            stdout_truncated: false,
        }
    }

    /// `None` when the keeper was lost after it had begun.
    async fn drive(
        &self,
        run: Run,
        capture: Option<Capture>,
        id: &str,
        cancel: &CancellationToken,
    ) -> io::Result<Option<Report>> {
        let limits = run.limits;
        let env = environment::of_run(run.env, id);
        let Run { command, dir, log, lock, stdin, .. } = Run { env: BTreeMap::new(), ..run };
        let spec = Spec { command, dir, env, limits, log, capture, lock };
        let mut words = frame(&serde_json::to_vec(&spec)?)?;
        words.extend(frame(&stdin)?);
        let (mut control, mut keeper) = self.spawn()?;
        let patience = limits
            .wall
            .to_std()
            .saturating_add(limits.grace.to_std())
            .saturating_add(KEEPER_PATIENCE.to_std());
        let talk = async {
            control.write_all(&words).await.ok()?;
            let mut asked = false;
            let mut answer = Vec::new();
            let (mut read, mut write) = control.split();
            let mut listen = std::pin::pin!(async {
                let most = u64::try_from(MAX_FRAME).unwrap_or(u64::MAX);
                (&mut read).take(most).read_to_end(&mut answer).await.ok()?;
                serde_json::from_slice::<Report>(answer.get(4..)?).ok()
            });
            loop {
                tokio::select! {
                    report = &mut listen => return report,
                    () = cancel.cancelled(), if !asked => {
                        asked = true;
                        // A keeper that cannot be told is gone, which the reading side sees.
                        drop(write.write_all(&[CANCEL]).await);
                    }
                }
            }
        };
        let report = tokio::time::timeout(patience, talk).await.ok().flatten();
        if report.is_none() {
            drop(keeper.start_kill());
        }
        keeper.wait().await?;
        Ok(report)
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
