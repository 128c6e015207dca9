//! A clock that is moved by a day, either way.

use super::world::{World, change, subject};
use crate::model::build::Verdict;
use crate::model::leap::{Carried, Leap};
use crate::model::ledger_view::Rebuild;
use crate::model::time::Span;

const DAY: u64 = 86_400;

/// The clock runs ahead while nothing passes, which the pass notices.
fn ahead(world: &mut World, by: Span) {
    let leap = Leap { from: world.snapshot.at, by };
    let Carried { changes, mainline } = leap.of(world.ledger());
    let ledger = world.ledger();
    ledger.changes.extend(changes);
    ledger.mainline = mainline.or(ledger.mainline.take());
    world.snapshot.at = world.snapshot.at + by;
}

fn back(world: &mut World) {
    world.snapshot.at = world.snapshot.at - Span::days(1);
}

#[test]
fn a_clock_that_goes_back_delays_no_build_and_repeats_none() {
    let mut world = World::new(&["a", "o/b"]);
    world.push("a#1", &[]);
    world.push("o/b#1", &[]);
    world.push_base("a");
    world.run(0);
    back(&mut world);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.run(90), ["o/b#1", "a#1"]);
    assert_eq!(world.run(60), ["mainline"]);
    world.finish(Verdict::Success);
    world.push("a#1", &[]);
    world.pull("o/b#1", |forge| forge.draft = true);
    world.run(0);
    back(&mut world);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"], "a push settles as long as ever");
    back(&mut world);
    assert_eq!(world.run(0), [""; 0]);
}

#[test]
fn a_clock_that_goes_forward_ends_no_quiet_time_and_builds_nothing_again() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &[]);
    world.push_base("b");
    world.run(0);
    world.run(80);
    ahead(&mut world, Span::days(1));
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Settling");
    assert_eq!(world.run(10), ["a#1"], "90 s were quiet");
    ahead(&mut world, Span::days(1));
    assert_eq!(world.run(29), [""; 0]);
    assert_eq!(world.run(1), ["mainline"], "2 min were quiet");
    world.finish(Verdict::Success);
    for _ in 0..3 {
        ahead(&mut world, Span::days(1));
        assert_eq!(world.run(0), [""; 0]);
        assert_eq!(world.decision("a#1"), "unchanged");
    }
    world.push("a#1", &[]);
    world.push("b#1", &["a#1"]);
    world.run(0);
    ahead(&mut world, Span::days(1));
    assert_eq!(world.run(29), [""; 0]);
    assert_eq!(world.run(1), ["a#1"], "a push settles as long as ever");
    ahead(&mut world, Span::days(1));
    assert_eq!(world.run(59), [""; 0]);
    assert_eq!(world.run(1), ["b#1"]);
    world.finish(Verdict::Failure);
    ahead(&mut world, Span::days(1));
    assert_eq!(world.run(0), [""; 0]);
}

#[test]
fn a_clock_that_is_put_right_makes_nothing_stale() {
    let mut world = World::new(&["a", "o/b"]);
    world.settings(|settings| settings.changes.max_age = Span::days(1));
    world.push("a#1", &[]);
    world.push("o/b#1", &[]);
    world.pull("o/b#1", |forge| forge.draft = true);
    world.run(0);
    // It began without a battery, years behind.
    for by in [Span::days(1), Span::days(3000)] {
        ahead(&mut world, by);
        assert_eq!(world.run(0), [""; 0]);
        assert_eq!(world.decision("a#1"), "held: Settling");
    }
    assert_eq!(world.run(90), ["o/b#1", "a#1"]);
    world.finish(Verdict::Success);
    world.push("a#1", &[]);
    world.run(0);
    back(&mut world);
    ahead(&mut world, Span::days(1));
    world.run(0);
    assert_eq!(world.run(30), ["a#1"], "forth and back is as if nothing had been");
}

/// A change that waits for a merged dependency to arrive in the mainline.
fn waiting() -> World {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/a#1", &["o/b#1"]);
    world.push("o/b#1", &[]);
    world.run(0);
    world.close("o/b#1");
    let commit = Some(world.fresh_oid());
    let base = Some("main".into());
    world.become_of("o/b#1", crate::model::change::Fate::Merged { commit, base });
    world.run(120);
    world
}

#[test]
fn a_leap_ends_no_wait_for_a_merged_dependency() {
    let mut world = waiting();
    for _ in 0..2 {
        ahead(&mut world, Span::hours(8));
        assert_eq!(world.run(60), [""; 0]);
        assert_eq!(world.decision("o/a#1"), "held: Mainline");
    }
    assert_eq!(world.run(3600), ["o/a#1"]);
}

#[test]
fn a_lost_build_is_tried_again_though_the_clock_went_back() {
    let mut world = World::new(&["a"]);
    world.push("a#1", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Lost);
    back(&mut world);
    assert_eq!(world.run(0), ["a#1"], "when it was lost is not known: it is due");
    world.finish(Verdict::Success);
    assert_eq!(world.run(0), [""; 0], "the last attempt counts, not the latest time");
    assert_eq!(world.run(2 * DAY), [""; 0]);
}

#[test]
fn a_rebuild_is_one_build_whatever_the_clock_does() {
    let mut world = World::new(&["a"]);
    world.push("a#1", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.run(1);
    world.rebuild("a#1", false);
    back(&mut world);
    assert_eq!(world.run(0), ["a#1"]);
    world.finish(Verdict::Success);
    assert_eq!(world.run(5), [""; 0], "it was answered");
    let attempts = world.ledger().attempts.get(&subject("a#1")).cloned().expect("attempts");
    let asked = Rebuild { by: "ann".to_owned(), at: world.snapshot.at, alone: false };
    let asked = asked.after(&attempts);
    assert!(attempts.iter().all(|attempt| attempt.decided_at < asked.at), "it is not swallowed");
    world.ledger().rebuilds.insert(subject("a#1"), asked);
    assert_eq!(world.run(0), ["a#1"]);
    world.finish(Verdict::Success);
    assert_eq!(world.run(2 * DAY), [""; 0]);
}

#[test]
fn waiting_for_a_merged_dependency_ends_though_the_clock_went_back() {
    let mut world = waiting();
    assert_eq!(world.decision("o/a#1"), "held: Mainline");
    back(&mut world);
    world.run(0);
    assert_eq!(world.run(3600), ["o/a#1"]);
    assert!(world.ledger().changes.contains_key(&change("o/a#1")));
}
