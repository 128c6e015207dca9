//! Pull requests: fates, stacks, drafts, conflicts, bots, references without an owner, branch names.

use super::world::{World, change};
use crate::model::build::{Priority, Verdict};
use crate::model::change::Fate;
use crate::model::manifest::DefinitionRepository;
use crate::model::observed::Observed;
use crate::model::question::{Answer, Question};
use crate::model::settings::{Adopt, Drafts, OnConflict, RefKind};
use crate::model::snapshot::Updated;
use crate::model::time::{Span, Timestamp};

/// A change that was built and one that depends on it.
fn pair() -> World {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    world.finish(Verdict::Success);
    world
}

#[test]
fn a_listed_pull_request_is_open_without_a_question() {
    let mut world = World::new(&["o/a"]);
    world.push("o/a#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    let plan = world.plan();
    assert!(plan.workspaces[0].consulted.is_empty(), "{:?}", plan.workspaces[0].consulted);
    let planned = world.planned("o/a#1");
    let url = planned.overrides[0].change_url.as_deref();
    assert_eq!(url, Some("https://github.com/o/a/pull/1"));
    world.push_base("o/a");
    world.run(0);
    assert!(world.plan().workspaces[0].consulted.is_empty(), "a push to the base asks nothing");
}

#[test]
fn what_is_not_listed_is_what_its_fate_says() {
    // Labels that the change was closed with, whether main contains its head; decision and words.
    let rows: [(&[&str], bool, &str); 4] = [
        (&[], false, "blocked: DependencyClosed"),
        (&["wontfix"], false, "blocked: DependencyClosed"),
        (&["Merged-By-Hand"], false, "build"),
        (&[], true, "build"),
    ];
    for (labels, contained, decision) in rows {
        let mut world = pair();
        world.settings(|w| w.changes.merged_labels = vec!["merged-by-hand".to_owned()]);
        let head = world.head("o/b#2");
        world.close("o/b#2");
        let labels = labels.iter().map(|label| (*label).into()).collect();
        world.become_of("o/b#2", Fate::Closed { head: Some(head), labels });
        if contained {
            let tip = world.push_base("o/b");
            world.ancestry.insert((head, tip));
        }
        world.run(0);
        assert_eq!(world.decision("o/a#1"), decision, "{contained}");
    }
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/a#1", &["o/b#77"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    assert_eq!(
        world.findings("o/a#1"),
        ["o/b#77 is not a change that this workspace watches"],
        "a number that does not exist"
    );
}

#[test]
fn an_unread_fate_is_unknown_and_has_no_effect() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    world.merge("o/b#2");
    let question =
        Question::Fate { repository: change("o/b#2").repository, number: change("o/b#2").number };
    let at = world.snapshot.at;
    let unread = Observed::known(Answer::Fate(Fate::Open)).failed("timed out", at);
    world.snapshot.answers.insert(question.clone(), unread);
    let made = crate::plan::plan(&world.snapshot, &world.ledger);
    assert!(made.wanted.contains(&question), "it is asked");
    let subject = super::world::subject("o/a#1");
    let planned = made.workspaces[0].subject(&subject).expect("a plan");
    assert_eq!(planned.decision.word(), "unknown");
    assert!(planned.triggers.is_empty() && planned.superseded.is_empty());
    // A fate that is older than the list says nothing either.
    world.snapshot.answers.insert(question, Observed::known(Answer::Fate(Fate::Open)));
    assert_eq!(world.decision("o/a#1"), "unknown");
}

#[test]
fn an_open_build_of_a_change_that_is_gone_waits_for_its_fate() {
    for fate in [None, Some(Fate::Missing), Some(Fate::Merged { commit: None, base: None })] {
        let mut world = World::new(&["o/a"]);
        world.push("o/a#1", &[]);
        world.run(0);
        assert_eq!(world.run(90), ["o/a#1"]);
        world.close("o/a#1");
        match &fate {
            Some(fate) => world.become_of("o/a#1", fate.clone()),
            None => world.become_of("o/a#1", Fate::Open),
        }
        let expected = if fate.is_some() { "superseded" } else { "unknown" };
        assert_eq!(world.decision("o/a#1"), expected);
        assert_eq!(world.planned("o/a#1").superseded.len(), usize::from(fate.is_some()));
    }
}

#[test]
fn a_merged_dependency_is_waited_for_until_the_mainline_has_it() {
    let late = "o/b#2 is merged, but for 1h no tracked head contains it yet; built without it";
    for (arrives, findings) in [(true, &[][..]), (false, &[late])] {
        let mut world = pair();
        world.close("o/b#2");
        let merged = world.fresh_oid();
        let main = Some("main".into());
        world.become_of("o/b#2", Fate::Merged { commit: Some(merged), base: main });
        assert_eq!(world.run(1), [""; 0]);
        assert_eq!(world.decision("o/a#1"), "held: Mainline");
        let reason = world.planned("o/a#1").decision.reason().to_owned();
        assert!(reason.starts_with("waiting for the mainline: o/b#2 is merged"), "{reason}");
        // An outage does not begin the waiting anew.
        world.run(1800);
        world.reachable("o/b", false);
        assert_eq!(world.run(600), [""; 0]);
        assert_eq!(world.decision("o/a#1"), "unknown");
        world.reachable("o/b", true);
        if arrives {
            let tip = world.push_base("o/b");
            world.ancestry.insert((merged, tip));
            assert_eq!(world.run(1), ["o/a#1"], "{:?}", world.planned("o/a#1").decision);
        } else {
            assert_eq!(world.run(1199), [""; 0]);
            assert_eq!(world.run(1), ["o/a#1"]);
        }
        assert_eq!(world.findings("o/a#1"), findings);
        assert_eq!(world.planned("o/a#1").set.len(), 1);
    }
}

#[test]
fn a_merged_definition_waits_for_an_update() {
    let mut world = World::fresh(&["o/a"]);
    world.repository("o/defs");
    let vcs = super::world::git("o/defs");
    let (name, override_key) = ("defs".into(), "defs".into());
    world.definitions.push(DefinitionRepository {
        name,
        vcs,
        override_key,
        directory: None,
        repeats: None,
    });
    world.export();
    world.run(0);
    world.push("o/defs#2", &[]);
    world.push("o/a#1", &["o/defs#2"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    world.merge("o/defs#2");
    assert_eq!(world.run(60), [""; 0]);
    assert_eq!(world.decision("o/a#1"), "held: Mainline");
    let settings = world.snapshot.settings.workspaces[0].clone();
    let inputs = crate::plan::update_inputs(&world.snapshot, &settings).expect("inputs");
    world.part(|part| part.updated = Some(Updated { inputs, ..Updated::default() }));
    assert_eq!(world.run(60), ["o/a#1"]);
}

#[test]
fn merged_elsewhere_is_left_out_with_a_finding() {
    let mut world = pair();
    world.close("o/b#2");
    let (commit, base) = (Some(world.fresh_oid()), Some("stable".into()));
    world.become_of("o/b#2", Fate::Merged { commit, base });
    assert_eq!(world.run(1), ["o/a#1"], "its set moved");
    let text = "o/b#2 is left out: it was merged into stable, which is not the branch that this \
                workspace tracks";
    assert_eq!(world.findings("o/a#1"), [text]);
    // Merged into the branch of an open change: that one takes its place.
    let mut world = pair();
    world.push("o/b#3", &[]);
    world.close("o/b#2");
    let (commit, base) = (Some(world.fresh_oid()), Some("topic-3".into()));
    world.become_of("o/b#2", Fate::Merged { commit, base });
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    assert!(world.planned("o/a#1").set.iter().any(|member| member.change == change("o/b#3")));
}

#[test]
fn a_stacked_change_depends_on_what_it_stands_on() {
    let mut world = World::new(&["o/a", "o/b"]);
    let lower = world.push("o/a#1", &[]);
    let middle = world.push("o/a#2", &[]);
    let upper = world.push("o/a#3", &[]);
    world.stack("o/a#2", 1);
    world.stack("o/a#3", 2);
    world.ancestry.extend([(lower, middle), (lower, upper), (middle, upper)]);
    world.push("o/b#9", &["o/a#2"]);
    world.run(0);
    let mut built = world.run(90);
    built.sort();
    assert_eq!(built, ["o/a#3", "o/b#9"]);
    assert!(world.decision("o/a#1").starts_with("covered"));
    let planned = world.planned("o/a#3");
    let numbers: Vec<u64> = planned.set.iter().map(|member| member.change.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(planned.set.iter().all(|member| &*member.base == "main"), "the bottom's base");
    assert_eq!(planned.overrides.len(), 1, "the upper head contains the others");
    assert_eq!(planned.overrides[0].ref_name, "refs/pull/3/head");
    assert_eq!(planned.packages.len(), 1);
    // The forge puts the upper ones on main when the bottom is merged.
    world.merge("o/a#1");
    world.edit("o/a#2", |listed| listed.base = Some("main".into()));
    world.run(0);
    world.run(30);
    assert_eq!(world.planned("o/a#3").set.len(), 2);
}

#[test]
fn a_stack_on_nothing_or_on_itself_matters_to_nobody() {
    let mut world = World::new(&["o/a"]);
    world.push("o/a#1", &[]);
    world.stack("o/a#1", 7);
    world.push("o/a#2", &[]);
    world.push("o/a#3", &[]);
    world.stack("o/a#2", 3);
    world.stack("o/a#3", 2);
    world.run(0);
    assert_eq!(world.run(600), [""; 0]);
    // A change from main to a release branch is not what all others stand on.
    world.push("o/a#4", &[]);
    world.pull("o/a#4", |forge| forge.source.as_mut().expect("a source").branch = "main".into());
    world.edit("o/a#4", |listed| listed.base = Some("stable".into()));
    world.push("o/a#5", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#5"]);
    assert_eq!(world.planned("o/a#5").set.len(), 1);
}

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
    let before = world.planned("o/a#1").fingerprint;
    world.pull("o/a#1", |forge| {
        forge.draft = true;
        forge.mergeable = Some(false);
        forge.labels = ["x".into()].into();
        forge.author = None;
        forge.created_at = Timestamp(0);
    });
    assert_eq!(world.planned("o/a#1").fingerprint, before);
    world.edit("o/a#1", |listed| listed.ref_name = "refs/pull/1/other".into());
    assert_eq!(world.planned("o/a#1").fingerprint, before);
    world.push("o/a#1", &[]);
    assert_ne!(world.planned("o/a#1").fingerprint, before);
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
