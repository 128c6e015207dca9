//! The logs of runs, as pages and as text.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use axum::extract::{Path, State};
use crosswatch_core::model::build::{RequestId, Stage, Verdict};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::Timestamp;
use maud::{Markup, html};

use super::page::{Place, layout};
use super::{Refusal, Shared, missing};
use crate::daemon::Access;
use crate::ledger::{BuildFilter, BuildRow};
use crate::pass::Published;
use crate::supervise::log::{self, Line};

/// Lines of a log that a page shows.
const LINES: usize = 2_000;

/// Last lines that stand beside a failure.
const END: usize = 12;

/// Builds whose last lines a page shows; each is a file that has to be read.
const MOST_ENDS: usize = 20;

/// The last lines of builds that failed here.
pub(super) type Ends = BTreeMap<RequestId, Vec<String>>;

/// A log, and whether its run goes on.
pub(super) struct Log {
    pub(super) path: PathBuf,
    live: bool,
}

pub(super) async fn workspace_page(
    State(access): Shared,
    Path(name): Path<String>,
) -> Result<Markup, Refusal> {
    let log = of_workspace(&access, &name).ok_or_else(|| not_run(&name))?;
    show(&access, &format!("Log of {name}"), "log.txt", log).await
}

pub(super) async fn workspace_text(
    State(access): Shared,
    Path(name): Path<String>,
) -> Result<String, Refusal> {
    text(of_workspace(&access, &name).ok_or_else(|| not_run(&name))?).await
}

pub(super) async fn build_page(
    State(access): Shared,
    Path(id): Path<String>,
) -> Result<Markup, Refusal> {
    let log = of_build(&access, &id).await.ok_or_else(|| no_build(&id))?;
    let short: String = id.chars().take(12).collect();
    show(&access, &format!("Log of build {short}"), "log.txt", log).await
}

pub(super) async fn build_text(
    State(access): Shared,
    Path(id): Path<String>,
) -> Result<String, Refusal> {
    text(of_build(&access, &id).await.ok_or_else(|| no_build(&id))?).await
}

fn not_run(name: &str) -> Refusal {
    missing(format!("there is no log of a workspace {name}: it has not run yet"))
}

fn no_build(id: &str) -> Refusal {
    missing(format!("there is no log of a build {id} on this machine"))
}

/// The log of the present or last run of a workspace, or with `+candidates` behind its name of its
/// last candidate.
pub(super) fn of_workspace(access: &Access, name: &str) -> Option<Log> {
    if let Some(workspace) = name.strip_suffix("+candidates") {
        let published = access.publications.borrow().clone()?;
        published.snapshot.settings.workspace(workspace)?;
        let path = newest(&published, name)?;
        let live = !log::is_over(&path);
        return Some(Log { path, live });
    }
    let board = access.board.read();
    let status = board.workspaces.get(name)?;
    let path = match &status.log {
        Some(path) => path.clone(),
        // This daemon has not run it yet, but an earlier one has.
        None => newest(access.publications.borrow().as_deref()?, name)?,
    };
    let live = status.running().is_some() && !log::is_over(&path);
    Some(Log { path, live })
}

/// The log of a local build, by its request id or the beginning of it.
pub(super) async fn of_build(access: &Access, id: &str) -> Option<Log> {
    if id.len() < 4 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let filter = BuildFilter { request: Some(id.to_owned()), ..BuildFilter::default() };
    let builds = access.ledger.builds(&filter).await.ok()?;
    let build = builds.first()?;
    let path = path_of_build(access.publications.borrow().as_deref()?, build);
    let live = !matches!(build.stage, Stage::Ended(_)) && !log::is_over(&path);
    log::exists(&path).then_some(Log { path, live })
}

/// The newest log of a workspace on the disk.
fn newest(published: &Published, name: &str) -> Option<PathBuf> {
    log::newest(&published.snapshot.settings.state_dir.join("logs").join(name))
}

fn path_of_build(published: &Published, build: &BuildRow) -> PathBuf {
    let builds = published.snapshot.settings.state_dir.join("builds");
    builds.join(build.request.request_id.to_string()).join("build.log")
}

/// The last lines of the run that failed, where the workspace's failure is that of its newest run.
pub fn end_of_failure(published: &Published, name: &str) -> Vec<String> {
    let failure = published
        .snapshot
        .workspaces
        .get(&Name::from(name))
        .and_then(|part| part.failure.clone())
        .unwrap_or_default();
    let path = newest(published, name);
    let path = path.filter(|path| failure.contains(&path.display().to_string()));
    path.map(|path| last_lines(&path)).unwrap_or_default()
}

fn last_lines(path: &FilePath) -> Vec<String> {
    // What cannot be read is not there; the failure itself is shown all the same.
    let lines = log::tail(path, END).unwrap_or_default();
    lines.into_iter().map(|line| line.text).collect()
}

/// The last lines of the newest builds that failed here.
pub(super) async fn ends(access: &Access, builds: &[BuildRow]) -> Ends {
    let Some(published) = access.publications.borrow().clone() else { return Ends::new() };
    let failed = builds.iter().filter(|build| {
        matches!(build.stage, Stage::Ended(Verdict::Failure | Verdict::Lost | Verdict::Refused))
    });
    let paths: Vec<(RequestId, PathBuf)> = failed
        .take(MOST_ENDS)
        .map(|build| (build.request.request_id, path_of_build(&published, build)))
        .collect();
    let read = tokio::task::spawn_blocking(move || {
        let ends = paths.into_iter().map(|(id, path)| (id, last_lines(&path)));
        ends.filter(|(_, lines)| !lines.is_empty()).collect()
    });
    read.await.unwrap_or_default()
}

async fn read(log: &Log) -> Result<Vec<Line>, Refusal> {
    let path = log.path.clone();
    let read = tokio::task::spawn_blocking(move || log::tail(&path, LINES)).await;
    match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(lines) => Ok(lines),
        // A run that is just starting has not opened its log yet.
        Err(error) if log.live && error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(missing(format!("{}: {error}", log.path.display()))),
    }
}

async fn text(log: Log) -> Result<String, Refusal> {
    let lines = read(&log).await?;
    Ok(lines.iter().map(|line| format!("{}\n", line.text)).collect())
}

async fn show(access: &Access, title: &str, plain: &str, log: Log) -> Result<Markup, Refusal> {
    let lines = read(&log).await?;
    let place = Place::Log { live: log.live };
    let content = html! {
        p {
            @if log.live { "The run goes on; this page follows it. " } @else { "The run is over. " }
            @if lines.len() >= LINES { "Only the last " (LINES) " lines are shown. " }
            a href=(plain) { "Text" } " " a href="#end" { "End" }
        }
        (rows(&lines))
        p id="end" {}
    };
    Ok(layout(title, access.clock.now(), place, content))
}

fn rows(lines: &[Line]) -> Markup {
    html! {
        pre.log {
            @for line in lines {
                span.at title=[line.at] { (time_of_day(line.at)) }
                " " span.(format!("stream-{}", word(line))) { (line.stream.letter()) " " (line.text) } "\n"
            }
        }
    }
}

fn word(line: &Line) -> &'static str {
    match line.stream {
        log::Stream::Output => "output",
        log::Stream::Error => "error",
        log::Stream::Note => "note",
    }
}

/// The day is the run's own; who hovers sees it.
fn time_of_day(at: Option<Timestamp>) -> String {
    let text = at.map(|at| at.to_string()).unwrap_or_default();
    text.get(11..19).unwrap_or("        ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_time_and_stream_and_stays_text() {
        let line = Line {
            at: Some(Timestamp(1_700_000_000_000)),
            stream: log::Stream::Error,
            text: "<script>x</script>".to_owned(),
        };
        let page = rows(&[line]).into_string();
        insta::assert_snapshot!(page.trim_end(), @r#"
        <pre class="log"><span class="at" title="2023-11-14T22:13:20Z">22:13:20</span> <span class="stream-error">e &lt;script&gt;x&lt;/script&gt;</span>
        </pre>
        "#);
    }
}
