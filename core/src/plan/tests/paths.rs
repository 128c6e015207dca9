//! Packages that live in a folder of their repository, and paths that do not count.

use super::world::{World, git, package};
use crate::model::change::Files;
use crate::model::identity::Oid;
use crate::model::paths::PathPatterns;
use crate::plan::anonymous::anonymous;

/// Two packages in folders of `o/mono`, one that is the whole of `o/b`.
pub(super) fn mono() -> World {
    let mut world = World::fresh(&["o/b"]);
    for (name, path) in [("one", "libs/one"), ("two", "libs/two")] {
        let mut package = package(name, git("o/mono"));
        package.path = Some(path.to_owned());
        world.packages.push(package);
    }
    world.repository("o/mono");
    world.export();
    assert!(world.run(0).is_empty());
    world
}

fn files(names: &[&str]) -> Files {
    Files::of(names.len(), names.iter().map(|name| (*name).to_owned()))
}

fn patterns(texts: &[&str]) -> PathPatterns {
    PathPatterns::new(texts.iter().map(|text| (*text).to_owned()).collect()).expect("patterns")
}

fn touching(world: &mut World, text: &str, files: Files) -> Oid {
    let head = world.push(text, &[]);
    world.files.insert(head, files);
    head
}

/// Change, what it touches, `paths`, `ignore_paths`, decision.
type Row = (&'static str, Files, &'static [&'static str], &'static [&'static str], &'static str);

#[test]
fn a_change_counts_where_it_touches_what_is_watched() {
    let held = "held: NoWatchedPath";
    let rows: [Row; 13] = [
        ("o/mono#1", files(&["libs/one/x"]), &[], &[], "build"),
        ("o/mono#1", files(&["docs/x", "libs/two"]), &[], &[], "build"),
        ("o/mono#1", files(&["libs/three/x", "README"]), &[], &[], held),
        ("o/mono#1", files(&["libs/one-more/x"]), &[], &[], held),
        ("o/mono#1", files(&[]), &[], &[], held),
        ("o/mono#1", Files::TooMany, &[], &[], "build"),
        ("o/mono#1", files(&["cmake/x"]), &["cmake/**"], &[], "build"),
        ("o/mono#1", files(&["libs/one/doc/x.md"]), &[], &["*.md"], held),
        ("o/mono#1", files(&["libs/one/x.md", "libs/one/y"]), &[], &["*.md"], "build"),
        ("o/mono#1", files(&["cmake/x.md"]), &["cmake/**"], &["*.md"], held),
        ("o/b#1", files(&["doc/x"]), &[], &["doc/**"], held),
        ("o/b#1", files(&["doc/x", "y"]), &[], &["doc/**"], "build"),
        ("o/b#1", Files::TooMany, &[], &["doc/**"], "build"),
    ];
    for (row, (text, files, paths, ignored, decision)) in rows.into_iter().enumerate() {
        let mut world = mono();
        world.settings(|settings| {
            settings.changes.paths = patterns(paths);
            settings.changes.ignore_paths = patterns(ignored);
        });
        touching(&mut world, text, files);
        world.run(0);
        world.run(100);
        assert_eq!(world.decision(text), decision, "row {row}");
        // Without names it is decided the same.
        let saved = crate::model::saved::Saved::new(&world.snapshot, &world.ledger);
        let hidden = anonymous(&saved);
        let (snapshot, ledger) = hidden.thawed();
        let words: Vec<&str> = crate::plan::plan(&snapshot, &ledger).workspaces[0]
            .subjects()
            .map(|subject| subject.decision.word())
            .collect();
        assert!(
            words.contains(&decision.split(':').next().expect("a word")),
            "row {row}: {words:?}"
        );
    }
}

#[test]
fn files_are_asked_for_only_where_they_matter_and_unread_ones_build_nothing() {
    let mut world = mono();
    world.push("o/b#1", &[]);
    world.push("o/mono#1", &[]);
    world.run(0);
    let wanted = |world: &mut World| {
        let made = world.plan();
        let files = made
            .wanted
            .iter()
            .filter(|question| matches!(question, crate::model::question::Question::Files { .. }));
        files
            .filter_map(|question| Some(question.repository()?.path.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(wanted(&mut world), ["o/mono"]);
    assert_eq!(world.run(100), ["o/b#1"], "what could not be read triggers nothing");
    assert_eq!(world.decision("o/mono#1"), "unknown");
    let head = world.head("o/mono#1");
    world.files.insert(head, files(&["libs/one/x"]));
    assert_eq!(world.run(0), ["o/mono#1"]);
    // Once it is built nobody asks again, and a person decides otherwise.
    assert!(wanted(&mut world).is_empty());
    touching(&mut world, "o/mono#2", files(&["README"]));
    world.run(100);
    assert_eq!(world.decision("o/mono#2"), "held: NoWatchedPath");
    let reason = world.planned("o/mono#2").decision.reason().to_owned();
    assert!(reason.contains("(libs/one, libs/two)"), "{reason}");
    world.rebuild("o/mono#2", false);
    assert_eq!(world.run(0), ["o/mono#2"]);
}

#[test]
fn what_is_held_for_its_paths_covers_nothing_and_is_covered_as_a_member() {
    let mut world = mono();
    touching(&mut world, "o/mono#1", files(&["README"]));
    world.push("o/b#1", &[]);
    world.run(0);
    assert_eq!(world.run(100), ["o/b#1"]);
    let head = world.push("o/b#1", &["o/mono#1"]);
    world.run(0);
    assert_eq!(world.run(100), ["o/b#1"]);
    assert_eq!(world.decision("o/mono#1"), "covered: o/b#1");
    let overrides = world.planned("o/b#1").overrides.clone();
    assert_eq!(overrides.len(), 2);
    assert!(overrides.iter().any(|entry| entry.head == head));
    // The other way round nothing is covered.
    let mut world = mono();
    let head = world.push("o/mono#1", &["o/b#1"]);
    world.files.insert(head, files(&["README"]));
    world.push("o/b#1", &[]);
    world.run(0);
    assert_eq!(world.run(100), ["o/b#1"]);
}

#[test]
fn a_reason_names_five_watched_folders() {
    for (packages, ending) in [(5, "libs/4, libs/5)"), (6, "libs/4, libs/5, others)")] {
        let mut world = World::fresh(&[]);
        world.repository("o/mono");
        for number in 1..=packages {
            let mut package = package(&format!("p{number}"), git("o/mono"));
            package.path = Some(format!("libs/{number}"));
            world.packages.push(package);
        }
        world.export();
        world.run(0);
        let head = world.push("o/mono#1", &[]);
        world.files.insert(head, files(&["docs/page"]));
        world.run(0);
        let reason = world.planned("o/mono#1").decision.reason().to_owned();
        assert!(reason.contains(&format!("(libs/1, libs/2, libs/3, {ending};")), "{reason}");
    }
}
