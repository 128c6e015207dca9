//! Who may run an update now: at most a number at once, oldest request first, with a head start for
//! those that somebody waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::identity::Name;
use crate::model::time::{Span, Timestamp};

/// Who waits for a workspace.
///
/// A priority is a head start, not a class of its own: a request counts as if it had been made that
/// much earlier (or later). So even an endless row of urgent requests lets every other one through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A candidate of a change: updates go first.
    Candidate,
    /// Nobody in particular: a first bootstrap, or another attempt after a failure.
    #[default]
    Usual,
    /// A head moved that the update answers for, so its mainline and changes wait.
    Waited,
    /// A person asked for it.
    Person,
}

impl Priority {
    /// From when on a request counts that was made at `since`.
    fn counts_from(self, since: Timestamp) -> Timestamp {
        match self {
            Self::Candidate => since + Span::minutes(10),
            Self::Usual => since,
            Self::Waited => since - Span::minutes(10),
            Self::Person => since - Span::hours(1),
        }
    }
}

/// What may be given now; it may change from call to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Slots altogether; one at least.
    pub at_most: usize,
    /// The machine has enough to do: nothing is given unless nothing runs.
    pub overloaded: bool,
}

/// Requests and grants.
#[derive(Clone, Debug, Default)]
pub struct State {
    waiting: BTreeMap<Name, Request>,
    running: BTreeSet<Name>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    since: Timestamp,
    priority: Priority,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A workspace wants a slot; asking again with a higher priority keeps the place in time.
    Request(Name, Priority),
    /// It no longer wants or has one.
    Release(Name),
    /// Time passed, and with it perhaps the load.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This workspace may run now.
    Grant(Name),
}

impl State {
    /// Whether anybody waits.
    pub fn awaited(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Advances the slots.
pub fn step(state: &mut State, event: Event, room: Room, now: Timestamp) -> Vec<Effect> {
    match event {
        Event::Request(name, priority) => {
            if !state.running.contains(&name) {
                let request = state.waiting.entry(name).or_insert(Request { since: now, priority });
                request.priority = request.priority.max(priority);
            }
        }
        Event::Release(name) => {
            state.running.remove(&name);
            state.waiting.remove(&name);
        }
        Event::Tick => {}
    }
    let mut effects = Vec::new();
    while state.running.is_empty() || (state.running.len() < room.at_most && !room.overloaded) {
        let first = state.waiting.iter().min_by_key(|(name, request)| {
            (request.priority.counts_from(request.since), (*name).clone())
        });
        let Some(name) = first.map(|(name, _)| name.clone()) else { break };
        state.waiting.remove(&name);
        state.running.insert(name.clone());
        effects.push(Effect::Grant(name));
    }
    effects
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Room = Room { at_most: 1, overloaded: false };

    fn request(name: &str, priority: Priority) -> Event {
        Event::Request(Name::from(name), priority)
    }

    fn grant(name: &str) -> Vec<Effect> {
        vec![Effect::Grant(Name::from(name))]
    }

    fn next(state: &mut State, over: &str, at: i64) -> Vec<Effect> {
        step(state, Event::Release(Name::from(over)), ONE, Timestamp(at))
    }

    #[test]
    fn the_oldest_request_is_served_first() {
        let mut state = State::default();
        let usual = |name| request(name, Priority::Usual);
        assert_eq!(step(&mut state, usual("z"), ONE, Timestamp(1)), grant("z"));
        assert!(step(&mut state, usual("b"), ONE, Timestamp(2)).is_empty());
        assert!(step(&mut state, usual("a"), ONE, Timestamp(3)).is_empty());
        assert!(step(&mut state, usual("b"), ONE, Timestamp(4)).is_empty(), "it asks again");
        assert_eq!(next(&mut state, "z", 5), grant("b"));
    }

    #[test]
    fn who_is_waited_for_has_a_head_start_that_wears_off() {
        let mut state = State::default();
        step(&mut state, request("z", Priority::Usual), ONE, Timestamp(0));
        step(&mut state, request("old", Priority::Usual), ONE, Timestamp(0));
        let later = Span::minutes(9).0 as i64;
        step(&mut state, request("waited", Priority::Waited), ONE, Timestamp(later));
        step(&mut state, request("asked", Priority::Usual), ONE, Timestamp(later));
        step(&mut state, request("asked", Priority::Person), ONE, Timestamp(later + 1));
        assert_eq!(next(&mut state, "z", later + 2), grant("asked"));
        assert_eq!(next(&mut state, "asked", later + 3), grant("waited"));
        let much_later = Span::minutes(11).0 as i64;
        step(&mut state, request("new", Priority::Waited), ONE, Timestamp(much_later));
        assert_eq!(next(&mut state, "waited", much_later + 1), grant("old"));
    }

    #[test]
    fn a_candidate_lets_updates_go_first_and_is_not_forgotten() {
        let mut state = State::default();
        step(&mut state, request("z", Priority::Usual), ONE, Timestamp(0));
        step(&mut state, request("candidate", Priority::Candidate), ONE, Timestamp(0));
        step(&mut state, request("update", Priority::Usual), ONE, Timestamp(9 * 60_000));
        assert_eq!(next(&mut state, "z", 9 * 60_000 + 1), grant("update"));
        step(&mut state, request("later", Priority::Usual), ONE, Timestamp(11 * 60_000));
        assert_eq!(next(&mut state, "update", 11 * 60_000 + 1), grant("candidate"));
    }

    #[test]
    fn a_machine_with_enough_to_do_runs_one_at_least_and_more_when_it_rests() {
        let busy = Room { at_most: 4, overloaded: true };
        let mut state = State::default();
        let usual = |name| request(name, Priority::Usual);
        assert_eq!(step(&mut state, usual("a"), busy, Timestamp(0)), grant("a"));
        assert!(step(&mut state, usual("b"), busy, Timestamp(1)).is_empty());
        assert!(step(&mut state, Event::Tick, busy, Timestamp(2)).is_empty());
        assert!(state.awaited());
        let rested = Room { overloaded: false, ..busy };
        assert_eq!(step(&mut state, Event::Tick, rested, Timestamp(3)), grant("b"));
        assert!(!state.awaited());
    }

    proptest! {
        /// Whoever asks is served while others ask again and again with more right.
        #[test]
        fn nobody_starves(
            at_most in 1_usize..4,
            urgent in proptest::collection::vec(0_usize..6, 1..40),
        ) {
            let room = Room { at_most, overloaded: false };
            let mut state = State::default();
            let mut running: BTreeSet<Name> = BTreeSet::new();
            let mut served = false;
            let mut now = 0;
            let mut events = vec![Event::Request(Name::from("patient"), Priority::Usual)];
            events.extend((0..6).map(|n| request(&format!("u{n}"), Priority::Person)));
            for round in 0..400 {
                for event in std::mem::take(&mut events) {
                    for Effect::Grant(name) in step(&mut state, event, room, Timestamp(now)) {
                        served |= *name == *"patient";
                        prop_assert!(running.insert(name), "granted twice");
                        prop_assert!(running.len() <= at_most);
                    }
                }
                now += 60_000;
                let which = urgent[round % urgent.len()] % running.len().max(1);
                if let Some(name) = running.iter().nth(which).cloned() {
                    running.remove(&name);
                    events.push(Event::Release(name.clone()));
                    if *name != *"patient" {
                        events.push(Event::Request(name, Priority::Person));
                    }
                }
            }
            prop_assert!(served);
        }
    }
}
