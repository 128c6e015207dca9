//! One command of a workspace under supervision.

use std::path::PathBuf;

use crosswatch_core::model::settings::{self, Step, WorkspaceSettings};
use crosswatch_core::model::time::Span;
use tokio_util::sync::CancellationToken;

use super::folders::Folders;
use crate::supervise::{Ended, Limits, Run, Supervisor};

/// Deadlines of commands of a workspace.
fn limits(limits: &settings::Limits) -> Limits {
    Limits {
        wall: limits.timeout,
        silence: (limits.silence > Span(0)).then_some(limits.silence),
        grace: limits.grace,
        ..Limits::default()
    }
}

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
    run.limits = limits(&step.limits);
    run.log = Some(log);
    run.capture = capture;
    run.lock = Some(folders.lock.clone());
    supervisor.run(run, cancel).await
}
