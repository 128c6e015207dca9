//! What a token may spend, as GitHub counts it.

use std::collections::{BTreeMap, VecDeque};

/// Limits of a token.
#[derive(Clone, Debug)]
pub struct Limits {
    /// REST points of an hour.
    pub core: u32,
    /// GraphQL points of an hour.
    pub graphql: u32,
    /// REST points of any minute: 1 for reading, 5 for writing.
    pub minute: u32,
    /// GraphQL points of any minute: 1 for a query, 5 for a mutation.
    pub graphql_minute: u32,
    /// What is written in any minute.
    pub content: u32,
    /// Requests at once, REST and GraphQL together.
    pub at_once: usize,
    /// What a refusal by a secondary limit says in `Retry-After`; nothing when left out.
    pub retry_after: Option<u64>,
    /// Seconds of a window.
    pub window: i64,
}

/// Limits, and what was spent of them.
#[derive(Clone, Debug)]
pub struct Meter {
    /// What may be spent.
    pub limits: Limits,
    pools: BTreeMap<&'static str, Pool>,
    recent: VecDeque<(i64, bool, u32, bool)>,
    in_flight: usize,
    closed_at: i64,
    closed_until: i64,
}

/// Milliseconds for which whoever was refused may not know it yet.
const ON_THE_WAY: i64 = 300;

#[derive(Clone, Copy, Debug)]
struct Pool {
    used: u32,
    reset: i64,
}

/// One request, to the limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Toll {
    pub(crate) graphql: bool,
    pub(crate) writes: bool,
    /// What the pool is charged if it is not a 304.
    pub(crate) cost: u32,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Primary,
    Secondary,
    /// It was sent before the time that an earlier refusal named was over.
    Early,
}

/// State of a pool, for the headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) name: &'static str,
    pub(crate) limit: u32,
    pub(crate) used: u32,
    pub(crate) reset: i64,
}

impl Limits {
    /// Those of a user's token at github.com.
    pub fn github() -> Self {
        Self {
            core: 5000,
            graphql: 5000,
            minute: 900,
            graphql_minute: 2000,
            content: 80,
            at_once: 100,
            retry_after: Some(60),
            window: 3600,
        }
    }

    /// None at all, as of an Enterprise server.
    pub fn none() -> Self {
        let most = u32::MAX;
        Self {
            core: most,
            graphql: most,
            minute: most,
            graphql_minute: most,
            content: most,
            at_once: usize::MAX,
            ..Self::github()
        }
    }
}

impl Meter {
    /// Nothing is spent.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            pools: BTreeMap::new(),
            recent: VecDeque::new(),
            in_flight: 0,
            closed_at: 0,
            closed_until: 0,
        }
    }

    /// Points of this hour's REST budget that are spent.
    pub fn spent(&self) -> u32 {
        self.pools.get("core").map_or(0, |pool| pool.used)
    }

    pub(crate) fn enter(&mut self, toll: Toll, now_ms: i64) -> Result<(), Refusal> {
        if now_ms < self.closed_until {
            let knows = now_ms - self.closed_at > ON_THE_WAY;
            return Err(if knows { Refusal::Early } else { Refusal::Secondary });
        }
        while self.recent.front().is_some_and(|(at, ..)| now_ms - at >= 60_000) {
            self.recent.pop_front();
        }
        let points = if toll.writes { 5 } else { 1 };
        let same = self.recent.iter().filter(|(_, graphql, ..)| *graphql == toll.graphql);
        let minute: u32 = same.map(|(_, _, points, _)| points).sum();
        let written = self.recent.iter().filter(|(_, _, _, writes)| *writes).count();
        let most = if toll.graphql { self.limits.graphql_minute } else { self.limits.minute };
        let content = u32::try_from(written).unwrap_or(u32::MAX);
        if minute.saturating_add(points) > most
            || self.in_flight >= self.limits.at_once
            || (toll.writes && content >= self.limits.content)
        {
            self.close(now_ms);
            return Err(Refusal::Secondary);
        }
        let rate = self.rate(toll.graphql, now_ms / 1000);
        if rate.used >= rate.limit {
            return Err(Refusal::Primary);
        }
        self.recent.push_back((now_ms, toll.graphql, points, toll.writes));
        self.in_flight += 1;
        Ok(())
    }

    /// Nothing may come before the time that is named, if one is.
    pub(crate) fn close(&mut self, now_ms: i64) {
        if let Some(seconds) = self.limits.retry_after {
            self.closed_at = now_ms;
            self.closed_until = now_ms + i64::try_from(seconds).unwrap_or(i64::MAX / 2000) * 1000;
        }
    }

    /// Seconds until something may come again, where that was named.
    pub(crate) fn wait(&self, now_ms: i64) -> Option<i64> {
        let left = self.closed_until - now_ms;
        (left > 0).then(|| (left + 999) / 1000)
    }

    pub(crate) fn close_for(&mut self, now_ms: i64, seconds: i64) {
        self.closed_at = now_ms;
        self.closed_until = self.closed_until.max(now_ms + seconds * 1000);
    }

    pub(crate) fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(crate) fn charge(&mut self, toll: Toll, now: i64) {
        self.rate(toll.graphql, now);
        if let Some(pool) = self.pools.get_mut(name(toll.graphql)) {
            pool.used = pool.used.saturating_add(toll.cost);
        }
    }

    pub(crate) fn rate(&mut self, graphql: bool, now: i64) -> Rate {
        let window = self.limits.window;
        let fresh = Pool { used: 0, reset: now + window };
        let pool = self.pools.entry(name(graphql)).or_insert(fresh);
        if pool.reset <= now {
            *pool = fresh;
        }
        let limit = if graphql { self.limits.graphql } else { self.limits.core };
        Rate { name: name(graphql), limit, used: pool.used.min(limit), reset: pool.reset }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }
}

fn name(graphql: bool) -> &'static str {
    if graphql { "graphql" } else { "core" }
}
