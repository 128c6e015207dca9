//! `plan` and `explain`: what is decided and why, of a daemon, of the last known answers, or of a
//! saved snapshot; and what would be, if somebody did something.

use std::path::{Path, PathBuf};

use crosswatch_core::model::time::Timestamp;
use crosswatch_core::plan::what_if::{Edit, WhatIf, what_if};

use super::client::Client;
use super::output::{clean, out, table};
use super::show::{CHANGE_HEAD, change_rows, parse};
use super::{CliError, import, offline};
use crate::pass::Published;
use crate::web::logs::end_of_failure;
use crate::web::rows::{self, ChangeRow};
use crate::web::workspace_id;

/// Which plan is wanted.
pub(super) struct Wanted {
    pub(super) workspace: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) offline: Option<PathBuf>,
    pub(super) edits: Vec<Edit>,
    /// The cache of autoproj-daemon that it is compared with.
    pub(super) compare: Option<PathBuf>,
    pub(super) json: bool,
}

impl Wanted {
    /// The plan that is made here, where no daemon is to be asked.
    async fn made_here(&self, config: &Path) -> Result<Published, CliError> {
        let published = match &self.offline {
            Some(file) => offline::thawed(file, self.at)?,
            None => offline::published(config, self.at).await?,
        };
        if let Some(name) = &self.workspace {
            workspace_id(&published, name).map_err(CliError::Failed)?;
        }
        Ok(published)
    }

    fn asks_daemon(&self) -> bool {
        self.at.is_none() && self.offline.is_none()
    }
}

pub(super) async fn plan(
    client: impl Fn() -> Result<Client, CliError>,
    config: &Path,
    wanted: &Wanted,
) -> Result<(), CliError> {
    if !wanted.edits.is_empty() {
        return would(client, config, wanted).await;
    }
    let workspace = wanted.workspace.as_deref();
    if let Some(cache) = &wanted.compare {
        let published = wanted.made_here(config).await?;
        return import::compared(cache, &published, workspace, wanted.json);
    }
    if wanted.asks_daemon() {
        let query: Vec<(&str, &str)> = workspace.iter().map(|name| ("workspace", *name)).collect();
        let path = if wanted.json { "/api/v1/plan" } else { "/api/v1/changes" };
        match client()?.get(path, &query).await {
            Err(CliError::NoDaemon { .. }) => {}
            answer if wanted.json => return out(&(plan_of(&answer?, workspace)? + "\n")),
            answer => {
                let rows: Vec<ChangeRow> = parse(&answer?)?;
                return table(&CHANGE_HEAD, &change_rows(rows));
            }
        }
    }
    let published = wanted.made_here(config).await?;
    if wanted.json {
        return out(&(plan_of(&text(&*published.plan)?, workspace)? + "\n"));
    }
    table(&CHANGE_HEAD, &change_rows(rows::changes(&published, workspace)))
}

fn text(value: &impl serde::Serialize) -> Result<String, CliError> {
    serde_json::to_string(value).map_err(|error| CliError::Failed(error.to_string()))
}

/// A plan as JSON, with one workspace only if one was named.
fn plan_of(text: &str, workspace: Option<&str>) -> Result<String, CliError> {
    let Some(name) = workspace else { return Ok(text.to_owned()) };
    let mut plan: serde_json::Value = parse(text)?;
    if let Some(plans) = plan.get_mut("workspaces").and_then(serde_json::Value::as_array_mut) {
        plans.retain(|plan| plan.get("workspace").and_then(|name| name.as_str()) == Some(name));
        if plans.is_empty() {
            return Err(CliError::Failed(format!(
                "there is no workspace {name}; `crosswatch workspaces` lists them"
            )));
        }
    }
    Ok(plan.to_string())
}

/// What would be built if somebody did something: only what would be otherwise.
async fn would(
    client: impl Fn() -> Result<Client, CliError>,
    config: &Path,
    wanted: &Wanted,
) -> Result<(), CliError> {
    let edits: Vec<String> = wanted.edits.iter().map(Edit::to_string).collect();
    let query: Vec<(&str, &str)> = edits.iter().map(|edit| ("if", edit.as_str())).collect();
    let asked = match wanted.asks_daemon() {
        true => {
            let client = client()?;
            if let Some(name) = &wanted.workspace {
                // The daemon says itself that it knows no such workspace.
                match client.get("/api/v1/workspaces", &[("workspace", name)]).await {
                    Ok(_) | Err(CliError::NoDaemon { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            match client.get("/api/v1/what-if", &query).await {
                Err(CliError::NoDaemon { .. }) => None,
                answer => Some(parse::<WhatIf>(&answer?)?),
            }
        }
        false => None,
    };
    let mut found = match asked {
        Some(found) => found,
        None => {
            let published = wanted.made_here(config).await?;
            what_if(&published.snapshot, &published.ledger, &wanted.edits)
                .map_err(|error| CliError::Failed(error.to_string()))?
        }
    };
    if let Some(name) = &wanted.workspace {
        found.differences.retain(|difference| *difference.workspace == **name);
    }
    if wanted.json {
        return out(&(text(&found)? + "\n"));
    }
    // Beside the rows, which a program may read.
    for assumed in &found.assumed {
        eprintln!("crosswatch: taken for granted: {}", clean(assumed));
    }
    if found.differences.is_empty() {
        eprintln!("crosswatch: nothing would be built or decided otherwise");
    }
    table(&["workspace", "change", "now", "then", "builds"], &differences(&found))
}

fn differences(found: &WhatIf) -> Vec<Vec<String>> {
    found
        .differences
        .iter()
        .map(|difference| {
            let mut builds: Vec<String> = difference
                .builds
                .iter()
                .map(|build| match build.set.as_slice() {
                    [] => format!("on {}", build.ci),
                    set => {
                        let set: Vec<String> = set
                            .iter()
                            .map(|member| format!("{} at {}", member.change, member.head.short()))
                            .collect();
                        format!("on {}: {}", build.ci, set.join(", "))
                    }
                })
                .collect();
            if !difference.ended.is_empty() {
                builds.push(format!("ends {}", difference.ended.len()));
            }
            vec![
                difference.workspace.to_string(),
                difference.subject.to_string(),
                difference.now.clone().unwrap_or_else(|| "-".to_owned()),
                difference.then.clone().unwrap_or_else(|| "-".to_owned()),
                if builds.is_empty() { "-".to_owned() } else { builds.join("; ") },
            ]
        })
        .collect()
}

/// Which explanation is wanted.
pub(super) struct Explained {
    pub(super) workspace: String,
    pub(super) change: String,
    pub(super) offline: Option<PathBuf>,
    pub(super) json: bool,
}

pub(super) async fn explain(
    client: impl Fn() -> Result<Client, CliError>,
    config: &Path,
    wanted: &Explained,
) -> Result<(), CliError> {
    let Explained { workspace, change, offline, json } = wanted;
    let published = match offline {
        Some(file) => offline::thawed(file, None)?,
        None => {
            let format = if *json { "json" } else { "text" };
            let query = [("workspace", workspace.as_str()), ("change", change), ("format", format)];
            match client()?.get("/api/v1/explain", &query).await {
                Err(CliError::NoDaemon { .. }) => offline::published(config, None).await?,
                answer if *json => return out(&(answer? + "\n")),
                answer => return out(&answer?),
            }
        }
    };
    let explanation = rows::explain(&published, workspace, change).map_err(CliError::Failed)?;
    if *json {
        return out(&(text(&explanation)? + "\n"));
    }
    out(&rows::with_end(explanation.text(), &end_of_failure(&published, workspace)))
}
