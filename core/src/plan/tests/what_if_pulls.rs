//! What would be built on a forge, and of what the answers that are known stay good for.

use super::what_if::{ask, said, would};
use super::world::{World, git, oid, package, subject};
use crate::model::build::{Stage, Verdict};
use crate::model::change::Files;
use crate::model::identity::Oid;
use crate::model::time::Span;

/// `o/a#1` on `o/b#2`; `o/b#3` and `o/c#4` for themselves; all built.
fn world() -> World {
    let mut world = World::new(&["o/a", "o/b", "o/c"]);
    for (name, needs) in [("o/b#2", &[][..]), ("o/b#3", &[]), ("o/c#4", &[]), ("o/a#1", &["o/b#2"])]
    {
        world.push(name, needs);
    }
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1", "o/b#3", "o/c#4"]);
    world.finish(Verdict::Success);
    world
}

#[test]
fn on_a_forge_it_is_so_afterwards() {
    type Act = fn(&mut World);
    let head = oid(77);
    let push = format!("head:o/b#2={head}");
    let rows: [(&str, &[&str], &[&str], Act); 4] = [
        ("merged:o/b#2", &["mainline", "o/a#1"], &["o/b#2 gone"], |world| world.merge("o/b#2")),
        ("closed:github.com/o/b#2", &[], &["o/a#1 blocked", "o/b#2 gone"], |world| {
            world.close("o/b#2");
        }),
        (&push, &["o/a#1"], &["o/b#2 covered"], |world| {
            let at = world.snapshot.at;
            world.push_as("o/b#2", oid(77), at, &[]);
        }),
        ("merged:c#4", &["mainline"], &["o/c#4 gone"], |world| world.merge("o/c#4")),
    ];
    for (edit, built, others, act) in rows {
        let mut world = world();
        let found = ask(&mut world, &[edit]).expect("an answer");
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(said(&found), (words(built), words(others)), "{edit}");
        let assumed = found.assumed.join("; ");
        assert_eq!(assumed.contains("stands for the commit"), edit.starts_with("merged"));
        assert_eq!(found.assumed.len(), usize::from(edit.starts_with("merged")), "{assumed}");
        act(&mut world);
        let mut really = world.run(0);
        really.extend(world.run(1200));
        let mut built = words(built);
        really.sort();
        built.sort();
        assert_eq!(really, built, "{edit}");
    }
}

#[test]
fn a_change_is_named_by_an_end_that_only_one_has() {
    let mut world = World::new(&["o/a", "p/a"]);
    for name in ["o/a#1", "p/a#1", "o/a#12"] {
        world.push(name, &[]);
    }
    world.run(0);
    for (edit, found) in [
        ("closed:o/a#1", Ok("closed:github.com/o/a#1")),
        ("merged:github.com/p/a#1", Ok("merged:github.com/p/a#1")),
        ("closed:a#12", Ok("closed:github.com/o/a#12")),
        ("closed:/a#12", Err("closed:/a#12: no watched repository has such a change")),
        ("closed:2", Err("closed:2: no watched repository has such a change")),
        (
            "closed:a#1",
            Err("closed:a#1: it may be github.com/o/a#1 or github.com/p/a#1; write it whole"),
        ),
    ] {
        match (ask(&mut world, &[edit]), found) {
            (Ok(answer), Ok(name)) => assert_eq!(answer.edits, [name]),
            (Err(error), Err(said)) => assert!(error.starts_with(said), "{error}"),
            (answer, _) => panic!("{edit}: {answer:?}"),
        }
    }
}

#[test]
fn what_was_merged_before_is_merged_afterwards() {
    type Happens = fn(&mut World);
    // What happens after the merge, and the decisions that would be others.
    let rows: [(Happens, &[&str]); 3] = [
        (|_| {}, &["o/b#3 gone", "o/c#4 gone"]),
        (
            |world| {
                world.push_base("o/b");
            },
            &["o/b#3 gone", "o/c#4 gone"],
        ),
        // It cannot be told whether the base has it still.
        (
            |world| {
                world.push_base("o/b");
                world.run(0);
                let tip = world.push_base("o/b");
                world.silent.insert(tip);
            },
            &["o/a#1 unknown", "o/b#3 gone", "o/c#4 gone"],
        ),
    ];
    for (row, (happens, expected)) in rows.into_iter().enumerate() {
        let mut world = world();
        world.merge("o/b#2");
        world.run(0);
        world.run(1200);
        happens(&mut world);
        world.run(0);
        world.run(1200);
        world.finish(Verdict::Success);
        assert_eq!(would(&mut world, &["merged:o/b#3"]).0, ["mainline"], "row {row}");
        let others = would(&mut world, &["merged:o/b#3", "closed:o/c#4"]).1;
        assert_eq!(others, expected, "row {row}");
    }
}

/// A repository with a package in a folder.
fn mono() -> World {
    let mut world = World::fresh(&["o/b"]);
    let mut one = package("one", git("o/mono"));
    one.path = Some("one".to_owned());
    world.packages.push(one);
    world.repository("o/mono");
    world.export();
    assert!(world.run(0).is_empty());
    world
}

fn touch(world: &mut World, text: &str, file: &str) -> Oid {
    let head = world.push(text, &[]);
    world.files.insert(head, Files::of(1, [file.to_owned()]));
    world.run(0);
    head
}

#[test]
fn a_push_touches_the_files_that_the_present_head_touches() {
    let mut world = mono();
    touch(&mut world, "o/mono#1", "README");
    touch(&mut world, "o/mono#1", "one/x");
    touch(&mut world, "o/mono#2", "one/x");
    touch(&mut world, "o/mono#2", "README");
    assert_eq!(world.run(100), ["o/mono#1"]);
    world.finish(Verdict::Success);
    let found = would(&mut world, &[&format!("head:o/mono#1={}", oid(77))]);
    assert_eq!(found, (vec!["o/mono#1".to_owned()], Vec::new()));
    let found = would(&mut world, &[&format!("head:o/mono#2={}", oid(77))]);
    assert_eq!(found, (Vec::new(), vec!["o/mono#2 held".to_owned()]));
}

#[test]
fn a_push_on_plain_git_keeps_the_references_unless_its_own_are_known() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &[]);
    let first = world.push("b#1", &["a#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["b#1"]);
    let second = world.push("b#1", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    let sizes = |world: &mut World, head: Oid| {
        let found = ask(world, &[&format!("head:b#1={head}")]).expect("an answer");
        let builds = found.differences.iter().filter(|one| one.subject == subject("b#1"));
        let sizes: Vec<usize> = builds.flat_map(|one| &one.builds).map(|b| b.set.len()).collect();
        (sizes, found.assumed.len())
    };
    // A first build of the old head was dropped, and the new one has no references.
    assert_eq!(sizes(&mut world, first), (vec![2], 0));
    assert_eq!(sizes(&mut world, oid(77)), (vec![1], 1));
    let at = world.snapshot.at;
    world.push_as("b#1", first, at, &["a#1"]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    assert_eq!(sizes(&mut world, oid(77)), (vec![2], 1));
    assert_eq!(sizes(&mut world, second), (Vec::new(), 0), "it was built before");
}

#[test]
fn what_ends_anyway_is_not_ended_by_an_edit() {
    for (stage, of_mainline) in [(Stage::Queued, 1), (Stage::Running, 2)] {
        let mut world = World::new(&["a"]);
        world.push("a#1", &[]);
        world.push_base("a");
        world.run(0);
        world.run(90);
        world.run(30);
        for attempt in world.ledger().attempts.values_mut().flatten() {
            attempt.stage = stage;
        }
        world.push("a#1", &[]);
        world.push_base("a");
        world.plan();
        let made = world.plan();
        world.ledger().changes.extend(made.workspaces[0].facts.iter().cloned());
        world.ledger().mainline.clone_from(&made.workspaces[0].mainline);
        // Both are built again now, which takes the place of what is under way.
        world.snapshot.at = world.snapshot.at + Span::seconds(1200);
        let found = ask(&mut world, &["merged:a#1"]).expect("an answer");
        let ended = |name: &str| {
            let one = found.differences.iter().find(|one| one.subject == subject(name));
            one.map_or(0, |one| one.ended.len())
        };
        assert_eq!((ended("a#1"), ended("mainline")), (1, of_mainline), "{stage:?}");
    }
}
