//! Stores deliveries, many at once, answers for them, and passes hints on.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::{Span, Timestamp};
use tokio::sync::watch;

use super::{Answer, Deliveries, NotTaken, Signed, Taken, count, on};
use crate::board::{Board, HookStatus};
use crate::clock::Clock;
use crate::forge::github::hook::moves;
use crate::ledger::{Came, DeliveryRow, HookRow, Ledger, LedgerError, Term};
use crate::watch::{Announcement, Hint, Hints};

/// Deliveries in one transaction: a burst costs one write to the disk, not one for each.
const AT_ONCE: usize = 256;

/// Hooks of one forge that are remembered, and events of one hook.
const MOST: usize = 200;

/// How exactly the last delivery of a hook is stored.
const LAST: Span = Span::minutes(1);

/// How often old deliveries are forgotten.
const FORGET: Span = Span::minutes(10);

/// The task that stores deliveries.
pub struct Keeper {
    /// Where they are stored.
    pub ledger: Ledger,
    /// The right to write to it.
    pub term: watch::Receiver<Option<Term>>,
    /// What arrives.
    pub deliveries: Deliveries,
    /// Where hints go.
    pub hints: Hints,
    /// Where people see what arrived.
    pub board: Board,
    /// The time.
    pub clock: Clock,
}

type Known = BTreeMap<(Name, u64), HookRow>;

impl Keeper {
    /// Stores until it is dropped.
    pub async fn run(mut self) {
        let mut known = match self.ledger.hooks().await {
            Ok(hooks) => {
                hooks.into_iter().map(|row| ((row.forge.clone(), row.hook), row)).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "it is not known which hooks there are until they are heard");
                Known::new()
            }
        };
        for hook in known.values() {
            self.show(hook);
        }
        let mut forgotten_at = self.clock.now();
        let mut batch = Vec::new();
        while self.deliveries.recv_many(&mut batch, AT_ONCE).await > 0 {
            let now = self.clock.now();
            let (deliveries, answers): (Vec<Signed>, Vec<Answer>) = batch.drain(..).unzip();
            match self.store(&mut known, &deliveries, now).await {
                Ok(taken) => {
                    for (answer, taken) in answers.into_iter().zip(&taken) {
                        // Whoever asked may be gone: stored it is all the same.
                        answer.send(Ok(*taken)).ok();
                    }
                    for (delivery, taken) in deliveries.into_iter().zip(taken) {
                        self.act(delivery, taken, now).await;
                    }
                }
                Err(why) => {
                    tracing::warn!(%why, count = answers.len(), "webhooks were not taken");
                    for answer in answers {
                        answer.send(Err(why.clone())).ok();
                    }
                }
            }
            if forgotten_at + FORGET < now {
                forgotten_at = now;
                let term = self.term.borrow().clone();
                if let Some(term) = term
                    && let Err(error) = self.ledger.forget_deliveries(&term).await
                {
                    tracing::warn!(%error, "old deliveries were not forgotten");
                }
            }
        }
    }

    async fn store(
        &self,
        known: &mut Known,
        deliveries: &[Signed],
        now: Timestamp,
    ) -> Result<Vec<Taken>, NotTaken> {
        let mut hooks: BTreeMap<(Name, u64), HookRow> = BTreeMap::new();
        for delivery in deliveries {
            let key = (delivery.forge.clone(), delivery.hook);
            let before = hooks.get(&key).or_else(|| known.get(&key));
            if let Some(row) = heard(delivery, before, known, now) {
                hooks.insert(key, row);
            }
        }
        let rows: Vec<DeliveryRow> = deliveries
            .iter()
            .filter(|delivery| moves(&delivery.event))
            .map(|of| row(of, now))
            .collect();
        let changed: Vec<HookRow> = hooks.values().cloned().collect();
        let mut new = Vec::new().into_iter();
        if !rows.is_empty() || !changed.is_empty() {
            let term = self.term.borrow().clone().ok_or(NotTaken::NotLeading)?;
            metrics::counter!("crosswatch_webhook_transactions_total").increment(1);
            let stored = self.ledger.deliveries(&term, Came::Taken, &rows, &changed).await;
            new = stored.map_err(not_taken)?.into_iter();
        }
        for row in changed {
            self.show(&row);
            known.insert((row.forge.clone(), row.hook), row);
        }
        Ok(deliveries
            .iter()
            .map(|delivery| match (moves(&delivery.event), &delivery.announced.moved) {
                (false, _) => Taken::Idle,
                (true, moved) => match (new.next(), moved) {
                    (Some(false), _) => Taken::Duplicate,
                    (_, Some(_)) => Taken::New,
                    (_, None) => Taken::Idle,
                },
            })
            .collect())
    }

    async fn act(&self, delivery: Signed, taken: Taken, now: Timestamp) {
        let word = match taken {
            Taken::New => "taken",
            Taken::Duplicate => "duplicate",
            Taken::Idle => "idle",
        };
        count(&delivery.forge, word);
        on(&self.board, &delivery.forge, |status| {
            status.last_at = Some(now);
            match taken {
                Taken::New => status.counts.taken += 1,
                Taken::Duplicate => status.counts.duplicate += 1,
                Taken::Idle => status.counts.idle += 1,
            }
            if let Some(hook) = status.hooks.get_mut(&delivery.hook) {
                hook.last_at = now;
            }
        });
        if let (Taken::New, Some(moved)) = (taken, delivery.announced.moved) {
            let announced = Announcement { forge: delivery.identity, moved, missed: false };
            // When nobody takes it, the daemon is ending.
            self.hints.send(Hint::Announced(announced)).await.ok();
        }
    }

    fn show(&self, hook: &HookRow) {
        on(&self.board, &hook.forge, |status| {
            let shown = status.hooks.entry(hook.hook).or_insert_with(|| HookStatus {
                target: String::new(),
                place: String::new(),
                events: BTreeSet::new(),
                last_at: hook.last_at,
                log: None,
                log_read_at: None,
            });
            shown.target.clone_from(&hook.target);
            shown.place.clone_from(&hook.place);
            shown.events.clone_from(&hook.events);
            shown.last_at = shown.last_at.max(hook.last_at);
        });
    }
}

fn not_taken(error: LedgerError) -> NotTaken {
    match error {
        LedgerError::NotLeader { .. } | LedgerError::LeaseAwaited { .. } => NotTaken::NotLeading,
        error => NotTaken::Ledger(error.to_string()),
    }
}

fn row(delivery: &Signed, at: Timestamp) -> DeliveryRow {
    DeliveryRow {
        forge: delivery.forge.clone(),
        guid: delivery.guid.clone(),
        hook: delivery.hook,
        event: delivery.event.clone(),
        repository_id: delivery.announced.moved.as_ref().map_or(0, |moved| moved.id),
        at,
    }
}

/// The hook of a delivery, if something of it has to be stored.
fn heard(
    delivery: &Signed,
    before: Option<&HookRow>,
    known: &Known,
    now: Timestamp,
) -> Option<HookRow> {
    let Signed { forge, hook, target, event, announced, .. } = delivery;
    if *hook == 0 {
        return None;
    }
    let place = match target.as_str() {
        "repository" => announced.repository.as_ref().map(|name| format!("repos/{name}")),
        "organization" => announced.owner.as_ref().map(|name| format!("orgs/{name}")),
        "integration" => Some("app".to_owned()),
        _ => None,
    };
    let row = match before {
        Some(before) => {
            let mut row = before.clone();
            row.place = place.unwrap_or(row.place);
            row.target.clone_from(target);
            if row.events.len() < MOST {
                row.events.insert(event.clone());
            }
            if row == *before && before.last_at + LAST > now {
                return None;
            }
            HookRow { last_at: now, ..row }
        }
        None if known.keys().filter(|(of, _)| of == forge).count() >= MOST => return None,
        None => HookRow {
            forge: forge.clone(),
            hook: *hook,
            target: target.clone(),
            place: place.unwrap_or_default(),
            events: BTreeSet::from([event.clone()]),
            first_at: now,
            last_at: now,
            log_read_to: now,
        },
    };
    Some(row)
}
