//! One credential at one host: its pools, what it has in flight, and what waits for it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::super::backoff::jittered;
use super::answer::{Answer, Rate};
use super::{IN_FLIGHT, Key, POINTS, Ticket, Use, Waiting, Why};
use crate::model::time::{Span, Timestamp};

/// A minute as the forge counts it, and as much as requests may overtake each other on the way.
const MINUTE: Span = Span::seconds(65);
const WRITE_GAP: Span = Span::seconds(1);
const WRITES_A_MINUTE: usize = 80;
const WRITES_AN_HOUR: usize = 500;
const HOUR: Span = Span::minutes(60);
/// After this it is looked again at what waits for an end that nobody knows.
const UNKNOWN: Span = Span::seconds(1);
/// Two resets as far apart as this may be the same one.
const SAME_RESET: Span = Span::seconds(5);
/// Time in which one more request in flight is allowed while sending begins again.
const RAMP: Span = Span::seconds(5);
/// Across which accounts spread when they begin again.
const SPREAD: u64 = 20_000;
const SECONDARY: Span = Span::minutes(1);
const SECONDARY_LONGEST: Span = Span::hours(1);
const STRETCH_MOST: u64 = 1000;
/// Percent that a stretched interval loses in a minute.
const RECOVERY: u64 = 10;
/// Pools of one account that are remembered; their names come from outside.
const POOLS: usize = 16;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pools: BTreeMap<String, Pool>,
    block: Option<Block>,
    strikes: u32,
    /// Points by the time of sending, of the last minute.
    sent: VecDeque<(Timestamp, u32)>,
    /// Times of writes, of the last hour.
    writes: VecDeque<Timestamp>,
    last_used: Timestamp,
    #[serde(skip)]
    in_flight: BTreeMap<Ticket, Sent>,
    #[serde(skip)]
    queues: BTreeMap<(Use, String), VecDeque<Waiter>>,
    #[serde(skip)]
    said_at: BTreeMap<(Use, String), Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pool {
    /// Zero while nothing is known.
    limit: u32,
    remaining: u32,
    reset_at: Option<Timestamp>,
    /// When polls may begin again after the budget was spent.
    resumes_at: Timestamp,
    stretch: u64,
    stretched_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    from: Timestamp,
    until: Timestamp,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    pool: String,
    cost: u32,
    at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) cost: u32,
    pub(super) since: Timestamp,
    pub(super) arrival: u64,
}

/// Why something is held, and until when where that is known.
type Held = (Why, Option<Timestamp>);

impl Account {
    pub(super) fn waiting(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    pub(super) fn ask(&mut self, use_for: Use, pool: &str, waiter: Waiter) {
        self.queues.entry((use_for, pool.to_owned())).or_default().push_back(waiter);
    }

    /// Forgets a request. If it was sent, what it cost counts as spent.
    pub(super) fn gone(&mut self, ticket: Ticket) {
        if let Some(sent) = self.in_flight.remove(&ticket) {
            if let Some(pool) = self.pools.get_mut(&sent.pool) {
                pool.remaining = pool.remaining.saturating_sub(sent.cost);
            }
            return;
        }
        for queue in self.queues.values_mut() {
            queue.retain(|waiter| waiter.ticket != ticket);
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        self.said_at.retain(|queue, _| self.queues.contains_key(queue));
    }

    pub(super) fn overdue(&self, now: Timestamp, lease: Span) -> Vec<Ticket> {
        let overdue = |sent: &Sent| now.since(sent.at) >= lease;
        self.in_flight.iter().filter(|(_, sent)| overdue(sent)).map(|(t, _)| *t).collect()
    }

    /// Takes the limits from an answer; true when a restart has to know.
    pub(super) fn answered(
        &mut self,
        ticket: Ticket,
        answer: &Answer,
        place: &(String, String),
        now: Timestamp,
    ) -> bool {
        let Some(sent) = self.in_flight.remove(&ticket) else {
            self.gone(ticket);
            return false;
        };
        match &answer.rate {
            Some(rate) => self.charge(&sent.pool, rate, now),
            None => {
                if let Some(pool) = self.pools.get_mut(&sent.pool) {
                    pool.remaining = pool.remaining.saturating_sub(sent.cost);
                }
            }
        }
        let refused = matches!(answer.status, 403 | 429);
        let spent = answer.rate.as_ref().is_some_and(|rate| rate.remaining == 0);
        if let Some(after) = answer.retry_after.filter(|_| refused || answer.status >= 500) {
            self.strike(&sent, refused);
            self.hold(now, now + after, Why::RetryAfter);
        } else if refused && spent && !answer.secondary {
            self.press(&sent.pool, STRETCH_MOST, now);
        } else if answer.secondary || answer.status == 429 {
            self.strike(&sent, true);
            let doublings = self.strikes.saturating_sub(1).min(10);
            let wait = Span(SECONDARY.0 << doublings).min(SECONDARY_LONGEST);
            let key = format!("{} {}", place.0, place.1);
            // Never less than the minute that the forge asks for.
            let wait = wait.max(jittered(wait, &key, u64::from(self.strikes)));
            self.hold(now, now + wait, Why::Secondary);
        } else {
            let calm = |block: &Block| now.since(block.until) > Span::minutes(10);
            if self.block.as_ref().is_some_and(calm) {
                self.block = None;
                self.strikes = 0;
            }
            return spent;
        }
        let more = self.stretch(&sent.pool, now).saturating_mul(2);
        self.press(&sent.pool, more, now);
        true
    }

    /// Only one strike for all that was in flight when the block began.
    fn strike(&mut self, sent: &Sent, counts: bool) {
        let before = |block: &Block| sent.at <= block.from;
        if counts && !self.block.as_ref().is_some_and(before) {
            self.strikes = self.strikes.saturating_add(1);
        }
    }

    fn hold(&mut self, now: Timestamp, until: Timestamp, why: Why) {
        let longer = |block: &Block| block.until >= until;
        if !self.block.as_ref().is_some_and(longer) {
            self.block = Some(Block { from: now, until, why });
        }
    }

    fn charge(&mut self, asked: &str, rate: &Rate, now: Timestamp) {
        let name = rate.pool.as_deref().unwrap_or(asked);
        if self.pools.len() >= POOLS && !self.pools.contains_key(name) {
            return;
        }
        let pool = self.pools.entry(name.to_owned()).or_default();
        // Answers overtake each other: within one window the least that was told is true.
        let window_goes_on = pool.limit == rate.limit
            && pool.reset_at.is_some_and(|at| at > now || rate.reset_at <= at + SAME_RESET);
        pool.remaining =
            if window_goes_on { pool.remaining.min(rate.remaining) } else { rate.remaining };
        let reset_at = if window_goes_on { pool.reset_at } else { None };
        pool.reset_at = reset_at.max(Some(rate.reset_at));
        pool.limit = rate.limit;
        let pressure = pool.pressure(now);
        self.press(name, pressure, now);
    }

    fn press(&mut self, pool: &str, percent: u64, now: Timestamp) {
        let stretch = self.stretch(pool, now).max(percent).min(STRETCH_MOST);
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.stretch = stretch;
            pool.stretched_at = now;
        }
    }

    pub(super) fn stretch(&self, pool: &str, now: Timestamp) -> u64 {
        self.pools.get(pool).map_or(100, |pool| {
            let minutes = now.since(pool.stretched_at).0 / 60_000;
            pool.stretch.saturating_sub(minutes.saturating_mul(RECOVERY)).max(100)
        })
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &str> {
        self.pools.keys().map(String::as_str)
    }

    pub(super) fn budget(&self, pool: &str) -> Option<(u32, u32)> {
        self.pools.get(pool).filter(|p| p.limit > 0).map(|p| (p.remaining, p.limit))
    }

    /// What may go now, the most urgent and then the oldest first.
    pub(super) fn release(&mut self, place: &(String, String), now: Timestamp) -> Vec<Ticket> {
        self.forget(place, now);
        let mut going = Vec::new();
        loop {
            let next = self
                .queues
                .iter()
                .filter_map(|((use_for, pool), queue)| {
                    let head = queue.front()?;
                    let held = self.held(*use_for, pool, head.cost, now);
                    held.is_none().then(|| ((*use_for, head.arrival), pool.clone()))
                })
                .min();
            let Some(((use_for, _), pool)) = next else { break };
            let queue = (use_for, pool.clone());
            let Some(waiter) = self.queues.get_mut(&queue).and_then(VecDeque::pop_front) else {
                break;
            };
            if self.queues.get(&queue).is_some_and(VecDeque::is_empty) {
                self.queues.remove(&queue);
                self.said_at.remove(&queue);
            }
            self.sent.push_back((now, points(use_for)));
            if use_for == Use::Write {
                self.writes.push_back(now);
            }
            self.last_used = now;
            self.in_flight.insert(waiter.ticket, Sent { pool, cost: waiter.cost, at: now });
            going.push(waiter.ticket);
        }
        going
    }

    /// Lets go of what is over: old points, old writes, windows that ended.
    fn forget(&mut self, place: &(String, String), now: Timestamp) {
        while self.sent.front().is_some_and(|(at, _)| now.since(*at) >= MINUTE) {
            self.sent.pop_front();
        }
        while self.writes.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.writes.pop_front();
        }
        for (name, pool) in &mut self.pools {
            let Some(reset_at) = pool.reset_at.filter(|at| *at <= now) else { continue };
            if pool.remaining <= floor(Use::Poll, pool.limit) {
                pool.resumes_at = reset_at + spread(&format!("{} {} {name}", place.0, place.1));
            }
            pool.remaining = pool.limit;
            pool.reset_at = None;
        }
    }

    /// Why a request may not go now.
    fn held(&self, use_for: Use, pool: &str, cost: u32, now: Timestamp) -> Option<Held> {
        if let Some(block) = self.block.as_ref().filter(|block| block.until > now) {
            return Some((block.why, Some(block.until)));
        }
        let known = self.pools.get(pool).filter(|pool| pool.limit > 0);
        if let Some(known) = known {
            let sent = self.in_flight.values().filter(|sent| sent.pool == pool);
            let pending = sent.fold(0_u32, |sum, sent| sum.saturating_add(sent.cost));
            let floor = floor(use_for, known.limit);
            // What costs more than a whole window has may go when the window is fresh.
            let cost = cost.min(known.limit.saturating_sub(floor));
            if known.remaining.saturating_sub(pending) < floor.saturating_add(cost) {
                return Some((Why::Budget, known.reset_at));
            }
        }
        if use_for == Use::Poll {
            let mut resumed = known.map(|pool| pool.resumes_at).unwrap_or_default();
            if let Some(block) = &self.block {
                resumed = resumed.max(block.until);
            }
            let allowed = 1 + usize::try_from(now.since(resumed).0 / RAMP.0).unwrap_or(IN_FLIGHT);
            if now < resumed {
                return Some((Why::Resuming, Some(resumed)));
            }
            if self.in_flight.len() >= allowed {
                let steps = u64::try_from(allowed).unwrap_or(u64::MAX);
                return Some((Why::Resuming, Some(resumed + RAMP.times(steps))));
            }
        }
        if self.in_flight.len() >= in_flight(use_for) {
            return Some((Why::InFlight, None));
        }
        if use_for == Use::Write
            && let Some(until) = self.next_write(now)
        {
            return Some((Why::Writes, Some(until)));
        }
        self.next_point(use_for, now).map(|until| (Why::Minute, Some(until)))
    }

    pub(super) fn free_at(&self, use_for: Use, pool: &str, now: Timestamp) -> Timestamp {
        match self.held(use_for, pool, 1, now) {
            None => now,
            Some((_, until)) => until.unwrap_or(now + UNKNOWN).max(now),
        }
    }

    fn next_write(&self, now: Timestamp) -> Option<Timestamp> {
        let back = |count: usize, span: Span| {
            let at = self.writes.len().checked_sub(count)?;
            self.writes.get(at).map(|at| *at + span)
        };
        [back(1, WRITE_GAP), back(WRITES_A_MINUTE, MINUTE), back(WRITES_AN_HOUR, HOUR)]
            .into_iter()
            .flatten()
            .filter(|until| *until > now)
            .max()
    }

    fn next_point(&self, use_for: Use, now: Timestamp) -> Option<Timestamp> {
        let most = match use_for {
            Use::Person => POINTS,
            Use::Write => POINTS - POINTS / 9,
            Use::Poll => POINTS / 3 * 2,
        };
        let live = |at: Timestamp| now.since(at) < MINUTE;
        let mut sum: u32 = points(use_for);
        let counted = self.sent.iter().filter(|(at, _)| live(*at));
        sum = counted.clone().fold(sum, |sum, (_, points)| sum.saturating_add(*points));
        if sum <= most {
            return None;
        }
        for (at, points) in counted {
            sum = sum.saturating_sub(*points);
            if sum <= most {
                return Some(*at + MINUTE);
            }
        }
        Some(now + MINUTE)
    }

    pub(super) fn waits(&self, place: &(String, String), now: Timestamp) -> Vec<Waiting> {
        let one = |((use_for, pool), queue): (&(Use, String), &VecDeque<Waiter>)| {
            let head = queue.front()?;
            let (why, until) = self.held(*use_for, pool, head.cost, now)?;
            Some(Waiting {
                key: Key { host: place.0.clone(), credential: place.1.clone(), pool: pool.clone() },
                use_for: *use_for,
                count: queue.len(),
                since: head.since,
                why,
                until,
            })
        };
        self.queues.iter().filter_map(one).collect()
    }

    pub(super) fn say(
        &mut self,
        place: &(String, String),
        now: Timestamp,
        after: Span,
        every: Span,
    ) -> Vec<Waiting> {
        let mut said = self.waits(place, now);
        said.retain(|waiting| {
            let queue = (waiting.use_for, waiting.key.pool.clone());
            let again = self.said_at.get(&queue).is_none_or(|at| now.since(*at) >= every);
            now.since(waiting.since) >= after && again
        });
        for waiting in &said {
            self.said_at.insert((waiting.use_for, waiting.key.pool.clone()), now);
        }
        said
    }

    pub(super) fn next_at(
        &self,
        place: &(String, String),
        now: Timestamp,
        after: Span,
        every: Span,
        lease: Span,
    ) -> Option<Timestamp> {
        let due = self.waits(place, now).into_iter().flat_map(|waiting| {
            let queue = (waiting.use_for, waiting.key.pool);
            let said = self.said_at.get(&queue).map(|at| *at + every);
            // A budget whose window's end is not known is tried again in a minute.
            let until = waiting.until.unwrap_or(now + SECONDARY).max(now);
            let worth = waiting.since + after;
            [until, said.map_or(worth, |said| said.max(worth)).max(now)]
        });
        due.chain(self.in_flight.values().map(|sent| sent.at + lease)).min()
    }

    pub(super) fn is_stale(&self, now: Timestamp, stale: Span) -> bool {
        let blocked = self.block.as_ref().is_some_and(|block| block.until > now);
        !blocked && now.since(self.last_used) > stale
    }

    pub(super) fn turn_back(&mut self, by: Span) {
        let back = |at: &mut Timestamp| *at = *at - by;
        for (at, _) in &mut self.sent {
            back(at);
        }
        self.writes.iter_mut().for_each(back);
        back(&mut self.last_used);
        if let Some(block) = &mut self.block {
            back(&mut block.from);
            back(&mut block.until);
        }
        for pool in self.pools.values_mut() {
            pool.reset_at.iter_mut().for_each(back);
            back(&mut pool.resumes_at);
            back(&mut pool.stretched_at);
        }
        self.in_flight.values_mut().for_each(|sent| back(&mut sent.at));
        self.queues.values_mut().flatten().for_each(|waiter| back(&mut waiter.since));
        self.said_at.values_mut().for_each(back);
    }
}

impl Pool {
    /// Percent by which intervals have to stretch for the budget to last to the window's end.
    fn pressure(&self, now: Timestamp) -> u64 {
        let floor = floor(Use::Poll, self.limit);
        let usable = u64::from(self.limit.saturating_sub(floor)).max(1);
        let left = u64::from(self.remaining.saturating_sub(floor)).saturating_mul(1000) / usable;
        let ahead = self.reset_at.map_or(Span(0), |at| at.since(now)).min(HOUR);
        let time = ahead.0.saturating_mul(1000) / HOUR.0;
        if left >= 900 || left >= time {
            return 100;
        }
        (time.saturating_mul(100) / left.max(1)).clamp(100, STRETCH_MOST)
    }
}

/// What has to stay in the budget: polls leave a fifth for writes and people, writes a twentieth.
fn floor(use_for: Use, limit: u32) -> u32 {
    match use_for {
        Use::Person => 0,
        Use::Write => limit / 20,
        Use::Poll => limit / 5,
    }
}

fn in_flight(use_for: Use) -> usize {
    match use_for {
        Use::Person => IN_FLIGHT,
        Use::Write => IN_FLIGHT - 1,
        Use::Poll => IN_FLIGHT - 2,
    }
}

fn points(use_for: Use) -> u32 {
    if use_for == Use::Write { 5 } else { 1 }
}

/// From nothing to [`SPREAD`], by the key.
fn spread(key: &str) -> Span {
    let hash = blake3::hash(key.as_bytes());
    let two = hash.as_bytes().first_chunk().copied().unwrap_or([0, 0]);
    Span(u64::from(u16::from_le_bytes(two)) % SPREAD)
}
