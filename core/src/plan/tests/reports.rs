//! What is said on forges: rules under "Who sees and hears what", and the status of covered members.

use super::world::{World, change, repository};
use crate::model::build::Verdict;
use crate::model::report::{DESCRIPTION, StatusState};
use crate::model::settings::{Adopt, Dependencies};
use crate::references::Finding;

/// A world in which these may be written to, and everything is public.
pub(super) fn world(paths: &[&str], to: &[&str]) -> World {
    let mut world = World::new(paths);
    name(&mut world, to);
    for path in paths {
        world.listing(path, |listing| listing.public = true);
    }
    world
}

fn name(world: &mut World, to: &[&str]) {
    let to: Vec<_> = to.iter().map(|path| repository(path)).collect();
    world.settings(|w| w.report_to = to);
}

/// The status that the present head of a change should have.
pub(super) fn said(world: &mut World, text: &str) -> String {
    let head = world.head(text);
    let repository = change(text).repository;
    let all = &world.ledger().said.statuses;
    let own = all.iter().find(|(key, _)| key.repository == repository && key.head == head);
    own.map_or_else(
        || "nothing".to_owned(),
        |(key, status)| {
            assert_eq!(&*key.context, "crosswatch/w");
            format!("{}: {}", status.state.word(), status.description)
        },
    )
}

pub(super) fn remarks(world: &mut World, text: &str) -> Vec<String> {
    world.ledger().said.remarks.get(&change(text)).cloned().unwrap_or_default()
}

/// What a pass would store now.
fn news(world: &mut World) -> usize {
    let made = world.plan();
    made.workspaces[0].reports.len()
}

#[test]
fn a_status_begins_with_the_trigger_and_ends_with_the_verdict() {
    for (verdict, end) in [
        (Verdict::Success, "success: passed on ci"),
        (Verdict::Failure, "failure: failed on ci"),
        (Verdict::Cancelled, "error: cancelled on ci"),
        (Verdict::Refused, "error: ci did not build it"),
    ] {
        let mut world = world(&["o/a"], &["o/a"]);
        world.push("o/a#1", &[]);
        world.run(0);
        assert_eq!(said(&mut world, "o/a#1"), "nothing", "it settles");
        assert_eq!(world.run(90), ["o/a#1"]);
        assert_eq!(said(&mut world, "o/a#1"), "pending: building on ci");
        assert_eq!(news(&mut world), 0, "queued, sent and running are one status");
        world.finish(verdict);
        world.run(0);
        assert_eq!(said(&mut world, "o/a#1"), end);
        assert_eq!(news(&mut world), 0);
    }
}

#[test]
fn what_is_lost_is_tried_again_and_stays_pending() {
    let mut world = world(&["o/a"], &["o/a"]);
    world.push("o/a#1", &[]);
    world.run(0);
    for wait in [90, 120, 1200] {
        assert_eq!(world.run(wait), ["o/a#1"]);
        assert_eq!(said(&mut world, "o/a#1"), "pending: building on ci");
        world.finish(Verdict::Lost);
    }
    world.run(0);
    assert_eq!(said(&mut world, "o/a#1"), "error: ci did not build it");
}

#[test]
fn a_pause_keeps_no_verdict_back() {
    let mut world = world(&["o/a"], &["o/a"]);
    world.push("o/a#1", &[]);
    world.run(0);
    world.run(90);
    world.ledger().paused_by = Some("p".to_owned());
    world.run(0);
    assert_eq!(world.decision("o/a#1"), "held: Paused");
    assert_eq!(said(&mut world, "o/a#1"), "pending: building on ci");
    world.finish(Verdict::Failure);
    world.run(0);
    assert_eq!(said(&mut world, "o/a#1"), "failure: failed on ci");
}

#[test]
fn what_was_open_or_decided_before_is_not_said() {
    let mut adopted = World::fresh(&["o/a"]);
    name(&mut adopted, &["o/a"]);
    adopted.settings(|w| w.changes.adopt = Adopt::None);
    adopted.push("o/a#1", &["o/nothing#1"]);
    for seconds in [0, 90, 3600] {
        assert!(adopted.run(seconds).is_empty());
    }
    assert_eq!(adopted.decision("o/a#1"), "held: Adopted");
    assert_eq!((said(&mut adopted, "o/a#1"), news(&mut adopted)), ("nothing".to_owned(), 0));
    assert!(remarks(&mut adopted, "o/a#1").is_empty());

    let mut late = world(&["o/a"], &[]);
    late.push("o/a#1", &[]);
    late.run(0);
    late.run(90);
    late.finish(Verdict::Failure);
    name(&mut late, &["o/a"]);
    late.run(1);
    assert_eq!(late.decision("o/a#1"), "unchanged");
    assert_eq!(said(&mut late, "o/a#1"), "nothing");
    // From the next trigger on it is.
    late.rebuild("o/a#1", false);
    late.run(1);
    assert_eq!(said(&mut late, "o/a#1"), "pending: building on ci");
}

#[test]
fn nothing_is_said_where_nothing_may_be() {
    type Edit = fn(&mut World);
    let rows: [(&str, Edit); 4] = [
        ("not named", |world| name(world, &["o/b"])),
        ("archived", |world| world.listing("o/a", |listing| listing.archived = true)),
        ("unread", |world| world.reachable("o/a", false)),
        ("named, but plain git", |world| name(world, &["c"])),
    ];
    for (what, edit) in rows {
        let mut world = world(&["o/a", "o/b", "c"], &["o/a"]);
        for text in ["o/a#1", "c#1"] {
            world.push(text, &[]);
        }
        world.run(0);
        edit(&mut world);
        world.run(90);
        world.finish(Verdict::Success);
        world.run(0);
        assert!(world.ledger().said.statuses.is_empty(), "{what}");
    }
}

#[test]
fn a_rebuild_reports_anew_and_an_old_result_comes_back() {
    let mut world = world(&["o/a", "o/b"], &["o/a"]);
    let first = world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.run(1);
    let passed = "success: passed on ci, together with o/b#2";
    assert_eq!(said(&mut world, "o/a#1"), passed);
    world.rebuild("o/a#1", false);
    world.run(1);
    assert_eq!(said(&mut world, "o/a#1"), "pending: building on ci, together with o/b#2");
    world.finish(Verdict::Success);
    world.run(0);
    assert_eq!(said(&mut world, "o/a#1"), passed);
    // The same head with another dependency fails; with the old one the old result is said again.
    world.push("o/b#2", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Failure);
    world.run(0);
    assert_eq!(said(&mut world, "o/a#1"), "failure: failed on ci, together with o/b#2");
    let at = world.snapshot.at;
    world.push_as("o/b#2", first, at, &[]);
    world.run(0);
    assert_eq!(world.decision("o/a#1"), "unchanged");
    assert_eq!(said(&mut world, "o/a#1"), passed);
}

#[test]
fn a_covered_member_is_never_red_for_another() {
    let pending = "pending: is built together with o/a#1";
    let rows = [
        (Verdict::Success, "success: passed, only together with o/a#1"),
        (
            Verdict::Failure,
            "inconclusive: no verdict on it alone: it was built together with o/a#1, which did not pass",
        ),
        (
            Verdict::Cancelled,
            "inconclusive: no verdict on it alone: it was built together with o/a#1, which did not pass",
        ),
    ];
    for (verdict, end) in rows {
        let mut world = world(&["o/a", "o/b"], &["o/b"]);
        world.push("o/b#2", &[]);
        world.push("o/a#1", &["o/b#2"]);
        world.run(0);
        assert_eq!(world.run(90), ["o/a#1"]);
        assert_eq!(said(&mut world, "o/b#2"), pending);
        assert_eq!(said(&mut world, "o/a#1"), "nothing", "not named");
        world.finish(verdict);
        world.run(0);
        assert_eq!(said(&mut world, "o/b#2"), end);
        // What cannot be read changes nothing.
        world.reachable("o/a", false);
        world.run(3600);
        assert_eq!(said(&mut world, "o/b#2"), end);
        world.reachable("o/a", true);
        // On its own it is built for itself.
        world.close("o/a#1");
        world.run(0);
        world.run(90);
        assert_eq!(said(&mut world, "o/b#2"), "pending: building on ci");
    }
}

#[test]
fn members_are_named_to_those_alone_who_may_read_them() {
    // Whether the other repository is public, and another forge; what is said above and below.
    let rows = [
        ("o/b", true, "o/b#2", "o/a#1"),
        ("o/b", false, "1 change not shown here", "o/a#1"),
        ("p/b", false, "1 change not shown here", "o/a#1"),
        ("b", false, "1 change not shown here", ""),
        ("b", true, "mirror/b#2", ""),
    ];
    for (path, public, above, below) in rows {
        let mut world = world(&["o/a", path], &["o/a", path]);
        world.listing(path, |listing| listing.public = public);
        let other = format!("{path}#2");
        world.push(&other, &[]);
        world.push("o/a#1", &[&other]);
        world.run(0);
        world.run(90);
        let expected = format!("pending: building on ci, together with {above}");
        assert_eq!(said(&mut world, "o/a#1"), expected, "{path}");
        if !below.is_empty() {
            let expected = format!("pending: is built together with {below}");
            assert_eq!(said(&mut world, &other), expected, "{path}");
        }
        // Who becomes private is hidden from then on, and an unread one moves nothing.
        world.reachable(path, false);
        world.run(1);
        assert_eq!(
            said(&mut world, "o/a#1"),
            format!("pending: building on ci, together with {above}")
        );
        world.reachable(path, true);
        world.listing(path, |listing| listing.public = false);
        world.run(1);
        let hidden = "pending: building on ci, together with 1 change not shown here";
        assert_eq!(said(&mut world, "o/a#1"), hidden, "{path}");
    }
    // A private change may name what is public, and what is of its own repository.
    let mut world = world(&["o/a", "o/b"], &["o/a"]);
    world.listing("o/a", |listing| listing.public = false);
    world.push("o/b#2", &[]);
    let base = world.push("o/a#3", &[]);
    let top = world.push("o/a#1", &["o/b#2", "o/a#3"]);
    world.ancestry.insert((base, top));
    world.run(0);
    world.run(90);
    let status = said(&mut world, "o/a#1");
    assert!(status.contains("#3") && status.contains("o/b#2"), "{status}");
}

/// A change of each repository, of which the first depends on all others and is reported.
pub(super) fn built_as_one(paths: &[String]) -> (World, String) {
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut world = world(&paths, &paths[..1]);
    let names: Vec<String> = paths.iter().map(|path| format!("{path}#1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names[1..] {
        world.push(name, &[]);
    }
    world.push(names[0], &names[1..]);
    world.run(0);
    world.run(90);
    (world, names[0].to_owned())
}

#[test]
fn descriptions_fit() {
    let paths: Vec<String> = (0..20).map(|n| format!("o/a-rather-long-name-{n:02}")).collect();
    let (mut world, first) = built_as_one(&paths);
    let status = said(&mut world, &first);
    assert!(status.ends_with("and 17 changes not shown here"), "{status}");
    assert!(status.len() <= DESCRIPTION + "pending: ".len(), "{status}");
    world.settings(|w| w.ci = vec![format!("long-{}", "c".repeat(200)).into()]);
    world.run(0);
    let status = said(&mut world, &first);
    assert_eq!(status.chars().count(), DESCRIPTION + "pending: ".len());
}

#[test]
fn two_changes_with_one_head_share_the_worse_word() {
    let mut world = world(&["o/a"], &["o/a"]);
    world.settings(|w| w.changes.dependencies = Dependencies::Each);
    let head = world.push("o/a#1", &[]);
    let at = world.snapshot.at;
    world.push_as("o/a#2", head, at, &[]);
    world.run(0);
    assert_eq!(world.run(90).len(), 2);
    world.finish(Verdict::Success);
    world.run(1);
    assert_eq!(said(&mut world, "o/a#1"), "success: passed on ci");
    world.rebuild("o/a#2", false);
    world.run(1);
    assert_eq!(world.ledger().said.statuses.len(), 1);
    let states: Vec<StatusState> =
        world.ledger().said.statuses.values().map(|status| status.state).collect();
    assert_eq!(states, [StatusState::Pending]);
    assert_eq!(news(&mut world), 0, "they do not take turns");
}

#[test]
fn findings_of_the_change_itself_are_remarked_and_taken_back() {
    let mut world = world(&["o/a", "o/b"], &["o/a"]);
    world.push("o/b#2", &["o/nothing#8"]);
    world.push("o/a#1", &["o/nothing#7", "o/b#2"]);
    world.run(0);
    assert!(remarks(&mut world, "o/a#1").is_empty(), "its author may still be writing");
    world.run(90);
    let finding = "o/nothing#7 is not a change that this workspace watches";
    assert_eq!(remarks(&mut world, "o/a#1"), [finding], "others' findings are theirs");
    assert_eq!(news(&mut world), 0);
    let head = world.head("o/a#1");
    let at = world.snapshot.at;
    world.push_as("o/a#1", head, at, &["o/b#2"]);
    world.run(0);
    world.run(90);
    assert!(remarks(&mut world, "o/a#1").is_empty());
    assert!(!world.ledger().said.remarks.contains_key(&change("o/a#1")));
}

#[test]
fn of_a_private_reference_no_more_is_said_than_of_none() {
    // A change against another branch than the tracked one: a finding that says which.
    for (public, words) in [
        (true, "o/b#2 is left out: its base other is not the branch that this workspace tracks"),
        (false, "o/b#2 is not a change that this workspace watches"),
    ] {
        let mut world = world(&["o/a", "o/b"], &["o/a"]);
        world.listing("o/b", |listing| listing.public = public);
        world.push("o/b#2", &[]);
        world.edit("o/b#2", |listed| listed.base = Some("other".into()));
        world.push("o/a#1", &["o/b#2"]);
        world.run(0);
        world.run(90);
        assert_eq!(remarks(&mut world, "o/a#1"), [words], "{public}");
    }
}

#[test]
fn what_waits_for_somebody_is_said_without_names() {
    let mut world = world(&["o/a", "o/b"], &["o/a"]);
    world.push("o/a#1", &[]);
    world.stranger("o/a#1");
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("o/a#1"), "held: Approval");
    let approval = "not built yet: it waits for somebody to approve that its code is run";
    assert_eq!(remarks(&mut world, "o/a#1"), [approval]);
    assert_eq!(said(&mut world, "o/a#1"), "nothing", "no status without a build");

    let mut world = self::world(&["o/a", "o/b"], &["o/a"]);
    world.listing("o/b", |listing| listing.public = false);
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    world.close("o/b#2");
    world.run(90);
    assert_eq!(world.decision("o/a#1"), "blocked: DependencyClosed");
    let remarks = remarks(&mut world, "o/a#1");
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].starts_with("not built: a change that it depends on was closed"));
}

#[test]
fn hostile_findings_are_bounded_and_flat() {
    let mut world = world(&["o/a"], &["o/a"]);
    world.push("o/a#1", &[]);
    world.pull("o/a#1", |forge| {
        for n in 0..100 {
            let text = format!("{n}\u{1b}[2J\n{}", "x".repeat(10_000));
            forge.references.findings.push(Finding { as_written: String::new(), line: 1, text });
        }
    });
    world.run(0);
    world.run(90);
    let remarks = remarks(&mut world, "o/a#1");
    assert_eq!((remarks.len(), remarks[20].as_str()), (21, "and 80 more"));
    assert!(
        remarks.iter().all(|text| text.chars().count() <= 300 && !text.contains(['\u{1b}', '\n']))
    );
}

#[test]
fn only_an_address_of_the_web_is_passed_on() {
    for (link, passed) in [
        ("https://ci.example/1", true),
        ("http://ci.example/1", true),
        ("javascript:alert(1)", false),
        ("https://ci.example/ x", false),
        ("file:///etc/passwd", false),
    ] {
        let mut world = world(&["o/a"], &["o/a"]);
        world.push("o/a#1", &[]);
        world.run(0);
        world.run(90);
        world.finish(Verdict::Success);
        for attempt in world.ledger().attempts.values_mut().flatten() {
            attempt.link = Some(link.to_owned());
        }
        world.run(0);
        let targets: Vec<bool> =
            world.ledger().said.statuses.values().map(|status| status.target.is_some()).collect();
        assert_eq!(targets, [passed], "{link}");
    }
}
