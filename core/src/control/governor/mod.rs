//! What may be sent to a forge now: limits by (host, credential, pool), kept from the forge's own headers.
//!
//! Points of a minute, requests in flight and `Retry-After` count for a credential as a whole, as forges
//! count them; budgets count for each pool (`core`, `graphql`, `search`, …).

mod account;
mod answer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::time::{Span, Timestamp};
use account::{Account, Waiter};

pub use answer::{Answer, Rate};

/// Requests of one credential in flight at once.
pub const IN_FLIGHT: usize = 10;

/// Points of one credential in any minute: 1 for reading, [`Use::Write`] costs 5.
pub const POINTS: u32 = 900;

/// Requests of one credential that may wait; beyond it they are refused.
pub const WAITING: usize = 10_000;

/// Time between two statements of what waits.
const SAY: Span = Span::minutes(3);

/// What waits for less is not worth a statement.
const WORTH_SAYING: Span = Span::seconds(10);

/// A request that never ended is forgotten after this long, so that a lost one cannot hold its place for
/// ever. Longer than any deadline of a request.
const LEASE: Span = Span::minutes(15);

/// Budgets of accounts that nobody used for this long are not worth keeping.
const STALE: Span = Span::hours(25);

/// Whose budget a request is paid from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Host and port of the API.
    pub host: String,
    /// The credential's name, never the secret; empty without one.
    pub credential: String,
    /// The pool as the forge names it, such as `core` or `graphql`.
    pub pool: String,
}

/// What a request is for, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// A person waits for it.
    Person,
    /// It writes: a status, a comment.
    Write,
    /// Looking, which can come later.
    Poll,
}

/// One request, by a number that its asker chose and uses once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants to send.
    Ask {
        /// The request.
        ticket: Ticket,
        /// Who pays.
        key: Key,
        /// Points of the pool's budget that it will cost at most.
        cost: u32,
        /// What it is for.
        use_for: Use,
    },
    /// A request that went was answered.
    Answered {
        /// The request.
        ticket: Ticket,
        /// What its answer says about limits.
        answer: Answer,
    },
    /// A request ended without an answer, or its asker no longer wants to send it.
    Gone(Ticket),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this request now; tell of its end.
    Go(Ticket),
    /// This one is not sent: too many wait already.
    Refuse(Ticket),
    /// Tell people that this waits.
    Say(Waiting),
    /// Limits changed in a way that a restart has to know.
    Save,
}

/// Why something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The forge said for how long nothing may be sent.
    RetryAfter,
    /// The forge said that it was asked too much, without saying for how long.
    Secondary,
    /// The pool's budget, or the share of it for this use, is spent.
    Budget,
    /// Points of the last minute.
    Minute,
    /// Writes have to keep apart.
    Writes,
    /// As many as may be are in flight.
    InFlight,
    /// Sending begins again, a little at a time.
    Resuming,
}

/// A statement of what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose budget it is.
    pub key: Key,
    /// What the requests are for.
    pub use_for: Use,
    /// How many wait.
    pub count: usize,
    /// Since when the oldest waits.
    pub since: Timestamp,
    /// What it waits for.
    pub why: Why,
    /// When it goes on at the earliest, where that is known.
    pub until: Option<Timestamp>,
}

/// Limits, what is in flight, and what waits. What is in flight or waits is not persisted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By host, then by credential.
    accounts: BTreeMap<String, BTreeMap<String, Account>>,
    last: Timestamp,
    #[serde(skip)]
    tickets: BTreeMap<Ticket, (String, String)>,
    #[serde(skip)]
    arrivals: u64,
}

/// Advances the governor.
pub fn step(state: &mut State, event: Event, now: Timestamp) -> Vec<Effect> {
    turn_back(state, now);
    let mut effects = Vec::new();
    match event {
        Event::Ask { ticket, key, cost, use_for } => {
            state.arrivals += 1;
            let place = (key.host.clone(), key.credential.clone());
            let arrival = state.arrivals;
            let known = state.tickets.contains_key(&ticket);
            let account = account(state, &place);
            if known || account.waiting() >= WAITING {
                return vec![Effect::Refuse(ticket)];
            }
            account.ask(use_for, &key.pool, Waiter { ticket, cost, since: now, arrival });
            state.tickets.insert(ticket, place.clone());
            release(state, &place, now, &mut effects);
        }
        Event::Answered { ticket, answer } => {
            if let Some(place) = state.tickets.remove(&ticket) {
                if account(state, &place).answered(ticket, &answer, &place, now) {
                    effects.push(Effect::Save);
                }
                release(state, &place, now, &mut effects);
            }
        }
        Event::Gone(ticket) => {
            if let Some(place) = state.tickets.remove(&ticket) {
                account(state, &place).gone(ticket);
                release(state, &place, now, &mut effects);
            }
        }
        Event::Tick => {
            let places: Vec<(String, String)> = state
                .accounts
                .iter()
                .flat_map(|(host, all)| all.keys().map(|name| (host.clone(), name.clone())))
                .collect();
            for place in &places {
                for lost in account(state, place).overdue(now, LEASE) {
                    state.tickets.remove(&lost);
                    account(state, place).gone(lost);
                }
                release(state, place, now, &mut effects);
                let said = account(state, place).say(place, now, WORTH_SAYING, SAY);
                effects.extend(said.into_iter().map(Effect::Say));
            }
        }
    }
    effects
}

/// When a [`Event::Tick`] is due, if nothing happens before.
pub fn next_at(state: &State, now: Timestamp) -> Option<Timestamp> {
    let all = state.accounts.iter().flat_map(|(host, all)| {
        all.iter().map(move |(name, account)| (host.clone(), name.clone(), account))
    });
    all.filter_map(|(host, name, account)| {
        account.next_at(&(host, name), now, WORTH_SAYING, SAY, LEASE)
    })
    .min()
}

/// What waits now, for a page.
pub fn waits(state: &State, now: Timestamp) -> Vec<Waiting> {
    let mut all = Vec::new();
    for (host, accounts) in &state.accounts {
        for (name, account) in accounts {
            all.extend(account.waits(&(host.clone(), name.clone()), now));
        }
    }
    all
}

/// How many percent of its usual length an interval of looks has now: 100 while the budget lasts, up to
/// 1,000 as it shrinks. It grows at once and recovers slowly.
pub fn stretch(state: &State, key: &Key, now: Timestamp) -> u64 {
    state
        .accounts
        .get(&key.host)
        .and_then(|all| all.get(&key.credential))
        .map_or(100, |account| account.stretch(&key.pool, now))
}

/// `span` at so many percent of its length.
pub fn stretched(span: Span, percent: u64) -> Span {
    Span(span.0.saturating_mul(percent) / 100)
}

/// When a request that is asked for now would go at the earliest, as far as that is known. Nothing is
/// taken by asking: who has to choose what to send can wait until then, and choose with what is known
/// then.
pub fn free_at(state: &State, key: &Key, use_for: Use, now: Timestamp) -> Timestamp {
    state
        .accounts
        .get(&key.host)
        .and_then(|all| all.get(&key.credential))
        .map_or(now, |account| account.free_at(use_for, &key.pool, now))
}

/// What is left of a pool's budget, as far as it is known: (remaining, limit).
pub fn budget(state: &State, key: &Key) -> Option<(u32, u32)> {
    state.accounts.get(&key.host)?.get(&key.credential)?.budget(&key.pool)
}

/// Everything of a host that has a budget.
pub fn keys(state: &State, host: &str) -> Vec<Key> {
    let accounts = state.accounts.get(host).into_iter().flatten();
    let keys = accounts.flat_map(|(credential, account)| {
        account.pools().map(|pool| Key {
            host: host.to_owned(),
            credential: credential.clone(),
            pool: pool.to_owned(),
        })
    });
    keys.collect()
}

/// A persisted state, made fit for use: nothing is in flight, nothing waits, accounts that nobody used
/// since yesterday are gone.
pub fn restore(mut state: State, now: Timestamp) -> State {
    turn_back(&mut state, now);
    for accounts in state.accounts.values_mut() {
        accounts.retain(|_, account| !account.is_stale(now, STALE));
    }
    state.accounts.retain(|_, accounts| !accounts.is_empty());
    state
}

/// A clock that was set back must not make anybody wait for the time that it repeats.
fn turn_back(state: &mut State, now: Timestamp) {
    let back = state.last.since(now);
    if back > Span(0) {
        for account in state.accounts.values_mut().flat_map(BTreeMap::values_mut) {
            account.turn_back(back);
        }
    }
    state.last = now;
}

fn account<'a>(state: &'a mut State, (host, credential): &(String, String)) -> &'a mut Account {
    state.accounts.entry(host.clone()).or_default().entry(credential.clone()).or_default()
}

fn release(state: &mut State, place: &(String, String), now: Timestamp, effects: &mut Vec<Effect>) {
    effects.extend(account(state, place).release(place, now).into_iter().map(Effect::Go));
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RetryAfter => "the forge asked to wait",
            Self::Secondary => "the forge said that it was asked too much",
            Self::Budget => "the budget left is kept for what is more urgent",
            Self::Minute => "enough was asked in this minute",
            Self::Writes => "writes keep apart",
            Self::InFlight => "enough is in flight",
            Self::Resuming => "sending begins again, a little at a time",
        })
    }
}

impl fmt::Display for Waiting {
    /// Such as `github.example (main, core): 12 looks wait since …: the forge asked to wait, until …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { host, credential, pool } = &self.key;
        let what = match self.use_for {
            Use::Person => "requests of people",
            Use::Write => "writes",
            Use::Poll => "looks",
        };
        let credential = if credential.is_empty() { "no credential" } else { credential };
        write!(
            f,
            "{host} ({credential}, {pool}): {} {what} wait since {}",
            self.count, self.since
        )?;
        write!(f, ": {}", self.why)?;
        match self.until {
            Some(until) => write!(f, ", until {until}"),
            None => Ok(()),
        }
    }
}
