//! Reads the forge's own log of deliveries, and makes up for those that did not arrive: their
//! repositories are read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{ForgeKind, ForgeSettings};
use crosswatch_core::model::time::{Span, Timestamp};
use tokio::sync::watch;

use super::{count, on};
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::forge::github::hook::{Moved, moves};
use crate::forge::{Apis, Delivered, ForgeError};
use crate::ledger::{Came, DeliveryRow, HookRow, Ledger, LedgerError, Term};
use crate::pass::Publications;
use crate::watch::{Announcement, Hint, Hints};

/// The log is read after so many intervals of the forge, and at least every five minutes.
const INTERVALS: u64 = 5;

/// Longest time between two readings.
const LONGEST: Span = Span::minutes(5);

/// A log that may not be read is asked for again after this.
const REFUSED: Span = Span::hours(1);

/// A delivery without an answer may still be on its way for so long.
const ON_ITS_WAY: Span = Span::seconds(15);

/// The forge's log and ours are read a little beyond where they were left: entries can be late.
const OVERLAP: Span = Span::minutes(1);

/// The task that reads the logs.
pub struct Repair {
    /// Where deliveries and hooks are.
    pub ledger: Ledger,
    /// The right to write there.
    pub term: watch::Receiver<Option<Term>>,
    /// Whom to ask.
    pub apis: watch::Receiver<Apis>,
    /// Plans: before the first one nobody knows what is watched.
    pub publications: Publications,
    /// The settings in force.
    pub world: World,
    /// Where hints go.
    pub hints: Hints,
    /// Where people see it.
    pub board: Board,
    /// The time.
    pub clock: Clock,
}

impl Repair {
    /// Reads until it is dropped: at once, and then now and then.
    pub async fn run(mut self) {
        if self.publications.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut due: BTreeMap<(Name, u64), Timestamp> = BTreeMap::new();
        loop {
            match self.ledger.hooks().await {
                Ok(hooks) => self.all(&hooks, &mut due).await,
                Err(error) => tracing::warn!(%error, "logs of deliveries cannot be read"),
            }
            let now = self.clock.now();
            let settings = self.world.settings();
            let shortest = settings.forges.values().map(|forge| period(forge)).min();
            let next = due.values().min().map_or(LONGEST, |at| at.since(now));
            let wait = next.min(shortest.unwrap_or(LONGEST)).to_std();
            tokio::time::sleep(wait.max(Duration::from_secs(1))).await;
        }
    }

    async fn all(&self, hooks: &[HookRow], due: &mut BTreeMap<(Name, u64), Timestamp>) {
        let settings = self.world.settings();
        for hook in hooks {
            let Some(forge) = settings.forges.get(&hook.forge) else { continue };
            let ForgeKind::GitHub(github) = &forge.kind else { continue };
            if github.webhook_secrets.is_empty() || hook.place.is_empty() {
                continue;
            }
            let key = (hook.forge.clone(), hook.hook);
            let now = self.clock.now();
            if due.get(&key).is_some_and(|at| *at > now) {
                continue;
            }
            let Some(term) = self.term.borrow().clone() else { return };
            let read = self.one(&term, forge, hook, now).await;
            let now = self.clock.now();
            let wait = match &read {
                Err(Failed::Forge(
                    ForgeError::Credential(_) | ForgeError::Forbidden(_) | ForgeError::NotFound(_),
                )) => REFUSED,
                _ => period(forge),
            };
            due.insert(key, now + wait);
            let failure = read.err().map(|failed| failed.to_string());
            if let Some(why) = &failure {
                tracing::info!(forge = %hook.forge, hook = hook.hook, why, "no log of deliveries");
            }
            on(&self.board, &hook.forge, |status| {
                if let Some(shown) = status.hooks.get_mut(&hook.hook) {
                    if failure.is_none() {
                        shown.log_read_at = Some(now);
                    }
                    shown.log = failure;
                }
            });
        }
    }

    async fn one(
        &self,
        term: &Term,
        forge: &ForgeSettings,
        hook: &HookRow,
        now: Timestamp,
    ) -> Result<(), Failed> {
        let api = self.apis.borrow().get(forge.identity.as_str()).cloned();
        let api = api.ok_or(Failed::NoApi)?;
        let since = (hook.log_read_to - OVERLAP).max(hook.first_at - OVERLAP);
        let log = api.deliveries(hook.place.clone(), hook.hook, since).await?;
        let Judged { missed, read_to } = judge(&log, now);
        let rows: Vec<DeliveryRow> = missed
            .iter()
            .map(|entry| DeliveryRow {
                forge: hook.forge.clone(),
                guid: entry.guid.clone(),
                hook: hook.hook,
                event: entry.event.clone(),
                repository_id: entry.repository_id.unwrap_or_default(),
                at: entry.at,
            })
            .collect();
        // What is in the ledger was taken, whatever the log says, or was made up for before.
        let new = match rows.is_empty() {
            true => Vec::new(),
            false => self.ledger.deliveries(term, Came::Missed, &rows, &[]).await?,
        };
        let lost: Vec<&DeliveryRow> =
            rows.iter().zip(new).filter_map(|(row, new)| new.then_some(row)).collect();
        let mut repositories = BTreeSet::new();
        for row in &lost {
            count(&hook.forge, "lost");
            repositories.insert(row.repository_id);
        }
        if !lost.is_empty() {
            tracing::info!(forge = %hook.forge, hook = hook.hook, count = lost.len(), "webhooks did not arrive; their repositories are read");
            on(&self.board, &hook.forge, |status| status.counts.lost += lost.len() as u64);
        }
        for id in repositories.into_iter().filter(|id| *id > 0) {
            let moved = Moved { id, paths: Vec::new(), expected: None };
            let announced = Announcement { forge: forge.identity.clone(), moved, missed: true };
            self.hints.send(Hint::Announced(announced)).await.ok();
        }
        let read_to = read_to.max(hook.log_read_to);
        if read_to > hook.log_read_to {
            self.ledger.log_read(term, &hook.forge, hook.hook, read_to).await?;
        }
        Ok(())
    }
}

/// Why a log was not read.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Forge(#[from] ForgeError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("the forge cannot be asked; `crosswatch forges` says why")]
    NoApi,
}

fn period(forge: &ForgeSettings) -> Span {
    Span(forge.interval.0.saturating_mul(INTERVALS)).min(LONGEST)
}

/// What a log shows.
#[derive(Debug, PartialEq, Eq)]
struct Judged<'a> {
    /// Deliveries that should be in the ledger and may be missing there.
    missed: Vec<&'a Delivered>,
    /// The log is done with up to here.
    read_to: Timestamp,
}

/// A delivery that the forge tried several times counts once. What is not answered yet is left for
/// the next time.
fn judge(log: &[Delivered], now: Timestamp) -> Judged<'_> {
    let waits = |entry: &Delivered| entry.status == 0 && entry.at + ON_ITS_WAY > now;
    let first_waiting = log.iter().filter(|entry| waits(entry)).map(|entry| entry.at).min();
    let newest = log.iter().map(|entry| entry.at).max().unwrap_or_default();
    let mut seen = BTreeSet::new();
    let missed = log
        .iter()
        .filter(|entry| moves(&entry.event) && !waits(entry) && seen.insert(&entry.guid))
        .collect();
    Judged { missed, read_to: first_waiting.map_or(newest, |at| at.min(newest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_shows_as_missed() {
        let now = Timestamp(1_000_000_000);
        let entry = |guid: &str, event: &str, ago: u64, status| Delivered {
            guid: guid.to_owned(),
            event: event.to_owned(),
            repository_id: Some(7),
            at: now - Span::seconds(ago),
            status,
        };
        for (log, missed, read_to, why) in [
            (vec![], vec![], 0, "an empty log says nothing"),
            (vec![entry("a", "push", 60, 0)], vec!["a"], 60, "no answer"),
            (vec![entry("a", "push", 60, 502)], vec!["a"], 60, "refused"),
            (vec![entry("a", "push", 60, 202)], vec!["a"], 60, "the ledger knows whether"),
            (vec![entry("a", "push", 5, 0)], vec![], 5, "on its way"),
            (vec![entry("a", "push", 5, 500)], vec!["a"], 5, "answered already"),
            (vec![entry("a", "check_run", 60, 0)], vec![], 60, "nothing moves by it"),
            (
                vec![entry("b", "push", 1, 0), entry("a", "push", 60, 0)],
                vec!["a"],
                1,
                "one is on its way",
            ),
            (
                vec![
                    entry("c", "push", 1, 202),
                    entry("b", "push", 9, 0),
                    entry("a", "push", 60, 0),
                ],
                vec!["c", "a"],
                9,
                "what is on its way is looked at again",
            ),
            (
                vec![entry("a", "push", 30, 500), entry("a", "push", 60, 500)],
                vec!["a"],
                30,
                "tried twice",
            ),
        ] {
            let read_to = if log.is_empty() { Timestamp(0) } else { now - Span::seconds(read_to) };
            let judged = judge(&log, now);
            let guids: Vec<&str> = judged.missed.iter().map(|entry| entry.guid.as_str()).collect();
            assert_eq!((guids, judged.read_to), (missed, read_to), "{why}");
        }
    }
}
