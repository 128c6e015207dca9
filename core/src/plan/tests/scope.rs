//! What is decided again after a move: the plans of all that it cannot matter to stay the very same.

use std::sync::Arc;

use super::world::{World, subject};
use crate::model::build::Verdict;
use crate::model::part::Part;
use crate::model::time::Span;

const PATHS: [&str; 8] = ["o/a", "o/b", "o/c", "o/d", "o/e", "o/f", "o/g", "o/h"];

fn kept(world: &mut World, text: &str) -> Arc<Part> {
    let made = world.plan();
    let subject = subject(text);
    let part = made.workspaces.first().and_then(|plan| plan.part(subject.repository()?));
    Arc::clone(part.unwrap_or_else(|| panic!("no plan of {text}")))
}

/// A chain of three, and others of their own, all of which are built and have their verdicts in mind.
fn world() -> World {
    let mut world = World::new(&PATHS);
    world.push("o/a#1", &["o/b#1"]);
    world.push("o/b#1", &["o/c#1"]);
    for text in ["o/c#1", "o/d#1", "o/e#1", "o/f#1"] {
        world.push(text, &[]);
    }
    world.run(0);
    world.run(90);
    world.run(90);
    world
}

#[test]
fn a_push_leaves_alone_what_nothing_ties_to_it() {
    let mut world = world();
    let all = ["o/a#1", "o/b#1", "o/c#1", "o/d#1", "o/e#1", "o/f#1"];
    for (moved, again) in [("o/c#1", &all[..3]), ("o/a#1", &all[..3]), ("o/e#1", &all[4..5])] {
        let before: Vec<_> = all.iter().map(|text| kept(&mut world, text)).collect();
        world.push(moved, if moved == "o/a#1" { &["o/b#1"] } else { &[] });
        for (text, before) in all.iter().zip(before) {
            let same = Arc::ptr_eq(&before, &kept(&mut world, text));
            assert_eq!(same, !again.contains(text), "{text} after a push to {moved}");
        }
        world.run(0);
        world.run(90);
    }
}

#[test]
fn what_a_text_named_before_is_decided_again_with_it() {
    let mut world = world();
    assert_eq!(world.decision("o/c#1"), "covered: o/a#1");
    let other = kept(&mut world, "o/d#1");
    world.push("o/b#1", &[]);
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("o/c#1"), "build");
    assert!(Arc::ptr_eq(&other, &kept(&mut world, "o/d#1")));
}

#[test]
fn what_a_text_named_once_is_nothing_to_it_any_more() {
    let mut world = world();
    for (text, needs) in [("o/d#1", &["o/e#1"][..]), ("o/d#1", &[])] {
        world.push(text, needs);
        world.run(0);
    }
    world.push("o/f#1", &[]);
    world.short("o/f#1", "e", 1);
    world.run(0);
    world.push("o/f#1", &[]);
    for wait in [0, 90, 90] {
        world.run(wait);
    }
    let before = ["o/d#1", "o/f#1"].map(|text| kept(&mut world, text));
    world.push("o/e#1", &[]);
    let after = ["o/d#1", "o/f#1"].map(|text| kept(&mut world, text));
    for (before, after) in before.iter().zip(&after) {
        assert!(Arc::ptr_eq(before, after));
    }
}

#[test]
fn a_build_of_what_left_the_workspace_ends_without_a_whole_plan() {
    let mut world = world();
    world.packages.retain(|package| &*package.name != "o/f");
    world.export();
    assert_eq!(world.decision("o/f#1"), "superseded");
    let other = kept(&mut world, "o/d#1");
    world.finish_of("o/f#1", Verdict::Cancelled);
    let made = world.plan();
    let planned = made.workspaces.first().and_then(|plan| plan.subject(&subject("o/f#1")));
    assert!(planned.is_none_or(|planned| planned.superseded.is_empty()));
    assert!(Arc::ptr_eq(&other, &kept(&mut world, "o/d#1")));
}

#[test]
fn what_a_plan_named_that_was_not_recorded_is_decided_again() {
    let mut world = world();
    world.push("o/d#1", &["o/e#1"]);
    world.push("o/e#1", &[]);
    world.run(0);
    world.snapshot.at = world.snapshot.at + Span::seconds(90);
    world.plan();
    assert_eq!(world.decision("o/e#1"), "covered: o/d#1");
    world.push("o/d#1", &[]);
    world.plan();
    assert_eq!(world.decision("o/e#1"), "build");
}

#[test]
fn what_is_said_otherwise_is_said_again() {
    let mut world = World::new(&PATHS);
    world.happens("report", &["o/d"]);
    world.push("o/d#1", &["o/nothing#1"]);
    world.run(0);
    world.run(90);
    world.run(0);
    assert!(world.plan().workspaces[0].reports.is_empty());
    let said = &mut world.ledger().said;
    said.statuses.values_mut().for_each(|status| status.description.push('!'));
    assert_eq!(world.plan().workspaces[0].reports.statuses.len(), 1);
    world.run(0);
    assert!(world.plan().workspaces[0].reports.is_empty());
    let said = &mut world.ledger().said;
    said.remarks.values_mut().for_each(|remark| remark.push("!".to_owned()));
    assert_eq!(world.plan().workspaces[0].reports.remarks.len(), 1);
}
