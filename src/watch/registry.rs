//! Looks at every watched repository: once an interval at a plain git server, and where a forge has
//! an API when its mark moved, and now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::polling::{self, Effect, Event, Marks, Wanted};
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::settings::Settings;
use crosswatch_core::model::time::{Span, Timestamp};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::looking::{Done, Looked, look, marks};
use super::{Kept, Memory, Readers, SeenAs, server};
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::pass::{Publications, WatchList, Watching};

/// Takes hints. A hint that something moved only brings the next look forward.
pub type Hints = mpsc::Sender<Hint>;

/// What somebody outside knows of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It may have moved.
    Moved(RepositoryId),
    /// An administrator says that another repository at the same path is the right one.
    Accept(RepositoryId),
}

/// The observer of repositories.
pub struct Registry {
    /// Where listings go.
    pub world: World,
    /// Where people see how it goes.
    pub board: Board,
    /// Where plans come from: they say what is watched.
    pub publications: Publications,
    /// Hints.
    pub hints: mpsc::Receiver<Hint>,
    /// What looks are made with.
    pub readers: Readers,
    /// Where listings are kept over restarts.
    pub memory: Memory,
    /// What forges with an API showed beside the listings that are remembered.
    pub seen: BTreeMap<RepositoryId, SeenAs>,
    /// The time.
    pub clock: Clock,
}

impl Registry {
    /// Looks until it is dropped.
    pub async fn run(mut self) {
        let mut state = polling::State::default();
        let mut list = WatchList::default();
        let mut of: Option<Arc<Settings>> = None;
        let mut stretches: BTreeMap<Name, u64> = BTreeMap::new();
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
                    let settings = &published.snapshot.settings;
                    let same = of.as_ref().is_some_and(|known| Arc::ptr_eq(known, settings));
                    if same && Arc::ptr_eq(&list, &published.watching) {
                        continue;
                    }
                    of = Some(Arc::clone(settings));
                    list = Arc::clone(&published.watching);
                    self.targets(settings, &list)
                }
                Some(hint) = self.hints.recv() => match hint {
                    Hint::Moved(id) => Event::Hint(id),
                    Hint::Accept(id) => {
                        self.seen.remove(&id);
                        Event::Hint(id)
                    }
                },
                Some(done) = looks.next(), if !looks.is_empty() => match done {
                    Done::Looked(looked) => self.looked(*looked),
                    Done::Marks { forge, asked, marks } => self.marked(forge, asked, marks),
                },
                () = tokio::time::sleep(wait.to_std().max(Duration::from_millis(5))) => Event::Tick,
            };
            let now = self.clock.now();
            let mut events = self.stretched(&mut stretches);
            events.push(event);
            while let Some(event) = events.pop() {
                for effect in polling::step(&mut state, event, now) {
                    let readers = self.readers.clone();
                    match effect {
                        Effect::Look(id) => {
                            let Some(watching) = list.get(&id) else { continue };
                            let watched = watching.watched.clone();
                            let settings = self.world.settings().forge(&id.forge).cloned();
                            let mark = polling::mark(&state, &id).map(str::to_owned);
                            looks.push(futures_util::future::Either::Left(look(
                                readers, settings, id, watched, mark,
                            )));
                        }
                        Effect::Ask { server, ids } => {
                            looks.push(futures_util::future::Either::Right(marks(
                                readers, server, ids,
                            )));
                        }
                        Effect::Confirm(id) => events.extend(self.confirmed(id, now)),
                    }
                }
            }
            self.show(&state, &stretches);
        }
    }

    fn targets(&self, settings: &Settings, list: &WatchList) -> Event {
        let wanted = list
            .iter()
            .filter_map(|(id, Watching { watched: repository, .. })| {
                let forge = settings.forge(&id.forge)?;
                let has_api = forge.kind.git().is_none();
                let known = || self.seen.get(id).and_then(|seen| seen.mark.clone());
                Some(Wanted {
                    id: id.clone(),
                    server: if has_api { id.forge.to_string() } else { server(&repository.url) },
                    interval: forge.interval,
                    marks: has_api.then(|| Marks { reconcile: forge.reconcile, known: known() }),
                })
            })
            .collect();
        self.board.update(|board| {
            board.repositories.retain(|id, _| list.contains_key(id));
            for (id, watching) in list.iter() {
                let status = board.repositories.entry(id.clone()).or_default();
                status.workspaces = Arc::clone(&watching.workspaces);
            }
        });
        Event::Watch(wanted)
    }

    /// Budgets that shrank or recovered since.
    fn stretched(&self, known: &mut BTreeMap<Name, u64>) -> Vec<Event> {
        let settings = self.world.settings();
        let mut events = Vec::new();
        for forge in settings.forges.values().filter(|forge| forge.kind.git().is_none()) {
            let percent = self.readers.stretch(forge);
            if known.insert(forge.identity.clone(), percent) != Some(percent) {
                events.push(Event::Stretch { server: forge.identity.to_string(), percent });
            }
        }
        events
    }

    fn marked(
        &self,
        forge: String,
        asked: Vec<RepositoryId>,
        marks: Result<BTreeMap<RepositoryId, String>, String>,
    ) -> Event {
        let name = self.world.settings().forge(&forge).map(|forge| forge.name.clone());
        let detector = match &marks {
            Ok(marks) if marks.is_empty() => "none: every repository is read".to_owned(),
            Ok(_) => format!("one question for {} repositories", polling::BATCH),
            Err(_) => String::new(),
        };
        let failure = marks.as_ref().err().cloned();
        if let Some(why) = &failure {
            tracing::warn!(forge, why, "it was not learned what moved");
        }
        if let Some(name) = name {
            self.board.update(|board| {
                let status = board.forges.entry(name).or_default();
                if failure.is_none() {
                    status.detector = detector;
                }
                status.failure = failure;
            });
        }
        Event::Marks { server: forge, asked, marks: marks.ok() }
    }

    fn confirmed(&self, id: RepositoryId, at: Timestamp) -> Option<Event> {
        if !self.world.confirmed(&id, at) {
            return Some(Event::Hint(id));
        }
        self.board.update(|board| {
            if let Some(status) = board.repositories.get_mut(&id) {
                status.read_at = Some(at);
                status.failure = None;
            }
        });
        None
    }

    fn looked(&mut self, looked: Looked) -> Event {
        let at = self.clock.now();
        let Looked { id, watched, read } = looked;
        let read = read.and_then(|(listing, seen)| match self.other(&id, seen.as_ref()) {
            Some(why) => Err(why),
            None => Ok((listing, seen)),
        });
        let answered = read.is_ok();
        metrics::counter!("crosswatch_looks_total", "answered" => answered.to_string())
            .increment(1);
        self.board.update(|board| {
            if let Some(status) = board.repositories.get_mut(&id) {
                status.looks += 1;
                match &read {
                    Ok(_) => {
                        status.read_at = Some(at);
                        status.failure = None;
                    }
                    Err(why) => status.failure = Some(why.clone()),
                }
            }
        });
        let mut spelling = watched.spelling.clone();
        let listing = match read {
            Ok((listing, seen)) => {
                let before = self.world.freeze(at).repositories.get(&id).cloned();
                let before = before.and_then(|part| part.listing.value().cloned());
                let moved = before.is_none_or(|before| *before != listing);
                if moved || self.seen.get(&id) != seen.as_ref() {
                    let key = (&id, &watched.url, &watched.spelling);
                    let kept = Kept { listing: listing.clone(), seen: seen.clone() };
                    self.memory.keep("listing", &key, &kept, at);
                }
                if let Some(seen) = seen {
                    spelling = Name::from(&*seen.spelling);
                    self.seen.insert(id.clone(), seen);
                }
                Ok(listing)
            }
            Err(why) => {
                tracing::warn!(repository = %id, why, "a repository could not be read");
                Err(why)
            }
        };
        self.world.listed(&id, (&watched.url, &spelling), listing, at);
        Event::Looked { id, answered }
    }

    /// Why what was read is not the repository that was known by this path, if it is another one.
    fn other(&self, id: &RepositoryId, seen: Option<&SeenAs>) -> Option<String> {
        let (before, now) = (self.seen.get(id)?, seen?);
        (before.forge_id != now.forge_id).then(|| {
            format!(
                "identity changed: the forge has another repository there now (its id was {}, it is \
                 {}); `crosswatch accept {id}` takes it for the same",
                before.forge_id, now.forge_id
            )
        })
    }

    fn show(&self, state: &polling::State, stretches: &BTreeMap<Name, u64>) {
        let settings = self.world.settings();
        let names: BTreeSet<&Name> = settings.forges.keys().collect();
        self.board.update(|board| {
            for (id, status) in &mut board.repositories {
                status.next_at = polling::due_at(state, id);
            }
            board.forges.retain(|name, _| names.contains(name));
            for forge in settings.forges.values() {
                let status = board.forges.entry(forge.name.clone()).or_default();
                if forge.kind.git().is_some() {
                    "one question for each repository".clone_into(&mut status.detector);
                }
                status.next_at = polling::detection(state, &forge.identity).map(|(at, _)| at);
                status.stretch = stretches.get(&forge.identity).copied().unwrap_or(100);
            }
        });
    }
}
