//! Which reads a hint brings, by what they show.

use super::*;
use crate::model::change::OpenRef;

const START: Timestamp = Timestamp(1_000_000);

fn id() -> RepositoryId {
    RepositoryId::new("github.com", "org/a")
}

fn oid(letter: char) -> Option<Oid> {
    (letter != '-').then(|| letter.to_string().repeat(40).parse().expect("a commit"))
}

/// A repository whose branch `main` and whose change 7 have this head; `-` for none.
fn listing(head: char) -> Listing {
    let mut listing = Listing::default();
    if let Some(head) = oid(head) {
        listing.branches.insert(Name::from("main"), head);
        let ref_name = Name::from("refs/pull/7/head");
        let change = OpenRef { number: 7, head, base: None, ref_name, merge: true, forge: None };
        listing.changes.push(change);
    }
    listing
}

/// Plays `reads`, what each read shows (`!` for one that fails), each taking no time, after the
/// announcements `heard` of one head while `known` was known (`?` for nothing). Gives the seconds
/// after the last hint at which reads began, and how it ended.
fn play(of: &HeadOf, known: char, heard: &str, reads: &str) -> (Vec<u64>, &'static str) {
    let mut state = State::default();
    let known = (known != '?').then(|| listing(known));
    for head in heard.chars() {
        let expected = Some(Expected { of: of.clone(), head: oid(head) });
        let event = Event::Heard { id: id(), expected, known: known.as_ref() };
        assert_eq!(step(&mut state, event, START), [Effect::Read(id())]);
    }
    let (mut now, mut began) = (START, Vec::new());
    for shown in reads.chars() {
        began.push(now.since(START).0 / 1000);
        let seen = (shown != '!').then(|| listing(shown));
        let event = Event::Read { id: id(), listing: seen.as_ref() };
        let effects = step(&mut state, event, now);
        if !effects.is_empty() {
            assert_eq!(effects, [Effect::GaveUp { id: id(), of: of.clone() }]);
            return (began, "gave up");
        }
        let Some(next) = next_at(&state) else { return (began, "over") };
        assert!(step(&mut state, Event::Tick, Timestamp(next.0 - 1)).is_empty());
        now = next;
        assert_eq!(step(&mut state, Event::Tick, now), [Effect::Read(id())]);
    }
    (began, "goes on")
}

#[test]
fn a_read_is_repeated_until_the_forge_agrees_or_shows_something_newer() {
    let whole: &[u64] = &[0, 1, 2, 5, 15, 30];
    for (known, heard, reads, began, end, why) in [
        ('a', "b", "b", &[0][..], "over", "the first read agrees"),
        ('a', "b", "ab", &[0, 1], "over", "it was behind for a moment"),
        ('a', "b", "aaaab", &[0, 1, 2, 5, 15], "over", "it was behind for longer"),
        ('a', "b", "aaaaaa", whole, "gave up", "it was never there"),
        ('a', "b", "c", &[0], "over", "something newer"),
        ('a', "b", "ac", &[0, 1], "over", "something newer, later"),
        ('a', "b", "-", &[0], "over", "gone meanwhile is newer"),
        ('a', "-", "a-", &[0, 1], "over", "deleted or closed"),
        ('-', "b", "-b", &[0, 1], "over", "opened"),
        ('b', "b", "b", &[0], "over", "the head was known already"),
        ('a', "b", "!b", &[0, 1], "over", "a failure is no answer"),
        ('a', "b", "!!!!!!", whole, "gave up", "failures do not go on for ever"),
        ('a', "b", "a!b", &[0, 1, 2], "over", "a failure between"),
        ('?', "b", "b", &[0], "over", "never read before"),
        ('?', "b", "ab", &[0, 1], "over", "never read before, and behind"),
        ('?', "b", "ac", &[0, 1], "over", "never read before, and newer"),
        ('a', "bc", "c", &[0], "over", "the later one counts"),
        ('a', "bc", "abc", &[0, 1, 2], "over", "what was announced before is not newer"),
        ('a', "bc", "bd", &[0, 1], "over", "newer than both"),
        ('a', "cb", "cccccc", whole, "gave up", "they came in the wrong order"),
    ] {
        for of in [HeadOf::Branch("main".into()), HeadOf::Change(7)] {
            assert_eq!(play(&of, known, heard, reads), (began.to_vec(), end), "{why}: {of:?}");
        }
    }
}

#[test]
fn a_read_that_was_on_its_way_does_not_use_up_a_repetition() {
    let mut state = State::default();
    let expected = Some(Expected { of: HeadOf::Change(7), head: oid('b') });
    let known = listing('a');
    step(&mut state, Event::Heard { id: id(), expected, known: Some(&known) }, START);
    for _ in 0..20 {
        let read = Event::Read { id: id(), listing: Some(&known) };
        assert!(step(&mut state, read, START + Span(100)).is_empty());
    }
    assert_eq!(next_at(&state), Some(START + Span::seconds(1)));
    // Read for long, the next one begins when it ends.
    step(&mut state, Event::Tick, START + Span::seconds(1));
    let late = START + Span::seconds(20);
    step(&mut state, Event::Read { id: id(), listing: Some(&known) }, late);
    assert_eq!(next_at(&state), Some(late));
}

#[test]
fn what_is_awaited_is_bounded_and_forgotten_with_its_repository() {
    let mut state = State::default();
    let heard = |state: &mut State, expected| {
        let event = Event::Heard { id: id(), expected, known: None };
        assert_eq!(step(state, event, START), [Effect::Read(id())]);
    };
    for number in 0..1_000 {
        heard(&mut state, Some(Expected { of: HeadOf::Change(number), head: oid('b') }));
    }
    assert_eq!(state.0.values().map(BTreeMap::len).sum::<usize>(), MOST);
    for n in 0..10_000_u32 {
        let head = Some(format!("{n:040x}").parse().expect("a commit"));
        heard(&mut state, Some(Expected { of: HeadOf::Change(0), head }));
    }
    let most = state.0.values().flat_map(BTreeMap::values).map(|one| one.before.len()).max();
    assert!(most <= Some(PASSED + 2), "{most:?}");
    keep(&mut state, |_| false);
    assert_eq!(next_at(&state), None);
    assert!(step(&mut state, Event::Read { id: id(), listing: None }, START).is_empty());
    // A hint without a head wants one read.
    heard(&mut state, None);
    assert!(state.0.is_empty());
}
