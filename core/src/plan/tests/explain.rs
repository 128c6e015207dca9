//! What people read of a decision.

use super::world::{World, git, package, pinned, subject, url};
use crate::model::build::Verdict;
use crate::model::change::Rights;
use crate::model::ledger_view::Approval;
use crate::model::manifest::Vcs;
use crate::model::settings::Authors;
use crate::plan::explain::{Explainer, Explanation};

fn explained(world: &mut World, text: &str) -> Explanation {
    let made = world.plan();
    let workspace = made.workspaces.first().expect("a workspace");
    let planned = workspace.subject(&subject(text)).expect("a subject");
    let explainer = Explainer::new(&world.snapshot, &world.ledger, workspace).expect("settings");
    let explanation = explainer.explain(planned);
    let json = serde_json::to_value(&explanation).expect("json");
    assert_eq!(json["subject"], planned.subject.to_string());
    assert_eq!(json["decision"]["kind"], planned.decision.word());
    explanation
}

pub(super) fn explain(world: &mut World, text: &str) -> String {
    explained(world, text).text()
}

/// `drivers#1` on `types#1`, built and then moved; `gui#1` refers to what is not watched.
fn world() -> World {
    let mut world = World::new(&["types", "drivers", "gui"]);
    world.packages.push(pinned("old"));
    world.repository("old");
    world.export();
    world.push("types#1", &[]);
    world.push("drivers#1", &["types#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["drivers#1"]);
    world.finish(Verdict::Failure);
    world
}

#[test]
fn the_chain_of_a_change_that_moved() {
    let mut world = world();
    world.push("types#1", &["old#4", "gone#2"]);
    world.push("old#4", &[]);
    world.edit("old#4", |listed| listed.merge = true);
    world.run(0);
    insta::assert_snapshot!("moved", explain(&mut world, "drivers#1"));
    assert_eq!(world.run(90), ["mainline", "drivers#1"]);
    insta::assert_snapshot!("covered", explain(&mut world, "types#1"));
}

#[test]
fn the_chain_of_a_mainline_before_and_after_a_push() {
    let mut world = World::new(&["types", "drivers"]);
    insta::assert_snapshot!("mainline_recorded", explain(&mut world, "mainline"));
    world.push_base("types");
    world.run(0);
    insta::assert_snapshot!("mainline_moved", explain(&mut world, "mainline"));
}

#[test]
fn untrusted_blocked_and_unknown_say_who_mends_it() {
    let mut world = world();
    world.authors(Authors::None);
    world.push("gui#1", &[]);
    world.run(0);
    insta::assert_snapshot!("approval", explain(&mut world, "gui#1"));
    let set = world.planned("gui#1").set.clone();
    let at = world.snapshot.at;
    let approval = Approval { subject: subject("gui#1"), set, by: "alice\u{1b}[2J".to_owned(), at };
    world.ledger().approvals.push(approval);
    let text = explain(&mut world, "gui#1");
    assert!(text.contains("\n  approved     by alice [2J at "), "{text}");
    assert!(!text.contains('\u{1b}'), "nothing moves the cursor");
    world.push("gui#2", &["gui#1"]);
    world.run(0);
    insta::assert_snapshot!("blocked", explain(&mut world, "gui#2"));
    world.reachable("gui", false);
    insta::assert_snapshot!("unknown", explain(&mut world, "gui#1"));
}

#[test]
fn whose_head_it_is_and_why_that_needs_no_approval() {
    let own = "trusted: only who may write there pushes to the repository itself";
    let writes = "trusted: its author may write to the repository, and owns the one that its head \
                  comes from";
    let none = "not trusted: eve has no standing in the repository";
    // What eve may do, and what is said of her change and of one of the repository itself.
    for (rights, trusted, said) in [
        (None, false, none),
        (Some(Rights::Less), false, none),
        (Some(Rights::Write), true, writes),
    ] {
        let mut world = World::new(&["o/a", "o/b"]);
        let head = world.push("o/b#2", &[]);
        let at = world.snapshot.at;
        world.push_as("o/b#3", head, at, &[]);
        world.push("o/a#1", &["o/b#3"]);
        world.stranger("o/b#3");
        world.rights.extend(rights.map(|rights| ("eve".into(), rights)));
        world.run(0);
        let set = explained(&mut world, "o/a#1").set;
        let words: Vec<_> = set.iter().map(|one| (one.trusted, one.trust.as_str())).collect();
        assert_eq!(words, [(trusted, said), (true, own)], "{rights:?}");
    }
}

#[test]
fn what_a_change_is_tracked_for() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &["b#2"]);
    world.push("b#2", &[]);
    world.edit("b#2", |listed| listed.base = Some("stable".into()));
    world.packages.push(package("a-tools", git("a")));
    let vcs = Vcs::Git { url: url("a"), branch: Some("next".into()), pin: None };
    world.packages.push(package("a-next", vcs));
    let old = package("a-old", pinned("a").vcs);
    world.packages.push(old);
    world.packages.retain(|package| &*package.name != "b");
    world.packages.push(pinned("b"));
    world.export();
    let tracked = explained(&mut world, "a#1").tracked;
    let because: Vec<_> = tracked.iter().map(|one| (one.branch.as_deref(), &one.because)).collect();
    let names = [
        "package a of the manifest of w",
        "package a-old of the manifest of w, pinned at tag v1",
        "package a-tools of the manifest of w",
    ];
    assert_eq!(because, [(Some("main"), &names.map(str::to_owned).to_vec())]);
}

#[test]
fn what_became_of_each_reference_and_what_left() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &["gone#2", "b#2"]);
    world.push("b#2", &["lost#3"]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1"]);
    let text = explain(&mut world, "a#1");
    for line in [
        "gone#2 (line 1: gone#2, a Depends-On: trailer): gone#2 is not a change",
        "b#2 (line 2: b#2, a Depends-On: trailer): a member of the set",
        "lost#3 (line 1 of mirror/b#2: lost#3, a Depends-On: trailer): lost#3 is not a change",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    world.push("a#1", &[]);
    let left = explained(&mut world, "a#1").left;
    let what: Vec<_> = left.iter().map(|part| part.what.as_str()).collect();
    assert_eq!(what, ["mirror/b#2 on main"]);
}
