//! A clock that is moved by a day, either way.

use super::world::{World, change, subject};
use crate::model::build::Verdict;
use crate::model::ledger_view::Rebuild;
use crate::model::time::Span;

const DAY: u64 = 86_400;

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
fn a_clock_that_goes_forward_makes_nothing_stale_and_builds_nothing_again() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(DAY), ["a#1"]);
    world.finish(Verdict::Success);
    world.push("b#1", &[]);
    world.run(0);
    assert_eq!(world.run(DAY), ["b#1"]);
    assert_eq!(world.decision("a#1"), "unchanged");
    world.finish(Verdict::Failure);
    assert_eq!(world.run(DAY), [""; 0]);
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
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/a#1", &["o/b#1"]);
    world.push("o/b#1", &[]);
    world.run(0);
    world.close("o/b#1");
    let commit = Some(world.fresh_oid());
    let base = Some("main".into());
    world.become_of("o/b#1", crate::model::change::Fate::Merged { commit, base });
    world.run(120);
    assert_eq!(world.decision("o/a#1"), "held: Mainline");
    back(&mut world);
    world.run(0);
    assert_eq!(world.run(3600), ["o/a#1"]);
    assert!(world.ledger().changes.contains_key(&change("o/a#1")));
}
