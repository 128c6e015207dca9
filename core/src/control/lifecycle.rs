//! The life of one workspace. `docs/lifecycle.md` draws it and says what each state means.
//!
//! ```text
//! absent ──► bootstrapping ──► updating ◄──► ready ──► rebootstrapping ──► ready
//!                 │                │                          │
//!                 ▼                ▼                          ▼
//!              failed ◄────────────┴──────────────────────────┘   fenced ──► failed
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backoff::delay;
use super::slots::Priority;
use crate::model::identity::Oid;
use crate::model::ledger_view::Look;
use crate::model::run::RunKind;
use crate::model::time::{Span, Timestamp};

#[cfg(test)]
mod tests;

const FIRST_RETRY: Span = Span::seconds(30);
const LONGEST_RETRY: Span = Span::minutes(30);
/// A silence limit that was reached again and again grows to this.
const LONGEST_SILENCE: Span = Span::hours(3);

/// What the heads looked like that an update ran for.
pub type Inputs = Vec<(Look, Oid)>;

/// What a workspace's life goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Spreads its delays from those of others.
    pub key: &'a str,
    /// After so many failed updates in a row it is bootstrapped anew; 0 for never.
    pub rebootstrap_after: u32,
}

/// Where a workspace is. Kept over restarts, but for what was running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The bootstrap succeeded once.
    pub bootstrapped: bool,
    /// What the last successful update ran for.
    pub inputs: Option<Inputs>,
    /// Failures in a row.
    pub failures: u32,
    /// Failed updates in a row in the present directory.
    pub updates_failed: u32,
    /// Not before this time again after a failure.
    pub not_before: Option<Timestamp>,
    /// Somebody asked for an update.
    pub asked: bool,
    /// Somebody asked for a fresh directory.
    pub fresh: bool,
    /// Processes live on in its directory that could not be killed.
    pub fenced: bool,
    /// How often in a row each command was ended by its silence.
    pub silenced: BTreeMap<RunKind, u32>,
    #[serde(skip)]
    running: Option<Running>,
    #[serde(skip)]
    waiting: Option<Priority>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    step: Step,
    /// In a fresh directory, while the old one stands aside.
    fresh: bool,
    inputs: Inputs,
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
    /// The command that it runs.
    pub fn kind(self) -> RunKind {
        match self {
            Self::Bootstrap => RunKind::Bootstrap,
            Self::Update => RunKind::Update,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        self.kind().word()
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
    Ended(End),
    /// A person wants an update, or a fresh workspace.
    Ordered {
        /// Start from an empty directory.
        fresh: bool,
    },
    /// The directory is no longer there, or is none.
    Gone,
    /// No process is left in a fenced directory.
    Unfenced,
    /// Time passed.
    Tick(Option<Inputs>),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It did what it is there for.
    Succeeded,
    /// It did not.
    Failed,
    /// This command wrote nothing for too long.
    Silent(RunKind),
    /// All went well, but the manifest is not believed before a second run agrees.
    Suspected,
    /// Processes of it live on.
    Unkillable,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask for a slot.
    Request(Priority),
    /// Give the slot back.
    Release,
    /// Put the directory aside; what was put aside is kept until [`Effect::KeepNew`].
    SetAside,
    /// Run this step.
    Run(Step),
    /// Put back what was put aside, if anything was, in place of what is there.
    PutBack,
    /// Remove what was put aside: the new directory works.
    KeepNew,
}

/// The state, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing is there yet.
    Absent,
    /// The first directory is made.
    Bootstrapping,
    /// Nothing is to be done.
    Ready,
    /// An update runs.
    Updating,
    /// A fresh directory is made while the old one is kept.
    Rebootstrapping,
    /// The last attempt failed; the next one waits.
    Failed,
    /// Nothing may touch the directory until processes in it are gone.
    Fenced,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Bootstrapping => "bootstrapping",
            Self::Ready => "ready",
            Self::Updating => "updating",
            Self::Rebootstrapping => "rebootstrapping",
            Self::Failed => "failed",
            Self::Fenced => "fenced",
        }
    }

    /// What may follow. This is the diagram of `docs/lifecycle.md`; a test holds every step to it.
    pub fn next(self) -> &'static [Self] {
        use Phase::{Absent, Bootstrapping, Failed, Fenced, Ready, Rebootstrapping, Updating};
        match self {
            // After a restart between bootstrap and update only the update is left to do.
            Self::Absent => &[Bootstrapping, Updating, Rebootstrapping],
            Self::Bootstrapping => &[Updating, Failed, Fenced],
            Self::Updating | Self::Rebootstrapping => &[Ready, Failed, Fenced],
            Self::Ready => &[Updating, Rebootstrapping, Absent],
            Self::Failed => &[Bootstrapping, Updating, Rebootstrapping],
            Self::Fenced => &[Failed],
        }
    }
}

impl State {
    /// What the running step runs for.
    pub fn running_inputs(&self) -> Option<&Inputs> {
        self.running.as_ref().map(|running| &running.inputs)
    }

    /// Whether a step runs in a fresh directory while the old one stands aside.
    pub fn in_fresh(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.fresh)
    }
}

/// Advances the workspace.
pub fn step(state: &mut State, event: Event, rules: &Rules<'_>, now: Timestamp) -> Vec<Effect> {
    match event {
        Event::Inputs(inputs) | Event::Tick(inputs) => request(state, inputs.as_ref(), now),
        Event::Ordered { fresh } => {
            state.asked = true;
            state.fresh = fresh;
            state.not_before = None;
            request(state, None, now)
        }
        Event::Gone => {
            if state.running.is_none() {
                state.bootstrapped = false;
            }
            Vec::new()
        }
        Event::Unfenced => {
            let was = std::mem::take(&mut state.fenced);
            if was && state.running.is_none() { vec![Effect::PutBack] } else { Vec::new() }
        }
        Event::Granted(inputs) => granted(state, inputs, rules),
        Event::Ended(end) => ended(state, end, rules, now),
    }
}

/// Where it is.
pub fn phase(state: &State) -> Phase {
    match &state.running {
        Some(Running { fresh: true, .. }) => Phase::Rebootstrapping,
        Some(Running { step: Step::Bootstrap, .. }) => Phase::Bootstrapping,
        Some(Running { step: Step::Update, .. }) => Phase::Updating,
        None if state.fenced => Phase::Fenced,
        None if state.failures > 0 => Phase::Failed,
        None if state.bootstrapped && state.inputs.is_some() => Phase::Ready,
        None => Phase::Absent,
    }
}

/// Whether an update is running or wanted, so that the mainline waits for it.
pub fn pending(state: &State, inputs: Option<&Inputs>) -> bool {
    state.running.is_some() || state.waiting.is_some() || wants(state, inputs)
}

/// Whether what the heads look like could make a difference now. Finding out costs something, and many
/// workspaces ask after every pass.
pub fn asks_for_inputs(state: &State) -> bool {
    let settled = state.bootstrapped && state.failures == 0 && state.inputs.is_some();
    let may_rise = state.waiting.is_none_or(|asked| asked < Priority::Waited);
    settled && may_rise && state.running.is_none() && !state.fenced
}

/// When it is tried again by itself.
pub fn next_at(state: &State) -> Option<Timestamp> {
    if state.running.is_some() { None } else { state.not_before }
}

/// How long a command may be silent the next time that it runs: the configured time, doubled from the
/// second time in a row on that it was ended by it.
pub fn silence(state: &State, kind: RunKind, configured: Span) -> Span {
    let times = state.silenced.get(&kind).copied().unwrap_or(0);
    let factor = 1_u64 << times.saturating_sub(1).min(20);
    configured.times(factor).min(LONGEST_SILENCE.max(configured))
}

fn wants(state: &State, inputs: Option<&Inputs>) -> bool {
    state.asked
        || state.fresh
        || !state.bootstrapped
        || state.failures > 0
        || state.inputs.is_none()
        || moved(state, inputs)
}

/// What could not be read triggers nothing.
fn moved(state: &State, inputs: Option<&Inputs>) -> bool {
    inputs.is_some_and(|now| state.inputs.as_ref().is_some_and(|before| before != now))
}

fn priority(state: &State, inputs: Option<&Inputs>) -> Priority {
    if state.asked {
        Priority::Person
    } else if state.failures == 0 && state.bootstrapped && moved(state, inputs) {
        Priority::Waited
    } else {
        Priority::Usual
    }
}

fn request(state: &mut State, inputs: Option<&Inputs>, now: Timestamp) -> Vec<Effect> {
    // A time further ahead than any delay was written by a clock that was put back since.
    let ahead = |time: Timestamp| now < time && time.since(now) <= LONGEST_RETRY.times(2);
    let early = state.not_before.is_some_and(ahead);
    if state.running.is_some() || state.fenced || early || !wants(state, inputs) {
        return Vec::new();
    }
    let priority = priority(state, inputs);
    if state.waiting.is_some_and(|asked| asked >= priority) {
        return Vec::new();
    }
    state.waiting = Some(priority);
    vec![Effect::Request(priority)]
}

fn granted(state: &mut State, inputs: Option<Inputs>, rules: &Rules<'_>) -> Vec<Effect> {
    if state.running.is_some() {
        return Vec::new();
    }
    state.waiting = None;
    if state.fenced || !wants(state, inputs.as_ref()) {
        return vec![Effect::Release];
    }
    let worn = rules.rebootstrap_after > 0 && state.updates_failed >= rules.rebootstrap_after;
    let fresh = state.bootstrapped && (state.fresh || worn);
    let step = if fresh || !state.bootstrapped { Step::Bootstrap } else { Step::Update };
    state.running = Some(Running { step, fresh, inputs: inputs.unwrap_or_default() });
    if fresh { vec![Effect::SetAside, Effect::Run(step)] } else { vec![Effect::Run(step)] }
}

fn ended(state: &mut State, end: End, rules: &Rules<'_>, now: Timestamp) -> Vec<Effect> {
    let Some(Running { step, fresh, inputs }) = state.running.take() else { return Vec::new() };
    count_silence(state, step, end);
    if end == End::Succeeded {
        return succeeded(state, step, fresh, inputs);
    }
    // An order is one attempt; only a fresh directory stays wanted until there is one.
    state.asked = false;
    state.failures = state.failures.saturating_add(1);
    state.not_before = Some(now + delay(FIRST_RETRY, LONGEST_RETRY, state.failures, rules.key));
    state.fenced = end == End::Unkillable;
    match (fresh, step) {
        // Agreement is a question of the next run in the same kind of directory.
        _ if end == End::Suspected => {}
        // The old directory gets as many chances again as it had.
        (true, _) => state.updates_failed = 0,
        (false, Step::Update) => state.updates_failed = state.updates_failed.saturating_add(1),
        (false, Step::Bootstrap) => {}
    }
    if fresh && !state.fenced {
        vec![Effect::PutBack, Effect::Release]
    } else {
        vec![Effect::Release]
    }
}

fn succeeded(state: &mut State, step: Step, fresh: bool, inputs: Inputs) -> Vec<Effect> {
    match step {
        Step::Bootstrap => {
            state.bootstrapped = true;
            state.running = Some(Running { step: Step::Update, fresh, inputs });
            vec![Effect::Run(Step::Update)]
        }
        Step::Update => {
            state.failures = 0;
            state.updates_failed = 0;
            state.not_before = None;
            state.asked = false;
            state.fresh = false;
            state.inputs = Some(inputs);
            if fresh { vec![Effect::KeepNew, Effect::Release] } else { vec![Effect::Release] }
        }
    }
}

fn count_silence(state: &mut State, step: Step, end: End) {
    match end {
        End::Silent(kind) => {
            let times = state.silenced.entry(kind).or_default();
            *times = times.saturating_add(1);
        }
        End::Succeeded | End::Suspected => {
            state.silenced.remove(&step.kind());
            if step == Step::Update {
                state.silenced.remove(&RunKind::Manifest);
            }
        }
        // Another failure breaks a row of one; what was granted for longer is kept until a success.
        End::Failed | End::Unkillable => {
            state.silenced.retain(|kind, times| *kind != step.kind() || *times > 1);
        }
    }
}
