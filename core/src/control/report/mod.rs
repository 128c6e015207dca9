//! Which report is written to a forge next: one at a time for each account, when its limits let it go.
//!
//! The reports themselves are in the ledger: this module is told anew each time what is not written yet,
//! so what was replaced before its turn is never written. What may be sent when is the governor's to say.

mod comment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::backoff::delay;
use crate::model::identity::{ChangeId, Name, RepositoryId};
use crate::model::report::{StatusKey, StatusState};
use crate::model::time::{Span, Timestamp};

pub use comment::{code, marker, text};

/// After a refusal nothing is written there for this long.
pub const STOPPED: Span = Span::hours(24);

/// Waits after a failure that may pass, of one repository, and the longest.
const AGAIN: (Span, Span) = (Span::seconds(30), Span::minutes(15));

/// So many failures in a row are those of the forge, and not of what was written.
const STREAK: u32 = 3;

/// Whose limits a write counts for: host and credential.
pub type Account = (String, String);

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A status, of the workspace with that id.
    Status(Name, StatusKey),
    /// The comment on a change.
    Comment(ChangeId),
}

impl Key {
    /// The repository that is written to.
    pub fn repository(&self) -> &RepositoryId {
        match self {
            Self::Status(_, key) => &key.repository,
            Self::Comment(change) => &change.repository,
        }
    }

    /// What is written nothing to after a refusal of this, from the least: a status that is refused for
    /// want of rights stops all of its repository, a comment only that of its change.
    pub fn places(&self) -> Vec<String> {
        match self {
            Self::Status(_, key) => {
                vec![format!("{}@{}", key.repository, key.head), key.repository.to_string()]
            }
            Self::Comment(change) => vec![change.to_string()],
        }
    }
}

/// Where check runs are refused, though statuses may be written there.
pub fn checks(repository: &RepositoryId) -> String {
    format!("{CHECKS}{repository}")
}

/// What such a place begins with.
pub const CHECKS: &str = "check runs of ";

/// What is written first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Somebody waits for it.
    Verdict,
    /// Something is to be mended.
    Comment,
    /// Something began.
    Pending,
}

impl From<StatusState> for Turn {
    fn from(state: StatusState) -> Self {
        if state == StatusState::Pending { Self::Pending } else { Self::Verdict }
    }
}

/// Something that is not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What.
    pub key: Key,
    /// Whose limits it counts for.
    pub account: Account,
    /// How urgent it is.
    pub turn: Turn,
    /// Since when it is wanted.
    pub since: Timestamp,
}

/// What this process remembers of its writes.
#[derive(Clone, Debug, Default)]
pub struct State {
    busy: BTreeSet<Account>,
    accounts: BTreeMap<Account, Failures>,
    repositories: BTreeMap<RepositoryId, Failures>,
    /// When each repository was served last, as a number that grows.
    served: BTreeMap<RepositoryId, u64>,
    serving: u64,
}

#[derive(Clone, Debug, Default)]
struct Failures {
    in_a_row: u32,
    until: Timestamp,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// This is all that is not written yet, and when each account may write at the earliest.
    Rows(Vec<Row>, BTreeMap<Account, Timestamp>),
    /// A write ended.
    Ended {
        /// What was written.
        key: Key,
        /// Whose limits it counted for.
        account: Account,
        /// How it ended.
        outcome: Outcome,
    },
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, or was refused for good.
    Over,
    /// It was not written for a reason that may pass.
    Failed,
}

/// What is to be written now. It keeps its account busy until [`Event::Ended`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write(pub Key);

/// Advances the reporter.
pub fn step(state: &mut State, event: Event, now: Timestamp) -> Vec<Write> {
    match event {
        Event::Rows(rows, ready) => {
            let repositories: BTreeSet<&RepositoryId> =
                rows.iter().map(|row| row.key.repository()).collect();
            state.repositories.retain(|id, _| repositories.contains(id));
            state.served.retain(|id, _| repositories.contains(id));
            next(state, &rows, &ready, now)
        }
        Event::Ended { key, account, outcome } => {
            state.busy.remove(&account);
            let repository = key.repository();
            match outcome {
                Outcome::Over => {
                    state.accounts.remove(&account);
                    state.repositories.remove(repository);
                }
                Outcome::Failed => {
                    let one = state.repositories.entry(repository.clone()).or_default();
                    one.fail(0, &repository.to_string(), now);
                    let all = state.accounts.entry(account.clone()).or_default();
                    all.fail(STREAK - 1, &format!("{} {}", account.0, account.1), now);
                }
            }
            Vec::new()
        }
    }
}

/// When one of these may be written that may not be now; nothing while what is under way decides it.
pub fn next_at(
    state: &State,
    rows: &[Row],
    ready: &BTreeMap<Account, Timestamp>,
) -> Option<Timestamp> {
    let idle = rows.iter().filter(|row| !state.busy.contains(&row.account));
    idle.map(|row| state.due(row, ready)).min()
}

fn next(
    state: &mut State,
    rows: &[Row],
    ready: &BTreeMap<Account, Timestamp>,
    now: Timestamp,
) -> Vec<Write> {
    let mut first: BTreeMap<&Account, &Row> = BTreeMap::new();
    let served = |row: &Row| state.served.get(row.key.repository()).copied().unwrap_or(0);
    let before = |one: &Row, other: &Row| {
        let turns = (one.turn, served(one)).cmp(&(other.turn, served(other)));
        turns.then_with(|| (one.since, &one.key).cmp(&(other.since, &other.key))).is_lt()
    };
    for row in rows {
        let may = !state.busy.contains(&row.account) && state.due(row, ready) <= now;
        if may && first.get(&row.account).is_none_or(|other| before(row, other)) {
            first.insert(&row.account, row);
        }
    }
    let mut writes = Vec::new();
    for (account, row) in first {
        state.serving += 1;
        state.served.insert(row.key.repository().clone(), state.serving);
        state.busy.insert(account.clone());
        writes.push(Write(row.key.clone()));
    }
    writes
}

impl State {
    fn due(&self, row: &Row, ready: &BTreeMap<Account, Timestamp>) -> Timestamp {
        let of = |failures: Option<&Failures>| failures.map_or(Timestamp::default(), |f| f.until);
        let account = of(self.accounts.get(&row.account));
        let repository = of(self.repositories.get(row.key.repository()));
        let ready = ready.get(&row.account).copied().unwrap_or_default();
        account.max(repository).max(ready)
    }
}

impl Failures {
    fn fail(&mut self, spared: u32, key: &str, now: Timestamp) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let counted = self.in_a_row.saturating_sub(spared);
        if counted > 0 {
            self.until = now + delay(AGAIN.0, AGAIN.1, counted, key);
        }
    }
}
