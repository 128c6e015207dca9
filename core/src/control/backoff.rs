//! Growing, jittered delays.

use crate::model::time::Span;

/// `base` doubled for each failure after the first, at most `at_most`, then jittered by `key`.
pub fn delay(base: Span, at_most: Span, failures: u32, key: &str) -> Span {
    let doublings = failures.saturating_sub(1).min(20);
    let grown = Span(base.0.saturating_mul(1 << doublings)).min(at_most);
    jittered(grown, key, u64::from(failures))
}

/// `span` made up to a tenth shorter or longer. The same key and round give the same answer, so a
/// schedule can be replayed; different keys spread out.
pub fn jittered(span: Span, key: &str, round: u64) -> Span {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(&round.to_le_bytes());
    let byte = u64::from(hasher.finalize().as_bytes().first().copied().unwrap_or(0));
    // From 90 % to 110 % in 256 steps.
    Span(span.0 / 10 * 9 + span.0 / 5 * byte / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_stay_within_a_tenth() {
        for failures in 1..40 {
            let delay = delay(Span::seconds(10), Span::minutes(10), failures, "a");
            let plain = Span::seconds(10).0.saturating_mul(1 << (failures - 1).min(20));
            let plain = plain.min(Span::minutes(10).0);
            assert!(delay.0 >= plain / 10 * 9 && delay.0 <= plain / 10 * 11 + 10, "{delay:?}");
        }
        let spread: std::collections::BTreeSet<Span> =
            (0..50).map(|n| jittered(Span::minutes(1), &format!("repository {n}"), 0)).collect();
        assert!(spread.len() > 30);
    }
}
