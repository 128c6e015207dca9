//! Candidates of pull requests: what their authors may do, and what is said about them.

use std::sync::Arc;

use super::candidates::watches;
use super::world::{World, change, repository, url};
use crate::model::build::Verdict;
use crate::model::change::Rights;
use crate::model::question::Question;
use crate::model::settings::Source;

/// A change of `o/conf` brings package `o/new`, which exists as `o/new#1` alone, in a workspace whose source is `o/conf`.
fn new_package_by_pull_requests() -> World {
    let mut world = World::fresh(&["o/a"]);
    world.settings(|w| {
        w.report_to = vec![repository("o/conf"), repository("o/new")];
        w.source = Some(Source { url: url("o/conf"), branch: Some("main".into()) });
    });
    world.repository("o/conf");
    world.run(0);
    world.repository("o/new");
    world.push("o/new#1", &[]);
    world.unsee("o/new");
    world.brings("o/conf#1", "o/new");
    world.push("o/conf#1", &["o/new#1"]);
    world
}

#[test]
fn who_may_write_needs_no_approval_for_a_candidate() {
    for (rights, decision) in [
        (Some(Rights::Write), "build"),
        (Some(Rights::Less), "held: Approval"),
        (Some(Rights::Untold), "held: Approval"),
        (None, "held: Approval"),
    ] {
        let mut world = new_package_by_pull_requests();
        world.stranger("o/conf#1");
        if let Some(rights) = rights {
            world.rights.insert("eve".into(), rights);
        }
        world.run(0);
        let built = world.run(90);
        assert_eq!(world.decision("o/conf#1"), decision, "{rights:?}");
        assert_eq!(world.planned("o/conf#1").trusted, decision == "build", "{rights:?}");
        if rights != Some(Rights::Write) {
            assert!(built.is_empty() && world.tool_ran().is_empty(), "{rights:?}");
            assert!(!watches(&mut world, "o/new"), "{rights:?}");
            let reason = world.planned("o/conf#1").decision.reason().to_owned();
            assert!(
                reason.contains("what eve may do") || reason.contains("eve may not"),
                "{reason}"
            );
            continue;
        }
        assert_eq!(world.tool_ran(), ["o/new#1 o/conf#1"]);
        world.finish(Verdict::Success);
        world.run(0);
        // While rights cannot be read what was built stays, and what would be new is not made.
        let at = world.snapshot.at;
        for (question, answer) in Arc::make_mut(&mut world.snapshot.answers) {
            if matches!(question, Question::Rights { .. }) {
                *answer = answer.failed("status 502", at);
            }
        }
        world.rights.clear();
        assert_eq!(world.run(60), [""; 0]);
        assert_eq!(world.decision("o/conf#1"), "unchanged");
        assert_eq!(world.decision("o/new#1"), "covered: o/conf#1");
        world.push("o/new#1", &[]);
        world.run(0);
        assert_eq!(world.run(90), [""; 0]);
        assert_eq!(world.decision("o/conf#1"), "held: Approval");
        assert!(world.tool_ran().is_empty());
    }
}

#[test]
fn reports_tell_of_what_its_own_manifest_lacks_and_of_a_failed_candidate() {
    let mut world = new_package_by_pull_requests();
    world.repository("o/gone");
    world.push("o/gone#1", &[]);
    world.unsee("o/gone");
    let text = "o/gone#1 is not a change that this workspace watches";
    let remarks = |world: &mut World| {
        world.ledger().said.remarks.get(&change("o/conf#1")).cloned().unwrap_or_default()
    };
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("o/conf#1"), "build");
    assert!(remarks(&mut world).is_empty(), "its manifest has what it refers to");
    world.push("o/conf#1", &["o/new#1", "o/gone#1"]);
    world.run(0);
    world.run(90);
    assert_eq!(remarks(&mut world), [text]);
    world.tool.fails.insert(change("o/conf#1"));
    world.push("o/conf#1", &["o/new#1"]);
    world.run(0);
    world.run(90);
    assert_eq!(world.decision("o/conf#1"), "blocked: CandidateFailed");
    let said = remarks(&mut world).join("; ");
    assert!(said.starts_with("not built: with it the workspace's tool") && !said.contains("gone"));
}
