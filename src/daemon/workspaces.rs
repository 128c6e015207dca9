//! The tasks of all workspaces, started and ended with the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{Settings, WorkspaceSettings};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::memory;
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::ledger::{Ledger, LedgerError, Term};
use crate::pass::Publications;
use crate::supervise::Supervisor;
use crate::task::Tasks;
use crate::workspace::{Lender, Life, Orders, Saved, Slots, Store, Surroundings};

/// Workspaces of which what was kept is read at once.
const AT_ONCE: usize = 4;

/// All workspaces of the configuration in force.
pub(super) struct Workspaces {
    tasks: Tasks,
    world: World,
    board: Board,
    publications: Publications,
    supervisor: Supervisor,
    lender: Lender,
    ledger: Ledger,
    term: watch::Receiver<Option<Term>>,
    clock: Clock,
    slots: Slots,
    running: BTreeMap<Name, Running>,
}

struct Running {
    settings: Arc<WorkspaceSettings>,
    orders: Orders,
    stop: CancellationToken,
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl Workspaces {
    #[expect(clippy::too_many_arguments, reason = "wiring hands over one handle for each box")]
    pub(super) fn new(
        tasks: Tasks,
        world: World,
        board: Board,
        publications: Publications,
        supervisor: Supervisor,
        lender: Lender,
        ledger: Ledger,
        term: watch::Receiver<Option<Term>>,
        clock: Clock,
    ) -> Self {
        let slots = Slots::new(clock.clone());
        tasks.spawn("load", slots.clone().watch_load(world.clone()));
        let running = BTreeMap::new();
        Self {
            tasks,
            world,
            board,
            publications,
            supervisor,
            lender,
            ledger,
            term,
            clock,
            slots,
            running,
        }
    }

    /// The slots that all share.
    pub(super) fn slots(&self) -> Slots {
        self.slots.clone()
    }

    /// Starts workspaces that are new or other than before, and ends those that are gone.
    pub(super) async fn adjust(&mut self, settings: &Settings) -> Result<(), LedgerError> {
        let wanted: BTreeMap<&Name, &Arc<WorkspaceSettings>> =
            settings.workspaces.iter().map(|workspace| (&workspace.name, workspace)).collect();
        let gone: Vec<Name> = self
            .running
            .iter()
            .filter(|(name, running)| wanted.get(name).is_none_or(|w| **w != running.settings))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(running) = self.running.remove(&name) {
                running.stop.cancel();
                // The task is over in either case: it answered, or it is gone.
                running.ended.await.ok();
                let release = crosswatch_core::control::slots::Event::Release(name.clone());
                self.slots.send(release, settings);
            }
            self.board.update(|board| {
                board.workspaces.remove(&name);
            });
        }
        let fresh = wanted.into_values().filter(|new| !self.running.contains_key(&new.name));
        let fresh: Vec<&Arc<WorkspaceSettings>> = fresh.collect();
        let ledger = self.ledger.clone();
        let mut saved = stream::iter(fresh)
            .map(|workspace| {
                let ledger = &ledger;
                async move {
                    Ok::<_, LedgerError>((workspace, memory::saved(ledger, &workspace.id).await?))
                }
            })
            .buffered(AT_ONCE);
        while let Some((workspace, saved)) = saved.try_next().await? {
            let running = self.start(workspace, saved);
            self.running.insert(workspace.name.clone(), running);
        }
        Ok(())
    }

    fn start(&self, settings: &Arc<WorkspaceSettings>, saved: Saved) -> Running {
        let (orders, receiver) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let (ledger, term) = (self.ledger.clone(), self.term.clone());
        let store: Store = Arc::new(move |workspace: Name, json: String| {
            let (ledger, term) = (ledger.clone(), term.borrow().clone());
            Box::pin(async move {
                let Some(term) = term else { return };
                if let Err(error) = ledger.save_workspace(&term, &workspace, &json).await {
                    tracing::warn!(%workspace, %error, "a workspace's state was not kept");
                }
            })
        });
        let around = Surroundings {
            world: self.world.clone(),
            board: self.board.clone(),
            publications: self.publications.clone(),
            orders: receiver,
            slots: self.slots.clone(),
            supervisor: self.supervisor.clone(),
            lender: Arc::clone(&self.lender),
            store,
            clock: self.clock.clone(),
            stop: stop.clone(),
        };
        let life = Life::new(Arc::clone(settings), saved, around);
        let (over, ended) = tokio::sync::oneshot::channel();
        let stopped = stop.clone();
        self.tasks.spawn(format!("workspace {}", settings.name), async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = life.run() => {}
            }
            // Nobody waits for it while the daemon just goes on.
            over.send(()).ok();
        });
        Running { settings: Arc::clone(settings), orders, stop, ended }
    }

    /// Hands a person's order to a workspace.
    pub(super) async fn order(&self, workspace: &Name, fresh: bool) -> Result<String, String> {
        let running = self
            .running
            .get(workspace)
            .ok_or_else(|| format!("there is no workspace {workspace}"))?;
        running
            .orders
            .try_send(fresh)
            .map_err(|_| format!("{workspace} has orders waiting already; look at `workspaces`"))?;
        let what = if fresh { "is bootstrapped anew, beside the old one," } else { "is updated" };
        Ok(format!("{workspace} {what} as soon as a slot is free"))
    }
}
