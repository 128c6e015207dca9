//! Sets that touch what decides the manifest.

use super::world::{World, change, repository, subject};
use crate::model::build::Verdict;
use crate::model::change::Files;
use crate::model::identity::Subject;
use crate::model::ledger_view::Approval;
use crate::model::paths::PathPatterns;
use crate::model::plan::SubjectPlan;
use crate::model::settings::{Authors, Drafts};
use crate::model::time::Span;

fn members(plan: &SubjectPlan) -> Vec<String> {
    plan.set.iter().map(|m| super::world::short(&Subject::Change(m.change.clone()))).collect()
}

pub(super) fn watches(world: &mut World, path: &str) -> bool {
    world.plan().workspaces[0].watched.contains_key(&repository(path))
}

/// `conf#1` brings package `new`, which exists as `new#1` alone.
pub(super) fn new_package() -> World {
    let mut world = World::defined(&["a"]);
    world.unseen("new");
    world.push("new#1", &[]);
    world.brings("conf#1", "new");
    world.push("conf#1", &["new#1"]);
    world
}

#[test]
fn a_new_package_is_built_with_the_change_that_brings_it() {
    let mut world = new_package();
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("conf#1"), "held: Settling");
    assert!(world.tool_ran().is_empty(), "not while it settles");
    assert!(watches(&mut world, "new"), "its references are looked at meanwhile");
    assert_eq!(world.run(90), ["conf#1"]);
    assert_eq!(world.tool_ran(), ["new#1 conf#1"]);
    let planned = world.planned("conf#1");
    assert_eq!(members(&planned), ["new#1", "conf#1"]);
    let new = planned.overrides.iter().find(|over| over.change == change("new#1"));
    assert_eq!(new.expect("an override").packages, ["new".into()]);
    let candidate = planned.candidate.expect("a candidate");
    assert_eq!(
        (candidate.rounds, &*candidate.because),
        (1, "mirror/conf#1 touches definition repository conf")
    );
    assert_eq!(candidate.difference.expect("a difference").added, ["new".into()]);
    assert_eq!(world.decision("new#1"), "covered: conf#1");
    world.finish(Verdict::Success);
    assert_eq!(world.run(3600), [""; 0]);
    assert!(world.tool_ran().is_empty(), "the same is not made twice");

    // A push to the new package.
    let head = world.push("new#1", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["conf#1"]);
    assert_eq!(world.planned("conf#1").overrides[0].head, head);
    world.finish(Verdict::Success);

    // Closed: forgotten.
    world.close("conf#1");
    assert_eq!(world.run(0), [""; 0]);
    assert!(!watches(&mut world, "new"));
    assert!(world.plan().workspaces[0].subject(&subject("new#1")).is_none());
    assert_eq!(world.run(3600), [""; 0]);
}

#[test]
fn what_is_affected_is_told_by_the_candidates_manifest() {
    let mut world = new_package();
    world.run(0);
    world.snapshot.at = world.snapshot.at + Span::seconds(90);
    let made = world.plan();
    let planned = made.workspaces[0].subject(&subject("conf#1")).expect("a plan");
    assert_eq!(planned.triggers[0].request.affected, ["conf".into(), "new".into()]);
}

#[test]
fn once_merged_it_is_in_the_mainlines_manifest() {
    let mut world = new_package();
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.merge("conf#1");
    let new = super::world::package("new", super::world::git("new"));
    world.packages.push(new);
    world.export();
    assert_eq!(world.run(0), ["new#1"], "its change is no stranger");
    assert!(watches(&mut world, "new"));
}

#[test]
fn a_package_that_exists_already_is_watched_and_its_changes_join_by_reference() {
    let mut world = World::defined(&["a"]);
    world.unseen("old");
    world.push("old#7", &[]);
    world.brings("conf#1", "old");
    world.push("conf#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["conf#1"]);
    assert_eq!(members(&world.planned("conf#1")), ["conf#1"]);
    assert!(watches(&mut world, "old"));
    assert!(world.plan().workspaces[0].subject(&subject("old#7")).is_none(), "no root");
    // The change of the package says that it belongs to it.
    world.push("old#8", &["conf#1"]);
    world.run(0);
    world.tool_ran();
    assert_eq!(world.run(90), ["old#8"]);
    assert_eq!(world.tool_ran(), ["conf#1 old#8"]);
    assert_eq!(world.decision("conf#1"), "covered: old#8");
    assert_eq!(members(&world.planned("old#8")), ["conf#1", "old#8"]);
}

#[test]
fn members_may_lead_on_and_changes_may_depend_on_each_other() {
    let mut world = World::defined(&["a"]);
    for path in ["new", "newer"] {
        world.unseen(path);
    }
    world.push("newer#3", &["conf#1"]);
    world.push("new#2", &["newer#3", "a#5"]);
    world.push("a#5", &[]);
    world.brings("conf#1", "new");
    world.brings("new#2", "newer");
    world.push("conf#1", &["new#2"]);
    world.run(0);
    let built = world.run(90);
    assert_eq!(built.len(), 1, "{built:?}");
    let planned = world.planned(&built[0]);
    let mut all = members(&planned);
    all.sort();
    assert_eq!(all, ["a#5", "conf#1", "new#2", "newer#3"]);
    world.finish(Verdict::Success);
    assert_eq!(world.run(3600), [""; 0]);
}

#[test]
fn nothing_is_made_for_a_set_that_must_not_or_need_not_be_built() {
    type Setup = fn(&mut World);
    let rows: [(&str, Setup, &str); 7] = [
        ("untrusted", |w| w.authors(Authors::None), "held: Approval"),
        ("paused", |w| w.settings(|w| w.paused = true), "held: Paused"),
        ("paused by somebody", |w| w.ledger().paused_by = Some("ann".to_owned()), "held: Paused"),
        ("no changes", |w| w.settings(|w| w.build_changes = false), "held: Paused"),
        ("settling", |w| w.settings(|w| w.changes.settle_new = Span::hours(9)), "held: Settling"),
        ("stale", |w| w.settings(|w| w.changes.max_age = Span::seconds(1)), "held: Stale"),
        ("too many", |w| w.settings(|w| w.changes.max_dependencies = 0), "blocked: TooMany"),
    ];
    for (what, setup, expected) in rows {
        let mut world = new_package();
        setup(&mut world);
        world.run(0);
        assert_eq!(world.run(900), [""; 0], "{what}");
        assert_eq!(world.decision("conf#1"), expected, "{what}");
        assert!(world.tool_ran().is_empty(), "{what}");
    }
    // What was open before we watched.
    let mut world = World::fresh(&["a"]);
    world.settings(|w| {
        w.source = Some(crate::model::settings::Source {
            url: super::world::url("conf"),
            branch: Some("main".into()),
        })
    });
    world.repository("conf");
    let old = crate::model::time::Timestamp(world.snapshot.at.0 - 3 * 86_400_000);
    let head = world.fresh_oid();
    world.push_as("conf#1", head, old, &[]);
    world.run(0);
    assert_eq!(world.run(900), [""; 0]);
    assert_eq!(world.decision("conf#1"), "held: Adopted");
    assert!(world.tool_ran().is_empty());
    world.push("conf#1", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["conf#1"]);
    assert_eq!(world.tool_ran(), ["conf#1"]);
}

#[test]
fn a_draft_that_is_held_has_no_candidate() {
    let mut world = World::fresh(&["o/a"]);
    world.settings(|w| {
        w.changes.drafts = Drafts::Hold;
        w.source = Some(crate::model::settings::Source {
            url: super::world::url("o/conf"),
            branch: Some("main".into()),
        });
    });
    world.repository("o/conf");
    world.run(0);
    world.push("o/conf#1", &[]);
    world.pull("o/conf#1", |forge| forge.draft = true);
    world.run(0);
    assert_eq!(world.run(900), [""; 0]);
    assert_eq!(world.decision("o/conf#1"), "held: Draft");
    assert!(world.tool_ran().is_empty());
}

#[test]
fn an_untrusted_set_is_made_once_exactly_its_heads_are_approved() {
    let mut world = new_package();
    world.authors(Authors::None);
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    let approve = |world: &mut World| {
        let set = world.planned("conf#1").set.clone();
        let (subject, at) = (subject("conf#1"), world.snapshot.at);
        let by = "somebody".to_owned();
        world.ledger().approvals.push(Approval { subject, set, by, at });
    };
    assert_eq!(members(&world.planned("conf#1")), ["conf#1"]);
    assert!(!watches(&mut world, "new"), "references of strangers are not even looked at");
    approve(&mut world);
    assert_eq!(world.run(0), [""; 0]);
    assert!(world.tool_ran().is_empty(), "another member is no part of what was approved");
    assert_eq!(world.decision("conf#1"), "held: Approval");
    assert_eq!(members(&world.planned("conf#1")), ["new#1", "conf#1"]);
    approve(&mut world);
    world.run(0);
    assert_eq!(world.run(90), ["conf#1"]);
    assert_eq!(world.tool_ran(), ["new#1 conf#1"]);
    world.push("new#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    assert!(world.tool_ran().is_empty(), "another head is not approved");
}

#[test]
fn a_failed_candidate_blocks_its_own_set_with_the_logs_end_until_it_is_mended() {
    let mut world = World::defined(&["a"]);
    world.tool.fails.insert(change("conf#1"));
    world.push("conf#1", &[]);
    world.push("conf#2", &[]);
    world.push("a#3", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["a#3", "conf#2"]);
    assert_eq!(world.decision("conf#1"), "blocked: CandidateFailed");
    let reason = world.planned("conf#1").decision.reason().to_owned();
    assert!(reason.contains("code 1") && reason.contains("no such package: x"), "{reason}");
    assert!(world.fingerprint("conf#1").is_none());
    world.rebuild("conf#1", false);
    assert_eq!(world.run(0), ["conf#1"], "a person has it made again");
    world.finish(Verdict::Success);
    assert_eq!(world.run(3600), [""; 0]);
    // A push mends it too.
    let mut world = World::defined(&["a"]);
    world.tool.fails.insert(change("conf#1"));
    world.push("conf#1", &[]);
    world.run(0);
    world.run(90);
    world.tool.fails.clear();
    assert_eq!(world.decision("conf#1"), "blocked: CandidateFailed", "the answer stands");
    world.push("conf#1", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["conf#1"]);
}

#[test]
fn a_set_that_never_agrees_with_its_manifest_is_blocked_after_four_rounds() {
    let mut world = new_package();
    world.removes("new#1", "new");
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    assert_eq!(world.decision("conf#1"), "blocked: CandidateUnsettled");
    assert_eq!(world.tool_ran(), ["new#1 conf#1", "conf#1"], "each of the two was made once");
    assert_eq!(world.planned("conf#1").candidate.expect("a candidate").rounds, 4);
}

#[test]
fn what_the_tool_asks_for_is_watched_and_shown_to_it() {
    let mut world = World::defined(&["a"]);
    world.unseen("dep");
    world.private("dep");
    world.brings("conf#1", "dep");
    world.push("conf#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["conf#1"]);
    assert_eq!(world.tool_ran().len(), 2, "without it and with it");
    assert!(watches(&mut world, "dep"));
    // What no forge has is not asked for for ever.
    let mut world = World::defined(&["a"]);
    let elsewhere = crate::model::manifest::Vcs::Git {
        url: "https://elsewhere.example.com/x.git".to_owned(),
        branch: None,
        pin: None,
    };
    world.private_url("conf#1", "x", elsewhere);
    world.push("conf#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    assert_eq!(world.decision("conf#1"), "blocked: CandidateFailed");
    let reason = world.planned("conf#1").decision.reason().to_owned();
    assert!(reason.contains("elsewhere.example.com"), "{reason}");
}

#[test]
fn what_the_manifest_lacks_in_the_end_gets_the_one_finding() {
    // Whether the repository is there at all makes no difference to what is said.
    for there in [true, false] {
        let mut world = World::defined(&["a"]);
        if there {
            world.unseen("new");
            world.push("new#1", &[]);
        }
        world.push("conf#1", &["new#1"]);
        world.run(0);
        if !there {
            // The look at it failed.
            world.repository("new");
            world.reachable("new", false);
        }
        world.run(0);
        assert_eq!(world.run(90), ["conf#1"], "{there}");
        let planned = world.planned("conf#1");
        assert_eq!(members(&planned), ["conf#1"], "{there}");
        let texts: Vec<&str> = planned.findings.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(texts, ["new#1 is not a change that this workspace watches"], "{there}");
    }
}

#[test]
fn a_candidate_says_nothing_about_anybody_else() {
    let mut world = new_package();
    let mainline = world.fingerprint("mainline");
    world.push("a#5", &["new#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["a#5", "conf#1"]);
    assert_eq!(members(&world.planned("a#5")), ["a#5"]);
    let findings = world.planned("a#5").findings.clone();
    assert_eq!(findings[0].text, "new#1 is not a change that this workspace watches");
    assert_eq!(world.fingerprint("mainline"), mainline);
    assert!(world.planned("a#5").candidate.is_none());
    let unwatched = |world: &mut World| world.plan().workspaces[0].looks.len();
    assert_eq!(unwatched(&mut world), 0, "nothing is adopted because of it");
}

#[test]
fn two_changes_that_add_one_package_are_two_candidates() {
    let mut world = World::defined(&["a"]);
    world.unseen("new");
    world.push("new#1", &[]);
    world.brings("conf#1", "new");
    world.brings("conf#2", "new");
    world.push("conf#1", &["new#1"]);
    world.push("conf#2", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["conf#1", "conf#2"]);
    assert_eq!(members(&world.planned("conf#2")), ["conf#2"]);
    assert_eq!(members(&world.planned("conf#1")), ["new#1", "conf#1"]);
    world.close("conf#1");
    world.run(0);
    assert!(watches(&mut world, "new"), "the other still has it");
}

#[test]
fn a_mainline_whose_update_fails_does_not_block_it() {
    let mut world = new_package();
    world.part(|part| part.failure = Some("exit code 1".to_owned()));
    world.run(0);
    assert_eq!(world.run(90), ["conf#1"]);
}

#[test]
fn while_it_is_made_nothing_of_its_set_is_built_and_nothing_is_cancelled() {
    let mut world = World::defined(&["a"]);
    world.tool.busy = true;
    world.push("a#2", &[]);
    world.push("conf#1", &["a#2"]);
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    assert_eq!(world.decision("conf#1"), "unknown");
    let reason = world.planned("conf#1").decision.reason().to_owned();
    assert!(reason.contains("is being made (round 1 of at most 4)"), "{reason}");
    world.tool.busy = false;
    assert_eq!(world.run(0), ["conf#1"]);
    let before = world.fingerprint("conf#1");
    // The mainline gets another package; the change makes the same difference as before.
    world.tool.busy = true;
    world.repository("b");
    world.packages.push(super::world::package("b", super::world::git("b")));
    world.export();
    let made = world.plan();
    assert_eq!(world.decision("conf#1"), "unknown");
    assert!(made.workspaces[0].subjects().all(|subject| subject.superseded.is_empty()));
    world.commit(&made);
    world.tool.busy = false;
    let built = world.run(0);
    assert!(!built.contains(&"conf#1".to_owned()), "{built:?}");
    assert_eq!(world.fingerprint("conf#1"), before);
    assert_eq!(world.decision("conf#1"), "build", "its attempt goes on");
}

#[test]
fn what_only_an_unknown_candidate_has_is_not_taken_for_gone() {
    let mut world = World::defined(&["a"]);
    world.unseen("old");
    world.brings("conf#1", "old");
    world.push("conf#1", &[]);
    world.run(0);
    world.run(90);
    world.push("old#8", &["conf#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["old#8"]);
    world.tool.busy = true;
    world.repository("b");
    world.packages.push(super::world::package("b", super::world::git("b")));
    world.export();
    world.run(0);
    assert_eq!(world.decision("old#8"), "unknown");
    world.tool.busy = false;
    world.run(0);
    assert_eq!(world.decision("old#8"), "build", "nothing was cancelled");
    world.close("conf#1");
    let made = world.plan();
    let gone: usize = made.workspaces[0].subjects().map(|s| s.superseded.len()).sum();
    assert_eq!(gone, 2, "both are known to be over");
}

#[test]
fn an_empty_difference_is_no_part_of_the_fingerprint() {
    let mut world = World::defined(&["a"]);
    world.push("conf#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["conf#1"]);
    assert!(world.parts("conf#1").iter().all(|part| !part.what.contains("manifest")));
    world.unseen("a2");
    world.brings("conf#1", "a2");
    world.push("conf#1", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["conf#1"]);
    assert!(world.parts("conf#1").iter().any(|part| part.what.contains("manifest")));
}

#[test]
fn another_difference_is_another_fingerprint() {
    let of = |brings: Option<&str>| {
        let mut world = World::defined(&["a"]);
        for path in ["b", "c"] {
            world.unseen(path);
        }
        if let Some(path) = brings {
            world.brings("conf#1", path);
        }
        world.push("conf#1", &[]);
        world.run(0);
        world.run(90);
        world.fingerprint("conf#1").expect("a fingerprint")
    };
    let all = [of(None), of(Some("b")), of(Some("c"))];
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    assert_eq!(of(Some("b")), all[1]);
}

#[test]
fn an_explanation_says_what_the_candidate_changes() {
    let mut world = new_package();
    world.run(0);
    world.run(90);
    let text = super::explain::explain(&mut world, "conf#1");
    assert!(
        text.contains("candidate    mirror/conf#1 touches definition repository conf; 1 round"),
        "{text}"
    );
    assert!(text.contains("manifest   adds new"), "{text}");
}

/// `a#1` adds a dependency in a file that decides the manifest: package `dep`, known as `dep#4` alone.
fn new_dependency(files: Option<Files>) -> World {
    let mut world = World::new(&["a"]);
    world.settings(|w| {
        w.defining = PathPatterns::new(vec!["package.xml".to_owned()]).expect("a pattern");
    });
    world.unseen("dep");
    world.push("dep#4", &[]);
    world.brings("a#1", "dep");
    let head = world.push("a#1", &["dep#4"]);
    if let Some(files) = files {
        world.files.insert(head, files);
    }
    world
}

fn listed(names: &[&str]) -> Option<Files> {
    Some(Files::of(names.len(), names.iter().map(|name| (*name).to_owned())))
}

#[test]
fn a_file_that_decides_the_manifest_makes_a_candidate() {
    let rows = [
        (listed(&["src/x", "lib/package.xml"]), "build", 1),
        (Some(Files::TooMany), "build", 1),
        (listed(&["src/x", "package.xml.in"]), "build", 0),
        (None, "unknown", 0),
    ];
    for (row, (files, decision, ran)) in rows.into_iter().enumerate() {
        let mut world = new_dependency(files);
        world.run(0);
        assert!(world.plan().workspaces[0].wanted().is_empty(), "{row}: it settles");
        world.run(90);
        // Where it brings a change that nobody saw before, that settles too.
        world.run(90);
        assert_eq!(world.decision("a#1"), decision, "{row}");
        assert_eq!(world.tool_ran().len(), ran, "{row}");
        let expected: &[&str] = if ran > 0 { &["dep#4", "a#1"] } else { &["a#1"] };
        assert_eq!(members(&world.planned("a#1")), expected, "{row}");
        assert_eq!(watches(&mut world, "dep"), ran > 0, "{row}");
    }
}

#[test]
fn where_candidates_are_switched_off_the_mainlines_manifest_holds() {
    let mut world = new_package();
    world.settings(|w| w.candidates.make = false);
    world.run(0);
    assert_eq!(world.run(90), ["conf#1"]);
    assert!(world.tool_ran().is_empty());
    assert_eq!(members(&world.planned("conf#1")), ["conf#1"]);
    assert!(!watches(&mut world, "new"));
}
