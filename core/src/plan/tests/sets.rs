//! Identity, references, sets, cover and overrides.

use super::world::{World, change, package, pinned, repository};
use crate::model::build::Verdict;
use crate::model::manifest::Vcs;
use crate::model::settings::{OnClosed, SameRepository};

#[test]
fn spellings_of_one_repository_are_one_and_other_hosts_are_unwatched() {
    let mut world = World::fresh(&["a"]);
    let at = |url: &str| Vcs::Git { url: url.to_owned(), branch: Some("main".into()), pin: None };
    world.packages.push(package("a2", at("ssh://git@git.example.org/a")));
    world.packages.push(package("far", at("https://other.example.org/far.git")));
    world.packages.push(package("old", Vcs::Other { kind: "svn".to_owned(), url: None }));
    world.export();
    world.run(0);
    world.push("a#1", &[]);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.run(90), ["a#1"]);
    let plan = world.plan();
    let plan = plan.workspaces.first().expect("one");
    assert_eq!(plan.watched.len(), 1);
    let unwatched: Vec<&str> = plan.unwatched.iter().map(|one| one.package.as_str()).collect();
    assert_eq!(unwatched, ["far", "old"]);
    let planned = world.planned("a#1");
    let packages: Vec<&str> = planned.overrides[0].packages.iter().map(|p| p.as_str()).collect();
    assert_eq!(packages, ["a", "a2"], "one override for both packages of the repository");
    assert_eq!(&*planned.overrides[0].ref_name, "refs/pull/1/head");
}

#[test]
fn a_top_covers_what_it_depends_on_over_any_depth() {
    let mut world = World::new(&["a", "b", "c"]);
    world.push("a#1", &["b#2"]);
    world.push("b#2", &["c#3"]);
    world.push("c#3", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1"]);
    assert_eq!(world.decision("b#2"), "covered: a#1");
    assert_eq!(world.decision("c#3"), "covered: a#1");
    let set: Vec<u64> = world.planned("a#1").set.iter().map(|m| m.change.number).collect();
    assert_eq!(set, [3, 2, 1], "dependencies first");
    world.finish(Verdict::Failure);
    assert_eq!(world.run(3600), [""; 0]);
    assert_eq!(world.decision("c#3"), "covered: a#1", "a verdict covers whatever it is");
    // A push below rebuilds what stands above; a push to the top nothing below.
    world.push("c#3", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
    world.push("a#1", &["b#2"]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
}

#[test]
fn what_is_not_watched_is_said_in_one_wording() {
    let mut world = World::new(&["a", "b"]);
    world.repository("private");
    world.push("private#1", &[]);
    world.push("a#1", &["private#1", "nowhere#1", "b#99"]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1"], "a finding is not in the way");
    let findings = world.planned("a#1").findings.clone();
    for (finding, name) in findings.iter().zip(["private#1", "nowhere#1", "b#99"]) {
        assert_eq!(finding.text, format!("{name} is not a change that this workspace watches"));
    }
    assert_eq!(findings.len(), 3);
    assert!(
        world.plan().workspaces[0]
            .consulted()
            .all(|q| q.repository().is_none_or(|id| &*id.path != "private"))
    );
}

#[test]
fn a_merged_dependency_leaves_the_set_and_a_closed_one_blocks_it() {
    for delete in [false, true] {
        let mut world = World::new(&["a", "b"]);
        world.push("a#1", &["b#2"]);
        world.push("b#2", &[]);
        world.run(0);
        world.run(90);
        world.merge("b#2");
        if delete {
            world.close("b#2");
        }
        assert_eq!(world.run(1), ["a#1"], "its set moved (ref deleted: {delete})");
        let planned = world.planned("a#1");
        assert_eq!(planned.set.len(), 1);
        assert!(planned.notes.iter().any(|note| note.text == "b#2 is merged"));
    }
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &["b#2"]);
    world.push("b#2", &[]);
    world.run(0);
    world.run(90);
    world.close("b#2");
    assert_eq!(world.run(1), [""; 0]);
    assert_eq!(world.decision("a#1"), "blocked: DependencyClosed");
    world.settings(|w| w.changes.on_closed = OnClosed::Ignore);
    assert_eq!(world.run(1), ["a#1"]);
}

#[test]
fn an_unread_repository_triggers_closes_and_uncovers_nothing() {
    let mut world = World::new(&["a", "b", "c"]);
    world.push("a#1", &["b#2"]);
    world.push("b#2", &["c#3"]);
    world.push("c#3", &[]);
    world.run(0);
    world.run(90);
    for down in ["a", "b", "c"] {
        world.reachable(down, false);
        assert_eq!(world.run(3600), [""; 0], "{down} is down");
        let plan = world.plan();
        assert!(plan.workspaces[0].subjects().all(|s| s.superseded.is_empty()));
        assert_eq!(world.decision("a#1"), "unknown", "{down} is down");
        world.reachable(down, true);
    }
    // A push to a base makes the containment of its changes unread for a moment.
    let tip = world.push_base("b");
    world.silent.insert(tip);
    assert_eq!(world.run(1), [""; 0]);
    assert_eq!(world.decision("b#2"), "unknown");
    assert_eq!(world.decision("c#3"), "covered: a#1");
}

#[test]
fn a_top_that_becomes_unread_before_its_first_build_uncovers_nothing() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &["b#2"]);
    world.push("b#2", &[]);
    world.run(0);
    world.reachable("a", false);
    assert_eq!(world.run(90), [""; 0]);
    assert_eq!(world.decision("b#2"), "unknown");
    world.reachable("a", true);
    assert_eq!(world.run(1), ["a#1"]);
}

#[test]
fn a_cycle_has_one_build_named_after_its_smallest_change() {
    let mut world = World::new(&["a", "b", "c"]);
    world.push("b#1", &["c#2"]);
    world.push("c#2", &["a#3"]);
    world.push("a#3", &["b#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["a#3"]);
    for (other, package, needs) in [("b#1", "b", "c#2"), ("c#2", "c", "a#3")] {
        assert_eq!(world.decision(other), "covered: a#3");
        let planned = world.planned(other);
        assert_eq!((planned.set.len(), &planned.packages), (3, &vec![package.into()]));
        let names: Vec<&str> = planned.references.iter().map(|one| &*one.as_written).collect();
        assert_eq!(names, [needs]);
    }
    world.push("c#2", &["a#3"]);
    let superseded = ["a#3", "b#1", "c#2"].map(|name| world.planned(name).superseded.len());
    assert_eq!(superseded, [1, 0, 0], "it is said once");
    world.reachable("b", false);
    assert_eq!(world.run(60), [""; 0]);
}

#[test]
fn what_is_held_blocked_or_unknown_covers_nothing() {
    let mut world = World::new(&["a", "b", "c"]);
    world.push("b#2", &[]);
    world.push("c#9", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.close("c#9");
    world.push("a#1", &["b#2", "c#9"]);
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("a#1"), "blocked: DependencyClosed");
    assert_eq!(world.decision("b#2"), "unchanged");
    world.push("a#1", &["b#2"]);
    world.run(0);
    assert_eq!(world.decision("a#1"), "held: Settling");
    assert_eq!(world.decision("b#2"), "unchanged");
}

#[test]
fn two_changes_of_one_repository_need_one_to_contain_the_other() {
    let mut world = World::new(&["a", "b"]);
    let lower = world.push("b#1", &[]);
    let upper = world.push("b#2", &["b#1"]);
    world.silent.insert(upper);
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("b#2"), "unknown", "nothing is known of it");
    world.silent.clear();
    world.ancestry.insert((lower, upper));
    assert_eq!(world.run(90), ["b#2"]);
    let planned = world.planned("b#2");
    assert_eq!((planned.set.len(), planned.overrides.len()), (2, 1));
    assert_eq!(planned.overrides[0].head, upper);
    world.push("b#2", &["b#1"]);
    world.run(0);
    world.run(30);
    assert_eq!(world.decision("b#2"), "blocked: TwoChanges");
    assert!(world.planned("b#2").decision.reason().contains("rebase #2 on #1"));
    world.settings(|w| w.changes.same_repository = SameRepository::Ci);
    world.run(0);
    assert_eq!(world.planned("b#2").overrides.len(), 2);
}

#[test]
fn too_many_dependencies_block() {
    let mut world = World::new(&["a", "b", "c", "d"]);
    world.settings(|w| w.changes.max_dependencies = 2);
    world.push("a#1", &["b#1", "c#1", "d#1"]);
    for below in ["b#1", "c#1", "d#1"] {
        world.push(below, &[]);
    }
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("a#1"), "blocked: TooMany");
    world.settings(|w| w.changes.max_dependencies = 3);
    assert_eq!(world.run(0), ["a#1"]);
}

#[test]
fn pinned_packages_are_no_roots_but_members_and_their_pin_is_nulled() {
    let mut world = World::fresh(&["b"]);
    world.repository("a");
    world.packages.push(pinned("a"));
    world.export();
    world.run(0);
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    world.push("b#2", &["a#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["b#2"]);
    assert!(world.planned("b#2").overrides.iter().any(|o| o.unpin && o.change == change("a#1")));
    world.push_base("a");
    world.run(0);
    assert_eq!(world.run(3600), [""; 0], "its pushes move no mainline");
    // A cycle through it is named after the smallest change that is a root.
    world.push("a#1", &["b#2"]);
    world.run(0);
    assert_eq!(world.run(30), ["b#2"]);
    world.settings(|w| w.changes.pinned_roots = true);
    assert_eq!(world.run(30), ["a#1"], "named after the smallest again");
}

#[test]
fn another_base_than_the_tracked_one_is_left_out() {
    let mut world = World::new(&["a", "b"]);
    world.push("b#2", &[]);
    world.edit("b#2", |listed| listed.base = Some("stable".into()));
    world.push("a#1", &["b#2"]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1"]);
    let planned = world.planned("a#1");
    assert_eq!(planned.set.len(), 1);
    assert!(planned.findings[0].text.contains("is left out: its base stable"));
}

#[test]
fn a_merge_ref_is_used_where_it_is_shown() {
    let mut world = World::new(&["a"]);
    world.push("a#1", &[]);
    world.edit("a#1", |listed| listed.merge = true);
    world.run(0);
    world.run(90);
    assert_eq!(&*world.planned("a#1").overrides[0].ref_name, "refs/pull/1/merge");
    assert_eq!(world.planned("a#1").packages.len(), 1);
    assert!(world.plan().workspaces[0].watched.contains_key(&repository("a")));
}

#[test]
fn a_long_chain_needs_no_deep_stack() {
    let mut world = World::new(&["a"]);
    let names: Vec<String> = (1..=1000).map(|number| format!("a#{number}")).collect();
    let mut all = Vec::new();
    for (name, below) in names.iter().zip(names.iter().skip(1)) {
        world.push(name, &[below]);
        world.listing("a", |listing| all.append(&mut listing.changes));
    }
    world.listing("a", |listing| listing.changes = all);
    world.settings(|w| w.changes.max_dependencies = 3);
    world.plan();
    assert_eq!(world.decision("a#1"), "blocked: TooMany");
}
