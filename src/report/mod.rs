//! Writes to forges what the ledger says that should be said there: statuses, and one comment on a
//! change. It decides nothing: what is said is the plan's, what is written when is
//! [`crosswatch_core::control::report`]'s, within the limits that the governor keeps.

mod due;

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::control::report::{
    self, Account, CHECKS, Event, Key, Outcome, Row, STOPPED, State, Write, checks,
};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::{Span, Timestamp};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::board::{Board, Wake};
use crate::clock::Clock;
use crate::forge::governor::Governor;
use crate::forge::{Apis, ForgeError, Spoken};
use crate::http::Toll;
use crate::ledger::{Ledger, LedgerError, Stop, Term};
use crate::pass::{Publications, Published};
use due::{Comment, Due, What};

/// The ledger is looked at after this time even if nobody asked.
const LOOK: Span = Span::seconds(60);

/// Refusals that are told of one forge.
const TOLD: usize = 5;

/// The one task that writes to forges.
pub struct Reporter {
    /// What should be said, and the marks of what is.
    pub ledger: Ledger,
    /// The right to mark, while this daemon leads.
    pub term: watch::Receiver<Option<Term>>,
    /// The settings in force, and what is open now.
    pub publications: Publications,
    /// What writes.
    pub apis: watch::Receiver<Apis>,
    /// When it may.
    pub governor: Governor,
    /// Asks for a look.
    pub wake: Wake,
    /// Where people see what is refused.
    pub board: Board,
    /// The time.
    pub clock: Clock,
}

/// A write that ended.
struct Ended {
    key: Key,
    account: Account,
    outcome: Outcome,
    /// Why it failed or was refused, for people.
    why: Option<String>,
}

type Writes = FuturesUnordered<BoxFuture<'static, Ended>>;

impl Reporter {
    /// Writes until it is dropped.
    pub async fn run(self) {
        let mut state = State::default();
        let mut failed: BTreeMap<Name, String> = BTreeMap::new();
        let mut writes = Writes::new();
        // Before the first pass nobody knows what may be written.
        if self.publications.clone().wait_for(Option::is_some).await.is_err() {
            return;
        }
        loop {
            let wait = match self.look(&mut state, &mut writes, &failed).await {
                Ok(next) => next.since(self.clock.now()).min(LOOK),
                Err(error) => {
                    tracing::warn!(%error, "what should be said on forges was not read");
                    LOOK
                }
            };
            tokio::select! {
                () = self.wake.woken() => {}
                Some(ended) = writes.next(), if !writes.is_empty() => {
                    let Ended { key, account, outcome, why } = ended;
                    let forge = key.repository().forge.clone();
                    match why {
                        Some(why) if outcome == Outcome::Failed => drop(failed.insert(forge, why)),
                        _ => drop(failed.remove(&forge)),
                    }
                    report::step(&mut state, Event::Ended { key, account, outcome }, self.clock.now());
                }
                // Never busy, whatever the schedule says.
                () = tokio::time::sleep(wait.max(Span(10)).to_std()) => {}
            }
        }
    }

    /// Begins what may be written now; when something else may.
    async fn look(
        &self,
        state: &mut State,
        writes: &mut Writes,
        failed: &BTreeMap<Name, String>,
    ) -> Result<Timestamp, LedgerError> {
        let now = self.clock.now();
        let (published, term) = (self.publications.borrow().clone(), self.term.borrow().clone());
        let (Some(published), Some(term)) = (published, term) else { return Ok(now + LOOK) };
        let apis = self.apis.borrow().clone();
        let stops = self.ledger.stops(now).await?;
        self.tell(&published, &stops, failed);
        let due = due::due(&self.ledger, &published, &apis, &stops).await?;
        let mut ready: BTreeMap<Account, Timestamp> = BTreeMap::new();
        let mut rows = Vec::new();
        for (key, due) in &due {
            let Some(api) = apis.get(&*key.repository().forge) else { continue };
            let Some(toll) = api.toll_of_writes(key.repository()) else { continue };
            let account = account(&toll);
            ready.entry(account.clone()).or_insert_with(|| self.governor.free_at(&toll));
            rows.push(Row { key: key.clone(), account, turn: due.turn(), since: due.since });
        }
        // What may go at once may go at the time that the governor was asked, which is later than the
        // time when this began.
        let now = self.clock.now();
        let next = report::next_at(state, &rows, &ready);
        for Write(key) in report::step(state, Event::Rows(rows, ready), now) {
            let api = apis.get(&*key.repository().forge).cloned();
            let (Some(api), Some(due)) = (api, due.get(&key).cloned()) else { continue };
            let Some(toll) = api.toll_of_writes(key.repository()) else { continue };
            let account = account(&toll);
            let (ledger, term, clock) = (self.ledger.clone(), term.clone(), self.clock.clone());
            writes.push(Box::pin(async move {
                let written = write(&ledger, &term, &key, due, (api, now)).await;
                let (outcome, why) = ended(&ledger, &term, &clock, &key, written).await;
                Ended { key, account, outcome, why }
            }));
        }
        let due = |at: Timestamp| if at > now { at } else { now + Span::seconds(1) };
        Ok(next.map_or(now + LOOK, due))
    }

    /// Shows where nothing is written, and why.
    fn tell(&self, published: &Published, stops: &[Stop], failed: &BTreeMap<Name, String>) {
        self.board.update(|board| {
            for forge in published.snapshot.settings.forges.values() {
                let prefix = format!("{}/", forge.identity);
                let of = stops.iter().filter(|stop| {
                    let place = stop.place.strip_prefix(CHECKS).unwrap_or(&stop.place);
                    place.starts_with(&prefix)
                });
                let mut told: Vec<String> = of.clone().take(TOLD).map(said).collect();
                let more = of.count().saturating_sub(TOLD);
                if more > 0 {
                    told.push(format!("no reports to {more} more places"));
                }
                let failed = failed.get(&forge.identity);
                told.extend(failed.map(|why| format!("a report was not written yet: {why}")));
                board.forges.entry(forge.name.clone()).or_default().reports = told;
            }
        });
    }
}

fn account(toll: &Toll) -> Account {
    (toll.host.clone(), toll.credential.clone())
}

fn said(stop: &Stop) -> String {
    let what = if stop.place.starts_with(CHECKS) { "no" } else { "no reports to" };
    format!(
        "{what} {} since {}: {}; tried again at {}, or at once after `crosswatch reload`",
        stop.place, stop.since, stop.why, stop.ends_at
    )
}

/// Why something was not written, or not marked.
enum NotWritten {
    Forge(ForgeError),
    Ledger(LedgerError),
}

impl From<ForgeError> for NotWritten {
    fn from(error: ForgeError) -> Self {
        Self::Forge(error)
    }
}

impl From<LedgerError> for NotWritten {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// Writes, then marks: what was written and not marked is written once more, in the same words.
async fn write(
    ledger: &Ledger,
    term: &Term,
    key: &Key,
    due: Due,
    (api, now): (Arc<dyn crate::forge::ForgeApi>, Timestamp),
) -> Result<(), NotWritten> {
    match (key, due.what) {
        (Key::Status(workspace, key), What::Status(saying)) => {
            let status = saying.status.clone();
            let Spoken { run, refused } = api.say(*saying).await?;
            ledger.mark_status(term, workspace, key, (&status, run.as_deref())).await?;
            if let Some(why) = refused {
                let place = checks(&key.repository);
                tracing::info!(
                    place,
                    why,
                    "statuses are written in place of check runs, for a day"
                );
                let stop = Stop { place, why, since: now, ends_at: now + STOPPED };
                ledger.stop(term, &stop).await?;
            }
        }
        (_, What::Comment(comment)) => {
            let Comment { row, sticky, digest } = *comment;
            let (id, digest) = if row.digest.as_ref() == Some(&digest) {
                (row.comment_id.clone(), row.digest.clone())
            } else {
                // Also where nothing is known to be said: it may have been, and not been marked.
                let id = api.comment(sticky).await?;
                let there = id.is_some();
                (id, there.then_some(digest))
            };
            ledger.mark_comment(term, &row, id, digest).await?;
        }
        (Key::Comment(_), What::Status(_)) => {}
    }
    Ok(())
}

/// What became of it. A refusal is stored, and fails nothing.
async fn ended(
    ledger: &Ledger,
    term: &Term,
    clock: &Clock,
    key: &Key,
    written: Result<(), NotWritten>,
) -> (Outcome, Option<String>) {
    let outcome = |outcome: &'static str| {
        metrics::counter!("crosswatch_reports_total", "outcome" => outcome).increment(1);
    };
    let error = match written {
        Ok(()) => {
            outcome("written");
            return (Outcome::Over, None);
        }
        Err(NotWritten::Ledger(error)) => {
            tracing::warn!(%error, "a report was not marked, and will be written once more");
            return (Outcome::Failed, Some(error.to_string()));
        }
        Err(NotWritten::Forge(error)) => error,
    };
    let places = key.places();
    let place = match &error {
        // Of no right: that is so for all of the repository. Of what is no status to the forge, such as
        // a commit that is gone: for that alone.
        ForgeError::Forbidden(_) | ForgeError::NotFound(_) | ForgeError::Absent(_) => places.last(),
        ForgeError::Refused(_) => places.first(),
        ForgeError::Credential(_)
        | ForgeError::Limited(_)
        | ForgeError::Unavailable(_)
        | ForgeError::Nonsense(_) => {
            outcome("failed");
            tracing::warn!(%error, "a report was not written; it is tried again");
            return (Outcome::Failed, Some(error.to_string()));
        }
    };
    outcome("refused");
    let now = clock.now();
    let place = place.cloned().unwrap_or_default();
    let why = error.to_string();
    tracing::warn!(place, why, "a forge refuses to be written to; nothing is, for a day");
    let stop = Stop { place, why, since: now, ends_at: now + STOPPED };
    match ledger.stop(term, &stop).await {
        Ok(()) => (Outcome::Over, None),
        Err(error) => (Outcome::Failed, Some(error.to_string())),
    }
}

/// Whether something waits to be written that may be.
pub async fn waits(
    ledger: &Ledger,
    published: &Published,
    apis: &Apis,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let stops = ledger.stops(now).await?;
    Ok(!due::due(ledger, published, apis, &stops).await?.is_empty())
}
