//! Finds that the clock ran ahead of what passed.

use crate::model::leap::Leap;
use crate::model::time::{Span, Timestamp};

/// Less than this is no leap; a quiet time may end so much early.
const LEAST: Span = Span::seconds(2);

/// Finds leaps by comparing the clock with one that nobody can set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaps {
    last: Option<(Timestamp, Span)>,
    owed: Option<Leap>,
}

impl Leaps {
    /// The clock says `now`, and `steady` passed since some beginning: the leap of which nothing was
    /// carried along yet. Several are one; a clock that goes back takes from it.
    pub fn look(&mut self, now: Timestamp, steady: Span) -> Option<Leap> {
        if let Some((last, before)) = self.last.replace((now, steady)) {
            let ought = last + Span(steady.0.saturating_sub(before.0));
            let (ahead, behind) = (now.since(ought), ought.since(now));
            match &mut self.owed {
                Some(leap) => leap.by = Span((leap.by.0 + ahead.0).saturating_sub(behind.0)),
                None => self.owed = Some(Leap { from: last, by: ahead }),
            }
            self.owed = self.owed.filter(|leap| leap.by >= LEAST);
        }
        self.owed
    }

    /// Everything is carried along.
    pub fn carried(&mut self) {
        self.owed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn only_what_the_clock_ran_ahead_is_a_leap() {
        let (mut leaps, day) = (Leaps::default(), Span::days(1));
        assert_eq!(leaps.look(START, Span(0)), None);
        let mut steady = Span::days(3);
        let mut now = START + steady;
        assert_eq!(leaps.look(now, steady), None, "time passed");
        now = now + Span::seconds(1);
        assert_eq!(leaps.look(now, steady), None, "a clock is put right by a second");
        assert_eq!(leaps.look(now - day, steady), None, "it goes back");
        let leap = Leap { from: now - day, by: day };
        assert_eq!(leaps.look(now, steady), Some(leap));
        steady = Span(steady.0 + 5_000);
        assert_eq!(leaps.look(now + Span::seconds(5), steady), Some(leap), "until it is carried");
        let both = Leap { from: now - day, by: Span::days(3) };
        assert_eq!(leaps.look(now + Span::seconds(5) + Span::days(2), steady), Some(both));
        assert_eq!(leaps.look(now - day, steady), None, "as if nothing had been");
        assert_eq!(leaps.look(now, steady).map(|leap| leap.by), Some(day));
        leaps.carried();
        assert_eq!(leaps.look(now, steady), None);
    }
}
