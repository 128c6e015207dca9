//! Commands that only show.

use std::io::IsTerminal;
use std::path::Path;

use crosswatch_core::model::time::Timestamp;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::output::{clean, out, table};
use super::{CliError, offline};
use crate::ledger::BuildRow;
use crate::web::hook_rows::HooksRow;
use crate::web::rows::{self, ChangeRow, ForgesView, WorkspaceRow};

/// Last lines of a failed run that stand below the table.
const END: usize = 5;

pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, CliError> {
    serde_json::from_str(text).map_err(|error| {
        CliError::Failed(format!(
            "the daemon's answer is not understood: {error}; is it as new as this command?"
        ))
    })
}

fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

pub(super) async fn workspaces(client: &Client, json: bool) -> Result<(), CliError> {
    let text = client.get("/api/v1/workspaces", &[]).await?;
    if json {
        return out(&(text + "\n"));
    }
    let workspaces: Vec<WorkspaceRow> = parse(&text)?;
    let ends = ends(&workspaces);
    let rows: Vec<Vec<String>> = workspaces
        .into_iter()
        .map(|row| {
            let mut why = row.failure.unwrap_or(row.mainline);
            if let Some(at) = row.next_at {
                why.push_str(&format!("; tried again at {at}"));
            }
            let name = row.name.to_string();
            vec![name, row.phase, row.packages.to_string(), row.changes.to_string(), why]
        })
        .collect();
    table(&["workspace", "state", "packages", "changes", "mainline"], &rows)?;
    // In a pipe each row is one line, and nothing else is.
    if std::io::stdout().is_terminal() { out(&ends) } else { Ok(()) }
}

/// The last lines of failed runs, for people.
fn ends(workspaces: &[WorkspaceRow]) -> String {
    let mut text = String::new();
    for row in workspaces.iter().filter(|row| row.failure.is_some() && !row.tail.is_empty()) {
        text.push_str(&format!("\n{}: the end of its output\n", row.name));
        let skip = row.tail.len().saturating_sub(END);
        for line in row.tail.iter().skip(skip) {
            text.push_str(&format!("    {}\n", clean(line)));
        }
    }
    text
}

pub(super) async fn workspace(client: &Client, name: &str, json: bool) -> Result<(), CliError> {
    let text = client.get("/api/v1/workspaces", &[("workspace", name)]).await?;
    if json {
        return out(&(text + "\n"));
    }
    let row: WorkspaceRow = parse(&text)?;
    let mut lines = vec![
        format!("{}: {}, {} packages", row.name, row.phase, row.packages),
        format!("mainline: {}", row.mainline),
    ];
    let again = row.next_at.map(|at| format!("; tried again at {at}")).unwrap_or_default();
    lines.extend(row.failure.map(|why| format!("failed: {why}{again}")));
    lines.extend(row.tail.iter().map(|line| format!("  | {line}")));
    lines.extend(row.suspicion.map(|why| format!("not believed: {why}")));
    lines.extend(row.notes);
    out(&(lines.join("\n") + "\n"))?;
    let runs: Vec<Vec<String>> = row
        .runs
        .into_iter()
        .map(|run| {
            let took = run.took().map_or_else(|| "-".to_owned(), |took| took.to_string());
            let log = run.log.map_or_else(|| "-".to_owned(), |log| log.display().to_string());
            let outcome = run.outcome.unwrap_or_else(|| "runs".to_owned());
            vec![run.started_at.to_string(), run.kind.to_string(), outcome, took, log]
        })
        .collect();
    table(&["started", "command", "end", "took", "log"], &runs)
}

pub(super) fn change_rows(rows: Vec<ChangeRow>) -> Vec<Vec<String>> {
    rows.into_iter()
        .map(|row| {
            let mut why = row.reason;
            if let Some(until) = row.until {
                why.push_str(&format!(" (until {until})"));
            }
            for finding in row.findings {
                why.push_str(&format!("; finding: {finding}"));
            }
            vec![row.workspace.to_string(), row.change.to_string(), row.decision, why]
        })
        .collect()
}

pub(super) const CHANGE_HEAD: [&str; 4] = ["workspace", "change", "decision", "why"];

pub(super) async fn changes(
    client: &Client,
    workspace: Option<String>,
    json: bool,
) -> Result<(), CliError> {
    let query: Vec<(&str, &str)> =
        workspace.iter().map(|name| ("workspace", name.as_str())).collect();
    let text = client.get("/api/v1/changes", &query).await?;
    if json {
        return out(&(text + "\n"));
    }
    table(&CHANGE_HEAD, &change_rows(parse(&text)?))
}

/// Which overrides are wanted.
pub(super) struct Overrides {
    pub(super) workspace: String,
    pub(super) change: String,
    pub(super) fingerprint: Option<String>,
    pub(super) format: &'static str,
}

pub(super) async fn overrides(
    client: &Client,
    config: &Path,
    wanted: &Overrides,
) -> Result<(), CliError> {
    let Overrides { workspace, change, fingerprint, format } = wanted;
    let mut query = vec![("workspace", workspace.as_str()), ("change", change), ("format", format)];
    query.extend(fingerprint.iter().map(|text| ("fingerprint", text.as_str())));
    match client.get("/api/v1/overrides", &query).await {
        Err(CliError::NoDaemon { .. }) => {
            let published = offline::published(config, None).await?;
            let text =
                rows::overrides(&published, workspace, change, format, fingerprint.as_deref());
            out(&text.map_err(CliError::Failed)?)
        }
        answer => out(&answer?),
    }
}

pub(super) async fn builds(
    client: &Client,
    workspace: Option<String>,
    limit: u32,
    json: bool,
) -> Result<(), CliError> {
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(workspace.iter().map(|name| ("workspace", name.as_str())));
    let text = client.get("/api/v1/builds", &query).await?;
    if json {
        return out(&(text + "\n"));
    }
    let rows: Vec<BuildRow> = parse(&text)?;
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let id: String = row.request.request_id.to_string().chars().take(12).collect();
            let why = match row.note {
                Some(note) => format!("{}; {note}", row.request.reason),
                None => row.request.reason,
            };
            vec![
                id,
                row.decided_at.to_string(),
                row.request.workspace.to_string(),
                row.request.subject.to_string(),
                row.ci.to_string(),
                row.stage.word().to_owned(),
                why,
            ]
        })
        .collect();
    table(&["build", "decided", "workspace", "subject", "ci", "state", "why"], &rows)
}

pub(super) async fn forges(client: &Client, json: bool) -> Result<(), CliError> {
    let text = client.get("/api/v1/forges", &[]).await?;
    if json {
        return out(&(text + "\n"));
    }
    let view: ForgesView = parse(&text)?;
    let forges: Vec<Vec<String>> = view
        .forges
        .into_iter()
        .flat_map(|row| {
            let forge = vec![
                row.name.to_string(),
                row.kind.clone(),
                row.repositories.to_string(),
                row.detector.clone(),
                time(row.next_at),
                row.budget(),
                row.state(),
            ];
            let credentials = row.credentials.into_iter().map(|credential| {
                let failure = credential.failure.unwrap_or_else(|| "ok".to_owned());
                let (none, detector) = (String::new(), credential.detector);
                let name = credential.name;
                vec![name, none.clone(), none.clone(), detector, none, credential.budget, failure]
            });
            std::iter::once(forge).chain(credentials).collect::<Vec<_>>()
        })
        .collect();
    let head = ["forge", "kind", "repositories", "asked by", "next", "budget left", "state"];
    table(&head, &forges)?;
    out("\n")?;
    let rows: Vec<Vec<String>> = view
        .repositories
        .into_iter()
        .map(|row| {
            let state = match row.failure {
                Some(why) => why,
                None if row.read_at.is_some() => "answers".to_owned(),
                None => "not read yet".to_owned(),
            };
            vec![
                row.repository.to_string(),
                time(row.read_at),
                time(row.next_at),
                row.looks.to_string(),
                row.workspaces.len().to_string(),
                state,
            ]
        })
        .collect();
    table(&["repository", "read", "next look", "looks", "workspaces", "state"], &rows)
}

pub(super) async fn hooks(client: &Client, json: bool) -> Result<(), CliError> {
    let text = client.get("/api/v1/hooks", &[]).await?;
    if json {
        return out(&(text + "\n"));
    }
    let forges: Vec<HooksRow> = parse(&text)?;
    let rows: Vec<Vec<String>> = forges
        .iter()
        .map(|row| {
            vec![
                row.forge.to_string(),
                row.url.clone().unwrap_or_else(|| "-".to_owned()),
                row.secrets.to_string(),
                time(row.last_at),
                row.counted(),
                row.state(),
            ]
        })
        .collect();
    table(&["forge", "url to enter there", "secrets", "last", "deliveries", "state"], &rows)?;
    out("\n")?;
    let rows: Vec<Vec<String>> = forges
        .iter()
        .flat_map(|row| row.hooks.iter().map(move |hook| (row, hook)))
        .map(|(row, hook)| {
            vec![
                row.forge.to_string(),
                hook.hook.to_string(),
                hook.target.clone(),
                hook.place.clone(),
                hook.events.join(" "),
                hook.last_at.to_string(),
                hook.log.clone().unwrap_or_else(|| time(hook.log_read_at)),
            ]
        })
        .collect();
    table(&["forge", "hook", "of", "place", "events", "last", "its log read"], &rows)
}
