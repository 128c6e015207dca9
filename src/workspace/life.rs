//! The task of one workspace: carries out what [`lifecycle::step`] says.

use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::lifecycle::{self, Effect, Event, Inputs, State};
use crosswatch_core::control::slots;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::manifest::Manifest;
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::settings::{ManifestFormat, WorkspaceSettings};
use crosswatch_core::model::snapshot::{Updated, WorkspacePart};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::plan::update_inputs;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Slots;
use super::checkouts::checkouts;
use super::run::{Folders, read_manifest, run};
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::pass::Publications;
use crate::supervise::{Outcome, Supervisor};

/// What is kept of a workspace over restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// Where its life is.
    pub life: State,
    /// The last good manifest.
    pub manifest: Option<Manifest>,
    /// What the last successful update left.
    pub updated: Option<Updated>,
    /// Why the last run failed, if it did.
    pub failure: Option<String>,
}

impl Saved {
    /// What the planner sees of it.
    pub fn part(&self, settings: &WorkspaceSettings) -> WorkspacePart {
        let manifest = match (&self.manifest, &self.failure) {
            (Some(manifest), _) => Observed::known(manifest.clone()),
            (None, Some(why)) => Observed::not_read_yet(Timestamp(0)).failed(why, Timestamp(0)),
            (None, None) => Observed::not_read_yet(Timestamp(0)),
        };
        WorkspacePart {
            name: settings.name.clone(),
            manifest,
            updated: self.updated.clone(),
            failure: self.failure.clone(),
            pending: false,
        }
    }
}

/// The port to wherever [`Saved`] is kept; a failure to save costs an update after a restart.
pub type Store = Arc<dyn Fn(Name, String) -> BoxFuture<'static, ()> + Send + Sync>;

/// Takes orders of people: `true` for a fresh workspace, `false` for an update.
pub type Orders = mpsc::Sender<bool>;

/// The observer of one workspace.
pub struct Life {
    /// Its settings.
    pub settings: Arc<WorkspaceSettings>,
    /// Where its manifest goes.
    pub world: World,
    /// Where people see how it goes.
    pub board: Board,
    /// Where plans come from: they bring new heads.
    pub publications: Publications,
    /// Orders of people.
    pub orders: mpsc::Receiver<bool>,
    /// Shared with all workspaces.
    pub slots: Slots,
    /// Runs commands.
    pub supervisor: Supervisor,
    /// Keeps what must survive a restart.
    pub store: Store,
    /// What was kept.
    pub saved: Saved,
    /// The time.
    pub clock: Clock,
    /// Ends running commands.
    pub stop: CancellationToken,
}

impl Life {
    /// Lives until it is dropped.
    pub async fn run(mut self) {
        let settings = Arc::clone(&self.settings);
        let name = settings.name.clone();
        let folders = Folders::of(&self.world.settings().state_dir, &name);
        if !folders.root.join(".").is_dir() {
            // The folder is gone: whatever was kept of it no longer helps an update.
            self.saved.life.bootstrapped = false;
        }
        let mut granted = self.slots.changes();
        self.publish();
        loop {
            let inputs = self.inputs();
            let event = if self.slots.has(&name) {
                Event::Granted(inputs)
            } else {
                let wait = self.wait();
                tokio::select! {
                    changed = self.publications.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        self.publications.mark_unchanged();
                        Event::Inputs(self.inputs())
                    }
                    Some(fresh) = self.orders.recv() => Event::Ordered { fresh },
                    _ = granted.changed() => continue,
                    () = tokio::time::sleep(wait) => Event::Tick(self.inputs()),
                }
            };
            let mut effects = self.step(event);
            while let Some(effect) = effects.pop() {
                let at_most = self.world.settings().max_updates;
                match effect {
                    Effect::Request => {
                        self.slots.send(slots::Event::Request(name.clone()), at_most);
                    }
                    Effect::Release => {
                        self.slots.send(slots::Event::Release(name.clone()), at_most);
                        self.save().await;
                    }
                    Effect::Run(step) => {
                        let succeeded = self.carry_out(step, &folders).await;
                        effects.extend(self.step(Event::Ended { succeeded }));
                    }
                }
                self.publish();
            }
            self.publish();
        }
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        lifecycle::step(&mut self.saved.life, event, &self.settings.name, self.clock.now())
    }

    fn inputs(&self) -> Option<Inputs> {
        update_inputs(&self.world.freeze(self.clock.now()), &self.settings)
    }

    fn wait(&self) -> Duration {
        let now = self.clock.now();
        lifecycle::next_at(&self.saved.life)
            .map_or(Span::minutes(1), |next| next.since(now))
            .to_std()
            .max(Duration::from_millis(20))
    }

    async fn carry_out(&mut self, step: lifecycle::Step, folders: &Folders) -> bool {
        self.publish();
        match self.try_carry_out(step, folders).await {
            Ok(()) => {
                self.saved.failure = None;
                true
            }
            Err(Failure { why, tail }) => {
                tracing::warn!(workspace = %self.settings.name, why, "a {} failed", step.word());
                self.saved.failure = Some(why);
                let name = self.settings.name.clone();
                self.board.update(|board| {
                    board.workspaces.entry(name).or_default().tail = tail;
                });
                false
            }
        }
    }

    async fn try_carry_out(
        &mut self,
        step: lifecycle::Step,
        folders: &Folders,
    ) -> Result<(), Failure> {
        let settings = Arc::clone(&self.settings);
        let command = match step {
            lifecycle::Step::Bootstrap => {
                fresh(folders).await?;
                &settings.bootstrap
            }
            lifecycle::Step::Update => &settings.update,
        };
        if let Some(command) = command {
            let log = folders.log(step, self.clock.now());
            let name = settings.name.clone();
            self.board.update(|board| {
                board.workspaces.entry(name).or_default().log = Some(log.clone());
            });
            let (supervisor, stop) = (&self.supervisor, &self.stop);
            let ended =
                run(supervisor, &settings, folders, command, Some(log.clone()), None, stop).await;
            metrics::counter!("crosswatch_runs_total", "step" => step.word(),
                "succeeded" => ended.outcome.success().to_string())
            .increment(1);
            if !ended.outcome.success() {
                if step == lifecycle::Step::Update && ended.outcome == Outcome::Finished(1) {
                    self.take_added(folders).await;
                }
                let why =
                    format!("the {} {}; its log is {}", step.word(), ended.outcome, log.display());
                return Err(Failure { why, tail: ended.tail });
            }
        }
        if step == lifecycle::Step::Update {
            let manifest = read_manifest(&self.supervisor, &settings, folders, &self.stop)
                .await
                .map_err(Failure::plain)?;
            self.saved.updated = Some(Updated {
                checkouts: checkouts(&folders.root, &manifest),
                inputs: self.saved.life.running_inputs().cloned().unwrap_or_default(),
            });
            self.saved.manifest = Some(manifest);
        }
        Ok(())
    }

    /// autoproj writes its manifest also when some package failed: what it added there counts, what
    /// it lacks does not.
    async fn take_added(&mut self, folders: &Folders) {
        let settings = Arc::clone(&self.settings);
        if settings.manifest.format != ManifestFormat::Autoproj {
            return;
        }
        let read = read_manifest(&self.supervisor, &settings, folders, &self.stop).await;
        if let (Some(before), Ok(read)) = (&self.saved.manifest, read) {
            self.saved.manifest = Some(before.with_added(&read));
        }
    }

    /// Tells world and people where it is.
    fn publish(&self) {
        let now = self.clock.now();
        let inputs = self.inputs();
        let life = &self.saved.life;
        let mut part = self.saved.part(&self.settings);
        if let Some(before) = self.world.workspace(&self.settings.name) {
            part.manifest = before.manifest.replaced_by(part.manifest);
        }
        part.pending = lifecycle::pending(life, inputs.as_ref());
        self.world.set_workspace(part);
        self.board.update(|board| {
            let status = board.workspaces.entry(self.settings.name.clone()).or_default();
            let phase = lifecycle::phase(life);
            if status.phase != phase {
                status.enter(phase, now);
                if phase == "ready" {
                    status.updated_at = Some(now);
                }
            }
            status.failure.clone_from(&self.saved.failure);
            if status.failure.is_none() {
                status.tail.clear();
            }
            status.next_at = lifecycle::next_at(life);
        });
    }

    async fn save(&self) {
        match serde_json::to_string(&self.saved) {
            Ok(json) => (self.store)(self.settings.id.clone(), json).await,
            Err(error) => {
                tracing::error!(workspace = %self.settings.name, %error, "its state was not saved");
            }
        }
    }
}

struct Failure {
    why: String,
    tail: Vec<String>,
}

impl Failure {
    fn plain(why: String) -> Self {
        Self { why, tail: Vec::new() }
    }
}

/// Empties the workspace's folder; a bootstrap starts in an empty one.
async fn fresh(folders: &Folders) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        Failure::plain(format!("{} cannot be made anew: {error}", folders.root.display()))
    };
    match tokio::fs::remove_dir_all(&folders.root).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    tokio::fs::create_dir_all(&folders.root).await.map_err(wrong)
}
