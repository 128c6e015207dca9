//! The life of one workspace.
//!
//! ```text
//! absent ──► bootstrapping ──► ready ◄──► updating
//!                │  ▲                        │
//!                ▼  │ later                  ▼ later
//!              failed                     failed
//! ```

use serde::{Deserialize, Serialize};

use super::backoff::delay;
use crate::model::identity::Oid;
use crate::model::ledger_view::Look;
use crate::model::time::{Span, Timestamp};

const FIRST_RETRY: Span = Span::seconds(30);
const LONGEST_RETRY: Span = Span::minutes(30);

/// What the heads looked like that an update ran for.
pub type Inputs = Vec<(Look, Oid)>;

/// Where a workspace is. Kept over restarts, but for what was running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The bootstrap succeeded once.
    pub bootstrapped: bool,
    /// What the last successful update ran for.
    pub inputs: Option<Inputs>,
    /// Failures in a row.
    pub failures: u32,
    /// Not before this time again after a failure.
    pub not_before: Option<Timestamp>,
    /// Somebody asked for an update.
    pub asked: bool,
    #[serde(skip)]
    running: Option<(Step, Inputs)>,
    #[serde(skip)]
    waiting: bool,
}

/// One subprocess of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Makes it in an empty directory; an update follows.
    Bootstrap,
    /// Brings it up to date; the manifest is read after it.
    Update,
}

impl Step {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Update => "update",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The heads that the update depends on are these now; `None` while they are not known.
    Inputs(Option<Inputs>),
    /// A slot was granted.
    Granted(Option<Inputs>),
    /// The running step ended; an update counts as ended when its manifest was read.
    Ended {
        /// Whether it succeeded.
        succeeded: bool,
    },
    /// A person wants an update, or a fresh workspace.
    Ordered {
        /// Start from an empty directory.
        fresh: bool,
    },
    /// Time passed.
    Tick(Option<Inputs>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask for a slot.
    Request,
    /// Give the slot back.
    Release,
    /// Run this step.
    Run(Step),
}

impl State {
    /// What the running step runs for.
    pub fn running_inputs(&self) -> Option<&Inputs> {
        self.running.as_ref().map(|(_, inputs)| inputs)
    }
}

/// Advances the workspace.
pub fn step(state: &mut State, event: Event, key: &str, now: Timestamp) -> Vec<Effect> {
    match event {
        Event::Inputs(inputs) | Event::Tick(inputs) => request(state, inputs.as_ref(), now),
        Event::Ordered { fresh } => {
            state.asked = true;
            state.not_before = None;
            if fresh {
                state.bootstrapped = false;
            }
            request(state, None, now)
        }
        Event::Granted(inputs) => {
            state.waiting = false;
            let next = if state.bootstrapped { Step::Update } else { Step::Bootstrap };
            state.running = Some((next, inputs.unwrap_or_default()));
            state.asked = false;
            vec![Effect::Run(next)]
        }
        Event::Ended { succeeded } => ended(state, succeeded, key, now),
    }
}

/// The word for a workspace with nothing to do.
pub const READY: &str = "ready";

/// The word for where it is, for people.
pub fn phase(state: &State) -> &'static str {
    match (&state.running, state.failures, state.bootstrapped) {
        (Some((Step::Bootstrap, _)), ..) => "bootstrapping",
        (Some((Step::Update, _)), ..) => "updating",
        (None, failures, _) if failures > 0 => "failed",
        (None, _, true) if state.inputs.is_some() => READY,
        _ => "absent",
    }
}

/// Whether an update is running or wanted, so that the mainline waits for it.
pub fn pending(state: &State, inputs: Option<&Inputs>) -> bool {
    state.running.is_some() || wants(state, inputs)
}

/// When it is tried again by itself.
pub fn next_at(state: &State) -> Option<Timestamp> {
    if state.running.is_some() { None } else { state.not_before }
}

fn wants(state: &State, inputs: Option<&Inputs>) -> bool {
    if state.asked || !state.bootstrapped || state.failures > 0 {
        return true;
    }
    match (&state.inputs, inputs) {
        (None, _) => true,
        (Some(before), Some(now)) => before != now,
        // What could not be read triggers nothing.
        (Some(_), None) => false,
    }
}

fn request(state: &mut State, inputs: Option<&Inputs>, now: Timestamp) -> Vec<Effect> {
    let early = state.not_before.is_some_and(|time| now < time);
    if state.running.is_some() || state.waiting || early || !wants(state, inputs) {
        return Vec::new();
    }
    state.waiting = true;
    vec![Effect::Request]
}

fn ended(state: &mut State, succeeded: bool, key: &str, now: Timestamp) -> Vec<Effect> {
    let Some((step, inputs)) = state.running.take() else { return Vec::new() };
    if !succeeded {
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(now + delay(FIRST_RETRY, LONGEST_RETRY, state.failures, key));
        return vec![Effect::Release];
    }
    match step {
        Step::Bootstrap => {
            state.bootstrapped = true;
            state.running = Some((Step::Update, inputs));
            vec![Effect::Run(Step::Update)]
        }
        Step::Update => {
            state.failures = 0;
            state.not_before = None;
            state.inputs = Some(inputs);
            vec![Effect::Release]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(state: &mut State, event: Event, at: i64) -> Vec<Effect> {
        step(state, event, "w", Timestamp(at))
    }

    #[test]
    fn a_workspace_is_bootstrapped_once_and_updated_when_its_inputs_move() {
        let mut state = State::default();
        assert_eq!(go(&mut state, Event::Tick(None), 0), vec![Effect::Request]);
        assert_eq!(go(&mut state, Event::Granted(None), 1), vec![Effect::Run(Step::Bootstrap)]);
        let ended = Event::Ended { succeeded: true };
        assert_eq!(go(&mut state, ended.clone(), 2), vec![Effect::Run(Step::Update)]);
        assert_eq!(go(&mut state, ended, 3), vec![Effect::Release]);
        assert_eq!(phase(&state), "ready");
        assert!(go(&mut state, Event::Tick(None), 4).is_empty(), "unread inputs trigger nothing");
        assert!(go(&mut state, Event::Inputs(Some(Vec::new())), 5).is_empty());
    }

    #[test]
    fn failures_wait_longer_and_longer_and_a_person_skips_the_wait() {
        let mut state = State::default();
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..3 {
            assert_eq!(go(&mut state, Event::Tick(None), now), vec![Effect::Request]);
            go(&mut state, Event::Granted(None), now);
            assert_eq!(
                go(&mut state, Event::Ended { succeeded: false }, now),
                vec![Effect::Release]
            );
            let until = state.not_before.expect("a time to try again").0;
            waits.push(until - now);
            assert!(go(&mut state, Event::Tick(None), until - 1).is_empty());
            now = until;
        }
        assert!(waits.is_sorted(), "{waits:?}");
        go(&mut state, Event::Tick(None), now);
        go(&mut state, Event::Granted(None), now);
        go(&mut state, Event::Ended { succeeded: false }, now);
        assert_eq!(go(&mut state, Event::Ordered { fresh: false }, now), vec![Effect::Request]);
    }
}
