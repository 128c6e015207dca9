//! One command of a workspace under supervision.

use std::path::PathBuf;

use crosswatch_core::model::settings::{Step, WorkspaceSettings};
use tokio_util::sync::CancellationToken;

use super::folders::Folders;
use crate::supervise::{Ended, Run, Supervisor};

/// Runs a command of a workspace in its folder.
pub(super) async fn run(
    supervisor: &Supervisor,
    settings: &WorkspaceSettings,
    folders: &Folders,
    step: &Step,
    log: PathBuf,
    capture: Option<usize>,
    cancel: &CancellationToken,
) -> Ended {
    let mut run = Run::new(step.run.iter().cloned(), &folders.root);
    run.env = settings.env.clone();
    run.env.insert("CROSSWATCH_WORKSPACE".to_owned(), settings.name.to_string());
    run.limits = step.limits.into();
    run.log = Some(log);
    run.capture = capture;
    run.lock = Some(folders.lock.clone());
    supervisor.run(run, cancel).await
}
