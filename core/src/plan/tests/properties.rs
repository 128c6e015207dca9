//! What holds for every world.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::world::{World, short};
use crate::model::build::Verdict;
use crate::model::change::Fate;
use crate::model::manifest::DefinitionRepository;
use crate::model::plan::Plan;
use crate::model::settings::{Drafts, OnConflict, RebuildOnBase};
use crate::model::snapshot::Updated;
use crate::plan::incremental::Planner;

pub(super) const PATHS: [&str; 4] = ["a", "b", "o/c", "o/d"];

/// Something that happens to a world.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Push(usize, u64, Vec<(usize, u64)>),
    Close(usize, u64),
    Merge(usize, u64),
    Base(usize),
    Reachable(usize, bool),
    Silence(usize, u64),
    Speak,
    Pass(u64),
    Finish(usize),
    Rebuild(usize, u64, bool),
    Pending(bool),
    Forge(usize, u64, Option<bool>, bool),
    Stack(usize, u64, bool),
    Matching(bool),
    Mainline(usize, bool),
    Again(usize, u64),
    Flood(u64, u64),
    Late(usize, u64, bool),
    Rules(bool, bool),
    Updated,
    Queue(usize, u64, Option<bool>),
    Rename(usize),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    let change = (0..PATHS.len(), 1..3_u64);
    prop_oneof![
        6 => (change.clone(), prop::collection::vec(change.clone(), 0..3))
            .prop_map(|((path, number), needs)| Step::Push(path, number, needs)),
        1 => change.clone().prop_map(|(path, number)| Step::Close(path, number)),
        1 => change.clone().prop_map(|(path, number)| Step::Merge(path, number)),
        1 => path.clone().prop_map(Step::Base),
        2 => (path, any::<bool>()).prop_map(|(path, up)| Step::Reachable(path, up)),
        1 => change.clone().prop_map(|(path, number)| Step::Silence(path, number)),
        1 => Just(Step::Speak),
        6 => prop::sample::select(vec![0, 1, 30, 90, 120, 1200, 86_400]).prop_map(Step::Pass),
        2 => (0..5_usize).prop_map(Step::Finish),
        1 => (change.clone(), any::<bool>()).prop_map(|((p, n), alone)| Step::Rebuild(p, n, alone)),
        1 => any::<bool>().prop_map(Step::Pending),
        2 => (change.clone(), any::<Option<bool>>(), any::<bool>())
            .prop_map(|((path, number), able, draft)| Step::Forge(path, number, able, draft)),
        2 => (change.clone(), any::<bool>())
            .prop_map(|((path, number), up)| Step::Stack(path, number, up)),
        2 => (change.clone(), any::<Option<bool>>())
            .prop_map(|((path, number), apart)| Step::Queue(path, number, apart)),
        1 => (change, any::<bool>()).prop_map(|((path, number), main)| Step::Late(path, number, main)),
        1 => any::<(bool, bool)>().prop_map(|(drafts, conflicts)| Step::Rules(drafts, conflicts)),
        1 => Just(Step::Updated),
        1 => (0..PATHS.len()).prop_map(Step::Rename),
        1 => any::<bool>().prop_map(Step::Matching),
        2 => (0..PATHS.len(), any::<bool>()).prop_map(|(path, green)| Step::Mainline(path, green)),
        1 => (0..3_usize, 0..2_u64).prop_map(|(base, epoch)| Step::Again(base, epoch)),
        1 => (1..3_u64, 0..2_u64).prop_map(|(number, first)| Step::Flood(number, first)),
    ]
}

fn name(path: usize, number: u64) -> String {
    format!("{}#{number}", PATHS[path])
}

fn open(world: &World, path: usize, number: u64) -> bool {
    let part = world.snapshot.repositories.get(&super::world::repository(PATHS[path]));
    let listing = part.and_then(|part| part.listing.value());
    listing.is_some_and(|listing| listing.changes.iter().any(|listed| listed.number == number))
}

fn known(world: &World, path: usize) -> bool {
    let part = world.snapshot.repositories.get(&super::world::repository(PATHS[path]));
    part.is_some_and(|part| part.listing.value().is_some())
}

/// Passes are planned incrementally and from scratch, which the world compares.
pub(super) fn apply(world: &mut World, step: &Step) {
    match step {
        Step::Push(path, number, needs) if known(world, *path) => {
            let needs: Vec<String> = needs.iter().map(|(p, n)| name(*p, *n)).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            world.push(&name(*path, *number), &needs);
        }
        Step::Close(path, number) if open(world, *path, *number) => {
            world.close(&name(*path, *number));
        }
        Step::Merge(path, number) if open(world, *path, *number) => {
            world.merge(&name(*path, *number));
        }
        Step::Base(path) if known(world, *path) => {
            world.push_base(PATHS[*path]);
        }
        Step::Reachable(path, up) => world.reachable(PATHS[*path], *up),
        Step::Silence(path, number) if open(world, *path, *number) => {
            let head = world.head(&name(*path, *number));
            world.silent.insert(head);
        }
        Step::Speak => world.silent.clear(),
        Step::Pass(seconds) => {
            world.run(*seconds);
        }
        Step::Finish(verdict) => {
            let verdicts = [
                Verdict::Success,
                Verdict::Failure,
                Verdict::Cancelled,
                Verdict::Lost,
                Verdict::Refused,
            ];
            world.finish(verdicts[*verdict]);
        }
        Step::Rebuild(path, number, alone) => world.rebuild(&name(*path, *number), *alone),
        Step::Pending(pending) => world.part(|part| part.pending = *pending),
        Step::Forge(path, number, able, draft) if *path >= 2 && open(world, *path, *number) => {
            world.pull(&name(*path, *number), |forge| {
                (forge.mergeable, forge.draft) = (*able, *draft);
            });
        }
        Step::Stack(path, number, up) if *path >= 2 && open(world, *path, *number) => {
            let name = name(*path, *number);
            if *up {
                world.stack(&name, 3 - number);
            } else {
                world.edit(&name, |listed| listed.base = Some("main".into()));
            }
        }
        // Merged, but the mainline that we see does not have it yet, or never will.
        Step::Late(path, number, main) if *path >= 2 && open(world, *path, *number) => {
            let name = name(*path, *number);
            world.close(&name);
            let commit = Some(world.fresh_oid());
            let base = Some(if *main { "main" } else { "topic-1" }.into());
            world.become_of(&name, Fate::Merged { commit, base });
        }
        Step::Rules(drafts, conflicts) => world.settings(|w| {
            w.changes.drafts = if *drafts { Drafts::Hold } else { Drafts::Build };
            w.changes.on_conflict = if *conflicts { OnConflict::Block } else { OnConflict::Head };
        }),
        Step::Updated => {
            let settings = world.snapshot.settings.workspaces[0].clone();
            if let Some(inputs) = crate::plan::update_inputs(&world.snapshot, &settings) {
                world.part(|part| part.updated = Some(Updated { inputs, ..Updated::default() }));
            }
        }
        // A push that is built, and ends so.
        Step::Mainline(path, green) if known(world, *path) => {
            world.push_base(PATHS[*path]);
            world.run(0);
            world.run(900);
            let verdict = if *green { Verdict::Success } else { Verdict::Failure };
            world.finish_of("mainline", verdict);
        }
        Step::Again(base, epoch) => world.settings(|w| {
            let rules = [RebuildOnBase::None, RebuildOnBase::Affected, RebuildOnBase::All];
            (w.changes.rebuild_on_base, w.epoch) = (rules[*base], *epoch);
        }),
        // Somebody who names more than is looked up in an hour.
        Step::Flood(number, first) if known(world, 2) => {
            let first = (100 + first * 400).to_string();
            world.happens("many", &[&name(2, *number), "o/d", &first, "400"]);
        }
        // In a queue, or out of it; also of what is not open.
        Step::Queue(path, number, apart) if *path >= 2 && known(world, *path) => match apart {
            Some(apart) => drop(world.queue(&name(*path, *number), "main", *apart)),
            None => world.unqueue(&name(*path, *number)),
        },
        // The branch gets another name, or its first one again.
        Step::Rename(path) if known(world, *path) => {
            let main = world.main_of(PATHS[*path]);
            let other = if &*main == "main" { "trunk" } else { "main" };
            world.rename(PATHS[*path], &main, other);
        }
        Step::Matching(on) => world.settings(|w| w.changes.branch_matching = *on),
        _ => {}
    }
}

/// Everything that a plan would do.
fn acts(plan: &Plan) -> BTreeSet<String> {
    let mut acts = BTreeSet::new();
    for planned in plan.workspaces.iter().flat_map(|workspace| workspace.subjects()) {
        for trigger in &planned.triggers {
            acts.insert(format!(
                "trigger {} {}",
                short(&planned.subject),
                trigger.request.request_id
            ));
        }
        for gone in &planned.superseded {
            acts.insert(format!("supersede {}", gone.request_id));
        }
    }
    acts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_incremental_plan_is_the_plan_from_scratch_and_outages_add_nothing(
        steps in prop::collection::vec(step(), 1..40),
        last in prop::sample::select(vec![0, 1, 30, 90, 120]),
    ) {
        let mut world = World::fresh(&PATHS);
        world.definitions.push(DefinitionRepository {
            name: "definitions".into(),
            vcs: super::world::git("o/d"),
            override_key: "definitions".into(),
            directory: None,
            repeats: None,
        });
        world.export();
        world.run(0);
        for step in &steps {
            apply(&mut world, step);
        }
        world.snapshot.at = world.snapshot.at + crate::model::time::Span::seconds(last);
        let made = world.plan();
        let scratch = world.scratch();
        let one = serde_json::to_string(&made).expect("json");
        let other = serde_json::to_string(&scratch).expect("json");
        prop_assert_eq!(one, other, "the same bytes twice");
        let before = acts(&made);
        let at = world.snapshot.at;
        for id in world.snapshot.repositories.keys() {
            let mut snapshot = world.snapshot.clone();
            let part = Arc::make_mut(&mut snapshot.repositories).get_mut(id).expect("a repository");
            let part = Arc::make_mut(part);
            part.listing = part.listing.failed("timed out", at);
            let after = acts(&crate::plan::plan(&snapshot, &world.ledger));
            prop_assert!(after.is_subset(&before), "{id} down: {after:?} of {before:?}");
        }
        let every = 1 + world.snapshot.answers.len() / 40;
        for question in world.snapshot.answers.keys().step_by(every) {
            let mut snapshot = world.snapshot.clone();
            let answer = Arc::make_mut(&mut snapshot.answers).get_mut(question).expect("an answer");
            *answer = answer.failed("timed out", at);
            let after = acts(&crate::plan::plan(&snapshot, &world.ledger));
            prop_assert!(after.is_subset(&before), "{question:?}: {after:?} of {before:?}");
        }
        let mut snapshot = world.snapshot.clone();
        let part = Arc::make_mut(Arc::make_mut(&mut snapshot.workspaces).get_mut("w").expect("a workspace"));
        part.manifest = part.manifest.failed("timed out", at);
        let after = acts(&crate::plan::plan(&snapshot, &world.ledger));
        prop_assert!(after.is_subset(&before), "manifest: {after:?} of {before:?}");
    }

    #[test]
    fn workspaces_planned_together_are_what_each_is_for_itself(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut world = World::fresh(&PATHS);
        world.run(0);
        let mut planner = Planner::new();
        for step in &steps {
            apply(&mut world, step);
            let (snapshot, ledger) = super::alike::together(&world);
            let (made, equal) = planner.check(&snapshot, &ledger);
            prop_assert!(equal, "the incremental plan is that of each from scratch");
            let each = super::alike::apart(&snapshot, &ledger);
            for (together, alone) in made.workspaces.iter().zip(&each) {
                prop_assert_eq!(together, &alone.workspaces[0]);
            }
        }
    }

    #[test]
    fn a_saved_snapshot_gives_the_same_bytes_and_without_names_the_same_decisions(
        steps in prop::collection::vec(step(), 1..40),
        later in prop::sample::select(vec![0, 30, 90, 1200]),
    ) {
        let mut world = World::new(&PATHS);
        for step in &steps {
            apply(&mut world, step);
        }
        world.snapshot.at = world.snapshot.at + crate::model::time::Span::seconds(later);
        world.plan();
        let saved = super::saved::saved(&world);
        let (snapshot, ledger) = super::saved::carried(&saved).thawed();
        let there = serde_json::to_string(&crate::plan::plan(&snapshot, &ledger)).expect("json");
        prop_assert_eq!(serde_json::to_string(&world.scratch()).expect("json"), there);
        let hidden = super::saved::carried(&crate::plan::anonymous::anonymous(&saved));
        let (snapshot, ledger) = hidden.thawed();
        let other = crate::plan::plan(&snapshot, &ledger);
        let kept = |plan: &Plan| super::saved::without_names(plan);
        prop_assert_eq!(kept(&world.scratch()), kept(&other));
    }

    #[test]
    fn the_order_in_which_things_are_told_does_not_matter(
        order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(),
        paths in Just(PATHS.to_vec()).prop_shuffle(),
    ) {
        let build = |order: &[usize], paths: &[&str]| {
            let mut world = World::fresh(&[]);
            for path in PATHS {
                world.repository(path);
            }
            for path in paths {
                world.packages.push(super::world::package(path, super::world::git(path)));
            }
            world.export();
            for index in order {
                let (path, number) = (PATHS[index / 2], 1 + (index % 2) as u64);
                let below = PATHS[(index / 2 + 1) % PATHS.len()];
                let below = format!("{below}#{number}");
                let head = super::world::oid(*index as u64 + 1);
                let at = world.snapshot.at;
                let needs = [below.as_str()];
                let needs = if index % 2 == 0 { &needs[..] } else { &[] };
                world.push_as(&format!("{path}#{number}"), head, at, needs);
            }
            serde_json::to_string(&world.plan()).expect("json")
        };
        let sorted: Vec<usize> = (0..8).collect();
        prop_assert_eq!(build(&order, &paths), build(&sorted, &PATHS));
    }
}
