//! The only place that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use crosswatch_core::model::time::{Span, Timestamp};

/// The time of day, and what passed: the system's, or what a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System { since: Instant },
    Manual(Arc<Hands>),
}

#[derive(Debug)]
struct Hands {
    at: AtomicI64,
    passed: AtomicU64,
}

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn system() -> Self {
        Self(Kind::System { since: Instant::now() })
    }

    /// A clock that stands at `at` until it is moved.
    pub fn manual(at: Timestamp) -> Self {
        let (at, passed) = (AtomicI64::new(at.0), AtomicU64::new(0));
        Self(Kind::Manual(Arc::new(Hands { at, passed })))
    }

    /// Lets time pass on a manual clock; the system's clock is left alone.
    pub fn advance(&self, span: Span) {
        if let Kind::Manual(hands) = &self.0 {
            hands.at.fetch_add(i64::try_from(span.0).unwrap_or(i64::MAX), Ordering::SeqCst);
            hands.passed.fetch_add(span.0, Ordering::SeqCst);
        }
    }

    /// Puts a manual clock to `to`, forward or back, while no time passes; the system's clock is left
    /// alone.
    pub fn set(&self, to: Timestamp) {
        if let Kind::Manual(hands) = &self.0 {
            hands.at.store(to.0, Ordering::SeqCst);
        }
    }

    /// What passed since the clock was made. Nobody can set this one, and the time that the machine
    /// sleeps does not count.
    pub fn steady(&self) -> Span {
        match &self.0 {
            Kind::Manual(hands) => Span(hands.passed.load(Ordering::SeqCst)),
            Kind::System { since } => since.elapsed().into(),
        }
    }

    /// The present time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Manual(hands) => Timestamp(hands.at.load(Ordering::SeqCst)),
            Kind::System { .. } => {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}
