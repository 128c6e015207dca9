//! Looks at every watched repository: once an interval at a plain git server, and where a forge has
//! an API when its mark moved, and now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::absence::{self, Absence, Look};
use crosswatch_core::control::polling::{self, Effect, Event, Marks, Wanted};
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::observed::Purpose;
use crosswatch_core::model::settings::Settings;
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::references::Reading;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::hearing::Hearing;
use super::looking::{Done, Looked, look, marks};
use super::{Kept, Memory, Readers, SeenAs, scheduled, server};
use crate::board::{Board, World};
use crate::clock::Clock;
use crate::forge::github::hook::Moved;
use crate::pass::{Publications, WatchList, Watching};

/// Takes hints. A hint that something moved only brings the next look forward.
pub type Hints = mpsc::Sender<Hint>;

/// What somebody outside knows of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Somebody outside says that it moved.
    Announced(Announcement),
    /// An administrator says that another repository at the same path is the right one.
    Accept(RepositoryId),
}

/// What a forge told by a webhook, or tells in its log that it would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Identity of the forge.
    pub forge: Name,
    /// Which repository, and what is to be seen there.
    pub moved: Moved,
    /// Whether it did not arrive when it should have.
    pub missed: bool,
}

/// Hints that are taken at once.
const HINTS: usize = 100;

/// The observer of repositories.
pub struct Registry {
    /// Where listings go.
    pub world: World,
    /// Where people see how it goes.
    pub board: Board,
    /// Where plans come from: they say what is watched.
    pub publications: Publications,
    /// What is looked at before the first plan.
    pub first: WatchList,
    /// Hints.
    pub hints: mpsc::Receiver<Hint>,
    /// What looks are made with.
    pub readers: Readers,
    /// Where listings are kept over restarts.
    pub memory: Memory,
    /// What forges with an API showed beside the listings that are remembered.
    pub seen: BTreeMap<RepositoryId, SeenAs>,
    /// Repositories that are not there, as far as that is remembered.
    pub absences: BTreeMap<RepositoryId, Absence>,
    /// The time.
    pub clock: Clock,
}

impl Registry {
    /// Looks until it is dropped.
    pub async fn run(mut self) {
        let mut state = polling::State::default();
        let mut list = Arc::clone(&self.first);
        let mut of: Option<Arc<Settings>> = None;
        let mut stretches: BTreeMap<String, u64> = BTreeMap::new();
        // How bodies are to be read, by these settings.
        let mut readings: BTreeSet<Reading> = BTreeSet::new();
        let mut read_by: Option<Arc<Settings>> = None;
        let mut looks: FuturesUnordered<_> = FuturesUnordered::new();
        let mut hearing = Hearing::new(self.world.clone(), self.board.clone());
        let mut hints = Vec::new();
        loop {
            let now = self.clock.now();
            let next = polling::next_at(&state).into_iter().chain(hearing.next_at()).min();
            let wait = next.map_or(Span::hours(1), |next| next.since(now));
            let mut before = None;
            let event = tokio::select! {
                // What is watched is known before hints of it are taken.
                biased;
                () = std::future::ready(()), if of.is_none() && !list.is_empty() => {
                    let settings = self.world.settings();
                    let targets = self.targets(&settings, &list);
                    of = Some(settings);
                    targets
                }
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
                    hearing.keep(|id| list.contains_key(id));
                    self.targets(settings, &list)
                }
                Some(done) = looks.next(), if !looks.is_empty() => match done {
                    Done::Looked(looked) => {
                        let (rests, event) = self.looked(*looked, &mut hearing);
                        before = Some(rests);
                        event
                    }
                    Done::Marks { server, asked, marks } => self.marked(server, asked, marks),
                },
                1.. = self.hints.recv_many(&mut hints, HINTS) => Event::Tick,
                () = tokio::time::sleep(wait.to_std().max(Duration::from_millis(5))) => Event::Tick,
            };
            let now = self.clock.now();
            let mut events = self.stretched(&mut stretches);
            let settings = self.world.settings();
            if read_by.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &settings)) {
                readings = settings.readings();
                read_by = Some(settings);
                let lacks = |id: &&RepositoryId| !self.read_for(id, &readings);
                events.extend(list.keys().filter(lacks).cloned().map(Event::Hint));
            }
            if let Some(settings) = of.as_ref().filter(|_| self.is_another_asker(&state, &event)) {
                events.push(self.targets(settings, &list));
            }
            events.push(event);
            events.extend(hearing.due(now).into_iter().map(Event::Hint));
            for hint in hints.drain(..) {
                let ids = match hint {
                    Hint::Announced(announced) => {
                        hearing.heard(announced, &self.seen, |id| list.contains_key(id), now)
                    }
                    Hint::Accept(id) => {
                        self.seen.remove(&id);
                        vec![id]
                    }
                };
                events.extend(ids.into_iter().map(Event::Hint));
            }
            // The last one is taken first.
            events.extend(before);
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
                        Effect::Confirm(id) => {
                            events.extend(self.confirmed(id, &readings, now));
                        }
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
                    server: if has_api {
                        scheduled(&id.forge, &self.readers.asker(id))
                    } else {
                        server(&repository.url)
                    },
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

    /// Whether something was learned by which a repository belongs to another credential now.
    fn is_another_asker(&self, state: &polling::State, event: &Event) -> bool {
        let ids = match event {
            Event::Looked { id, .. } => std::slice::from_ref(id),
            Event::Marks { asked, .. } => asked.as_slice(),
            _ => &[],
        };
        ids.iter().any(|id| {
            let hosted = polling::mark_server(state, id);
            hosted.is_some_and(|server| *server != *scheduled(&id.forge, &self.readers.asker(id)))
        })
    }

    /// Budgets that shrank or recovered since.
    fn stretched(&self, known: &mut BTreeMap<String, u64>) -> Vec<Event> {
        let settings = self.world.settings();
        let mut events = Vec::new();
        for forge in settings.forges.values().filter(|forge| forge.kind.git().is_none()) {
            for credential in self.readers.credentials(forge).keys() {
                let percent = self.readers.stretch(forge, credential);
                let server = scheduled(&forge.identity, credential);
                if known.insert(server.clone(), percent) != Some(percent) {
                    events.push(Event::Stretch { server, percent });
                }
            }
        }
        events
    }

    fn marked(
        &self,
        server: String,
        asked: Vec<RepositoryId>,
        marks: Result<BTreeMap<RepositoryId, String>, String>,
    ) -> Event {
        let identity = asked.first().map(|id| id.forge.to_string()).unwrap_or_default();
        let name = self.world.settings().forge(&identity).map(|forge| forge.name.clone());
        let credential = server.strip_prefix(identity.as_str()).unwrap_or_default().trim_start();
        let detector = match &marks {
            Ok(marks) if marks.is_empty() => "none: every repository is read".to_owned(),
            Ok(_) => format!("one question for {} repositories", polling::BATCH),
            Err(_) => String::new(),
        };
        let failure = marks.as_ref().err().cloned();
        if let Some(why) = &failure {
            tracing::warn!(server, why, "it was not learned what moved");
        }
        if let Some(name) = name {
            self.board.update(|board| {
                let status = board.forges.entry(name).or_default();
                let status = status.credentials.entry(credential.to_owned()).or_default();
                if failure.is_none() {
                    status.detector = detector;
                }
                status.failure = failure;
            });
        }
        Event::Marks { server, asked, marks: marks.ok() }
    }

    fn confirmed(
        &self,
        id: RepositoryId,
        readings: &BTreeSet<Reading>,
        at: Timestamp,
    ) -> Option<Event> {
        // What was read for fewer ways of reading than there are now is read again.
        if !self.read_for(&id, readings) || !self.world.confirmed(&id, at) {
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

    /// Whether the bodies of all changes that are known of a repository were read in all these ways.
    fn read_for(&self, id: &RepositoryId, readings: &BTreeSet<Reading>) -> bool {
        let part = self.world.repository(id);
        let last = part.as_ref().and_then(|part| part.listing.last_known(Purpose::Display));
        let changes = last.map_or(&[][..], |listing| &listing.changes);
        changes
            .iter()
            .filter_map(|change| change.forge.as_ref())
            .all(|forge| readings.iter().all(|reading| forge.references.by(reading).is_some()))
    }

    fn looked(&mut self, looked: Looked, hearing: &mut Hearing) -> (Event, Event) {
        let at = self.clock.now();
        let Looked { id, watched, shows, read } = looked;
        let absent = self.absence(&id, shows, at);
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
        let archived = |read: &(Listing, Option<SeenAs>)| read.0.archived;
        let rests = shows.is_absent() || read.as_ref().is_ok_and(archived);
        let rests = Event::Rests { id: id.clone(), rests };
        // The last known name stays while it cannot be read.
        let known = self.seen.get(&id).map(|seen| Name::from(&*seen.spelling));
        let mut spelling = known.unwrap_or_else(|| watched.spelling.clone());
        let listing = match read {
            Ok((listing, seen)) => {
                let before = self.world.repository(&id);
                let last =
                    before.as_ref().and_then(|part| part.listing.last_known(Purpose::Display));
                let listing = match last {
                    Some(last) => listing.after(last),
                    None => listing,
                };
                let before = before.and_then(|part| part.listing.value().cloned());
                let moved = before.as_ref().is_none_or(|before| **before != listing);
                hearing.read(&id, Some(&listing), moved && before.is_some(), at);
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
                hearing.read(&id, None, false, at);
                Err(why)
            }
        };
        let place = (watched.url.as_str(), spelling.as_str());
        match (listing, absent) {
            (Err(why), Some(absence)) if shows == Look::Absent => {
                self.world.absent(&id, place, (&why, absence.since), at);
            }
            (listing, _) => self.world.listed(&id, place, listing, at),
        }
        (rests, Event::Looked { id, answered })
    }

    /// Since when a repository is not there, after a look that showed this.
    fn absence(&mut self, id: &RepositoryId, shows: Look, at: Timestamp) -> Option<Absence> {
        let before = self.absences.get(id).copied();
        let now = absence::after(before, shows, at);
        if now != before {
            self.memory.keep("absence", id, &now, at);
            match now {
                Some(now) => drop(self.absences.insert(id.clone(), now)),
                None => drop(self.absences.remove(id)),
            }
        }
        now
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

    fn show(&self, state: &polling::State, stretches: &BTreeMap<String, u64>) {
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
                    status.stretch = 100;
                    continue;
                }
                let known = self.readers.credentials(forge);
                status.credentials.retain(|name, _| known.contains_key(name));
                for (name, broken) in known {
                    let credential = status.credentials.entry(name.clone()).or_default();
                    credential.broken = broken;
                    let server = scheduled(&forge.identity, &name);
                    credential.next_at = polling::detection(state, &server).map(|(at, _)| at);
                    credential.stretch = stretches.get(&server).copied().unwrap_or(100);
                }
                status.sum_up();
            }
        });
    }
}
