//! What the daemon does at the CI, with a crash possible between any two steps.

use crosswatch_core::control::outbox::{self, CiLimits, Effect, Limits, Mark, Said};
use crosswatch_core::model::build::{RequestId, Stage, Verdict};
use crosswatch_core::model::time::{Span, Timestamp};

use super::daemon::Daemon;
use super::world::{Ci, Random};

const DEADLINE: Span = Span::seconds(10);

/// A request between the daemon and the CI.
pub struct OnItsWay {
    pub at: Timestamp,
    pub id: RequestId,
}

impl Daemon {
    /// Looks at the rows and carries out some of what is to be done; whether it crashed on the way.
    pub fn send(
        &mut self,
        random: &mut Random,
        ci: &mut Ci,
        wire: &mut Vec<OnItsWay>,
        faults: bool,
        now: Timestamp,
    ) -> bool {
        let rows = self.kept.rows.values().map(|(row, _)| row.clone());
        let rows = outbox::Event::Rows(rows.filter(|row| row.stage.open()).collect());
        self.todo.extend(outbox::step(&mut self.outbox, rows, &limits(), now));
        for effect in std::mem::take(&mut self.todo) {
            if faults && random.once_in(3) {
                self.todo.push(effect);
                continue;
            }
            let crash = |random: &mut Random| faults && random.once_in(50);
            if crash(random) {
                return true;
            }
            let id = match effect {
                Effect::Send(id) => {
                    let Some((row, request)) = self.kept.rows.get_mut(&id) else { continue };
                    // Marked only if it is still wanted and queued.
                    if row.stage == Stage::Queued && !row.cancel_wanted {
                        row.sending_deadline = Some(now + DEADLINE);
                        let key = (request.subject.clone(), request.fingerprint);
                        self.mark(id, Stage::Sending, now);
                        if crash(random) {
                            return true;
                        }
                        match random.below(if faults { 6 } else { 1 }) {
                            // The connection was refused: surely nothing was sent.
                            _ if ci.down => self.mark(id, Stage::Queued, now),
                            // The answer is late or lost; the request arrives within its deadline.
                            1 | 5 => wire
                                .push(OnItsWay { at: now + Span::seconds(random.below(11)), id }),
                            2 => {}
                            3 => {
                                ci.take(id, key, false);
                                if crash(random) {
                                    return true;
                                }
                            }
                            other => {
                                ci.take(id, key, other == 4);
                                if crash(random) {
                                    return true;
                                }
                                self.mark(id, Stage::Sent, now);
                            }
                        }
                    }
                    id
                }
                Effect::Ask(id) | Effect::Cancel(id) => {
                    if matches!(effect, Effect::Cancel(_)) && !ci.down {
                        for build in ci.builds.get_mut(&id).into_iter().flatten() {
                            build.ended.get_or_insert(Verdict::Cancelled);
                        }
                        if crash(random) {
                            return true;
                        }
                    }
                    if !ci.down {
                        self.hear(id, ci, now);
                    }
                    id
                }
                Effect::GiveUp(_) => panic!("this CI can be asked"),
            };
            outbox::step(&mut self.outbox, outbox::Event::Done(id), &limits(), now);
        }
        false
    }

    fn hear(&mut self, id: RequestId, ci: &Ci, now: Timestamp) {
        let said = match ci.builds.get(&id).and_then(|builds| builds.last()) {
            None => Said::Never,
            Some(build) => match (build.ended, build.running) {
                (Some(verdict), _) => Said::Ended(verdict),
                (None, true) => Said::Running,
                (None, false) => Said::Taken,
            },
        };
        let Some((row, _)) = self.kept.rows.get(&id) else { return };
        let limits = limits();
        let Some(ci) = limits.ci.get("ci") else { return };
        match outbox::heard(row, &said, ci, now) {
            Mark::Stay => {}
            Mark::Queued => self.mark(id, Stage::Queued, now),
            Mark::Sent => self.mark(id, Stage::Sent, now),
            Mark::Running => self.mark(id, Stage::Running, now),
            Mark::Ended(verdict, _) => self.mark(id, Stage::Ended(verdict), now),
            Mark::Dropped => self.mark(id, Stage::Dropped, now),
        }
    }
}

fn limits() -> Limits {
    let ci = CiLimits {
        max_in_flight: 3,
        poll: Span::seconds(5),
        can_be_asked: true,
        lost_after: Span::minutes(10),
    };
    Limits { ci: [("ci".into(), ci)].into(), workspaces: [("w".into(), 4)].into() }
}
