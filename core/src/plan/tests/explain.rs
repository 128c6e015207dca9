//! What people read of a decision.

use super::world::{World, pinned, subject};
use crate::model::build::Verdict;
use crate::model::ledger_view::Approval;
use crate::model::settings::Authors;
use crate::plan::explain::Explainer;

pub(super) fn explain(world: &mut World, text: &str) -> String {
    let made = world.plan();
    let workspace = made.workspaces.first().expect("a workspace");
    let planned = workspace.subject(&subject(text)).expect("a subject");
    let explainer = Explainer::new(&world.snapshot, &world.ledger, workspace).expect("settings");
    let explanation = explainer.explain(planned);
    let json = serde_json::to_value(&explanation).expect("json");
    assert_eq!(json["subject"], planned.subject.to_string());
    assert_eq!(json["decision"]["kind"], planned.decision.word());
    explanation.text()
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
