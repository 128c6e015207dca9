//! What is asked about one pull request alone: whether it can be merged, what its author may do.

use super::world::{World, change};
use crate::model::build::Verdict;
use crate::model::change::Rights;
use crate::model::ledger_view::{Adopted, Asked};
use crate::model::question::Question;
use crate::model::settings::{Adopt, OnConflict, RefKind};
use crate::model::time::Span;
use crate::references::{Via, Written};

/// What is wanted of a kind, as `o/a#1` or `o/a eve`.
fn wanted(world: &mut World) -> Vec<String> {
    let made = world.plan();
    let wanted = made.wanted.iter().filter_map(|question| match question {
        Question::Mergeable { repository, number, .. } => {
            Some(format!("{}#{number}", repository.path))
        }
        Question::Rights { repository, login } => Some(format!("{} {login}", repository.path)),
        _ => None,
    });
    wanted.collect()
}

/// A pull request of which the list does not say whether it can be merged.
fn opened(world: &mut World, text: &str, needs: &[&str]) {
    world.push(text, needs);
    world.pull(text, |forge| forge.mergeable = None);
}

#[test]
fn a_new_pull_request_is_asked_about_while_it_settles() {
    let auto = (RefKind::Auto, OnConflict::Head);
    let rows = [
        // What the forge says, the rules, the ref that is built, how long it takes.
        (Some(true), auto, "merge", 90),
        (Some(false), auto, "head", 90),
        (None, auto, "head", 90),
        (Some(true), (RefKind::Merge, OnConflict::Block), "merge", 90),
    ];
    for (answer, (kind, conflict), ending, wait) in rows {
        let mut world = World::new(&["o/a"]);
        world.settings(|w| (w.changes.ref_kind, w.changes.on_conflict) = (kind, conflict));
        opened(&mut world, "o/a#1", &[]);
        assert_eq!(wanted(&mut world), ["o/a#1"], "{kind:?}");
        world.mergeable.insert(change("o/a#1"), answer);
        world.run(0);
        assert_eq!(world.run(wait), ["o/a#1"]);
        assert_eq!(world.ref_of("o/a#1"), format!("refs/pull/1/{ending}"), "{answer:?}");
        let told = world.findings("o/a#1") == ["github.com/o/a#1 conflicts with main"];
        assert_eq!(told, answer == Some(false));
    }
    let mut world = World::new(&["o/a"]);
    world.settings(|w| w.changes.on_conflict = OnConflict::Block);
    opened(&mut world, "o/a#1", &[]);
    world.mergeable.insert(change("o/a#1"), Some(false));
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    assert_eq!(world.decision("o/a#1"), "blocked: Conflict");
}

#[test]
fn a_forge_that_tries_is_waited_for_a_minute_and_its_word_ends_the_wait() {
    for (answer, ending, wait) in [(Some(true), "merge", 1), (None, "head", 59)] {
        let mut world = World::new(&["o/a"]);
        world.settings(|w| w.changes.settle_new = Span::seconds(0));
        opened(&mut world, "o/a#1", &[]);
        world.mergeable.insert(change("o/a#1"), None);
        assert_eq!(world.run(0), [""; 0]);
        assert_eq!(world.run(1), [""; 0]);
        assert_eq!(world.decision("o/a#1"), "held: Mergeability");
        // The forge says it when it is asked again.
        world.mergeable.insert(change("o/a#1"), answer);
        std::sync::Arc::make_mut(&mut world.snapshot.answers)
            .retain(|q, _| !matches!(q, Question::Mergeable { .. }));
        assert_eq!(world.run(wait), ["o/a#1"]);
        assert_eq!(world.ref_of("o/a#1"), format!("refs/pull/1/{ending}"));
    }
}

#[test]
fn nobody_asks_about_what_did_not_move_for_as_long_as_anything_settles() {
    let mut world = World::new(&["o/a"]);
    opened(&mut world, "o/a#1", &[]);
    world.run(0);
    // Ten minutes for those of bots, and one for the forge.
    world.run(659);
    assert_eq!(wanted(&mut world), ["o/a#1"]);
    world.run(1);
    assert!(wanted(&mut world).is_empty());
}

#[test]
fn nobody_asks_twice_about_a_head_or_at_all_where_it_does_not_matter() {
    let mut world = World::new(&["o/a", "o/b"]);
    opened(&mut world, "o/a#1", &[]);
    opened(&mut world, "o/b#1", &[]);
    opened(&mut world, "o/b#2", &[]);
    world.pull("o/b#2", |forge| forge.draft = true);
    assert_eq!(wanted(&mut world), ["o/a#1", "o/b#1"], "of a draft the head is built");
    for text in ["o/a#1", "o/b#1"] {
        world.mergeable.insert(change(text), Some(true));
    }
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.mergeable.clear();
    for _ in 0..20 {
        world.push_base("o/a");
        world.push_base("o/b");
        assert_eq!(world.run(60).iter().filter(|name| *name != "mainline").count(), 0);
        assert!(wanted(&mut world).is_empty());
    }
    // A push is asked about again, and what was known holds until then.
    opened(&mut world, "o/a#1", &[]);
    assert_eq!(wanted(&mut world), ["o/a#1"]);
    world.run(0);
    assert_eq!(world.run(30), ["o/a#1"]);
    assert_eq!(world.ref_of("o/a#1"), "refs/pull/1/merge");
    // After a while nobody asks any more.
    world.run(3600);
    assert!(wanted(&mut world).is_empty());
    for rules in [(RefKind::Head, true), (RefKind::Merge, true), (RefKind::Auto, false)] {
        let mut world = World::new(&["o/a"]);
        world.settings(|w| (w.changes.ref_kind, w.build_changes) = rules);
        opened(&mut world, "o/a#1", &[]);
        assert!(wanted(&mut world).is_empty(), "{rules:?}");
    }
}

#[test]
fn what_was_open_before_is_asked_about_only_as_a_member_or_to_be_built() {
    let mut world = World::fresh(&["o/a", "o/b"]);
    world.settings(|w| w.changes.adopt = Adopt::None);
    for number in 1..=30 {
        opened(&mut world, &format!("o/a#{number}"), &[]);
    }
    world.run(0);
    world.run(0);
    assert!(wanted(&mut world).is_empty());
    let held = world.ledger().changes.values().filter(|f| matches!(f.adopted, Adopted::Held(_)));
    assert_eq!(held.count(), 30);
    opened(&mut world, "o/b#1", &["o/a#7"]);
    assert_eq!(wanted(&mut world), ["o/a#7", "o/b#1"]);
    world.mergeable.insert(change("o/a#7"), Some(true));
    world.mergeable.insert(change("o/b#1"), Some(true));
    world.run(0);
    assert_eq!(world.run(90), ["o/b#1"]);
    let overrides = world.planned("o/b#1").overrides.clone();
    assert!(overrides.iter().all(|entry| entry.ref_name.ends_with("/merge")), "{overrides:?}");
    // A push is to be built.
    opened(&mut world, "o/a#3", &[]);
    assert_eq!(wanted(&mut world), ["o/a#3"]);
}

/// A pull request from eve's own fork.
fn of_eve(world: &mut World, text: &str) {
    world.push(text, &[]);
    world.stranger(text);
}

/// The same, whose body names another change.
fn of_eve_needing(world: &mut World, text: &str, other: &str) {
    of_eve(world, text);
    world.pull(text, |forge| {
        forge.references.references = vec![Written {
            change: change(other),
            as_written: other.to_owned(),
            line: 1,
            via: Via::Line,
        }];
    });
}

#[test]
fn who_may_write_needs_no_approval_and_is_asked_about_only_then() {
    let rows = [
        (Some(Rights::Write), "build", ""),
        (Some(Rights::Less), "held: Approval", "eve may not write to github.com/o/a"),
        (Some(Rights::Untold), "held: Approval", "does not tell our credential what eve may do"),
        (None, "held: Approval", "what eve may do in github.com/o/a is not known: not read yet"),
    ];
    for (rights, decision, said) in rows {
        let mut world = World::new(&["o/a"]);
        of_eve(&mut world, "o/a#1");
        assert_eq!(wanted(&mut world), ["o/a eve"]);
        if let Some(rights) = rights {
            world.rights.insert("eve".into(), rights);
        }
        world.run(0);
        let built = world.run(90);
        assert_eq!(world.decision("o/a#1"), decision, "{rights:?}");
        assert_eq!(built.is_empty(), decision != "build");
        let planned = world.planned("o/a#1");
        assert!(planned.decision.reason().contains(said), "{:?}", planned.decision);
        assert_eq!(planned.trusted, decision == "build");
        assert!(
            world.scratch().workspaces[0]
                .subjects()
                .all(|subject| { subject.triggers.iter().all(|trigger| !trigger.needs_approval) })
        );
    }
    // Nobody asks where the answer would not help: somebody else's fork, a name that is trusted, a
    // draft that is held, what was open before we watched.
    let mut world = World::new(&["o/a"]);
    of_eve(&mut world, "o/a#1");
    world.pull("o/a#1", |forge| forge.source.as_mut().expect("a source").owner = "bob".into());
    assert!(wanted(&mut world).is_empty());
    of_eve(&mut world, "o/a#2");
    assert_eq!(wanted(&mut world), ["o/a eve"]);
    world.settings(|w| w.changes.trusted = vec!["Eve".to_owned()]);
    assert!(wanted(&mut world).is_empty());
    let mut world = World::fresh(&["o/a"]);
    world.settings(|w| w.changes.adopt = Adopt::None);
    of_eve(&mut world, "o/a#1");
    world.run(0);
    assert!(wanted(&mut world).is_empty());
    // Nor where it is not built whatever the answer is: changes are not, a member was closed, or cannot
    // be read.
    let rows: [fn(&mut World); 4] = [
        |_| {},
        |world| world.settings(|w| w.build_changes = false),
        |world| world.close("o/b#1"),
        |world| world.reachable("o/b", false),
    ];
    for (index, happens) in rows.into_iter().enumerate() {
        let mut world = World::new(&["o/a", "o/b"]);
        world.push("o/b#1", &[]);
        world.run(0);
        of_eve_needing(&mut world, "o/a#1", "o/b#1");
        happens(&mut world);
        let expected: &[&str] = if index == 0 { &["o/a eve"] } else { &[] };
        assert_eq!(wanted(&mut world), expected, "row {index}");
    }
}

#[test]
fn rights_that_cannot_be_read_again_take_no_cover_and_build_nothing() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/b#1", &[]);
    of_eve_needing(&mut world, "o/a#1", "o/b#1");
    world.rights.insert("eve".into(), Rights::Write);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    world.finish(Verdict::Success);
    assert_eq!(world.decision("o/b#1"), "covered: o/a#1");
    let at = world.snapshot.at;
    for (question, answer) in std::sync::Arc::make_mut(&mut world.snapshot.answers) {
        if matches!(question, Question::Rights { .. }) {
            *answer = answer.failed("status 502", at);
        }
    }
    world.rights.clear();
    assert_eq!(world.run(600), [""; 0]);
    assert_eq!(world.decision("o/b#1"), "covered: o/a#1");
    assert_eq!(world.decision("o/a#1"), "unchanged");
    // A new head waits until they are known.
    let mut forge = None;
    world.pull("o/a#1", |before| forge = Some(before.clone()));
    world.push("o/a#1", &[]);
    world.pull("o/a#1", |now| *now = forge.expect("what it was"));
    let mut built = world.run(0);
    built.extend(world.run(90));
    assert_eq!(world.decision("o/a#1"), "held: Approval");
    assert!(!built.contains(&"o/a#1".to_owned()), "{built:?}");
    world.rights.insert("eve".into(), Rights::Write);
    assert_eq!(world.run(60), ["o/a#1"]);
}

#[test]
fn what_was_paid_for_and_not_answered_is_paid_for_again_after_an_hour() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/a#1", &["o/b#7"]);
    let begun = world.snapshot.at;
    let paid = |world: &mut World| {
        let asked = world.ledger().changes.get(&change("o/a#1")).and_then(|f| f.asked.clone());
        asked.and_then(|asked| asked.at.get(&change("o/b#7")).copied())
    };
    let hour = Span::hours(1);
    for (since, expected, again) in [(0, 0, None), (30, 0, Some(hour)), (60, 60, None)] {
        world.snapshot.at = begun + Span::minutes(since);
        let made = world.scratch();
        let asked = |question: &Question| matches!(question, Question::Fate { .. });
        assert!(made.wanted.iter().any(asked), "after {since} minutes");
        world.commit(&made);
        assert_eq!(paid(&mut world), Some(begun + Span::minutes(expected)));
        if let Some(again) = again {
            assert_eq!(made.next_at, Some(begun + again), "it is planned again in time");
        }
    }
}

#[test]
fn who_wrote_what_is_queued_is_asked_about_only_where_it_is_built_then() {
    // What is queued was open before we watched, so that nobody asks for the change itself.
    type Happens = fn(&mut World);
    let queue: Happens = |world| {
        world.queue("o/a#1", "main", false);
    };
    let rows: [(&str, Happens, Happens, usize); 7] = [
        ("queued later", |_| {}, queue, 1),
        ("a person wants it", queue, |world| world.rebuild("o/a@1", false), 1),
        ("queued before", queue, |_| {}, 0),
        ("no changes are built", |world| world.settings(|w| w.build_changes = false), queue, 0),
        (
            "a member was closed",
            |_| {},
            |world| {
                world.close("o/b#1");
                world.queue("o/a#1", "main", false);
            },
            0,
        ),
        (
            "a member is unread",
            |_| {},
            |world| {
                world.queue("o/a#1", "main", false);
                world.reachable("o/b", false);
            },
            0,
        ),
        (
            "over its budget",
            |_| {},
            |world| {
                world.many("o/a#1", "o/b", "2", 10);
                world.stranger("o/a#1");
                world.queue("o/a#1", "main", false);
                let spent = |n: u64| (change(&format!("o/b#{}", 100 + n)), world.snapshot.at);
                let asked = Asked { by: "eve".into(), at: (0..60).map(spent).collect() };
                let facts = world.ledger().changes.get_mut(&change("o/a#1")).expect("facts");
                facts.seen_mut().asked = Some(Box::new(asked));
            },
            0,
        ),
    ];
    for (what, before, after, count) in rows {
        let mut world = World::fresh(&["o/a", "o/b"]);
        world.settings(|w| w.changes.adopt = Adopt::None);
        world.push("o/b#1", &[]);
        of_eve_needing(&mut world, "o/a#1", "o/b#1");
        before(&mut world);
        world.run(0);
        world.run(0);
        assert!(wanted(&mut world).is_empty(), "{what}");
        after(&mut world);
        let asked = wanted(&mut world).iter().filter(|one| *one == "o/a eve").count();
        assert_eq!(asked, count, "{what}");
    }
}
