//! Questions that are the same and asked at once are one request.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::super::gate::Urgency;
use super::{AskError, Freshness};
use crate::http::HttpAnswer;
use crate::task::Tasks;

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

type Watched = watch::Sender<Option<Landing>>;

/// Requests under way.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Question, Arc<Watched>>>>);

impl Flights {
    /// The result of the request under way, or of the one that `start` makes; with whether it was
    /// another's. `None` when the request was ended.
    ///
    /// The request runs as a task of its own, so whoever asked first may go.
    pub(super) async fn join<F>(
        &self,
        tasks: &Tasks,
        question: Question,
        start: impl FnOnce() -> F,
    ) -> (Option<Landing>, bool)
    where
        F: Future<Output = Landing> + Send + 'static,
    {
        let (mut landing, joined) = {
            let mut flights = self.flights();
            match flights.get(&question) {
                Some(sender) => (sender.subscribe(), true),
                None => {
                    let sender = Arc::new(Watched::new(None));
                    let receiver = sender.subscribe();
                    flights.insert(question.clone(), Arc::clone(&sender));
                    let end = End { flights: self.clone(), question, sender };
                    tasks.spawn("request", fly(end, start()));
                    (receiver, false)
                }
            }
        };
        let landed = landing.wait_for(Option::is_some).await;
        (landed.ok().and_then(|landed| landed.clone()), joined)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Question, Arc<Watched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the flight off the list however it ends, also by a panic or the daemon's end.
struct End {
    flights: Flights,
    question: Question,
    sender: Arc<Watched>,
}

impl End {
    /// True, and off the list, when nobody waits.
    fn nobody_waits(&self) -> bool {
        let mut flights = self.flights.flights();
        let nobody = self.sender.receiver_count() == 0;
        if nobody {
            flights.remove(&self.question);
        }
        nobody
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        if flights.get(&self.question).is_some_and(|other| Arc::ptr_eq(other, &self.sender)) {
            flights.remove(&self.question);
        }
    }
}

async fn fly(end: End, request: impl Future<Output = Landing>) {
    tokio::pin!(request);
    loop {
        tokio::select! {
            landing = &mut request => {
                let sender = Arc::clone(&end.sender);
                // First off the list: whoever asks from now on asks anew.
                drop(end);
                sender.send_replace(Some(landing));
                return;
            }
            () = end.sender.closed() => {
                if end.nobody_waits() {
                    return;
                }
            }
        }
    }
}
