//! Settling, trust, attempts and what is no reason to build.

use super::world::{World, subject};
use crate::model::build::Verdict;
use crate::model::ledger_view::Approval;
use crate::model::settings::Authors;
use crate::model::time::Span;

fn built() -> World {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1"]);
    world
}

#[test]
fn new_changes_and_pushes_settle_until_next_at() {
    let mut world = World::new(&["a"]);
    let opened = world.snapshot.at;
    world.push("a#1", &[]);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.plan().next_at, Some(opened + Span::seconds(90)));
    assert_eq!(world.run(89), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Settling");
    assert_eq!(world.run(1), ["a#1"]);
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(29), [""; 0]);
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(29), [""; 0], "the quiet time begins again");
    assert_eq!(world.run(1), ["a#1"]);
}

#[test]
fn a_build_names_its_page_where_the_daemon_has_a_public_address() {
    for public in [None, Some("https://ci.example.org")] {
        let mut world = World::new(&["a"]);
        std::sync::Arc::make_mut(&mut world.snapshot.settings).public_url =
            public.map(str::to_owned);
        world.push_base("a");
        world.push("a#1", &[]);
        world.run(0);
        world.snapshot.at = world.snapshot.at + Span::minutes(2);
        for (text, page) in [("mainline", "/workspaces/w"), ("a#1", "/workspaces/w#mirror/a-1")] {
            let triggers = world.planned(text).triggers.clone();
            let expected = public.map(|public| format!("{public}{page}"));
            assert_eq!(triggers[0].request.page, expected, "{text}");
            assert!(!triggers[0].needs_approval, "{text}");
        }
    }
}

#[test]
fn what_does_not_move_gets_stale_and_a_push_releases_it() {
    let mut world = World::new(&["a"]);
    world.settings(|w| w.paused = true);
    world.push("a#1", &[]);
    world.run(0);
    world.settings(|w| w.paused = false);
    assert_eq!(world.run(121 * 86_400), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Stale");
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
}

#[test]
fn an_untrusted_set_waits_for_an_approval_of_exactly_these_heads() {
    let mut world = World::new(&["a", "b"]);
    world.authors(Authors::None);
    world.push("a#1", &["b#2"]);
    world.push("b#2", &[]);
    world.run(0);
    assert_eq!(world.run(90), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Approval");
    assert_eq!(world.decision("b#2"), "held: Approval", "what is held covers nothing");
    let approve = |world: &mut World| {
        let set = world.planned("a#1").set.clone();
        let at = world.snapshot.at;
        let by = "somebody".to_owned();
        world.ledger().approvals.push(Approval { subject: subject("a#1"), set, by, at });
    };
    approve(&mut world);
    assert!(world.planned("a#1").triggers[0].needs_approval, "the commit looks for it again");
    assert_eq!(world.run(0), ["a#1"]);
    assert_eq!(world.decision("b#2"), "covered: a#1");
    world.push("b#2", &[]);
    world.run(0);
    assert_eq!(world.run(30), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Approval", "another head needs another approval");
    approve(&mut world);
    assert_eq!(world.run(0), ["a#1"]);
    // They depend on each other the other way round: nothing new to release.
    let set = world.planned("a#1").set.clone();
    let turned: Vec<_> = set.iter().rev().cloned().collect();
    let by = world.ledger().approvals.last().expect("an approval").clone();
    assert!(set.len() == 2 && by.releases(&subject("a#1"), &turned));
    assert!(!by.releases(&subject("a#1"), &set[..1]) && !by.releases(&subject("b#2"), &set));
}

#[test]
fn what_is_trusted_no_more_keeps_its_verdict_and_is_not_tried_again() {
    let mut world = built();
    world.finish(Verdict::Lost);
    world.authors(Authors::None);
    assert_eq!(world.run(120), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Approval");
    world.rebuild("a#1", false);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Approval", "the commit would refuse it");
    world.authors(Authors::Any);
    assert_eq!(world.run(0), ["a#1"]);
    world.finish(Verdict::Failure);
    world.authors(Authors::None);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("a#1"), "unchanged");
}

#[test]
fn a_lost_build_is_tried_after_two_and_twenty_minutes_then_blocked() {
    let mut world = built();
    world.finish(Verdict::Lost);
    assert_eq!(world.run(119), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Retry");
    assert_eq!(world.run(1), ["a#1"]);
    world.finish(Verdict::Lost);
    assert_eq!(world.run(1199), [""; 0]);
    assert_eq!(world.run(1), ["a#1"]);
    world.finish(Verdict::Lost);
    assert_eq!(world.run(86_400), [""; 0]);
    assert_eq!(world.decision("a#1"), "blocked: Ci");
    world.rebuild("a#1", false);
    assert_eq!(world.run(0), ["a#1"]);
    world.finish(Verdict::Refused);
    assert_eq!(world.run(86_400), [""; 0]);
    assert_eq!(world.decision("a#1"), "blocked: Ci");
}

#[test]
fn a_persons_rebuild_is_another_attempt_of_the_same_fingerprint_and_counts_once() {
    let mut world = built();
    world.finish(Verdict::Success);
    let before = world.fingerprint("a#1");
    assert_eq!(world.run(60), [""; 0]);
    world.rebuild("a#1", false);
    assert_eq!(world.run(0), ["a#1"]);
    let attempts = world.ledger().attempts.get(&subject("a#1")).expect("attempts").clone();
    assert_eq!(attempts.iter().map(|a| a.attempt).collect::<Vec<_>>(), [1, 2]);
    assert!(attempts.iter().all(|attempt| Some(attempt.fingerprint) == before));
    world.finish(Verdict::Failure);
    assert_eq!(world.run(60), [""; 0]);
    world.push("a#1", &[]);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("a#1"), "held: Settling", "the old rebuild skips nothing");
}

#[test]
fn a_covered_change_is_built_alone_when_asked() {
    let mut world = World::new(&["a", "b"]);
    world.push("a#1", &["b#2"]);
    world.push("b#2", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["a#1"]);
    world.rebuild("b#2", true);
    assert_eq!(world.run(0), ["b#2"]);
    world.finish(Verdict::Lost);
    assert!(world.run(120).contains(&"b#2".to_owned()), "tried again like any other");
    world.finish(Verdict::Success);
    world.push("b#2", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
    assert_eq!(world.decision("b#2"), "covered: a#1", "the next push is covered again");
}

#[test]
fn what_was_built_before_is_not_built_again() {
    let mut world = built();
    world.finish(Verdict::Success);
    let first = world.head("a#1");
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
    let at = world.snapshot.at;
    world.push_as("a#1", first, at, &[]);
    assert_eq!(world.run(0), [""; 0]);
    assert_eq!(world.decision("a#1"), "unchanged");
    // A superseded build spends nothing.
    let mut world = built();
    let first = world.head("a#1");
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
    world.finish(Verdict::Success);
    let at = world.snapshot.at;
    world.push_as("a#1", first, at, &[]);
    world.run(0);
    assert_eq!(world.run(30), ["a#1"]);
    world.finish(Verdict::Success);
    assert_eq!(world.run(60), [""; 0]);
}

#[test]
fn a_closed_change_supersedes_its_build() {
    let mut world = built();
    world.close("a#1");
    let planned = world.planned("a#1");
    assert_eq!(planned.decision.word(), "superseded");
    assert_eq!(planned.superseded.len(), 1);
    world.run(0);
    let plan = world.plan();
    assert!(plan.workspaces[0].subject(&subject("a#1")).is_none(), "said once");
}

#[test]
fn only_what_is_built_is_a_reason_to_build() {
    let mut world = built();
    world.finish(Verdict::Success);
    world.edit("a#1", |listed| listed.merge = true);
    assert_eq!(world.run(60), [""; 0], "a merge ref");
    world.edit("a#1", |listed| listed.merge = false);
    assert_eq!(world.run(60), [""; 0], "a conflict");
    let part = std::sync::Arc::make_mut(&mut world.snapshot.workspaces)
        .remove("w")
        .expect("the workspace");
    world.settings(|w| w.name = "renamed".into());
    std::sync::Arc::make_mut(&mut world.snapshot.workspaces).insert("renamed".into(), part);
    assert_eq!(world.run(60), [""; 0], "a rename");
    world.settings(|w| w.changes.settle_push = Span::seconds(1));
    assert_eq!(world.run(60), [""; 0], "an edit of the settings");
    let mut other = super::world::package("a-tools", super::world::git("a"));
    other.depends_on = vec!["a".into()];
    world.packages.push(other);
    world.export();
    assert!(!world.run(60).contains(&"a#1".to_owned()), "a package joins the repository");
    world.settings(|w| w.ci.push("second".into()));
    assert_eq!(world.run(60), ["a#1"], "a CI gets its own");
    world.finish(Verdict::Success);
    world.settings(|w| w.epoch = 1);
    assert!(world.run(60).contains(&"a#1".to_owned()), "an epoch builds again");
}
