//! Several workspaces that use the same repositories, through the moves of a world, each with a ledger of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::properties::{PATHS, apply, step};
use super::world::World;
use crate::model::build::{Stage, Verdict};
use crate::model::identity::Name;
use crate::model::ledger_view::{LedgerView, WorkspaceLedger};
use crate::model::plan::Plan;
use crate::model::settings::{Drafts, Settings, WorkspaceSettings};
use crate::model::snapshot::{Snapshot, WorkspacePart};
use crate::plan::incremental::Planner;
use crate::plan::what_if::committed;

/// Two workspaces that are the same, one with a package less and one with another rule.
const NAMES: [&str; 4] = ["x", "y", "y-less", "z-other"];

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
                if &*name == "y-less" {
                    part.manifest = part.manifest.mapped(|manifest| {
                        let mut less = manifest.clone();
                        less.packages.pop();
                        less
                    });
                }
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

    /// The incremental plan, and the one from scratch.
    pub(super) fn plan(&mut self, world: &World) -> [Plan; 2] {
        let snapshot = self.snapshot(world);
        let made = self.planner.plan(&snapshot, &self.ledger);
        [made, crate::plan::plan(&snapshot, &self.ledger)]
    }

    /// Commits what a plan says of all but one of them.
    pub(super) fn commit(&mut self, plan: &Plan, but: Option<&str>) {
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

    /// What is the same stays one in memory, as in the daemon's view.
    fn replace(&mut self, name: &Name, part: WorkspaceLedger) {
        if self.ledger.workspaces.get(name).is_none_or(|before| **before != part) {
            *self.ledger.part_mut(name) = part;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_of_moves_in_several_workspaces_is_the_plan_from_scratch(
        steps in prop::collection::vec(
            (step(), prop::sample::select(vec![None, None, None, Some(0), Some(1), Some(3)]), 0..8_usize),
            1..20,
        ),
    ) {
        let mut world = World::fresh(&PATHS);
        world.run(0);
        let mut several = Several::default();
        for (step, late, ended) in &steps {
            apply(&mut world, step);
            let verdicts = [Verdict::Success, Verdict::Failure, Verdict::Lost];
            if let (Some(verdict), Some(name)) = (verdicts.get(*ended), NAMES.get(ended % 2)) {
                several.end(name, *verdict, &world);
            }
            // A push is planned when nothing else is new, and once more after it was recorded.
            for _ in 0..3 {
                let [made, scratch] = several.plan(&world);
                prop_assert_eq!(&made.workspaces, &scratch.workspaces);
                several.commit(&made, late.and_then(|late| NAMES.get(late)).copied());
            }
        }
    }
}
