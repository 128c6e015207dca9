//! Looks at every watched repository, once an interval.

use std::collections::BTreeMap;
use std::time::Duration;

use crosswatch_core::control::polling::{self, Effect, Event, Wanted};
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::plan::Watched;
use crosswatch_core::model::time::Span;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Memory, Readers, server};
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::forge::git::{ListingRules, listing};
use crate::pass::{Publications, Published};

/// Longest time for one look.
const DEADLINE: Span = Span::seconds(30);

/// Takes hints that a repository moved. A hint only brings the next look forward.
pub type Hints = mpsc::Sender<RepositoryId>;

/// The observer of repositories.
pub struct Registry {
    /// Where listings go.
    pub world: World,
    /// Where people see how it goes.
    pub board: Board,
    /// Where plans come from: they say what is watched.
    pub publications: Publications,
    /// Hints.
    pub hints: mpsc::Receiver<RepositoryId>,
    /// What looks are made with.
    pub readers: Readers,
    /// Where listings are kept over restarts.
    pub memory: Memory,
    /// The time.
    pub clock: Clock,
}

type Looked = (RepositoryId, Watched, Result<Listing, String>);

impl Registry {
    /// Looks until it is dropped.
    pub async fn run(mut self) {
        let mut state = polling::State::default();
        let mut watched: BTreeMap<RepositoryId, Watched> = BTreeMap::new();
        let mut looks: FuturesUnordered<_> = FuturesUnordered::new();
        loop {
            let now = self.clock.now();
            let wait = polling::next_at(&state).map_or(Span::hours(1), |next| next.since(now));
            let event = tokio::select! {
                changed = self.publications.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let published = self.publications.borrow_and_update().clone();
                    let Some(published) = published else { continue };
                    let (all, event) = self.targets(&published);
                    watched = all;
                    event
                }
                Some(id) = self.hints.recv() => Event::Hint(id),
                Some(looked) = looks.next(), if !looks.is_empty() => self.looked(looked),
                () = tokio::time::sleep(wait.to_std().max(Duration::from_millis(5))) => Event::Tick,
            };
            let now = self.clock.now();
            for Effect::Look(id) in polling::step(&mut state, event, now) {
                if let Some(watched) = watched.get(&id) {
                    let settings = self.world.settings().forge(&id.forge).cloned();
                    let readers = self.readers.clone();
                    looks.push(look(readers, settings, id, watched.clone()));
                }
            }
            self.board.update(|board| {
                for (id, status) in &mut board.repositories {
                    status.next_at = polling::due_at(&state, id);
                }
            });
        }
    }

    fn targets(&self, published: &Published) -> (BTreeMap<RepositoryId, Watched>, Event) {
        let settings = &published.snapshot.settings;
        let mut watched: BTreeMap<RepositoryId, Watched> = BTreeMap::new();
        let mut users: BTreeMap<RepositoryId, Vec<Name>> = BTreeMap::new();
        for plan in &published.plan.workspaces {
            for (id, repository) in &plan.watched {
                watched.entry(id.clone()).or_insert_with(|| repository.clone());
                users.entry(id.clone()).or_default().push(plan.workspace.clone());
            }
        }
        let wanted = watched
            .iter()
            .filter_map(|(id, repository)| {
                let interval = settings.forge(&id.forge)?.interval;
                Some(Wanted { id: id.clone(), server: server(&repository.url), interval })
            })
            .collect();
        self.board.update(|board| {
            board.repositories.retain(|id, _| users.contains_key(id));
            for (id, names) in users {
                board.repositories.entry(id).or_default().workspaces = names;
            }
        });
        (watched, Event::Watch(wanted))
    }

    fn looked(&self, (id, watched, listing): Looked) -> Event {
        let at = self.clock.now();
        let answered = listing.is_ok();
        metrics::counter!("crosswatch_looks_total", "answered" => answered.to_string())
            .increment(1);
        self.board.update(|board| {
            if let Some(status) = board.repositories.get_mut(&id) {
                status.looks += 1;
                match &listing {
                    Ok(_) => {
                        status.read_at = Some(at);
                        status.failure = None;
                    }
                    Err(why) => status.failure = Some(why.clone()),
                }
            }
        });
        match &listing {
            Ok(listing) => {
                let moved = self
                    .world
                    .freeze(at)
                    .repositories
                    .get(&id)
                    .and_then(|part| part.listing.value().cloned())
                    .is_none_or(|before| *before != *listing);
                if moved {
                    self.memory.keep(
                        "listing",
                        &(&id, &watched.url, &watched.spelling),
                        listing,
                        at,
                    );
                }
            }
            Err(why) => tracing::warn!(repository = %id, why, "a repository could not be read"),
        }
        self.world.listed(&id, (&watched.url, &watched.spelling), listing, at);
        Event::Looked { id, answered }
    }
}

async fn look(
    readers: Readers,
    settings: Option<std::sync::Arc<crosswatch_core::model::settings::ForgeSettings>>,
    id: RepositoryId,
    watched: Watched,
) -> Looked {
    let listing = async {
        let settings = settings.ok_or_else(|| format!("no forge is configured for {id}"))?;
        let token = (readers.token)(&settings)?;
        let git = settings.kind.git().ok_or("it has an API, which is not asked yet")?;
        let rules = ListingRules { patterns: git.changes.clone(), base: git.base.clone() };
        let never = CancellationToken::new();
        let list = readers
            .remote
            .list(&watched.url, &rules.prefixes(), token.as_ref(), DEADLINE, &never)
            .await
            .map_err(|error| chain(&error))?;
        Ok(listing(&list, &rules))
    };
    let listing = listing.await;
    (id, watched, listing)
}

/// An error with its sources, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
