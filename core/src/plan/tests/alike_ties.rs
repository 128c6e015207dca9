//! What ties repositories together where workspaces differ in packages, and in what they remember.

use std::sync::Arc;

use super::alike::{apart, together};
use super::candidates::new_package;
use super::paths::mono;
use super::several::Several;
use super::world::{World, change, git, package, repository, subject};
use crate::model::build::{Stage, Verdict};
use crate::model::change::Files;
use crate::model::ledger_view::LedgerView;
use crate::model::manifest::{Manifest, Package};
use crate::model::observed::Observed;
use crate::model::paths::PathPatterns;
use crate::model::question::{Answer, Question};
use crate::model::settings::Spelling;
use crate::model::snapshot::Snapshot;
use crate::model::time::Span;
use crate::plan::plan;

#[test]
fn what_is_tied_to_a_package_that_one_lacks_is_decided_apart() {
    type Happens = fn(&mut World);
    let rows: [(&str, Happens); 6] = [
        ("a branch has another name", |world| world.rename("o/b", "main", "trunk")),
        ("named by another", |world| {
            world.push("o/b#1", &["o/d#1"]);
        }),
        ("names another", |world| {
            world.push("o/d#1", &["o/b#1"]);
        }),
        ("without its owner", |world| world.short("o/b#1", "d", 1)),
        ("by one that is lacked, without its owner", |world| world.short("o/d#1", "b", 1)),
        ("by a third", |world| {
            world.push("o/b#1", &["o/c#1"]);
            world.push("o/c#1", &["o/d#1"]);
        }),
    ];
    for (what, happens) in rows {
        let mut world = World::new(&["a", "o/b", "o/c", "o/d"]);
        for text in ["a#1", "o/b#1", "o/c#1", "o/d#1"] {
            world.push(text, &[]);
        }
        happens(&mut world);
        world.run(0);
        let (snapshot, ledger) = together(&world);
        let both = plan(&snapshot, &ledger).workspaces;
        for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
            assert_eq!(*together, alone.workspaces[0], "{what}");
        }
    }
}

/// Two workspaces without the last package, for which the same was recorded.
fn lacking(world: &World) -> (Snapshot, LedgerView) {
    let (mut snapshot, mut ledger) = together(world);
    let names = ["w", "x-same"];
    for attempt in ledger.part_mut(&"x-same".into()).attempts.values_mut().flatten() {
        attempt.stage = Stage::Ended(Verdict::Success);
    }
    let parts = Arc::make_mut(&mut snapshot.workspaces);
    for name in names {
        let part = Arc::make_mut(parts.get_mut(name).expect("its part"));
        part.manifest = part.manifest.mapped(|manifest| {
            let mut less = manifest.clone();
            less.packages.pop();
            less
        });
    }
    let settings = Arc::make_mut(&mut snapshot.settings);
    settings.workspaces.retain(|one| names.contains(&&*one.name));
    (snapshot, ledger)
}

/// Plans two workspaces together, which is what each plans for itself; the repositories that have one plan in
/// both.
fn shared(snapshot: &Snapshot, ledger: &LedgerView) -> Vec<String> {
    let both = plan(snapshot, ledger).workspaces;
    for (together, alone) in both.iter().zip(apart(snapshot, ledger)) {
        assert_eq!(*together, alone.workspaces[0]);
    }
    let of_both = both[0].parts.iter().filter_map(|part| {
        let repository = part.repository.as_ref()?;
        let other = both[1].part(repository)?;
        Arc::ptr_eq(part, other).then(|| repository.path.to_string())
    });
    let mut paths: Vec<String> = of_both.collect();
    paths.sort();
    paths
}

#[test]
fn what_is_tied_through_what_both_lack_is_decided_once() {
    let mut world = World::new(&["a", "o/b", "o/c", "o/d"]);
    for path in ["a#1", "o/b#1", "o/c#1"] {
        world.push(path, &[]);
    }
    world.push("o/d#1", &["o/b#1", "o/c#1"]);
    world.run(0);
    world.plan();
    let (snapshot, ledger) = lacking(&world);
    assert_eq!(shared(&snapshot, &ledger), ["a", "o/b", "o/c"]);
}

#[test]
fn what_was_built_with_what_is_merged_now_makes_the_mainline_wait_in_both() {
    let mut world = World::new(&["a", "o/b", "o/c", "o/d"]);
    world.run(0);
    world.push("o/b#1", &[]);
    world.push("o/c#1", &["o/b#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/c#1"]);
    world.finish(Verdict::Success);
    world.push("o/d#1", &["o/b#1", "o/c#1"]);
    world.merge("o/c#1");
    world.plan();
    let (snapshot, ledger) = lacking(&world);
    let waits = plan(&snapshot, &ledger)
        .workspaces
        .iter()
        .all(|plan| plan.mainline.as_ref().is_some_and(|facts| !facts.partly.is_empty()));
    assert!(waits);
    assert_eq!(shared(&snapshot, &ledger), [""; 0]);
}

#[test]
fn what_left_a_queue_is_ended_where_it_is_being_built() {
    let mut world = World::new(&["a", "o/b", "o/c"]);
    world.push("o/b#1", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.queue("o/b#1", "main", true);
    assert_eq!(world.run(0), ["o/b@1"]);
    world.unqueue("o/b#1");
    world.plan();
    let (mut snapshot, mut ledger) = together(&world);
    let settings = Arc::make_mut(&mut snapshot.settings);
    settings.workspaces.retain(|one| ["w", "x-same"].contains(&&*one.name));
    ledger.part_mut(&"w".into()).attempts.retain(|subject, _| subject.queue().is_none());
    let both = plan(&snapshot, &ledger).workspaces;
    let ended = |at: usize| both[at].subjects().flat_map(|one| &one.superseded).count();
    assert_eq!([ended(0), ended(1)], [0, 1]);
    assert_eq!(shared(&snapshot, &ledger), [""; 0]);
}

#[test]
fn what_is_known_of_one_that_is_closed_is_nothing_to_the_next() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &[]);
    world.push("a#2", &[]);
    world.run(0);
    world.close("a#1");
    world.run(0);
    let (snapshot, mut ledger) = lacking(&world);
    assert_eq!(shared(&snapshot, &ledger), ["a"]);
    let known = ledger.part_mut(&"x-same".into());
    let seen = known.changes.get_mut(&change("a#2")).expect("it is open").seen_mut();
    seen.first_seen = seen.first_seen - Span::hours(1);
    assert_eq!(shared(&snapshot, &ledger), [""; 0]);
}

#[test]
fn a_package_that_is_alone_in_one_workspace_has_company_in_the_next() {
    let mut world = World::fresh(&["o/b"]);
    world.packages.push(package("aa", git("o/b")));
    world.export();
    world.run(0);
    world.push("o/b#1", &[]);
    world.run(0);
    let (mut snapshot, ledger) = together(&world);
    let first = Arc::make_mut(&mut snapshot.workspaces).get_mut("w").expect("the first");
    let first = Arc::make_mut(first);
    first.manifest = first.manifest.mapped(|manifest| {
        let mut less = manifest.clone();
        less.packages.remove(0);
        less
    });
    let both = plan(&snapshot, &ledger).workspaces;
    let packages = |at: usize| both[at].subject(&subject("o/b#1")).map(|one| one.packages.len());
    assert_eq!([packages(0), packages(1)], [Some(1), Some(2)]);
    for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
        assert_eq!(*together, alone.workspaces[0]);
    }
}

#[test]
fn what_one_remembers_of_a_closed_change_is_its_own() {
    let mut world = World::new(&["a", "b"]);
    world.push("b#2", &[]);
    world.push("a#1", &["b#2"]);
    world.run(0);
    world.close("b#2");
    world.run(0);
    let (snapshot, mut ledger) = together(&world);
    ledger.part_mut(&"x-same".into()).changes.retain(|id, _| *id != change("b#2"));
    let both = plan(&snapshot, &ledger).workspaces;
    let word = |at: usize| both[at].subject(&subject("a#1")).map(|one| one.decision.word());
    assert_eq!([word(0), word(1)], [Some("blocked"), Some("held")]);
    for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
        assert_eq!(*together, alone.workspaces[0]);
    }
}

#[test]
fn a_request_is_each_workspaces_own() {
    let mut world = World::new(&["a", "b"]);
    world.push_base("b");
    world.run(0);
    assert_eq!(world.run(120), ["mainline"]);
    world.finish(Verdict::Success);
    world.push("a#1", &[]);
    world.run(0);
    world.snapshot.at = world.snapshot.at + Span::seconds(90);
    let public_url = Some("https://ci.example.org".to_owned());
    Arc::make_mut(&mut world.snapshot.settings).public_url = public_url;
    let (mut snapshot, mut ledger) = together(&world);
    // Another spelling, a package that needs the changed one, and a mainline that is red.
    let settings = Arc::make_mut(&mut snapshot.settings);
    let own = settings.workspaces.iter_mut().find(|one| &*one.name == "x-same");
    Arc::make_mut(own.expect("the second")).spellings.push(Spelling::West);
    let part = Arc::make_mut(&mut snapshot.workspaces).get_mut("x-same").expect("the second");
    let part = Arc::make_mut(part);
    part.manifest = part.manifest.mapped(|manifest| {
        let mut needy = package("needy", git("b"));
        needy.depends_on = vec!["a".into()];
        let packages = manifest.packages.iter().map(|one| Package::clone(one)).chain([needy]);
        Manifest::new(packages.collect(), Vec::new()).expect("a manifest")
    });
    let known = ledger.part_mut(&"x-same".into());
    for attempt in known.attempts.values_mut().flatten() {
        attempt.stage = Stage::Ended(Verdict::Failure);
    }
    let both = plan(&snapshot, &ledger).workspaces;
    let request = |at: usize| {
        let planned = both[at].subject(&subject("a#1")).expect("a plan");
        planned.triggers[0].request.clone()
    };
    let (one, other) = (request(0), request(1));
    assert_eq!((one.mainline, other.mainline), (Some(Verdict::Success), Some(Verdict::Failure)));
    assert_eq!((one.spellings.len(), other.spellings.len()), (0, 1));
    assert_eq!((one.affected.len(), other.affected.len()), (1, 2));
    assert_ne!(one.page, other.page);
    for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
        assert_eq!(*together, alone.workspaces[0]);
    }
}

#[test]
fn what_a_candidate_has_is_decided_in_each_workspace() {
    let mut world = new_package();
    world.push("a#1", &[]);
    let mut several = Several::default();
    for seconds in [0, 90, 0, 3600] {
        world.run(seconds);
        several.settle(&world, None);
        let (snapshot, ledger) = together(&world);
        let both = plan(&snapshot, &ledger).workspaces;
        for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
            assert_eq!(*together, alone.workspaces[0]);
        }
    }
    // A plain change joins it, and another one is pushed to.
    for push in [("a#1", &["conf#1"] as &[_]), ("new#1", &[]), ("a#1", &[])] {
        world.push(push.0, push.1);
        for seconds in [0, 90] {
            world.run(seconds);
            several.settle(&world, None);
        }
    }
}

#[test]
fn a_candidate_that_may_not_be_made_is_each_workspaces_own() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.settings(|own| {
        own.defining = PathPatterns::new(vec!["sets/**".to_owned()]).expect("a pattern")
    });
    world.push("o/a#1", &[]);
    world.happens("stranger", &["o/a#1"]);
    let head = world.head("o/a#1");
    let (repository, base) = (repository("o/a"), "main".into());
    let question = Question::Files { repository, number: 1, head, base };
    let files = Answer::Files(Files::Listed(["sets/new.yml".into()].into()));
    Arc::make_mut(&mut world.snapshot.answers).insert(question, Observed::known(files));
    world.run(0);
    world.run(90);
    world.run(0);
    assert_eq!(world.decision("o/a#1"), "held: Approval");
    assert!(world.planned("o/a#1").candidate.is_some());
    let (snapshot, ledger) = lacking(&world);
    assert_eq!(shared(&snapshot, &ledger), [""; 0]);
}

#[test]
fn what_is_not_known_is_decided_in_each_workspace() {
    let mut world = mono();
    world.push("o/mono#1", &[]);
    world.run(0);
    world.run(100);
    assert_eq!(world.decision("o/mono#1"), "unknown", "its files are not read");
    assert!(world.planned("o/mono#1").print.is_some());
    let (snapshot, ledger) = lacking(&world);
    assert_eq!(shared(&snapshot, &ledger), [""; 0]);
}
