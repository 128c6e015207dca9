//! The order of writes, and a thousand of them within the limits of a forge.

use super::*;
use crate::control::governor::{self, Answer, Effect, Ticket, Use};
use crate::model::identity::Oid;

const T0: Timestamp = Timestamp(1_800_000_000_000);

fn account() -> Account {
    ("api.example".to_owned(), "main".to_owned())
}

fn oid(number: u64) -> Oid {
    format!("{number:040x}").parse().expect("an oid")
}

fn status(repository: &str, workspace: &str) -> Key {
    let repository = RepositoryId::new("github.com", repository);
    let context = Name::from(format!("crosswatch/{workspace}"));
    Key::Status(Name::from(workspace), StatusKey { repository, head: oid(1), context })
}

fn row(key: Key, turn: Turn, since: i64) -> Row {
    Row { key, account: account(), turn, since: Timestamp(since) }
}

fn ready() -> BTreeMap<Account, Timestamp> {
    BTreeMap::from([(account(), T0)])
}

fn written(state: &mut State, rows: &[Row], now: Timestamp) -> Vec<Key> {
    let writes = step(state, Event::Rows(rows.to_vec(), ready()), now);
    writes.into_iter().map(|Write(key)| key).collect()
}

fn ended(state: &mut State, key: &Key, outcome: Outcome, now: Timestamp) {
    let (key, account) = (key.clone(), account());
    assert!(step(state, Event::Ended { key, account, outcome }, now).is_empty());
}

#[test]
fn verdicts_come_first_and_repositories_take_turns() {
    let (a, b, c, d) =
        (status("o/a", "w"), status("o/a", "x"), status("o/b", "w"), status("o/c", "w"));
    let comment = Key::Comment(RepositoryId::new("github.com", "o/a").change(1));
    let mut rows = vec![
        row(d.clone(), Turn::Pending, 1),
        row(a.clone(), Turn::Verdict, 2),
        row(b.clone(), Turn::Verdict, 3),
        row(c.clone(), Turn::Verdict, 4),
        row(comment.clone(), Turn::Comment, 1),
    ];
    let mut state = State::default();
    for expected in [a, c, b, comment, d] {
        assert_eq!(written(&mut state, &rows, T0), std::slice::from_ref(&expected));
        assert!(written(&mut state, &rows, T0).is_empty(), "one at a time");
        assert_eq!(next_at(&state, &rows, &ready()), None);
        ended(&mut state, &expected, Outcome::Over, T0);
        rows.retain(|row| row.key != expected);
    }
    assert_eq!(next_at(&state, &rows, &ready()), None);
}

#[test]
fn nothing_goes_before_its_account_may_write() {
    let mut state = State::default();
    let rows = [row(status("o/a", "w"), Turn::Verdict, 1)];
    let later = BTreeMap::from([(account(), T0 + Span::minutes(5))]);
    assert!(step(&mut state, Event::Rows(rows.to_vec(), later.clone()), T0).is_empty());
    assert_eq!(next_at(&state, &rows, &later), Some(T0 + Span::minutes(5)));
}

#[test]
fn what_fails_waits_and_delays_no_other_repository_until_all_fail() {
    let (a, b) = (status("o/a", "w"), status("o/b", "w"));
    let rows = [row(a.clone(), Turn::Verdict, 1), row(b.clone(), Turn::Verdict, 2)];
    let mut state = State::default();
    assert_eq!(written(&mut state, &rows, T0), std::slice::from_ref(&a));
    ended(&mut state, &a, Outcome::Failed, T0);
    assert_eq!(written(&mut state, &rows, T0), std::slice::from_ref(&b));
    ended(&mut state, &b, Outcome::Over, T0);
    assert!(written(&mut state, &rows[..1], T0).is_empty(), "not at once");
    let at = next_at(&state, &rows[..1], &ready()).expect("a time");
    assert!(at > T0 + Span::seconds(20) && at < T0 + Span::seconds(40), "{at}");
    assert_eq!(written(&mut state, &rows[..1], at), std::slice::from_ref(&a));
    ended(&mut state, &a, Outcome::Over, at);
    // A forge that is down is not asked once for each repository.
    let many: Vec<Row> =
        (0..50).map(|n| row(status(&format!("o/{n}"), "w"), Turn::Verdict, n)).collect();
    let mut tries = 0;
    while let [key] = written(&mut state, &many, at).as_slice() {
        ended(&mut state, key, Outcome::Failed, at);
        tries += 1;
    }
    assert_eq!(tries, 3);
}

/// What GitHub allows: `(span, writes)`.
const ALLOWED: [(Span, usize); 3] =
    [(Span(999), 1), (Span::seconds(60), 80), (Span::minutes(60), 500)];

#[test]
fn a_thousand_workspaces_are_written_within_the_limits_and_not_once_too_often() {
    let key = governor::Key { host: account().0, credential: account().1, pool: "core".to_owned() };
    let (mut state, mut gate) = (State::default(), governor::State::default());
    // One change that a thousand workspaces build; every build takes between 2 and 60 minutes.
    let ends: Vec<Timestamp> =
        (0..1_000_u64).map(|n| T0 + Span::minutes(2) + Span::seconds(n * 7919 % 3480)).collect();
    let wanted = |n: usize, now: Timestamp| match ends.get(n) {
        Some(end) if *end <= now => Turn::Verdict,
        _ => Turn::Pending,
    };
    let keys: Vec<Key> = (0..1_000).map(|n| status("o/a", &format!("{n:04}"))).collect();
    let mut there: Vec<Option<Turn>> = vec![None; 1_000];
    let mut times: Vec<Timestamp> = Vec::new();
    let mut now = T0;
    let mut ticket = 0;
    loop {
        let rows: Vec<Row> = (0..1_000)
            .filter(|n| there[*n] != Some(wanted(*n, now)))
            .map(|n| row(keys[n].clone(), wanted(n, now), 0))
            .collect();
        let free = governor::free_at(&gate, &key, Use::Write, now);
        let ready = BTreeMap::from([(account(), free)]);
        for Write(written) in step(&mut state, Event::Rows(rows.clone(), ready.clone()), now) {
            ticket += 1;
            let (asked, key) = (Ticket(ticket), key.clone());
            let ask = governor::Event::Ask { ticket: asked, key, cost: 1, use_for: Use::Write };
            let effects = governor::step(&mut gate, ask, now);
            assert_eq!(effects, [Effect::Go(asked)], "what was said to be free waits");
            let Key::Status(workspace, _) = &written else { panic!("a comment") };
            let n: usize = workspace.parse().expect("a number");
            assert_ne!(there[n], Some(wanted(n, now)), "written twice");
            there[n] = Some(wanted(n, now));
            times.push(now);
            let answer = Answer { status: 201, ..Answer::default() };
            governor::step(&mut gate, governor::Event::Answered { ticket: asked, answer }, now);
            ended(&mut state, &written, Outcome::Over, now);
        }
        let left = (0..1_000).any(|n| there[n] != Some(Turn::Verdict));
        if !left {
            break;
        }
        let free = governor::free_at(&gate, &key, Use::Write, now);
        let next = next_at(&state, &rows, &BTreeMap::from([(account(), free)]));
        let verdict = ends.iter().copied().filter(|end| *end > now).min();
        now = next.into_iter().chain(verdict).min().unwrap_or(now).max(now + Span(1));
        assert!(now < T0 + Span::hours(6), "it never ends");
    }
    for (at, time) in times.iter().enumerate() {
        for (span, most) in ALLOWED {
            let within = times[at..].iter().take_while(|other| other.since(*time) < span).count();
            assert!(within <= most, "{within} writes within {span} from {time}");
        }
    }
    let verdicts = there.iter().filter(|turn| **turn == Some(Turn::Verdict)).count();
    let took = now.since(T0);
    println!("{} writes for {verdicts} verdicts in {took}", times.len());
    assert_eq!(verdicts, 1_000);
    assert!(times.len() <= 2_000, "{}", times.len());
    assert!(took <= Span::hours(3), "{took}");
}
