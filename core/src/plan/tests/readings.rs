//! Workspaces that read one body in their own way.

use super::saved::{saved, without_names};
use super::world::{World, change};
use crate::plan::anonymous::anonymous;
use crate::plan::plan;
use crate::references::{Forges, Grammar, Reading, References, read_for};

const BODY: &str = "Requires: o/b#1\n\nDepends-On: https://github.com/o/c/pull/1\n\n\
                    depends on\n- [ ] https://github.com/o/d/pull/1\n";

fn reading(grammar: Grammar, phrases: &[&str]) -> Reading {
    Reading { grammar, phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect() }
}

fn read(world: &World, body: &str, readings: &[Reading]) -> References {
    let forges = Forges::of(&world.snapshot.settings, &world.snapshot.locator);
    read_for(body, &change("o/a#1"), &forges, &readings.iter().cloned().collect())
}

#[test]
fn each_workspace_sees_what_its_own_reading_finds() {
    let all = [
        reading(Grammar::Default, &[]),
        reading(Grammar::Default, &["requires"]),
        reading(Grammar::Autoproj, &[]),
        reading(Grammar::Zuul, &[]),
    ];
    let rows: [(usize, &[&str]); 4] = [
        (0, &["o/c#1", "o/d#1"]),
        (1, &["o/b#1", "o/c#1", "o/d#1"]),
        (2, &["o/d#1"]),
        (3, &["o/c#1"]),
    ];
    for (index, members) in rows {
        let mut world = World::new(&["o/a", "o/b", "o/c", "o/d"]);
        for name in ["o/b#1", "o/c#1", "o/d#1"] {
            world.push(name, &[]);
            let references = read(&world, "", &all);
            world.pull(name, |forge| forge.references = references);
        }
        world.push("o/a#1", &[]);
        let references = read(&world, BODY, &all);
        world.pull("o/a#1", |forge| forge.references = references);
        world.settings(|w| w.changes.reading = all[index].clone());
        let planned = world.planned("o/a#1");
        let (set, decision) = (planned.set.clone(), planned.decision);
        let names: Vec<String> = set
            .iter()
            .map(|member| member.change.to_string().replace("github.com/", ""))
            .filter(|name| name != "o/a#1")
            .collect();
        assert_eq!(names, members, "{:?}: {decision:?}", all[index]);
        // Without names it reads the same.
        let hidden = anonymous(&saved(&world));
        assert!(!serde_json::to_string(&hidden).expect("json").contains("requires"));
        let (snapshot, ledger) = hidden.thawed();
        assert_eq!(without_names(&plan(&snapshot, &ledger)), without_names(&world.scratch()));
    }
}

#[test]
fn a_body_that_was_not_read_in_that_way_is_unknown_and_not_without_references() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/b#1", &[]);
    world.push("o/a#1", &["o/b#1"]);
    world.run(0);
    assert_eq!(world.run(90), ["o/a#1"]);
    world.settings(|w| w.changes.reading.grammar = Grammar::Zuul);
    assert_eq!(world.run(600), [""; 0]);
    assert_eq!(world.decision("o/a#1"), "unknown");
    for text in ["o/a#1", "o/b#1"] {
        let references = read(&world, BODY, &[reading(Grammar::Zuul, &[])]);
        world.pull(text, |forge| forge.references = references);
    }
    assert_ne!(world.decision("o/a#1"), "unknown");
}
