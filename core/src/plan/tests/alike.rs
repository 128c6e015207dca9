//! What several workspaces decide alike is what each decides for itself, and is decided once.

use std::sync::Arc;

use super::world::{World, git, package, subject};
use crate::model::identity::{ChangeId, Name};
use crate::model::ledger_view::LedgerView;
use crate::model::plan::Plan;
use crate::model::settings::{Drafts, WorkspaceSettings};
use crate::model::snapshot::{Snapshot, WorkspacePart};
use crate::model::time::Span;
use crate::plan::alike::{Pass, Rules};
use crate::plan::look::View;
use crate::plan::shared::Shared;
use crate::plan::ties::Ties;
use crate::plan::{plan, workspace};

/// The world with four more workspaces: one with the same ledger, one that built nothing yet, saw everything
/// earlier and nothing that is closed, the same with a package less, and one with another rule.
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
            "z-other" => {
                let hold = own.changes.drafts == Drafts::Hold;
                copy.changes.drafts = if hold { Drafts::Build } else { Drafts::Hold };
            }
            _ => {}
        }
        ledger.workspaces.extend(known.map(|known| (name.clone(), Arc::new(known))));
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

/// The same, each workspace planned for itself.
pub(super) fn apart(snapshot: &Snapshot, ledger: &LedgerView) -> Vec<Plan> {
    let alone = |own: &Arc<WorkspaceSettings>| {
        let mut snapshot = snapshot.clone();
        Arc::make_mut(&mut snapshot.settings).workspaces = vec![Arc::clone(own)];
        plan(&snapshot, ledger)
    };
    snapshot.settings.workspaces.iter().map(alone).collect()
}

#[test]
fn a_workspace_that_sees_the_same_takes_everything_over() {
    let mut world = World::new(&["a", "o/b", "o/c", "o/d"]);
    world.push("o/b#1", &["o/c#1"]);
    world.push("o/c#1", &[]);
    world.push("a#1", &[]);
    world.run(0);
    let (snapshot, ledger) = together(&world);
    let (shared, ties) = (Shared::default(), Ties::of(&snapshot));
    let rules = Rules::of(&snapshot.settings);
    let pass = Pass::new(&snapshot, &ties, &rules);
    let rest = |name: &str| {
        let settings = snapshot.settings.workspace(name).expect("it is there");
        let own = ledger.workspaces.get(&settings.id).expect("it is known");
        let planned = workspace::planned(&snapshot, settings, &ledger, &shared, None);
        let mut view = View::new(&snapshot, settings, own, &ledger.ledger_id);
        drop(pass.take(&mut view, &planned.tracked, &Arc::default()));
        let left = view.scope().cloned();
        workspace::planned(&snapshot, settings, &ledger, &shared, Some(&pass));
        left.map(|left| left.into_iter().map(|id| id.path.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(rest("w"), None, "nobody was before it");
    assert_eq!(rest("x-same"), Some(Vec::new()));
    assert_eq!(rest("z-other"), None, "it has another rule");
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

#[test]
fn what_is_tied_to_a_package_that_one_lacks_is_decided_apart() {
    type Happens = fn(&mut World);
    let rows: [(&str, Happens); 6] = [
        ("a branch has another name", |world| world.rename("o/b", "main", "trunk")),
        ("named by another", |world| {
            world.push("o/b#1", &["o/d#1"]);
        }),
        ("names another", |world| {
            world.push("o/d#1", &["o/b#1"]);
        }),
        ("without its owner", |world| world.short("o/b#1", "d", 1)),
        ("by one that is lacked, without its owner", |world| world.short("o/d#1", "b", 1)),
        ("by a third", |world| {
            world.push("o/b#1", &["o/c#1"]);
            world.push("o/c#1", &["o/d#1"]);
        }),
    ];
    for (what, happens) in rows {
        let mut world = World::new(&["a", "o/b", "o/c", "o/d"]);
        for text in ["a#1", "o/b#1", "o/c#1", "o/d#1"] {
            world.push(text, &[]);
        }
        happens(&mut world);
        world.run(0);
        let (snapshot, ledger) = together(&world);
        let both = plan(&snapshot, &ledger).workspaces;
        for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
            assert_eq!(*together, alone.workspaces[0], "{what}");
        }
    }
}

#[test]
fn a_package_that_is_alone_in_one_workspace_has_company_in_the_next() {
    let mut world = World::fresh(&["o/b"]);
    world.packages.push(package("aa", git("o/b")));
    world.export();
    world.run(0);
    world.push("o/b#1", &[]);
    world.run(0);
    let (mut snapshot, ledger) = together(&world);
    let first = Arc::make_mut(&mut snapshot.workspaces).get_mut("w").expect("the first");
    let first = Arc::make_mut(first);
    first.manifest = first.manifest.mapped(|manifest| {
        let mut less = manifest.clone();
        less.packages.remove(0);
        less
    });
    let both = plan(&snapshot, &ledger).workspaces;
    let packages = |at: usize| both[at].subject(&subject("o/b#1")).map(|one| one.packages.len());
    assert_eq!([packages(0), packages(1)], [Some(1), Some(2)]);
    for (together, alone) in both.iter().zip(apart(&snapshot, &ledger)) {
        assert_eq!(*together, alone.workspaces[0]);
    }
}
