//! Pull requests that are open: drafts, conflicts, bots, references without an owner, branch names.

use super::world::World;
use crate::model::build::{Priority, Verdict};
use crate::model::settings::{Adopt, Drafts, OnConflict, RefKind};
use crate::model::time::{Span, Timestamp};

#[test]
fn drafts_are_built_or_held() {
    let mut world = World::new(&["o/a"]);
    world.push("o/a#1", &[]);
    world.pull("o/a#1", |forge| forge.draft = true);
    world.settings(|w| w.changes.drafts = Drafts::Hold);
    world.run(0);
    assert_eq!(world.run(3600), [""; 0]);
    assert_eq!(world.decision("o/a#1"), "held: Draft");
    world.pull("o/a#1", |forge| forge.draft = false);
    world.run(0);
    assert_eq!(world.run(30), ["o/a#1"]);
    world.pull("o/a#1", |forge| forge.draft = true);
    assert_eq!(world.run(3600), [""; 0]);
    assert_eq!(world.decision("o/a#1"), "build", "what was triggered goes on");
    let mut world = World::new(&["o/a"]);
    world.push("o/a#1", &[]);
    world.pull("o/a#1", |forge| forge.draft = true);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    assert_eq!(world.ref_of("o/a#1"), "refs/pull/1/head");
}

#[test]
fn the_ref_follows_what_the_forge_can_merge() {
    // What the forge says, in turn, under `ref`; the ref's ending, and whether a conflict is told of.
    let rows: [(RefKind, &[Option<bool>], &str, bool); 9] = [
        (RefKind::Auto, &[Some(true)], "merge", false),
        (RefKind::Auto, &[Some(false)], "head", true),
        (RefKind::Auto, &[None], "head", false),
        (RefKind::Auto, &[Some(true), None], "merge", false),
        (RefKind::Auto, &[Some(false), None], "head", true),
        (RefKind::Auto, &[Some(false), None, Some(true)], "merge", false),
        (RefKind::Head, &[Some(true)], "head", false),
        (RefKind::Head, &[Some(false)], "head", true),
        (RefKind::Merge, &[Some(false)], "merge", false),
    ];
    for (kind, answers, ending, conflict) in rows {
        let mut world = World::new(&["o/a"]);
        world.settings(|w| w.changes.ref_kind = kind);
        world.push("o/a#1", &[]);
        for mergeable in answers {
            world.pull("o/a#1", |forge| forge.mergeable = *mergeable);
            world.run(0);
        }
        assert_eq!(world.run(90), ["o/a#1"], "{kind:?} {answers:?}");
        assert_eq!(world.ref_of("o/a#1"), format!("refs/pull/1/{ending}"), "{kind:?} {answers:?}");
        let findings = world.findings("o/a#1");
        let told = findings == ["github.com/o/a#1 conflicts with main"];
        assert_eq!(told, conflict, "{kind:?} {answers:?}: {findings:?}");
    }
}

#[test]
fn a_new_change_waits_a_minute_for_mergeability() {
    for (answer, ending) in [(None, "head"), (Some(true), "merge")] {
        let mut world = World::new(&["o/a"]);
        world.settings(|w| w.changes.settle_new = Span::seconds(10));
        world.push("o/a#1", &[]);
        world.pull("o/a#1", |forge| forge.mergeable = None);
        world.run(0);
        assert_eq!(world.run(10), [""; 0]);
        assert_eq!(world.decision("o/a#1"), "held: Mergeability");
        assert_eq!(world.plan().next_at, Some(world.snapshot.at + Span::seconds(50)));
        world.pull("o/a#1", |forge| forge.mergeable = answer);
        let wait = if answer.is_none() { 50 } else { 1 };
        assert_eq!(world.run(wait), ["o/a#1"]);
        assert_eq!(world.ref_of("o/a#1"), format!("refs/pull/1/{ending}"));
    }
}

#[test]
fn a_conflict_blocks_where_that_is_wanted() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.settings(|w| w.changes.on_conflict = OnConflict::Block);
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.pull("o/b#2", |forge| forge.mergeable = Some(false));
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    assert_eq!(world.decision("o/a#1"), "blocked: Conflict");
    world.pull("o/b#2", |forge| forge.mergeable = None);
    assert_eq!(world.decision("o/a#1"), "blocked: Conflict", "not known is as before");
    world.pull("o/b#2", |forge| forge.mergeable = Some(true));
    assert_eq!(world.run(1), ["o/a#1"]);
    world.pull("o/b#2", |forge| forge.mergeable = Some(false));
    assert_eq!(world.run(1), [""; 0]);
    assert_eq!(world.decision("o/b#2"), "covered: o/a#1", "nothing loses its cover by it");
}

#[test]
fn flapping_mergeability_builds_nothing() {
    for block in [OnConflict::Head, OnConflict::Block] {
        let mut world = World::new(&["o/a", "o/b"]);
        world.settings(|w| w.changes.on_conflict = block);
        for number in 1..=50 {
            world.push(&format!("o/b#{number}"), &[]);
            world.push(&format!("o/a#{number}"), &[&format!("o/b#{number}")]);
        }
        world.run(0);
        assert_eq!(world.run(90).len(), 50);
        world.finish(Verdict::Success);
        for push in 0..20_u64 {
            for path in ["o/a", "o/b"] {
                world.push_base(path);
                for mergeable in [None, Some(push % 3 == 0)] {
                    world.listing(path, |listing| {
                        for listed in &mut listing.changes {
                            let forge = listed.forge.as_mut().expect("a pull request");
                            forge.mergeable = mergeable;
                            forge.draft = push % 5 == 0;
                            forge.labels = [push.to_string().into()].into();
                        }
                    });
                    let mut built = world.run(200);
                    built.retain(|subject| subject != "mainline");
                    assert_eq!(built, [""; 0], "{block:?}, push {push} to {path}");
                }
            }
        }
    }
}

#[test]
fn the_fingerprint_knows_nothing_of_the_forge_but_head_and_base() {
    let mut world = World::new(&["o/a"]);
    world.push("o/a#1", &[]);
    world.run(0);
    world.run(90);
    let before = world.fingerprint("o/a#1");
    world.pull("o/a#1", |forge| {
        forge.draft = true;
        forge.mergeable = Some(false);
        forge.labels = ["x".into()].into();
        forge.author = None;
        forge.created_at = Timestamp(0);
    });
    assert_eq!(world.fingerprint("o/a#1"), before);
    world.edit("o/a#1", |listed| listed.ref_name = "refs/pull/1/other".into());
    assert_eq!(world.fingerprint("o/a#1"), before);
    world.push("o/a#1", &[]);
    assert_ne!(world.fingerprint("o/a#1"), before);
}

#[test]
fn bots_settle_longer_and_their_references_are_not_read() {
    for by_name in [false, true] {
        let mut world = World::new(&["o/a", "o/b"]);
        world.settings(|w| w.changes.bots = vec!["Ann".to_owned()]);
        world.push("o/b#2", &[]);
        world.pull("o/b#2", |forge| forge.author = None);
        world.push("o/a#1", &["o/b#2"]);
        world.pull("o/a#1", |forge| {
            let author = forge.author.as_mut().expect("an author");
            author.bot = !by_name;
            author.login = if by_name { "ann[bot]" } else { "helper" }.into();
        });
        world.run(0);
        assert_eq!(world.run(90), ["o/b#2"]);
        assert_eq!(world.decision("o/a#1"), "held: Settling");
        let planned = world.planned("o/a#1");
        assert_eq!((planned.set.len(), planned.findings.len()), (1, 0));
        assert_eq!(planned.notes[0].text, "references of bots are not read");
        world.snapshot.at = world.snapshot.at + Span::seconds(510);
        let made = world.plan();
        let subject = super::world::subject("o/a#1");
        let planned = made.workspaces[0].subject(&subject).expect("a plan");
        assert_eq!(planned.triggers[0].priority, Priority::Bot);
    }
}

#[test]
fn somebody_without_rights_names_ten_changes_at_most() {
    let mut world = World::new(&["o/a", "o/b"]);
    let below: Vec<String> = (1..=12).map(|number| format!("o/b#{number}")).collect();
    let below: Vec<&str> = below.iter().map(String::as_str).collect();
    world.push("o/a#1", &below);
    assert_eq!(world.findings("o/a#1").len(), 12, "none of them is a change");
    world.stranger("o/a#1");
    let findings = world.findings("o/a#1");
    assert_eq!(findings.len(), 11);
    assert!(findings[0].starts_with("only the first 10 references count"), "{findings:?}");
    assert_eq!(world.planned("o/a#1").references.len(), 10);
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("o/a#1"), "held: Approval");
}

#[test]
fn a_reference_without_owner_counts_where_one_repository_has_the_name() {
    // Repositories that are tracked, and whether `b#2` is the change of `o/b`.
    let rows: [(&[&str], bool); 4] = [
        (&["o/a", "o/b"], true),
        (&["o/a", "o/b", "p/b"], false),
        (&["o/a", "o/ab"], false),
        (&["o/a", "b"], false),
    ];
    for (paths, counts) in rows {
        let mut world = World::new(paths);
        if paths.contains(&"o/b") {
            world.push("o/b#2", &[]);
        }
        world.push("o/a#1", &[]);
        world.short("o/a#1", "b", 2);
        let planned = world.planned("o/a#1");
        assert_eq!(planned.set.len(), if counts { 2 } else { 1 }, "{paths:?}");
        assert_eq!(planned.findings.len(), usize::from(!counts), "{paths:?}");
    }
}

#[test]
fn a_reference_without_owner_stands_once_and_where_it_was_written() {
    let mut world = World::new(&["o/a", "o/b", "o/c", "o/d"]);
    for name in ["o/b#2", "o/c#3", "o/d#4"] {
        world.push(name, &[]);
    }
    // Lines of the others are 1 and 2, and it is on the first as well.
    for (others, expected) in [(&["o/c#3", "o/d#4"][..], &[3, 2, 4][..]), (&["o/b#2"], &[2])] {
        world.push("o/a#1", others);
        world.short("o/a#1", "b", 2);
        let references = world.planned("o/a#1").references.clone();
        let numbers: Vec<u64> = references.iter().map(|one| one.change.number).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn archived_repositories_are_held() {
    let mut world = World::new(&["o/a"]);
    world.push("o/a#1", &[]);
    world.listing("o/a", |listing| listing.archived = true);
    world.run(0);
    assert_eq!(world.run(600), [""; 0]);
    assert_eq!(world.decision("o/a#1"), "held: Archived");
    world.listing("o/a", |listing| listing.archived = false);
    assert_eq!(world.run(1), ["o/a#1"]);
}

#[test]
fn branches_of_one_name_are_joined_where_that_is_wanted() {
    // Branches of the two changes, whether somebody else made the second, and the members of the set.
    let rows = [
        ("wanted", ("feature/x", "feature/x"), false, true, 2),
        ("switched off", ("feature/x", "feature/x"), false, false, 1),
        ("other names", ("feature/x", "feature/y"), false, true, 1),
        ("somebody else's", ("feature/x", "feature/x"), true, true, 1),
        ("common", ("develop", "develop"), false, true, 1),
        ("made by the forge", ("ann-patch-1", "ann-patch-1"), false, true, 1),
        ("made by the forge", ("patch-12", "patch-12"), false, true, 1),
        ("nearly", ("patch-x", "patch-x"), false, true, 2),
        ("nearly", ("patch-", "patch-"), false, true, 2),
        ("nearly", ("dispatch-1", "dispatch-1"), false, true, 2),
        ("a bot's", ("dependabot/npm", "dependabot/npm"), false, true, 1),
    ];
    for (what, (one, other), another, wanted, members) in rows {
        let mut world = World::new(&["o/a", "o/b"]);
        world.settings(|w| w.changes.branch_matching = wanted);
        for (name, branch) in [("o/a#1", one), ("o/b#2", other)] {
            world.push(name, &[]);
            world.pull(name, |forge| {
                forge.source.as_mut().expect("a source").branch = branch.into();
            });
        }
        if another {
            world.pull("o/b#2", |forge| {
                forge.author.as_mut().expect("an author").login = "ben".into();
            });
        }
        world.run(0);
        let built = world.run(90);
        assert_eq!(world.planned("o/a#1").set.len(), members, "{what}");
        assert_eq!(built.len(), 3 - members, "one build of the two, or one of each: {what}");
        world.finish(Verdict::Success);
        // A repository that cannot be read takes nothing out of a set.
        world.reachable("o/b", false);
        assert_eq!(world.run(3600), [""; 0], "{what}");
        let expected = if members == 2 { "unknown" } else { "unchanged" };
        assert_eq!(world.decision("o/a#1"), expected, "{what}");
    }
}

#[test]
fn branches_of_bots_and_of_the_mainline_join_nothing() {
    type Happens = fn(&mut World);
    let rows: [(&str, usize, Happens); 4] = [
        ("of people", 2, |_| {}),
        ("of a bot", 1, |world| {
            world.pull("o/b#2", |forge| forge.author.as_mut().expect("an author").bot = true);
        }),
        ("the default one", 1, |world| {
            world.listing("o/b", |listing| listing.default_branch = Some("feature/x".into()));
        }),
        ("a tracked one", 1, |world| {
            let (url, branch) = (super::world::url("o/b"), Some("feature/x".into()));
            let vcs = crate::model::manifest::Vcs::Git { url, branch, pin: None };
            world.packages.push(super::world::package("other", vcs));
            world.export();
        }),
    ];
    for (what, members, happens) in rows {
        let mut world = World::new(&["o/a", "o/b"]);
        world.settings(|w| w.changes.branch_matching = true);
        for name in ["o/a#1", "o/b#2"] {
            world.push(name, &[]);
            world.pull(name, |forge| {
                forge.source.as_mut().expect("a source").branch = "feature/x".into();
            });
        }
        happens(&mut world);
        assert_eq!(world.planned("o/a#1").set.len(), members, "{what}");
    }
}

#[test]
fn a_pull_request_is_stale_by_its_creation_and_by_what_we_saw() {
    let mut world = World::fresh(&["o/a"]);
    world.settings(|w| w.changes.adopt = Adopt::All);
    let days_ago = |world: &World, days: i64| Timestamp(world.snapshot.at.0 - days * 86_400_000);
    for (number, days) in [(1, 200), (2, 100)] {
        world.push(&format!("o/a#{number}"), &[]);
        let created = days_ago(&world, days);
        world.pull(&format!("o/a#{number}"), |forge| forge.created_at = created);
    }
    assert_eq!(world.run(0), ["o/a#2"]);
    assert_eq!(world.decision("o/a#1"), "held: Stale");
    world.pull("o/a#1", |forge| forge.labels = ["bump".into()].into());
    world.run(0);
    assert_eq!(world.run(60), [""; 0], "labels wake nothing");
    world.pull("o/a#1", |forge| forge.draft = true);
    world.run(0);
    assert_eq!(world.run(60), ["o/a#1"], "its author did something");
}

#[test]
fn mergeability_that_flaps_while_the_base_moves_builds_no_change() {
    let paths: Vec<String> = (0..10).map(|n| format!("o/r{n}")).collect();
    let mut world = World::new(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let changes: Vec<String> =
        paths.iter().flat_map(|path| (1..=10).map(move |n| format!("{path}#{n}"))).collect();
    for change in &changes {
        world.push(change, &[]);
    }
    world.run(0);
    assert_eq!(world.run(90).len(), 100);
    world.finish(Verdict::Success);
    for round in 0..20 {
        for path in &paths {
            world.push_base(path);
        }
        // The forge tries anew after each push, and some of them conflict now and not then.
        for (at, change) in changes.iter().enumerate() {
            let after = [None, Some(true), Some(false)][(at * 7 + round) % 3];
            for mergeable in [None, after] {
                world.pull(change, |forge| forge.mergeable = mergeable);
            }
        }
        for seconds in [1, 60, 600] {
            let built = world.run(seconds);
            assert!(built.iter().all(|name| !name.contains('#')), "{round}: {built:?}");
        }
    }
    for change in &changes {
        assert_eq!(world.decision(change), "unchanged", "{change}");
    }
}
