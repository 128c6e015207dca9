//! What stands between a request and the network: who is to decide when it may go.

use std::fmt;

use futures_util::future::BoxFuture;

use super::HttpAnswer;

/// How much a request can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// A person waits for it.
    Person,
    /// It writes.
    Write,
    /// Looking, which can come later.
    Poll,
}

/// Who pays for a request, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toll {
    /// Host and port.
    pub host: String,
    /// The credential's name, never the secret.
    pub credential: String,
    /// The budget as the forge names it, such as `core` or `graphql`.
    pub pool: String,
    /// Points of that budget.
    pub cost: u32,
    /// How much it can wait.
    pub urgency: Urgency,
}

/// Nothing more goes through: too much waits, or the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Lets requests go when they may.
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// Waits until the request may go. A future that is dropped no longer wants to.
    fn enter(&self, toll: Toll) -> BoxFuture<'static, Result<Box<dyn Pass>, Closed>>;
}

/// A request that went. Dropped, it ended without an answer.
pub trait Pass: Send {
    /// It was answered.
    fn answered(self: Box<Self>, answer: &HttpAnswer);
}
