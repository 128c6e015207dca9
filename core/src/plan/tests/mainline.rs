//! The mainline.

use super::world::{World, git, package, pinned, subject};
use crate::model::build::Verdict;
use crate::model::manifest::{DefinitionRepository, Manifest, Vcs};
use crate::model::observed::Observed;
use crate::model::settings::{Source, UpdateOn};
use crate::model::snapshot::Updated;
use crate::model::time::{Span, Timestamp};
use crate::plan::mainline::affected;
use crate::plan::{update_inputs, watched};

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

#[test]
fn packages_come_in_build_order_and_those_of_a_cycle_by_name() {
    // Packages with what they depend on, which of them changed, and the order.
    type Row = (&'static [(&'static str, &'static [&'static str])], &'static [&'static str]);
    let rows: [(Row, &[&str]); 6] = [
        ((&[("a", &["b"]), ("b", &["c"]), ("c", &[])], &["c"]), &["c", "b", "a"]),
        ((&[("a", &["b"]), ("b", &["c"]), ("c", &[])], &["b"]), &["b", "a"]),
        ((&[("a", &["c"]), ("b", &["c"]), ("c", &[])], &["c"]), &["c", "a", "b"]),
        ((&[("a", &[]), ("b", &[]), ("c", &["b"])], &["b", "a"]), &["a", "b", "c"]),
        ((&[("a", &["a", "b"]), ("b", &[])], &["b"]), &["b", "a"]),
        ((&[("a", &["b"]), ("b", &["a"]), ("c", &["b"])], &["b"]), &["a", "b", "c"]),
    ];
    for ((packages, changed), expected) in rows {
        let all = packages.iter().map(|(name, depends_on)| {
            let mut package = package(name, git(name));
            package.depends_on = depends_on.iter().map(|name| (*name).into()).collect();
            package
        });
        let manifest = Manifest::new(all.collect(), Vec::new()).expect("a manifest");
        let changed = changed.iter().map(|name| (*name).into()).collect();
        let order = affected(Some(&manifest), &changed);
        let order: Vec<&str> = order.iter().map(|name| name.as_str()).collect();
        assert_eq!(order, expected, "{packages:?}");
    }
}

#[test]
fn an_update_has_the_heads_that_it_is_for() {
    let mut world = World::fresh(&["a"]);
    let definition = |name: &str, vcs: Vcs| DefinitionRepository {
        name: name.into(),
        vcs,
        directory: None,
        override_key: name.into(),
        repeats: None,
    };
    for path in ["conf", "held", "fixed"] {
        world.repository(path);
    }
    world.definitions =
        vec![definition("conf", git("conf")), definition("held", pinned("held").vcs)];
    world.packages.push(pinned("fixed"));
    world.export();
    for (on, expected) in [(UpdateOn::Definitions, &["conf"][..]), (UpdateOn::Any, &["a", "conf"])]
    {
        world.settings(|settings| settings.update_on = on);
        let settings = world.snapshot.settings.workspaces[0].clone();
        let inputs = update_inputs(&world.snapshot, &settings).expect("all are known");
        let paths: Vec<&str> = inputs.iter().map(|(look, _)| &*look.repository.path).collect();
        assert_eq!(paths, expected, "{on:?}");
    }
}

#[test]
fn checkouts_count_where_every_push_is_updated_to() {
    let mut world = World::new(&["a", "b"]);
    world.settings(|settings| settings.update_on = UpdateOn::Any);
    let old = world.fresh_oid();
    world.part(|part| {
        part.updated = Some(Updated { checkouts: [("a".into(), old)].into(), inputs: Vec::new() });
    });
    world.run(0);
    let value = |world: &mut World, package: &str| {
        let parts = world.parts("mainline");
        let part = parts.iter().find(|part| part.what.starts_with(&format!("{package} from ")));
        part.map(|part| part.value.clone()).expect("a part")
    };
    let head = world.push_base("b");
    world.push_base("a");
    assert_eq!(value(&mut world, "a"), old.to_string());
    assert_eq!(value(&mut world, "b"), head.to_string());
}

#[test]
fn its_build_names_the_source_or_a_package() {
    let source =
        Source { url: "https://git.example.org/conf.git".to_owned(), branch: Some("next".into()) };
    for (source, address, branch) in [
        (Some(source), "https://git.example.org/conf.git", "next"),
        (None, "https://git.example.org/b.git", "master"),
    ] {
        let mut world = World::fresh(&["b"]);
        world.packages.push(package("a", Vcs::Other { kind: "svn".to_owned(), url: None }));
        if source.is_some() {
            world.repository("conf");
            world.listing("conf", |listing| {
                let head = listing.branches["main"];
                listing.branches.insert("next".into(), head);
            });
        }
        world.settings(|settings| settings.source = source);
        world.export();
        world.run(0);
        let head = world.push_base("b");
        world.run(0);
        world.snapshot.at = world.snapshot.at + Span::minutes(2);
        let planned = world.planned("mainline");
        let primary = &planned.triggers[0].request.primary;
        assert_eq!((&*primary.repository_url, &*primary.branch), (address, branch));
        assert_eq!(primary.revision, Some(head));
        assert_eq!(planned.triggers[0].request.affected, ["b".into()]);
    }
}

#[test]
fn what_is_watched_follows_from_manifests_alone() {
    let mut world = World::fresh(&["a"]);
    world.packages.push(pinned("fixed"));
    world.packages.push(package("far", Vcs::Other { kind: "svn".to_owned(), url: None }));
    world.definitions = vec![DefinitionRepository {
        name: "conf".into(),
        vcs: git("conf"),
        directory: None,
        override_key: "conf".into(),
        repeats: None,
    }];
    world.export();
    world.settings(|settings| {
        let url = "https://github.com/o/Source.git".to_owned();
        settings.source = Some(Source { url, branch: None });
    });
    let expected = [
        ("github.com/o/source", "o/Source", "https://github.com/o/Source.git"),
        ("mirror/a", "a", "https://git.example.org/a.git"),
        ("mirror/conf", "conf", "https://git.example.org/conf.git"),
        ("mirror/fixed", "fixed", "https://git.example.org/fixed.git"),
    ];
    let watched = watched(&world.snapshot);
    let all: Vec<_> = watched.iter().map(|(id, one)| (id.to_string(), one)).collect();
    let all: Vec<_> =
        all.iter().map(|(id, one)| (id.as_str(), &*one.spelling, &*one.url)).collect();
    assert_eq!(all, expected);
}
