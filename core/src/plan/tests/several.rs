//! Several workspaces that use the same repositories, through the moves of a world, each with a ledger of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::alike::apart;
use super::properties::{PATHS, apply, step};
use super::world::{World, change, oid, subject};
use crate::model::build::{Stage, Verdict};
use crate::model::identity::{Name, Subject};
use crate::model::ledger_view::{Adopted, LedgerView, Rebuild, WorkspaceLedger};
use crate::model::manifest::Manifest;
use crate::model::plan::Plan;
use crate::model::settings::{Drafts, Settings, WorkspaceSettings};
use crate::model::snapshot::{Snapshot, WorkspacePart};
use crate::model::time::Span;
use crate::plan::incremental::Planner;
use crate::plan::what_if::committed;

/// One workspace that lacks a package, one that overrides the first one by another key, two that are the same, and
/// one with another rule.
const NAMES: [&str; 5] = ["u-less", "v-key", "x", "y", "z-other"];

/// The manifest of one of them.
fn manifest(of: &str, manifest: &Manifest) -> Manifest {
    let mut own = manifest.clone();
    match of {
        "u-less" => drop(own.packages.pop()),
        "v-key" => own.packages.iter_mut().take(1).for_each(|first| {
            Arc::make_mut(first).override_key = "other".into();
        }),
        _ => {}
    }
    own
}

/// Their planner, and what is kept as one in memory while it stays the same.
#[derive(Default)]
pub(super) struct Several {
    planner: Planner,
    ledger: LedgerView,
    settings: Option<[Arc<Settings>; 2]>,
    parts: BTreeMap<Name, [Arc<WorkspacePart>; 2]>,
}

impl Several {
    /// What they see of a world.
    fn snapshot(&mut self, world: &World) -> Snapshot {
        let mut snapshot = world.snapshot.clone();
        let of = |settings: &Arc<Settings>| {
            let own = Arc::clone(&settings.workspaces[0]);
            let workspaces = NAMES.map(|name| {
                let (name, id) = (Name::from(name), Name::from(name));
                let mut copy = WorkspaceSettings { name, id, ..own.as_ref().clone() };
                if &*copy.name == "z-other" {
                    let hold = own.changes.drafts == Drafts::Hold;
                    copy.changes.drafts = if hold { Drafts::Build } else { Drafts::Hold };
                }
                Arc::new(copy)
            });
            let workspaces = workspaces.to_vec();
            [Arc::clone(settings), Arc::new(Settings { workspaces, ..settings.as_ref().clone() })]
        };
        if !self.settings.as_ref().is_some_and(|[of, _]| Arc::ptr_eq(of, &snapshot.settings)) {
            self.settings = Some(of(&snapshot.settings));
        }
        let own = world.snapshot.workspaces.get("w").cloned();
        let mut parts = BTreeMap::new();
        for (name, own) in NAMES.iter().zip(own.iter().cycle()) {
            let name = Name::from(*name);
            let known = self.parts.get(&name).filter(|[of, _]| Arc::ptr_eq(of, own)).cloned();
            let [of, part] = known.unwrap_or_else(|| {
                let mut part = WorkspacePart { name: name.clone(), ..own.as_ref().clone() };
                part.manifest = part.manifest.mapped(|all| manifest(&name, all));
                [Arc::clone(own), Arc::new(part)]
            });
            parts.insert(name.clone(), Arc::clone(&part));
            self.parts.insert(name, [of, part]);
        }
        snapshot.workspaces = Arc::new(parts);
        if let Some([_, settings]) = &self.settings {
            snapshot.settings = Arc::clone(settings);
        }
        snapshot
    }

    /// The incremental plan, which is what each of them plans for itself from scratch.
    fn plan(&mut self, world: &World) -> Plan {
        self.plan_later(world, 0)
    }

    /// The same so many seconds later.
    pub(super) fn plan_later(&mut self, world: &World, seconds: u64) -> Plan {
        let mut snapshot = self.snapshot(world);
        snapshot.at = snapshot.at + Span::seconds(seconds);
        let made = self.planner.plan(&snapshot, &self.ledger);
        let alone = apart(&snapshot, &self.ledger);
        let expected = Plan {
            at: snapshot.at,
            wanted: alone.iter().flat_map(|plan| plan.wanted.iter().cloned()).collect(),
            next_at: alone.iter().filter_map(|plan| plan.next_at).min(),
            workspaces: alone.iter().flat_map(|plan| plan.workspaces.iter().cloned()).collect(),
        };
        assert_eq!(made, expected);
        made
    }

    /// A move is planned when nothing else is new, and once more after it was recorded.
    pub(super) fn settle(&mut self, world: &World, but: Option<&str>) -> Plan {
        for _ in 0..2 {
            let made = self.plan(world);
            self.commit(&made, but);
        }
        self.plan(world)
    }

    /// Commits what a plan says of all but one of them.
    fn commit(&mut self, plan: &Plan, but: Option<&str>) {
        let next = committed(&self.ledger, plan);
        for (name, part) in &*next.workspaces {
            if Some(name.as_str()) != but {
                self.replace(name, part.as_ref().clone());
            }
        }
    }

    /// All builds of one of them end.
    pub(super) fn end(&mut self, name: &str, verdict: Verdict, world: &World) {
        let Some(part) = self.ledger.workspaces.get(name) else { return };
        let mut part = part.as_ref().clone();
        let open = part.attempts.values_mut().flatten().filter(|attempt| attempt.stage.open());
        for attempt in open {
            attempt.stage = Stage::Ended(verdict);
            attempt.ended_at = Some(world.snapshot.at);
        }
        self.replace(&name.into(), part);
    }

    /// Somebody pauses one of them, or resumes it.
    fn pause(&mut self, name: &str) {
        let Some(part) = self.ledger.workspaces.get(name) else { return };
        let mut part = part.as_ref().clone();
        part.paused_by = if part.paused_by.is_some() { None } else { Some("ann".to_owned()) };
        self.replace(&name.into(), part);
    }

    /// What is the same stays one in memory, as in the daemon's view.
    fn replace(&mut self, name: &Name, part: WorkspaceLedger) {
        if self.ledger.workspaces.get(name).is_none_or(|before| **before != part) {
            *self.ledger.part_mut(name) = part;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_of_moves_in_several_workspaces_is_the_plan_from_scratch(
        steps in prop::collection::vec(
            (
                prop::collection::vec(step(), 1..3),
                prop::sample::select(vec![None, None, None, Some(0), Some(2), Some(4)]),
                0..8_usize,
            ),
            1..20,
        ),
    ) {
        let mut world = World::fresh(&PATHS);
        world.run(0);
        let mut several = Several::default();
        for (steps, late, ended) in &steps {
            steps.iter().for_each(|step| apply(&mut world, step));
            // Commits are read before they are seen here, as pull requests are.
            world.run(0);
            let verdicts = [Verdict::Success, Verdict::Failure, Verdict::Lost];
            if let (Some(verdict), Some(name)) = (verdicts.get(*ended), NAMES.get(ended % 2 + 2)) {
                several.end(name, *verdict, &world);
            } else if *ended == 7 {
                several.pause("y");
            }
            several.settle(&world, late.and_then(|late| NAMES.get(late)).copied());
        }
    }
}

#[test]
fn what_was_otherwise_before_a_move_is_otherwise_after_it() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &[]);
    let mut several = Several::default();
    several.settle(&world, None);
    world.run(7200);
    // What one of them held is new to the other one, and was built there.
    let mut part = several.ledger.part_mut(&"y".into()).clone();
    part.changes.iter_mut().for_each(|(_, facts)| facts.adopted = Adopted::No);
    several.replace(&"y".into(), part);
    several.settle(&world, None);
    several.end("x", Verdict::Success, &world);
    several.end("y", Verdict::Failure, &world);
    several.settle(&world, None);
    world.push("a#2", &[]);
    world.run(0);
    let made = several.plan(&world);
    let decisions = ["x", "y"].map(|name| {
        let planned = made.workspace(name).and_then(|plan| plan.subject(&subject("a#1")));
        planned.expect("a plan").decision.reason().to_owned()
    });
    assert_ne!(decisions[0], decisions[1]);
}

#[test]
fn a_first_change_is_built_where_nobody_paused() {
    let mut world = World::new(&["a", "b", "c", "d", "e"]);
    let mut several = Several::default();
    several.settle(&world, None);
    several.pause("y");
    several.settle(&world, None);
    for push in 1..3 {
        world.push("a#1", &[]);
        world.run(0);
        let made = several.plan(&world);
        let decisions = ["x", "y"].map(|name| {
            let planned = made.workspace(name).and_then(|plan| plan.subject(&subject("a#1")));
            planned.expect("a plan").decision.reason().contains("paused")
        });
        assert_eq!(decisions, [false, true], "push {push}");
        several.settle(&world, None);
    }
}

#[test]
fn a_first_change_is_overridden_as_each_of_them_tracks_it() {
    let mut world = World::new(&["a", "b"]);
    let mut several = Several::default();
    several.settle(&world, None);
    world.push("a#1", &[]);
    world.run(0);
    let made = several.plan(&world);
    let keys = NAMES.map(|name| {
        let planned = made.workspace(name).and_then(|plan| plan.subject(&subject("a#1")));
        planned.expect("a plan").overrides[0].packages[0].to_string()
    });
    assert_eq!(keys, ["a", "other", "a", "a", "a"]);
}

#[test]
fn what_moved_beside_it_matters_where_it_is_watched() {
    let mut world = World::new(&["a", "b", "c", "d", "e"]);
    let mut several = Several::default();
    several.settle(&world, None);
    for push in 1..3 {
        world.push("a#1", &[]);
        world.push("e#1", &[]);
        world.run(0);
        let made = several.plan(&world);
        let heads = ["u-less", "x"].map(|name| {
            let plan = made.workspace(name).expect("a plan");
            ["a#1", "e#1"].map(|change| {
                let planned = plan.subject(&subject(change))?;
                planned.set.first().map(|member| member.head)
            })
        });
        let now = ["a#1", "e#1"].map(|change| Some(world.head(change)));
        assert_eq!(heads, [[now[0], None], now], "push {push}");
        several.settle(&world, None);
    }
}

#[test]
fn what_is_open_again_is_known_as_each_of_them_knew_it() {
    let mut world = World::new(&["a", "b", "c", "d", "e"]);
    // None of them is recent, so none was built.
    let before = world.snapshot.at - Span::hours(48);
    for (number, change) in ["a#1", "a#2"].iter().enumerate() {
        world.push_as(change, oid(number as u64 + 1), before, &[]);
    }
    world.run(0);
    let mut several = Several::default();
    several.settle(&world, None);
    world.close("a#1");
    world.run(7200);
    several.settle(&world, None);
    let mut part = several.ledger.part_mut(&"y".into()).clone();
    let known = part.changes.get_mut(&change("a#1")).expect("it was open");
    known.adopted = Adopted::No;
    several.replace(&"y".into(), part);
    // What is open there is the same in both, and decided for both.
    world.push_as("a#2", oid(3), before, &[]);
    world.run(0);
    several.settle(&world, None);
    world.push_as("a#1", oid(1), before, &[]);
    world.run(0);
    let made = several.plan(&world);
    let decisions = ["x", "y"].map(|name| {
        let planned = made.workspace(name).and_then(|plan| plan.subject(&subject("a#1")));
        planned.expect("a plan").decision.word()
    });
    assert_eq!(decisions, ["held", "build"]);
}

#[test]
fn what_a_new_text_names_matters_where_that_is_watched() {
    let mut world = World::new(&["a", "b", "c", "d", "e"]);
    let mut several = Several::default();
    several.settle(&world, None);
    world.push("a#1", &[]);
    world.push("e#1", &[]);
    world.run(0);
    several.settle(&world, None);
    world.push("a#1", &["e#1"]);
    world.run(0);
    let made = several.plan(&world);
    let members = NAMES.map(|name| {
        let planned = made.workspace(name).and_then(|plan| plan.subject(&subject("a#1")));
        planned.expect("a plan").set.len()
    });
    assert_eq!(members, [1, 2, 2, 2, 2]);
}

#[test]
fn what_may_be_built_now_is_asked_for_by_each_of_them() {
    let mut world = World::new(&["o/a", "o/b", "o/c", "o/d", "o/e"]);
    let mut several = Several::default();
    several.settle(&world, None);
    world.push("o/a#1", &[]);
    world.happens("stranger", &["o/a#1"]);
    for seconds in [0, 120] {
        world.run(seconds);
        several.settle(&world, None);
    }
    // Nothing else is waited for once its author is a member.
    world.happens("author", &["o/a#1", "eve", "member"]);
    world.run(0);
    let made = several.plan(&world);
    let request = |name: &&str| {
        let planned = made.workspace(name)?.subject(&subject("o/a#1"))?;
        Some(planned.triggers.first()?.request.workspace.to_string())
    };
    assert_eq!(NAMES.iter().filter_map(request).collect::<Vec<_>>(), NAMES);
    // So it is until that is recorded.
    several.plan_later(&world, 20);
}

#[test]
fn what_one_forgot_of_a_closed_change_is_nothing_to_another() {
    let mut world = World::new(&["a", "b", "c", "d", "e"]);
    let mut several = Several::default();
    several.settle(&world, None);
    for change in ["a#1", "b#1", "b#2"] {
        world.push(change, &[]);
    }
    let closed = world.head("b#2");
    world.run(0);
    several.settle(&world, None);
    world.close("b#2");
    world.run(0);
    several.settle(&world, None);
    let mut part = several.ledger.part_mut(&"y".into()).clone();
    assert!(part.changes.get(&change("b#2")).is_some_and(|known| known.head == closed));
    part.changes.retain(|id, _| *id != change("b#2"));
    several.replace(&"y".into(), part);
    several.settle(&world, None);
    // What is open is the same in both, and decided for both.
    world.push("b#1", &[]);
    world.run(0);
    several.settle(&world, None);
    world.push("a#1", &["b#2"]);
    world.run(0);
    let made = several.plan(&world);
    let decisions = ["x", "y"].map(|name| {
        let planned = made.workspace(name).and_then(|plan| plan.subject(&subject("a#1")));
        format!("{:?}", planned.expect("a plan"))
    });
    assert_ne!(decisions[0], decisions[1]);
}

#[test]
fn what_a_person_asks_for_is_asked_for_until_that_is_recorded() {
    let mut world = World::new(&["a", "b", "c", "d", "e"]);
    let mut several = Several::default();
    several.settle(&world, None);
    world.push_base("a");
    for seconds in [0, 150] {
        world.run(seconds);
        several.settle(&world, None);
    }
    several.end("x", Verdict::Success, &world);
    several.settle(&world, None);
    let mut part = several.ledger.part_mut(&"x".into()).clone();
    let at = world.snapshot.at + Span::seconds(1);
    let asked = Rebuild { by: "ann".to_owned(), at, alone: false };
    part.rebuilds.insert(Subject::Mainline, asked);
    several.replace(&"x".into(), part);
    for seconds in [1, 20, 40] {
        let made = several.plan_later(&world, seconds);
        let mainline = made.workspace("x").and_then(|plan| plan.subject(&Subject::Mainline));
        assert_eq!(mainline.expect("a plan").triggers.len(), 1);
    }
}
