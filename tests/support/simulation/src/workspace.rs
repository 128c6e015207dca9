//! One workspace of the simulated daemon: its life cycle, its directory, and what its tool leaves.

use std::sync::Arc;

use crosswatch_core::control::lifecycle::{self, Effect, End, Event, Step};
use crosswatch_core::control::slots;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::run::RunKind;
use crosswatch_core::model::snapshot::{Updated, WorkspacePart};
use crosswatch_core::model::time::{Span, Timestamp};

use crate::Failure;
use crate::random::Random;
use crate::world::World;

/// After so long a step that hangs is killed.
const TIMEOUT: Span = Span::minutes(40);

/// What a crash leaves of a workspace.
#[derive(Clone)]
pub struct Kept {
    /// Where its life is; what runs is not written down.
    pub life: lifecycle::State,
    /// What the planner sees.
    pub part: WorkspacePart,
    /// Its directory, and whether an update succeeded there.
    here: Option<bool>,
    /// The directory that stands aside while a fresh one is made.
    aside: Option<bool>,
    /// An update succeeded once.
    updated_once: bool,
}

impl Kept {
    /// A workspace that is new in the configuration.
    pub fn new(name: Name, now: Timestamp) -> Self {
        let part = WorkspacePart {
            name,
            manifest: Observed::not_read_yet(now),
            updated: None,
            failure: None,
            pending: true,
        };
        let life = lifecycle::State::default();
        Self { life, part, here: None, aside: None, updated_once: false }
    }

    /// As a daemon finds it that starts: a fresh directory that was not finished is put away.
    pub fn restarted(mut self) -> Self {
        let written = serde_json::to_string(&self.life).expect("JSON");
        self.life = serde_json::from_str(&written).expect("JSON");
        if let Some(aside) = self.aside.take() {
            self.here = Some(aside);
        }
        self
    }

    /// A workspace that worked once is never without a directory that does.
    pub fn check(&self) -> Result<(), Failure> {
        let works = self.here == Some(true) || self.aside == Some(true);
        if self.updated_once && !works {
            return Err(Failure(format!("{}: its working directory is gone", self.part.name)));
        }
        Ok(())
    }
}

/// A step that runs.
pub struct Running {
    step: Step,
    /// When it is killed, by true time.
    killed_at: Timestamp,
    hangs: bool,
}

/// What a workspace's task sees.
pub struct Outside<'a> {
    pub random: &'a mut Random,
    pub world: &'a World,
    pub slots: &'a mut slots::State,
    pub faults: bool,
    /// By the machine's clock, which may jump.
    pub now: Timestamp,
    /// By true time.
    pub truly: Timestamp,
}

/// Lets its step end, perhaps, and carries out what its life cycle says. Gives the names of those that
/// were granted a slot.
pub fn advance(
    id: &Name,
    kept: &mut Kept,
    running: &mut Option<Running>,
    inputs: &dyn Fn() -> Option<lifecycle::Inputs>,
    event: Option<Event>,
    outside: &mut Outside<'_>,
) -> Vec<Name> {
    let mut events = vec![Event::Tick(inputs())];
    events.extend(event);
    events.extend(ended(id, kept, running, outside));
    if kept.life.fenced && outside.random.once_in(if outside.faults { 6 } else { 1 }) {
        events.push(Event::Unfenced);
    }
    let mut granted = Vec::new();
    while let Some(event) = events.pop() {
        let rules = lifecycle::Rules { key: id, rebootstrap_after: 3 };
        for effect in lifecycle::step(&mut kept.life, event, &rules, outside.now) {
            let event = match effect {
                Effect::Request(priority) => slots::Event::Request(id.clone(), priority),
                Effect::Release => slots::Event::Release(id.clone()),
                Effect::Run(step) => {
                    let hangs = outside.faults && outside.random.once_in(12);
                    let killed_at = outside.truly + TIMEOUT;
                    if step == Step::Bootstrap {
                        kept.here = None;
                    }
                    *running = Some(Running { step, killed_at, hangs });
                    continue;
                }
                Effect::SetAside => {
                    kept.aside = kept.here.take();
                    continue;
                }
                Effect::PutBack => {
                    kept.here = kept.aside.take().or(kept.here);
                    continue;
                }
                Effect::KeepNew => {
                    kept.aside = None;
                    continue;
                }
            };
            let room = slots::Room { at_most: 1, overloaded: false };
            for slots::Effect::Grant(name) in slots::step(outside.slots, event, room, outside.now) {
                if name == *id {
                    events.push(Event::Granted(inputs()));
                } else {
                    granted.push(name);
                }
            }
        }
    }
    kept.part.pending = lifecycle::pending(&kept.life, inputs().as_ref());
    granted
}

fn ended(
    id: &Name,
    kept: &mut Kept,
    running: &mut Option<Running>,
    outside: &mut Outside<'_>,
) -> Option<Event> {
    let random = &mut *outside.random;
    let one = running.as_ref()?;
    let killed = one.hangs && outside.truly >= one.killed_at;
    if !killed && (one.hangs || !random.once_in(3)) {
        return None;
    }
    let step = one.step;
    *running = None;
    let end = match random.below(12) {
        _ if killed => End::Silent(RunKind::Update),
        _ if !outside.faults => End::Succeeded,
        0..3 => End::Failed,
        3 if random.once_in(3) => End::Unkillable,
        4 if step == Step::Update => End::Suspected,
        _ => End::Succeeded,
    };
    match (end, step) {
        (End::Succeeded, Step::Bootstrap) => kept.here = Some(false),
        (End::Succeeded, Step::Update) => {
            kept.here = Some(true);
            kept.updated_once = true;
            let inputs = kept.life.running_inputs().cloned().unwrap_or_default();
            let manifest = Observed::known(outside.world.manifest(id));
            kept.part.manifest = kept.part.manifest.replaced_by(manifest);
            kept.part.updated = Some(Updated { checkouts: outside.world.checkouts(id), inputs });
        }
        _ => {}
    }
    kept.part.failure = (end != End::Succeeded).then(|| "it broke".to_owned());
    Some(Event::Ended(end))
}

/// The part as the snapshot has it; an equal one keeps its pointer.
pub fn shared(before: Option<&Arc<WorkspacePart>>, kept: &Kept) -> Arc<WorkspacePart> {
    match before {
        Some(before) if **before == kept.part => Arc::clone(before),
        _ => Arc::new(kept.part.clone()),
    }
}
