//! How far candidates go: what their tools may ask for and bring, and where there is none.

use super::candidates::watches;
use super::world::{World, subject};
use crate::model::change::Files;
use crate::model::paths::PathPatterns;
use crate::model::time::Span;

#[test]
fn a_tool_may_ask_four_times_for_more() {
    for (asks, expected) in [(4, "build"), (5, "blocked: CandidateFailed")] {
        let mut world = World::defined(&["a"]);
        world.tool.one_at_a_time = true;
        for number in 1..=asks {
            let path = format!("dep-{number}");
            world.unseen(&path);
            world.private(&path);
            world.brings("conf#1", &path);
        }
        world.push("conf#1", &[]);
        world.run(0);
        world.run(90);
        assert_eq!(world.decision("conf#1"), expected);
        if asks == 5 {
            let reason = world.planned("conf#1").decision.reason().to_owned();
            let asked =
                "its tool asked for https://git.example.org/dep-5.git, which cannot be shown";
            assert!(reason.contains(asked), "{reason}");
        }
    }
}

#[test]
fn a_candidate_may_bring_five_hundred_new_repositories() {
    for (brought, expected) in [(500, "build"), (501, "blocked: CandidateFailed")] {
        let mut world = World::defined(&["a"]);
        for number in 0..brought {
            let path = format!("new-{number}");
            world.unseen(&path);
            world.brings("conf#1", &path);
        }
        world.push("conf#1", &[]);
        world.run(0);
        world.run(90);
        assert_eq!(world.decision("conf#1"), expected, "{brought}");
        let reason = world.planned("conf#1").decision.reason().to_owned();
        let many = "it brings more than 500 new repositories";
        assert_eq!(reason.contains(many), brought == 501, "{reason}");
    }
}

#[test]
fn what_cannot_be_built_anyway_has_no_candidate() {
    type Happens = fn(&mut World);
    let rows: [(&str, Happens, &str); 4] = [
        ("nothing", |_| {}, "unknown"),
        (
            "too many",
            |world| world.settings(|w| w.changes.max_dependencies = 0),
            "blocked: TooMany",
        ),
        ("unread", |world| world.reachable("o/b", false), "unknown"),
        ("unpaid", |world| world.many("o/a#1", "o/b", "2", 601), "held: ReferenceBudget"),
    ];
    for (what, happens, expected) in rows {
        let mut world = World::new(&["o/a", "o/b"]);
        world.settings(|w| {
            w.defining = PathPatterns::new(vec!["package.xml".to_owned()]).expect("a pattern");
        });
        let touches = |file: &str| Files::of(1, [file.to_owned()]);
        let below = world.push("o/b#1", &[]);
        world.push("o/a#1", &["o/b#1"]);
        happens(&mut world);
        world.tool.busy = true;
        let head = world.head("o/a#1");
        world.files.extend([(below, touches("x")), (head, touches("package.xml"))]);
        world.run(0);
        world.run(90);
        assert_eq!(world.decision("o/a#1"), expected, "{what}");
        let candidate = world.planned("o/a#1").candidate.is_some();
        assert_eq!(candidate, what == "nothing", "{what}");
        assert!(watches(&mut world, "o/b"));
    }
}

#[test]
fn what_a_candidate_brings_is_built_in_its_order_and_before_what_needs_it() {
    let mut world = World::defined(&["a"]);
    world.unseen("z-new");
    world.brings("conf#1", "z-new");
    world.has_need("conf#1", "a", "z-new");
    world.push("conf#1", &[]);
    world.run(0);
    world.snapshot.at = world.snapshot.at + Span::seconds(90);
    let planned = world.planned("conf#1");
    let affected = &planned.triggers[0].request.affected;
    assert_eq!(*affected, ["conf".into(), "z-new".into(), "a".into()]);
}

#[test]
fn what_only_a_candidate_has_is_told_with_its_references_and_on_its_branch_alone() {
    let mut world = World::defined(&["a"]);
    world.unseen("new");
    world.push("a#5", &[]);
    world.push("new#1", &["a#5"]);
    world.brings("conf#1", "new");
    world.push("conf#1", &["new#1"]);
    world.run(0);
    assert!(world.run(90).contains(&"conf#1".to_owned()));
    let planned = world.planned("new#1");
    assert_eq!(planned.decision.word(), "covered");
    let names: Vec<&str> = planned.references.iter().map(|one| one.as_written.as_str()).collect();
    assert_eq!(names, ["a#5"]);
    world.push("new#2", &["conf#1"]);
    world.edit("new#2", |listed| listed.base = Some("stable".into()));
    world.run(0);
    world.run(90);
    let made = world.plan();
    assert!(made.workspaces[0].subject(&subject("new#2")).is_none(), "no root");
}

#[test]
fn a_change_of_a_package_that_its_candidate_lacks_is_decided_on() {
    let mut world = World::defined(&["a", "b"]);
    world.removes("conf#1", "a");
    world.push("conf#1", &[]);
    world.push("a#5", &["conf#1"]);
    world.run(0);
    world.run(90);
    let made = world.plan();
    assert!(made.workspaces[0].subject(&subject("a#5")).is_some());
}

#[test]
fn an_outage_of_what_no_manifest_has_holds_nothing() {
    let mut world = World::defined(&["a"]);
    world.unseen("new");
    world.push("new#1", &[]);
    world.push("conf#1", &["new#1"]);
    world.run(0);
    assert!(watches(&mut world, "new"));
    world.reachable("new", false);
    assert_eq!(world.run(90), ["conf#1"]);
    let finding = &world.planned("conf#1").findings[0].text.clone();
    assert_eq!(finding, "new#1 is not a change that this workspace watches");
}
