//! What would be built before anybody does it, and that it is what is built afterwards.

use super::world::{World, oid, short, subject};
use crate::model::build::Verdict;
use crate::model::settings::{Source, UpdateOn};
use crate::plan::what_if::{Edit, WhatIf, what_if};

pub(super) fn ask(world: &mut World, edits: &[&str]) -> Result<WhatIf, String> {
    world.plan();
    let edits: Result<Vec<Edit>, String> = edits.iter().map(|edit| edit.parse()).collect();
    what_if(&world.snapshot, &world.ledger, &edits?).map_err(|error| error.to_string())
}

/// Subjects that would be built, and those whose decision would be another one, as `a#1 word`.
pub(super) fn said(found: &WhatIf) -> (Vec<String>, Vec<String>) {
    let built = found.differences.iter().filter(|d| !d.builds.is_empty());
    let others = found.differences.iter().filter(|d| d.builds.is_empty()).map(|difference| {
        let then = difference.then.as_deref().unwrap_or("gone");
        format!("{} {}", short(&difference.subject), then.split(':').next().unwrap_or_default())
    });
    (built.map(|difference| short(&difference.subject)).collect(), others.collect())
}

pub(super) fn would(world: &mut World, edits: &[&str]) -> (Vec<String>, Vec<String>) {
    said(&ask(world, edits).expect("an answer"))
}

fn none() -> Vec<String> {
    Vec::new()
}

/// `b#1` on `a#1`, `c#1` for itself, all built.
fn world() -> World {
    let mut world = World::new(&["a", "b", "c"]);
    world.push("a#1", &[]);
    world.push("b#1", &["a#1"]);
    world.push("c#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["b#1", "c#1"]);
    world.finish(Verdict::Success);
    world
}

#[test]
fn a_merge_builds_the_mainline_and_what_stood_on_it() {
    let mut world = world();
    let before = (world.snapshot.answers.len(), world.ledger.clone());
    let (built, _) = would(&mut world, &["merged:a#1"]);
    assert_eq!(built, ["mainline", "b#1"]);
    assert_eq!((world.snapshot.answers.len(), world.ledger.clone()), before, "nothing is done");
    world.merge("a#1");
    let mut really = world.run(0);
    really.extend(world.run(1200));
    really.sort_by_key(|name| name != "mainline");
    assert_eq!(really, built, "and it is so");
}

#[test]
fn a_close_blocks_what_stood_on_it_and_ends_its_own_builds() {
    let mut world = world();
    assert_eq!(
        would(&mut world, &["closed:a#1"]),
        (none(), vec!["a#1 gone".into(), "b#1 blocked".into()])
    );
    world.push("c#1", &[]);
    world.run(0);
    assert_eq!(world.run(60), ["c#1"]);
    let found = ask(&mut world, &["closed:c#1"]).expect("an answer");
    assert_eq!(said(&found).1, ["c#1 superseded"]);
    assert_eq!(found.differences[0].ended.len(), 1);
    world.close("c#1");
    assert_eq!(world.run(0), none());
    assert_eq!(world.decision("a#1"), "covered: b#1");
}

#[test]
fn a_push_builds_the_set_at_the_new_head() {
    let mut world = world();
    let head = oid(77);
    let edit = format!("head:a#1={head}");
    let found = ask(&mut world, &[&edit]).expect("an answer");
    assert_eq!(said(&found), (vec!["b#1".to_owned()], vec!["a#1 covered".to_owned()]));
    let build = found.differences.iter().flat_map(|d| &d.builds).next().expect("a build");
    assert_eq!(build.set[0].head, head);
    assert!(found.assumed[0].contains("its references are taken to be those of"), "{found:?}");
    let at = world.snapshot.at;
    world.push_as("a#1", head, at, &[]);
    world.run(0);
    assert_eq!(world.run(60), ["b#1"], "and it is so");
}

#[test]
fn edits_follow_each_other_and_nothing_is_said_of_what_would_be_built_anyway() {
    let mut world = world();
    let (built, others) = would(&mut world, &["merged:a#1", "merged:b#1", "closed:c#1"]);
    assert_eq!(built, ["mainline"]);
    assert_eq!(others, ["a#1 gone", "b#1 gone", "c#1 gone"]);
    world.push("c#2", &[]);
    world.run(0);
    assert_eq!(world.decision("c#2"), "held: Settling");
    let (built, others) = would(&mut world, &["closed:b#1"]);
    assert_eq!((built, others), (vec!["a#1".to_owned()], vec!["b#1 gone".to_owned()]));
}

#[test]
fn two_merges_into_one_branch_are_both_in_it() {
    let mut world = World::new(&["a"]);
    world.push("a#1", &[]);
    world.push("a#2", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1", "a#2"]);
    world.finish(Verdict::Success);
    let (built, others) = would(&mut world, &["merged:a#1", "merged:a#2"]);
    assert_eq!(
        (built, others),
        (vec!["mainline".into()], vec!["a#1 gone".into(), "a#2 gone".into()])
    );
}

#[test]
fn what_an_update_would_change_is_not_guessed() {
    let mut world = world();
    world.settings(|w| {
        w.update_on = UpdateOn::Definitions;
        w.source = Some(Source {
            url: "https://git.example.org/c.git".to_owned(),
            branch: Some("main".into()),
        });
    });
    let found = ask(&mut world, &["merged:c#1"]).expect("an answer");
    assert!(found.assumed.iter().any(|text| text.contains("would be updated first")), "{found:?}");
    let mainline = found.differences.iter().find(|d| d.subject == subject("mainline"));
    let then = mainline.and_then(|mainline| mainline.then.clone()).unwrap_or_default();
    assert!(then.starts_with("held: the workspace is being updated"), "{then}");
}

#[test]
fn what_cannot_be_asked_is_said_clearly() {
    let mut world = world();
    world.merge("c#1");
    for (edit, said) in [
        ("merged:a#9", "merged:a#9: no watched repository has such a change"),
        ("merged:c#1", "merged:c#1: it is merged already"),
        ("opened:a#1", "\"opened:a#1\" is not merged:CHANGE, closed:CHANGE or head:CHANGE=SHA"),
        ("merged:", "is not merged:CHANGE"),
        ("head:a#1", "is not merged:CHANGE"),
        ("head:a#1=12", "in head:a#1=SHA, \"12\" is not a git object name of 40 or 64"),
    ] {
        let error = ask(&mut world, &[edit]).expect_err(edit);
        assert!(error.contains(said), "{error}");
    }
    world.reachable("a", false);
    let error = ask(&mut world, &["closed:a#1"]).expect_err("an outage");
    assert!(
        error.contains("mirror/a cannot be read now") && error.contains("timed out"),
        "{error}"
    );
    let error = ask(&mut world, &["closed:b#1"; 100]).expect_err("it is closed only once");
    assert!(error.starts_with("closed:b#1: no watched repository"), "{error}");
    let many = vec!["closed:b#1"; 101];
    assert_eq!(ask(&mut world, &many).expect_err("many"), "more than 100 edits at once");
}
