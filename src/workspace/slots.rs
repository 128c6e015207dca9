//! The slots that bootstraps and updates share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::control::slots::{self, Effect, Event, Room};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::Settings;
use crosswatch_core::model::time::Span;
use tokio::sync::{OwnedMutexGuard, watch};

use crate::board::World;
use crate::clock::Clock;

/// How often a load that was too high is looked at again.
const LOOK: Span = Span::seconds(5);

/// Carries out what [`slots::step`] grants.
#[derive(Clone, Debug)]
pub struct Slots {
    state: Arc<Mutex<Both>>,
    granted: watch::Sender<u64>,
    folders: Arc<Mutex<BTreeMap<Name, Arc<tokio::sync::Mutex<()>>>>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Both {
    slots: slots::State,
    running: BTreeSet<Name>,
}

impl Slots {
    /// No slot is taken.
    pub fn new(clock: Clock) -> Self {
        let granted = watch::Sender::new(0);
        Self { state: Arc::default(), granted, folders: Arc::default(), clock }
    }

    /// Advances the slots and tells those that were granted one.
    pub fn send(&self, event: Event, settings: &Settings) {
        let overloaded = settings.max_load.is_some_and(|most| load() > f64::from(most));
        let room = Room { at_most: settings.max_updates, overloaded };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Release(name) = &event {
            state.running.remove(name);
        }
        let granted = slots::step(&mut state.slots, event, room, self.clock.now());
        let any = !granted.is_empty();
        state.running.extend(granted.into_iter().map(|Effect::Grant(name)| name));
        drop(state);
        if any {
            self.granted.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Changes whenever a slot was granted.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.granted.subscribe()
    }

    /// Whether the workspace has a slot.
    pub fn has(&self, name: &Name) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).running.contains(name)
    }

    /// Waits until nobody else of this daemon is at work in the workspace's folder. Whoever has a slot
    /// and waits here waits for somebody who has one too.
    pub(super) async fn alone(&self, name: &Name) -> OwnedMutexGuard<()> {
        let folder = {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(folders.entry(name.clone()).or_default())
        };
        folder.lock_owned().await
    }

    /// Looks at the load again and again while somebody waits for it to sink.
    pub async fn watch_load(self, world: World) {
        loop {
            tokio::time::sleep(LOOK.to_std()).await;
            let settings = world.settings();
            let awaited = || {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.slots.awaited()
            };
            if settings.max_load.is_some() && awaited() {
                self.send(Event::Tick, &settings);
            }
        }
    }
}

/// The kernel's load average of the last minute; nothing is held back where it cannot be read.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}
