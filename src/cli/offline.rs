//! Answers without a daemon: from the configuration and the ledger's last known answers, or from a
//! saved snapshot, which needs nothing else at all.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crosswatch_core::model::saved::{MAX_BYTES, Saved, SavedError};
use crosswatch_core::model::time::Timestamp;
use crosswatch_core::plan::plan;

use super::CliError;
use crate::daemon;
use crate::pass::Published;

/// The plan that a daemon would make now of what was last known.
pub(super) async fn published(config: &Path, at: Option<Timestamp>) -> Result<Published, CliError> {
    daemon::offline(config, at).await.map_err(CliError::from)
}

/// The plan of a saved snapshot, as of its own time or another.
pub(super) fn thawed(file: &Path, at: Option<Timestamp>) -> Result<Published, CliError> {
    let (mut snapshot, ledger) = read(file)?.thawed();
    snapshot.at = at.unwrap_or(snapshot.at);
    let plan = plan(&snapshot, &ledger);
    Ok(Published::offline(snapshot, plan, Arc::new(ledger)))
}

/// Reads a saved snapshot, which may come from anybody.
pub(super) fn read(file: &Path) -> Result<Saved, CliError> {
    let named = if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(format!("{named}: {error}"));
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| failed(&error))?)
    };
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    Saved::read(&bytes).map_err(|error: SavedError| failed(&error))
}
