//! Carries out what [`outbox::step`] says: sends, asks, cancels, and marks what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::backoff::delay;
use crosswatch_core::control::outbox::{self, CiLimits, Effect, Event, Limits, Mark, Row, Said};
use crosswatch_core::model::build::{RequestId, Stage, Verdict};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{CiSettings, Settings};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Backend, Found, RemoteId, SendError};
use crate::board::Wake;
use crate::clock::Clock;
use crate::ledger::{Ledger, LedgerError, OutboxRow, Term};

/// The rows are looked at after this time even if nobody asked.
const LOOK: Duration = Duration::from_secs(1);

/// The CIs of a configuration.
#[derive(Clone, Default)]
pub struct Backends {
    /// Backends by name.
    pub by_name: BTreeMap<Name, Arc<dyn Backend>>,
    /// The configuration that they were made from.
    pub settings: Option<Arc<Settings>>,
}

impl Backends {
    fn limits(&self) -> Limits {
        let Some(settings) = &self.settings else { return Limits::default() };
        let ci = self
            .by_name
            .iter()
            .filter_map(|(name, backend)| {
                let settings = settings.ci.get(name)?;
                let limits = CiLimits {
                    max_in_flight: settings.max_in_flight,
                    deadline: settings.deadline,
                    poll: settings.poll,
                    can_be_asked: backend.can_be_asked(),
                    lost_after: settings.lost_after,
                };
                Some((name.clone(), limits))
            })
            .collect();
        let workspaces = settings
            .workspaces
            .iter()
            .map(|workspace| (workspace.id.clone(), workspace.max_in_flight))
            .collect();
        Limits { ci, workspaces }
    }
}

/// The one task that acts on the outbox.
pub struct Driver {
    /// Rows and marks.
    pub ledger: Ledger,
    /// The right to mark, while this daemon leads.
    pub term: watch::Receiver<Option<Term>>,
    /// What acts.
    pub backends: watch::Receiver<Backends>,
    /// Asks for a look at the rows.
    pub wake: Wake,
    /// Asked when a mark may have changed a decision.
    pub pass: Wake,
    /// CIs that pushed a result.
    pub pushed: mpsc::Receiver<Name>,
    /// The time.
    pub clock: Clock,
    /// Ends what is under way.
    pub stop: CancellationToken,
}

impl Driver {
    /// Acts until it is dropped.
    pub async fn run(mut self) {
        let mut state = outbox::State::default();
        let mut acts: FuturesUnordered<BoxFuture<'static, (RequestId, bool)>> =
            FuturesUnordered::new();
        loop {
            match self.ledger.outbox().await {
                Ok(rows) if self.term.borrow().is_some() => self.look(&mut state, rows, &mut acts),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the outbox cannot be read"),
            }
            tokio::select! {
                () = self.wake.woken() => {}
                Some((id, changed)) = acts.next(), if !acts.is_empty() => {
                    let limits = Limits::default();
                    let (now, passed) = (self.clock.now(), self.clock.steady());
                    outbox::step(&mut state, Event::Done(id), &limits, now, passed);
                    if changed {
                        self.pass.wake();
                    }
                }
                Some(ci) = self.pushed.recv() => self.hint(&mut state, &ci).await,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn look(
        &self,
        state: &mut outbox::State,
        rows: Vec<OutboxRow>,
        acts: &mut FuturesUnordered<BoxFuture<'static, (RequestId, bool)>>,
    ) {
        let backends = self.backends.borrow().clone();
        let limits = backends.limits();
        let now = self.clock.now();
        let event = Event::Rows(rows.iter().map(row).collect());
        let by_id: BTreeMap<RequestId, OutboxRow> =
            rows.into_iter().map(|row| (row.request.request_id, row)).collect();
        for effect in outbox::step(state, event, &limits, now, self.clock.steady()) {
            let (Effect::Send(id) | Effect::Ask(id) | Effect::Cancel(id) | Effect::GiveUp(id)) =
                effect;
            let parts = by_id.get(&id).and_then(|row| {
                let backend = backends.by_name.get(&row.ci)?;
                let settings = backends.settings.as_ref()?.ci.get(&row.ci)?;
                Some((row.clone(), Arc::clone(backend), Arc::clone(settings)))
            });
            let (Some((row, backend, settings)), Some(term)) = (parts, self.term.borrow().clone())
            else {
                continue;
            };
            let of_ci = limits.ci.get(&row.ci).copied();
            let act = Act {
                ledger: self.ledger.clone(),
                term,
                backend,
                settings,
                clock: self.clock.clone(),
                stop: self.stop.clone(),
                overdue: of_ci.is_some_and(|ci| state.overdue(&id, &ci)),
                limits: of_ci,
                row,
            };
            acts.push(Box::pin(async move {
                let id = act.row.request.request_id;
                match act.carry_out(&effect).await {
                    Ok(changed) => (id, changed),
                    Err(error) => {
                        tracing::warn!(request = %id, %error, "an act on the outbox was not marked");
                        (id, false)
                    }
                }
            }));
        }
    }

    async fn hint(&self, state: &mut outbox::State, ci: &Name) {
        let Ok(rows) = self.ledger.outbox().await else { return };
        let ids =
            rows.iter().filter(|row| row.ci == *ci).map(|row| row.request.request_id).collect();
        let (now, passed) = (self.clock.now(), self.clock.steady());
        outbox::step(state, Event::Hint(ids), &Limits::default(), now, passed);
    }
}

fn row(row: &OutboxRow) -> Row {
    Row {
        id: row.request.request_id,
        ci: row.ci.clone(),
        workspace: row.workspace.clone(),
        stage: row.stage,
        priority: row.priority,
        queued_at: row.queued_at,
        not_before: row.not_before,
        sending_deadline: row.sending_deadline,
        taken_at: row.taken_at,
        cancel_wanted: row.cancel_wanted,
    }
}

/// One act on one row.
struct Act {
    ledger: Ledger,
    term: Term,
    backend: Arc<dyn Backend>,
    settings: Arc<CiSettings>,
    clock: Clock,
    stop: CancellationToken,
    limits: Option<CiLimits>,
    /// The CI took it so long ago that there should be a build of it.
    overdue: bool,
    row: OutboxRow,
}

impl Act {
    /// Whether the row is another one now.
    async fn carry_out(&self, effect: &Effect) -> Result<bool, LedgerError> {
        match effect {
            Effect::Send(_) => self.send().await,
            Effect::Ask(_) => self.ask().await,
            Effect::Cancel(_) => {
                let request = Arc::new(self.row.request.clone());
                if let Err(error) = self.backend.cancel(request, self.remote()).await {
                    let note = format!("it could not be cancelled: {error}");
                    self.ledger.note(&self.term, self.id(), &note).await?;
                }
                self.ask().await
            }
            Effect::GiveUp(_) => {
                let note = "the daemon ended while it was sent, and this CI cannot be asked whether \
                            it took it (no `poll` is configured)";
                let note = Some(note.to_owned());
                self.ledger.mark_ended(&self.term, self.id(), Verdict::Lost, None, note).await
            }
        }
    }

    fn id(&self) -> RequestId {
        self.row.request.request_id
    }

    fn remote(&self) -> Option<RemoteId> {
        self.row.remote.as_deref().and_then(RemoteId::new)
    }

    async fn send(&self) -> Result<bool, LedgerError> {
        let (ledger, term, id) = (&self.ledger, &self.term, self.id());
        let deadline = self.clock.now() + self.settings.deadline;
        if !ledger.mark_sending(term, id, deadline).await? {
            return Ok(false);
        }
        let request = Arc::new(self.row.request.clone());
        let cancel = self.stop.child_token();
        let sending = self.backend.send(request, cancel.clone());
        let sent = match tokio::time::timeout(self.settings.deadline.to_std(), sending).await {
            Ok(sent) => sent,
            Err(_) => {
                cancel.cancel();
                let why = format!("no answer within {}", self.settings.deadline);
                Err(SendError::Uncertain { why })
            }
        };
        match sent {
            Ok(sent) => {
                let remote = sent.remote.map(|remote| remote.to_string());
                ledger.mark_sent(term, id, remote, sent.link).await
            }
            Err(SendError::NotTaken { why, retry: true }) => {
                let tries = self.row.tries.saturating_add(1);
                let wait = delay(outbox::RESEND.0, outbox::RESEND.1, tries, &id.to_string());
                let at = self.clock.now() + wait;
                let note = format!("not taken: {why}; sent again at {at}");
                ledger.mark_queued_again(term, id, at, &note).await
            }
            Err(SendError::NotTaken { why, retry: false } | SendError::Refused { why }) => {
                ledger.mark_ended(term, id, Verdict::Refused, None, Some(why)).await
            }
            Err(SendError::Uncertain { why }) => {
                let note = format!("{why}; the CI is asked before it is sent again");
                ledger.note(term, id, &note).await
            }
        }
    }

    async fn ask(&self) -> Result<bool, LedgerError> {
        let Some(limits) = &self.limits else { return Ok(false) };
        let (ledger, term, id) = (&self.ledger, &self.term, self.id());
        let request = Arc::new(self.row.request.clone());
        let found = match self.backend.find(request, self.remote()).await {
            Ok(found) => found,
            Err(error) => {
                return ledger.note(term, id, &format!("the CI gave no answer: {error}")).await;
            }
        };
        let heard = Heard::from(found);
        match outbox::heard(&row(&self.row), &heard.said, limits, self.overdue) {
            Mark::Stay => match heard.note {
                Some(note) => ledger.note(term, id, &note).await,
                None => Ok(false),
            },
            Mark::Queued => {
                let now = self.clock.now();
                let note = "the CI never saw it: sent again";
                ledger.mark_queued_again(term, id, now, note).await
            }
            Mark::Sent => ledger.mark_sent(term, id, heard.remote, heard.link).await,
            Mark::Running if self.row.stage == Stage::Running => Ok(false),
            Mark::Running => ledger.mark_running(term, id, heard.remote, heard.link).await,
            Mark::Ended(verdict, why) => {
                let note = match (why, heard.note) {
                    (Some(why), Some(note)) => Some(format!("{why}: {note}")),
                    (why, note) => why.or(note),
                };
                ledger.mark_ended(term, id, verdict, heard.link, note).await
            }
            Mark::Dropped => ledger.mark_dropped(term, id).await,
        }
    }
}

/// What a CI said, sorted for the step function.
struct Heard {
    said: Said,
    remote: Option<String>,
    link: Option<String>,
    note: Option<String>,
}

impl From<Found> for Heard {
    fn from(found: Found) -> Self {
        let text = |remote: Option<RemoteId>| remote.map(|remote| remote.to_string());
        match found {
            Found::Never => Self { said: Said::Never, remote: None, link: None, note: None },
            Found::Unscheduled { why } => {
                Self { said: Said::Taken, remote: None, link: None, note: Some(why) }
            }
            Found::Queued { remote, link } => {
                Self { said: Said::Waiting, remote: text(remote), link, note: None }
            }
            Found::Running { remote, link, .. } => {
                Self { said: Said::Running, remote: text(remote), link, note: None }
            }
            Found::Ended { verdict, remote, link, summary, .. } => {
                Self { said: Said::Ended(verdict), remote: text(remote), link, note: summary }
            }
        }
    }
}
