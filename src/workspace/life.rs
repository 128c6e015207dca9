//! The task of one workspace: carries out what [`lifecycle::step`] says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::lifecycle::{self, Effect, End, Event, Inputs, Phase, Rules};
use crosswatch_core::control::slots;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::plan::WorkspacePlan;
use crosswatch_core::model::run::RunKind;
use crosswatch_core::model::settings::{ManifestFrom, WorkspaceSettings};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::plan::update_inputs;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::folders::Folders;
use super::run::Lender;
use super::saved::Saved;
use super::{Held, Slots, fence, history};
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::pass::Publications;
use crate::supervise::Supervisor;

/// How often it is looked whether a fenced folder is free.
const FENCE_LOOK: Span = Span::seconds(5);

/// The port to wherever [`Saved`] is kept; a failure to save costs an update after a restart.
pub type Store = Arc<dyn Fn(Name, String) -> BoxFuture<'static, ()> + Send + Sync>;

/// Takes orders of people: `true` for a fresh workspace, `false` for an update.
pub type Orders = mpsc::Sender<bool>;

/// The observer of one workspace.
pub struct Life {
    pub(super) settings: Arc<WorkspaceSettings>,
    pub(super) folders: Folders,
    pub(super) board: Board,
    pub(super) supervisor: Supervisor,
    pub(super) lender: Lender,
    pub(super) saved: Saved,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) world: World,
    publications: Publications,
    orders: mpsc::Receiver<bool>,
    slots: Slots,
    store: Store,
    fence_look: Timestamp,
    /// What the last pass planned for it.
    plan: Option<Arc<WorkspacePlan>>,
    /// When an update began that answers for what the heads were then: an older plan says nothing new.
    granted_at: Timestamp,
}

/// What a [`Life`] is given.
pub struct Surroundings {
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
    /// Lends it mirrors to read.
    pub lender: Lender,
    /// Keeps what must survive a restart.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Ends running commands.
    pub stop: CancellationToken,
}

impl Life {
    /// A life that goes on from what was saved.
    pub fn new(settings: Arc<WorkspaceSettings>, mut saved: Saved, around: Surroundings) -> Self {
        let Surroundings {
            world,
            board,
            publications,
            orders,
            slots,
            supervisor,
            lender,
            store,
            clock,
            stop,
        } = around;
        let folders = Folders::of(&world.settings().state_dir, &settings.name);
        saved.manifest = saved.manifest.map(|kept| world.shared(Arc::unwrap_or_clone(kept)));
        let life = Self {
            settings,
            folders,
            board,
            supervisor,
            lender,
            saved,
            clock,
            stop,
            world,
            publications,
            orders,
            slots,
            store,
            fence_look: Timestamp(0),
            plan: None,
            granted_at: Timestamp(0),
        };
        // What it has is known before anything else is.
        life.publish();
        life
    }

    /// Lives until it is dropped.
    pub async fn run(mut self) {
        let name = self.settings.name.clone();
        // Boxed, as what follows: there may be a thousand of these that wait, and few that do something.
        Box::pin(self.recover()).await;
        let mut granted = self.slots.changes();
        self.publish();
        loop {
            let event = if self.unfenced() {
                Event::Unfenced
            } else if self.slots.has(&name) {
                if !self.folders.is_there() {
                    self.step(Event::Gone);
                }
                (self.granted_at, self.plan) = (self.clock.now(), None);
                Event::Granted(update_inputs(&self.world.freeze(self.granted_at), &self.settings))
            } else {
                let wait = self.wait();
                tokio::select! {
                    changed = self.publications.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        if !self.planned() {
                            continue;
                        }
                        Event::Inputs(self.asked_inputs())
                    }
                    Some(fresh) = self.orders.recv() => Event::Ordered { fresh },
                    _ = granted.changed() => continue,
                    () = tokio::time::sleep(wait) => Event::Tick(self.asked_inputs()),
                }
            };
            let mut effects = VecDeque::from(self.step(event));
            while let Some(effect) = effects.pop_front() {
                Box::pin(self.carry(effect, &mut effects)).await;
                self.publish();
            }
            self.publish();
        }
    }

    async fn carry(&mut self, effect: Effect, then: &mut VecDeque<Effect>) {
        let name = self.settings.name.clone();
        let _alone = match effect {
            Effect::Request(_) | Effect::Release => None,
            // While a candidate's copy is made of it, nothing moves in the folder.
            _ => Some(self.slots.alone(&name).await),
        };
        match effect {
            Effect::Request(priority) => {
                self.slots.send(slots::Event::Request(name, priority), &self.world.settings());
            }
            Effect::Release => {
                // Before somebody else gets the slot, or a crash would forget how it ended.
                self.save().await;
                self.slots.send(slots::Event::Release(name), &self.world.settings());
            }
            Effect::Run(step) => {
                let end = self.carry_out(step).await;
                then.extend(self.step(Event::Ended(end)));
            }
            Effect::SetAside => {
                if let Err(error) = self.swap(Folders::set_aside).await {
                    let root = self.folders.root.display();
                    self.saved.failure = Some(format!("{root} cannot be put aside: {error}"));
                    // What was to run in the fresh one does not.
                    then.clear();
                    then.extend(self.step(Event::Ended(End::Failed)));
                }
            }
            Effect::PutBack => {
                if let Err(error) = self.swap(Folders::put_back).await {
                    let aside = self.folders.aside.display();
                    tracing::error!(workspace = %name, %error, "{aside} was not put back");
                }
                self.save().await;
            }
            Effect::KeepNew => {
                let kept = self.swap(Folders::keep_new).await;
                // What was killed in the old one is of no more interest.
                self.saved.unclean = None;
                self.save().await;
                let cleared = match kept {
                    Ok(()) => self.swap(Folders::clear).await,
                    failed => failed,
                };
                if let Err(error) = cleared {
                    let aside = self.folders.aside.display();
                    tracing::error!(workspace = %name, %error, "{aside} was not removed");
                }
            }
        }
    }

    /// Finds out what an earlier daemon, or this one before a reload, left behind: how its runs ended,
    /// and which directory works.
    async fn recover(&mut self) {
        let _alone = self.slots.alone(&self.settings.name).await;
        let before = self.saved.clone();
        let failure = self.saved.failure.clone();
        while let Err(error) = self.folders.hold().await {
            let lock = self.folders.lock.display();
            self.saved.failure = Some(format!("the workspace cannot be used: {lock}: {error}"));
            self.publish();
            tokio::time::sleep(FENCE_LOOK.to_std()).await;
        }
        self.saved.failure = failure;
        let (logs, now) = (self.folders.logs.clone(), self.clock.now());
        let runs = Arc::make_mut(&mut self.saved.runs);
        if let Some(at) = history::recover(runs, &logs, now) {
            self.saved.unclean = self.saved.unclean.max(Some(at));
        }
        // Under a process that lives on nothing is renamed; the loop looks after that.
        if !self.saved.life.fenced {
            match self.swap(Folders::put_back).await {
                Ok(true) => tracing::warn!(
                    workspace = %self.settings.name,
                    "a bootstrap into a fresh directory was interrupted; the old one is back"
                ),
                Ok(false) => {}
                Err(error) => {
                    let aside = self.folders.aside.display();
                    self.saved.failure = Some(format!("{aside} cannot be put back: {error}"));
                }
            }
        }
        if !self.folders.is_there() {
            // Whatever was kept of it no longer helps an update.
            self.step(Event::Gone);
        }
        // After most starts nothing is to be kept, of many workspaces.
        if before != self.saved {
            self.save().await;
        }
    }

    /// Whether a fenced folder has become free, looked at now and then.
    fn unfenced(&mut self) -> bool {
        let now = self.clock.now();
        if !self.saved.life.fenced || now < self.fence_look {
            return false;
        }
        self.fence_look = now + FENCE_LOOK;
        let before = self.saved.held.clone();
        let free = !self.held_after(&before);
        if free {
            tracing::info!(workspace = %self.settings.name, "its folder is free again");
        }
        free
    }

    /// Looks which processes hold the folder; some of `before` may do so unseen.
    pub(super) fn held_after(&mut self, before: &[Held]) -> bool {
        let folders = [self.folders.root.as_path(), self.folders.aside.as_path()];
        self.saved.held = fence::held(&self.settings.name, &folders, before);
        !self.saved.held.is_empty()
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let rules = Rules {
            key: &self.settings.name,
            // Nothing would make a fresh one.
            rebootstrap_after: match self.settings.bootstrap {
                Some(_) => self.settings.rebootstrap_after,
                None => 0,
            },
        };
        lifecycle::step(&mut self.saved.life, event, &rules, self.clock.now())
    }

    /// Takes over what the last pass planned for it: whether that is something new.
    fn planned(&mut self) -> bool {
        let published = self.publications.borrow_and_update().clone();
        let Some(published) = published else { return false };
        if published.snapshot.at <= self.granted_at {
            return false;
        }
        let plan = published.plan.workspace(&self.settings.name).cloned();
        let same = match (&self.plan, &plan) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        self.plan = plan;
        !same
    }

    /// The heads that an update would answer for now, where that could make a difference.
    fn asked_inputs(&self) -> Option<Inputs> {
        let plan = self.plan.as_ref().filter(|_| lifecycle::asks_for_inputs(&self.saved.life))?;
        plan.inputs.as_deref().cloned()
    }

    fn wait(&self) -> Duration {
        let now = self.clock.now();
        if self.saved.life.fenced {
            return FENCE_LOOK.to_std();
        }
        // A time that is over does not bring anything: a slot is waited for already.
        lifecycle::next_at(&self.saved.life)
            .filter(|next| *next > now)
            .map_or(Span::minutes(1), |next| next.since(now))
            .to_std()
            .max(Duration::from_millis(20))
    }

    /// Tells world and people where it is.
    pub(super) fn publish(&self) {
        let now = self.clock.now();
        let inputs = self.asked_inputs();
        let life = &self.saved.life;
        let mut part = self.saved.part(&self.settings);
        if let Some(before) = self.world.workspace(&self.settings.name) {
            part.manifest = before.manifest.replaced_by(part.manifest);
        }
        part.pending = lifecycle::pending(life, inputs.as_ref());
        self.world.set_workspace(part);
        let notes = self.notes();
        self.board.update(|board| {
            let status = board.workspaces.entry(self.settings.name.clone()).or_default();
            let phase = lifecycle::phase(life);
            if status.phase != phase.word() {
                status.enter(phase.word(), now);
                if phase == Phase::Ready {
                    status.updated_at = Some(now);
                }
            }
            status.failure.clone_from(&self.saved.failure);
            if status.failure.is_none() {
                status.tail.clear();
            }
            status.next_at = lifecycle::next_at(life);
            status.suspicion = self.saved.suspicion.as_ref().map(|suspicion| suspicion.why.clone());
            status.notes = notes;
            status.runs = Arc::clone(&self.saved.runs);
        });
    }

    /// What is not as usual and no failure.
    fn notes(&self) -> Vec<String> {
        let settings = &self.settings;
        let manifest = match &settings.manifest.from {
            ManifestFrom::Run(step) => Some(step),
            ManifestFrom::Path(_) => None,
        };
        let commands = [
            (RunKind::Bootstrap, settings.bootstrap.as_ref()),
            (RunKind::Update, settings.update.as_ref()),
            (RunKind::Manifest, manifest),
        ];
        let life = &self.saved.life;
        let mut notes: Vec<String> = commands
            .into_iter()
            .filter_map(|(kind, step)| {
                let usual = step?.limits.silence;
                let now = lifecycle::silence(life, kind, usual);
                let times = life.silenced.get(&kind)?;
                (now > usual).then(|| {
                    format!(
                        "the {kind} may be silent for {now} next time, not {usual}: it was ended by \
                         that {times} times in a row"
                    )
                })
            })
            .collect();
        if life.fenced {
            let pids: Vec<String> =
                self.saved.held.iter().map(|held| held.pid.to_string()).collect();
            notes.push(format!(
                "its folder is not used until these processes are gone: {}",
                pids.join(", ")
            ));
        }
        notes
    }

    pub(super) async fn save(&self) {
        match serde_json::to_string(&self.saved) {
            Ok(json) => (self.store)(self.settings.id.clone(), json).await,
            Err(error) => {
                tracing::error!(workspace = %self.settings.name, %error, "its state was not saved");
            }
        }
    }
}
