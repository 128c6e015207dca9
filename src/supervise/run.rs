//! What a run is asked to be and how it can end.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crosswatch_core::model::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::sandbox::SandboxSpec;

/// One command to run under supervision.
#[derive(Clone)]
pub struct Run {
    /// The program and its arguments; without a `/` it is looked up in `PATH`.
    pub command: Vec<String>,
    /// The folder that it starts in.
    pub dir: PathBuf,
    /// Its environment, on top of the short allow-list that every run gets.
    pub env: BTreeMap<String, String>,
    /// When it is ended.
    pub limits: Limits,
    /// Where its output is appended; its folder is made.
    pub log: Option<PathBuf>,
    /// What it reads; empty means `/dev/null`.
    pub stdin: Vec<u8>,
    /// Return at most this many bytes of standard output instead of logging them.
    pub capture: Option<usize>,
    /// What shuts it in.
    pub sandbox: Option<SandboxSpec>,
    /// A file whose lock is held from before the start until no process of the run is left.
    pub lock: Option<PathBuf>,
}

impl Run {
    /// A run of `command` in `dir` with the default limits and nothing else.
    pub fn new<S: Into<String>>(
        command: impl IntoIterator<Item = S>,
        dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            dir: dir.into(),
            env: BTreeMap::new(),
            limits: Limits::default(),
            log: None,
            stdin: Vec::new(),
            capture: None,
            sandbox: None,
            lock: None,
        }
    }
}

impl fmt::Debug for Run {
    /// Without the environment's values and the input, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("command", &self.command)
            .field("dir", &self.dir)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("limits", &self.limits)
            .field("log", &self.log)
            .field("sandbox", &self.sandbox)
            .finish_non_exhaustive()
    }
}

/// When a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest that it may take.
    pub wall: Span,
    /// The longest that it may write nothing.
    pub silence: Option<Span>,
    /// Between TERM and KILL.
    pub grace: Span,
    /// Bytes of output that the log keeps; what follows is read and dropped.
    pub log_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Span::hours(1),
            silence: None,
            grace: Span::seconds(10),
            log_max: 64 * 1024 * 1024,
        }
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exceeded {
    /// The run took too long.
    Wall,
    /// The run wrote nothing for too long.
    Silence,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The command exited by itself with this code.
    Finished(i32),
    /// A signal that was not ours ended the command.
    Signalled(i32),
    /// A deadline passed and everything was ended; the exit code then says nothing.
    TimedOut(Exceeded),
    /// The daemon asked for the end.
    Cancelled,
    /// The command was never started.
    CouldNotStart(String),
    /// Processes of the run live on although they were killed (no right, or stuck in the kernel).
    Unkillable,
    /// The keeper itself died; what it guarded was killed as far as it could be found.
    KeeperLost,
}

impl Outcome {
    /// Whether the command did what it was started for.
    pub fn success(&self) -> bool {
        *self == Self::Finished(0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => write!(f, "ended by signal {signal}"),
            Self::TimedOut(Exceeded::Wall) => f.write_str("took longer than its timeout"),
            Self::TimedOut(Exceeded::Silence) => {
                f.write_str("wrote nothing for longer than its silence limit")
            }
            Self::Cancelled => f.write_str("cancelled"),
            Self::CouldNotStart(why) => write!(f, "could not be started: {why}"),
            Self::Unkillable => f.write_str("left processes that cannot be killed"),
            Self::KeeperLost => f.write_str("lost: its keeper process died"),
        }
    }
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// When the keeper was started.
    pub started_at: Timestamp,
    /// When the last process of the run was gone.
    pub ended_at: Timestamp,
    /// The last lines of the output (of standard error alone when output is captured).
    pub tail: Vec<String>,
    /// Captured standard output.
    pub stdout: Vec<u8>,
    /// Whether there was more of it.
    pub stdout_truncated: bool,
}
