//! The slots that bootstraps and updates share.

use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::control::slots::{self, Effect, Event};
use crosswatch_core::model::identity::Name;
use tokio::sync::watch;

use crate::clock::Clock;

/// Carries out what [`slots::step`] grants.
#[derive(Clone, Debug)]
pub struct Slots {
    state: Arc<Mutex<slots::State>>,
    granted: watch::Sender<u64>,
    running: Arc<Mutex<std::collections::BTreeSet<Name>>>,
    clock: Clock,
}

impl Slots {
    /// No slot is taken.
    pub fn new(clock: Clock) -> Self {
        Self {
            state: Arc::default(),
            granted: watch::Sender::new(0),
            running: Arc::default(),
            clock,
        }
    }

    /// Advances the slots and tells those that were granted one.
    pub fn send(&self, event: Event, at_most: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Release(name) = &event {
            running.remove(name);
        }
        for Effect::Grant(name) in slots::step(&mut state, event, at_most, self.clock.now()) {
            running.insert(name);
        }
        drop(running);
        self.granted.send_modify(|count| *count += 1);
    }

    /// Changes whenever slots were given or taken.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.granted.subscribe()
    }

    /// Whether the workspace has a slot.
    pub fn has(&self, name: &Name) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}
