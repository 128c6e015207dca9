//! Snapshots as files: whole, without secrets, and without names.

use super::world::{World, pinned, subject};
use crate::model::build::Verdict;
use crate::model::ledger_view::Approval;
use crate::model::plan::Plan;
use crate::model::question::Question;
use crate::model::saved::Saved;
use crate::model::settings::{Authors, Source};
use crate::plan::anonymous::anonymous;
use crate::plan::plan;

pub(super) fn saved(world: &World) -> Saved {
    Saved::new(&world.snapshot, &world.ledger)
}

/// The same after it went through a file.
pub(super) fn carried(saved: &Saved) -> Saved {
    let text = serde_json::to_vec(saved).expect("json");
    let read = Saved::read(&text).expect("a snapshot");
    assert_eq!(&read, saved);
    read
}

/// What stays of a plan when names do not count: decisions, sets by place, triggers, facts.
pub(super) fn without_names(plan: &Plan) -> Vec<String> {
    let mut kept = vec![format!("{:?}", plan.next_at)];
    for workspace in &plan.workspaces {
        kept.push(format!(
            "{} facts, {} looks, mainline {}, {} wanted",
            workspace.facts.len(),
            workspace.looks.len(),
            workspace.mainline.is_some(),
            workspace.wanted().len()
        ));
        for subject in workspace.subjects() {
            let heads: Vec<String> =
                subject.set.iter().map(|m| format!("#{} {}", m.change.number, m.head)).collect();
            kept.push(format!(
                "{} {} {heads:?} {} overrides, trusted {}, {} triggers, {} superseded",
                subject.subject.change().map_or(0, |change| change.number),
                subject.decision.word(),
                subject.overrides.len(),
                subject.trusted,
                subject.triggers.len(),
                subject.superseded.len()
            ));
        }
    }
    kept
}

/// A world in which every kind of name occurs.
fn world() -> World {
    let mut world = World::new(&["acme/types", "acme/drivers", "acme/gui"]);
    world.packages.push(pinned("acme/pinned"));
    world.repository("acme/pinned");
    world.export();
    world.settings(|w| {
        w.name = "rover".into();
        w.env.insert("TOKEN".to_owned(), "s3cret".to_owned());
        w.changes.trusted = vec!["alice".to_owned()];
        w.source = Some(Source {
            url: "https://s3cret@git.example.org/acme/conf".to_owned(),
            branch: Some("main".into()),
        });
    });
    world
}

#[test]
fn no_secret_and_no_command_is_saved_and_the_plan_stays_the_same() {
    let mut world = World::new(&["a", "b"]);
    world.settings(|w| {
        w.env.insert("TOKEN".to_owned(), "s3cret".to_owned());
    });
    world.push("a#1", &[]);
    world.push("b#1", &["a#1", "c#7"]);
    world.run(0);
    world.run(90);
    world.plan();
    let saved = saved(&world);
    assert!(!serde_json::to_string(&saved).expect("json").contains("s3cret"));
    let (snapshot, ledger) = carried(&saved).thawed();
    let there = serde_json::to_string(&plan(&snapshot, &ledger)).expect("json");
    assert_eq!(there, serde_json::to_string(&world.scratch()).expect("json"));
    let text = serde_json::to_string(&self::saved(&self::world())).expect("json");
    assert!(text.contains("rover") && text.contains("acme/types") && !text.contains("s3cret"));
}

#[test]
fn no_name_is_left_in_an_anonymous_one_and_what_is_known_stays_known() {
    let mut world = World::new(&["acme/types", "acme/drivers", "acme/gui"]);
    world.packages.push(pinned("acme/pinned"));
    world.repository("acme/pinned");
    world.export();
    world.push("acme/types#1", &[]);
    world.push("acme/drivers#1", &["acme/types#1", "acme/elsewhere#3"]);
    world.push("acme/gui#2", &[]);
    world.run(0);
    assert_eq!(world.run(120), ["mainline", "acme/drivers#1", "acme/gui#2"]);
    world.finish(Verdict::Success);
    world.push("acme/gui#2", &["acme/types#1"]);
    world.push_base("acme/types");
    world.authors(Authors::None);
    let set = world.planned("acme/gui#2").set.clone();
    let at = world.snapshot.at;
    world.ledger().approvals.push(Approval {
        subject: subject("acme/gui#2"),
        set,
        by: "alice".to_owned(),
        at,
    });
    world.ledger().paused_by = Some("bob".to_owned());
    world.ledger.ledger_id = "0123-the-ledger".to_owned();
    world.run(0);
    world.reachable("acme/types", false);
    let whole = saved(&world);
    let hidden = carried(&anonymous(&whole));
    assert!(hidden.anonymous);
    assert_eq!(hidden, anonymous(&whole), "the same pseudonyms every time");
    let text = serde_json::to_string(&hidden).expect("json");
    for name in [
        "acme",
        "types",
        "drivers",
        "gui",
        "elsewhere",
        "example.org",
        "mirror/",
        "\"mirror\":{",
        "\"name\":\"mirror",
        "alice",
        "bob",
        "timed out",
        "\"main\"",
        "\"v1\"",
        "the-ledger",
        "\"w\"",
    ] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    for fingerprint in world.ledger().attempts.values().flatten().map(|a| a.fingerprint.to_string())
    {
        assert!(
            !text.contains(&fingerprint),
            "a fingerprint gives its names away to who guesses them"
        );
    }
    let (snapshot, ledger) = hidden.thawed();
    let other = plan(&snapshot, &ledger);
    assert_eq!(without_names(&world.scratch()), without_names(&other));
}

#[test]
fn what_a_tool_was_run_for_has_no_name_and_its_answer_holds() {
    let mut world = World::defined(&["acme-types"]);
    world.unseen("acme-new");
    world.push("acme-new#1", &[]);
    world.brings("conf#1", "acme-new");
    world.push("conf#1", &["acme-new#1"]);
    world.settings(|w| w.name = "rover".into());
    let part = std::sync::Arc::make_mut(&mut world.snapshot.workspaces).remove("w");
    let mut part = std::sync::Arc::unwrap_or_clone(part.expect("a part"));
    part.name = "rover".into();
    std::sync::Arc::make_mut(&mut world.snapshot.workspaces)
        .insert("rover".into(), std::sync::Arc::new(part));
    world.run(0);
    assert_eq!(world.run(90), ["conf#1"]);
    let real = world.scratch();
    let tried = |question: &Question| matches!(question, Question::Candidate(_));
    assert!(world.snapshot.answers.keys().any(tried));
    let hidden = carried(&anonymous(&saved(&world)));
    let text = serde_json::to_string(&hidden).expect("json");
    for name in ["acme", "rover", "mirror/", "\"conf\""] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    let (snapshot, ledger) = hidden.thawed();
    assert_eq!(without_names(&plan(&snapshot, &ledger)), without_names(&real));
}

#[test]
fn a_move_that_nobody_recorded_yet_stays_one_without_names() {
    // What the text named before, and names now.
    for (before, now) in [(&[][..], &["o/b#2"][..]), (&["o/b#2"], &["o/c#3"])] {
        let mut world = World::new(&["o/a", "o/b", "o/c"]);
        let head = world.push("o/a#1", before);
        world.push("o/b#2", &[]);
        world.push("o/c#3", &[]);
        world.run(0);
        world.run(90);
        world.finish(Verdict::Success);
        world.run(3600);
        let at = world.snapshot.at;
        world.push_as("o/a#1", head, at, now);
        world.plan();
        assert_eq!(world.decision("o/a#1"), "held: Settling");
        let (snapshot, ledger) = anonymous(&saved(&world)).thawed();
        assert_eq!(without_names(&plan(&snapshot, &ledger)), without_names(&world.scratch()));
    }
}

#[test]
fn what_no_daemon_writes_is_refused() {
    let world = World::new(&["a"]);
    let edited = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(saved(&world)).expect("json");
        edit(&mut value);
        Saved::read(value.to_string().as_bytes()).expect_err("refused").to_string()
    };
    let twice = edited(&|value| {
        let first = value["repositories"][0].clone();
        value["repositories"].as_array_mut().expect("a list").push(first);
    });
    assert!(twice.starts_with("repository mirror/a is in it twice"), "{twice}");
    let many = edited(&|value| {
        value["settings"]["workspaces"][0]["changes"]["max_dependencies"] = u64::MAX.into();
    });
    assert!(many.contains("allows more than 100000 dependencies"), "{many}");
    let shape = edited(&|value| value["workspaces"] = "\u{1b}[2J".into());
    assert!(shape.starts_with("line 1, column ") && !shape.contains('\u{1b}'), "{shape:?}");
}
