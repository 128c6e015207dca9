//! One command of a workspace under supervision.

use std::path::PathBuf;
use std::sync::Arc;

use crosswatch_core::model::settings::{Step, WorkspaceSettings};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::folders::Folders;
use crate::forge::git::Lent;
use crate::supervise::{Ended, Outcome, Run, Supervisor};

/// The port to whoever lends a bootstrap or an update mirrors to read instead of servers.
pub type Lender = Arc<dyn Fn(Arc<WorkspaceSettings>) -> BoxFuture<'static, Lent> + Send + Sync>;

/// Runs a command of a workspace in its folder, with mirrors if some are lent.
#[expect(clippy::too_many_arguments, reason = "one for each thing that a run has to know")]
pub(super) async fn run(
    supervisor: &Supervisor,
    settings: &WorkspaceSettings,
    folders: &Folders,
    step: &Step,
    lent: Lent,
    log: PathBuf,
    capture: Option<usize>,
    cancel: &CancellationToken,
) -> Ended {
    let mut run = Run::new(step.run.iter().cloned(), &folders.root);
    run.env = settings.env.clone();
    run.env.insert("CROSSWATCH_WORKSPACE".to_owned(), settings.name.to_string());
    lent.extend(&mut run.env);
    run.limits = step.limits.into();
    run.log = Some(log);
    run.capture = capture;
    run.lock = Some(folders.lock.clone());
    let ended = supervisor.run(run, cancel).await;
    if ended.outcome != Outcome::Cancelled {
        lent.ended(ended.outcome.success());
    }
    ended
}
