//! What an answer says about limits, read from its status, headers and the beginning of its body.

use crate::model::time::{Span, Timestamp};

/// Longest `Retry-After` that is believed.
const LONGEST: Span = Span::days(1);

/// Longest window of a budget that is believed.
const WINDOW: Span = Span::hours(2);

/// How much of a body is looked at.
const BODY: usize = 4096;

/// What an answer says about limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The budget that was charged.
    pub rate: Option<Rate>,
    /// For how long nothing may be sent.
    pub retry_after: Option<Span>,
    /// Whether the body says that a secondary limit was met.
    pub secondary: bool,
}

/// State of a budget by the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The pool, where the forge names it.
    pub pool: Option<String>,
    /// Points of a whole window.
    pub limit: u32,
    /// Points left in this one.
    pub remaining: u32,
    /// When the next window begins, by our clock.
    pub reset_at: Timestamp,
}

impl Answer {
    /// Reads an answer. `header` gives the value of a header by its name in lower case.
    pub fn read<'a>(
        status: u16,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Timestamp,
    ) -> Self {
        let date = header("date").and_then(http_date);
        let refused = matches!(status, 403 | 429);
        Self {
            status,
            rate: Rate::read(&header, date, now),
            retry_after: header("retry-after").and_then(|text| retry_after(text, date, now)),
            secondary: refused && tells_of_secondary(body),
        }
    }
}

impl Rate {
    fn read<'a>(
        header: &impl Fn(&str) -> Option<&'a str>,
        date: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Self> {
        let number = |name: &str| {
            let named = |prefix: &str| header(&format!("{prefix}{name}"));
            named("x-ratelimit-").or_else(|| named("ratelimit-"))?.trim().parse::<u64>().ok()
        };
        let limit = u32::try_from(number("limit")?).ok().filter(|limit| *limit > 0)?;
        let remaining = number("remaining")
            .or_else(|| number("used").map(|used| u64::from(limit).saturating_sub(used)))?;
        let reset = Timestamp::from_seconds(i64::try_from(number("reset")?).ok()?);
        // By the server's own clock where it tells the time: ours may differ.
        let ahead = reset.since(date.unwrap_or(now)).min(WINDOW);
        let pool = header("x-ratelimit-resource").map(str::trim).filter(|name| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            !name.is_empty() && name.len() <= 40 && name.chars().all(plain)
        });
        Some(Self {
            pool: pool.map(str::to_owned),
            limit,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX).min(limit),
            reset_at: now + ahead,
        })
    }
}

/// Whole seconds, or a date.
fn retry_after(text: &str, date: Option<Timestamp>, now: Timestamp) -> Option<Span> {
    let text = text.trim();
    let span = match text.parse::<u64>() {
        Ok(seconds) => Span::seconds(seconds),
        // More digits than a number holds still means: long.
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => LONGEST,
        Err(_) => http_date(text)?.since(date.unwrap_or(now)),
    };
    Some(span.clamp(Span::seconds(1), LONGEST))
}

fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp(zoned.timestamp().as_millisecond()))
}

fn tells_of_secondary(body: &[u8]) -> bool {
    let head = body.get(..body.len().min(BODY)).unwrap_or_default();
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    ["secondary rate limit", "secondary-rate-limit", "abuse detection"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        Answer::read(status, header, body.as_bytes(), NOW)
    }

    #[test]
    fn budgets_are_read() {
        let rate = |headers: &[(&str, &str)]| read(200, headers, "").rate;
        let whole = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4990"),
            ("x-ratelimit-reset", "1800000060"),
            ("x-ratelimit-resource", "graphql"),
        ];
        let expected = Rate {
            pool: Some("graphql".to_owned()),
            limit: 5000,
            remaining: 4990,
            reset_at: NOW + Span::minutes(1),
        };
        assert_eq!(rate(&whole), Some(expected.clone()));
        // GitLab's spelling, without a pool.
        let other = [
            ("ratelimit-limit", "5000"),
            ("ratelimit-remaining", "4990"),
            ("ratelimit-reset", "1800000060"),
        ];
        assert_eq!(rate(&other), Some(Rate { pool: None, ..expected }));
        // A server whose clock is an hour behind: the minute counts, not the hour.
        let behind = [&whole[..], &[("date", "Fri, 15 Jan 2027 08:00:00 GMT")]].concat();
        assert_eq!(rate(&behind).map(|rate| rate.reset_at), Some(NOW + Span::minutes(1)));
        for (name, value) in [
            ("x-ratelimit-limit", "0"),
            ("x-ratelimit-limit", "-1"),
            ("x-ratelimit-remaining", "many"),
            ("x-ratelimit-reset", ""),
        ] {
            let broken = [&[(name, value)], &whole[..]].concat();
            assert_eq!(rate(&broken), None, "{name}: {value}");
        }
        let far = [&[("x-ratelimit-reset", "9999999999999")], &whole[..]].concat();
        assert_eq!(rate(&far).map(|rate| rate.reset_at), Some(NOW + WINDOW));
    }

    #[test]
    fn waiting_times_are_read() {
        let after = |text| read(429, &[("retry-after", text)], "").retry_after;
        assert_eq!(after("30"), Some(Span::seconds(30)));
        assert_eq!(after("0"), Some(Span::seconds(1)));
        assert_eq!(after("99999999999999999999999"), Some(Span::days(1)));
        assert_eq!(after("Fri, 15 Jan 2027 08:02:00 GMT"), Some(Span::minutes(2)));
        assert_eq!(after("soon"), None);
        assert_eq!(after(""), None);
    }

    #[test]
    fn secondary_limits_are_read_from_refusals_only() {
        let body = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert!(read(403, &[], body).secondary);
        assert!(!read(200, &[], body).secondary);
        assert!(!read(403, &[], r#"{"message":"Resource not accessible"}"#).secondary);
    }

    const PARTS: [&str; 18] = [
        "0",
        "1",
        "9",
        "60",
        "4294967296",
        "99999999999999999999",
        "-",
        "+",
        ".",
        " ",
        ",",
        ":",
        "Fri, 15 Jan 2027 08:00:00 GMT",
        "31 Feb",
        "GMT",
        "core",
        "\u{e9}",
        "\u{0}",
    ];
    const NAMES: [&str; 9] = [
        "date",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-used",
        "x-ratelimit-reset",
        "x-ratelimit-resource",
        "ratelimit-limit",
        "ratelimit-reset",
    ];

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(20_000)
        })]

        /// Whatever the headers say, nobody waits longer than what is believed.
        #[test]
        fn any_answer_is_read(
            status in 100_u16..600,
            headers in prop::collection::vec(prop::collection::vec(0..PARTS.len(), 0..4), NAMES.len()),
            body in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let texts: Vec<String> = headers
                .iter()
                .map(|parts| parts.iter().filter_map(|at| PARTS.get(*at)).copied().collect())
                .collect();
            let header = |name: &str| {
                let at = NAMES.iter().position(|other| *other == name)?;
                texts.get(at).map(String::as_str)
            };
            let answer = Answer::read(status, header, &body, NOW);
            prop_assert!(answer.retry_after.is_none_or(|span| span <= LONGEST && span.0 >= 1000));
            if let Some(rate) = answer.rate {
                prop_assert!(rate.remaining <= rate.limit && rate.reset_at <= NOW + WINDOW);
                prop_assert!(rate.reset_at >= NOW);
            }
        }
    }
}
