//! A CI that takes whatever arrives, so the same request twice is two builds.

use std::collections::BTreeMap;

use crosswatch_core::control::outbox::Said;
use crosswatch_core::model::build::{RequestId, Verdict};
use crosswatch_core::model::identity::{Fingerprint, Name, Subject};
use crosswatch_core::model::time::{Span, Timestamp};

use crate::random::Random;

/// What a build is a build of: workspace, subject, fingerprint.
pub type Key = (Name, Subject, Fingerprint);

/// A build on the CI.
#[derive(Clone, Debug)]
pub struct Build {
    /// What it builds.
    pub key: Key,
    /// When it was taken, by true time.
    pub taken_at: Timestamp,
    /// It has begun.
    pub running: bool,
    /// How it ended.
    pub ended: Option<Verdict>,
    /// It is never scheduled.
    pub stuck: bool,
}

/// The CI.
#[derive(Default)]
pub struct Ci {
    /// What it took.
    pub builds: BTreeMap<RequestId, Vec<Build>>,
    /// It gives no answer.
    pub down: bool,
}

impl Ci {
    /// A request arrives.
    pub fn take(&mut self, id: RequestId, key: Key, stuck: bool, at: Timestamp) {
        let build = Build { key, taken_at: at, running: false, ended: None, stuck };
        self.builds.entry(id).or_default().push(build);
    }

    /// Time passes.
    pub fn progress(&mut self, random: &mut Random, faults: bool, now: Timestamp) {
        for build in self.builds.values_mut().flatten() {
            if build.ended.is_some() || random.once_in(3) {
                continue;
            }
            if build.stuck {
            } else if !build.running {
                // What it did not begin in time is given up as lost and must not begin after that.
                build.running = build.taken_at + Span::minutes(9) > now;
                build.stuck = !build.running;
            } else {
                build.ended = Some(match random.below(if faults { 8 } else { 7 }) {
                    0..4 => Verdict::Success,
                    4..7 => Verdict::Failure,
                    _ => Verdict::Lost,
                });
            }
        }
    }

    /// What it says of a request.
    pub fn says(&self, id: RequestId) -> Said {
        match self.builds.get(&id).and_then(|builds| builds.last()) {
            None => Said::Never,
            Some(build) => match (build.ended, build.running) {
                (Some(verdict), _) => Said::Ended(verdict),
                (None, true) => Said::Running,
                (None, false) => Said::Taken,
            },
        }
    }

    /// Finished builds that were not cancelled or lost, by what they built.
    pub fn finished(&self) -> BTreeMap<&Key, usize> {
        let mut finished = BTreeMap::new();
        for build in self.builds.values().flatten() {
            if matches!(build.ended, Some(Verdict::Success | Verdict::Failure)) {
                *finished.entry(&build.key).or_default() += 1;
            }
        }
        finished
    }
}
