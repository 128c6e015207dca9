//! One step of a workspace, and the manifest after it.

use std::path::{Path, PathBuf};

use crosswatch_core::control::lifecycle;
use crosswatch_core::manifest::{self, Input};
use crosswatch_core::model::manifest::Manifest;
use crosswatch_core::model::settings::{ManifestFormat, ManifestFrom, Step, WorkspaceSettings};
use crosswatch_core::model::time::Timestamp;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::checkouts::mark_tags;
use super::files::matching;
use crate::supervise::{Ended, Run, Supervisor};

/// The folders of one workspace.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    /// Where its commands run.
    pub(super) root: PathBuf,
    /// Held while a command runs.
    pub(super) lock: PathBuf,
    /// Logs of its runs.
    pub(super) logs: PathBuf,
}

impl Folders {
    pub(super) fn of(state_dir: &Path, name: &str) -> Self {
        let workspaces = state_dir.join("workspaces");
        Self {
            root: workspaces.join(name),
            lock: workspaces.join(format!("{name}.lock")),
            logs: state_dir.join("logs").join(name),
        }
    }

    /// The log of a run that starts at `at`.
    pub(super) fn log(&self, step: lifecycle::Step, at: Timestamp) -> PathBuf {
        let stamp = at.to_string().replace([':', '-', 'Z'], "");
        // Two runs may start within one second, and each has a log of its own.
        let millis = at.0.rem_euclid(1000);
        self.logs.join(format!("{stamp}.{millis:03}Z-{}.log", step.word()))
    }
}

/// Runs a command of a workspace in its folder.
pub(super) async fn run(
    supervisor: &Supervisor,
    settings: &WorkspaceSettings,
    folders: &Folders,
    step: &Step,
    log: Option<PathBuf>,
    capture: Option<usize>,
    cancel: &CancellationToken,
) -> Ended {
    let mut run = Run::new(step.run.iter().cloned(), &folders.root);
    run.env = settings.env.clone();
    run.env.insert("CROSSWATCH_WORKSPACE".to_owned(), settings.name.to_string());
    run.limits = step.limits.into();
    run.log = log;
    run.capture = capture;
    run.lock = Some(folders.lock.clone());
    supervisor.run(run, cancel).await
}

/// The manifest that the workspace's tool exported, with what its reader noted.
pub(super) async fn read_manifest(
    supervisor: &Supervisor,
    settings: &WorkspaceSettings,
    folders: &Folders,
    cancel: &CancellationToken,
) -> Result<Manifest, String> {
    let source = &settings.manifest;
    let max = usize::try_from(source.max_bytes).unwrap_or(usize::MAX);
    let (bytes, place) = match &source.from {
        ManifestFrom::Path(path) => {
            let path = folders.root.join(path);
            let place = format!("the manifest {}", path.display());
            let file = tokio::fs::File::open(&path).await;
            let file = file.map_err(|error| format!("{place} cannot be read: {error}"))?;
            let mut bytes = Vec::new();
            file.take(source.max_bytes.saturating_add(1))
                .read_to_end(&mut bytes)
                .await
                .map_err(|error| format!("{place} cannot be read: {error}"))?;
            (bytes, place)
        }
        ManifestFrom::Run(step) => {
            let place = format!("the manifest that `{}` prints", step.run.join(" "));
            let most = max.saturating_add(1);
            let ended = run(supervisor, settings, folders, step, None, Some(most), cancel).await;
            if !ended.outcome.success() {
                return Err(format!("{place}: it {}; {}", ended.outcome, ended.tail.join(" | ")));
            }
            (ended.stdout, place)
        }
    };
    if bytes.len() > max {
        return Err(format!("{place} is larger than {max} bytes (`manifest.max_bytes`)"));
    }
    let (source, own, root) = (source.clone(), settings.source.clone(), folders.root.clone());
    let read = tokio::task::spawn_blocking(move || {
        let files = matching(&root, &source.files, source.max_bytes)?;
        let input = Input {
            bytes: &bytes,
            files: &files,
            source: own.as_ref().map(|own| own.url.as_str()),
            source_branch: own.as_ref().and_then(|own| own.branch.as_deref()),
            checkouts: source.checkouts.as_deref(),
        };
        let mut read =
            manifest::read_input(source.format, &input).map_err(|error| error.to_string())?;
        // These have one word for branch and tag; the checkout tells which it is.
        if matches!(source.format, ManifestFormat::West | ManifestFormat::Vcstool) {
            mark_tags(&root, &mut read.manifest);
        }
        Ok::<_, String>(read)
    })
    .await;
    match read {
        Ok(Ok(read)) => {
            for note in &read.notes {
                tracing::info!(workspace = %settings.name, note, "note on the manifest");
            }
            Ok(read.manifest)
        }
        Ok(Err(error)) => Err(format!("{place}: {error}")),
        Err(_) => Err(format!("{place}: its reader broke; please report it with the file")),
    }
}
