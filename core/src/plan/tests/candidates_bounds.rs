//! How far candidates go: what their tools may ask for and bring, and where there is none.

use super::candidates::watches;
use super::world::World;
use crate::model::change::Files;
use crate::model::paths::PathPatterns;

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
        let touches = |file: &str| Files::of(1, [file.to_owned()].into_iter());
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
