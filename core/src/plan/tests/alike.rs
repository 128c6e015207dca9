//! What several workspaces decide alike is what each decides for itself, and is decided once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::{World, subject};
use crate::model::build::{Stage, Verdict};
use crate::model::fingerprint::of_set;
use crate::model::identity::{ChangeId, Fingerprint, Name};
use crate::model::ledger_view::{Approval, AttemptView, LedgerView, Rebuild, WorkspaceLedger};
use crate::model::plan::Plan;
use crate::model::settings::{Drafts, WorkspaceSettings};
use crate::model::snapshot::{Snapshot, WorkspacePart};
use crate::model::time::{Span, Timestamp};
use crate::plan::alike::{Pass, Rules};
use crate::plan::fingerprint::members;
use crate::plan::look::View;
use crate::plan::shared::Shared;
use crate::plan::ties::Ties;
use crate::plan::{plan, workspace};

/// The world with four more workspaces: one for which the same was recorded but that its builds ended later,
/// elsewhere and some of them otherwise, one that built nothing yet, saw everything earlier and nothing that
/// is closed, the same with a package less, and one with another rule.
pub(super) fn together(world: &World) -> (Snapshot, LedgerView) {
    let (mut snapshot, mut ledger) = (world.snapshot.clone(), world.ledger.clone());
    let mut settings = (*snapshot.settings).clone();
    let own = Arc::clone(&settings.workspaces[0]);
    let part = snapshot.workspaces.get(&own.name).cloned();
    for name in ["x-same", "y-idle", "y-less", "z-other"] {
        let name = Name::from(name);
        let mut copy =
            WorkspaceSettings { name: name.clone(), id: name.clone(), ..own.as_ref().clone() };
        let mut known = ledger.workspaces.get(&own.id).map(|known| (**known).clone());
        match &*name {
            "y-idle" | "y-less" => known.iter_mut().for_each(|known| {
                known.attempts.clear();
                let open = |id: &ChangeId| {
                    let part = snapshot.repositories.get(&id.repository);
                    let listing = part.and_then(|part| part.listing.value());
                    listing.is_none_or(|listing| listing.change(id.number).is_some())
                };
                known.changes.retain(|id, _| open(id));
                for (_, facts) in known.changes.iter_mut() {
                    let seen = facts.seen_mut();
                    let times = [
                        &mut seen.first_seen,
                        &mut seen.head_moved_at,
                        &mut seen.references_moved_at,
                    ];
                    times.into_iter().for_each(|time| *time = *time - Span::hours(1));
                }
            }),
            "x-same" => known.iter_mut().for_each(|known| as_its_own(known, &own.id, &name)),
            "z-other" => {
                let hold = own.changes.drafts == Drafts::Hold;
                copy.changes.drafts = if hold { Drafts::Build } else { Drafts::Hold };
            }
            _ => {}
        }
        known.into_iter().for_each(|known| *ledger.part_mut(&name) = known);
        if let Some(part) = &part {
            let mut part = WorkspacePart { name: name.clone(), ..(**part).clone() };
            if &*name == "y-less" {
                part.manifest = part.manifest.mapped(|manifest| {
                    let mut less = manifest.clone();
                    less.packages.pop();
                    less
                });
            }
            Arc::make_mut(&mut snapshot.workspaces).insert(name, Arc::new(part));
        }
        settings.workspaces.push(Arc::new(copy));
    }
    snapshot.settings = Arc::new(settings);
    (snapshot, ledger)
}

/// Gives a workspace the ledger of another one, with fingerprints and builds of its own.
fn as_its_own(known: &mut WorkspaceLedger, other: &Name, id: &Name) {
    let attempts = || known.attempts.values().flatten();
    let prints: BTreeMap<Fingerprint, Fingerprint> = attempts()
        .flat_map(|attempt| {
            let members = members(&attempt.set);
            (0..4).map(move |epoch| [other, id].map(|id| of_set(id, epoch, &members)))
        })
        .map(|[other, own]| (other, own))
        .collect();
    for attempt in known.attempts.values_mut().flatten() {
        attempt.fingerprint = *prints.get(&attempt.fingerprint).unwrap_or(&attempt.fingerprint);
        attempt.link = Some(format!("https://ci.example.org/{}", attempt.request_id));
        attempt.ended_at = attempt.ended_at.map(|at| at + Span::seconds(1));
        let other = attempt.request_id.0.first().is_some_and(|byte| byte.is_multiple_of(4));
        attempt.stage = match attempt.stage {
            Stage::Ended(Verdict::Success) if other => Stage::Ended(Verdict::Failure),
            Stage::Ended(Verdict::Failure) if other => Stage::Ended(Verdict::Lost),
            Stage::Queued if other => Stage::Running,
            stage => stage,
        };
    }
}

/// The same, each workspace planned for itself.
pub(super) fn apart(snapshot: &Snapshot, ledger: &LedgerView) -> Vec<Plan> {
    let alone = |own: &Arc<WorkspaceSettings>| {
        let mut snapshot = snapshot.clone();
        Arc::make_mut(&mut snapshot.settings).workspaces = vec![Arc::clone(own)];
        plan(&snapshot, ledger)
    };
    snapshot.settings.workspaces.iter().map(alone).collect()
}

/// The repositories that a workspace decides for itself after the first one was planned; nothing where that
/// is all of them.
fn left(snapshot: &Snapshot, ledger: &LedgerView, name: &str) -> Option<Vec<String>> {
    let (shared, ties) = (Shared::default(), Ties::of(snapshot));
    let rules = Rules::of(&snapshot.settings);
    let pass = Pass::new(snapshot, &ties, &rules);
    let settings = snapshot.settings.workspace(name).expect("it is there");
    let first = snapshot.settings.workspaces.first().filter(|first| first.name != settings.name);
    first.map(|first| workspace::planned(snapshot, first, ledger, &shared, Some(&pass)));
    let own = ledger.workspaces.get(&settings.id).expect("it is known");
    let planned = workspace::planned(snapshot, settings, ledger, &shared, None);
    let mut view = View::new(snapshot, settings, own, &ledger.ledger_id);
    drop(pass.take(&mut view, &planned.tracked, &Arc::default()));
    let left = view.scope().cloned();
    left.map(|left| left.into_iter().map(|id| id.path.to_string()).collect())
}

#[test]
fn a_workspace_that_sees_the_same_takes_everything_over() {
    let mut world = World::new(&["a", "o/b", "o/c", "o/d"]);
    world.push("o/b#1", &["o/c#1"]);
    world.push("o/c#1", &[]);
    world.push("a#1", &[]);
    world.run(0);
    let (snapshot, ledger) = together(&world);
    assert_eq!(left(&snapshot, &ledger, "w"), None, "nobody was before it");
    assert_eq!(left(&snapshot, &ledger, "x-same"), Some(Vec::new()));
    assert_eq!(left(&snapshot, &ledger, "z-other"), None, "it has another rule");
    let both = plan(&snapshot, &ledger).workspaces;
    let each = apart(&snapshot, &ledger);
    assert_eq!(both, each.iter().map(|plan| Arc::clone(&plan.workspaces[0])).collect::<Vec<_>>());
}

#[test]
fn what_the_ledgers_know_otherwise_is_decided_apart() {
    let mut world = World::new(&["a", "o/b"]);
    world.push("a#1", &[]);
    world.run(0);
    let (snapshot, ledger) = together(&world);
    let both = plan(&snapshot, &ledger).workspaces;
    let word = |at: usize| {
        let planned = both[at].subject(&subject("a#1")).expect("a plan");
        planned.decision.word()
    };
    assert_eq!([word(0), word(1), word(2)], ["held", "held", "build"]);
    for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
        assert_eq!(*together, alone.workspaces[0]);
    }
}

/// An edit of what a workspace knows, and which repositories it decides for itself then.
type Row<'r> = (&'r str, fn(&mut WorkspaceLedger), &'r [&'r str]);

#[test]
fn what_was_built_is_decided_once_and_said_for_each() {
    let mut world = World::new(&["a", "o/b", "o/c"]);
    world.run(0);
    world.push("o/b#1", &["o/c#1"]);
    world.push("o/c#1", &[]);
    world.push("a#1", &[]);
    world.run(0);
    assert_eq!(world.run(3600), ["o/b#1", "a#1"]);
    world.finish(Verdict::Success);
    fn of<'l>(known: &'l mut WorkspaceLedger, name: &str) -> &'l mut AttemptView {
        let attempts = known.attempts.get_mut(&subject(name)).expect("it was built");
        attempts.last_mut().expect("an attempt")
    }
    fn older(known: &mut WorkspaceLedger, name: &str, edit: fn(&mut AttemptView)) {
        let mut older = of(known, name).clone();
        older.fingerprint = Fingerprint([9; 32]);
        edit(&mut older);
        known.attempts.entry(subject(name)).or_default().insert(0, older);
    }
    let rows: [Row<'_>; 19] = [
        ("the same", |_| {}, &[]),
        ("under way", |known| of(known, "a#1").stage = Stage::Running, &[]),
        ("failed", |known| of(known, "a#1").stage = Stage::Ended(Verdict::Failure), &[]),
        ("cancelled", |known| of(known, "o/b#1").stage = Stage::Ended(Verdict::Cancelled), &[]),
        ("built before", |known| older(known, "a#1", |_| {}), &[]),
        ("built alone before", |known| older(known, "o/b#1", |old| old.set = [].into()), &[]),
        ("lost", |known| of(known, "a#1").stage = Stage::Ended(Verdict::Lost), &["a"]),
        ("refused", |known| of(known, "a#1").stage = Stage::Ended(Verdict::Refused), &["a"]),
        ("dropped", |known| of(known, "a#1").stage = Stage::Dropped, &["a"]),
        (
            "failed while the mainline was red",
            |known| {
                let attempt = of(known, "a#1");
                attempt.stage = Stage::Ended(Verdict::Failure);
                attempt.mainline = Some(Verdict::Failure);
            },
            &["a"],
        ),
        ("of other commits", |known| of(known, "a#1").fingerprint = Fingerprint([8; 32]), &["a"]),
        ("by another CI", |known| of(known, "a#1").ci = "other".into(), &["a"]),
        ("to be ended", |known| older(known, "a#1", |old| old.stage = Stage::Sent), &["a"]),
        ("not at all", |known| drop(known.attempts.remove(&subject("a#1"))), &["a"]),
        (
            "and closed",
            |known| {
                let attempts = vec![of(known, "a#1").clone()];
                known.attempts.insert(subject("a#7"), attempts);
            },
            &["a"],
        ),
        (
            "and to be built again",
            |known| {
                let asked = Rebuild { by: "x".to_owned(), at: Timestamp(0), alone: false };
                known.rebuilds.insert(subject("a#1"), asked);
            },
            &["a"],
        ),
        (
            "after somebody approved it",
            |known| {
                let (subject, set) = (subject("o/b#1"), of(known, "o/b#1").set.to_vec());
                let at = Timestamp(0);
                known.approvals.push(Approval { subject, set, by: "x".to_owned(), at });
            },
            &["o/b", "o/c"],
        ),
        (
            "as another set before",
            |known| {
                older(known, "o/b#1", |_| {});
                let set = of(known, "o/b#1").set.iter().rev().cloned().collect();
                of(known, "o/b#1").set = set;
            },
            &["o/b", "o/c"],
        ),
        (
            "with what no text ties to it now",
            |known| {
                let other = of(known, "o/b#1").set.clone();
                of(known, "a#1").set = other;
            },
            &["a", "o/b", "o/c"],
        ),
    ];
    for (built, edit, left_over) in rows {
        let (snapshot, mut ledger) = together(&world);
        let known = ledger.part_mut(&"x-same".into());
        for attempt in known.attempts.values_mut().flatten() {
            attempt.stage = Stage::Ended(Verdict::Success);
        }
        edit(known);
        let all = || ["a", "o/b", "o/c"].map(str::to_owned).to_vec();
        let mut left = left(&snapshot, &ledger, "x-same").unwrap_or_else(all);
        left.sort();
        assert_eq!(left, left_over, "{built}");
        let both = plan(&snapshot, &ledger).workspaces;
        for (planned, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
            assert_eq!(*planned, alone.workspaces[0], "{built}");
        }
        if built == "the same" {
            let reason = |at: usize, of: &str| {
                let planned = both[at].subject(&subject(of)).expect("a plan");
                planned.decision.reason().to_owned()
            };
            assert_ne!(reason(0, "a#1"), reason(1, "a#1"), "each names its own build");
            assert_eq!(reason(0, "o/c#1"), reason(1, "o/c#1"));
        }
    }
}
