//! Tables of single cases, and properties under any order of events.

use proptest::prelude::*;

use super::*;

fn key(pool: &str) -> Key {
    Key { host: "api.example".to_owned(), credential: "main".to_owned(), pool: pool.to_owned() }
}

fn ask(ticket: u64, use_for: Use) -> Event {
    Event::Ask { ticket: Ticket(ticket), key: key("core"), cost: 1, use_for }
}

fn going(effects: &[Effect]) -> Vec<u64> {
    let go = |effect: &Effect| match effect {
        Effect::Go(ticket) => Some(ticket.0),
        _ => None,
    };
    effects.iter().filter_map(go).collect()
}

fn rate(limit: u32, remaining: u32, reset_at: Timestamp) -> Option<Rate> {
    Some(Rate { pool: None, limit, remaining, reset_at })
}

fn answered(ticket: u64, answer: Answer) -> Event {
    Event::Answered { ticket: Ticket(ticket), answer }
}

/// One request goes and is answered.
fn told(answer: Answer, now: Timestamp) -> State {
    let mut state = State::default();
    assert_eq!(going(&step(&mut state, ask(0, Use::Person), now)), [0]);
    step(&mut state, answered(0, answer), now);
    state
}

const T0: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn looks_leave_places_for_writes_and_people() {
    let mut state = State::default();
    let went = |state: &mut State, from: u64, use_for| -> usize {
        (from..from + 20).map(|n| going(&step(state, ask(n, use_for), T0)).len()).sum()
    };
    assert_eq!(went(&mut state, 0, Use::Poll), 8);
    assert_eq!(went(&mut state, 100, Use::Write), 1);
    assert_eq!(went(&mut state, 200, Use::Person), 1);
    // An end lets the most urgent go first.
    assert_eq!(going(&step(&mut state, answered(0, Answer::default()), T0)), [201]);
}

#[test]
fn what_each_refusal_means() {
    let minute = Span::minutes(1);
    let reset = T0 + Span::minutes(30);
    let plain = |status| Answer { status, ..Answer::default() };
    let rows: [(&str, Answer, Span, Option<Why>); 9] = [
        ("an answer", plain(200), Span(0), None),
        ("a right that is missing", plain(403), Span(0), None),
        ("not found", plain(404), Span(0), None),
        ("an error of the server", plain(502), Span(0), None),
        ("too many, no word for how long", plain(429), minute, Some(Why::Secondary)),
        ("secondary limit", Answer { secondary: true, ..plain(403) }, minute, Some(Why::Secondary)),
        (
            "secondary limit with a time",
            Answer { secondary: true, retry_after: Some(Span::seconds(90)), ..plain(403) },
            Span::seconds(90),
            Some(Why::RetryAfter),
        ),
        (
            "maintenance",
            Answer { retry_after: Some(Span::minutes(5)), ..plain(503) },
            Span::minutes(5),
            Some(Why::RetryAfter),
        ),
        (
            "primary limit",
            Answer { rate: rate(5000, 0, reset), ..plain(403) },
            Span::minutes(30),
            Some(Why::Budget),
        ),
    ];
    for (what, answer, wait, why) in rows {
        let mut state = told(answer, T0);
        let went = going(&step(&mut state, ask(1, Use::Person), T0));
        assert_eq!(went.is_empty(), wait > Span(0), "{what}");
        assert_eq!(waits(&state, T0).first().map(|w| w.why), why, "{what}");
        if wait > Span(0) {
            let early = T0 + wait - Span(1);
            assert!(going(&step(&mut state, Event::Tick, early)).is_empty(), "{what}");
            let end = next_at(&state, early).expect("a time to go on");
            assert!(end < T0 + wait + Span::seconds(8), "{what}: {end}");
            assert_eq!(going(&step(&mut state, Event::Tick, end)), [1], "{what}");
        }
    }
}

#[test]
fn a_share_of_the_budget_is_kept() {
    let reset = T0 + Span::minutes(30);
    let rows = [
        (1001, [true, true, true]),
        (1000, [false, true, true]),
        (251, [false, true, true]),
        (250, [false, false, true]),
        (1, [false, false, true]),
        (0, [false, false, false]),
    ];
    for (remaining, may) in rows {
        for (use_for, may) in [Use::Poll, Use::Write, Use::Person].into_iter().zip(may) {
            let mut state =
                told(Answer { rate: rate(5000, remaining, reset), ..Answer::default() }, T0);
            let went = step(&mut state, ask(1, use_for), T0);
            assert_eq!(!going(&went).is_empty(), may, "{remaining} left, {use_for:?}");
        }
    }
}

#[test]
fn what_is_in_flight_is_counted_as_spent() {
    let reset = T0 + Span::minutes(30);
    let mut state = told(Answer { rate: rate(60, 14, reset), ..Answer::default() }, T0);
    let went: usize = (1..9).map(|n| going(&step(&mut state, ask(n, Use::Poll), T0)).len()).sum();
    assert_eq!(went, 2);
    // An answer that was overtaken tells of more than is left.
    let late = Answer { rate: rate(60, 13, reset), ..Answer::default() };
    let last = Answer { rate: rate(60, 12, reset), ..Answer::default() };
    step(&mut state, answered(2, last), T0);
    step(&mut state, answered(1, late), T0);
    assert_eq!(budget(&state, &key("core")), Some((12, 60)));
}

#[test]
fn waiters_do_not_wake_together_at_the_reset() {
    let reset = T0 + Span::minutes(30);
    let mut state = told(Answer { rate: rate(5000, 900, reset), ..Answer::default() }, T0);
    for n in 1..100 {
        assert!(going(&step(&mut state, ask(n, Use::Poll), T0)).is_empty());
    }
    assert!(going(&step(&mut state, Event::Tick, reset)).len() <= 1);
    let mut now = reset;
    let mut first = None;
    let mut most = 0;
    while now < reset + Span::seconds(25) {
        now = now + Span(100);
        let went = going(&step(&mut state, Event::Tick, now));
        first = first.or((!went.is_empty()).then_some(now));
        most = most.max(went.len());
    }
    assert_eq!(most, 1, "one more at a time");
    assert!(first.is_some());
    // Other accounts begin at other times.
    let starts: std::collections::BTreeSet<Timestamp> = (0..10)
        .map(|n| {
            let mut state = State::default();
            let key = Key { credential: format!("token {n}"), ..key("core") };
            let one = |ticket, use_for| Event::Ask {
                ticket: Ticket(ticket),
                key: key.clone(),
                cost: 1,
                use_for,
            };
            step(&mut state, one(0, Use::Person), T0);
            let spent = Answer { rate: rate(5000, 900, reset), ..Answer::default() };
            step(&mut state, answered(0, spent), T0);
            step(&mut state, one(1, Use::Poll), T0);
            step(&mut state, Event::Tick, reset);
            next_at(&state, reset).unwrap_or(reset)
        })
        .collect();
    assert!(starts.len() > 5, "{starts:?}");
}

#[test]
fn intervals_stretch_at_once_and_recover_slowly() {
    let half = T0 + Span::minutes(30);
    let rows = [
        // (left of 5,000 half an hour before the reset, percent at least, at most)
        (5000, 100, 100),
        (3100, 100, 100),
        (2000, 190, 210),
        (1400, 480, 520),
        (1000, 1000, 1000),
    ];
    for (left, least, most) in rows {
        let state = told(Answer { rate: rate(5000, left, half), ..Answer::default() }, T0);
        let percent = stretch(&state, &key("core"), T0);
        assert!((least..=most).contains(&percent), "{left} left: {percent}");
        assert_eq!(stretched(Span::seconds(60), percent), Span(60_000 * percent / 100));
        let later = stretch(&state, &key("core"), T0 + Span::minutes(5));
        assert_eq!(later, percent.saturating_sub(50).max(100));
    }
    let limited = Answer { status: 429, rate: rate(5000, 4900, half), ..Answer::default() };
    assert_eq!(stretch(&told(limited, T0), &key("core"), T0), 200);
    assert_eq!(stretch(&State::default(), &key("core"), T0), 100);
}

#[test]
fn secondary_limits_double_the_wait() {
    let mut state = State::default();
    let mut now = T0;
    let mut waited = Vec::new();
    for round in 0..9 {
        let at = now;
        let mut went = going(&step(&mut state, ask(round, Use::Person), now));
        while went.is_empty() {
            now = next_at(&state, now).expect("it goes on").max(now + Span(1));
            went = going(&step(&mut state, Event::Tick, now));
        }
        waited.push(now.since(at));
        step(&mut state, answered(round, Answer { status: 429, ..Answer::default() }), now);
    }
    for (n, wait) in waited.iter().enumerate().skip(1) {
        let least = Span::minutes(1 << (n - 1).min(10)).min(Span::hours(1));
        assert!(*wait >= least && wait.0 <= least.0 / 10 * 11 + 1000, "{n}: {wait}");
    }
}

#[test]
fn writes_keep_apart() {
    let mut state = State::default();
    let mut times = Vec::new();
    for n in 0..700 {
        step(&mut state, ask(n, Use::Write), T0);
    }
    let mut now = T0;
    let mut sent: Vec<u64> = (0..1).collect();
    while times.len() < 699 {
        for ticket in std::mem::take(&mut sent) {
            let next = going(&step(&mut state, Event::Gone(Ticket(ticket)), now));
            times.extend(next.iter().map(|_| now));
            sent.extend(next);
        }
        now = next_at(&state, now).map_or(now + Span(500), |at| at.max(now + Span(1)));
        let next = going(&step(&mut state, Event::Tick, now));
        times.extend(next.iter().map(|_| now));
        sent.extend(next);
    }
    for (n, at) in times.iter().enumerate() {
        assert!(n < 1 || at.since(times[n - 1]) >= Span::seconds(1));
        assert!(n < 80 || at.since(times[n - 80]) >= Span::minutes(1));
        assert!(n < 500 || at.since(times[n - 500]) >= Span::hours(1));
    }
}

#[test]
fn what_waits_is_said_every_three_minutes() {
    let limited = Answer { status: 429, retry_after: Some(Span::minutes(10)), ..Answer::default() };
    let mut state = told(limited, T0);
    step(&mut state, ask(1, Use::Poll), T0);
    let mut said = Vec::new();
    let mut now = T0;
    while now < T0 + Span::minutes(10) {
        for effect in step(&mut state, Event::Tick, now) {
            if let Effect::Say(waiting) = effect {
                said.push((now.since(T0), waiting.to_string()));
            }
        }
        now = next_at(&state, now).expect("something is due").max(now + Span(1));
    }
    let times: Vec<u64> = said.iter().map(|(at, _)| at.0 / 1000).collect();
    assert_eq!(times, [10, 190, 370, 550]);
    insta::assert_snapshot!(said[0].1, @"api.example (main, core): 1 looks wait since 2027-01-15T08:00:00Z: the forge asked to wait, until 2027-01-15T08:10:00Z");
}

#[test]
fn a_restart_remembers_and_a_clock_set_back_does_not_stall() {
    let limited = Answer { status: 429, retry_after: Some(Span::minutes(10)), ..Answer::default() };
    let mut state = told(limited, T0);
    step(&mut state, ask(1, Use::Poll), T0);
    let text = serde_json::to_string(&state).expect("written");
    let read = || restore(serde_json::from_str(&text).expect("read"), T0 + Span::seconds(1));
    let mut again = read();
    let soon = T0 + Span::minutes(9);
    assert!(going(&step(&mut again, ask(5, Use::Person), soon)).is_empty());
    assert_eq!(going(&step(&mut again, Event::Tick, T0 + Span::minutes(10))), [5]);
    // An hour back: the ten minutes stay ten minutes.
    let mut back = read();
    let earlier = T0 - Span::hours(1);
    assert!(going(&step(&mut back, ask(5, Use::Person), earlier)).is_empty());
    assert_eq!(going(&step(&mut back, Event::Tick, earlier + Span::minutes(10))), [5]);
    let forgotten = restore(read(), T0 + Span::days(3));
    assert_eq!(forgotten.accounts.len(), 0);
}

#[test]
fn a_statement_that_is_not_due_yet_keeps_nobody_busy() {
    let limited = Answer { status: 429, retry_after: Some(Span::minutes(10)), ..Answer::default() };
    let mut state = told(limited, T0);
    step(&mut state, ask(1, Use::Person), T0);
    assert!(matches!(step(&mut state, Event::Tick, T0 + WORTH_SAYING)[..], [Effect::Say(_)]));
    step(&mut state, Event::Gone(Ticket(1)), T0 + WORTH_SAYING);
    let later = T0 + Span::minutes(5);
    step(&mut state, ask(2, Use::Person), later);
    step(&mut state, Event::Tick, later);
    assert_eq!(next_at(&state, later), Some(later + WORTH_SAYING));
}

#[test]
fn what_is_lost_or_too_much_does_not_stop_the_rest() {
    let mut state = State::default();
    for n in 0..20 {
        step(&mut state, ask(n, Use::Poll), T0);
    }
    assert_eq!(going(&step(&mut state, Event::Tick, T0 + LEASE)).len(), 8);
    let mut state = State::default();
    let all: Vec<Effect> = (0..10_100)
        .flat_map(|n| step(&mut state, ask(n, Use::Poll), T0))
        .filter(|effect| matches!(effect, Effect::Refuse(_)))
        .collect();
    assert_eq!(all.len(), 10_100 - 10_000 - 8);
    assert_eq!(step(&mut state, ask(0, Use::Poll), T0), [Effect::Refuse(Ticket(0))]);
}

#[test]
fn one_pool_that_is_spent_leaves_the_others_alone() {
    let reset = T0 + Span::minutes(30);
    let mut state = told(Answer { rate: rate(5000, 0, reset), ..Answer::default() }, T0);
    assert!(going(&step(&mut state, ask(1, Use::Poll), T0)).is_empty());
    let other = Event::Ask { ticket: Ticket(2), key: key("graphql"), cost: 1, use_for: Use::Poll };
    assert_eq!(going(&step(&mut state, other, T0)), [2]);
}

/// One thing that a test does.
#[derive(Clone, Debug)]
enum Act {
    Ask(Use, bool, u32),
    /// The oldest in flight ends.
    End(Reply),
    /// A waiter gives up.
    GiveUp,
    Wait(u64),
}

#[derive(Clone, Debug)]
enum Reply {
    Ok(u32),
    None,
    Denied,
    Secondary,
    After(u64),
    Spent,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let use_for = prop_oneof![1 => Just(Use::Person), 1 => Just(Use::Write), 4 => Just(Use::Poll)];
    let reply = prop_oneof![
        20 => (0_u32..5000).prop_map(Reply::Ok),
        2 => Just(Reply::None),
        2 => Just(Reply::Denied),
        1 => Just(Reply::Secondary),
        1 => (1_u64..400).prop_map(Reply::After),
        1 => Just(Reply::Spent),
    ];
    let act = prop_oneof![
        8 => (use_for, any::<bool>(), 1_u32..30).prop_map(|(u, p, c)| Act::Ask(u, p, c)),
        8 => reply.prop_map(Act::End),
        1 => Just(Act::GiveUp),
        3 => (0_u64..90_000).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Never more than ten in flight or 900 points in a minute, nothing before a `Retry-After` is over,
    /// polls never below their share, and in the end everything that still wants to has gone.
    #[test]
    fn limits_hold_and_everything_goes_in_the_end(acts in acts()) {
        let mut state = State::default();
        let mut now = T0;
        let mut next = 0_u64;
        let mut flying: Vec<u64> = Vec::new();
        let mut waiting: BTreeMap<u64, Use> = BTreeMap::new();
        let mut sent: Vec<(Timestamp, u32)> = Vec::new();
        let mut closed_until = T0;
        let mut uses: BTreeMap<u64, (Use, bool)> = BTreeMap::new();

        macro_rules! apply {
            ($event:expr) => {{
                let effects = step(&mut state, $event, now);
                for ticket in going(&effects) {
                    let use_for = waiting.remove(&ticket).expect("it waited");
                    prop_assert!(now >= closed_until, "sent before the time was over");
                    flying.push(ticket);
                    sent.push((now, if use_for == Use::Write { 5 } else { 1 }));
                    let graphql = uses[&ticket].1;
                    let pool = key(if graphql { "graphql" } else { "core" });
                    if let Some((left, limit)) = budget(&state, &pool) && use_for == Use::Poll {
                        prop_assert!(left >= limit / 5, "a poll took what is kept: {left}");
                    }
                }
                prop_assert!(flying.len() <= IN_FLIGHT);
                let minute: u32 = sent
                    .iter()
                    .filter(|(at, _)| now.since(*at) < Span::minutes(1))
                    .map(|(_, points)| points)
                    .sum();
                prop_assert!(minute <= POINTS);
            }};
        }

        for act in acts {
            match act {
                Act::Ask(use_for, graphql, cost) => {
                    next += 1;
                    waiting.insert(next, use_for);
                    uses.insert(next, (use_for, graphql));
                    let key = key(if graphql { "graphql" } else { "core" });
                    apply!(Event::Ask { ticket: Ticket(next), key, cost, use_for });
                }
                Act::End(reply) if !flying.is_empty() => {
                    let ticket = flying.remove(0);
                    let reset = now + Span::minutes(20);
                    let mut answer = Answer { status: 200, ..Answer::default() };
                    match reply {
                        Reply::Ok(left) => answer.rate = rate(5000, left, reset),
                        Reply::None => {
                            apply!(Event::Gone(Ticket(ticket)));
                            continue;
                        }
                        Reply::Denied => answer.status = 403,
                        Reply::Secondary => {
                            answer.status = 403;
                            answer.secondary = true;
                            closed_until = closed_until.max(now + Span::minutes(1));
                        }
                        Reply::After(seconds) => {
                            answer.status = 429;
                            answer.retry_after = Some(Span::seconds(seconds));
                            closed_until = closed_until.max(now + Span::seconds(seconds));
                        }
                        Reply::Spent => {
                            answer.status = 403;
                            answer.rate = rate(5000, 0, reset);
                        }
                    }
                    apply!(answered(ticket, answer));
                }
                Act::End(_) => {}
                Act::GiveUp => {
                    if let Some((ticket, _)) = waiting.pop_first() {
                        apply!(Event::Gone(Ticket(ticket)));
                    }
                }
                Act::Wait(millis) => {
                    now = now + Span(millis);
                    apply!(Event::Tick);
                }
            }
        }

        let text = serde_json::to_string(&state).expect("written");
        prop_assert!(serde_json::from_str::<State>(&text).is_ok());
        let mut rounds = 0;
        while !waiting.is_empty() {
            rounds += 1;
            prop_assert!(rounds < 5000, "no progress: {:?}", waits(&state, now));
            for ticket in std::mem::take(&mut flying) {
                apply!(answered(ticket, Answer { status: 200, ..Answer::default() }));
            }
            if let Some(at) = next_at(&state, now) {
                now = at.max(now + Span(1));
            }
            apply!(Event::Tick);
        }
    }
}
