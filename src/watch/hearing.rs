//! What was announced of watched repositories, and whether it is seen.

use std::collections::BTreeMap;

use crosswatch_core::control::hints::{self, Effect, Event};
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::observed::Purpose;
use crosswatch_core::model::settings::ForgeKind;
use crosswatch_core::model::time::{Span, Timestamp};

use super::{Announcement, SeenAs};
use crate::board::{Board, World};

/// What moves is announced within this time, if it is.
const PROMPT: Span = Span::minutes(2);

/// How long it is said that something moved without being announced.
const KEPT: Span = Span::days(1);

/// Repositories that are shown as having moved without being announced.
const SHOWN: usize = 100;

/// Announcements of repositories.
pub(super) struct Hearing {
    state: hints::State,
    told: BTreeMap<RepositoryId, Timestamp>,
    world: World,
    board: Board,
}

impl Hearing {
    pub(super) fn new(world: World, board: Board) -> Self {
        Self { state: hints::State::default(), told: BTreeMap::new(), world, board }
    }

    /// When something is to be read again.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        hints::next_at(&self.state)
    }

    /// Others are watched now.
    pub(super) fn keep(&mut self, watched: impl Fn(&RepositoryId) -> bool) {
        hints::keep(&mut self.state, &watched);
        self.told.retain(|id, _| watched(id));
    }

    /// Watched repositories that an announcement is about: by the forge's own id, which a rename leaves
    /// alone, and by path. Of one that nobody watches there is none, and nothing is asked.
    pub(super) fn heard(
        &mut self,
        Announcement { forge, moved, missed }: Announcement,
        seen: &BTreeMap<RepositoryId, SeenAs>,
        watched: impl Fn(&RepositoryId) -> bool,
        now: Timestamp,
    ) -> Vec<RepositoryId> {
        let number = moved.id.to_string();
        let by_id = seen.iter().filter(|(id, seen)| id.forge == forge && seen.forge_id == number);
        let by_path = moved.paths.iter().map(|path| RepositoryId::new(forge.clone(), path.clone()));
        let mut ids: Vec<RepositoryId> = by_id.map(|(id, _)| id.clone()).chain(by_path).collect();
        ids.retain(watched);
        ids.sort();
        ids.dedup();
        let known = !ids.is_empty();
        self.on(&forge, |status| match (known, missed) {
            (true, true) => status.counts.repaired += 1,
            (false, false) => status.counts.unknown += 1,
            _ => {}
        });
        let mut read = Vec::new();
        for id in ids {
            if !missed {
                self.told.insert(id.clone(), now);
                self.on(&forge, |status| {
                    status.unannounced.remove(&id);
                });
            }
            let part = self.world.repository(&id);
            let known = part.as_ref().and_then(|part| part.listing.last_known(Purpose::Display));
            let event =
                Event::Heard { id, expected: moved.expected.clone(), known: known.map(|k| &**k) };
            read.extend(reads(hints::step(&mut self.state, event, now)));
        }
        read
    }

    /// What is to be read again now.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<RepositoryId> {
        reads(hints::step(&mut self.state, Event::Tick, now))
    }

    /// A read ended; `moved` when it showed something else than the one before.
    pub(super) fn read(
        &mut self,
        id: &RepositoryId,
        listing: Option<&Listing>,
        moved: bool,
        now: Timestamp,
    ) {
        let event = Event::Read { id: id.clone(), listing };
        reads(hints::step(&mut self.state, event, now));
        let told = self.told.get(id).is_some_and(|at| *at + PROMPT > now);
        if moved && !told && self.takes(&id.forge) {
            self.on(&id.forge, |status| {
                status.unannounced.retain(|_, at| *at + KEPT > now);
                if status.unannounced.len() < SHOWN {
                    status.unannounced.insert(id.clone(), now);
                }
            });
        }
    }

    /// Whether webhooks of a forge are taken.
    fn takes(&self, identity: &Name) -> bool {
        let settings = self.world.settings();
        let forge = settings.forge(identity);
        forge.is_some_and(|forge| match &forge.kind {
            ForgeKind::GitHub(github) => !github.webhook_secrets.is_empty(),
            ForgeKind::Git(_) => false,
        })
    }

    fn on(&self, identity: &Name, change: impl FnOnce(&mut crate::board::HooksStatus)) {
        let name = self.world.settings().forge(identity).map(|forge| forge.name.clone());
        let Some(name) = name else { return };
        self.board.update(|board| change(board.hooks.entry(name).or_default()));
    }
}

fn reads(effects: Vec<Effect>) -> Vec<RepositoryId> {
    let mut ids = Vec::new();
    for effect in effects {
        match effect {
            Effect::Read(id) => ids.push(id),
            Effect::GaveUp { id, of } => {
                tracing::info!(repository = %id, ?of, "what was announced is not there; what is there counts");
            }
        }
    }
    ids
}
