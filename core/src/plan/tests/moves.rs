//! What happens in a workspace that is large enough for a move to matter to a part of it alone: each plan is
//! the one from scratch, which [`World::plan`] compares.

use std::cell::RefCell;

use super::play::Play;
use super::several::Several;
use super::world::World;
use crate::model::build::Verdict;
use crate::plan::incremental::Planner;
use crate::plan::plan;

const PATHS: &str = "o/a o/b o/c o/d o/e o/f o/g o/h";

/// A chain of three and three for themselves, all of which are being built.
const BEGIN: &str = "o/a#1>o/b#1; o/b#1>o/c#1; o/c#1; o/d#1; o/e#1; o/f#1; +0 ~; +90 ~; +90 ~";

/// The same on a server that is no forge.
const PLAIN: &str = "a b c d e f g h";

const PLAIN_MOVES: &[&str] = &[
    "what may depend on it | d#1>e#1; e#1; +0 ~; mute d#1; base d; +90 ~; +0 ~; d#1; mute d#1; +0 ~",
    "what does | d#1>e#1; e#1; +0 ~; +90 ~; mute d#1; base d; +0 ~; d#1>f#1; +0 ~; f#1; +90 ~; speak; +0 ~",
];

/// The same, all of which were open before anybody watched, and are held for that.
const HELD: &str = "use adopt none; ";

const MOVES: &[&str] = &[
    "a base | base o/e; +0 ~; +0 ~; +120 ~; base o/c; +0 ~; +0 ~",
    "a text that goes | +300 ~; end success; +0 ~; +0 ~; o/b#1; +0 ~; +0 ~",
    "a push | o/e#1; +0 ~; +30 ~; o/c#1; +0 ~; +30 ~",
    "a text | o/d#1>o/e#1; +0 ~; +30 ~; o/e#1; +0 ~; +30 ~; o/d#1; +0 ~; +30 ~; o/e#1; +0 ~; +30 ~",
    "a name without its owner | short o/d#1 e 1; +0 ~; +30 ~; o/e#1; +0 ~; +30 ~; o/d#1; +0 ~; +30 ~",
    "a head of the mainline | base o/e; +0 ~; +120 ~; end success; +0 ~; base o/g; +0 ~; base o/h; +120 ~",
    "a quiet mainline | base o/e; +0 ~; +0 ~; +120 ~; +0 ~; end failure; +0 ~; +0 ~",
    "a text of before | o/d#1>o/e#1; o/e#1; +0 ~; +0 ~; o/d#1; +0 ~; +0 ~; +90 ~",
    "a set of before | o/d#1>o/e#1; o/e#1; +0 ~; +90 ~; end success; +0 ~; o/d#1; +0 ~; +0 ~; o/e#1; +0 ~; +90 ~; o/d#1; +0 ~; +90 ~",
    "a renamed branch | rename o/e main trunk; +0 ~; o/e#1; +0 ~; +30 ~; rename o/g main trunk; +0 ~",
    "a renamed repository | call o/e O/New; +0 ~; o/e#1; +0 ~; +30 ~; o/d#1>o/new#1; +0 ~; +30 ~",
    "an archived one | archive o/d; +0 ~; o/d#1; +0 ~; +30 ~; archive o/g; +0 ~",
    "an outage | down o/b; +0 ~; o/d#1; +0 ~; +30 ~; up o/b; +0 ~; down o/g; +0 ~; up o/g; +0 ~",
    "an outage in which a text went | o/d#1>o/e#1; o/e#1; +0 ~; down o/d; +0 ~; +90 ~; +0 ~; up o/d; o/d#1; +0 ~; +30 ~",
    "a start | forget o/b; +0 ~; o/d#1; +0 ~; +30 ~",
    "commits that are not read | o/d#1; mute o/d#1; +0 ~; +30 ~; speak; +0 ~",
    "verdicts | end failure; +0 ~; base o/h; +0 ~; +120 ~; end failure; +0 ~; o/d#1; +0 ~; +30 ~; end failure; +0 ~; base o/h; +0 ~; +120 ~; end success; +0 ~; +0 ~",
    "lost builds | end lost; +0 ~; +120 ~; end lost; +0 ~; +1200 ~; end lost; +0 ~",
    "people | end success; +1 ~; rebuild o/d#1; +0 ~; +1 ~; alone o/c#1; +0 ~; rebuild mainline; +0 ~",
    "approvals | stranger o/d#1; o/d#1; +0 ~; +30 ~; approve o/d#1; +0 ~; stranger o/c#1; +0 ~; o/c#1; +0 ~; +30 ~; approve o/a#1; +0 ~",
    "a pause | pause; +0 ~; o/d#1; +0 ~; +30 ~; resume; +0 ~",
    "merges | end success; +0 ~; merge o/c#1; +0 ~; +120 ~; merge o/b#1; +0 ~; +900 ~; merge o/a#1; +0 ~",
    "closed ones | close o/c#1; +0 ~; o/c#1; +0 ~; +90 ~; close o/d#1; +0 ~; +0 ~",
    "queues | queue o/d#1; +0 ~; queue o/e#1; +0 ~; unqueue o/d#1; +0 ~; end success; +0 ~; queue o/a#1; +0 ~; o/c#1; +0 ~; +30 ~",
    "branches of one name | use branch_matching true; +0 ~; branch o/d#1 x; +0 ~; branch o/e#1 x; +0 ~; +90 ~; branch o/d#1 y; +0 ~; +30 ~",
    "rebuilds on the base | use rebuild_on_base all; end success; +0 ~; base o/h; +0 ~; +120 ~; end success; +0 ~",
    "drafts | use drafts hold; draft o/d#1; o/d#1; +0 ~; +30 ~; ready o/d#1; +0 ~",
    "age | end lost; +10368000 ~; label o/d#1 x; +0 ~; o/d#1; +0 ~; +30 ~",
    "what can be merged | mergeable o/d#1 no; +0 ~; mergeable o/d#1 unsaid; o/d#1; +0 ~; +30 ~; +60 ~",
    "a fate | fate o/c#1 gone; +0 ~; +30 ~; fate o/d#1 closed x; +0 ~",
    "one that is merged too early | fate o/c#1 merged main; +0 ~; +1800 ~; o/d#1; +0 ~; +1800 ~",
    "another base | on o/d#1 stable; +0 ~; on o/d#1 main; +0 ~; +30 ~; on o/c#1 stable; +0 ~; +30 ~",
    "a stack | o/e#2; stack o/e#2 1; in o/e#1 o/e#2; +0 ~; +90 ~; o/e#1; in o/e#1 o/e#2; +0 ~; +30 ~; close o/e#1; +0 ~",
    "a package | also x https://github.com/o/e; +0 ~; o/e#1; +0 ~; +30 ~; pin o/x; +0 ~; o/d#1>o/x#1; +0 ~; o/x#1; +0 ~; +90 ~",
    "another branch of a package | written o/e next; +0 ~; o/e#2; on o/e#2 next; +0 ~; +90 ~; o/d#1>o/e#2; +0 ~; +30 ~",
    "budgets | many o/d#1 o/e 100 601; +0 ~; +30 ~; o/f#1; +0 ~; +30 ~; +3600 ~; +60 ~",
    "budgets that two share | many o/f#1 o/e 101 10; stranger o/f#1; +0 ~; +30 ~; many o/f#2 o/e 111 10; stranger o/f#2; many o/f#3 o/e 121 10; stranger o/f#3; many o/f#4 o/e 131 10; stranger o/f#4; many o/f#5 o/e 141 10; stranger o/f#5; many o/f#6 o/e 151 10; stranger o/f#6; many o/f#7 o/e 161 1; stranger o/f#7; +0 ~; +30 ~; many o/d#1 o/g 300 10; author o/d#1 eve member; +0 ~; o/f#7 is held: ReferenceBudget; +30 ~",
    "updates | broken; +0 ~; base o/e; +0 ~; +120 ~; updated; +0 ~; pending; +0 ~; o/d#1; +0 ~; +30 ~",
    "statuses | report o/d; report o/b; +0 ~; o/d#1; +0 ~; +30 ~; end failure; +0 ~; o/c#1; +0 ~; +30 ~; end success; +0 ~; o/d#1>o/nothing#1; +0 ~; +30 ~",
    "a set that fell apart | end success; +0 ~; unsay o/b#1; +0 ~; merge o/c#1; +0 ~; +120 ~; +900 ~",
    "bots | author o/d#1 robot bot; o/d#1>o/e#1; +0 ~; +600 ~; o/e#1; +0 ~; +30 ~",
    "the epoch | end success; +0 ~; use epoch 1; +0 ~; o/d#1; +0 ~; +30 ~",
];

fn play(before: &str, each: &mut dyn FnMut(&World), first: &mut dyn FnMut()) {
    let hosted = MOVES.iter().map(|row| (row, PATHS, BEGIN));
    for (row, paths, begin) in hosted.chain(PLAIN_MOVES.iter().map(|row| (row, PLAIN, "+0 ~"))) {
        first();
        let (what, steps) = row.split_once('|').expect("what and steps");
        let row = format!("{what}| {paths} | {before}{begin};{steps}");
        assert_eq!(Play::watched(&row, each), Ok(()), "{what}");
    }
}

#[test]
fn a_move_leads_to_the_plan_from_scratch() {
    play("", &mut |_| {}, &mut || {});
}

#[test]
fn a_move_leads_to_the_plan_from_scratch_in_several_workspaces() {
    let several = RefCell::new((Several::default(), 0));
    let mut each = |world: &World| {
        let (several, passes) = &mut *several.borrow_mut();
        *passes += 1;
        match *passes % 7 {
            3 => several.end("x", Verdict::Success, world),
            5 => several.end("y", Verdict::Failure, world),
            _ => {}
        }
        several.settle(world, None);
    };
    for before in ["", HELD] {
        play(before, &mut each, &mut || *several.borrow_mut() = Default::default());
    }
}

#[test]
fn a_move_leads_to_the_plan_from_scratch_while_nothing_is_recorded() {
    let late = RefCell::new((Several::default(), 0));
    let mut each = |world: &World| {
        let (several, passes) = &mut *late.borrow_mut();
        *passes += 1;
        several.plan_later(world, 0);
        several.plan_later(world, 20);
        if *passes % 3 == 0 {
            several.settle(world, None);
        }
    };
    play("", &mut each, &mut || *late.borrow_mut() = Default::default());
}

#[test]
fn a_plan_that_is_another_one_than_that_from_scratch_is_found_and_replaced() {
    let mut world = World::new(&["a", "b"]);
    world.run(0);
    world.run(0);
    let mut planner = Planner::new();
    let scratch = |world: &World| plan(&world.snapshot, &world.ledger);
    assert_eq!(planner.check(&world.snapshot, &world.ledger), (scratch(&world), true));
    planner.spoil();
    assert_ne!(planner.plan(&world.snapshot, &world.ledger), scratch(&world));
    assert_eq!(planner.check(&world.snapshot, &world.ledger), (scratch(&world), false));
    // What it watches is known again.
    world.push("b#1", &[]);
    world.plan();
    assert_eq!(planner.plan(&world.snapshot, &world.ledger), scratch(&world));
    assert_eq!(planner.check(&world.snapshot, &world.ledger), (scratch(&world), true));
}
