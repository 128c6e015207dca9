//! Time that passed, whatever the clock of the machine does.
//!
//! A clock that is put right, or a machine that slept, must not end a wait that nobody waited for, nor
//! make one endless. What is measured within one process is measured with this.

use crate::model::time::{Span, Timestamp};

/// What counts at most of the time between two looks at the clock.
const GAP: Span = Span::minutes(1);

/// Adds up what passes between looks at a clock that may jump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steady {
    last: Option<Timestamp>,
    passed: Span,
}

impl Steady {
    /// The clock says `now`; what passed since the first look.
    pub fn look(&mut self, now: Timestamp) -> Span {
        let since = self.last.map_or(Span(0), |last| now.since(last).min(GAP));
        self.last = Some(now);
        self.passed = Span(self.passed.0.saturating_add(since.0));
        self.passed
    }

    /// What had passed at the last look.
    pub fn passed(&self) -> Span {
        self.passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_counts_for_little_and_a_jump_back_for_nothing() {
        let (mut steady, start) = (Steady::default(), Timestamp(1_000_000_000));
        assert_eq!(steady.look(start), Span(0));
        assert_eq!(steady.look(start + Span::seconds(5)), Span::seconds(5));
        assert_eq!(steady.look(start + Span::days(1)), Span::seconds(65));
        assert_eq!(steady.look(start), Span::seconds(65));
        assert_eq!(steady.look(start + Span::seconds(1)), Span::seconds(66));
    }
}
