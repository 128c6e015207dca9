//! What is done with changes that were open before we watched.

use super::world::{START, World, git, package};
use crate::model::ledger_view::{Adopted, ChangeFacts};
use crate::model::settings::Adopt;
use crate::model::time::Timestamp;

fn hours_ago(hours: i64) -> Timestamp {
    Timestamp(START - hours * 3_600_000)
}

#[test]
fn the_first_look_builds_the_twenty_newest_of_many() {
    let mut world = World::fresh(&["a", "b"]);
    for number in 1..=500_u64 {
        let head = world.fresh_oid();
        let committed = Timestamp(START - i64::try_from(number).expect("small") * 600_000);
        world.push_as(&format!("a#{number}"), head, committed, &[]);
    }
    let mut triggered = world.run(0);
    triggered.sort();
    let mut newest: Vec<String> = (1..=20).map(|number| format!("a#{number}")).collect();
    newest.sort();
    assert_eq!(triggered, newest);
    assert_eq!(world.decision("a#21"), "held: Adopted");
    assert_eq!(world.decision("a#500"), "held: Adopted");
    assert_eq!(world.run(86_400), [""; 0]);
    world.push("a#500", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#500"], "a push is compared like any other");
}

#[test]
fn twenty_are_taken_in_all_however_many_looks_find_them() {
    let mut world = World::fresh(&["a"]);
    for number in 1..=15 {
        world.push(&format!("a#{number}"), &[]);
    }
    assert_eq!(world.run(0).len(), 15);
    world.packages.push(package("b", git("b")));
    world.repository("b");
    world.export();
    for number in 1..=10 {
        world.push(&format!("b#{number}"), &[]);
    }
    assert_eq!(world.run(1).len(), 5);
}

#[test]
fn adopt_all_and_none() {
    for (adopt, expected) in [(Adopt::All, 2), (Adopt::None, 0), (Adopt::Recent, 1)] {
        let mut world = World::fresh(&["a"]);
        world.settings(|w| w.changes.adopt = adopt);
        for (number, hours) in [(1, 1), (2, 100)] {
            let head = world.fresh_oid();
            world.push_as(&format!("a#{number}"), head, hours_ago(hours), &[]);
        }
        assert_eq!(world.run(0).len(), expected, "{adopt:?}");
    }
}

#[test]
fn a_push_to_a_member_of_an_adopted_set_builds_what_stands_above() {
    let mut world = World::fresh(&["a", "b"]);
    for (name, below) in [("a#1", &["b#2"][..]), ("b#2", &[])] {
        let head = world.fresh_oid();
        world.push_as(name, head, hours_ago(100), below);
    }
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Adopted");
    assert_eq!(world.run(60), [""; 0]);
    world.push("b#2", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
    assert_eq!(world.decision("b#2"), "covered: a#1");
}

#[test]
fn a_branch_that_is_tracked_later_is_adopted_then() {
    let mut world = World::new(&["a"]);
    let head = world.fresh_oid();
    world.push_as("a#1", head, hours_ago(100), &[]);
    world.edit("a#1", |listed| listed.base = Some("next".into()));
    let tip = world.fresh_oid();
    world.listing("a", |listing| {
        listing.branches.insert("next".into(), tip);
    });
    assert_eq!(world.run(0), [""; 0]);
    for package in &mut world.packages {
        if let crate::model::manifest::Vcs::Git { branch, .. } = &mut package.vcs {
            *branch = Some("next".into());
        }
    }
    world.export();
    world.part(|part| part.pending = true);
    assert_eq!(world.run(600), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Adopted");
}

#[test]
fn every_change_of_an_adopted_cycle_is_held() {
    let mut world = World::fresh(&["a", "b"]);
    for (text, other) in [("a#1", "b#1"), ("b#1", "a#1")] {
        let head = world.fresh_oid();
        world.push_as(text, head, hours_ago(100), &[other]);
    }
    assert_eq!(world.run(0), [""; 0]);
    // Nobody else is in doubt while one of them is.
    let held = |facts: &ChangeFacts| matches!(facts.adopted, Adopted::Held(_));
    assert!(world.ledger().changes.values().all(held));
    assert_eq!(world.run(1), [""; 0]);
    world.push("b#1", &["a#1"]);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.run(30), ["a#1"]);
}

#[test]
fn adoption_waits_for_what_is_not_read() {
    let mut world = World::fresh(&["a"]);
    let head = world.push("a#1", &[]);
    world.silent.insert(head);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("a#1"), "unknown");
    world.silent.clear();
    assert_eq!(world.run(60), ["a#1"]);
}
