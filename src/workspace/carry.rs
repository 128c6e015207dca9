//! What one step of a workspace's life does.

use std::io;
use std::sync::Arc;

use crosswatch_core::control::lifecycle::{self, End};
use crosswatch_core::model::run::RunKind;
use crosswatch_core::model::settings::{ManifestFormat, ManifestFrom, Step};
use crosswatch_core::model::snapshot::Updated;

use super::checkouts::checkouts;
use super::fence;
use super::folders::Folders;
use super::history;
use super::life::Life;
use super::manifest::{Exported, NotBelieved, from_file, read, take};
use super::run::run;
use super::stale::remove_locks;
use crate::forge::git::Lent;
use crate::supervise::{Ended, Exceeded, Outcome};

/// Why a step did not succeed.
pub(super) struct Failure {
    end: End,
    why: String,
    tail: Vec<String>,
    /// The code that the command exited with by itself.
    exited: Option<i32>,
}

impl Failure {
    fn plain(why: String) -> Self {
        Self { end: End::Failed, why, tail: Vec::new(), exited: None }
    }
}

impl Life {
    /// Runs a step to its end, which is said to people too.
    pub(super) async fn carry_out(&mut self, step: lifecycle::Step) -> End {
        self.publish();
        match self.try_carry_out(step).await {
            Ok(()) => {
                self.saved.failure = None;
                End::Succeeded
            }
            Err(Failure { end, why, tail, exited: _ }) => {
                tracing::warn!(workspace = %self.settings.name, why, "a {} failed", step.word());
                self.saved.failure = Some(why);
                let name = self.settings.name.clone();
                self.board.update(|board| {
                    board.workspaces.entry(name).or_default().tail = tail;
                });
                end
            }
        }
    }

    async fn try_carry_out(&mut self, step: lifecycle::Step) -> Result<(), Failure> {
        let settings = Arc::clone(&self.settings);
        let command = match step {
            lifecycle::Step::Bootstrap => {
                let root = self.folders.root.clone();
                self.swap(Folders::make_empty).await.map_err(|error| {
                    Failure::plain(format!("{} cannot be made anew: {error}", root.display()))
                })?;
                &settings.bootstrap
            }
            lifecycle::Step::Update => {
                self.clear_locks().await;
                &settings.update
            }
        };
        if let Some(command) = command
            && let Err(failure) = self.supervised(step.kind(), command, None).await
        {
            if step == lifecycle::Step::Update && failure.exited == Some(1) {
                self.take_added().await;
            }
            return Err(failure);
        }
        if !self.folders.is_there() {
            return Err(Failure::plain(format!(
                "the {} removed or replaced the workspace's own folder {}",
                step.word(),
                self.folders.root.display()
            )));
        }
        if step == lifecycle::Step::Update {
            self.take_manifest().await?;
        }
        Ok(())
    }

    /// Runs one command; its start is written down before it happens, its end after it.
    async fn supervised(
        &mut self,
        kind: RunKind,
        command: &Step,
        capture: Option<usize>,
    ) -> Result<Ended, Failure> {
        let settings = Arc::clone(&self.settings);
        let at = self.clock.now();
        let log = self.folders.log(kind, at);
        if kind != RunKind::Manifest {
            let name = settings.name.clone();
            self.board.update(|board| {
                board.workspaces.entry(name).or_default().log = Some(log.clone());
            });
        }
        history::begin(Arc::make_mut(&mut self.saved.runs), kind, at, &log);
        self.save().await;
        self.publish();
        let mut command = command.clone();
        command.limits.silence = lifecycle::silence(&self.saved.life, kind, command.limits.silence);
        let lent = match kind {
            // It exports what is there already.
            RunKind::Manifest => Lent::default(),
            _ => (self.lender)(Arc::clone(&settings)).await,
        };
        let (supervisor, stop, folders) = (&self.supervisor, &self.stop, &self.folders);
        let ended =
            run(supervisor, &settings, folders, &command, lent, log.clone(), capture, stop).await;
        let runs = Arc::make_mut(&mut self.saved.runs);
        history::end(runs, ended.ended_at, &ended.outcome);
        if !history::ended_by_itself(&ended.outcome) {
            self.saved.unclean = Some(ended.ended_at);
        }
        metrics::counter!("crosswatch_runs_total", "step" => kind.word(),
            "succeeded" => ended.outcome.success().to_string())
        .increment(1);
        if ended.outcome.success() {
            return Ok(ended);
        }
        let mut why = format!("the {kind} {}; its log is {}", ended.outcome, log.display());
        let end = match &ended.outcome {
            Outcome::TimedOut(Exceeded::Silence) => End::Silent(kind),
            outcome if unfinished(outcome) => {
                let unkillable = *outcome != Outcome::KeeperLost;
                let named: Vec<_> = fence::named(outcome).into_iter().collect();
                if self.held_after(&named) || unkillable {
                    why.push_str("; its folder is fenced until no process of it is left");
                    End::Unkillable
                } else {
                    End::Failed
                }
            }
            _ => End::Failed,
        };
        let exited = match ended.outcome {
            Outcome::Finished(code) => Some(code),
            _ => None,
        };
        Err(Failure { end, why, tail: ended.tail, exited })
    }

    /// Removes what git of a killed run left locked.
    async fn clear_locks(&mut self) {
        let Some(until) = self.saved.unclean else { return };
        let root = self.folders.root.clone();
        let removed = tokio::task::spawn_blocking(move || remove_locks(&root, until)).await;
        for lock in removed.unwrap_or_default() {
            tracing::warn!(
                workspace = %self.settings.name,
                lock = %lock.display(),
                "a stale lock of git was removed: the run that made it was killed"
            );
        }
        // The one that stands aside may have such locks as well.
        if !self.saved.life.in_fresh() {
            self.saved.unclean = None;
        }
    }

    /// Reads the manifest after an update, and takes it over if it is believed.
    async fn take_manifest(&mut self) -> Result<(), Failure> {
        let settings = Arc::clone(&self.settings);
        let max = settings.manifest.max_bytes;
        let exported = match &settings.manifest.from {
            ManifestFrom::Path(path) => {
                let (root, path) = (self.folders.root.clone(), path.clone());
                tokio::task::spawn_blocking(move || from_file(&root, &path, max))
                    .await
                    .map_err(broken)?
                    .map_err(Failure::plain)?
            }
            ManifestFrom::Run(command) => {
                let most = usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1);
                let place = format!("the manifest that `{}` prints", command.run.join(" "));
                let ended = self.supervised(RunKind::Manifest, command, Some(most)).await?;
                Exported { bytes: ended.stdout, place }
            }
        };
        let (folders, mut saved) = (self.folders.clone(), self.saved.clone());
        let task = tokio::task::spawn_blocking(move || {
            let taken = take(exported, &settings, &folders, &mut saved).map(|manifest| {
                let checkouts = checkouts(&folders.root, &manifest);
                (manifest, checkouts)
            });
            (taken, saved.suspicion)
        });
        let (taken, suspicion) = task.await.map_err(broken)?;
        self.saved.suspicion = suspicion;
        match taken {
            Ok((manifest, checkouts)) => {
                let inputs = self.saved.life.running_inputs().cloned().unwrap_or_default();
                self.saved.updated = Some(Updated { checkouts, inputs });
                self.saved.manifest = Some(self.world.shared(manifest));
                Ok(())
            }
            Err(NotBelieved::Unreadable(why)) => Err(Failure::plain(why)),
            Err(NotBelieved::Shrunk(why)) => {
                Err(Failure { end: End::Suspected, ..Failure::plain(why) })
            }
        }
    }

    /// autoproj writes its manifest also when some package failed: what it added there counts, what
    /// it lacks does not.
    async fn take_added(&mut self) {
        let (settings, folders) = (Arc::clone(&self.settings), self.folders.clone());
        let ManifestFrom::Path(path) = settings.manifest.from.clone() else { return };
        if settings.manifest.format != ManifestFormat::Autoproj {
            return;
        }
        let reading = tokio::task::spawn_blocking(move || {
            let exported = from_file(&folders.root, &path, settings.manifest.max_bytes)?;
            read(&settings, &folders, &exported.bytes)
        });
        if let (Some(before), Ok(Ok(read))) = (&self.saved.manifest, reading.await) {
            self.saved.manifest = Some(self.world.shared(before.with_added(&read.manifest)));
        }
    }

    /// Renames and removes folders of the workspace, while no run of anybody is in them.
    pub(super) async fn swap<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Folders) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let lock = self.folders.hold().await?;
        let folders = self.folders.clone();
        let done = tokio::task::spawn_blocking(move || what(&folders)).await;
        drop(lock);
        done.map_err(io::Error::other)?
    }
}

/// Whether processes of the run may live on.
fn unfinished(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unkillable { .. } | Outcome::KeeperLost)
}

fn broken(_: tokio::task::JoinError) -> Failure {
    Failure::plain("the manifest: its reader broke; please report it with the file".to_owned())
}
