//! `snapshot save` and `snapshot show`.

use std::io::Write;
use std::path::Path;

use crosswatch_core::model::observed::{Observed, Purpose};
use crosswatch_core::model::saved::{MAX_BYTES, Saved};
use crosswatch_core::plan::anonymous::anonymous;
use serde_json::json;

use super::client::Client;
use super::output::{out, table};
use super::{CliError, offline};

/// Writes what the last pass saw, or what was last known.
pub(super) async fn save(
    client: &Client,
    config: &Path,
    file: &Path,
    hide: bool,
) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let query = [("anonymous", if hide { "true" } else { "false" })];
    let text = match client.get("/api/v1/snapshot", &query).await {
        Err(CliError::NoDaemon { .. }) => {
            let published = offline::published(config, None).await?;
            let saved = Saved::new(&published.snapshot, &published.seen);
            let saved = if hide { anonymous(&saved) } else { saved };
            serde_json::to_string(&saved).map_err(|error| failed(&error))?
        }
        answer => answer?,
    };
    if u64::try_from(text.len()).is_ok_and(|length| length >= MAX_BYTES) {
        return Err(CliError::Failed(format!(
            "the snapshot is larger than {} MiB, which is the most that is read again",
            MAX_BYTES >> 20
        )));
    }
    let text = text + "\n";
    if file == Path::new("-") {
        return out(&text);
    }
    written(file, &text).map_err(|error| CliError::Failed(format!("{}: {error}", file.display())))
}

/// Whole or not at all, and for its owner alone: it names what is private.
fn written(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// Tables of what is in a saved snapshot.
pub(super) fn show(file: &Path, json: bool) -> Result<(), CliError> {
    let saved = offline::read(file)?;
    let (head, parts) = (head(&saved), [workspaces(&saved), repositories(&saved)]);
    if json {
        let rows = |(names, rows): &(Vec<&str>, Vec<Vec<String>>)| -> serde_json::Value {
            rows.iter()
                .map(|row| {
                    let cells =
                        names.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), json!(cell)));
                    serde_json::Value::Object(cells.collect())
                })
                .collect()
        };
        let [workspaces, repositories] = &parts;
        let value = json!({
            "at": saved.at.to_string(), "anonymous": saved.anonymous, "answers": saved.answers.len(),
            "workspaces": rows(workspaces), "repositories": rows(repositories),
        });
        return out(&format!("{value}\n"));
    }
    table(&["snapshot", "value"], &head)?;
    for (names, rows) in &parts {
        out("\n")?;
        table(names, rows)?;
    }
    Ok(())
}

fn head(saved: &Saved) -> Vec<Vec<String>> {
    let unanswered = saved.answers.iter().filter(|(_, answer)| answer.value().is_none()).count();
    let names = if saved.anonymous { "hidden" } else { "as they are" };
    [
        ("as of", saved.at.to_string()),
        ("names", names.to_owned()),
        ("forges", saved.settings.forges.len().to_string()),
        ("answers", format!("{}, of which {unanswered} failed", saved.answers.len())),
    ]
    .map(|(what, value)| vec![what.to_owned(), value])
    .to_vec()
}

fn state<T>(observed: &Observed<T>) -> String {
    match observed.unknown() {
        None => "known".to_owned(),
        Some(unknown) => format!("unknown since {}: {}", unknown.since, unknown.why),
    }
}

type Rows = (Vec<&'static str>, Vec<Vec<String>>);

fn workspaces(saved: &Saved) -> Rows {
    let names =
        vec!["workspace", "packages", "changes", "attempts", "approvals", "manifest", "failure"];
    let rows = saved.settings.workspaces.iter().map(|settings| {
        let part = saved.workspaces.iter().find(|part| part.name == settings.name);
        let ledger = saved.ledger.workspaces.get(&settings.id);
        let packages = part.and_then(|part| part.manifest.last_known(Purpose::Display));
        let count = |count: Option<usize>| count.unwrap_or_default().to_string();
        vec![
            settings.name.to_string(),
            count(packages.map(|manifest| manifest.packages.len())),
            count(ledger.map(|ledger| ledger.changes.len())),
            count(ledger.map(|ledger| ledger.attempts.values().map(Vec::len).sum())),
            count(ledger.map(|ledger| ledger.approvals.len())),
            part.map_or_else(|| "not read yet".to_owned(), |part| state(&part.manifest)),
            part.and_then(|part| part.failure.clone()).unwrap_or_else(|| "-".to_owned()),
        ]
    });
    (names, rows.collect())
}

fn repositories(saved: &Saved) -> Rows {
    let rows = saved.repositories.iter().map(|part| {
        let listing = part.listing.last_known(Purpose::Display);
        let count = |count: Option<usize>| count.unwrap_or_default().to_string();
        vec![
            part.id.to_string(),
            count(listing.map(|listing| listing.branches.len())),
            count(listing.map(|listing| listing.changes.len())),
            state(&part.listing),
        ]
    });
    (vec!["repository", "branches", "changes", "listing"], rows.collect())
}
