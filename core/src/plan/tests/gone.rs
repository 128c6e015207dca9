//! Repositories that their forge says are not there.

use super::world::{World, repository};
use crate::model::build::Verdict;
use crate::model::observed::{Observed, Purpose};
use crate::model::time::{Span, Timestamp};

/// A change that is being built, and one elsewhere that depends on another one of that repository.
fn three() -> World {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    world.finish(Verdict::Success);
    world.push("o/b#3", &[]);
    world.run(0);
    assert_eq!(world.run(90), ["o/b#3"]);
    world
}

impl World {
    fn absent(&mut self, path: &str, since: Option<Timestamp>) {
        let at = self.snapshot.at;
        let part = std::sync::Arc::make_mut(&mut self.snapshot.repositories)
            .get_mut(&repository(path))
            .expect("a repository");
        let part = std::sync::Arc::make_mut(part);
        part.listing = match since {
            Some(since) => part.listing.absent("404", since, at),
            None => part.listing.failed("403", at),
        };
    }
}

#[test]
fn what_is_not_there_for_two_weeks_counts_as_closed() {
    let day = |n: u64| Span::days(n);
    // What the forge answers, for how long, and the decisions about a change that depends on one of that
    // repository, and about one of it that is being built.
    let rows = [
        ("404 at once", Some(day(0)), "unknown", "unknown"),
        ("404 for 13 days", Some(day(13)), "unknown", "unknown"),
        ("404 for 14 days", Some(day(14)), "blocked: DependencyClosed", "superseded"),
        ("404 for a year", Some(day(365)), "blocked: DependencyClosed", "superseded"),
        ("anything else for a year", None, "unknown", "unknown"),
    ];
    for (what, absent, above, own) in rows {
        let mut world = three();
        let since = world.snapshot.at;
        let passed = absent.unwrap_or(day(365));
        world.snapshot.at = since + passed;
        world.absent("o/b", absent.map(|_| since));
        assert_eq!(world.decision("o/a#1"), above, "{what}");
        assert_eq!(world.decision("o/b#3"), own, "{what}");
        let superseded = world.planned("o/b#3").superseded.len();
        assert_eq!(superseded, usize::from(own == "superseded"), "{what}");
        // There again, everything is as it was.
        let part = std::sync::Arc::make_mut(&mut world.snapshot.repositories)
            .get_mut(&repository("o/b"))
            .expect("a repository");
        let part = std::sync::Arc::make_mut(part);
        let last = part.listing.last_known(Purpose::Display).expect("read before").clone();
        part.listing = Observed::Known(last);
        world.run(0);
        assert_eq!(world.decision("o/a#1"), "unchanged", "{what}");
    }
}

#[test]
fn a_manifest_that_was_not_read_yet_supersedes_nothing() {
    let mut world = three();
    let at = world.snapshot.at;
    world.part(|part| part.manifest = Observed::not_read_yet(at));
    assert_eq!(world.decision("o/b#3"), "unknown");
    assert!(world.planned("o/b#3").superseded.is_empty());
}

#[test]
fn that_it_is_gone_is_seen_in_time_and_explained() {
    let mut world = three();
    let since = world.snapshot.at;
    world.absent("o/b", Some(since));
    world.run(0);
    let plan = world.plan();
    assert!(plan.next_at.is_some_and(|next| next <= since + Span::days(14)));
    world.snapshot.at = since + Span::days(13);
    assert_eq!(world.plan().next_at, Some(since + Span::days(14)));
    world.snapshot.at = since + Span::days(14);
    let said = format!("github.com has answered 404 since {since}");
    let reason = world.planned("o/b#3").decision.reason().to_owned();
    assert_eq!(reason, format!("its repository is gone: {said}"));
    let notes = world.planned("o/a#1").notes.clone();
    let note = format!("o/b#2 counts as closed: its repository is gone, {said}");
    assert!(notes.iter().any(|seen| seen.text == note), "{notes:?}");
}

#[test]
fn on_plain_git_nothing_tells_that_a_repository_is_gone() {
    let mut world = World::new(&["a", "b"]);
    world.push("b#2", &[]);
    world.push("a#1", &["b#2"]);
    world.run(0);
    world.run(90);
    let since = world.snapshot.at;
    world.snapshot.at = since + Span::days(365);
    world.absent("b", Some(since));
    assert_eq!(world.decision("a#1"), "unknown");
}
