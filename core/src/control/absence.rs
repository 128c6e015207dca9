//! Since when a forge has said that a repository is not there.

use serde::{Deserialize, Serialize};

use crate::model::time::{Span, Timestamp};

/// Answers further apart than this do not belong together: nobody looked in between.
const GAP: Span = Span::days(2);

/// A repository that is not there, by all that was answered since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// The first answer that said so.
    pub since: Timestamp,
    /// The last one.
    pub last: Timestamp,
}

/// What a look at a repository gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It was read.
    Read,
    /// It is there, but may not be read.
    Refused,
    /// It is not there, to a credential that reads others there.
    Absent,
    /// It is not there, to one of which nobody knows whether it reads anything.
    Hidden,
    /// Nothing that tells whether it is there.
    Failed,
}

impl Look {
    /// Whether the forge said that there is no such repository.
    pub fn is_absent(self) -> bool {
        matches!(self, Self::Absent | Self::Hidden)
    }
}

/// What holds after a look.
pub fn after(before: Option<Absence>, look: Look, now: Timestamp) -> Option<Absence> {
    match look {
        Look::Read | Look::Refused => None,
        Look::Failed | Look::Hidden => before,
        Look::Absent => {
            let before = before.filter(|before| now.since(before.last) <= GAP);
            Some(Absence { since: before.map_or(now, |before| before.since), last: now })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_say_so_one_after_the_other_count() {
        let day = |day: i64| Timestamp(day * 86_400_000);
        // The looks, a day each, and the day since when it is not there.
        let rows: [(&[Look], Option<i64>); 10] = [
            (&[Look::Hidden, Look::Hidden], None),
            (&[Look::Absent, Look::Hidden, Look::Absent], Some(0)),
            (&[Look::Absent, Look::Absent], Some(0)),
            (&[Look::Absent, Look::Failed, Look::Absent], Some(0)),
            (&[Look::Absent, Look::Failed, Look::Failed, Look::Absent], Some(3)),
            (&[Look::Absent, Look::Read, Look::Absent], Some(2)),
            (&[Look::Absent, Look::Refused, Look::Absent], Some(2)),
            (&[Look::Absent, Look::Read], None),
            (&[Look::Refused, Look::Failed], None),
            (&[Look::Failed, Look::Absent], Some(1)),
        ];
        for (looks, since) in rows {
            let absence =
                looks.iter().zip(0..).fold(None, |before, (look, n)| after(before, *look, day(n)));
            assert_eq!(absence.map(|absence| absence.since), since.map(day), "{looks:?}");
        }
    }
}
