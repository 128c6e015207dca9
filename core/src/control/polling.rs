//! When each repository is looked at: once an interval however many workspaces share it.

use std::collections::BTreeMap;

use super::backoff::{delay, jittered};
use crate::model::identity::RepositoryId;
use crate::model::time::{Span, Timestamp};

/// Looks that may be under way at one server at once, so that a server that never answers keeps
/// only its own repositories waiting.
pub const AT_ONE_SERVER: usize = 16;

/// Longest time between two looks at a repository that fails.
const LONGEST: Span = Span::minutes(5);

/// What is watched, and when each is due.
#[derive(Clone, Debug, Default)]
pub struct State {
    targets: BTreeMap<RepositoryId, Target>,
}

/// One repository in the schedule.
#[derive(Clone, Debug)]
struct Target {
    server: String,
    interval: Span,
    next_at: Timestamp,
    under_way: bool,
    /// Somebody asked for a look while one was under way: its answer may be too old.
    again: bool,
    failures: u32,
    round: u64,
}

/// A repository to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which one.
    pub id: RepositoryId,
    /// Host and port that it is asked at.
    pub server: String,
    /// Time between two looks.
    pub interval: Span,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These are to be watched from now on, and no others.
    Watch(Vec<Wanted>),
    /// Time passed.
    Tick,
    /// A look ended.
    Looked {
        /// At which repository.
        id: RepositoryId,
        /// Whether it answered.
        answered: bool,
    },
    /// Somebody thinks that a repository moved.
    Hint(RepositoryId),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look at this repository now.
    Look(RepositoryId),
}

/// Advances the schedule.
pub fn step(state: &mut State, event: Event, now: Timestamp) -> Vec<Effect> {
    match event {
        Event::Watch(wanted) => watch(state, wanted, now),
        Event::Tick => {}
        Event::Looked { id, answered } => {
            if let Some(target) = state.targets.get_mut(&id) {
                target.under_way = false;
                target.round += 1;
                target.failures = if answered { 0 } else { target.failures.saturating_add(1) };
                let wait = if answered {
                    jittered(target.interval, &id.to_string(), target.round)
                } else {
                    let longest = LONGEST.max(target.interval);
                    delay(target.interval, longest, target.failures, &id.to_string())
                };
                target.next_at = if target.again { now } else { now + wait };
                target.again = false;
            }
        }
        Event::Hint(id) => {
            if let Some(target) = state.targets.get_mut(&id) {
                if target.under_way {
                    target.again = true;
                } else {
                    target.next_at = target.next_at.min(now);
                }
            }
        }
    }
    due(state, now)
}

/// When something is due next, if nothing happens before.
pub fn next_at(state: &State) -> Option<Timestamp> {
    state.targets.values().filter(|target| !target.under_way).map(|target| target.next_at).min()
}

/// When a repository is looked at next, and whether that look is under way.
pub fn due_at(state: &State, id: &RepositoryId) -> Option<Timestamp> {
    state.targets.get(id).map(|target| target.next_at)
}

fn watch(state: &mut State, wanted: Vec<Wanted>, now: Timestamp) {
    let mut targets = BTreeMap::new();
    for Wanted { id, server, interval } in wanted {
        let target = match state.targets.remove(&id) {
            Some(known) => Target { server, interval, ..known },
            None => Target {
                server,
                interval,
                next_at: now,
                under_way: false,
                again: false,
                failures: 0,
                round: 0,
            },
        };
        targets.insert(id, target);
    }
    state.targets = targets;
}

fn due(state: &mut State, now: Timestamp) -> Vec<Effect> {
    let mut under_way: BTreeMap<String, usize> = BTreeMap::new();
    for target in state.targets.values().filter(|target| target.under_way) {
        *under_way.entry(target.server.clone()).or_default() += 1;
    }
    let mut due: Vec<(Timestamp, RepositoryId)> = state
        .targets
        .iter()
        .filter(|(_, target)| !target.under_way && target.next_at <= now)
        .map(|(id, target)| (target.next_at, id.clone()))
        .collect();
    due.sort();
    let mut effects = Vec::new();
    for (_, id) in due {
        let Some(target) = state.targets.get_mut(&id) else { continue };
        let count = under_way.entry(target.server.clone()).or_default();
        if *count < AT_ONE_SERVER {
            *count += 1;
            target.under_way = true;
            effects.push(Effect::Look(id));
        }
    }
    effects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(path: &str, server: &str) -> Wanted {
        let id = RepositoryId::new("mirror", path);
        Wanted { id, server: server.to_owned(), interval: Span::seconds(60) }
    }

    #[test]
    fn a_shared_repository_is_looked_at_once_an_interval() {
        let mut state = State::default();
        let both = vec![wanted("a", "one"), wanted("a", "one")];
        let effects = step(&mut state, Event::Watch(both), Timestamp(0));
        assert_eq!(effects.len(), 1);
        let id = RepositoryId::new("mirror", "a");
        step(&mut state, Event::Looked { id, answered: true }, Timestamp(10));
        assert!(step(&mut state, Event::Tick, Timestamp(50_000)).is_empty());
        assert_eq!(step(&mut state, Event::Tick, Timestamp(70_000)).len(), 1);
    }

    #[test]
    fn a_server_that_hangs_keeps_only_its_own_waiting() {
        let mut state = State::default();
        let mut all: Vec<Wanted> = (0..100).map(|n| wanted(&format!("hang{n}"), "dead")).collect();
        all.push(wanted("zzz", "alive"));
        let effects = step(&mut state, Event::Watch(all), Timestamp(0));
        assert_eq!(effects.len(), AT_ONE_SERVER + 1);
        assert!(effects.contains(&Effect::Look(RepositoryId::new("mirror", "zzz"))));
    }

    #[test]
    fn a_hint_during_a_look_leads_to_another() {
        let mut state = State::default();
        let id = RepositoryId::new("mirror", "a");
        step(&mut state, Event::Watch(vec![wanted("a", "one")]), Timestamp(0));
        step(&mut state, Event::Hint(id.clone()), Timestamp(1));
        let effects =
            step(&mut state, Event::Looked { id: id.clone(), answered: true }, Timestamp(2));
        assert_eq!(effects, vec![Effect::Look(id)]);
    }
}
