//! What the backends need of the network and of processes, as two small ports.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crosswatch_core::model::settings::Limits;
use crosswatch_core::model::time::Span;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::BoxFuture;

/// Sends one request without following redirects and without retrying.
pub trait Web: Send + Sync {
    /// The answer, whatever its status, or why there is none.
    fn call(&self, call: Call) -> BoxFuture<Result<Answer, CallError>>;
}

/// Runs one process to its end, within its deadlines, and leaves nothing of it behind.
pub trait Runner: Send + Sync {
    /// How it ended. A run whose future is dropped is ended too.
    fn run(&self, job: Job, cancel: CancellationToken) -> BoxFuture<JobEnd>;
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method in upper case.
    pub method: String,
    /// Address.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, HeaderText)>,
    /// Body, empty for none.
    pub body: Vec<u8>,
    /// From now to the last byte of the answer.
    pub deadline: Span,
    /// Longest answer that is read.
    pub max_body: usize,
}

/// The value of a header field.
#[derive(Clone)]
pub enum HeaderText {
    /// May be shown.
    Plain(String),
    /// May not.
    Secret(SecretString),
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => fmt::Debug::fmt(text, f),
            Self::Secret(_) => f.write_str("(secret)"),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing of the request can have reached the server.
    #[error("{0}")]
    NotSent(String),
    /// The request may have been acted upon.
    #[error("{0}")]
    Unknown(String),
}

/// One process.
#[derive(Clone, Debug)]
pub struct Job {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Working directory.
    pub dir: PathBuf,
    /// Variables beside the few that every run gets; nothing of the daemon's own.
    pub env: BTreeMap<String, String>,
    /// Deadlines.
    pub limits: Limits,
    /// Where its output goes.
    pub log: Option<PathBuf>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// How much of its standard output is handed back.
    pub capture: usize,
    /// What is put around it.
    pub cage: Option<Cage>,
}

/// What a caged process sees of the machine beside the system's own programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cage {
    /// Paths that it may read.
    pub read_only: Vec<PathBuf>,
    /// Paths that it must not see although it may read what is around them.
    pub hidden: Vec<PathBuf>,
    /// The one folder that it may write, and starts in.
    pub writable: PathBuf,
    /// Whether it reaches the network.
    pub network: bool,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With that exit code.
    Exit(i32),
    /// By a signal that nobody of ours sent.
    Signal(i32),
    /// It was ended at a deadline or a limit; the text says which.
    Deadline(String),
    /// It was ended since it was no longer wanted.
    Cancelled,
    /// It never began.
    NotStarted(String),
    /// Its guardian was lost, so nobody knows.
    Lost(String),
}

/// What is left of a process.
#[derive(Clone, Debug)]
pub struct JobEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// What it printed on standard output, at most as much as was asked for.
    pub stdout: Vec<u8>,
    /// Its last line of output, for a summary.
    pub last_line: Option<String>,
}
