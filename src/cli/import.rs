//! `import` and `plan --compare`: the way from autoproj-daemon.

use std::io::Read;
use std::path::Path;

use crosswatch_core::moving::{self, Compared, MAX_BYTES};

use super::CliError;
use super::output::{out, table};
use crate::pass::Published;

/// Where autoproj keeps its configuration, below a workspace.
const CONFIG: &str = ".autoproj/config.yml";

/// Prints a configuration made of that of the daemon in a workspace's folder.
pub(super) fn autoproj_daemon(folder: &Path) -> Result<(), CliError> {
    let file = folder.join(CONFIG);
    let text = read(&file)?;
    let daemon = moving::configuration(&text)
        .map_err(|error| CliError::Failed(format!("{}: {error}", file.display())))?;
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    out(&moving::written(&daemon, &name))?;
    // Beside the configuration, which goes into a file.
    for service in daemon.services.iter().filter(|service| service.has_token) {
        eprintln!(
            "crosswatch: the token of {} is not printed; the configuration says which file to put it into",
            service.host
        );
    }
    Ok(())
}

/// Shows what autoproj-daemon would have built, by its cache, and what a plan says.
pub(super) fn compared(
    cache: &Path,
    published: &Published,
    workspace: Option<&str>,
    json: bool,
) -> Result<(), CliError> {
    let text = read(cache)?;
    let cached = moving::cache(&text)
        .map_err(|error| CliError::Failed(format!("{}: {error}", cache.display())))?;
    let mut rows = moving::compare(&cached, &published.snapshot.locator, &published.plan);
    rows.retain(|row| workspace.is_none_or(|name| *row.workspace == *name));
    if json {
        let text = serde_json::to_string(&rows);
        return out(&(text.map_err(|error| CliError::Failed(error.to_string()))? + "\n"));
    }
    let cells = |row: Compared| {
        let why = if row.why.is_empty() { "the same".to_owned() } else { row.why };
        vec![row.workspace.to_string(), row.change, row.theirs, row.ours, why]
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
    table(&["workspace", "change", "autoproj-daemon", "crosswatch", "difference"], &rows)
}

fn read(file: &Path) -> Result<String, CliError> {
    let failed = |why: &dyn std::fmt::Display| {
        CliError::Failed(format!("{} cannot be read: {why}", file.display()))
    };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| failed(&error))?;
    let read = opened.take(MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| failed(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(&format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(text)
}
