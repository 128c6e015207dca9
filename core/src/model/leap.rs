//! A clock that runs ahead of what passed: it was put forward, or the machine slept.
//!
//! Nobody watched in that time, so it is no quiet time, and nothing grew old in it: what was noted of late is
//! carried along. What was noted long before keeps its date, which was right, and ages by the new time.

use super::identity::ChangeId;
use super::ledger_view::{ChangeFacts, MainlineFacts, Seen, WorkspaceLedger};
use super::time::{Span, Timestamp};

/// What was noted within this time before a leap is carried along.
const OF_LATE: Span = Span::days(1);

/// A leap of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leap {
    /// What the clock last said before.
    pub from: Timestamp,
    /// By how much more than passed it went on.
    pub by: Span,
}

impl Leap {
    /// A time that was noted, by the clock as it is now.
    fn carried(self, noted: Timestamp) -> Timestamp {
        let of_late = noted <= self.from && self.from.since(noted) < OF_LATE;
        if of_late { noted + self.by } else { noted }
    }

    fn carry<'t>(self, noted: impl IntoIterator<Item = &'t mut Timestamp>) {
        noted.into_iter().for_each(|noted| *noted = self.carried(*noted));
    }

    fn seen(self, seen: &Seen) -> Option<Seen> {
        let mut carried = seen.clone();
        self.carry([
            &mut carried.first_seen,
            &mut carried.head_moved_at,
            &mut carried.references_moved_at,
        ]);
        self.carry(carried.awaited.values_mut());
        self.carry(carried.forge.as_mut().map(|forge| &mut forge.moved_at));
        self.carry(carried.asked.iter_mut().flat_map(|asked| asked.at.values_mut()));
        (carried != *seen).then_some(carried)
    }

    /// What a workspace's ledger has to say in place of what was noted of late.
    pub fn of(self, ledger: &WorkspaceLedger) -> Carried {
        let changes = ledger.changes.iter().filter_map(|(id, facts)| {
            let seen = self.seen(&facts.seen)?;
            Some((id.clone(), ChangeFacts { adopted: facts.adopted, seen: seen.into() }))
        });
        let mainline = ledger.mainline.as_ref().and_then(|facts| {
            let mut carried = facts.clone();
            self.carry([&mut carried.moved_at, &mut carried.gathering_since]);
            self.carry(carried.partly.values_mut());
            (carried != *facts).then_some(carried)
        });
        Carried { changes: changes.collect(), mainline }
    }
}

/// Facts with times that a leap carried along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Of changes.
    pub changes: Vec<(ChangeId, ChangeFacts)>,
    /// Of the mainline.
    pub mainline: Option<MainlineFacts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn what_was_noted_of_late_is_carried_along() {
        let leap = Leap { from: START, by: Span::days(400) };
        for (ago, carried) in [(0, true), (86_399, true), (86_400, false), (8_640_000, false)] {
            let noted = START - Span::seconds(ago);
            let expected = if carried { noted + leap.by } else { noted };
            assert_eq!(leap.carried(noted), expected, "{ago} s ago");
        }
        let ahead = START + Span::seconds(1);
        assert_eq!(leap.carried(ahead), ahead, "that was noted after it, or by another clock");
    }
}
