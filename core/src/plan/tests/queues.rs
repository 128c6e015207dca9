//! Merge queues, where one has to look closer than the table does.

use super::saved::{carried, saved, without_names};
use super::world::{World, change, git, oid, repository, subject};
use crate::model::build::Verdict;
use crate::model::identity::{ChangeId, Name, Oid, Subject};
use crate::model::ledger_view::Approval;
use crate::model::manifest::DefinitionRepository;
use crate::model::question::Question;
use crate::model::queue::QueueId;
use crate::model::report::StatusState;
use crate::plan::anonymous::anonymous;
use crate::plan::explain::Explainer;
use crate::plan::plan;

/// The entry that ends with a change, for the base `main`. What it was put on is in its name alone.
pub(super) fn entry(text: &str) -> QueueId {
    let ChangeId { repository, number } = change(text);
    QueueId { repository, base: "main".into(), number, on: oid(900_000 + number) }
}

impl World {
    /// Queues a change behind everything that is queued, or apart from it; or moves its branch.
    pub(super) fn queue(&mut self, text: &str, base: &str, apart: bool) -> Oid {
        let id = QueueId { base: base.into(), ..entry(text) };
        let head = self.fresh_oid();
        let branch = Name::from(id.branch());
        let mut before = Vec::new();
        self.listing(&id.repository.path, |listing| {
            let others = listing.branches.iter().filter(|(name, _)| **name != branch);
            let queued = |name: &Name| QueueId::of(&id.repository, name).is_some();
            before = others.filter(|(name, _)| queued(name)).map(|(_, head)| *head).collect();
            listing.branches.insert(branch.clone(), head);
        });
        if !apart {
            self.ancestry.extend(before.into_iter().map(|before| (before, head)));
        }
        head
    }

    /// The branch of an entry goes.
    pub(super) fn unqueue(&mut self, text: &str) {
        let branch = entry(text).branch();
        self.listing(&change(text).repository.path, |listing| {
            listing.branches.remove(branch.as_str());
        });
    }
}

/// Whatever GitHub would do: each entry is named after the head of the one before it.
fn chain(world: &mut World, numbers: &[u64]) -> Vec<(QueueId, Oid)> {
    let mut on = None;
    let mut made = Vec::new();
    for number in numbers {
        let head = world.fresh_oid();
        let id = repository("o/a");
        world.listing("o/a", |listing| {
            let on = on.unwrap_or(listing.branches["main"]);
            let entry = QueueId { repository: id, base: "main".into(), number: *number, on };
            listing.branches.insert(entry.branch().into(), head);
            made.push((entry, head));
        });
        on = Some(head);
    }
    made
}

fn numbers(world: &mut World, id: &QueueId) -> Vec<u64> {
    let made = world.plan();
    let planned = made.workspaces[0].subject(&Subject::Queue(Box::new(id.clone())));
    planned.expect("a plan").set.iter().map(|member| member.change.number).collect()
}

#[test]
fn what_an_entry_stands_on_is_read_from_its_name() {
    let mut world = World::new(&["o/a"]);
    for number in 1..=5 {
        world.push(&format!("o/a#{number}"), &[]);
    }
    world.run(0);
    world.run(90);
    let made = chain(&mut world, &[1, 3, 2, 5]);
    assert_eq!(world.run(0).len(), 4);
    for (at, expected) in [vec![1], vec![1, 3], vec![1, 2, 3], vec![1, 2, 3, 5]].iter().enumerate()
    {
        assert_eq!(&numbers(&mut world, &made[at].0), expected);
    }
    let asked = |question: &Question| matches!(question, Question::Contains { .. });
    assert!(!world.snapshot.answers.keys().any(asked), "nothing has to be asked for that");

    // The first is merged: the base is now at its head, and what is left stands on that.
    world.finish(Verdict::Success);
    world.listing("o/a", |listing| {
        listing.branches.remove(made[0].0.branch().as_str());
        listing.branches.insert("main".into(), made[0].1);
        listing.changes.retain(|listed| listed.number != 1);
    });
    world.run(0);
    assert_eq!(numbers(&mut world, &made[3].0), [2, 3, 5]);
    assert!(!world.snapshot.answers.keys().any(asked));
    let made = world.plan();
    let queues = made.workspaces[0].subjects().filter(|plan| plan.subject.queue().is_some());
    let words: Vec<_> = queues.map(|plan| plan.decision.word()).collect();
    assert_eq!(words, ["unchanged"; 3], "what would be merged is what was built");
}

#[test]
fn a_build_of_an_entry_gets_the_queues_branch_and_the_mainline_does_not_move() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    world.run(90);
    let before = world.fingerprint("mainline");
    let head = world.queue("o/a#1", "main", false);
    let made = world.plan();
    let planned = made.workspaces[0].subject(&subject("o/a@1")).expect("a plan");
    let request = &planned.triggers[0].request;
    assert_eq!(
        request.subject.to_string(),
        format!(
            "github.com/{}",
            "o/a@gh-readonly-queue/main/pr-1-00000000000000000000000000000000000dbba1"
        )
    );
    let own = request.own().expect("its override");
    assert_eq!((own.head, &*own.ref_name), (head, &*entry("o/a#1").ref_name()));
    assert_eq!(own.change_url.as_deref(), Some("https://github.com/o/a/pull/1"));
    assert_eq!((request.primary.revision, &*request.primary.branch), (Some(head), "main"));
    assert_eq!(request.overrides.len(), 2);
    assert_eq!(request.affected, ["o/a".into(), "o/b".into()]);
    assert!(request.trusted);
    let parts: Vec<_> =
        planned.triggers[0].parts.iter().skip(2).map(|part| part.what.clone()).collect();
    assert_eq!(parts, ["merge queue of github.com/o/a on main", "github.com/o/b#2 on main"]);
    assert_eq!(world.fingerprint("mainline"), before);
}

#[test]
fn its_status_stands_on_the_queues_head_alone() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.settings(|w| w.report_to = vec![repository("o/a")]);
    world.push("o/a#1", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.run(0);
    let own = world.head("o/a#1");
    let head = world.queue("o/a#1", "main", false);
    world.run(0);
    let said = |world: &mut World| -> Vec<_> {
        let all = world.ledger().said.statuses.iter();
        all.map(|(key, status)| (key.head, status.state, status.description.clone())).collect()
    };
    let passed = (own, StatusState::Success, "passed on ci".to_owned());
    assert_eq!(
        said(&mut world),
        [passed.clone(), (head, StatusState::Pending, "building on ci".to_owned())]
    );
    world.finish(Verdict::Failure);
    world.run(0);
    assert_eq!(
        said(&mut world),
        [passed.clone(), (head, StatusState::Failure, "failed on ci".to_owned())]
    );
    // A second one says whom it was built with, and nothing is said where nobody asked for it.
    world.push("o/a#2", &[]);
    world.push("o/b#1", &[]);
    world.run(0);
    let second = world.queue("o/a#2", "main", false);
    world.queue("o/b#1", "main", false);
    world.run(0);
    let all = said(&mut world);
    let words = all.iter().find(|(head, ..)| *head == second).map(|(.., words)| words.as_str());
    assert_eq!(words, Some("building on ci, together with #1"));
    assert!(world.ledger().said.statuses.keys().all(|key| key.repository == repository("o/a")));
}

#[test]
fn branches_of_a_queue_are_nothing_else() {
    let mut world = World::new(&["o/a"]);
    world.push("o/a#1", &[]);
    let branch = entry("o/a#1").branch();
    world.push("o/a#2", &[]);
    // Somebody bases a change on such a branch, and somebody opens one from it.
    world.edit("o/a#2", |listed| listed.base = Some(branch.as_str().into()));
    world.queue("o/a#1", "main", false);
    world.pull("o/a#1", |forge| {
        forge.source.as_mut().expect("a source").branch = branch.as_str().into();
    });
    world.run(0);
    world.run(90);
    assert!(world.plan().workspaces[0].subject(&subject("o/a#2")).is_none(), "no stack on it");
}

#[test]
fn a_queue_goes_through_a_file_and_keeps_its_decisions_without_names() {
    let mut world = World::new(&["o/a", "o/b"]);
    for name in ["o/b#2", "o/a#1", "o/a#3"] {
        world.push(name, if name == "o/a#1" { &["o/b#2"] } else { &[] });
    }
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.queue("o/a#1", "main", false);
    world.run(0);
    world.finish(Verdict::Success);
    world.queue("o/a#3", "main", false);
    world.plan();
    let whole = carried(&saved(&world));
    let (snapshot, ledger) = whole.clone().thawed();
    let real = plan(&snapshot, &ledger);
    let decided =
        |text: &str| real.workspaces[0].subject(&subject(text)).map(|one| one.decision.word());
    assert_eq!((decided("o/a@1"), decided("o/a@3")), (Some("unchanged"), Some("build")));
    let hidden = carried(&anonymous(&whole));
    let text = serde_json::to_string(&hidden).expect("json");
    assert!(!text.contains("o/a") && !text.contains("/main/"), "{text}");
    let (snapshot, ledger) = hidden.thawed();
    assert_eq!(without_names(&plan(&snapshot, &ledger)), without_names(&real));
}

#[test]
fn a_queue_without_end_is_not_compared() {
    let mut world = World::new(&["o/a"]);
    for number in 1..=101 {
        world.push(&format!("o/a#{number}"), &[]);
        world.queue(&format!("o/a#{number}"), "main", true);
    }
    assert!(world.run(0).is_empty());
    assert_eq!(world.decision("o/a@7"), "unknown");
    world.unqueue("o/a#101");
    assert_eq!(world.run(0).len(), 100);
}

/// What its tool was run for since the last question: which heads, in order.
fn ran(world: &mut World) -> Vec<Vec<(String, Oid)>> {
    let of = |made: &crate::model::plan::Plan| -> Vec<Vec<(String, Oid)>> {
        let asked = made.workspaces[0].consulted();
        asked
            .filter_map(|question| match question {
                Question::Candidate(recipe) => Some(
                    recipe
                        .members
                        .iter()
                        .map(|m| (super::world::short(&Subject::Change(m.change.clone())), m.head))
                        .collect(),
                ),
                _ => None,
            })
            .collect()
    };
    of(&world.plan())
}

#[test]
fn what_decides_the_manifest_is_tried_at_the_queues_head() {
    let mut world = World::fresh(&["o/a"]);
    world.repository("o/conf");
    world.definitions.push(DefinitionRepository {
        name: "conf".into(),
        vcs: git("o/conf"),
        directory: None,
        override_key: "conf".into(),
        repeats: None,
    });
    world.export();
    world.run(0);
    world.push("o/conf#1", &[]);
    world.push("o/conf#2", &["o/a#1"]);
    world.push("o/a#1", &[]);
    world.run(0);
    world.run(90);
    world.finish(Verdict::Success);
    world.close("o/a#1");
    world.push("o/a#1", &[]);
    let dependency = world.head("o/a#1");
    world.queue("o/conf#1", "main", false);
    let head = world.queue("o/conf#2", "main", false);
    let mut triggered = world.run(0);
    triggered.sort();
    assert_eq!(triggered, ["o/conf@1", "o/conf@2"]);
    let expected = vec![("o/a#1".to_owned(), dependency), ("o/conf#2".to_owned(), head)];
    assert!(ran(&mut world).contains(&expected), "{:?}", ran(&mut world));
    let planned = world.planned("o/conf@2");
    assert!(planned.candidate.as_ref().is_some_and(|candidate| candidate.difference.is_some()));
    let heads: Vec<Oid> = planned.overrides.iter().map(|one| one.head).collect();
    assert_eq!(heads, [dependency, head]);
    // A stranger's is not even made.
    world.push("o/conf#3", &[]);
    world.stranger("o/conf#3");
    let head = world.queue("o/conf#3", "main", true);
    assert!(world.run(0).is_empty());
    assert_eq!(world.decision("o/conf@3"), "held: Approval");
    assert!(ran(&mut world).iter().flatten().all(|(_, tried)| *tried != head));
}

#[test]
fn an_explanation_says_what_is_checked_out() {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/a#1", &[]);
    world.push("o/a#2", &["o/b#1"]);
    world.push("o/b#1", &[]);
    world.queue("o/a#1", "main", false);
    let head = world.queue("o/a#2", "main", false);
    world.run(0);
    let made = world.plan();
    let explainer = Explainer::new(&world.snapshot, &world.ledger, &made.workspaces[0]);
    let planned = made.workspaces[0].subject(&subject("o/a@2")).expect("a plan");
    let text = explainer.expect("an explanation").explain(planned).text();
    for line in [
        "github.com/o/a@gh-readonly-queue/main/pr-2-",
        "main of github.com/o/a: package o/a of the manifest of w",
        "of github.com/o/a#2: o/b#1",
        "for o/a: the branch of the merge queue, with everything that is queued up to it",
        "none: the branch of the merge queue has it",
        "refs/pull/1/merge for o/b: `ref: auto`, and the forge can merge it",
        &format!("merge queue of github.com/o/a on main = {head}"),
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("main of github.com/o/b"), "{text}");
}

#[test]
fn an_entry_that_is_trusted_no_more_is_not_tried_again() {
    let mut world = World::new(&["o/a"]);
    world.settings(|w| w.changes.trusted = vec!["eve".to_owned()]);
    world.push("o/a#1", &[]);
    world.stranger("o/a#1");
    world.run(0);
    world.run(90);
    world.queue("o/a#1", "main", false);
    assert_eq!(world.run(0), ["o/a@1"]);
    world.finish(Verdict::Lost);
    world.settings(|w| w.changes.trusted.clear());
    assert_eq!(world.run(120), [""; 0]);
    assert_eq!(world.decision("o/a@1"), "held: Approval");
    world.settings(|w| w.changes.trusted.push("eve".to_owned()));
    assert!(world.run(0).contains(&"o/a@1".to_owned()));
}

#[test]
fn an_approval_of_its_changes_goes_with_the_build() {
    let mut world = World::new(&["o/a"]);
    for name in ["o/a#1", "o/a#2"] {
        world.push(name, &[]);
    }
    world.stranger("o/a#1");
    world.run(0);
    world.run(90);
    let (set, at) = (world.planned("o/a#1").set.clone(), world.snapshot.at);
    let (of, by) = (subject("o/a#1"), "ann".to_owned());
    world.ledger().approvals.push(Approval { subject: of.clone(), set: set.clone(), by, at });
    world.queue("o/a#1", "main", false);
    world.queue("o/a#2", "main", true);
    for (name, needs, expected) in
        [("o/a@1", true, vec![(of, set.to_vec())]), ("o/a@2", false, Vec::new())]
    {
        let planned = world.planned(name);
        let trigger = &planned.triggers[0];
        assert_eq!((planned.trusted, trigger.needs_approval), (!needs, needs), "{name}");
        assert_eq!(trigger.approved_as, expected, "{name}");
    }
}
