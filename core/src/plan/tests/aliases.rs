//! Branches that are renamed, where one has to look closer than the table does.

use std::sync::Arc;

use super::saved::{carried, saved, without_names};
use super::world::{World, repository, subject, url};
use crate::model::build::Verdict;
use crate::model::identity::Name;
use crate::model::manifest::Vcs;
use crate::plan::anonymous::anonymous;
use crate::plan::explain::Explainer;
use crate::plan::{by_first_names, plan, update_inputs};

impl World {
    /// The present name of the branch that was `main` at first.
    pub(super) fn main_of(&self, path: &str) -> Name {
        let part = self.snapshot.repositories.get(&repository(path));
        let listing = part.and_then(|part| part.listing.value());
        listing
            .and_then(|listing| listing.present("main").cloned())
            .unwrap_or_else(|| "main".into())
    }

    /// The forge renames a branch, and with it the base of its changes.
    pub(super) fn rename(&mut self, path: &str, old: &str, new: &str) {
        self.listing(path, |listing| {
            let before = listing.clone();
            let head = listing.branches.remove(old).expect("a branch");
            listing.branches.insert(new.into(), head);
            if listing.default_branch.as_deref() == Some(old) {
                listing.default_branch = Some(new.into());
            }
            for change in &mut listing.changes {
                if change.base.as_deref() == Some(old) {
                    change.base = Some(new.into());
                }
            }
            *listing = listing.clone().after(&before);
        });
    }

    /// The forge has another name for a repository.
    pub(super) fn call(&mut self, path: &str, now: &str) {
        let parts = Arc::make_mut(&mut self.snapshot.repositories);
        let part = parts.get_mut(&repository(path)).expect("a repository");
        now.clone_into(&mut Arc::make_mut(part).spelling);
    }

    /// The manifest names another repository for a package.
    pub(super) fn moved(&mut self, name: &str, to: &str) {
        let package = self.packages.iter_mut().find(|package| &*package.name == name);
        package.expect("a package").vcs = super::world::git(to);
        self.export();
    }

    /// The manifest names another branch for a package.
    pub(super) fn written(&mut self, name: &str, branch: &str) {
        let package = self.packages.iter_mut().find(|package| &*package.name == name);
        let (url, branch) = (url(name), Some(branch.into()));
        package.expect("a package").vcs = Vcs::Git { url, branch, pin: None };
        self.export();
    }
}

/// A change and the mainline were built; nothing is left to do.
fn built() -> World {
    let mut world = World::new(&["o/a", "o/b"]);
    world.push("o/b#2", &[]);
    world.push("o/a#1", &["o/b#2"]);
    world.push_base("o/a");
    world.run(0);
    world.run(120);
    world.finish(Verdict::Success);
    world.run(0);
    world
}

#[test]
fn a_new_name_moves_no_fact_no_fingerprint_and_no_input() {
    let mut world = built();
    let of = |world: &mut World| {
        let made = world.plan();
        let subjects = made.workspaces[0].subjects();
        let prints: Vec<_> = subjects
            .map(|one| {
                (one.subject.clone(), one.decision.clone(), one.print.clone(), one.set.clone())
            })
            .collect();
        let settings = world.snapshot.settings.workspaces[0].clone();
        (prints, update_inputs(&world.snapshot, &settings))
    };
    let before = of(&mut world);
    world.rename("o/a", "main", "trunk");
    assert_eq!(of(&mut world), before);
    let made = world.plan();
    let workspace = &made.workspaces[0];
    assert!(
        workspace.facts.is_empty() && workspace.looks.is_empty() && workspace.mainline.is_none()
    );
    assert!(world.run(3600).is_empty());
    assert_eq!(of(&mut world), before);

    // What a build gets is the present name.
    world.push("o/a#1", &["o/b#2"]);
    world.run(0);
    world.snapshot.at = world.snapshot.at + crate::model::time::Span::seconds(30);
    let made = world.plan();
    let planned = made.workspaces[0].subject(&subject("o/a#1")).expect("a plan");
    let request = &planned.triggers[0].request;
    let bases: Vec<&str> = request.overrides.iter().map(|one| one.base.as_str()).collect();
    assert_eq!((bases, &*request.primary.branch), (vec!["main", "trunk"], "trunk"));
    assert!(request.set.iter().all(|member| &*member.base == "main"), "by the first name");
}

#[test]
fn it_is_said_where_people_look() {
    let mut world = built();
    world.rename("o/a", "main", "trunk");
    let made = world.plan();
    let snapshot = by_first_names(&world.snapshot);
    let explainer = Explainer::new(&snapshot, &world.ledger, &made.workspaces[0]);
    let explainer = explainer.expect("an explanation");
    let text = |name: &str| {
        explainer.explain(made.workspaces[0].subject(&subject(name)).expect("a plan")).text()
    };
    let mainline = text("mainline");
    let note = "branch main of github.com/o/a is called trunk now and is watched by that name";
    assert!(mainline.contains(note), "{mainline}");
    assert!(text("o/a#1").contains("trunk of github.com/o/a: package o/a"), "{}", text("o/a#1"));
    // The manifest is mended: nothing is left to say, and nothing is another fingerprint.
    world.written("o/a", "trunk");
    assert!(world.planned("mainline").notes.is_empty());
    assert!(world.run(3600).is_empty());
}

#[test]
fn a_renamed_branch_goes_through_a_file_and_keeps_its_decisions_without_names() {
    let mut world = built();
    world.rename("o/a", "main", "trunk");
    world.queue("o/a#1", "trunk", false);
    world.plan();
    let whole = carried(&saved(&world));
    let (snapshot, ledger) = whole.clone().thawed();
    let real = plan(&snapshot, &ledger);
    assert_eq!(real, world.scratch());
    let hidden = carried(&anonymous(&whole));
    let text = serde_json::to_string(&hidden).expect("json");
    assert!(!text.contains("trunk"), "{text}");
    let (snapshot, ledger) = hidden.thawed();
    assert_eq!(without_names(&plan(&snapshot, &ledger)), without_names(&real));
}
