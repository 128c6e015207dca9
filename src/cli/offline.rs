//! Answers without a daemon, from the configuration and the ledger's last known answers.

use std::path::Path;

use crosswatch_core::model::time::Timestamp;

use super::CliError;
use crate::daemon;
use crate::pass::Published;

/// The plan that a daemon would make now of what was last known.
pub(super) async fn published(config: &Path, at: Option<Timestamp>) -> Result<Published, CliError> {
    daemon::offline(config, at).await.map_err(CliError::from)
}
