//! The pages: what is wrong first, then everything. Server-rendered, reading only.

use std::path::PathBuf;

use axum::extract::{Path, State};
use crosswatch_core::model::build::Stage;
use crosswatch_core::model::time::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::rows::{self, ChangeRow, WorkspaceRow};
use super::{Refusal, Shared, broken, missing, published, workspace_id};
use crate::daemon::Access;
use crate::ledger::{BuildFilter, BuildRow};
use crate::supervise::log;

/// Lines of a log that a page shows.
const LINES: usize = 2_000;

pub(super) async fn overview(State(access): Shared) -> Result<Markup, Refusal> {
    let published = published(&access)?;
    let board = access.board.read();
    let workspaces = rows::workspaces(&published, &board);
    let changes = rows::changes(&published, None);
    let filter = BuildFilter { limit: Some(50), ..BuildFilter::default() };
    let builds = access.ledger.builds(&filter).await.map_err(broken)?;
    let mut wrong: Vec<(String, String)> = Vec::new();
    wrong.extend(board.not_ready.iter().map(|(what, why)| (what.clone(), why.clone())));
    wrong.extend(board.configuration.iter().map(|why| ("configuration".to_owned(), why.clone())));
    wrong.extend(board.ci.iter().map(|(name, why)| (format!("CI {name}"), why.clone())));
    wrong.extend(workspaces.iter().filter_map(|row| {
        let again = row.next_at.map(|at| format!("; tried again at {at}")).unwrap_or_default();
        Some((format!("workspace {}", row.name), format!("{}{again}", row.failure.as_ref()?)))
    }));
    wrong.extend(rows::repositories(&board).into_iter().filter_map(|row| {
        let again = row.next_at.map(|at| format!("; tried again at {at}")).unwrap_or_default();
        Some((row.repository.to_string(), format!("{}{again}", row.failure?)))
    }));
    Ok(layout(
        "Crosswatch",
        published.plan.at,
        html! {
            @if !wrong.is_empty() {
                section.wrong {
                    h2 { "Needs a look" }
                    dl { @for (what, why) in &wrong { dt { (what) } dd { (why) } } }
                }
            }
            section {
                h2 { "Workspaces" }
                (workspace_table(&workspaces))
            }
            section {
                h2 { "Changes" }
                (change_table(&changes, true))
            }
            section {
                h2 { "Builds" }
                (build_table(&builds))
            }
        },
    ))
}

pub(super) async fn workspace(
    State(access): Shared,
    Path(name): Path<String>,
) -> Result<Markup, Refusal> {
    let published = published(&access)?;
    let board = access.board.read();
    let row = rows::workspaces(&published, &board).into_iter().find(|row| *row.name == *name);
    let row = row.ok_or_else(|| missing(format!("there is no workspace {name}")))?;
    let changes = rows::changes(&published, Some(&name));
    let id = workspace_id(&published, &name).map_err(missing)?;
    let filter = BuildFilter { workspace: Some(id), limit: Some(100), ..BuildFilter::default() };
    let builds = access.ledger.builds(&filter).await.map_err(broken)?;
    Ok(layout(
        &name,
        published.plan.at,
        html! {
            section {
                p { (row.phase) @if let Some(since) = row.since { " since " (since) } ", "
                    (row.packages) " packages. " a href=(format!("/workspaces/{name}/log")) { "Log of the last run" } }
                @if let Some(failure) = &row.failure {
                    p.wrong { (failure) }
                    pre { @for line in &row.tail { (line) "\n" } }
                }
                @if !row.unwatched.is_empty() {
                    details { summary { (row.unwatched.len()) " packages are not watched" }
                        ul { @for text in &row.unwatched { li { (text) } } } }
                }
            }
            section { h2 { "Changes" } (change_table(&changes, false)) }
            section { h2 { "Builds" } (build_table(&builds)) }
            section {
                h2 { "Why" }
                @for change in &changes {
                    details id=(change.change.to_string().replace('#', "-")) {
                        summary { (change.change) ": " (change.decision) }
                        @if let Ok(text) = rows::explain(&published, &name, &change.change.to_string()) {
                            pre { (text) }
                        }
                    }
                }
            }
        },
    ))
}

pub(super) async fn workspace_log(
    State(access): Shared,
    Path(name): Path<String>,
) -> Result<String, Refusal> {
    let path = log_of_workspace(&access, &name);
    show(path.ok_or_else(|| missing(format!("{name} has not run yet")))?)
}

pub(super) async fn build_log(
    State(access): Shared,
    Path(id): Path<String>,
) -> Result<String, Refusal> {
    let path = log_of_build(&access, &id).await;
    show(path.ok_or_else(|| missing(format!("there is no log of a build {id} on this machine")))?)
}

fn show(path: PathBuf) -> Result<String, Refusal> {
    let lines = log::tail(&path, LINES).map_err(|error| missing(error.to_string()))?;
    Ok(lines.join("\n") + "\n")
}

/// The log of the present or last run of a workspace.
pub(super) fn log_of_workspace(access: &Access, name: &str) -> Option<PathBuf> {
    access.board.read().workspaces.get(name)?.log.clone()
}

/// The log of a local build, by its request id or the beginning of it.
pub(super) async fn log_of_build(access: &Access, id: &str) -> Option<PathBuf> {
    if id.len() < 4 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let filter = BuildFilter { request: Some(id.to_owned()), ..BuildFilter::default() };
    let builds = access.ledger.builds(&filter).await.ok()?;
    let build = builds.first()?;
    let state_dir = access.publications.borrow().as_ref()?.snapshot.settings.state_dir.clone();
    let folder = state_dir.join("builds").join(build.request.request_id.to_string());
    Some(folder.join("build.log")).filter(|path| path.is_file())
}

fn workspace_table(rows: &[WorkspaceRow]) -> Markup {
    html! {
        table {
            thead { tr { th { "Workspace" } th { "State" } th { "Packages" } th { "Changes" } th { "Mainline" } } }
            tbody {
                @for row in rows {
                    tr {
                        td { a href=(format!("/workspaces/{}", row.name)) { (row.name) } }
                        td.bad[row.failure.is_some()] { (row.phase) }
                        td { (row.packages) }
                        td { (row.changes) }
                        td { (row.mainline) }
                    }
                }
            }
        }
    }
}

fn change_table(rows: &[ChangeRow], with_workspace: bool) -> Markup {
    html! {
        table {
            thead { tr { @if with_workspace { th { "Workspace" } } th { "Change" } th { "Decision" } th { "Why" } } }
            tbody {
                @for row in rows {
                    tr {
                        @if with_workspace { td { a href=(format!("/workspaces/{}", row.workspace)) { (row.workspace) } } }
                        td { (row.change) }
                        td { span class=(format!("word {}", row.decision)) { (row.decision) } }
                        td {
                            (row.reason)
                            @if let Some(until) = row.until { " (until " (until) ")" }
                            @for finding in &row.findings { p.finding { (finding) } }
                            @for note in &row.notes { p.note { (note) } }
                        }
                    }
                }
            }
        }
    }
}

fn build_table(rows: &[BuildRow]) -> Markup {
    html! {
        @if rows.is_empty() { p { "Nothing was triggered yet." } } @else {
            table {
                thead { tr { th { "Decided" } th { "Workspace" } th { "Subject" } th { "CI" } th { "State" } th { "Why" } } }
                tbody {
                    @for row in rows {
                        tr {
                            td { (row.decided_at) }
                            td { (row.request.workspace) }
                            td { (row.request.subject) }
                            td { (row.ci) }
                            td {
                                span class=(format!("word {}", row.stage.word())) { (row.stage.word()) }
                                " "
                                @if let Some(link) = &row.link { a href=(link) rel="noreferrer" { "page" } }
                                @else if row.stage != Stage::Queued {
                                    a href=(format!("/builds/{}/log", row.request.request_id)) { "log" }
                                }
                            }
                            td { (row.request.reason) @if let Some(note) = &row.note { p.note { (note) } } }
                        }
                    }
                }
            }
        }
    }
}

fn layout(title: &str, at: Timestamp, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="15";
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body {
                header { a href="/" { "Crosswatch" } span { "as of " (at) } }
                main { h1 { (title) } (content) }
            }
        }
    }
}
