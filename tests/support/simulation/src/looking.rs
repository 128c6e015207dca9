//! What the simulated daemon asks of forges: looks, marks and answers, through the governor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::control::governor::{self, Answer as Limits, Key, Rate, Ticket, Use};
use crosswatch_core::control::polling::{self, Event, Marks};
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::plan::Plan;
use crosswatch_core::model::question::Question;
use crosswatch_core::model::snapshot::{RepositoryPart, Snapshot};
use crosswatch_core::model::time::{Span, Timestamp};

use crate::Failure;
use crate::random::Random;
use crate::settings::{INTERVAL, RECONCILE};
use crate::world::World;

const API: &str = "api.github.com";
/// After so long the client gives a request up.
const DEADLINE: Span = Span::minutes(2);

/// What is under way or known of the forges, but for what the snapshot has.
#[derive(Default)]
pub struct Looking {
    polling: polling::State,
    governor: governor::State,
    /// The governor as it was last saved.
    saved: Option<String>,
    requests: Vec<Request>,
    tickets: u64,
    /// What time it truly is.
    truly: Timestamp,
    /// When each repository was last asked, by true time, unless somebody hinted at it since.
    asked_at: BTreeMap<RepositoryId, Timestamp>,
    /// When fates were asked, and what was known of their repositories then.
    fates: BTreeMap<Question, (Timestamp, Option<Arc<Listing>>)>,
}

/// A request between the daemon and a forge.
struct Request {
    what: What,
    ticket: Option<Ticket>,
    /// Since when it is on its way.
    sent: Option<Timestamp>,
    /// What was read, by a server whose answer is on its way.
    read: Option<Option<Listing>>,
}

#[derive(Clone)]
enum What {
    Look(RepositoryId),
    Marks(Vec<RepositoryId>),
}

/// What the task of looking sees.
pub struct Outside<'a> {
    pub random: &'a mut Random,
    pub world: &'a mut World,
    pub faults: bool,
    pub now: Timestamp,
    pub truly: Timestamp,
    /// Whether the clock jumped within the last day.
    pub jumped: bool,
}

impl Looking {
    /// What a restarted daemon knows: budgets, and nothing that was under way.
    pub fn restarted(&self) -> Self {
        let governor = self.saved.as_ref().map(|text| serde_json::from_str(text).expect("JSON"));
        Self {
            governor: governor.unwrap_or_default(),
            saved: self.saved.clone(),
            tickets: self.tickets,
            ..Self::default()
        }
    }

    /// What is under way, for people.
    pub fn under_way(&self, now: Timestamp) -> String {
        let requests = self.requests.iter().map(|request| match &request.what {
            What::Look(id) => format!("look at {id}, sent {:?}", request.sent),
            What::Marks(ids) => format!("marks of {}, sent {:?}", ids.len(), request.sent),
        });
        let requests: Vec<String> = requests.collect();
        let next = polling::next_at(&self.polling);
        let governor = serde_json::to_string(&self.governor).unwrap_or_default();
        format!("it is {now}, next {next:?}, {requests:?}, {governor}")
    }

    /// Somebody says that a repository moved.
    pub fn hint(&mut self, id: RepositoryId, now: Timestamp) {
        self.asked_at.remove(&id);
        let effects = polling::step(&mut self.polling, Event::Hint(id), now);
        self.begin(effects, now, Timestamp(0), true).expect("a hint is checked by nobody");
    }

    /// Looks, marks and answers move on.
    pub fn advance(
        &mut self,
        snapshot: &mut Snapshot,
        plan: Option<&Plan>,
        outside: &mut Outside<'_>,
    ) -> Result<(), Failure> {
        let mut events = vec![Event::Tick];
        if let Some(plan) = plan {
            let ids: BTreeSet<&RepositoryId> =
                plan.workspaces.iter().flat_map(|workspace| workspace.watched.keys()).collect();
            let wanted = ids.into_iter().map(|id| {
                let hosted = outside.world.repositories.get(id).is_some_and(|one| one.hosted);
                polling::Wanted {
                    id: id.clone(),
                    server: if hosted { API.to_owned() } else { "git.example.org".to_owned() },
                    interval: INTERVAL,
                    marks: hosted.then_some(Marks { reconcile: RECONCILE, known: None }),
                }
            });
            events.push(Event::Watch(wanted.collect()));
        }
        self.truly = outside.truly;
        let mut effects = Vec::new();
        for request in std::mem::take(&mut self.requests) {
            events.extend(self.end(request, snapshot, &mut effects, outside)?);
        }
        self.let_go(effects)?;
        let effects = governor::step(&mut self.governor, governor::Event::Tick, outside.now);
        self.in_time(&effects, outside)?;
        self.let_go(effects)?;
        for event in events {
            let effects = polling::step(&mut self.polling, event, outside.now);
            self.begin(effects, outside.now, outside.truly, outside.jumped)?;
        }
        self.ahead(outside)?;
        self.answers(snapshot, plan, outside);
        Ok(())
    }

    /// Nothing is due later than its longest wait, whatever the clock did.
    fn ahead(&self, outside: &Outside<'_>) -> Result<(), Failure> {
        let latest = outside.now + Span(RECONCILE.0 * 12);
        match polling::next_at(&self.polling) {
            Some(next) if next > latest => {
                Err(Failure(format!("the next look is due at {next} only; it is {}", outside.now)))
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        effects: Vec<polling::Effect>,
        now: Timestamp,
        truly: Timestamp,
        jumped: bool,
    ) -> Result<(), Failure> {
        for effect in effects {
            let (what, hosted) = match effect {
                polling::Effect::Look(id) => {
                    let under_way = self
                        .requests
                        .iter()
                        .any(|request| matches!(&request.what, What::Look(other) if *other == id));
                    if under_way {
                        return Err(Failure(format!("{id} is asked twice at once")));
                    }
                    let hosted = &*id.forge == "github.com";
                    let before = self.asked_at.insert(id.clone(), truly);
                    let soon = before.is_some_and(|before| truly.since(before).0 < INTERVAL.0 / 2);
                    if soon && !jumped && !hosted {
                        return Err(Failure(format!("{id} is asked twice in a cycle")));
                    }
                    (What::Look(id), hosted)
                }
                polling::Effect::Ask { ids, .. } => (What::Marks(ids), true),
                polling::Effect::Confirm(_) => continue,
            };
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            let sent = (!hosted).then_some(self.truly);
            self.requests.push(Request {
                what,
                ticket: hosted.then_some(ticket),
                sent,
                read: None,
            });
            if hosted {
                let key = Key { host: API.into(), credential: "c".into(), pool: "core".into() };
                let event = governor::Event::Ask { ticket, key, cost: 1, use_for: Use::Poll };
                let effects = governor::step(&mut self.governor, event, now);
                // Whoever may go goes with the next look at the governor's word.
                self.mark(&effects);
            }
        }
        Ok(())
    }

    fn mark(&mut self, effects: &[governor::Effect]) {
        for effect in effects {
            if let governor::Effect::Go(ticket) = effect {
                let sent = self.requests.iter_mut().filter(|one| one.ticket == Some(*ticket));
                sent.for_each(|request| request.sent = Some(self.truly));
            }
        }
    }

    /// Nothing is sent before a `Retry-After` is over.
    fn in_time(&self, effects: &[governor::Effect], outside: &Outside<'_>) -> Result<(), Failure> {
        let goes = effects.iter().any(|effect| matches!(effect, governor::Effect::Go(_)));
        if goes && outside.truly < outside.world.refuses_until && !outside.jumped {
            return Err(Failure("something was sent before a Retry-After was over".to_owned()));
        }
        Ok(())
    }

    fn let_go(&mut self, effects: Vec<governor::Effect>) -> Result<(), Failure> {
        self.mark(&effects);
        if effects.contains(&governor::Effect::Save) {
            self.saved = Some(serde_json::to_string(&self.governor).expect("JSON"));
        }
        let flying =
            self.requests.iter().filter(|one| one.sent.is_some() && one.ticket.is_some()).count();
        if flying > governor::IN_FLIGHT {
            return Err(Failure(format!("{flying} requests are in flight")));
        }
        Ok(())
    }

    /// A request is read, or its answer arrives.
    fn end(
        &mut self,
        mut request: Request,
        snapshot: &mut Snapshot,
        effects: &mut Vec<governor::Effect>,
        outside: &mut Outside<'_>,
    ) -> Result<Option<Event>, Failure> {
        let random = &mut *outside.random;
        let since = request.sent.map_or(Span(0), |sent| outside.truly.since(sent));
        let late = outside.faults && since > DEADLINE;
        let slow = outside.faults && !late && random.once_in(3);
        if request.sent.is_none() || slow {
            self.requests.push(request);
            return Ok(None);
        }
        let refused = request.ticket.is_some() && outside.truly < outside.world.refuses_until;
        let fails = late || refused || (outside.faults && random.once_in(10));
        if let (What::Look(id), None) = (&request.what, &request.read) {
            let listing = if fails { None } else { outside.world.listing(id) };
            request.read = Some(listing);
            // The answer may be slow.
            if outside.faults && !late && random.once_in(3) {
                self.requests.push(request);
                return Ok(None);
            }
        }
        if let Some(ticket) = request.ticket.filter(|_| late) {
            let event = governor::Event::Gone(ticket);
            effects.extend(governor::step(&mut self.governor, event, outside.now));
        } else if let Some(ticket) = request.ticket {
            let mut answer = Limits { status: 200, ..Limits::default() };
            if refused {
                let wait = outside.world.refuses_until.since(outside.truly);
                (answer.status, answer.retry_after) = (429, Some(Span(wait.0 + 1000)));
            } else if outside.faults && random.once_in(60) {
                let wait = Span::seconds(30 + random.below(120));
                outside.world.refuses_until = outside.truly + wait;
                (answer.status, answer.retry_after) = (429, Some(Span(wait.0 + 1000)));
            } else if random.once_in(4) {
                let remaining = if outside.faults { 20 } else { 4000 };
                let reset_at = outside.now + Span::minutes(5);
                answer.rate = Some(Rate { pool: None, limit: 5000, remaining, reset_at });
            }
            let event = governor::Event::Answered { ticket, answer };
            let more = governor::step(&mut self.governor, event, outside.now);
            self.in_time(&more, outside)?;
            effects.extend(more);
        }
        Ok(Some(match request.what {
            What::Look(id) => {
                let read = request.read.flatten().filter(|_| !late);
                let answered = read.is_some();
                self.looked(&id, read, snapshot, outside);
                Event::Looked { id, answered }
            }
            What::Marks(asked) => {
                let marks = (!fails).then(|| {
                    let up = |id: &&RepositoryId| {
                        outside.world.repositories.get(*id).is_some_and(|one| !one.down)
                    };
                    let mark = |id: &RepositoryId| {
                        let version = outside.world.repositories.get(id).map(|one| one.version);
                        (id.clone(), format!("{version:?}"))
                    };
                    asked.iter().filter(up).map(mark).collect()
                });
                Event::Marks { server: API.to_owned(), asked, marks }
            }
        }))
    }

    fn looked(
        &self,
        id: &RepositoryId,
        read: Option<Listing>,
        snapshot: &mut Snapshot,
        outside: &Outside<'_>,
    ) {
        let part = snapshot.repositories.get(id);
        let before =
            part.map_or_else(|| Observed::not_read_yet(outside.now), |part| part.listing.clone());
        let listing = match read {
            Some(listing) => before.replaced_by(Observed::known(listing)),
            None => before.failed("timed out", outside.now),
        };
        let spelling = outside.world.repositories.get(id).map(|one| one.spelling.clone());
        let spelling = spelling.unwrap_or_default();
        let url = format!("https://{}/{}", id.forge, id.path);
        let next = RepositoryPart { id: id.clone(), spelling, url, listing };
        if part.is_none_or(|part| **part != next) {
            Arc::make_mut(&mut snapshot.repositories).insert(id.clone(), Arc::new(next));
        }
    }

    /// What the plan wants to know, and fates that may have become other ones.
    fn answers(&mut self, snapshot: &mut Snapshot, plan: Option<&Plan>, outside: &mut Outside<'_>) {
        let Some(plan) = plan else { return };
        let listing = |snapshot: &Snapshot, question: &Question| {
            snapshot.repositories.get(question.repository()?)?.listing.value().cloned()
        };
        let mut questions: BTreeSet<Question> = plan.wanted.clone();
        for (question, answer) in snapshot.answers.iter() {
            let open = matches!(question, Question::Fate { .. })
                && answer.value().is_some_and(|answer| !answer.is_final());
            let due = open
                && self.fates.get(question).is_none_or(|(at, before)| {
                    let now = listing(snapshot, question);
                    let moved = match (before, &now) {
                        (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
                        (None, Some(_)) => true,
                        (_, None) => false,
                    };
                    moved || outside.now < *at || outside.now >= *at + RECONCILE
                });
            if due {
                questions.insert(question.clone());
            }
        }
        for question in questions {
            if outside.faults && outside.random.once_in(5) {
                continue;
            }
            if matches!(question, Question::Fate { .. }) {
                self.fates.insert(question.clone(), (outside.now, listing(snapshot, &question)));
            }
            let before = snapshot.answers.get(&question).cloned();
            let before = before.unwrap_or_else(|| Observed::not_read_yet(outside.now));
            let fails = outside.faults && outside.random.once_in(10);
            let next = match outside.world.answer(&question).filter(|_| !fails) {
                Some(answer) => before.replaced_by(Observed::known(answer)),
                None => before.failed("timed out", outside.now),
            };
            Arc::make_mut(&mut snapshot.answers).insert(question, next);
        }
    }
}
