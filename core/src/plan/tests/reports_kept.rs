//! What is said stays as it is, is cut, and is said once: the bounds of statuses and remarks.

use super::reports::{built_as_one, remarks, said, world};
use crate::model::build::Verdict;
use crate::model::report::DESCRIPTION;
use crate::model::settings::Dependencies;
use crate::references::Finding;

#[test]
fn of_two_changes_with_one_head_and_equal_words_the_first_speaks() {
    let mut world = world(&["o/a", "o/b"], &["o/a"]);
    world.settings(|w| w.changes.dependencies = Dependencies::Each);
    let head = world.push("o/a#1", &[]);
    world.push("o/b#3", &[]);
    let at = world.snapshot.at;
    world.push_as("o/a#2", head, at, &["o/b#3"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1", "o/a#2", "o/b#3"]);
    assert_eq!(said(&mut world, "o/a#1"), "pending: building on ci");
}

#[test]
fn a_member_waits_for_a_ci_that_is_taken_away_while_it_builds() {
    let mut world = world(&["o/a", "o/b"], &["o/b"]);
    world.settings(|w| w.ci.push("second".into()));
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    world.run(90);
    let pending = "pending: is built together with o/a#1";
    assert_eq!(said(&mut world, "o/b#2"), pending);
    world.finish_on("ci", Verdict::Failure);
    world.settings(|w| w.ci.truncate(1));
    world.run(0);
    assert_eq!(world.decision("o/a#1"), "unchanged");
    assert_eq!(said(&mut world, "o/b#2"), pending);
    world.finish_on("second", Verdict::Success);
    world.run(0);
    assert!(said(&mut world, "o/b#2").starts_with("inconclusive: "), "the CI that is left judges");
}

#[test]
fn a_third_of_a_description_is_for_names() {
    let paths = ["o/a", "o/n---------------1-", "o/n---------------2-", "o/n---------------3-"];
    for (end, words) in [
        ("", "o/n---------------2-#1 and o/n---------------3-#1"),
        ("-", "o/n---------------2--#1 and 1 change not shown here"),
    ] {
        let paths = paths.map(|path| format!("{path}{}", if path == "o/a" { "" } else { end }));
        let (mut world, first) = built_as_one(&paths);
        let status = said(&mut world, &first);
        assert!(status.ends_with(words), "{status}");
    }
}

#[test]
fn what_is_too_long_ends_with_dots() {
    let begin = "building on ".len();
    for (more, dots) in [(0, false), (1, true)] {
        let mut world = world(&["o/a"], &["o/a"]);
        world.settings(|w| w.ci = vec!["c".repeat(DESCRIPTION - begin + more).into()]);
        world.push("o/a#1", &[]);
        world.run(0);
        world.run(90);
        let status = said(&mut world, "o/a#1");
        assert_eq!((status.chars().count(), status.ends_with('…')), (DESCRIPTION + 9, dots));
    }
}

#[test]
fn twenty_remarks_are_all() {
    let mut world = world(&["o/a"], &["o/a"]);
    world.push("o/a#1", &[]);
    world.pull("o/a#1", |forge| {
        let finding =
            |n| Finding { as_written: String::new(), line: 1, text: format!("finding {n}") };
        forge.references.findings.extend((0..20).map(finding));
    });
    world.run(0);
    world.run(90);
    let remarks = remarks(&mut world, "o/a#1");
    assert_eq!(remarks.len(), 20);
    assert!(remarks.iter().all(|text| text.starts_with("finding ")), "{remarks:?}");
}

#[test]
fn a_remark_stays_while_it_cannot_be_told_whether_it_holds() {
    let mut world = world(&["o/a", "o/b"], &["o/a"]);
    world.push("o/a#1", &["o/b#99"]);
    world.run(0);
    world.run(90);
    let finding = ["o/b#99 is not a change that this workspace watches"];
    assert_eq!(remarks(&mut world, "o/a#1"), finding);
    world.reachable("o/b", false);
    world.run(60);
    assert_eq!(world.decision("o/a#1"), "unknown");
    assert_eq!(remarks(&mut world, "o/a#1"), finding);
}
