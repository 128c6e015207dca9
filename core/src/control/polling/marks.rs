//! Marks: one question an interval for many repositories, which says what is worth reading.

use std::collections::{BTreeMap, BTreeSet};

use super::super::backoff::{delay, jittered};
use super::super::governor::stretched;
use super::{Effect, LONGEST, Marks, State};
use crate::model::identity::RepositoryId;
use crate::model::time::{Span, Timestamp};

/// Repositories that one question is about at most.
pub const BATCH: usize = 100;

/// After so many questions without an answer, what was never read is read without having a mark.
const GIVEN_UP: u32 = 3;

/// How long what moved waits for the other questions of its round, so that it is read together with what
/// those find.
const ROUND: Span = Span::seconds(1);

/// Whoever asks one server for marks.
#[derive(Clone, Debug)]
pub(super) struct Detector {
    pub(super) next_at: Timestamp,
    pub(super) failures: u32,
    pub(super) stretch: u64,
    under_way: usize,
    failed: bool,
    round: u64,
}

impl Default for Detector {
    fn default() -> Self {
        let (next_at, failures, stretch) = (Timestamp(0), 0, 100);
        Self { next_at, failures, stretch, under_way: 0, failed: false, round: 0 }
    }
}

/// The mark of one repository.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    reconcile: Span,
    /// As the server gave it last, or as it was when an earlier run read the repository.
    pub(super) seen: Option<String>,
    /// The first answer is awaited, so that the first look is not older than the first mark.
    pub(super) awaited: bool,
    asked: bool,
}

impl Mark {
    pub(super) fn new(marks: Marks) -> Self {
        Self { reconcile: marks.reconcile, seen: marks.known, awaited: true, asked: false }
    }

    /// Of a repository that is watched already.
    pub(super) fn again(marks: Marks, before: Option<&Self>) -> Self {
        match before {
            Some(before) => Self { reconcile: marks.reconcile, ..before.clone() },
            None => Self::new(marks),
        }
    }

    /// How much earlier it may be read with others, so that one question does for many.
    pub(super) fn early(&self) -> Span {
        Span(self.reconcile.0 / 4)
    }

    /// Time until it is read although nothing moved. After the first look the times are spread.
    pub(super) fn until_read(&self, key: &str, round: u64, stretch: u64) -> Span {
        let most = stretched(self.reconcile, stretch);
        if round > 1 {
            return jittered(Span(most.0 / 10 * 9), key, round);
        }
        // What `jittered` takes away or adds, made into a part of the whole.
        let part = jittered(Span(1_000_000), key, round).0.saturating_sub(900_000);
        Span(most.0 / 8 + most.0 / 8 * 7 * part / 200_000)
    }
}

/// Takes over an answer.
pub(super) fn answered(
    state: &mut State,
    server: &str,
    asked: &[RepositoryId],
    marks: Option<&BTreeMap<RepositoryId, String>>,
    now: Timestamp,
) -> Vec<Effect> {
    let State { targets, detectors, .. } = state;
    let detector = detectors.entry(server.to_owned()).or_default();
    let mut effects = Vec::new();
    let together = if detector.under_way > 1 { now + ROUND } else { now };
    for id in asked {
        let Some(target) = targets.get_mut(id) else { continue };
        let Some(mark) = &mut target.mark else { continue };
        let Some(marks) = marks else {
            // It may be the question alone that gets no answer.
            mark.awaited &= detector.failures + 1 < GIVEN_UP;
            continue;
        };
        let first = std::mem::take(&mut mark.awaited);
        let now_seen = marks.get(id);
        let same = now_seen.is_some() && now_seen == mark.seen.as_ref();
        mark.seen = now_seen.cloned();
        if same && first {
            target.round += 1;
            let wait = mark.until_read(&id.to_string(), target.round, detector.stretch);
            target.next_at = now + wait;
            effects.push(Effect::Confirm(id.clone()));
        } else if !same && target.failures == 0 && (now_seen.is_some() || !target.under_way) {
            // Without a mark a look is not known to be too old, and one that fails waits its time.
            target.moved(together);
        }
    }
    detector.under_way = detector.under_way.saturating_sub(1);
    detector.failed |= marks.is_none();
    if detector.under_way == 0 {
        detector.round += 1;
        let interval =
            targets.values().filter(|target| target.server == server).map(|t| t.interval).min();
        let interval = interval.unwrap_or(Span::seconds(60));
        let wait = if std::mem::take(&mut detector.failed) {
            detector.failures = detector.failures.saturating_add(1);
            delay(interval, LONGEST.max(interval), detector.failures, server)
        } else {
            detector.failures = 0;
            jittered(stretched(interval, detector.stretch), server, detector.round)
        };
        detector.next_at = now + wait;
        let waiting = targets.values_mut().filter(|target| {
            target.server == server && target.failures == 0 && target.next_at <= now + ROUND
        });
        waiting.for_each(|target| target.next_at = target.next_at.min(now));
    }
    effects
}

/// Questions that are due: about everything, or about what is new.
pub(super) fn due(state: &mut State, now: Timestamp) -> Vec<Effect> {
    let State { targets, detectors, .. } = state;
    let mut ids: BTreeMap<String, Vec<RepositoryId>> = BTreeMap::new();
    for (id, target) in targets.iter_mut().filter(|(_, target)| !target.left) {
        let Some(mark) = &mut target.mark else { continue };
        let detector = detectors.entry(target.server.clone()).or_default();
        let whole = detector.under_way == 0 && detector.next_at <= now;
        if (whole && !target.rests) || !mark.asked {
            mark.asked = true;
            ids.entry(target.server.clone()).or_default().push(id.clone());
        }
    }
    let mut effects = Vec::new();
    for (server, ids) in ids {
        let detector = detectors.entry(server.clone()).or_default();
        for ids in ids.chunks(BATCH) {
            detector.under_way += 1;
            effects.push(Effect::Ask { server: server.clone(), ids: ids.to_vec() });
        }
    }
    effects
}

/// When the next question is due.
pub(super) fn next_at(state: &State) -> Option<Timestamp> {
    let marked = state.targets.values().filter(|target| target.mark.is_some() && !target.left);
    let servers: BTreeSet<&String> = marked.map(|target| &target.server).collect();
    let idle = |detector: &&Detector| detector.under_way == 0;
    let detectors = servers.into_iter().filter_map(|server| state.detectors.get(server));
    detectors.filter(idle).map(|detector| detector.next_at).min()
}
