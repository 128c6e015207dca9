//! What a run is asked to be and how it can end.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crosswatch_core::model::settings::{self, Bounds, OutputLimit, Over};
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
    /// Where its output is appended; its folder is made. How the run ended is written beside it,
    /// into the file of the same name that ends in `.json`: see [`RunResult`].
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

/// When a run is ended, and what it may use until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest that it may take (`CLOCK_MONOTONIC`: a suspended machine does not count).
    pub wall: Span,
    /// The longest that it may write nothing.
    pub silence: Option<Span>,
    /// Between TERM and KILL.
    pub grace: Span,
    /// Bytes of output that the log keeps.
    pub log_max: u64,
    /// Whether a run that writes more than that is ended.
    pub log_end: bool,
    /// Bytes of memory of all its processes together.
    pub memory: Option<u64>,
    /// Processes at once.
    pub processes: Option<u64>,
    /// Open files of each of its processes.
    pub open_files: Option<u64>,
    /// Bytes that the folder which it runs in may take on the disk.
    pub disk: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(settings::Limits {
            timeout: Span::hours(1),
            silence: Span(0),
            grace: Span::seconds(10),
            output: OutputLimit::DEFAULT,
            bounds: Bounds::DEFAULT,
        })
    }
}

impl From<settings::Limits> for Limits {
    /// No silence is no deadline.
    fn from(limits: settings::Limits) -> Self {
        let (output, bounds) = (limits.output, limits.bounds);
        Self {
            wall: limits.timeout,
            silence: (limits.silence > Span(0)).then_some(limits.silence),
            grace: limits.grace,
            log_max: output.max.0,
            log_end: output.over == Over::End,
            memory: bounds.memory.map(|size| size.0),
            processes: Some(bounds.processes),
            open_files: bounds.open_files,
            disk: bounds.disk.map(|size| size.0),
        }
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exceeded {
    /// The run took too long.
    Wall,
    /// The run wrote nothing for too long.
    Silence,
}

/// What a run used more of than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Processes at once.
    Processes,
    /// Room on the disk.
    Disk,
    /// Output.
    Output,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command exited by itself with this code.
    Finished(i32),
    /// A signal that was not ours ended the command.
    Signalled(i32),
    /// A deadline passed and everything was ended; the exit code then says nothing.
    TimedOut(Exceeded),
    /// It was ended because it used more than it may.
    OverLimit(Resource),
    /// Its memory limit was reached: the kernel killed a process of it, or the keeper ended it.
    OutOfMemory,
    /// The daemon asked for the end, or died.
    Cancelled,
    /// The command was never started.
    CouldNotStart(String),
    /// A process of the run lives on although it was killed (no right, or stuck in the kernel).
    Unkillable {
        /// Its process id.
        pid: i32,
        /// Its state as `/proc/PID/stat` has it: `D` is stuck in the kernel.
        state: char,
        /// What in the kernel it waits in, where the kernel tells.
        wchan: String,
    },
    /// The keeper itself died; what it guarded was killed.
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
            Self::Signalled(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(name) => write!(f, "ended by signal {signal} ({name})"),
                Err(_) => write!(f, "ended by signal {signal}"),
            },
            Self::TimedOut(Exceeded::Wall) => f.write_str("took longer than its timeout"),
            Self::TimedOut(Exceeded::Silence) => {
                f.write_str("wrote nothing for longer than its silence limit")
            }
            Self::OverLimit(Resource::Processes) => {
                f.write_str("had more processes than its limit (`processes`)")
            }
            Self::OverLimit(Resource::Disk) => {
                f.write_str("filled its folder beyond its limit (`disk`)")
            }
            Self::OverLimit(Resource::Output) => {
                f.write_str("wrote more than its limit (`output.max`)")
            }
            Self::OutOfMemory => f.write_str("ran out of its memory limit (`memory`)"),
            Self::Cancelled => f.write_str("was cancelled"),
            Self::CouldNotStart(why) => write!(f, "could not be started: {why}"),
            Self::Unkillable { pid, state, wchan } => write!(
                f,
                "left process {pid}, which cannot be killed (state {state}, waits in {wchan})"
            ),
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

/// What is written beside a log when its run is over, before anybody hears of the end: who starts
/// after a crash of the daemon reads here how the run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The same in words.
    pub text: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When the last process was gone.
    pub ended_at: Timestamp,
}

impl RunResult {
    /// Where the result of the run with this log is.
    pub fn path(log: &std::path::Path) -> PathBuf {
        log.with_extension("json")
    }

    /// Writes it so that it is there whole or not at all, also after a power cut.
    pub fn write(&self, path: &std::path::Path) -> std::io::Result<()> {
        use std::io::Write as _;
        let folder = path.parent().unwrap_or(std::path::Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    }
}
