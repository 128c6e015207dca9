//! Snapshots of forges without names, with every kind of name in them.

use std::sync::Arc;

use super::saved::{carried, saved, without_names};
use super::world::{World, package, subject};
use crate::model::build::Verdict;
use crate::model::change::Fate;
use crate::model::identity::Fingerprint;
use crate::model::ledger_view::Approval;
use crate::model::manifest::{Pin, Vcs};
use crate::model::settings::{ForgeKind, Source};
use crate::plan::anonymous::anonymous;
use crate::plan::plan;

const COMMIT: &str = "feedfacefeedfacefeedfacefeedfacefeedface";

/// What must not be found in a snapshot without names.
const NAMES: [&str; 29] = [
    "zebra",
    "yak",
    "whale",
    "savanna",
    "oasis",
    "keeper",
    "robot",
    "landed",
    "wild",
    "dingo",
    "elsewhere",
    "summer-2025",
    "\"abc\"",
    "ranger",
    "warden",
    "\"ann\"",
    "\"eve\"",
    "topic-",
    "\"main\"",
    "/main/",
    "zoo.example",
    "broken",
    "[\"ci\"]",
    "out of disk",
    "jungle",
    "Monkey",
    "github.com",
    "subversion",
    "the-ledger",
];

/// Whether the plan without names decides the same.
fn same(world: &World, when: &str) {
    let whole = saved(world);
    let hidden = carried(&anonymous(&whole));
    let (snapshot, ledger) = hidden.thawed();
    assert_eq!(without_names(&plan(&snapshot, &ledger)), without_names(&world.scratch()), "{when}");
}

fn git(url: &str, pin: Pin) -> Vcs {
    Vcs::Git { url: url.to_owned(), branch: Some("main".into()), pin: Some(pin) }
}

fn world() -> World {
    let mut world = World::fresh(&["o/zebra", "o/yak", "o/jungle"]);
    world.repository("o/whale");
    let address = |path: &str| format!("https://github.com/{path}.git");
    for (name, vcs) in [
        ("dingo-svn", Vcs::Other { kind: "svn".to_owned(), url: Some(address("o/dingo")) }),
        ("dingo-far", git("https://elsewhere.example/dingo.git", Pin::Tag("abc".to_owned()))),
        ("dingo-tag", git(&address("o/yak"), Pin::Tag("summer-2025".to_owned()))),
        ("dingo-commit", git(&address("o/yak"), Pin::Commit(COMMIT.to_owned()))),
    ] {
        world.packages.push(package(name, vcs));
    }
    world.packages[0].depends_on = vec!["o/yak".into()];
    let head = world.fresh_oid();
    world.listing("o/whale", |listing| {
        listing.branches.insert("oasis".into(), head);
    });
    let settings = Arc::make_mut(&mut world.snapshot.settings);
    settings.public_url = Some("https://zoo.example".to_owned());
    let hub = Arc::make_mut(settings.forges.get_mut("hub").expect("the forge"));
    hub.also = vec!["https://zoo.example".to_owned()];
    if let ForgeKind::GitHub(hub) = &mut hub.kind {
        hub.api_url = "https://api.zoo.example".to_owned();
    }
    world.settings(|w| {
        let (url, branch) = (address("o/whale"), Some("oasis".into()));
        w.source = Some(Source { url, branch });
        w.changes.trusted = vec!["keeper".to_owned()];
        w.changes.bots = vec!["robot".to_owned()];
        w.changes.merged_labels = vec!["landed".to_owned()];
    });
    world.export();
    world.run(0);
    world
}

#[test]
fn no_kind_of_name_is_left_and_every_decision_is_the_same() {
    let mut world = world();
    world.push("o/yak#2", &[]);
    world.push("o/zebra#1", &["o/jungle#3", "o/nothing#9"]);
    world.short("o/zebra#1", "yak", 2);
    world.push("o/jungle#3", &[]);
    world.stranger("o/jungle#3");
    world.pull("o/jungle#3", |forge| forge.labels = ["wild".into()].into());
    world.push("o/yak#4", &[]);
    world.pull("o/yak#4", |forge| forge.author.as_mut().expect("an author").login = "robot".into());
    world.run(0);
    assert_eq!(world.planned("o/zebra#1").set.len(), 3, "also by a name without its owner");
    same(&world, "new");
    world.run(90);
    assert_eq!(world.decision("o/zebra#1"), "held: Approval");
    same(&world, "held for an approval");
    let (set, at) = (world.planned("o/zebra#1").set.clone(), world.snapshot.at);
    let of = subject("o/zebra#1");
    let approval = Approval { subject: of, set, by: "ranger".to_owned(), at };
    world.ledger().approvals.push(approval);
    assert_eq!(world.run(0), ["o/zebra#1"]);
    same(&world, "approved");
    world.run(600);
    world.finish(Verdict::Failure);
    for attempt in world.ledger().attempts.values_mut().flatten() {
        attempt.note = Some("out of disk".to_owned());
        attempt.link = Some("https://zoo.example/1".to_owned());
    }
    same(&world, "built");
    world.close("o/yak#2");
    let labels = ["landed".into()].into();
    world.become_of("o/yak#2", Fate::Closed { head: None, labels });
    world.queue("o/zebra#1", "main", false);
    world.push_base("o/zebra");
    world.run(0);
    same(&world, "one is merged, by a label, and one is queued");
    world.run(120);
    world.part(|part| part.failure = Some("broken".to_owned()));
    world.rename("o/jungle", "main", "Monkey");
    world.plan();
    same(&world, "a branch is renamed, and the update fails");
    world.rebuild("o/zebra#1", false);
    world.ledger().rebuilds.values_mut().for_each(|rebuild| rebuild.by = "ranger".to_owned());
    same(&world, "somebody wants it again");
    world.ledger().paused_by = Some("warden".to_owned());
    world.ledger.ledger_id = "the-ledger".to_owned();
    same(&world, "paused");

    let name = |part: &mut Arc<crate::model::snapshot::WorkspacePart>| {
        Arc::make_mut(part).name = "savanna".into();
    };
    let workspaces = Arc::make_mut(&mut world.snapshot.workspaces);
    let mut part = workspaces.remove("w").expect("a part");
    name(&mut part);
    workspaces.insert("savanna".into(), part);
    world.settings(|w| w.name = "savanna".into());
    same(&world, "under another name");
    world.edit("o/zebra#1", |listed| listed.ref_name = "refs/zebra/1/head".into());
    same(&world, "with a ref of its own");
    let text = serde_json::to_string(&anonymous(&saved(&world))).expect("json");
    for name in NAMES {
        assert!(!text.contains(name), "{name} in {text}");
    }
    assert!(text.contains(COMMIT), "commits stay");
    for kind in ["forge", "repository", "workspace", "package", "branch", "tag", "person", "label"]
    {
        assert!(text.contains(&format!("\"{kind}-")), "no {kind} in {text}");
    }
}

#[test]
fn fingerprints_of_the_past_tell_nothing_without_the_ledgers_own_id() {
    let mut world = World::new(&["o/zebra"]);
    world.push("o/zebra#1", &[]);
    world.run(0);
    world.run(90);
    let past = Fingerprint([7; 32]);
    world.ledger().attempts.values_mut().flatten().for_each(|one| one.fingerprint = past);
    let hidden = ["one", "two"].map(|id| {
        world.ledger.ledger_id = id.to_owned();
        let hidden = anonymous(&saved(&world)).ledger;
        let attempts = hidden.workspaces.values().flat_map(|part| part.attempts.values().flatten());
        attempts.map(|attempt| attempt.fingerprint).collect::<Vec<_>>()
    });
    assert_eq!((hidden[0].len(), hidden[1].len()), (1, 1));
    assert!(hidden[0] != hidden[1] && hidden[0][0] != past && hidden[1][0] != past);
}
