//! The command line: the same answers as the pages, in a terminal.

mod arguments;
mod client;
mod doctor;
mod import;
mod log;
mod offline;
mod output;
mod plan;
mod show;
mod snapshot;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use crosswatch_core::model::time::Span;
use nix::unistd::Pid;

use crate::config::{self, Secrets};
use crate::daemon::{self, Progress, RunOptions};
use crate::supervise::parent;
use crate::web::Act;
use arguments::{Arguments, Command, ImportCommand, SnapshotCommand};
use client::Client;
use output::out;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// Wrong use or configuration: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// No daemon answers.
    #[error(
        "no daemon answers at {socket}: {why}; start one with `crosswatch run`, or name its socket with --socket"
    )]
    NoDaemon {
        /// Where it was looked for.
        socket: String,
        /// The system's words.
        why: String,
    },
    /// The reader of our output went away.
    #[error("nobody reads the output")]
    Closed,
}

impl CliError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::NoDaemon { .. } => 1,
            Self::Closed => 0,
        }
    }
}

impl From<daemon::DaemonError> for CliError {
    fn from(error: daemon::DaemonError) -> Self {
        match error.exit_code() {
            2 => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the command that the arguments say.
pub fn main() -> ExitCode {
    let (words, parent) = words();
    let arguments = Arguments::parse_from(&words);
    if matches!(arguments.command, Command::Run { .. }) {
        let begun = match parent {
            Some(pid) => parent::bind(pid),
            None => Err(parent::start(words.into_iter().skip(1))),
        };
        if let Err(error) = begun {
            eprintln!("crosswatch: the daemon cannot be started: {error}");
            return ExitCode::from(1);
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("crosswatch: no threads can be started: {error}");
            return ExitCode::from(1);
        }
    };
    let done = runtime.block_on(command(arguments));
    // Blocking work that nobody waits for any more must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Closed) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crosswatch: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The arguments of this program, and the parent that started it as a daemon, if one did.
fn words() -> (Vec<OsString>, Option<Pid>) {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_none_or(|word| word != parent::DAEMON) {
        return (words, None);
    }
    let pid = words.get(2).and_then(|pid| pid.to_str()?.parse().ok()).unwrap_or_default();
    words.drain(1..words.len().min(3));
    (words, Some(Pid::from_raw(pid)))
}

async fn command(arguments: Arguments) -> Result<(), CliError> {
    let Arguments { config, socket, json, command } = arguments;
    let config = config.unwrap_or_else(found_config);
    let client = || Client::new(socket.clone(), &config);
    match command {
        Command::Run { once } => {
            let progress = Progress::new();
            logging(&progress);
            let options = RunOptions { config, once, passes_every: passes_every(), progress };
            daemon::run(options).await.map_err(CliError::from)
        }
        Command::Check { file, resolved } => {
            let file = file.unwrap_or(config);
            let settings = config::load(&file, &Secrets::from_environment())
                .map_err(|errors| CliError::Usage(errors.to_string()))?;
            if resolved {
                return out(&config::resolved(&settings));
            }
            out(&format!(
                "{}: {} workspaces, {} forges, {} CIs, all in order\n",
                file.display(),
                settings.workspaces.len(),
                settings.forges.len(),
                settings.ci.len()
            ))
        }
        Command::Plan { workspace, at, offline, edits, compare } => {
            let wanted = plan::Wanted { workspace, at, offline, edits, compare, json };
            plan::plan(client, &config, &wanted).await
        }
        Command::Explain { workspace, change, offline } => {
            let wanted = plan::Explained { workspace, change, offline, json };
            plan::explain(client, &config, &wanted).await
        }
        Command::Import { command: ImportCommand::AutoprojDaemon { folder } } => {
            import::autoproj_daemon(&folder)
        }
        Command::Snapshot { command: SnapshotCommand::Save { file, anonymous } } => {
            snapshot::save(&client()?, &config, &file, anonymous).await
        }
        Command::Snapshot { command: SnapshotCommand::Show { file } } => {
            snapshot::show(&file, json)
        }
        Command::Overrides { workspace, change, fingerprint, latest: _, format } => {
            let format = format.word();
            let wanted = show::Overrides { workspace, change, fingerprint, format };
            show::overrides(&client()?, &config, &wanted).await
        }
        Command::Workspaces { workspace: None } => show::workspaces(&client()?, json).await,
        Command::Workspaces { workspace: Some(name) } => {
            show::workspace(&client()?, &name, json).await
        }
        Command::Changes { workspace } => show::changes(&client()?, workspace, json).await,
        Command::Builds { workspace, limit } => {
            show::builds(&client()?, workspace, limit, json).await
        }
        Command::Hooks => show::hooks(&client()?, json).await,
        Command::Forges => show::forges(&client()?, json).await,
        Command::Log { what, follow, once, times } => {
            log::log(&client()?, &what, log::Wanted { follow, once, times }).await
        }
        Command::Rebuild { workspace, change, alone } => {
            act(&client()?, &Act::Rebuild { workspace, change, alone }).await
        }
        Command::Approve { workspace, change, fingerprint } => {
            act(&client()?, &Act::Approve { workspace, change, fingerprint }).await
        }
        Command::Pause { workspace } => act(&client()?, &Act::Pause { workspace }).await,
        Command::Resume { workspace } => act(&client()?, &Act::Resume { workspace }).await,
        Command::Update { workspace } => {
            act(&client()?, &Act::Update { workspace, fresh: false }).await
        }
        Command::Rebootstrap { workspace } => {
            act(&client()?, &Act::Update { workspace, fresh: true }).await
        }
        Command::Accept { repository } => act(&client()?, &Act::Accept { repository }).await,
        Command::Reload { yes } => act(&client()?, &Act::Reload { yes }).await,
        Command::Doctor => doctor::doctor(config, socket, json).await,
        Command::Schema => {
            let text = serde_json::to_string_pretty(&config::schema());
            out(&(text.map_err(|error| CliError::Failed(error.to_string()))? + "\n"))
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "crosswatch", &mut text);
            out(&String::from_utf8_lossy(&text))
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Arguments::command())
                .render(&mut text)
                .map_err(|error| CliError::Failed(error.to_string()))?;
            out(&String::from_utf8_lossy(&text))
        }
    }
}

async fn act(client: &Client, act: &Act) -> Result<(), CliError> {
    out(&format!("{}\n", client.act(act).await?))
}

/// The configuration that is used when none is named.
fn found_config() -> PathBuf {
    if let Some(path) = std::env::var_os("CROSSWATCH_CONFIG").filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    let here = PathBuf::from("workspaces.yaml");
    if here.exists() { here } else { PathBuf::from("/etc/crosswatch/workspaces.yaml") }
}

/// A test of the periods: nothing wakes a pass but time, which comes this often.
fn passes_every() -> Option<Span> {
    std::env::var("CROSSWATCH_TEST_WITHOUT_WAKES").ok()?.parse().ok()
}

/// Logs go to standard error; `RUST_LOG` says which, `info` by default.
fn logging(progress: &Progress) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let set = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(progress.clone())
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())
        .try_init();
    if let Err(error) = set {
        eprintln!("crosswatch: logging cannot be set up: {error}");
    }
}
