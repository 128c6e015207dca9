//! What the daemon does at the CI, with a crash possible between any two steps.

use crosswatch_core::control::outbox::{self, CiLimits, Effect, Limits, Mark, Row, Said};
use crosswatch_core::model::build::{RequestId, Stage, Verdict};
use crosswatch_core::model::time::{Span, Timestamp};

use crate::Failure;
use crate::ci::{Ci, Key};
use crate::daemon::Daemon;
use crate::ledger::{Ledger, Marking};
use crate::random::Random;

/// Longest time that a request is on its way.
pub const DEADLINE: Span = Span::seconds(10);
/// After this time without a sign of a build it is lost.
pub const LOST_AFTER: Span = Span::minutes(10);

/// A request between the daemon and the CI.
pub struct OnItsWay {
    /// When it arrives, by true time.
    pub at: Timestamp,
    /// Which one.
    pub id: RequestId,
    /// What it asks to build.
    pub key: Key,
}

/// What the task of sending sees.
pub struct Outside<'a> {
    pub random: &'a mut Random,
    pub ledger: &'a mut dyn Ledger,
    pub ci: &'a mut Ci,
    pub wire: &'a mut Vec<OnItsWay>,
    pub faults: bool,
    pub now: Timestamp,
    pub truly: Timestamp,
    /// What passed while the machine was awake.
    pub passed: Span,
}

/// Why it went no further.
pub enum Stop {
    /// The daemon died.
    Crashed,
    /// Something that must not be.
    Failed(Failure),
}

impl Outside<'_> {
    fn crash(&mut self) -> Result<(), Stop> {
        if self.faults && self.random.once_in(60) { Err(Stop::Crashed) } else { Ok(()) }
    }

    fn take(&mut self, id: RequestId, key: Key, stuck: bool) -> Result<(), Stop> {
        intended(self.ledger, id).map_err(Stop::Failed)?;
        self.ci.take(id, key, stuck, self.truly);
        Ok(())
    }
}

/// Whatever arrives at the CI was marked before it was sent.
pub fn intended(ledger: &mut dyn Ledger, id: RequestId) -> Result<(), Failure> {
    let rows = ledger.rows();
    match rows.iter().find(|(row, _)| row.id == id).map(|(row, _)| row.stage) {
        Some(Stage::Sending) => Ok(()),
        stage => Err(Failure(format!("{id} arrives while it is {stage:?} in the ledger"))),
    }
}

impl Daemon {
    /// Looks at the rows and carries out some of what is to be done.
    pub fn send(&mut self, outside: &mut Outside<'_>) -> Result<(), Stop> {
        let limits = limits();
        let rows = outside.ledger.rows();
        let event = outbox::Event::Rows(rows.iter().map(|(row, _)| row.clone()).collect());
        self.todo.extend(outbox::step(
            &mut self.outbox,
            event,
            &limits,
            outside.now,
            outside.passed,
        ));
        for effect in std::mem::take(&mut self.todo) {
            if outside.faults && outside.random.once_in(3) {
                self.todo.push(effect);
                continue;
            }
            outside.crash()?;
            let (Effect::Send(id) | Effect::Ask(id) | Effect::Cancel(id) | Effect::GiveUp(id)) =
                effect;
            if let Some((row, request)) = rows.iter().find(|(row, _)| row.id == id) {
                let key = (row.workspace.clone(), request.subject.clone(), request.fingerprint);
                match effect {
                    Effect::Send(_) => post(outside, row, key)?,
                    Effect::Ask(_) => self.ask(outside, row)?,
                    Effect::Cancel(_) => {
                        if !outside.ci.down {
                            for build in outside.ci.builds.get_mut(&id).into_iter().flatten() {
                                build.ended.get_or_insert(Verdict::Cancelled);
                            }
                            outside.crash()?;
                        }
                        self.ask(outside, row)?;
                    }
                    Effect::GiveUp(_) => {
                        outside.ledger.mark(id, Marking::Ended(Verdict::Lost), outside.now);
                    }
                }
            }
            outbox::step(
                &mut self.outbox,
                outbox::Event::Done(id),
                &limits,
                outside.now,
                outside.passed,
            );
        }
        Ok(())
    }

    fn ask(&self, outside: &mut Outside<'_>, row: &Row) -> Result<(), Stop> {
        let lost = outside.faults && outside.random.once_in(8);
        if outside.ci.down || lost {
            return Ok(());
        }
        let limits = limits();
        let Some(ci) = limits.ci.get(&row.ci) else { return Ok(()) };
        let said: Said = outside.ci.says(row.id);
        outside.crash()?;
        let overdue = self.outbox.overdue(&row.id, ci);
        let taken = outside.ci.builds.get(&row.id).and_then(|builds| builds.first());
        let age = taken.map_or(LOST_AFTER, |build| outside.truly.since(build.taken_at));
        let mark = match outbox::heard(row, &said, ci, overdue) {
            Mark::Stay => return Ok(()),
            Mark::Queued => Marking::QueuedAgain(outside.now),
            Mark::Sent => Marking::Sent,
            Mark::Running => Marking::Running,
            Mark::Ended(Verdict::Lost, _) if said == Said::Taken && age < LOST_AFTER => {
                let text = format!("{} is given up {age} after the CI took it", row.id);
                return Err(Stop::Failed(Failure(text)));
            }
            Mark::Ended(verdict, _) => Marking::Ended(verdict),
            Mark::Dropped => Marking::Dropped,
        };
        outside.ledger.mark(row.id, mark, outside.now);
        Ok(())
    }
}

/// A POST that fails before or after the CI took it, or whose answer is late or lost.
fn post(outside: &mut Outside<'_>, row: &Row, key: Key) -> Result<(), Stop> {
    let (id, now) = (row.id, outside.now);
    if !outside.ledger.mark(id, Marking::Sending(now + DEADLINE), now) {
        return Ok(());
    }
    outside.crash()?;
    if outside.ci.down {
        // The connection was refused: surely nothing was sent.
        let wait = Span::seconds(5 + outside.random.below(300));
        outside.ledger.mark(id, Marking::QueuedAgain(now + wait), now);
        return Ok(());
    }
    match outside.random.below(if outside.faults { 24 } else { 1 }) {
        // The answer is late or lost; the request arrives within its deadline.
        1..6 => {
            let at = outside.truly + Span::seconds(outside.random.below(11));
            outside.wire.push(OnItsWay { at, id, key });
        }
        6..9 => {}
        9..13 => {
            outside.take(id, key, false)?;
            outside.crash()?;
        }
        13 => {
            outside.ledger.mark(id, Marking::Ended(Verdict::Refused), now);
        }
        other => {
            outside.take(id, key, other == 14)?;
            outside.crash()?;
            outside.ledger.mark(id, Marking::Sent, now);
        }
    }
    Ok(())
}

/// What the CI and the workspaces allow.
pub fn limits() -> Limits {
    let ci = CiLimits {
        max_in_flight: 3,
        deadline: DEADLINE,
        poll: Span::seconds(5),
        can_be_asked: true,
        lost_after: LOST_AFTER,
    };
    Limits { ci: [("ci".into(), ci)].into(), workspaces: [("w".into(), 4), ("v".into(), 4)].into() }
}
