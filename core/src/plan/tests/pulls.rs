//! Pull requests that are merged, closed, gone, or stand on each other.

use super::world::{World, change};
use crate::model::build::Verdict;
use crate::model::change::Fate;
use crate::model::identity::ChangeId;
use crate::model::manifest::DefinitionRepository;
use crate::model::observed::Observed;
use crate::model::question::{Answer, Question};
use crate::model::snapshot::Updated;
use crate::model::time::Span;

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
    let consulted: Vec<_> = plan.workspaces[0].consulted().collect();
    assert!(consulted.is_empty(), "{consulted:?}");
    let planned = world.planned("o/a#1");
    let url = planned.overrides[0].change_url.as_deref();
    assert_eq!(url, Some("https://github.com/o/a/pull/1"));
    world.push_base("o/a");
    world.run(0);
    assert!(
        world.plan().workspaces[0].consulted().next().is_none(),
        "a push to the base asks nothing"
    );
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
    std::sync::Arc::make_mut(&mut world.snapshot.answers).insert(question.clone(), unread);
    let made = crate::plan::plan(&world.snapshot, &world.ledger);
    assert!(made.wanted.contains(&question), "it is asked");
    let subject = super::world::subject("o/a#1");
    let planned = made.workspaces[0].subject(&subject).expect("a plan");
    assert_eq!(planned.decision.word(), "unknown");
    assert!(planned.triggers.is_empty() && planned.superseded.is_empty());
    for (seconds, said) in [(3599, 0), (3600, 1)] {
        world.snapshot.at = at + Span::seconds(seconds);
        let made = crate::plan::plan(&world.snapshot, &world.ledger);
        let findings = made.workspaces[0].subject(&subject).map(|plan| plan.findings.clone());
        let findings = findings.expect("a plan");
        let unread = findings.iter().filter(|one| one.text.contains("could not be read for 1h"));
        assert_eq!(unread.count(), said, "after {seconds} s");
    }
    // A fate that is older than the list says nothing either.
    std::sync::Arc::make_mut(&mut world.snapshot.answers)
        .insert(question, Observed::known(Answer::Fate(Fate::Open)));
    assert_eq!(world.decision("o/a#1"), "unknown");
}

#[test]
fn what_becomes_unknown_by_a_fate_uncovers_nothing() {
    let mut world = World::new(&["o/a", "o/b", "o/c"]);
    world.push("o/b#2", &[]);
    world.push("o/c#3", &[]);
    world.push("o/a#1", &["o/b#2", "o/c#3"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    world.finish(Verdict::Success);
    world.merge("o/c#3");
    let ChangeId { repository, number } = change("o/c#3");
    let unread = Observed::known(Answer::Fate(Fate::Open)).failed("timed out", world.snapshot.at);
    std::sync::Arc::make_mut(&mut world.snapshot.answers)
        .insert(Question::Fate { repository, number }, unread);
    world.fates.insert(change("o/c#3"), Fate::Open);
    let planned = world.scratch();
    let decided = |text: &str| {
        let subject = super::world::subject(text);
        planned.workspaces[0].subject(&subject).expect("a plan").decision.word()
    };
    assert_eq!((decided("o/a#1"), decided("o/b#2")), ("unknown", "covered"));
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
    let reason = world.planned("o/a#1").decision.reason().to_owned();
    assert!(reason.contains("no update of the workspace with it succeeded yet"), "{reason}");
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
    // Nor where the workspace tracks another branch than the default one, and that one is merged into it.
    world.listing("o/a", |listing| listing.default_branch = Some("dev".into()));
    world.push("o/a#6", &[]);
    world.pull("o/a#6", |forge| forge.source.as_mut().expect("a source").branch = "dev".into());
    world.push("o/a#7", &[]);
    world.edit("o/a#7", |listed| listed.base = Some("dev".into()));
    world.run(0);
    assert_eq!(world.run(90), ["o/a#6"]);
    assert_eq!(world.planned("o/a#5").set.len(), 1);
}
