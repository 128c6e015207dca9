//! Carries out what `control::governor` decides: the gate of all requests to forges.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosswatch_core::control::governor::{
    self, Answer, Effect, Event, Key, State, Ticket, Use, Waiting,
};
use crosswatch_core::model::time::{Span, Timestamp};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use crate::clock::Clock;
use crate::http::{Closed, Gate, HttpAnswer, Pass, Toll, Urgency};
use crate::task::Tasks;

/// Longest time until what was learned is on disk; refusals are written at once.
const SAVE: Span = Span::seconds(30);

/// Longest file that is read.
const LONGEST: u64 = 16 * 1024 * 1024;

/// One for the daemon, shared by all who ask forges.
#[derive(Clone)]
pub struct Governor(Arc<Inner>);

struct Inner {
    clock: Clock,
    held: Mutex<Held>,
    wake: Notify,
}

#[derive(Default)]
struct Held {
    state: State,
    last: u64,
    waiting: HashMap<Ticket, oneshot::Sender<bool>>,
    changed: bool,
    urgent: bool,
}

impl Governor {
    /// A governor that remembers what it knew, if it is given a file.
    ///
    /// A file that cannot be read is replaced: the forges' next answers tell the same.
    pub async fn start(clock: Clock, tasks: &Tasks, file: Option<PathBuf>) -> Self {
        let mut held = Held::default();
        if let Some(file) = file.clone() {
            let read = tokio::task::spawn_blocking(move || read(&file)).await;
            match read {
                Ok(Ok(Some(state))) => held.state = governor::restore(state, clock.now()),
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(error)) => tracing::warn!(
                    %error, "limits of forges are learned anew: what was kept cannot be read"
                ),
            }
        }
        let inner = Inner { clock, held: Mutex::new(held), wake: Notify::new() };
        let governor = Self(Arc::new(inner));
        tasks.spawn("governor", governor.clone().tick(file));
        governor
    }

    /// What waits now, for people.
    pub fn waits(&self) -> Vec<Waiting> {
        governor::waits(&self.0.held().state, self.0.clock.now())
    }

    /// How many percent of its usual length an interval of looks paid from this budget has.
    pub fn stretch(&self, key: &Key) -> u64 {
        governor::stretch(&self.0.held().state, key, self.0.clock.now())
    }

    /// When a request with this toll would go at the earliest, as far as that is known.
    pub fn free_at(&self, toll: &Toll) -> Timestamp {
        let Toll { host, credential, pool, urgency, .. } = toll.clone();
        let key = Key { host, credential, pool };
        governor::free_at(&self.0.held().state, &key, use_for(urgency), self.0.clock.now())
    }

    /// Everything of a host that has a budget.
    pub fn keys(&self, host: &str) -> Vec<Key> {
        governor::keys(&self.0.held().state, host)
    }

    /// What is left of a budget, and of how much.
    pub fn budget(&self, key: &Key) -> Option<(u32, u32)> {
        governor::budget(&self.0.held().state, key)
    }

    async fn tick(self, file: Option<PathBuf>) {
        let mut saved_at = self.0.clock.now();
        loop {
            let now = self.0.clock.now();
            self.0.step(Event::Tick);
            let unsaved = {
                let mut held = self.0.held();
                let due = held.urgent || now.since(saved_at) >= SAVE;
                let due = due && held.changed && file.is_some();
                due.then(|| {
                    (held.changed, held.urgent) = (false, false);
                    serde_json::to_vec(&held.state)
                })
            };
            if let (Some(Ok(text)), Some(file)) = (unsaved, file.clone()) {
                saved_at = now;
                let written = tokio::task::spawn_blocking(move || write(&file, &text)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(%error, "limits of forges are not kept over a restart");
                }
            }
            let next = governor::next_at(&self.0.held().state, now);
            let next = next.unwrap_or(now + SAVE).min(now + SAVE);
            // Never busy, whatever the schedule says.
            let wait = next.since(self.0.clock.now()).max(Span(10));
            tokio::select! {
                () = tokio::time::sleep(wait.to_std()) => {}
                () = self.0.wake.notified() => {}
            }
        }
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, event: Event) {
        let now = self.clock.now();
        let mut held = self.held();
        let tick = event == Event::Tick;
        let effects = governor::step(&mut held.state, event, now);
        held.changed |= !tick || !effects.is_empty();
        self.carry_out(&mut held, effects);
        if !tick && (held.urgent || !held.waiting.is_empty()) {
            self.wake.notify_one();
        }
    }

    fn carry_out(&self, held: &mut Held, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Go(ticket) | Effect::Refuse(ticket) => {
                    if let Some(waiter) = held.waiting.remove(&ticket) {
                        // Whoever is gone has said so, or is about to.
                        waiter.send(effect == Effect::Go(ticket)).ok();
                    }
                }
                Effect::Say(waiting) => tracing::info!("{waiting}"),
                Effect::Save => held.urgent = true,
            }
        }
    }

    fn told(&self, key: &Key) {
        let held = self.held();
        if let Some((remaining, _)) = governor::budget(&held.state, key) {
            metrics::gauge!(
                "crosswatch_forge_budget_remaining",
                "host" => key.host.clone(),
                "credential" => key.credential.clone(),
                "pool" => key.pool.clone()
            )
            .set(f64::from(remaining));
        }
    }
}

impl Gate for Governor {
    fn enter(&self, toll: Toll) -> BoxFuture<'static, Result<Box<dyn Pass>, Closed>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let Toll { host, credential, pool, cost, urgency } = toll;
            let key = Key { host, credential, pool };
            let use_for = use_for(urgency);
            let (sender, receiver) = oneshot::channel();
            let ticket = {
                let mut held = inner.held();
                held.last += 1;
                let ticket = Ticket(held.last);
                held.waiting.insert(ticket, sender);
                ticket
            };
            let going = Going { inner, ticket, key: key.clone() };
            going.inner.step(Event::Ask { ticket, key, cost, use_for });
            match receiver.await {
                Ok(true) => {
                    let pass: Box<dyn Pass> = Box::new(going);
                    Ok(pass)
                }
                Ok(false) | Err(_) => Err(Closed),
            }
        })
    }
}

fn use_for(urgency: Urgency) -> Use {
    match urgency {
        Urgency::Person => Use::Person,
        Urgency::Write => Use::Write,
        Urgency::Poll => Use::Poll,
    }
}

/// A request that waits or went; dropped, it is gone.
struct Going {
    inner: Arc<Inner>,
    ticket: Ticket,
    key: Key,
}

impl Pass for Going {
    fn answered(self: Box<Self>, answer: &HttpAnswer) {
        let now: Timestamp = self.inner.clock.now();
        let status = answer.status.as_u16();
        let answer = Answer::read(status, |name| answer.header(name), &answer.body, now);
        self.inner.step(Event::Answered { ticket: self.ticket, answer });
        self.inner.told(&self.key);
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.inner.held().waiting.remove(&self.ticket);
        self.inner.step(Event::Gone(self.ticket));
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").finish_non_exhaustive()
    }
}

fn read(file: &Path) -> std::io::Result<Option<State>> {
    use std::io::Read;
    let opened = match std::fs::File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut text = Vec::new();
    opened.take(LONGEST).read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

fn write(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(text)?;
    part.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use axum::extract::State as Shared;
    use axum::http::StatusCode;
    use futures_util::FutureExt;

    use super::*;
    use crate::http::conditional::{Bounds, Conditional};
    use crate::http::{Api, HttpClient, Method};

    /// What a server saw.
    #[derive(Default)]
    struct Seen {
        now: AtomicUsize,
        most: AtomicUsize,
        all: AtomicUsize,
        refuse: AtomicUsize,
        refused_at: Mutex<Option<Timestamp>>,
        early: AtomicUsize,
    }

    async fn answer(Shared(seen): Shared<Arc<Seen>>) -> (StatusCode, [(&'static str, String); 4]) {
        let clock = Clock::system();
        let count = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(count, Ordering::SeqCst);
        let all = seen.all.fetch_add(1, Ordering::SeqCst);
        let refused_at = *seen.refused_at.lock().expect("a time");
        if refused_at.is_some_and(|at| clock.now() < at + Span::seconds(1)) {
            seen.early.fetch_add(1, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen.now.fetch_sub(1, Ordering::SeqCst);
        let mut status = StatusCode::OK;
        if seen.refuse.load(Ordering::SeqCst) == all + 1 {
            *seen.refused_at.lock().expect("a time") = Some(clock.now());
            status = StatusCode::TOO_MANY_REQUESTS;
        }
        let after = if status == StatusCode::OK { "" } else { "1" };
        let reset = clock.now().0 / 1000 + 1800;
        let headers = [
            ("retry-after", after.to_owned()),
            ("x-ratelimit-limit", "5000".to_owned()),
            ("x-ratelimit-remaining", (4999 - all).to_string()),
            ("x-ratelimit-reset", reset.to_string()),
        ];
        (status, headers)
    }

    async fn serve(seen: &Arc<Seen>, tasks: &Tasks) -> Api {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(seen));
        tasks.spawn("server", async move { axum::serve(listener, app).await.expect("it serves") });
        Api::new(&url).expect("an API").authorization("main", "Bearer x".to_owned())
    }

    async fn conditional(governor: &Governor, tasks: &Tasks) -> Conditional {
        let gate: Arc<dyn Gate> = Arc::new(governor.clone());
        let client = HttpClient::new().expect("a client");
        let (clock, bounds) = (Clock::system(), Bounds::default());
        Conditional::new(client, clock, tasks.clone(), Some(gate), None, bounds).await
    }

    #[tokio::test]
    async fn a_crowd_goes_a_few_at_a_time_and_waits_when_told_to() {
        let (seen, tasks) = (Arc::new(Seen::default()), Tasks::new());
        seen.refuse.store(20, Ordering::SeqCst);
        let api = serve(&seen, &tasks).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = Some(folder.path().join("governor.json"));
        let governor = Governor::start(Clock::system(), &tasks, file.clone()).await;
        let conditional = conditional(&governor, &tasks).await;
        let mut crowd = tokio::task::JoinSet::new();
        for n in 0..40 {
            let (conditional, api) = (conditional.clone(), api.clone());
            crowd.spawn(async move {
                let request = api.request(Method::GET, &format!("{n}")).expect("a request");
                let toll = api.toll("core", 1, Urgency::Poll);
                conditional.send(toll, request).await.expect("an answer").status.as_u16()
            });
        }
        while crowd.join_next().await.expect("an end").expect("no panic") != 429 {}
        let most = seen.most.load(Ordering::SeqCst);
        assert!((2..=8).contains(&most), "{most}");
        while crowd.len() > 8 {
            crowd.join_next().await.expect("an end").expect("no panic");
        }
        // What was in flight when the refusal came had been sent before; nothing else went.
        let early = seen.early.load(Ordering::SeqCst);
        assert!(early < 8, "{early}");
        let key = Key { host: api.host(), credential: "main".into(), pool: "core".into() };
        assert!(governor.budget(&key).is_some_and(|(left, _)| left < 4990));
        assert!(governor.stretch(&key) >= 190);
        // The next run knows it too, from what was written at once.
        let written = folder.path().join("governor.json");
        for _ in 0..1000 {
            if written.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let next = Governor::start(Clock::system(), &tasks, file).await;
        assert!(next.stretch(&key) >= 190);
        crowd.shutdown().await;
        tasks.stop().await;
        assert_eq!(tasks.panicked(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn whoever_gives_up_takes_no_place() {
        let tasks = Tasks::new();
        let governor = Governor::start(Clock::system(), &tasks, None).await;
        let toll = || Toll {
            host: "h".to_owned(),
            credential: String::new(),
            pool: "core".to_owned(),
            cost: 1,
            urgency: Urgency::Poll,
        };
        let mut passes = Vec::new();
        for _ in 0..8 {
            let Ok(pass) = governor.enter(toll()).await else { panic!("no pass") };
            passes.push(pass);
        }
        {
            let mut late = std::pin::pin!(governor.enter(toll()));
            assert!(late.as_mut().now_or_never().is_none());
            assert_eq!(governor.waits().first().map(|waiting| waiting.count), Some(1));
        }
        assert_eq!(governor.waits(), []);
        passes.pop();
        assert!(governor.enter(toll()).await.is_ok());
        tasks.stop().await;
    }
}
