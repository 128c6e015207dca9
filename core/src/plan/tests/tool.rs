//! A model of a workspace's tool: which packages a change brings, and what it fails with.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::{World, change, git, package, repository, short, url};
use crate::model::candidate::{Candidate, Recipe};
use crate::model::identity::{ChangeId, Subject};
use crate::model::manifest::{DefinitionRepository, Manifest, Package, Vcs};
use crate::model::plan::Plan;
use crate::model::question::{Answer, Question};

#[derive(Default)]
pub(super) struct Tool {
    /// Packages that are in the manifest with a change.
    brings: BTreeMap<ChangeId, Vec<Package>>,
    /// Packages that are not in it with a change, whatever else brings them.
    removes: BTreeMap<ChangeId, String>,
    /// A package that needs another one with a change.
    needs: BTreeMap<ChangeId, (String, String)>,
    /// Changes with which it fails.
    pub(super) fails: BTreeSet<ChangeId>,
    /// Addresses that it cannot read unless they are shown to it.
    private: BTreeSet<String>,
    /// It stops at the first address that it cannot read.
    pub(super) one_at_a_time: bool,
    /// It has not come to an end yet.
    pub(super) busy: bool,
    /// What it was run for, in order.
    runs: RefCell<Vec<Recipe>>,
}

impl Tool {
    pub(super) fn answer(
        &self,
        packages: &[Package],
        definitions: &[DefinitionRepository],
        recipe: &Recipe,
    ) -> Option<Answer> {
        if self.busy {
            return None;
        }
        self.runs.borrow_mut().push(recipe.clone());
        Some(Answer::Candidate(self.run(packages, definitions, recipe)))
    }

    fn run(
        &self,
        packages: &[Package],
        definitions: &[DefinitionRepository],
        recipe: &Recipe,
    ) -> Candidate {
        let members: Vec<&ChangeId> = recipe.members.iter().map(|member| &member.change).collect();
        if members.iter().any(|member| self.fails.contains(member)) && recipe.again.is_none() {
            let tail = ["first".to_owned(), "no such package: x".to_owned()].into();
            return Candidate::Failed { why: "the update exited with code 1".to_owned(), tail };
        }
        let mut all = packages.to_vec();
        for member in &members {
            all.extend(self.brings.get(*member).into_iter().flatten().cloned());
        }
        for (of, needed) in members.iter().filter_map(|member| self.needs.get(*member)) {
            let package = all.iter_mut().find(|package| *package.name == **of);
            package.expect("a package").depends_on.push(needed.as_str().into());
        }
        let removed: Vec<&String> = members.iter().filter_map(|m| self.removes.get(*m)).collect();
        all.retain(|package| !removed.iter().any(|name| ***name == *package.name));
        let shown: BTreeSet<String> = recipe.readable.iter().map(|id| url(&id.path)).collect();
        let urls = all.iter().filter_map(|package| package.vcs.git_url().map(str::to_owned));
        let missing = urls.filter(|url| self.private.contains(url) && !shown.contains(url));
        let at_once = if self.one_at_a_time { 1 } else { usize::MAX };
        let missing: BTreeSet<String> = missing.take(at_once).collect();
        if !missing.is_empty() {
            return Candidate::Needs(missing);
        }
        Candidate::Made(Manifest::new(all, definitions.to_vec()).expect("a manifest"))
    }
}

impl World {
    /// A definition repository `conf` beside packages, after the first look.
    pub(super) fn defined(paths: &[&str]) -> Self {
        let mut world = Self::fresh(paths);
        world.repository("conf");
        world.definitions.push(DefinitionRepository {
            name: "conf".into(),
            vcs: git("conf"),
            directory: None,
            override_key: "conf".into(),
            repeats: None,
        });
        world.export();
        assert!(world.run(0).is_empty());
        world
    }

    /// A repository that nobody has seen so far.
    pub(super) fn unseen(&mut self, path: &str) {
        self.repository(path);
        self.unsee(path);
    }

    /// Nobody has looked at it so far, at whatever is there already.
    pub(super) fn unsee(&mut self, path: &str) {
        let part = Arc::make_mut(&mut self.snapshot.repositories)
            .remove(&repository(path))
            .expect("a repository");
        self.unseen.insert(repository(path), part);
    }

    /// With a change the manifest has a package, of the repository of that name.
    pub(super) fn brings(&mut self, of: &str, path: &str) {
        self.tool.brings.entry(change(of)).or_default().push(package(path, git(path)));
    }

    /// With a change a package needs another one.
    pub(super) fn has_need(&mut self, of: &str, name: &str, needed: &str) {
        self.tool.needs.insert(change(of), (name.to_owned(), needed.to_owned()));
    }

    pub(super) fn removes(&mut self, of: &str, name: &str) {
        self.tool.removes.insert(change(of), name.to_owned());
    }

    pub(super) fn private(&mut self, path: &str) {
        self.tool.private.insert(url(path));
    }

    /// A change brings a package from an address that has to be shown.
    pub(super) fn private_url(&mut self, of: &str, name: &str, vcs: Vcs) {
        self.tool.private.extend(vcs.git_url().map(str::to_owned));
        self.tool.brings.entry(change(of)).or_default().push(package(name, vcs));
    }

    /// What its tool was run for since the last question, as `a#1 b#2`.
    pub(super) fn tool_ran(&mut self) -> Vec<String> {
        let runs = std::mem::take(&mut *self.tool.runs.borrow_mut());
        let name = |change: &ChangeId| short(&Subject::Change(change.clone()));
        runs.iter()
            .map(|recipe| {
                let names: Vec<String> =
                    recipe.members.iter().map(|member| name(&member.change)).collect();
                names.join(" ")
            })
            .collect()
    }

    /// Looks at what is watched, and forgets what no longer is; whether there was something new.
    pub(super) fn watch(&mut self, made: &Plan) -> bool {
        let watched = &made.workspaces.first().expect("a workspace").watched;
        let new: Vec<_> =
            self.unseen.keys().filter(|id| watched.contains_key(id)).cloned().collect();
        for id in &new {
            let part = self.unseen.remove(id).expect("a repository");
            Arc::make_mut(&mut self.snapshot.repositories).insert(id.clone(), part);
        }
        let consulted: BTreeSet<_> = made.workspaces[0].consulted().collect();
        Arc::make_mut(&mut self.snapshot.answers).retain(|question, _| {
            !matches!(question, Question::Candidate(_)) || consulted.contains(question)
        });
        let gone: Vec<_> = self
            .snapshot
            .repositories
            .keys()
            .filter(|id| !watched.contains_key(id))
            .cloned()
            .collect();
        for id in gone {
            let part: Arc<_> =
                Arc::make_mut(&mut self.snapshot.repositories).remove(&id).expect("a repository");
            self.unseen.insert(id, part);
        }
        !new.is_empty()
    }
}
