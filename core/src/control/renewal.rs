//! When a token that expires is renewed: before it ends, and not all tokens at once.

use super::backoff::jittered;
use crate::model::time::{Span, Timestamp};

/// So long before its end a token is renewed, a little more or less for each.
const BEFORE: Span = Span::minutes(5);

/// Between two attempts while the present token still holds.
const AGAIN: Span = Span::seconds(30);

/// A token that expires, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    expires_at: Timestamp,
    renew_at: Timestamp,
    tried_at: Option<Timestamp>,
}

/// What is to be done before a token is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Use it.
    Nothing,
    /// Renew it; where that fails, it can still be used.
    Better,
    /// There is none that can be used.
    Now,
}

impl Lease {
    /// A token that was given now; `key` names it and spreads the renewals.
    pub fn new(key: &str, expires_at: Timestamp, now: Timestamp) -> Self {
        let lasts = expires_at.since(now);
        // One that hardly lasts is renewed after half its time.
        let before = jittered(BEFORE, key, 0).min(Span(lasts.0 / 2));
        Self { expires_at, renew_at: expires_at - before, tried_at: None }
    }

    /// Whether it is to be renewed.
    pub fn due(&self, now: Timestamp) -> Due {
        if now >= self.expires_at {
            return Due::Now;
        }
        let waits = self.tried_at.is_some_and(|at| now < at + AGAIN);
        if now < self.renew_at || waits { Due::Nothing } else { Due::Better }
    }

    /// It could not be renewed.
    pub fn tried(&mut self, now: Timestamp) {
        self.tried_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn a_token_is_renewed_before_its_end_and_used_until_it() {
        let mut lease = Lease::new("app 1, installation 2", at(3600), at(0));
        // What it is, when it is due.
        for (second, due) in [(0, Due::Nothing), (3240, Due::Nothing), (3361, Due::Better)] {
            assert_eq!(lease.due(at(second)), due, "{second}");
        }
        lease.tried(at(3400));
        for (second, due) in [(3401, Due::Nothing), (3430, Due::Better), (3600, Due::Now)] {
            assert_eq!(lease.due(at(second)), due, "{second}");
        }
    }

    #[test]
    fn many_are_not_renewed_at_once() {
        let renewals = (0..100).map(|n| Lease::new(&n.to_string(), at(3600), at(0)).renew_at);
        let different: std::collections::BTreeSet<Timestamp> = renewals.collect();
        assert!(different.len() > 50, "{}", different.len());
    }

    #[test]
    fn one_that_hardly_lasts_is_not_renewed_without_end() {
        let lease = Lease::new("x", at(10), at(0));
        assert_eq!(lease.due(at(0)), Due::Nothing);
        assert_eq!(lease.due(at(5)), Due::Better);
        assert_eq!(Lease::new("x", at(0), at(5)).due(at(5)), Due::Now);
    }
}
