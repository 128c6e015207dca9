//! Conditional requests: what did not change costs no quota and is not parsed again.
//!
//! Only answers to `GET` with 200 and an ETag are kept, and only after the caller could parse them.
//! Every question goes to the server: nothing is answered from memory alone. Entries end after an hour,
//! since servers have answered 304 for what had changed.

mod ask;
mod entries;
mod flights;
mod shelf;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::time::{Span, Timestamp};
use thiserror::Error as ThisError;
use tokio::sync::mpsc;

use super::gate::{Gate, Toll};
use super::{HttpAnswer, HttpClient, HttpError, HttpRequest};
use crate::clock::Clock;
use crate::task::Tasks;
use entries::{Entries, Entry};
use flights::Flights;
use shelf::{Kept, Shelf};

/// Jobs that may wait for the shelf.
const JOBS: usize = 4096;

/// How much is kept, and for how long.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Answers.
    pub entries: usize,
    /// Bytes of all their bodies.
    pub bytes: usize,
    /// Bytes of one body.
    pub body: usize,
    /// After this long an answer is read again without a condition.
    pub max_age: Span,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            entries: 20_000,
            bytes: 64 * 1024 * 1024,
            body: 4 * 1024 * 1024,
            max_age: Span::hours(1),
        }
    }
}

/// How what is known came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing was known before.
    Miss,
    /// It differs from what was known.
    Changed,
    /// It was read whole and is what was known.
    Unchanged,
    /// The server said that it is what was known.
    Revalidated,
}

/// A reply that could be understood, or the answer that has to be.
#[derive(Clone, Debug)]
pub enum Reply<T> {
    /// 200, parsed.
    Value {
        /// What was parsed. Unchanged replies share one value.
        value: Arc<T>,
        /// How it came to be known.
        freshness: Freshness,
        /// `Link` and other headers that belong to the value.
        headers: Arc<Vec<(String, String)>>,
        /// Where redirects led to, if any were followed.
        moved_to: Option<String>,
        /// Digest of the body.
        digest: String,
    },
    /// Any other status; what it means is the caller's to say.
    Status(Arc<HttpAnswer>),
}

/// Why there is no reply.
#[derive(Clone, Debug, ThisError)]
pub enum AskError {
    /// The exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The body was not what it should be.
    #[error("{to} answered with what cannot be read: {why}")]
    Unreadable {
        /// Where it went.
        to: String,
        /// What is wrong with it.
        why: String,
    },
    /// It said that nothing changed, but nothing was known.
    #[error("{to} said that nothing changed since an answer that it never gave")]
    Unasked {
        /// Where it went.
        to: String,
    },
    /// A page names a next one where it cannot be.
    #[error("{to} names a next page outside of its API")]
    Elsewhere {
        /// Where it went.
        to: String,
    },
    /// There is no end to the pages, or they change faster than they are read.
    #[error("{to} has pages that do not come to an end: {why}")]
    Endless {
        /// Where it went.
        to: String,
        /// What was seen.
        why: &'static str,
    },
    /// It was not sent: too much waits already, or the daemon ends.
    #[error("{to} was not asked: too much waits already, or the daemon ends")]
    NotAsked {
        /// Where it was to go.
        to: String,
    },
}

/// Numbers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers about which nothing was known.
    pub miss: u64,
    /// Answers that differ from what was known.
    pub changed: u64,
    /// Answers read whole that are what was known.
    pub unchanged: u64,
    /// 304.
    pub revalidated: u64,
    /// Questions that another's request answered.
    pub coalesced: u64,
}

/// A client that asks conditionally, through a gate, and never the same twice at once.
#[derive(Clone)]
pub struct Conditional(Arc<Inner>);

struct Inner {
    client: HttpClient,
    clock: Clock,
    gate: Option<Arc<dyn Gate>>,
    bounds: Bounds,
    shelf: Option<(Shelf, mpsc::Sender<Job>)>,
    entries: Mutex<Entries>,
    flights: Flights,
    counts: [AtomicU64; 5],
}

impl Conditional {
    /// Without a folder nothing survives a restart; without a gate everything goes at once.
    ///
    /// A folder that cannot be used costs requests after the next restart, so it is only said.
    pub async fn new(
        client: HttpClient,
        clock: Clock,
        tasks: Tasks,
        gate: Option<Arc<dyn Gate>>,
        folder: Option<PathBuf>,
        bounds: Bounds,
    ) -> Self {
        let mut entries = Entries::default();
        let mut shelf = None;
        let (sender, jobs) = mpsc::channel(JOBS);
        if let Some(folder) = folder {
            let now = clock.now();
            let limits = bounds.clone();
            let read = tokio::task::spawn_blocking(move || load(folder, &limits, now)).await;
            match read {
                Ok(Ok((opened, kept))) => {
                    shelf = Some((opened, sender));
                    entries = kept;
                }
                Ok(Err(error)) => tracing::warn!(
                    %error, "answers of forges are not kept over a restart; make the folder writable"
                ),
                Err(_) => tracing::warn!("the folder with answers of forges could not be read"),
            }
        }
        let inner = Arc::new(Inner {
            client,
            clock,
            gate,
            bounds,
            shelf,
            entries: Mutex::new(entries),
            flights: Flights::default(),
            counts: Default::default(),
        });
        tasks.spawn("kept answers", Inner::keep_shelf(Arc::downgrade(&inner), jobs));
        Self(inner)
    }

    /// Asks, and parses a 200 with `parse`, which may be called twice.
    ///
    /// Questions that are the same (credential, URL, headers, type, urgency) and asked at once are
    /// answered by one request. It ends when nobody waits for it any more.
    pub async fn get<T, P>(
        &self,
        toll: Toll,
        request: HttpRequest,
        parse: P,
    ) -> Result<Reply<T>, AskError>
    where
        T: Send + Sync + 'static,
        P: Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    {
        ask::get(&self.0, toll, request, parse).await
    }

    /// Sends through the gate, without condition and without sharing: what writes, and GraphQL.
    pub async fn send(&self, toll: Toll, request: HttpRequest) -> Result<HttpAnswer, AskError> {
        let to = super::shown(&request.url);
        self.0.pass(toll, request, &to).await
    }

    /// Numbers since the start.
    pub fn counts(&self) -> Counts {
        let [miss, changed, unchanged, revalidated, coalesced] =
            self.0.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counts { miss, changed, unchanged, revalidated, coalesced }
    }

    /// Answers that are kept: number and bytes.
    pub fn kept(&self) -> (usize, usize) {
        self.0.entries().size()
    }
}

impl Inner {
    /// One request through the gate.
    async fn pass(
        &self,
        toll: Toll,
        request: HttpRequest,
        to: &str,
    ) -> Result<HttpAnswer, AskError> {
        let pass = match &self.gate {
            Some(gate) => {
                let pass = gate.enter(toll).await;
                Some(pass.map_err(|_| AskError::NotAsked { to: to.to_owned() })?)
            }
            None => None,
        };
        let answer = self.client.send(request).await?;
        if let Some(pass) = pass {
            pass.answered(&answer);
        }
        Ok(answer)
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, host: &str, outcome: Outcome) {
        let (at, name) = match outcome {
            Outcome::Read(Freshness::Miss) => (0, "miss"),
            Outcome::Read(Freshness::Changed) => (1, "changed"),
            Outcome::Read(Freshness::Unchanged) => (2, "unchanged"),
            Outcome::Read(Freshness::Revalidated) => (3, "revalidated"),
            Outcome::Coalesced => (4, "coalesced"),
        };
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        metrics::counter!(
            "crosswatch_http_conditional_total", "host" => host.to_owned(), "outcome" => name
        )
        .increment(1);
    }

    fn keep(&self, entry: Entry, body: bytes::Bytes) {
        let kept = entry.kept.clone();
        let gone = self.entries().put(entry, &self.bounds);
        self.shelve(Job::Write(kept, body));
        gone.into_iter().for_each(|id| self.shelve(Job::Remove(id)));
    }

    fn forget(&self, id: &str) {
        if self.entries().remove(id) {
            self.shelve(Job::Remove(id.to_owned()));
        }
    }

    /// Nobody waits for the shelf: where it cannot keep up, a restart costs some requests more.
    fn shelve(&self, job: Job) {
        if let Some((_, jobs)) = &self.shelf {
            jobs.try_send(job).ok();
        }
    }

    /// Carries out what is to be done on the shelf, in order.
    async fn keep_shelf(weak: std::sync::Weak<Self>, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            let Some(inner) = weak.upgrade() else { break };
            let Some((shelf, _)) = inner.shelf.clone() else { break };
            let written = tokio::task::spawn_blocking(move || match job {
                Job::Write(kept, body) => shelf.write(&kept, &body).map(|()| Some(kept)),
                Job::Remove(id) => shelf.remove(&id).map(|()| None),
            });
            match written.await {
                Ok(Ok(Some(kept))) => inner.entries().shelved(&kept),
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an answer of a forge was not kept"),
            }
        }
    }
}

/// What is to be done on the shelf.
enum Job {
    Write(Kept, bytes::Bytes),
    Remove(String),
}

/// What is counted.
#[derive(Clone, Copy)]
enum Outcome {
    Read(Freshness),
    Coalesced,
}

impl std::fmt::Debug for Conditional {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (entries, bytes) = self.kept();
        f.debug_struct("Conditional")
            .field("entries", &entries)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

fn load(folder: PathBuf, bounds: &Bounds, now: Timestamp) -> std::io::Result<(Shelf, Entries)> {
    let shelf = Shelf::open(&folder)?;
    let mut all = shelf.list()?;
    all.sort_by_key(|kept| kept.read_at);
    let mut entries = Entries::default();
    for kept in all {
        let id = kept.id.clone();
        let entry = Entry { kept, value: None, shelved: true };
        let mut gone = Vec::new();
        if entry.is_fresh(bounds.max_age, now) {
            gone = entries.put(entry, bounds);
        } else {
            gone.push(id);
        }
        for id in gone {
            shelf.remove(&id)?;
        }
    }
    Ok((shelf, entries))
}
