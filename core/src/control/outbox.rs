//! What is sent, asked for and cancelled now, and what an answer means for a row.
//!
//! The rows themselves are in the ledger: this module is told them anew each time and remembers only
//! what is under way in this process, so a crash loses nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::build::{Priority, RequestId, Stage, Verdict};
use crate::model::identity::Name;
use crate::model::time::{Span, Timestamp};

/// After the old request's deadline and this, it cannot arrive any more.
const STRAGGLER: Span = Span::seconds(5);

/// Wait after a send that was surely not taken, and the longest.
pub const RESEND: (Span, Span) = (Span::seconds(5), Span::minutes(5));

/// What is under way in this process. Waits are measured by what passes while it lives (`passed`, by a
/// clock that nobody can set), so a clock that jumps ends none of them and makes none endless.
#[derive(Clone, Debug, Default)]
pub struct State {
    busy: BTreeSet<RequestId>,
    passed: Span,
    asked_at: BTreeMap<RequestId, Span>,
    /// When a request that was found on its way cannot arrive any more.
    arrived_at: BTreeMap<RequestId, Span>,
    /// When a row was first seen here as taken.
    taken_at: BTreeMap<RequestId, Span>,
}

impl State {
    /// Whether a row was taken so long ago that there should be a build of it. It counts anew after a
    /// restart.
    pub fn overdue(&self, id: &RequestId, ci: &CiLimits) -> bool {
        let taken = self.taken_at.get(id);
        taken.is_some_and(|taken| self.passed.0.saturating_sub(taken.0) >= ci.lost_after.0)
    }
}

/// One row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub id: RequestId,
    /// The CI that gets it.
    pub ci: Name,
    /// The workspace that it is for.
    pub workspace: Name,
    /// How far it is.
    pub stage: Stage,
    /// Who is served first.
    pub priority: Priority,
    /// When it was decided.
    pub queued_at: Timestamp,
    /// Not sent (again) before this time.
    pub not_before: Option<Timestamp>,
    /// When the request that is on its way ends at the latest.
    pub sending_deadline: Option<Timestamp>,
    /// When the CI took it.
    pub taken_at: Option<Timestamp>,
    /// It is no longer wanted.
    pub cancel_wanted: bool,
}

/// What a CI and a workspace allow.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// For each CI that is configured.
    pub ci: BTreeMap<Name, CiLimits>,
    /// Rows in flight for each workspace.
    pub workspaces: BTreeMap<Name, usize>,
}

/// What one CI allows.
#[derive(Clone, Copy, Debug)]
pub struct CiLimits {
    /// Rows in flight at once.
    pub max_in_flight: usize,
    /// Longest time that a request is on its way.
    pub deadline: Span,
    /// Time between two questions after a row.
    pub poll: Span,
    /// Whether it can be asked for a request id.
    pub can_be_asked: bool,
    /// After this time without a sign of a build it is lost.
    pub lost_after: Span,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// These are all open rows.
    Rows(Vec<Row>),
    /// An effect on a row was carried out.
    Done(RequestId),
    /// Look at the rows of this CI as soon as possible.
    Hint(Vec<RequestId>),
}

/// What is to be done. Each effect keeps its row busy until [`Event::Done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Mark it as sending, then send it.
    Send(RequestId),
    /// Ask the CI for it.
    Ask(RequestId),
    /// Cancel it at the CI.
    Cancel(RequestId),
    /// The CI cannot be asked whether it took it: mark it as lost.
    GiveUp(RequestId),
}

/// Advances the outbox; `passed` is what passed since some beginning.
pub fn step(
    state: &mut State,
    event: Event,
    limits: &Limits,
    now: Timestamp,
    passed: Span,
) -> Vec<Effect> {
    state.passed = passed;
    match event {
        Event::Rows(rows) => look(state, &rows, limits, now),
        Event::Done(id) => {
            state.busy.remove(&id);
            state.asked_at.insert(id, passed);
            Vec::new()
        }
        Event::Hint(ids) => {
            for id in ids {
                state.asked_at.remove(&id);
            }
            Vec::new()
        }
    }
}

fn in_flight(stage: Stage) -> bool {
    matches!(stage, Stage::Sending | Stage::Sent | Stage::Running)
}

fn look(state: &mut State, rows: &[Row], limits: &Limits, now: Timestamp) -> Vec<Effect> {
    let open: BTreeSet<RequestId> = rows.iter().map(|row| row.id).collect();
    state.asked_at.retain(|id, _| open.contains(id));
    state.arrived_at.retain(|id, _| open.contains(id));
    state.taken_at.retain(|id, _| open.contains(id));
    let passed = state.passed;
    let mut effects = Vec::new();
    for row in rows.iter().filter(|row| in_flight(row.stage) && !state.busy.contains(&row.id)) {
        let Some(ci) = limits.ci.get(&row.ci) else { continue };
        let asked = state.asked_at.get(&row.id);
        let due = asked.is_none_or(|asked| asked.0.saturating_add(ci.poll.0) <= passed.0);
        if row.stage == Stage::Sending {
            let ahead = row.sending_deadline.map_or(Span(0), |time| (time + STRAGGLER).since(now));
            // A deadline further ahead than any is one of a clock that went back.
            let ahead = ahead.0.min(ci.deadline.0.saturating_add(STRAGGLER.0));
            state.arrived_at.entry(row.id).or_insert(Span(passed.0.saturating_add(ahead)));
        } else {
            state.arrived_at.remove(&row.id);
            state.taken_at.entry(row.id).or_insert(passed);
        }
        match row.stage {
            Stage::Sending => {
                let safe = state.arrived_at.get(&row.id).is_none_or(|safe| *safe <= passed);
                if safe && due {
                    effects.push(if ci.can_be_asked {
                        Effect::Ask(row.id)
                    } else {
                        Effect::GiveUp(row.id)
                    });
                }
            }
            _ if !due => {}
            _ if row.cancel_wanted => effects.push(Effect::Cancel(row.id)),
            _ if ci.can_be_asked => effects.push(Effect::Ask(row.id)),
            _ => {}
        }
    }
    effects.extend(sends(state, rows, limits, now));
    for effect in &effects {
        if let Effect::Send(id) = effect {
            // Another request than one that was found on its way before.
            state.arrived_at.remove(id);
        }
        let (Effect::Send(id) | Effect::Ask(id) | Effect::Cancel(id) | Effect::GiveUp(id)) = effect;
        state.busy.insert(*id);
    }
    effects
}

/// Whether a time that is waited for is still to come. One further ahead than any wait is one of a clock
/// that went back.
fn still_ahead(time: Timestamp, now: Timestamp) -> bool {
    time > now && time.since(now) <= RESEND.1.times(2)
}

/// Queued rows that fit: by priority, round-robin over workspaces, oldest first.
fn sends(state: &State, rows: &[Row], limits: &Limits, now: Timestamp) -> Vec<Effect> {
    let mut by_ci: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut by_workspace: BTreeMap<&Name, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| in_flight(row.stage) || state.busy.contains(&row.id)) {
        *by_ci.entry(&row.ci).or_default() += 1;
        *by_workspace.entry(&row.workspace).or_default() += 1;
    }
    let mut queued: Vec<&Row> = rows
        .iter()
        .filter(|row| {
            row.stage == Stage::Queued
                && !row.cancel_wanted
                && !state.busy.contains(&row.id)
                && !row.not_before.is_some_and(|time| still_ahead(time, now))
        })
        .collect();
    queued.sort_by_key(|row| (row.priority, row.queued_at, row.id));
    let mut turn: BTreeMap<(Priority, &Name), usize> = BTreeMap::new();
    let mut ordered: Vec<(Priority, usize, Timestamp, RequestId, &Row)> = queued
        .into_iter()
        .map(|row| {
            let turn = turn.entry((row.priority, &row.workspace)).or_default();
            *turn += 1;
            (row.priority, *turn, row.queued_at, row.id, row)
        })
        .collect();
    ordered.sort_by_key(|(priority, turn, queued_at, id, _)| (*priority, *turn, *queued_at, *id));
    let mut effects = Vec::new();
    for (.., row) in ordered {
        let Some(ci) = limits.ci.get(&row.ci) else { continue };
        let of_ci = by_ci.entry(&row.ci).or_default();
        let of_workspace = by_workspace.entry(&row.workspace).or_default();
        let allowed = limits.workspaces.get(&row.workspace).copied().unwrap_or(1);
        if *of_ci < ci.max_in_flight && *of_workspace < allowed {
            *of_ci += 1;
            *of_workspace += 1;
            effects.push(Effect::Send(row.id));
        }
    }
    effects
}

/// What a CI said about a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was asked, answered wholly, and does not know it.
    Never,
    /// It took it, but nothing in it makes a build of it so far.
    Taken,
    /// A build of it waits for its turn.
    Waiting,
    /// It builds it.
    Running,
    /// It ended.
    Ended(Verdict),
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    Stay,
    /// Queued again: it was surely not taken.
    Queued,
    /// Taken.
    Sent,
    /// Being built.
    Running,
    /// Ended.
    Ended(Verdict, Option<String>),
    /// It ended because it was no longer wanted; the fingerprint is not spent.
    Dropped,
}

/// What an answer means for a row that is [`State::overdue`] or not.
pub fn heard(row: &Row, said: &Said, ci: &CiLimits, overdue: bool) -> Mark {
    match (row.stage, said) {
        (Stage::Sending, Said::Never) if row.cancel_wanted => Mark::Dropped,
        (Stage::Sending, Said::Never) => Mark::Queued,
        (Stage::Sending, Said::Taken | Said::Waiting) => Mark::Sent,
        (Stage::Sent | Stage::Running, Said::Never) if row.cancel_wanted => Mark::Dropped,
        (Stage::Sent, Said::Never) if overdue => Mark::Ended(
            Verdict::Lost,
            Some(format!("the CI took it and does not know it after {}", ci.lost_after)),
        ),
        (Stage::Running, Said::Never) => {
            Mark::Ended(Verdict::Lost, Some("the CI no longer knows it".to_owned()))
        }
        (Stage::Sent, Said::Taken) if overdue => Mark::Ended(
            Verdict::Lost,
            Some(format!("the CI took it and scheduled no build within {}", ci.lost_after)),
        ),
        (Stage::Sending | Stage::Sent, Said::Running) => Mark::Running,
        (_, Said::Ended(Verdict::Cancelled | Verdict::Lost)) if row.cancel_wanted => Mark::Dropped,
        (Stage::Sending | Stage::Sent | Stage::Running, Said::Ended(verdict)) => {
            Mark::Ended(*verdict, None)
        }
        _ => Mark::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let ci = CiLimits {
            max_in_flight: 2,
            deadline: Span::seconds(30),
            poll: Span::seconds(5),
            can_be_asked: true,
            lost_after: Span::minutes(10),
        };
        Limits {
            ci: BTreeMap::from([(Name::from("ci"), ci)]),
            workspaces: BTreeMap::from([(Name::from("a"), 4), (Name::from("b"), 4)]),
        }
    }

    fn row(id: u8, workspace: &str, stage: Stage) -> Row {
        Row {
            id: RequestId([id; 16]),
            ci: Name::from("ci"),
            workspace: Name::from(workspace),
            stage,
            priority: Priority::Recent,
            queued_at: Timestamp(i64::from(id)),
            not_before: None,
            sending_deadline: None,
            taken_at: None,
            cancel_wanted: false,
        }
    }

    #[test]
    fn workspaces_take_turns_within_the_limit() {
        let mut state = State::default();
        let rows: Vec<Row> = vec![
            row(1, "a", Stage::Queued),
            row(2, "a", Stage::Queued),
            row(3, "b", Stage::Queued),
        ];
        let effects =
            step(&mut state, Event::Rows(rows.clone()), &limits(), Timestamp(10), Span(10));
        let ids: Vec<Effect> = [1, 3].map(|n| Effect::Send(RequestId([n; 16]))).into();
        assert_eq!(effects, ids);
        assert!(
            step(&mut state, Event::Rows(rows), &limits(), Timestamp(11), Span(11)).is_empty(),
            "busy"
        );
    }

    #[test]
    fn a_row_found_sending_is_asked_for_only_when_the_old_request_is_over() {
        let mut found = row(1, "a", Stage::Sending);
        found.sending_deadline = Some(Timestamp(20_000));
        let mut state = State::default();
        let mut at = |time: u64| {
            let rows = Event::Rows(vec![found.clone()]);
            step(&mut state, rows, &limits(), Timestamp(time.cast_signed()), Span(time))
        };
        assert!(at(1_000).is_empty());
        assert!(at(24_999).is_empty());
        let later = at(25_000);
        assert_eq!(later, vec![Effect::Ask(found.id)]);
        let ci = limits().ci.get("ci").copied().expect("the CI");
        assert_eq!(heard(&found, &Said::Never, &ci, false), Mark::Queued);
        assert_eq!(heard(&found, &Said::Taken, &ci, false), Mark::Sent);
    }

    #[test]
    fn a_taken_row_without_a_build_is_lost_in_time_and_a_superseded_one_spends_nothing() {
        let ci = limits().ci.get("ci").copied().expect("the CI");
        let mut sent = row(1, "a", Stage::Sent);
        assert_eq!(heard(&sent, &Said::Taken, &ci, false), Mark::Stay);
        let lost = heard(&sent, &Said::Taken, &ci, true);
        assert!(matches!(lost, Mark::Ended(Verdict::Lost, Some(_))));
        sent.cancel_wanted = true;
        let said = Said::Ended(Verdict::Cancelled);
        assert_eq!(heard(&sent, &said, &ci, false), Mark::Dropped);
        let finished = Said::Ended(Verdict::Success);
        assert_eq!(heard(&sent, &finished, &ci, false), Mark::Ended(Verdict::Success, None));
    }

    #[test]
    fn a_clock_that_jumps_ends_no_wait_and_makes_none_endless() {
        let limits = limits();
        let ci = limits.ci.get("ci").copied().expect("the CI");
        let start = Timestamp(1_790_000_000_000);
        let look = |state: &mut State, row: &Row, now, passed| {
            step(state, Event::Rows(vec![row.clone()]), &limits, now, Span::seconds(passed))
        };
        let done = |state: &mut State, row: &Row, passed| {
            step(state, Event::Done(row.id), &limits, start, Span::seconds(passed));
        };
        let sent = row(1, "a", Stage::Sent);
        let mut state = State::default();
        for jump in [start, start + Span::days(1), start] {
            look(&mut state, &sent, jump, 0);
            assert!(!state.overdue(&sent.id, &ci), "{jump}");
        }
        look(&mut state, &sent, start + Span::days(1), 599);
        assert!(!state.overdue(&sent.id, &ci), "a second is left");
        look(&mut state, &sent, start - Span::days(1), 600);
        assert!(state.overdue(&sent.id, &ci), "ten minutes passed");

        let mut sending = row(1, "a", Stage::Sending);
        sending.sending_deadline = Some(start + Span::days(1));
        let mut state = State::default();
        assert!(look(&mut state, &sending, start, 0).is_empty(), "it may still arrive");
        let asked = look(&mut state, &sending, start + Span::seconds(35), 35);
        assert_eq!(asked, vec![Effect::Ask(sending.id)], "no request is on its way for a day");
        done(&mut state, &sending, 36);
        assert!(
            look(&mut state, &sending, start - Span::days(1), 36).is_empty(),
            "it was just asked"
        );
        let again = look(&mut state, &sending, start - Span::days(1), 41);
        assert_eq!(again, vec![Effect::Ask(sending.id)]);

        let resent = row(1, "a", Stage::Queued);
        let later = start - Span::days(1) + Span::seconds(20);
        done(&mut state, &sending, 50);
        assert_eq!(look(&mut state, &resent, later, 50), vec![Effect::Send(resent.id)]);
        done(&mut state, &sending, 50);
        sending.sending_deadline = Some(later + Span::seconds(30));
        let next = later + Span::seconds(10);
        assert!(
            look(&mut state, &sending, next, 60).is_empty(),
            "the new request may still arrive"
        );

        let mut queued = row(1, "a", Stage::Queued);
        queued.not_before = Some(start + Span::minutes(5));
        assert!(look(&mut State::default(), &queued, start, 0).is_empty());
        let back = look(&mut State::default(), &queued, start - Span::days(1), 0);
        assert_eq!(back, vec![Effect::Send(queued.id)]);
    }
}
