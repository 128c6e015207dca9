//! What was read from the world, or why it could not be.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What is said of something that was never read, or not since the start.
pub const NOT_READ_YET: &str = "not read yet";

/// The answer of some source: known whole, or unknown with a reason. There is no default and no way
/// from a failure to an empty value; that is invariant 1.
///
/// When a value was read is kept beside it (in [`super::snapshot::Times`]), so that reading the same
/// value again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed<T> {
    /// The source answered, wholly.
    Known(Arc<T>),
    /// The source did not answer, or its answer could not be used.
    Unknown(Unknown<T>),
}

/// Why something is unknown, and what was known before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown<T> {
    /// A sentence fragment for people, such as `connection refused by git.example.org`.
    pub why: String,
    /// Since when it has been unknown without a break.
    pub since: Timestamp,
    /// Since when its source has answered, and answers now, that there is no such thing, to a
    /// credential that reads others there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Timestamp>,
    last: Option<Arc<T>>,
}

/// Why somebody wants a value that may be outdated. Nothing may be triggered, closed, cancelled or
/// deleted because of such a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To keep something hidden or covered that was so before.
    Hiding,
    /// To show it to a person, marked as outdated.
    Display,
    /// To go on with the manifest that is in force while an update fails.
    ManifestInForce,
}

impl<T> Observed<T> {
    /// A value that was just read.
    pub fn known(value: T) -> Self {
        Self::Known(Arc::new(value))
    }

    /// Never read so far.
    pub fn not_read_yet(since: Timestamp) -> Self {
        Self::Unknown(Unknown::new(NOT_READ_YET.to_owned(), since, None))
    }

    /// The value, if it is known now.
    pub fn value(&self) -> Option<&Arc<T>> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The value that is known now, or else the last one that was, for a named purpose.
    pub fn last_known(&self, _purpose: Purpose) -> Option<&Arc<T>> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(unknown) => unknown.last.as_ref(),
        }
    }

    /// Why it is unknown.
    pub fn unknown(&self) -> Option<&Unknown<T>> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(unknown) => Some(unknown),
        }
    }

    /// This observation after a failed attempt to read it again at `at`: the last value is kept, the
    /// start of the outage too.
    pub fn failed(&self, why: impl Into<String>, at: Timestamp) -> Self {
        let why = why.into();
        match self {
            Self::Known(value) => Self::Unknown(Unknown::new(why, at, Some(Arc::clone(value)))),
            Self::Unknown(unknown) => {
                Self::Unknown(Unknown::new(why, unknown.since, unknown.last.clone()))
            }
        }
    }

    /// The same where the attempt at `at` was answered: there is no such thing, and that was the
    /// answer since `absent`. It is unknown all the same; how long that can be is for the plan to say.
    pub fn absent(&self, why: impl Into<String>, absent: Timestamp, at: Timestamp) -> Self {
        match self.failed(why, at) {
            Self::Unknown(unknown) => Self::Unknown(Unknown { absent: Some(absent), ..unknown }),
            known @ Self::Known(_) => known,
        }
    }

    /// The same observation of another value, made of this one and of the last one alike.
    pub fn mapped<U>(&self, map: impl Fn(&T) -> U) -> Observed<U> {
        match self {
            Self::Known(value) => Observed::known(map(value)),
            Self::Unknown(unknown) => Observed::Unknown(Unknown {
                why: unknown.why.clone(),
                since: unknown.since,
                absent: unknown.absent,
                last: unknown.last.as_ref().map(|last| Arc::new(map(last))),
            }),
        }
    }

    /// A value kept from an earlier run of the daemon: unknown now, of use only for a purpose.
    pub fn remembered(value: T, since: Timestamp) -> Self {
        let why = format!("{NOT_READ_YET} since the start");
        Self::Unknown(Unknown::new(why, since, Some(Arc::new(value))))
    }
}

impl<T> Unknown<T> {
    /// Whether nobody has tried to read it, or not since the start.
    pub fn is_unread(&self) -> bool {
        self.why.starts_with(NOT_READ_YET)
    }

    fn new(why: String, since: Timestamp, last: Option<Arc<T>>) -> Self {
        Self { why, since, absent: None, last }
    }
}

impl<T: PartialEq> Observed<T> {
    /// `next`, but keeping the allocation of `self` where the values are equal, so that a pointer
    /// comparison finds no difference.
    pub fn replaced_by(&self, next: Self) -> Self {
        match (self, &next) {
            (Self::Known(old), Self::Known(new)) if old == new => Self::Known(Arc::clone(old)),
            (Self::Unknown(Unknown { last: Some(old), .. }), Self::Known(new)) if old == new => {
                Self::Known(Arc::clone(old))
            }
            _ => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_last_value_but_never_shows_it_as_known() {
        let known = Observed::known(vec![1]);
        let failed = known.failed("timed out", Timestamp(5)).failed("refused", Timestamp(9));
        assert_eq!(failed.value(), None);
        assert_eq!(failed.unknown().map(|unknown| unknown.since), Some(Timestamp(5)));
        assert_eq!(failed.last_known(Purpose::Hiding).map(|value| value.len()), Some(1));
        let absent = failed.absent("404", Timestamp(7), Timestamp(10));
        let unknown = absent.unknown().expect("it is not known");
        assert_eq!((unknown.since, unknown.absent), (Timestamp(5), Some(Timestamp(7))));
        assert_eq!(absent.failed("502", Timestamp(11)).unknown().and_then(|now| now.absent), None);
    }
}
