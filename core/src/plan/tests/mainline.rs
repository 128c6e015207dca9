//! The mainline.

use super::world::{World, subject};
use crate::model::build::Verdict;
use crate::model::observed::Observed;
use crate::model::snapshot::Updated;
use crate::model::time::Timestamp;

#[test]
fn it_is_recorded_and_not_built_and_pushes_gather() {
    let mut world = World::new(&["a", "b", "c"]);
    for (package, depends_on) in world.packages.iter_mut().zip([&["b"][..], &["c"], &[]]) {
        package.depends_on = depends_on.iter().map(|name| (*name).into()).collect();
    }
    world.export();
    assert_eq!(world.run(86_400), [""; 0]);
    assert_eq!(world.decision("mainline"), "unchanged");
    world.push_base("b");
    world.run(0);
    assert_eq!(world.run(119), [""; 0]);
    assert_eq!(world.decision("mainline"), "held: Settling");
    world.snapshot.at = Timestamp(world.snapshot.at.0 + 1000);
    let request = world.planned("mainline").triggers[0].request.clone();
    let affected: Vec<&str> = request.affected.iter().map(|name| name.as_str()).collect();
    assert_eq!(affected, ["b", "a"], "what changed and all that depends on it, in build order");
    assert_eq!(world.run(0), ["mainline"]);
    world.finish(Verdict::Success);
    // One push a minute: built after fifteen minutes all the same.
    let mut waited = 0;
    loop {
        world.push_base("c");
        if !world.run(60).is_empty() {
            break;
        }
        waited += 1;
        assert!(waited < 20);
    }
    assert_eq!(waited, 15);
}

#[test]
fn the_end_of_its_quiet_time_alone_does_not_forget_a_set_that_is_merged_in_part() {
    let mut world = World::new(&["a", "b", "c", "d", "e", "f"]);
    world.push("a#1", &["b#1"]);
    world.push("b#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1"]);
    world.finish(Verdict::Success);
    world.merge("b#1");
    world.run(0);
    world.run(119);
    assert_eq!(world.decision("mainline"), "held: Settling");
    // Nothing at all moves from here on.
    world.snapshot.at = Timestamp(world.snapshot.at.0 + 1000);
    assert_eq!(world.decision("mainline"), "held: PartlyMerged");
}

#[test]
fn a_failed_update_blocks_it_alone_and_a_pending_one_holds_it() {
    let mut world = World::new(&["a"]);
    world.push_base("a");
    world.push("a#1", &[]);
    world.run(0);
    world.part(|part| part.pending = true);
    assert_eq!(world.run(120), ["a#1"]);
    assert_eq!(world.decision("mainline"), "held: Mainline");
    world.part(|part| part.failure = Some("it broke".to_owned()));
    assert_eq!(world.run(120), [""; 0]);
    assert_eq!(world.decision("mainline"), "blocked: UpdateFailed");
    world.part(|part| (part.failure, part.pending) = (None, false));
    assert_eq!(world.run(0), ["mainline"]);
}

#[test]
fn a_moved_mainline_leaves_what_runs() {
    use crate::model::build::Stage;
    let mut world = World::new(&["a"]);
    world.push_base("a");
    world.run(0);
    assert_eq!(world.run(120), ["mainline"]);
    for attempt in world.ledger().attempts.values_mut().flatten() {
        attempt.stage = Stage::Running;
    }
    world.push_base("a");
    let planned = world.planned("mainline");
    assert!(planned.superseded.iter().all(|gone| !gone.cancel));
    assert!(world.ledger().attempts.contains_key(&subject("mainline")));
}

#[test]
fn old_checkouts_are_no_heads_while_a_repository_was_never_read() {
    let mut world = World::new(&["a"]);
    let old = world.fresh_oid();
    world.part(|part| {
        part.updated = Some(Updated { checkouts: [("a".into(), old)].into(), inputs: Vec::new() });
    });
    world.push_base("a");
    world.run(0);
    assert_eq!(world.run(120), ["mainline"]);
    world.finish(Verdict::Success);
    for part in std::sync::Arc::make_mut(&mut world.snapshot.repositories).values_mut() {
        std::sync::Arc::make_mut(part).listing = Observed::not_read_yet(Timestamp(0));
    }
    world.run(0);
    assert_eq!(world.decision("mainline"), "unknown");
    assert_eq!(world.run(86_400), [""; 0]);
}
