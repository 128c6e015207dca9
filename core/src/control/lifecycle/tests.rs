//! The life of a workspace, row by row and by chance.

use proptest::prelude::*;

use super::*;

const RULES: Rules<'_> = Rules { key: "w", rebootstrap_after: 3 };
const RUN_BOOTSTRAP: Effect = Effect::Run(Step::Bootstrap);
const RUN_UPDATE: Effect = Effect::Run(Step::Update);

fn go(state: &mut State, event: Event, at: i64) -> Vec<Effect> {
    step(state, event, &RULES, Timestamp(at))
}

fn heads(head: u8) -> Inputs {
    let repository = "f/r".parse().expect("a repository");
    let oid = format!("{head:040x}").parse().expect("an oid");
    vec![(Look { repository, branch: "main".into() }, oid)]
}

fn ready() -> State {
    let mut state = State::default();
    go(&mut state, Event::Tick(None), 0);
    go(&mut state, Event::Granted(Some(heads(1))), 0);
    go(&mut state, Event::Ended(End::Succeeded), 0);
    go(&mut state, Event::Ended(End::Succeeded), 0);
    assert_eq!(phase(&state), Phase::Ready);
    state
}

/// An attempt from waiting to its end; the effects of its first step and of its end.
fn attempt(state: &mut State, end: End) -> (Vec<Effect>, Vec<Effect>) {
    let at = state.not_before.unwrap_or_default().0;
    go(state, Event::Tick(None), at);
    let begun = go(state, Event::Granted(None), at);
    (begun, go(state, Event::Ended(end), at))
}

#[test]
fn a_clock_that_goes_back_delays_no_retry() {
    let mut state = State::default();
    let day = 86_400_000;
    go(&mut state, Event::Tick(None), day);
    go(&mut state, Event::Granted(None), day);
    go(&mut state, Event::Ended(End::Failed), day);
    assert!(go(&mut state, Event::Tick(None), day).is_empty(), "the retry waits");
    assert_eq!(go(&mut state, Event::Tick(None), 0), [Effect::Request(Priority::Usual)]);
}

#[test]
fn a_workspace_is_bootstrapped_once_and_updated_when_its_inputs_move() {
    let mut state = State::default();
    assert_eq!(go(&mut state, Event::Tick(None), 0), vec![Effect::Request(Priority::Usual)]);
    assert_eq!(go(&mut state, Event::Granted(Some(heads(1))), 1), vec![RUN_BOOTSTRAP]);
    assert_eq!(phase(&state), Phase::Bootstrapping);
    assert_eq!(go(&mut state, Event::Ended(End::Succeeded), 2), vec![RUN_UPDATE]);
    assert_eq!(phase(&state), Phase::Updating);
    assert_eq!(go(&mut state, Event::Ended(End::Succeeded), 3), vec![Effect::Release]);
    assert_eq!(phase(&state), Phase::Ready);
    assert!(go(&mut state, Event::Tick(None), 4).is_empty(), "unread inputs trigger nothing");
    assert!(go(&mut state, Event::Inputs(Some(heads(1))), 5).is_empty());
    let moved = go(&mut state, Event::Inputs(Some(heads(2))), 6);
    assert_eq!(moved, vec![Effect::Request(Priority::Waited)]);
    let ordered = go(&mut state, Event::Ordered { fresh: false }, 7);
    assert_eq!(ordered, vec![Effect::Request(Priority::Person)], "it moves up in the row");
    assert_eq!(go(&mut state, Event::Granted(Some(heads(2))), 8), vec![RUN_UPDATE]);
}

#[test]
fn a_slot_that_is_no_longer_wanted_is_given_back() {
    let mut state = ready();
    go(&mut state, Event::Inputs(Some(heads(2))), 1);
    assert_eq!(go(&mut state, Event::Granted(Some(heads(1))), 2), vec![Effect::Release]);
    assert_eq!(phase(&state), Phase::Ready);
}

#[test]
fn failures_wait_longer_and_longer_and_a_person_skips_the_wait() {
    let mut state = State::default();
    let mut waits = Vec::new();
    let mut now = 0;
    for _ in 0..3 {
        assert_eq!(go(&mut state, Event::Tick(None), now), vec![Effect::Request(Priority::Usual)]);
        go(&mut state, Event::Granted(None), now);
        assert_eq!(go(&mut state, Event::Ended(End::Failed), now), vec![Effect::Release]);
        let until = state.not_before.expect("a time to try again").0;
        waits.push(until - now);
        assert!(go(&mut state, Event::Tick(None), until - 1).is_empty());
        now = until;
    }
    assert!(waits.is_sorted(), "{waits:?}");
    go(&mut state, Event::Tick(None), now);
    go(&mut state, Event::Granted(None), now);
    go(&mut state, Event::Ended(End::Failed), now);
    assert_eq!(
        go(&mut state, Event::Ordered { fresh: false }, now),
        vec![Effect::Request(Priority::Person)]
    );
}

#[test]
fn after_enough_failed_updates_a_fresh_directory_is_tried_and_the_old_one_kept() {
    let mut state = ready();
    go(&mut state, Event::Ordered { fresh: false }, 0);
    for _ in 0..3 {
        let (begun, ended) = attempt(&mut state, End::Failed);
        assert_eq!((begun, ended), (vec![RUN_UPDATE], vec![Effect::Release]));
    }
    let (begun, ended) = attempt(&mut state, End::Failed);
    assert_eq!(begun, vec![Effect::SetAside, RUN_BOOTSTRAP]);
    assert_eq!(ended, vec![Effect::PutBack, Effect::Release]);
    assert!(state.bootstrapped, "the old directory is there again");
    for _ in 0..3 {
        assert_eq!(attempt(&mut state, End::Failed).0, vec![RUN_UPDATE], "it gets new chances");
    }
    let (begun, ended) = attempt(&mut state, End::Succeeded);
    assert_eq!(begun, vec![Effect::SetAside, RUN_BOOTSTRAP]);
    assert_eq!(ended, vec![RUN_UPDATE]);
    assert_eq!(phase(&state), Phase::Rebootstrapping, "not before its update succeeded too");
    assert_eq!(
        go(&mut state, Event::Ended(End::Succeeded), 0),
        vec![Effect::KeepNew, Effect::Release]
    );
    assert_eq!(phase(&state), Phase::Ready);
}

#[test]
fn zero_never_rebootstraps() {
    let mut state = ready();
    go(&mut state, Event::Ordered { fresh: false }, 0);
    let rules = Rules { rebootstrap_after: 0, ..RULES };
    for _ in 0..20 {
        let at = state.not_before.unwrap_or_default();
        step(&mut state, Event::Tick(None), &rules, at);
        assert_eq!(step(&mut state, Event::Granted(None), &rules, at), vec![RUN_UPDATE]);
        step(&mut state, Event::Ended(End::Failed), &rules, at);
    }
}

#[test]
fn a_persons_fresh_directory_is_tried_until_there_is_one_or_an_update_is_asked_for() {
    let mut state = ready();
    go(&mut state, Event::Ordered { fresh: true }, 0);
    for _ in 0..2 {
        let (begun, ended) = attempt(&mut state, End::Failed);
        assert_eq!(begun, vec![Effect::SetAside, RUN_BOOTSTRAP]);
        assert_eq!(ended, vec![Effect::PutBack, Effect::Release]);
    }
    let written = serde_json::to_string(&state).expect("json");
    state = serde_json::from_str(&written).expect("json");
    assert!(state.fresh, "a restart does not forget it");
    go(&mut state, Event::Ordered { fresh: false }, 0);
    assert_eq!(attempt(&mut state, End::Failed).0, vec![RUN_UPDATE]);
}

#[test]
fn a_directory_that_is_gone_is_bootstrapped() {
    let mut state = ready();
    go(&mut state, Event::Gone, 0);
    assert_eq!(phase(&state), Phase::Absent);
    assert_eq!(attempt(&mut state, End::Failed).0, vec![RUN_BOOTSTRAP]);
}

#[test]
fn a_fenced_directory_is_not_used_until_it_is_free() {
    let mut state = ready();
    go(&mut state, Event::Ordered { fresh: true }, 0);
    let (_, ended) = attempt(&mut state, End::Unkillable);
    assert_eq!(ended, vec![Effect::Release], "nothing is renamed under a living process");
    assert_eq!(phase(&state), Phase::Fenced);
    let much_later = Span::days(1).0 as i64;
    assert!(go(&mut state, Event::Tick(None), much_later).is_empty());
    assert!(go(&mut state, Event::Ordered { fresh: false }, much_later).is_empty());
    let written = serde_json::to_string(&state).expect("json");
    state = serde_json::from_str(&written).expect("json");
    assert_eq!(phase(&state), Phase::Fenced, "a restart does not forget it");
    assert_eq!(go(&mut state, Event::Unfenced, much_later), vec![Effect::PutBack]);
    assert_eq!(
        go(&mut state, Event::Tick(None), much_later),
        vec![Effect::Request(Priority::Person)]
    );
}

#[test]
fn a_silence_that_was_reached_twice_in_a_row_is_doubled_up_to_three_hours() {
    let minutes = |state: &State| silence(state, RunKind::Update, Span::minutes(20)).0 / 60_000;
    let mut state = ready();
    go(&mut state, Event::Ordered { fresh: false }, 0);
    let rules = Rules { rebootstrap_after: 0, ..RULES };
    let end = |state: &mut State, end| {
        let at = state.not_before.unwrap_or_default();
        state.asked = true;
        step(state, Event::Tick(None), &rules, at);
        step(state, Event::Granted(None), &rules, at);
        step(state, Event::Ended(end), &rules, at);
        minutes(state)
    };
    let silent = End::Silent(RunKind::Update);
    assert_eq!(end(&mut state, silent), 20);
    assert_eq!(end(&mut state, End::Failed), 20);
    assert_eq!(end(&mut state, silent), 20, "not in a row");
    assert_eq!(end(&mut state, silent), 40);
    let written = serde_json::to_string(&state).expect("json");
    state = serde_json::from_str(&written).expect("json");
    assert_eq!(minutes(&state), 40, "remembered over a restart");
    assert_eq!(end(&mut state, silent), 80);
    assert_eq!(end(&mut state, End::Failed), 80, "kept until a success");
    assert_eq!(end(&mut state, silent), 160);
    assert_eq!(end(&mut state, silent), 180);
    assert_eq!(silence(&state, RunKind::Update, Span::hours(5)), Span::hours(5));
    assert_eq!(silence(&state, RunKind::Update, Span(0)), Span(0), "none stays none");
    assert_eq!(silence(&state, RunKind::Bootstrap, Span::hours(1)), Span::hours(1));
    assert_eq!(end(&mut state, End::Succeeded), 20);
}

fn events() -> impl Strategy<Value = Event> {
    let inputs = prop_oneof![Just(None), (0_u8..3).prop_map(|head| Some(heads(head)))];
    let ends = prop_oneof![
        4 => Just(End::Succeeded),
        3 => Just(End::Failed),
        1 => Just(End::Silent(RunKind::Update)),
        1 => Just(End::Suspected),
        1 => Just(End::Unkillable),
    ];
    prop_oneof![
        4 => inputs.clone().prop_map(Event::Tick),
        2 => inputs.clone().prop_map(Event::Inputs),
        5 => inputs.prop_map(Event::Granted),
        5 => ends.prop_map(Event::Ended),
        1 => any::<bool>().prop_map(|fresh| Event::Ordered { fresh }),
        1 => Just(Event::Gone),
        1 => Just(Event::Unfenced),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_stays_in_the_machine(
        events in proptest::collection::vec((events(), 0_i64..200_000), 1..120),
    ) {
        let mut state = State::default();
        let mut now = 0;
        // What the world is like: does a step run, is a slot held, does a directory stand aside.
        let (mut runs, mut slot, mut aside) = (false, false, false);
        for (event, later) in events {
            now += later;
            // Slots come to those who asked, ends from what runs.
            if matches!(event, Event::Granted(_)) && (slot || state.waiting.is_none()) {
                continue;
            }
            let before = phase(&state);
            let not_before = state.not_before;
            slot |= matches!(event, Event::Granted(_));
            if matches!(event, Event::Ended(_)) {
                prop_assert_eq!(runs, state.running.is_some());
                runs = false;
            }
            let ordered = matches!(event, Event::Ordered { .. });
            for effect in go(&mut state, event, now) {
                match effect {
                    Effect::Request(_) => {
                        prop_assert!(!slot && !runs);
                        let early = not_before.is_some_and(|time| Timestamp(now) < time);
                        prop_assert!(ordered || !early, "it asked before its time");
                    }
                    Effect::Release => {
                        prop_assert!(slot && !runs, "released while it runs");
                        slot = false;
                    }
                    Effect::SetAside => {
                        prop_assert!(slot && !runs && !aside);
                        aside = true;
                    }
                    Effect::Run(_) => {
                        prop_assert!(slot && !runs, "two runs at once");
                        prop_assert!(before != Phase::Fenced, "it ran in a fenced directory");
                        runs = true;
                    }
                    Effect::PutBack | Effect::KeepNew => {
                        prop_assert!(!runs);
                        aside = false;
                    }
                }
            }
            let after = phase(&state);
            prop_assert!(
                before == after || before.next().contains(&after),
                "{before:?} became {after:?}"
            );
            prop_assert_eq!(runs, state.running.is_some());
            prop_assert!(runs || !slot, "a slot is held for nothing");
            prop_assert!(!aside || runs || state.fenced, "a directory stands aside for nothing");
        }
    }
}

proptest! {
    /// Where nobody asks for the heads, knowing them changes nothing.
    #[test]
    fn heads_that_are_not_asked_for_make_no_difference(
        events in proptest::collection::vec((events(), 0_i64..200_000), 1..60),
        head in 0_u8..3,
    ) {
        let mut state = State::default();
        let mut now = 0;
        for (event, later) in events {
            now += later;
            go(&mut state, event, now);
            if asks_for_inputs(&state) {
                continue;
            }
            let (mut knowing, mut unknowing) = (state.clone(), state.clone());
            prop_assert_eq!(
                go(&mut knowing, Event::Tick(Some(heads(head))), now),
                go(&mut unknowing, Event::Tick(None), now)
            );
            prop_assert_eq!(knowing, unknowing);
            let inputs = heads(head);
            prop_assert!(pending(&state, Some(&inputs)) == pending(&state, None) || state.fenced);
        }
    }
}
