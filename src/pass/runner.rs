//! The loop of passes.

use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::leap::Leaps;
use crosswatch_core::model::observed::Unknown;
use crosswatch_core::model::snapshot::RepositoryPart;
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::plan::incremental::Planner;
use tokio::sync::watch;

use super::watching::Watchers;
use super::{Published, Wake, WatchList};
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::ledger::{Committed, Ledger, LedgerError, Term};

/// Shortest time from one pass to the next: at most 20 a second.
const SHORTEST: Duration = Duration::from_millis(50);
/// A pass is run after this time even if nobody asked.
const LONGEST: Span = Span::seconds(60);
/// Longest time that the first pass waits for a look at what an earlier run of the daemon knew: the
/// marks of all that did not move are a few questions.
const FIRST_LOOK: Span = Span::seconds(2);
/// How often it is looked whether that is over.
const GLANCE: Duration = Duration::from_millis(20);
/// A pass is run again after this time when its commit failed.
const AFTER_FAILURE: Span = Span::seconds(3);
/// The plan is made from scratch and compared after this time.
const CHECK: Span = Span::minutes(15);

/// What nobody consults any more is forgotten after this time.
const FORGET: Span = Span::seconds(60);

/// What is kept from pass to pass beside the planner.
#[derive(Default)]
struct After {
    leaps: Leaps,
    watchers: Watchers,
    forgotten_at: Option<Timestamp>,
}

/// Runs passes; they never overlap.
pub struct Runner {
    /// What is frozen.
    pub world: World,
    /// Where plans are committed.
    pub ledger: Ledger,
    /// The right to commit, while this daemon leads.
    pub term: watch::Receiver<Option<Term>>,
    /// Asks for a pass.
    pub wake: Wake,
    /// Asked when a commit left something to send.
    pub outbox: Wake,
    /// Asked when a commit left something to say on forges.
    pub reporter: Wake,
    /// Where each pass is published.
    pub publish: watch::Sender<Option<Arc<Published>>>,
    /// Where people see whether passes succeed.
    pub board: Board,
    /// What an earlier run knew and is looked at again now.
    pub first: WatchList,
    /// The time.
    pub clock: Clock,
    /// Called after each pass: the daemon is alive.
    pub alive: Box<dyn Fn() + Send + Sync>,
    /// Longest time between two passes; [`LONGEST`] unless a watchdog wants it shorter.
    pub longest: Option<Span>,
}

impl Runner {
    /// Runs passes until it is dropped.
    pub async fn run(self) {
        let mut planner = Planner::new();
        let mut after = After::default();
        let mut number = 0;
        let mut checked_at: Option<Timestamp> = None;
        self.first_look().await;
        loop {
            let now = self.clock.now();
            let check = checked_at.is_none_or(|at| now < at || at + CHECK <= now);
            if check {
                checked_at = Some(now);
            }
            number += 1;
            planner = self.pass(planner, number, check, &mut after).await;
            (self.alive)();
            tokio::time::sleep(SHORTEST).await;
            tokio::select! {
                () = self.wake.woken() => {}
                () = tokio::time::sleep(self.wait()) => {}
            }
        }
    }

    /// Waits until what an earlier run knew was looked at, which takes no longer than the first pass
    /// could be late: whatever is not confirmed makes everything unknown that depends on it.
    async fn first_look(&self) {
        let end = self.clock.now() + FIRST_LOOK;
        let unread = |part: &RepositoryPart| part.listing.unknown().is_some_and(Unknown::is_unread);
        loop {
            let snapshot = self.world.freeze(self.clock.now());
            let awaited = |id| snapshot.repositories.get(id).is_none_or(|part| unread(part));
            if snapshot.at >= end || !self.first.keys().any(awaited) {
                return;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Until the plan stops to hold, or the longest time.
    fn wait(&self) -> Duration {
        let mut longest = self.longest.unwrap_or(LONGEST);
        if self.board.look(|board| !board.not_ready.is_empty()) {
            longest = longest.min(AFTER_FAILURE);
        }
        let next = self.publish.borrow().as_ref().and_then(|published| published.plan.next_at);
        next.map_or(longest, |next| next.since(self.clock.now()).min(longest)).to_std()
    }

    async fn pass(&self, planner: Planner, number: u64, check: bool, after: &mut After) -> Planner {
        let now = self.clock.now();
        if let Err(why) = self.carry(now, &mut after.leaps).await {
            tracing::warn!(
                why,
                "there was no pass: the clock ran ahead, and that cannot be stored"
            );
            self.not_ready("ledger", Some(why));
            return planner;
        }
        let snapshot = Arc::new(self.world.freeze(now));
        let view = self.ledger.view();
        let (frozen, before) = (Arc::clone(&snapshot), Arc::clone(&view));
        let planned = tokio::task::spawn_blocking(move || {
            let mut planner = planner;
            let (plan, equal) = if check {
                planner.check(&frozen, &before)
            } else {
                (planner.plan(&frozen, &before), true)
            };
            (planner, plan, equal)
        })
        .await;
        let (planner, plan, equal) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                self.not_ready("plan", Some(format!("the planner broke: {error}")));
                return Planner::new();
            }
        };
        self.not_ready("plan", None);
        metrics::counter!("crosswatch_passes_total").increment(1);
        if !equal {
            metrics::counter!("crosswatch_plan_differences_total").increment(1);
            tracing::error!(
                "the incremental plan differs from the one from scratch, which is used"
            );
        }
        match self.commit(&plan).await {
            Ok(committed) => {
                self.not_ready("ledger", None);
                let ledger = self.ledger.view();
                let watching = after.watchers.of(&plan);
                let plan = Arc::new(plan);
                if after.forgotten_at.is_none_or(|at| at + FORGET <= snapshot.at) {
                    after.forgotten_at = Some(snapshot.at);
                    let consulted = plan.workspaces.iter().flat_map(|plan| plan.consulted());
                    self.world.keep(|id| watching.contains_key(id), &consulted.collect());
                }
                let published = Published { snapshot, plan, watching, seen: view, ledger, number };
                self.publish.send_replace(Some(Arc::new(published)));
                if !committed.queued.is_empty() || !committed.cancel.is_empty() {
                    tracing::info!(
                        queued = committed.queued.len(),
                        dropped = committed.dropped.len(),
                        cancel = committed.cancel.len(),
                        "a pass changed the outbox"
                    );
                }
                if committed.reports > 0 {
                    self.reporter.wake();
                }
                if committed.acts() {
                    self.outbox.wake();
                }
            }
            Err(why) => {
                tracing::warn!(why, "a pass was not committed; nothing is triggered");
                self.not_ready("ledger", Some(why));
            }
        }
        planner
    }

    /// Carries what the ledger noted of late along with a clock that ran ahead. Of a ledger that another
    /// daemon writes this one's clock says nothing.
    async fn carry(&self, now: Timestamp, leaps: &mut Leaps) -> Result<(), String> {
        let Some(leap) = leaps.look(now, self.clock.steady()) else { return Ok(()) };
        let term = self.term.borrow().clone();
        if let Some(term) = term {
            self.ledger.carry(&term, leap).await.map_err(|error| error.to_string())?;
            tracing::info!(
                by = %leap.by,
                "the clock ran ahead of what passed; quiet times go on where they were"
            );
        }
        leaps.carried();
        Ok(())
    }

    async fn commit(&self, plan: &crosswatch_core::model::plan::Plan) -> Result<Committed, String> {
        let term = self.term.borrow().clone();
        let Some(term) = term else { return Err("another daemon leads".to_owned()) };
        self.ledger.commit(&term, plan).await.map_err(|error: LedgerError| error.to_string())
    }

    fn not_ready(&self, what: &str, why: Option<String>) {
        self.board.update(|board| match why {
            Some(why) => {
                board.not_ready.insert(what.to_owned(), why);
            }
            None => {
                board.not_ready.remove(what);
            }
        });
    }
}
