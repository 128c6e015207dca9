//! Questions that are the same and asked at once are one request.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, WeakShared};

use super::super::gate::Urgency;
use super::{AskError, Freshness};
use crate::http::HttpAnswer;

/// What makes two questions the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// Credential, URL and the headers that select an answer.
    pub(super) id: String,
    pub(super) of: TypeId,
    /// Who is in a hurry does not wait in the queue of those who are not.
    pub(super) urgency: Urgency,
}

/// What a request came to, for all who wait.
#[derive(Clone)]
pub(super) enum Landed {
    Value {
        value: Arc<dyn Any + Send + Sync>,
        freshness: Freshness,
        headers: Arc<Vec<(String, String)>>,
        moved_to: Option<String>,
        digest: String,
    },
    Status(Arc<HttpAnswer>),
}

pub(super) type Landing = Result<Landed, AskError>;

/// Requests under way.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<Listed>>);

#[derive(Default)]
struct Listed {
    /// Those who wait hold a flight; when all of them are gone, so is the request.
    all: HashMap<Question, (u64, WeakShared<BoxFuture<'static, Landing>>)>,
    last: u64,
}

impl Flights {
    /// The result of the request under way, or of the one that `start` makes; with whether it was
    /// another's.
    ///
    /// Whoever waits drives the request, so whoever asked first may go, and no task has to be woken for
    /// an answer that one alone waits for.
    pub(super) async fn join<F>(
        &self,
        question: Question,
        start: impl FnOnce() -> F,
    ) -> (Landing, bool)
    where
        F: Future<Output = Landing> + Send + 'static,
    {
        let (flight, joined) = {
            let mut listed = self.listed();
            match listed.all.get(&question).and_then(|(_, flight)| flight.upgrade()) {
                Some(flight) => (flight, true),
                None => {
                    listed.last += 1;
                    let number = listed.last;
                    let end = End { flights: self.clone(), question: question.clone(), number };
                    let flight = fly(end, start()).boxed().shared();
                    if let Some(weak) = flight.downgrade() {
                        listed.all.insert(question, (number, weak));
                    }
                    (flight, false)
                }
            }
        };
        (flight.await, joined)
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the flight off the list however it ends, also by a panic or when nobody waits any more.
struct End {
    flights: Flights,
    question: Question,
    number: u64,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut listed = self.flights.listed();
        if listed.all.get(&self.question).is_some_and(|(number, _)| *number == self.number) {
            listed.all.remove(&self.question);
        }
    }
}

async fn fly(end: End, request: impl Future<Output = Landing>) -> Landing {
    let landing = request.await;
    // First off the list: whoever asks from now on asks anew.
    drop(end);
    landing
}
