//! The only place that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crosswatch_core::model::time::{Span, Timestamp};

/// The time of day: the system's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands at `at` until it is moved.
    pub fn manual(at: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(AtomicI64::new(at.0))))
    }

    /// Moves a manual clock forward; the system's clock is left alone.
    pub fn advance(&self, span: Span) {
        if let Kind::Manual(at) = &self.0 {
            at.fetch_add(i64::try_from(span.0).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Puts a manual clock to `to`, forward or back; the system's clock is left alone.
    pub fn set(&self, to: Timestamp) {
        if let Kind::Manual(at) = &self.0 {
            at.store(to.0, Ordering::SeqCst);
        }
    }

    /// The present time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
            Kind::System => {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}
