//! Who may run an update now: at most a number at once, oldest request first.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::identity::Name;
use crate::model::time::Timestamp;

/// Requests and grants.
#[derive(Clone, Debug, Default)]
pub struct State {
    waiting: BTreeMap<Name, Timestamp>,
    running: BTreeSet<Name>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A workspace wants a slot.
    Request(Name),
    /// It no longer wants or has one.
    Release(Name),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This workspace may run now.
    Grant(Name),
}

/// Advances the slots; `at_most` may change from call to call.
pub fn step(state: &mut State, event: Event, at_most: usize, now: Timestamp) -> Vec<Effect> {
    match event {
        Event::Request(name) => {
            if !state.running.contains(&name) {
                state.waiting.entry(name).or_insert(now);
            }
        }
        Event::Release(name) => {
            state.running.remove(&name);
            state.waiting.remove(&name);
        }
    }
    let mut effects = Vec::new();
    while state.running.len() < at_most.max(1) {
        let oldest = state.waiting.iter().min_by_key(|(name, since)| (**since, (*name).clone()));
        let Some(name) = oldest.map(|(name, _)| name.clone()) else { break };
        state.waiting.remove(&name);
        state.running.insert(name.clone());
        effects.push(Effect::Grant(name));
    }
    effects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_request_is_served_first() {
        let mut state = State::default();
        let request = |name: &str| Event::Request(Name::from(name));
        assert_eq!(
            step(&mut state, request("z"), 1, Timestamp(1)),
            vec![Effect::Grant(Name::from("z"))]
        );
        assert!(step(&mut state, request("b"), 1, Timestamp(2)).is_empty());
        assert!(step(&mut state, request("a"), 1, Timestamp(3)).is_empty());
        let release = Event::Release(Name::from("z"));
        assert_eq!(
            step(&mut state, release, 1, Timestamp(4)),
            vec![Effect::Grant(Name::from("b"))]
        );
    }
}
