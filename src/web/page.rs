//! The pages: what is wrong first, then everything. Server-rendered, reading only.

use axum::extract::{Path, State};
use crosswatch_core::model::build::Stage;
use crosswatch_core::model::run::RunRecord;
use crosswatch_core::model::time::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::hook_rows::{self, HooksRow};
use super::logs::{Ends, ends};
use super::rows::{self, ChangeRow, ForgeRow, WorkspaceRow};
use super::wrong::{self, Wrong};
use super::{Refusal, Shared, missing, published, workspace_id};
use crate::ledger::{BuildFilter, BuildRow, LedgerError};

/// The page stays readable while the daemon is in trouble: that is when somebody reads it.
pub(super) async fn overview(State(access): Shared) -> Markup {
    let board = access.board.read();
    let panicked = access.tasks.panicked();
    let mut wrong = wrong::observed(&board, &panicked);
    let Some(published) = access.publications.borrow().clone() else {
        let content = html! {
            (wrong_list(&wrong))
            p { "The first pass is not over yet: nothing is decided so far." }
        };
        return layout("Crosswatch", access.clock.now(), Place::Overview, content);
    };
    let filter = BuildFilter { limit: Some(50), ..BuildFilter::default() };
    let builds = access.ledger.builds(&filter).await;
    let ends = ends(&access, builds.as_deref().unwrap_or_default()).await;
    wrong.extend(wrong::decided(&published, builds.as_deref().unwrap_or_default()));
    let workspaces = rows::workspaces(&published, &board);
    let changes = rows::changes(&published, None);
    let forges = rows::forges(&access.world.settings(), &board, &access.governor);
    let hooks = hook_rows::hooks(&access.world.settings(), &board, access.clock.now());
    let content = html! {
        (wrong_list(&wrong))
        section { h2 { "Workspaces" } (workspace_table(&workspaces)) }
        section { h2 { "Changes" } (change_table(&changes, Place::Overview)) }
        section { h2 { "Builds" } (build_part(&builds, &ends, Place::Overview)) }
        section { h2 { "Forges" } (forge_table(&forges)) }
        @if !hooks.is_empty() { section { h2 { "Webhooks" } (hook_table(&hooks)) } }
    };
    layout("Crosswatch", published.plan.at, Place::Overview, content)
}

fn forge_table(forges: &[ForgeRow]) -> Markup {
    html! {
        table {
            tr { th { "Forge" } th { "Repositories" } th { "Asked by" } th { "Budget left" } th { "State" } }
            @for forge in forges {
                tr {
                    td { (forge.name) " (" (forge.kind) ")" }
                    td { (forge.repositories) }
                    td { (forge.detector) }
                    td { (forge.budget()) }
                    td { (forge.state()) }
                }
                @for credential in &forge.credentials {
                    tr {
                        td { (credential.name) }
                        td {}
                        td { (credential.detector) }
                        td { (credential.budget) }
                        td { (credential.failure.as_deref().unwrap_or("ok")) }
                    }
                }
            }
        }
    }
}

fn hook_table(rows: &[HooksRow]) -> Markup {
    html! {
        table {
            tr { th { "Forge" } th { "URL to enter there" } th { "Hooks" } th { "Last" } th { "Deliveries" } th { "State" } }
            @for row in rows {
                tr {
                    td { (row.forge) }
                    td { @if let Some(url) = &row.url { (url) } }
                    td { @for hook in &row.hooks { p { (hook.place) " (" (hook.events.join(", ")) ")" } } }
                    td { @if let Some(at) = row.last_at { (at) } }
                    td { (row.counted()) }
                    td { (row.state()) }
                }
            }
        }
    }
}

fn wrong_list(wrong: &[Wrong]) -> Markup {
    html! {
        @if wrong.is_empty() {
            p.good { "Nothing is wrong." }
        } @else {
            section.wrong {
                h2 { "Needs a look" }
                dl {
                    @for entry in wrong {
                        dt {
                            @if let Some(workspace) = &entry.workspace {
                                a href=(format!("workspaces/{workspace}")) { (entry.what) }
                            } @else { (entry.what) }
                        }
                        dd {
                            (entry.why)
                            @if !entry.tail.is_empty() { pre { @for line in &entry.tail { (line) "\n" } } }
                        }
                    }
                }
            }
        }
    }
}

/// Which page is made. Links are relative, so that a proxy may serve the pages below any path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Workspace,
    /// Of a run that goes on, or of one that is over.
    Log {
        live: bool,
    },
}

impl Place {
    /// The way from this page to the first one.
    fn root(self) -> &'static str {
        match self {
            Self::Overview => "./",
            Self::Workspace => "../",
            Self::Log { .. } => "../../",
        }
    }

    /// After how many seconds it is loaded again: explanations that somebody unfolded must not be
    /// folded again under their eyes, and what is over does not change.
    fn refresh(self) -> Option<u32> {
        match self {
            Self::Overview => Some(15),
            Self::Log { live: true } => Some(3),
            Self::Workspace | Self::Log { live: false } => None,
        }
    }
}

pub(super) async fn workspace(
    State(access): Shared,
    Path(name): Path<String>,
) -> Result<Markup, Refusal> {
    let published = published(&access)?;
    let board = access.board.read();
    let row = rows::workspace(&published, &board, &name).map_err(missing)?;
    let changes = rows::changes(&published, Some(&name));
    let id = workspace_id(&published, &name).map_err(missing)?;
    let filter = BuildFilter { workspace: Some(id), limit: Some(100), ..BuildFilter::default() };
    let builds = access.ledger.builds(&filter).await;
    let ends = ends(&access, builds.as_deref().unwrap_or_default()).await;
    Ok(layout(
        &name,
        published.plan.at,
        Place::Workspace,
        html! {
            section {
                p { (row.phase) @if let Some(since) = row.since { " since " (since) } ", "
                    (row.packages) " packages. " a href=(format!("{name}/log")) { "Log of the last run" } }
                @if let Some(failure) = &row.failure {
                    p.wrong { (failure) }
                    pre { @for line in &row.tail { (line) "\n" } }
                }
                @if let Some(suspicion) = &row.suspicion { p.wrong { "Not believed: " (suspicion) } }
                @for note in &row.notes { p.note { (note) } }
                @if !row.unwatched.is_empty() {
                    details { summary { (row.unwatched.len()) " packages are not watched" }
                        ul { @for text in &row.unwatched { li { (text) } } } }
                }
            }
            section { h2 { "Changes" } (change_table(&changes, Place::Workspace)) }
            section { h2 { "Builds" } (build_part(&builds, &ends, Place::Workspace)) }
            section { h2 { "Runs" } (run_table(&row.runs)) }
            section {
                h2 { "Why" }
                @for (change, why) in changes.iter().zip(rows::explanations(&published, &name)) {
                    details id=(anchor(change)) {
                        summary { (change.change) ": " (change.decision) }
                        pre { (why) }
                    }
                }
            }
        },
    ))
}

fn workspace_table(rows: &[WorkspaceRow]) -> Markup {
    html! {
        table {
            thead { tr { th { "Workspace" } th { "State" } th { "Packages" } th { "Changes" } th { "Mainline" } } }
            tbody {
                @for row in rows {
                    tr {
                        td { a href=(format!("workspaces/{}", row.name)) { (row.name) } }
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

fn run_table(runs: &[RunRecord]) -> Markup {
    html! {
        @if runs.is_empty() { p { "Nothing has run yet." } } @else {
            table {
                thead { tr { th { "Started" } th { "Command" } th { "End" } th { "Took" } th { "Log" } } }
                tbody {
                    @for run in runs {
                        tr {
                            td { (run.started_at) }
                            td { (run.kind) }
                            td { (run.outcome.as_deref().unwrap_or("runs")) }
                            td { @if let Some(took) = run.took() { (took) } }
                            td { @if let Some(log) = &run.log { (log.display()) } }
                        }
                    }
                }
            }
        }
    }
}

/// Where a workspace's page explains a change.
fn anchor(row: &ChangeRow) -> String {
    row.change.to_string().replace('#', "-")
}

fn change_table(rows: &[ChangeRow], place: Place) -> Markup {
    let with_workspace = place == Place::Overview;
    let page = |row: &ChangeRow| {
        if with_workspace { format!("workspaces/{}", row.workspace) } else { String::new() }
    };
    html! {
        table {
            thead { tr { @if with_workspace { th { "Workspace" } } th { "Change" } th { "Decision" } th { "Why" } } }
            tbody {
                @for row in rows {
                    tr {
                        @if with_workspace { td { a href=(page(row)) { (row.workspace) } } }
                        td { a href=(format!("{}#{}", page(row), anchor(row))) { (row.change) } }
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

/// The ledger may not answer; the rest of the page is shown all the same.
fn build_part(builds: &Result<Vec<BuildRow>, LedgerError>, ends: &Ends, place: Place) -> Markup {
    match builds {
        Ok(rows) => build_table(rows, ends, place),
        Err(error) => html! { p.wrong { "Builds cannot be read: " (error) } },
    }
}

/// A link from a CI is followed only where it is an ordinary page.
fn page_of(link: Option<&String>) -> Option<&String> {
    link.filter(|link| link.starts_with("https://") || link.starts_with("http://"))
}

fn build_table(rows: &[BuildRow], ends: &Ends, place: Place) -> Markup {
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
                                @if let Some(link) = page_of(row.link.as_ref()) { a href=(link) rel="noreferrer" { "page" } }
                                @else if row.stage != Stage::Queued {
                                    a href=(format!("{}builds/{}/log", place.root(), row.request.request_id)) { "log" }
                                }
                            }
                            td {
                                (row.request.reason)
                                @if let Some(note) = &row.note { p.note { (note) } }
                                @if let Some(end) = ends.get(&row.request.request_id) {
                                    details { summary { "The end of its output" }
                                        pre { @for line in end { (line) "\n" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn layout(title: &str, at: Timestamp, place: Place, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(seconds) = place.refresh() {
                    meta http-equiv="refresh" content=(seconds);
                }
                title { (title) }
                link rel="stylesheet" href=(format!("{}style.css", place.root()));
            }
            body {
                header { a href=(place.root()) { "Crosswatch" } span { "as of " (at) } }
                main { h1 { (title) } (content) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crosswatch_core::model::identity::Subject;

    use super::*;

    fn change(reason: &str) -> ChangeRow {
        ChangeRow {
            workspace: "one".into(),
            change: Subject::Mainline,
            decision: "blocked".to_owned(),
            reason: reason.to_owned(),
            until: None,
            set: Vec::new(),
            fingerprint: None,
            findings: vec!["<b>bold</b>".to_owned()],
            notes: Vec::new(),
        }
    }

    #[test]
    fn foreign_text_stays_text() {
        let rows = [change("<script>alert(1)</script>\"'")];
        let page = change_table(&rows, Place::Overview).into_string();
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert!(page.contains(r#"href="workspaces/one#mainline""#), "{page}");
    }

    #[test]
    fn only_ordinary_pages_are_linked() {
        for (link, good) in [
            ("https://ci.example.org/1", true),
            ("http://ci/1", true),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("//evil.example.org", false),
        ] {
            assert_eq!(page_of(Some(&link.to_owned())).is_some(), good, "{link}");
        }
    }
}
