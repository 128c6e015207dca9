//! When each repository is looked at: once an interval however many workspaces share it.
//!
//! A forge with an API is asked for the marks of many repositories at once, every interval; only a
//! repository whose mark moved is read, and now and then everything.

mod marks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::backoff::{delay, jittered};
use crate::model::identity::RepositoryId;
use crate::model::time::{Span, Timestamp};
use marks::{Detector, Mark};

pub use marks::BATCH;

/// Looks that may be under way at one server at once, so that a server that never answers keeps
/// only its own repositories waiting.
pub const AT_ONE_SERVER: usize = 16;

/// The same of a server with marks, which answers for many at once.
const AT_ONE_API: usize = 2 * READ_TOGETHER;

/// Repositories that one question may read whole, where the server has such a question.
pub const READ_TOGETHER: usize = 50;

/// Longest time between two looks at a repository that fails.
const LONGEST: Span = Span::minutes(5);

/// The same of one that rests; one that answers is looked at after this time.
const RESTING: Span = Span::hours(1);

/// What is watched, and when each is due.
#[derive(Clone, Debug, Default)]
pub struct State {
    targets: BTreeMap<RepositoryId, Target>,
    detectors: BTreeMap<String, Detector>,
    last: Timestamp,
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
    /// Nobody watches it any more; it is known until its look ends, so that there are no two of them at
    /// once if it comes back before.
    left: bool,
    failures: u32,
    round: u64,
    /// Archived, or not there: it is no part of the questions for marks either.
    rests: bool,
    mark: Option<Mark>,
}

/// A repository to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which one.
    pub id: RepositoryId,
    /// Host and port that it is asked at, or the name of the API.
    pub server: String,
    /// Time between two looks; where there are marks, between two questions for them.
    pub interval: Span,
    /// Where its server can be asked for marks.
    pub marks: Option<Marks>,
}

/// How a repository with a mark is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Time within which it is read although its mark did not move.
    pub reconcile: Span,
    /// Its mark when an earlier run read what is remembered of it.
    pub known: Option<String>,
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
    /// A look is about to end that showed whether nothing much is to be expected of the repository.
    Rests {
        /// Which one.
        id: RepositoryId,
        /// Whether it is archived, or not there.
        rests: bool,
    },
    /// Somebody thinks that a repository moved.
    Hint(RepositoryId),
    /// A question for marks ended.
    Marks {
        /// Who was asked.
        server: String,
        /// About which repositories.
        asked: Vec<RepositoryId>,
        /// The answer; nothing if there was none.
        marks: Option<BTreeMap<RepositoryId, String>>,
    },
    /// Intervals of a server have so many percent of their length from now on.
    Stretch {
        /// Which server.
        server: String,
        /// 100 for the usual length.
        percent: u64,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look at this repository now.
    Look(RepositoryId),
    /// Ask for the marks of these now.
    Ask {
        /// Whom.
        server: String,
        /// At most [`BATCH`].
        ids: Vec<RepositoryId>,
    },
    /// What an earlier run read of this repository still holds.
    Confirm(RepositoryId),
}

/// Advances the schedule.
pub fn step(state: &mut State, event: Event, now: Timestamp) -> Vec<Effect> {
    turn_back(state, now);
    let mut effects = Vec::new();
    match event {
        Event::Watch(wanted) => watch(state, wanted, now),
        Event::Tick => {}
        Event::Looked { id, answered } => {
            let State { targets, detectors, .. } = state;
            if let Some(target) = targets.get_mut(&id) {
                let stretch = detectors.get(&target.server).map_or(100, |found| found.stretch);
                target.looked(&id, answered, stretch, now);
                if target.left {
                    targets.remove(&id);
                }
            }
        }
        Event::Rests { id, rests } => {
            if let Some(target) = state.targets.get_mut(&id) {
                target.rests = rests;
            }
        }
        Event::Hint(id) => {
            if let Some(target) = state.targets.get_mut(&id) {
                // Whoever says that it moved need not be confirmed by a mark.
                if let Some(mark) = &mut target.mark {
                    mark.awaited = false;
                }
                target.moved(now);
            }
        }
        Event::Marks { server, asked, marks } => {
            effects = marks::answered(state, &server, &asked, marks.as_ref(), now);
        }
        Event::Stretch { server, percent } => {
            state.detectors.entry(server).or_default().stretch = percent;
        }
    }
    effects.extend(due(state, now));
    effects.extend(marks::due(state, now));
    effects
}

/// A clock that was put back must not make anything wait for the time that it repeats.
fn turn_back(state: &mut State, now: Timestamp) {
    let back = state.last.since(now);
    if back > Span(0) {
        let targets = state.targets.values_mut().map(|target| &mut target.next_at);
        let detectors = state.detectors.values_mut().map(|detector| &mut detector.next_at);
        targets.chain(detectors).for_each(|next| *next = *next - back);
    }
    state.last = now;
}

/// When something is due next, if nothing happens before.
pub fn next_at(state: &State) -> Option<Timestamp> {
    let busy = busy(state);
    let looks = state.targets.values().filter(|target| {
        target.may_be_read()
            && busy.get(&target.server).is_none_or(|count| *count < target.at_once())
    });
    looks.map(|target| target.next_at).chain(marks::next_at(state)).min()
}

/// When a repository is looked at next, and whether that look is under way.
pub fn due_at(state: &State, id: &RepositoryId) -> Option<Timestamp> {
    state.targets.get(id).map(|target| target.next_at)
}

/// The mark that a repository had last: a look that begins now shows that state or a later one.
pub fn mark<'a>(state: &'a State, id: &RepositoryId) -> Option<&'a str> {
    state.targets.get(id)?.mark.as_ref()?.seen.as_deref()
}

/// Whom the marks of a repository are asked of, if it has any.
pub fn mark_server<'a>(state: &'a State, id: &RepositoryId) -> Option<&'a str> {
    let target = state.targets.get(id)?;
    target.mark.as_ref().map(|_| target.server.as_str())
}

/// When a server is asked for marks next, and how often in a row it did not answer.
pub fn detection(state: &State, server: &str) -> Option<(Timestamp, u32)> {
    state.detectors.get(server).map(|detector| (detector.next_at, detector.failures))
}

impl Target {
    fn looked(&mut self, id: &RepositoryId, answered: bool, stretch: u64, now: Timestamp) {
        self.under_way = false;
        self.round += 1;
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        let key = id.to_string();
        let wait = if !answered {
            let longest = if self.rests { RESTING } else { LONGEST };
            delay(self.interval, longest.max(self.interval), self.failures, &key)
        } else if self.rests {
            jittered(RESTING.max(self.interval), &key, self.round)
        } else if let Some(mark) = &self.mark {
            mark.until_read(&key, self.round, stretch)
        } else {
            jittered(self.interval, &key, self.round)
        };
        self.next_at = if self.again { now } else { now + wait };
        self.again = false;
    }

    /// Somebody thinks that it moved; it is read again, at `at` unless it would be before.
    fn moved(&mut self, at: Timestamp) {
        if self.under_way {
            self.again = true;
        } else {
            self.next_at = self.next_at.min(at);
        }
    }

    /// Looks that may be under way at its server at once.
    fn at_once(&self) -> usize {
        if self.mark.is_some() { AT_ONE_API } else { AT_ONE_SERVER }
    }

    /// From when on it is read along with others of its server.
    fn along_at(&self) -> Timestamp {
        match &self.mark {
            Some(mark) if self.failures == 0 && self.round > 0 => self.next_at - mark.early(),
            _ => self.next_at,
        }
    }

    fn may_be_read(&self) -> bool {
        !self.under_way && self.mark.as_ref().is_none_or(|mark| !mark.awaited)
    }
}

fn watch(state: &mut State, wanted: Vec<Wanted>, now: Timestamp) {
    let mut targets = BTreeMap::new();
    for Wanted { id, server, interval, marks } in wanted {
        let target = match state.targets.remove(&id) {
            Some(known) => {
                let mark = marks.map(|marks| Mark::again(marks, known.mark.as_ref()));
                Target { server, interval, mark, left: false, ..known }
            }
            None => Target {
                server,
                interval,
                next_at: now,
                under_way: false,
                again: false,
                left: false,
                failures: 0,
                round: 0,
                rests: false,
                mark: marks.map(Mark::new),
            },
        };
        targets.insert(id, target);
    }
    let leaving = std::mem::take(&mut state.targets).into_iter();
    let leaving = leaving.filter(|(_, target)| target.under_way);
    targets.extend(leaving.map(|(id, target)| (id, Target { left: true, again: false, ..target })));
    state.targets = targets;
}

/// Looks under way, by server.
fn busy(state: &State) -> BTreeMap<String, usize> {
    let mut busy: BTreeMap<String, usize> = BTreeMap::new();
    for target in state.targets.values().filter(|target| target.under_way) {
        *busy.entry(target.server.clone()).or_default() += 1;
    }
    busy
}

fn due(state: &mut State, now: Timestamp) -> Vec<Effect> {
    let mut under_way = busy(state);
    let mut due: Vec<(Timestamp, RepositoryId)> = state
        .targets
        .iter()
        .filter(|(_, target)| target.may_be_read() && target.next_at <= now)
        .map(|(id, target)| (target.next_at, id.clone()))
        .collect();
    due.sort();
    due.extend(along(state, &due, now));
    let mut effects = Vec::new();
    for (_, id) in due {
        let Some(target) = state.targets.get_mut(&id) else { continue };
        let count = under_way.entry(target.server.clone()).or_default();
        if *count < target.at_once() {
            *count += 1;
            target.under_way = true;
            effects.push(Effect::Look(id));
        }
    }
    effects
}

/// What is read soon anyway and fits into the questions that are asked now for what is due.
fn along(
    state: &State,
    due: &[(Timestamp, RepositoryId)],
    now: Timestamp,
) -> Vec<(Timestamp, RepositoryId)> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for target in due.iter().filter_map(|(_, id)| state.targets.get(id)) {
        if target.mark.is_some() {
            *places.entry(&target.server).or_default() += 1;
        }
    }
    if places.is_empty() {
        return Vec::new();
    }
    for place in places.values_mut() {
        *place = place.next_multiple_of(READ_TOGETHER) - *place;
    }
    let soon = state.targets.iter().filter(|(_, target)| {
        let ahead = target.next_at > now && target.along_at() <= now;
        ahead && target.may_be_read() && places.contains_key(target.server.as_str())
    });
    let mut soon: Vec<_> = soon.map(|(id, target)| (target.next_at, id.clone())).collect();
    soon.sort();
    soon.retain(|(_, id)| {
        let server = state.targets.get(id).map(|target| target.server.as_str());
        let place = server.and_then(|server| places.get_mut(server));
        place.is_some_and(|place| {
            let free = *place > 0;
            *place = place.saturating_sub(1);
            free
        })
    });
    soon
}
