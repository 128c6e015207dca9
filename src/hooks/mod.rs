//! Webhooks: taken into the ledger before they are answered, made into hints, and compared with what the
//! forge's own log says of them.

mod keeper;
mod repair;

use crosswatch_core::model::identity::Name;
use tokio::sync::{mpsc, oneshot};

use crate::board::{Board, HooksStatus};
use crate::forge::github::hook::Announced;

pub use keeper::Keeper;
pub use repair::Repair;

/// Deliveries that may wait for the ledger.
const WAITING: usize = 1024;

/// A delivery with a right signature.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The forge's name in the configuration.
    pub forge: Name,
    /// What its repositories are called by.
    pub identity: Name,
    /// The forge's own id of the delivery.
    pub guid: String,
    /// Such as `push`.
    pub event: String,
    /// The forge's own id of the hook; 0 where it was not said.
    pub hook: u64,
    /// What the hook belongs to, in the forge's words.
    pub target: String,
    /// What it says.
    pub announced: Announced,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the ledger, and a hint is on its way.
    New,
    /// It was there before.
    Duplicate,
    /// Nothing that we read can differ after it.
    Idle,
}

/// Why a delivery was not taken. The forge's log will show that, and it is made up for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Too many wait.
    #[error("too many deliveries wait; deliver it again later")]
    Full,
    /// Another daemon leads, or none does.
    #[error("this daemon does not lead; deliver it to the one that does")]
    NotLeading,
    /// The ledger could not store it.
    #[error("it could not be stored: {0}; deliver it again later")]
    Ledger(String),
}

type Answer = oneshot::Sender<Result<Taken, NotTaken>>;

/// Takes deliveries; clones share everything.
#[derive(Clone, Debug)]
pub struct Hooks {
    sender: mpsc::Sender<(Signed, Answer)>,
    board: Board,
}

/// The other end, for [`Keeper`].
pub type Deliveries = mpsc::Receiver<(Signed, Answer)>;

/// What became of deliveries that were not even looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not signed, wrongly signed, or there is no secret.
    Signature,
    /// Signed, and not understood.
    Unreadable,
}

impl Hooks {
    /// Takers and their keeper's end.
    pub fn new(board: Board) -> (Self, Deliveries) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, board }, receiver)
    }

    /// Returns when the delivery is in the ledger.
    pub async fn take(&self, delivery: Signed) -> Result<Taken, NotTaken> {
        let (answer, answered) = oneshot::channel();
        self.sender.try_send((delivery, answer)).map_err(|_| NotTaken::Full)?;
        answered.await.unwrap_or(Err(NotTaken::NotLeading))
    }

    /// Counts a delivery that was refused.
    pub fn refused(&self, forge: &Name, why: Refused) {
        let word = match why {
            Refused::Signature => "refused",
            Refused::Unreadable => "unreadable",
        };
        count(forge, word);
        on(&self.board, forge, |status| match why {
            Refused::Signature => status.counts.refused += 1,
            Refused::Unreadable => status.counts.unreadable += 1,
        });
    }

    /// Says why secrets of a forge cannot be read, or that they can.
    pub fn secrets(&self, forge: &Name, failure: Option<String>) {
        on(&self.board, forge, |status| status.secret = failure);
    }
}

fn on(board: &Board, forge: &Name, change: impl FnOnce(&mut HooksStatus)) {
    board.update(|board| change(board.hooks.entry(forge.clone()).or_default()));
}

fn count(forge: &Name, outcome: &'static str) {
    metrics::counter!("crosswatch_webhooks_total", "forge" => forge.to_string(), "outcome" => outcome)
        .increment(1);
}
