//! What was asked, counted by token and endpoint.

use std::collections::{BTreeMap, VecDeque};

/// Requests that are kept one by one.
const KEPT: usize = 10_000;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Log {
    counts: BTreeMap<(String, String), Count>,
    lines: VecDeque<String>,
    most_in_flight: usize,
    most_in_a_minute: u32,
    early: u64,
    refused: u64,
    minute: BTreeMap<String, VecDeque<(i64, u32)>>,
}

/// Requests of one token to one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub requests: u64,
    /// Those answered 304.
    pub not_modified: u64,
    /// Primary points that they cost.
    pub points: u64,
}

/// What was asked, as a test looks at it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// By the token's name and the endpoint, such as `GET /repos/{}/{}/pulls`.
    pub by_endpoint: BTreeMap<(String, String), Count>,
    /// The last requests with their status, oldest first.
    pub lines: Vec<String>,
    /// Of one token.
    pub most_in_flight: usize,
    /// Points of one token in any minute, REST and GraphQL together.
    pub most_in_a_minute: u32,
    /// Requests sent before the time was over that an answer had named, by one who could know it.
    pub early: u64,
    /// Requests that met a limit.
    pub refused: u64,
}

impl Summary {
    /// All requests.
    pub fn total(&self) -> Count {
        self.of("")
    }

    /// Requests to endpoints with this in them.
    pub fn of(&self, endpoint: &str) -> Count {
        let mut sum = Count::default();
        for ((_, name), count) in &self.by_endpoint {
            if name.contains(endpoint) {
                sum.requests += count.requests;
                sum.not_modified += count.not_modified;
                sum.points += count.points;
            }
        }
        sum
    }
}

impl Log {
    pub(crate) fn arrived(&mut self, token: &str, in_flight: usize, points: u32, now_ms: i64) {
        self.most_in_flight = self.most_in_flight.max(in_flight);
        let minute = self.minute.entry(token.to_owned()).or_default();
        minute.push_back((now_ms, points));
        while minute.front().is_some_and(|(at, _)| now_ms - at >= 60_000) {
            minute.pop_front();
        }
        let sum = minute.iter().map(|(_, points)| points).sum();
        self.most_in_a_minute = self.most_in_a_minute.max(sum);
    }

    pub(crate) fn refused(&mut self, early: bool) {
        self.refused += 1;
        self.early += u64::from(early);
    }

    pub(crate) fn answered(&mut self, token: &str, line: &str, status: u16, points: u32) {
        let count = self.counts.entry((token.to_owned(), endpoint(line))).or_default();
        count.requests += 1;
        count.not_modified += u64::from(status == 304);
        count.points += u64::from(points);
        self.lines.push_back(format!("{token} {line} {status}"));
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            by_endpoint: self.counts.clone(),
            lines: self.lines.iter().cloned().collect(),
            most_in_flight: self.most_in_flight,
            most_in_a_minute: self.most_in_a_minute,
            early: self.early,
            refused: self.refused,
        }
    }

    pub(crate) fn clear(&mut self) {
        let minute = std::mem::take(&mut self.minute);
        *self = Self { minute, ..Self::default() };
    }
}

/// `METHOD /PATH` with names, numbers and commits as `{}`; of GraphQL with what it is about.
fn endpoint(line: &str) -> String {
    const WORDS: [&str; 30] = [
        "repos",
        "repositories",
        "pulls",
        "branches",
        "git",
        "ref",
        "heads",
        "matching-refs",
        "files",
        "issues",
        "comments",
        "statuses",
        "commits",
        "status",
        "check-runs",
        "collaborators",
        "permission",
        "hooks",
        "deliveries",
        "attempts",
        "app",
        "installations",
        "access_tokens",
        "rate_limit",
        "user",
        "orgs",
        "graphql",
        "installation",
        "info",
        "git-upload-pack",
    ];
    let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts = path.split('/').map(|part| match part {
        "" => "",
        part if WORDS.contains(&part) => part,
        _ => "{}",
    });
    let path = parts.collect::<Vec<_>>().join("/");
    // All of GraphQL is one address.
    let about = if path.ends_with("graphql") { format!(" {query}") } else { String::new() };
    format!("{method} {path}{about}")
}
