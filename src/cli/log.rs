//! `crosswatch log`: prints the log of a run, and follows it.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::CliError;
use super::client::Client;
use super::output::out;
use crate::supervise::log::{Follower, Line};

/// Between two looks at a log that grows.
const PERIOD: Duration = Duration::from_millis(200);
/// Between two questions whether a workspace runs again.
const NEXT_RUN: Duration = Duration::from_secs(1);

/// A line whose end does not come for so long is shown without it.
const STALLED: Duration = Duration::from_secs(2);

/// What is printed of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Until the run ends.
    pub(super) follow: bool,
    /// Not the next runs of a workspace.
    pub(super) once: bool,
    /// Time and stream of each line.
    pub(super) times: bool,
}

/// Prints a log. The daemon names the file; it is read here, so that a busy daemon does not matter.
pub(super) async fn log(client: &Client, what: &str, wanted: Wanted) -> Result<(), CliError> {
    let (mut path, workspace) = match client.get("/api/v1/log", &[("workspace", what)]).await {
        Err(CliError::Failed(_)) => (client.get("/api/v1/log", &[("build", what)]).await?, false),
        answer => (answer?, true),
    };
    loop {
        print(PathBuf::from(&path), wanted).await?;
        if !wanted.follow || wanted.once || !workspace {
            return Ok(());
        }
        path = next(client, what, &path).await;
        // Not among the lines, which may be read by a program.
        eprintln!("crosswatch: the next run of {what}");
    }
}

/// Waits for the log of the next run, also over a restart of the daemon.
async fn next(client: &Client, workspace: &str, last: &str) -> String {
    loop {
        match client.get("/api/v1/log", &[("workspace", workspace)]).await {
            Ok(path) if path != last => return path,
            _ => tokio::time::sleep(NEXT_RUN).await,
        }
    }
}

async fn print(path: PathBuf, wanted: Wanted) -> Result<(), CliError> {
    let unreadable =
        |error: std::io::Error| CliError::Failed(format!("{}: {error}", path.display()));
    let mut follower = loop {
        match Follower::open(&path) {
            // A run that is just starting has not opened its log yet.
            Err(error) if wanted.follow && error.kind() == ErrorKind::NotFound => {
                tokio::time::sleep(PERIOD).await;
            }
            opened => break opened.map_err(unreadable)?,
        }
    };
    let mut idle = Duration::ZERO;
    loop {
        let lines = follower.read().map_err(unreadable)?;
        show(&lines, wanted.times)?;
        if follower.is_over() {
            return Ok(());
        }
        if !follower.is_at_end() {
            continue;
        }
        if !wanted.follow {
            return show(&follower.rest(), wanted.times);
        }
        idle = if lines.is_empty() { idle.saturating_add(PERIOD) } else { Duration::ZERO };
        if idle == STALLED {
            // It may be a question that nobody answers, which is what the reader wants to see.
            show(&follower.rest(), wanted.times)?;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn show(lines: &[Line], times: bool) -> Result<(), CliError> {
    let text: String = lines.iter().map(|line| spelled(line, times)).collect();
    if text.is_empty() { Ok(()) } else { out(&text) }
}

fn spelled(line: &Line, times: bool) -> String {
    let Line { at, stream, text } = line;
    match (times, at) {
        (false, _) => format!("{text}\n"),
        (true, Some(at)) => format!("{at} {} {text}\n", stream.letter()),
        (true, None) => format!("{:20} {} {text}\n", "-", stream.letter()),
    }
}
