//! Schedules of plain servers and of forges whose repositories have marks.

use super::*;

fn wanted(path: &str, server: &str) -> Wanted {
    let id = RepositoryId::new("mirror", path);
    Wanted { id, server: server.to_owned(), interval: Span::seconds(60), marks: None }
}

#[test]
fn a_shared_repository_is_looked_at_once_an_interval() {
    let mut state = State::default();
    let both = vec![wanted("a", "one"), wanted("a", "one")];
    let effects = step(&mut state, Event::Watch(both), Timestamp(0));
    assert_eq!(effects.len(), 1);
    let id = RepositoryId::new("mirror", "a");
    step(&mut state, Event::Looked { id, answered: true }, Timestamp(10));
    assert!(step(&mut state, Event::Tick, Timestamp(50_000)).is_empty());
    assert_eq!(step(&mut state, Event::Tick, Timestamp(70_000)).len(), 1);
}

#[test]
fn a_server_that_hangs_keeps_only_its_own_waiting() {
    let mut state = State::default();
    let mut all: Vec<Wanted> = (0..100).map(|n| wanted(&format!("hang{n}"), "dead")).collect();
    all.push(wanted("zzz", "alive"));
    let effects = step(&mut state, Event::Watch(all), Timestamp(0));
    assert_eq!(effects.len(), AT_ONE_SERVER + 1);
    assert!(effects.contains(&Effect::Look(RepositoryId::new("mirror", "zzz"))));
}

#[test]
fn a_clock_that_goes_back_delays_no_look() {
    let mut state = State::default();
    let id = RepositoryId::new("mirror", "a");
    let day = 86_400_000;
    step(&mut state, Event::Watch(vec![wanted("a", "one")]), Timestamp(day));
    step(&mut state, Event::Looked { id, answered: true }, Timestamp(day + 10));
    assert!(step(&mut state, Event::Tick, Timestamp(0)).is_empty(), "it was just looked at");
    assert_eq!(step(&mut state, Event::Tick, Timestamp(70_000)).len(), 1);
}

#[test]
fn a_hint_during_a_look_leads_to_another() {
    let mut state = State::default();
    let id = RepositoryId::new("mirror", "a");
    step(&mut state, Event::Watch(vec![wanted("a", "one")]), Timestamp(0));
    step(&mut state, Event::Hint(id.clone()), Timestamp(1));
    let effects = step(&mut state, Event::Looked { id: id.clone(), answered: true }, Timestamp(2));
    assert_eq!(effects, vec![Effect::Look(id)]);
}

#[test]
fn what_leaves_and_comes_back_during_its_look_is_not_looked_at_twice_at_once() {
    for wanted in [wanted("a", "one"), marked("a", None)] {
        let mut state = State::default();
        let watch =
            |paths: &[&Wanted]| Event::Watch(paths.iter().map(|&one| one.clone()).collect());
        let looks = |effects: Vec<Effect>| {
            effects.into_iter().filter(|effect| matches!(effect, Effect::Look(_))).count()
        };
        let mut begun = looks(step(&mut state, watch(&[&wanted]), Timestamp(0)));
        if wanted.marks.is_some() {
            begun += looks(step(&mut state, answer(&["a"], Some(&[("a", "1")])), Timestamp(1)));
        }
        assert_eq!(begun, 1);
        assert!(step(&mut state, watch(&[]), Timestamp(2)).is_empty());
        assert_eq!(next_at(&state), None, "nobody waits for anything of it");
        assert_eq!(looks(step(&mut state, watch(&[&wanted]), Timestamp(3))), 0);
        assert_eq!(looks(step(&mut state, looked("a"), Timestamp(4))), 0);
        assert_eq!(looks(step(&mut state, Event::Hint(id("a")), Timestamp(5))), 1);
        step(&mut state, watch(&[]), Timestamp(6));
        step(&mut state, looked("a"), Timestamp(7));
        assert_eq!(looks(step(&mut state, Event::Hint(id("a")), Timestamp(8))), 0, "it is gone");
        assert_eq!(due_at(&state, &id("a")), None);
    }
}

fn marked(path: &str, mark: Option<&str>) -> Wanted {
    let marks = Some(Marks { reconcile: Span::minutes(15), known: mark.map(str::to_owned) });
    Wanted { marks, ..wanted(path, "api") }
}

fn id(path: &str) -> RepositoryId {
    RepositoryId::new("mirror", path)
}

/// An answer to a question about these.
fn answer(paths: &[&str], marks: Option<&[(&str, &str)]>) -> Event {
    Event::Marks {
        server: "api".to_owned(),
        asked: paths.iter().map(|path| id(path)).collect(),
        marks: marks
            .map(|marks| marks.iter().map(|(path, mark)| (id(path), (*mark).to_owned())).collect()),
    }
}

fn looked(path: &str) -> Event {
    Event::Looked { id: id(path), answered: true }
}

const SECOND: i64 = 1_000;

#[test]
fn one_question_an_interval_finds_what_moved_and_only_that_is_read() {
    let mut state = State::default();
    let all = || vec![marked("a", None), marked("b", None)];
    let asked = vec![Effect::Ask { server: "api".into(), ids: vec![id("a"), id("b")] }];
    assert_eq!(step(&mut state, Event::Watch(all()), Timestamp(0)), asked);
    let effects =
        step(&mut state, answer(&["a", "b"], Some(&[("a", "1"), ("b", "1")])), Timestamp(1));
    assert_eq!(effects, vec![Effect::Look(id("a")), Effect::Look(id("b"))]);
    assert_eq!(mark(&state, &id("a")), Some("1"));
    for path in ["a", "b"] {
        assert!(step(&mut state, looked(path), Timestamp(2)).is_empty());
    }
    assert!(step(&mut state, Event::Watch(all()), Timestamp(3)).is_empty(), "nothing is new");
    assert_eq!(step(&mut state, Event::Tick, Timestamp(70 * SECOND)), asked);
    let effects = step(
        &mut state,
        answer(&["a", "b"], Some(&[("a", "1"), ("b", "2")])),
        Timestamp(70 * SECOND),
    );
    assert_eq!(effects, vec![Effect::Look(id("b"))]);
    // What moves while it is read is read again.
    step(&mut state, Event::Tick, Timestamp(140 * SECOND));
    let moved = answer(&["a", "b"], Some(&[("a", "1"), ("b", "3")]));
    assert!(step(&mut state, moved, Timestamp(140 * SECOND)).is_empty());
    assert_eq!(step(&mut state, looked("b"), Timestamp(141 * SECOND)), vec![Effect::Look(id("b"))]);
}

#[test]
fn what_the_questions_of_one_round_find_is_read_together() {
    let names: Vec<String> = (0..250).map(|n| format!("r{n:03}")).collect();
    let asked = |range: std::ops::Range<usize>, moved: &str| {
        let paths: Vec<&str> = names[range].iter().map(String::as_str).collect();
        let mark = |path: &&'_ str| if *path == moved { "2" } else { "1" };
        let marks: Vec<(&str, &str)> = paths.iter().map(|path| (*path, mark(path))).collect();
        answer(&paths, Some(&marks))
    };
    let looks = |effects: Vec<Effect>| -> Vec<RepositoryId> {
        let looks = effects.into_iter().filter_map(|effect| match effect {
            Effect::Look(id) => Some(id),
            _ => None,
        });
        looks.collect()
    };
    for (ends, expected) in [(true, vec![id("r001"), id("r101")]), (false, vec![id("r001")])] {
        let mut state = State::default();
        let all = names.iter().map(|path| marked(path, Some("1"))).collect();
        step(&mut state, Event::Watch(all), Timestamp(0));
        for range in [0..100, 100..200, 200..250] {
            step(&mut state, asked(range, ""), Timestamp(1));
        }
        let at = Timestamp(70 * SECOND);
        assert_eq!(step(&mut state, Event::Tick, at).len(), 3);
        assert_eq!(looks(step(&mut state, asked(0..100, "r001"), at)), []);
        assert_eq!(looks(step(&mut state, asked(200..250, ""), at + Span(100))), []);
        let found = if ends {
            looks(step(&mut state, asked(100..200, "r101"), at + Span(200)))
        } else {
            // One that hangs keeps nobody waiting.
            assert_eq!(next_at(&state), Some(at + Span(1000)));
            looks(step(&mut state, Event::Tick, at + Span(1000)))
        };
        // More is read along, since the question has room for it.
        assert!(expected.iter().all(|id| found.contains(id)), "{found:?}");
    }
}

#[test]
fn what_an_earlier_run_read_is_confirmed_by_its_mark() {
    let mut state = State::default();
    let all = vec![marked("a", Some("1")), marked("b", Some("1")), marked("c", Some("1"))];
    step(&mut state, Event::Watch(all), Timestamp(0));
    let answer = answer(&["a", "b", "c"], Some(&[("a", "1"), ("b", "2")]));
    assert_eq!(
        step(&mut state, answer, Timestamp(1)),
        vec![Effect::Confirm(id("a")), Effect::Look(id("b")), Effect::Look(id("c"))]
    );
}

#[test]
fn everything_is_read_again_within_the_reconcile_time_and_as_many_at_once_as_one_question_takes() {
    let mut state = State::default();
    let names: Vec<String> = (0..400).map(|n| format!("r{n:03}")).collect();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let marks: Vec<(&str, &str)> = paths.iter().map(|path| (*path, "1")).collect();
    let all = paths.iter().map(|path| marked(path, None)).collect();
    step(&mut state, Event::Watch(all), Timestamp(0));
    let mut reads = vec![0_usize; 40];
    let mut questions = 0;
    for second in (0..40 * 60).step_by(5) {
        let now = Timestamp(second * SECOND);
        let minute = usize::try_from(second / 60).expect("a minute");
        let before = reads[minute];
        let mut events = vec![Event::Tick, answer(&paths, Some(&marks))];
        while let Some(event) = events.pop() {
            for effect in step(&mut state, event, now) {
                if let Effect::Look(id) = effect {
                    reads[minute] += 1;
                    events.push(Event::Looked { id, answered: true });
                }
            }
        }
        if second > 60 {
            questions += (reads[minute] - before).div_ceil(READ_TOGETHER);
        }
    }
    assert_eq!(reads[0], 400, "{reads:?}");
    assert!(reads[1..17].iter().sum::<usize>() >= 400, "{reads:?}");
    assert!(reads[1..].iter().all(|reads| *reads <= 150), "{reads:?}");
    // Eight questions are about 400 repositories; forty minutes are less than three rounds.
    assert!(questions <= 3 * 8, "{questions} questions, {reads:?}");
}

#[test]
fn a_forge_that_does_not_answer_is_asked_less_and_makes_nobody_read_everything() {
    let mut state = State::default();
    let marks = Some(Marks { reconcile: Span::hours(3), known: None });
    let all = vec![Wanted { marks, ..marked("a", None) }];
    step(&mut state, Event::Watch(all), Timestamp(0));
    step(&mut state, answer(&["a"], Some(&[("a", "1")])), Timestamp(1));
    step(&mut state, looked("a"), Timestamp(2));
    let mut asked = 0;
    for second in 60..12 * 60 {
        let now = Timestamp(second * SECOND);
        for effect in step(&mut state, Event::Tick, now) {
            assert!(matches!(effect, Effect::Ask { .. }), "{effect:?}");
            asked += 1;
            assert!(step(&mut state, answer(&["a"], None), now).is_empty());
        }
    }
    assert!((3..=5).contains(&asked), "{asked}");
    // Where nothing was read yet, the question may be all that is broken.
    let mut state = State::default();
    step(&mut state, Event::Watch(vec![marked("a", None)]), Timestamp(0));
    let looks = (0..10 * 60).any(|second| {
        let now = Timestamp(second * SECOND);
        let effects = step(&mut state, Event::Tick, now);
        let answered = step(&mut state, answer(&["a"], None), now);
        [effects, answered].concat().contains(&Effect::Look(id("a")))
    });
    assert!(looks);
}

#[test]
fn a_small_budget_stretches_the_intervals() {
    let mut state = State::default();
    step(&mut state, Event::Watch(vec![marked("a", None)]), Timestamp(0));
    let percent = Event::Stretch { server: "api".into(), percent: 400 };
    step(&mut state, percent, Timestamp(0));
    step(&mut state, answer(&["a"], Some(&[("a", "1")])), Timestamp(0));
    step(&mut state, looked("a"), Timestamp(0));
    assert!(step(&mut state, Event::Tick, Timestamp(200 * SECOND)).is_empty());
    assert_eq!(step(&mut state, Event::Tick, Timestamp(270 * SECOND)).len(), 1);
}

#[test]
fn what_is_archived_or_not_there_is_asked_hourly() {
    for (answered, first) in [(true, 3_600), (false, 60)] {
        let mut state = State::default();
        step(&mut state, Event::Watch(vec![marked("a", None), marked("b", None)]), Timestamp(0));
        let asked = answer(&["a", "b"], Some(&[("a", "1"), ("b", "1")]));
        step(&mut state, asked, Timestamp(SECOND));
        step(&mut state, looked("b"), Timestamp(SECOND));
        let mut now = SECOND;
        let mut waits = Vec::new();
        for _ in 0..12 {
            step(&mut state, Event::Rests { id: id("a"), rests: true }, Timestamp(now));
            step(&mut state, Event::Looked { id: id("a"), answered }, Timestamp(now));
            let due = due_at(&state, &id("a")).expect("it is watched").0;
            waits.push((due - now) / SECOND);
            now = due;
            let effects = step(&mut state, Event::Tick, Timestamp(now));
            assert!(effects.contains(&Effect::Look(id("a"))));
            let about = |effect: &Effect| matches!(effect, Effect::Ask { ids, .. } if ids.contains(&id("a")));
            assert!(!effects.iter().any(about), "it takes no place in a question");
            for effect in effects {
                match effect {
                    Effect::Ask { .. } => {
                        let asked = answer(&["b"], Some(&[("b", "1")]));
                        step(&mut state, asked, Timestamp(now));
                    }
                    Effect::Look(other) if other == id("b") => {
                        step(&mut state, looked("b"), Timestamp(now));
                    }
                    Effect::Look(_) | Effect::Confirm(_) => {}
                }
            }
        }
        let near =
            |wait: i64, expected: i64| (expected * 9 / 10..=expected * 11 / 10 + 1).contains(&wait);
        assert!(near(waits[0], first), "{waits:?}");
        assert!(near(waits[11], 3_600), "{waits:?}");
        step(&mut state, Event::Hint(id("a")), Timestamp(now));
        step(&mut state, Event::Rests { id: id("a"), rests: false }, Timestamp(now));
        step(&mut state, looked("a"), Timestamp(now));
        assert_eq!(due_at(&state, &id("a")), Some(Timestamp(now)), "somebody knew better");
    }
}
