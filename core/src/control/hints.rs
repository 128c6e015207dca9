//! What was announced of repositories and is not seen yet.
//!
//! A webhook says that a head moved, and a forge may go on showing for a while what was there before.
//! The repository is read at once, and again after a while, until the forge shows what was announced
//! or something newer. What was announced is never taken for what is there.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::Listing;
use crate::model::identity::{Name, Oid, RepositoryId};
use crate::model::time::{Span, Timestamp};

/// How long after a hint a read is repeated that does not show yet what was announced.
pub const REPEATS: [Span; 5] =
    [Span::seconds(1), Span::seconds(2), Span::seconds(5), Span::seconds(15), Span::seconds(30)];

/// Heads of one repository that are awaited at once; of more, only the first read is made.
const MOST: usize = 100;

/// Heads that were passed on the way to the one that is awaited.
const PASSED: usize = 32;

/// What has a head.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeadOf {
    /// A branch, by its name without `refs/heads/`.
    Branch(Name),
    /// A change, by its number.
    Change(u64),
}

/// What was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whose head.
    pub of: HeadOf,
    /// The commit; nothing where the branch was deleted or the change is not open any more.
    pub head: Option<Oid>,
}

/// Heads that are awaited, by repository.
#[derive(Clone, Debug, Default)]
pub struct State(BTreeMap<RepositoryId, BTreeMap<HeadOf, Awaited>>);

#[derive(Clone, Debug)]
struct Awaited {
    head: Option<Oid>,
    /// What was there, or was announced, before.
    before: BTreeSet<Option<Oid>>,
    heard_at: Timestamp,
    repeats: usize,
    /// When the next repeated read is due; nothing while a read is on its way.
    next_at: Option<Timestamp>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Somebody announced something.
    Heard {
        /// Of which repository.
        id: RepositoryId,
        /// What exactly, if it was said.
        expected: Option<Expected>,
        /// What the last read showed; nothing if there was none.
        known: Option<&'a Listing>,
    },
    /// A read ended.
    Read {
        /// Of which repository.
        id: RepositoryId,
        /// What it showed; nothing if it failed.
        listing: Option<&'a Listing>,
    },
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read this repository now.
    Read(RepositoryId),
    /// The last repeated read did not show it either: what is there counts.
    GaveUp {
        /// In which repository.
        id: RepositoryId,
        /// Whose head.
        of: HeadOf,
    },
}

/// Advances what is awaited.
pub fn step(state: &mut State, event: Event<'_>, now: Timestamp) -> Vec<Effect> {
    match event {
        Event::Heard { id, expected, known } => {
            if let Some(expected) = expected {
                await_head(state.0.entry(id.clone()).or_default(), expected, known, now);
            }
            vec![Effect::Read(id)]
        }
        Event::Read { id, listing } => {
            let Some(awaited) = state.0.get_mut(&id) else { return Vec::new() };
            let mut effects = Vec::new();
            awaited.retain(|of, awaited| match awaited.read(of, listing, now) {
                Seen::Over => false,
                Seen::NotYet => true,
                Seen::Never => {
                    effects.push(Effect::GaveUp { id: id.clone(), of: of.clone() });
                    false
                }
            });
            if awaited.is_empty() {
                state.0.remove(&id);
            }
            effects
        }
        Event::Tick => {
            let mut due = BTreeSet::new();
            for (id, awaited) in &mut state.0 {
                for awaited in awaited.values_mut() {
                    if awaited.next_at.is_some_and(|at| at <= now) {
                        awaited.next_at = None;
                        awaited.repeats += 1;
                        due.insert(id.clone());
                    }
                }
            }
            due.into_iter().map(Effect::Read).collect()
        }
    }
}

/// When a read is repeated next, if nothing happens before.
pub fn next_at(state: &State) -> Option<Timestamp> {
    state.0.values().flat_map(BTreeMap::values).filter_map(|awaited| awaited.next_at).min()
}

/// Forgets what is awaited of repositories that nobody watches any more.
pub fn keep(state: &mut State, watched: impl Fn(&RepositoryId) -> bool) {
    state.0.retain(|id, _| watched(id));
}

fn await_head(
    awaited: &mut BTreeMap<HeadOf, Awaited>,
    Expected { of, head }: Expected,
    known: Option<&Listing>,
    now: Timestamp,
) {
    let mut before: BTreeSet<Option<Oid>> =
        known.map(|known| shown(known, &of)).into_iter().collect();
    match awaited.remove(&of) {
        // What was announced before may be shown on the way: it is not newer than this.
        Some(earlier) => {
            before.extend(earlier.before.into_iter().take(PASSED));
            before.insert(earlier.head);
        }
        None if awaited.len() >= MOST => return,
        None => {}
    }
    let next = Awaited { head, before, heard_at: now, repeats: 0, next_at: None };
    awaited.insert(of, next);
}

/// Whose head is where.
fn shown(listing: &Listing, of: &HeadOf) -> Option<Oid> {
    match of {
        HeadOf::Branch(name) => listing.branches.get(name).copied(),
        HeadOf::Change(number) => listing.change(*number).map(|change| change.head),
    }
}

enum Seen {
    Over,
    NotYet,
    Never,
}

impl Awaited {
    fn read(&mut self, of: &HeadOf, listing: Option<&Listing>, now: Timestamp) -> Seen {
        if let Some(listing) = listing {
            let shown = shown(listing, of);
            let newer = !self.before.is_empty() && !self.before.contains(&shown);
            if shown == self.head || newer {
                return Seen::Over;
            }
            // The first thing that is seen at all may be old or new.
            self.before.insert(shown);
        }
        if self.next_at.is_none() {
            let Some(after) = REPEATS.get(self.repeats) else { return Seen::Never };
            self.next_at = Some((self.heard_at + *after).max(now));
        }
        Seen::NotYet
    }
}
