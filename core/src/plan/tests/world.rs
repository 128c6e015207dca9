//! A small world of two forges and one workspace, with a model of the ledger. Paths of the
//! owners `o`, `p` and `eve` are on GitHub (see [`super::hosted`]), the others on plain git.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::build::{Stage, Verdict};
use crate::model::change::{CommitFacts, Fate, Files, Listing, OpenRef, Rights};
use crate::model::identity::{ChangeId, Name, Oid, RepositoryId, Subject};
use crate::model::ledger_view::{AttemptView, LedgerView, Rebuild, WorkspaceLedger};
use crate::model::manifest::{DefinitionRepository, Manifest, Package, Pin, Vcs};
use crate::model::observed::{Observed, Purpose};
use crate::model::plan::Plan;
use crate::model::question::{Answer, Question};
use crate::model::settings::{Authors, ForgeKind, WorkspaceSettings};
use crate::model::snapshot::{RepositoryPart, Snapshot, WorkspacePart};
use crate::model::time::{Span, Timestamp};
use crate::plan::incremental::Planner;
use crate::references::{References, Via, Written};

use super::settings::settings;

/// When it begins.
pub(super) const START: i64 = 1_790_000_000_000;

pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) ledger: LedgerView,
    pub(super) packages: Vec<Package>,
    pub(super) definitions: Vec<DefinitionRepository>,
    pub(super) commits: BTreeMap<Oid, CommitFacts>,
    /// (ancestor, descendant).
    pub(super) ancestry: BTreeSet<(Oid, Oid)>,
    /// What became of the pull requests that are not open.
    pub(super) fates: BTreeMap<ChangeId, Fate>,
    /// Files that heads touch; of others nothing is answered.
    pub(super) files: BTreeMap<Oid, Files>,
    /// Whether pull requests can be merged, where somebody asks; nothing while that is tried.
    pub(super) mergeable: BTreeMap<ChangeId, Option<bool>>,
    /// What people may do in every repository; about others nothing is answered.
    pub(super) rights: BTreeMap<Name, Rights>,
    /// Questions about these commits get no answer.
    pub(super) silent: BTreeSet<Oid>,
    pub(super) planner: Planner,
    /// What the workspace's tool exports with changes in it.
    pub(super) tool: super::tool::Tool,
    /// Repositories that are seen only while the plan has them watched.
    pub(super) unseen: BTreeMap<RepositoryId, Arc<RepositoryPart>>,
    next_oid: u64,
}

pub(super) fn oid(number: u64) -> Oid {
    format!("{number:040x}").parse().expect("an oid")
}

/// Whether a path is one on GitHub.
pub(super) fn hosted(path: &str) -> bool {
    ["o/", "p/", "eve/"].iter().any(|owner| path.starts_with(owner))
}

pub(super) fn repository(path: &str) -> RepositoryId {
    RepositoryId::new(if hosted(path) { "github.com" } else { "mirror" }, path)
}

/// `a#1` or `o/a#1` as a change.
pub(super) fn change(text: &str) -> ChangeId {
    let (path, number) = text.rsplit_once('#').expect("a change");
    repository(path).change(number.parse().expect("a number"))
}

pub(super) fn subject(text: &str) -> Subject {
    match text.split_once('@') {
        _ if text == "mainline" => Subject::Mainline,
        Some((path, number)) => {
            Subject::Queue(Box::new(super::queues::entry(&format!("{path}#{number}"))))
        }
        None => Subject::Change(change(text)),
    }
}

pub(super) fn url(path: &str) -> String {
    let host = if hosted(path) { "github.com" } else { "git.example.org" };
    format!("https://{host}/{path}.git")
}

pub(super) fn git(path: &str) -> Vcs {
    Vcs::Git { url: url(path), branch: Some("main".into()), pin: None }
}

pub(super) fn package(name: &str, vcs: Vcs) -> Package {
    Package {
        name: name.into(),
        vcs,
        directory: None,
        path: None,
        depends_on: Vec::new(),
        override_key: name.into(),
        repeats: None,
    }
}

impl World {
    /// A world whose first look is done: nothing was open then.
    pub(super) fn new(paths: &[&str]) -> Self {
        let mut world = Self::fresh(paths);
        assert!(world.run(0).is_empty());
        world
    }

    /// A world before its first look, with a package for each repository.
    pub(super) fn fresh(paths: &[&str]) -> Self {
        let settings = settings();
        let mut world = Self {
            snapshot: Snapshot::unread(Timestamp(START), Arc::new(settings)),
            ledger: LedgerView { ledger_id: "ledger".to_owned(), workspaces: Arc::default() },
            packages: Vec::new(),
            definitions: Vec::new(),
            commits: BTreeMap::new(),
            ancestry: BTreeSet::new(),
            fates: BTreeMap::new(),
            files: BTreeMap::new(),
            mergeable: BTreeMap::new(),
            rights: BTreeMap::new(),
            silent: BTreeSet::new(),
            planner: Planner::new(),
            tool: super::tool::Tool::default(),
            unseen: BTreeMap::new(),
            next_oid: 1_000_000,
        };
        for path in paths {
            world.packages.push(package(path, git(path)));
            world.repository(path);
        }
        world.export();
        world
    }

    /// A repository that is on the server.
    pub(super) fn repository(&mut self, path: &str) {
        let head = self.fresh_oid();
        let part = RepositoryPart {
            id: repository(path),
            spelling: path.to_owned(),
            url: url(path),
            listing: Observed::known(Listing {
                archived: false,
                public: false,
                default_branch: Some("main".into()),
                branches: BTreeMap::from([("main".into(), head)]),
                former: BTreeMap::new(),
                changes: Vec::new(),
            }),
        };
        Arc::make_mut(&mut self.snapshot.repositories).insert(repository(path), Arc::new(part));
    }

    /// Puts the packages and definitions in force.
    pub(super) fn export(&mut self) {
        let manifest = Manifest::new(self.packages.clone(), self.definitions.clone());
        self.part(|part| part.manifest = Observed::known(manifest.expect("a manifest")));
    }

    pub(super) fn part(&mut self, edit: impl FnOnce(&mut WorkspacePart)) {
        let settings = self.snapshot.settings.workspaces.first().expect("a workspace");
        let entry = Arc::make_mut(&mut self.snapshot.workspaces)
            .entry(settings.name.clone())
            .or_insert_with(|| {
                Arc::new(WorkspacePart {
                    name: settings.name.clone(),
                    manifest: Observed::not_read_yet(Timestamp(START)),
                    updated: None,
                    failure: None,
                    pending: false,
                })
            });
        edit(Arc::make_mut(entry));
    }

    pub(super) fn settings(&mut self, edit: impl FnOnce(&mut WorkspaceSettings)) {
        let settings = Arc::make_mut(&mut self.snapshot.settings);
        edit(Arc::make_mut(settings.workspaces.first_mut().expect("a workspace")));
    }

    pub(super) fn authors(&mut self, authors: Authors) {
        let settings = Arc::make_mut(&mut self.snapshot.settings);
        let forge = Arc::make_mut(settings.forges.get_mut("mirror").expect("the forge"));
        let ForgeKind::Git(git) = &mut forge.kind else { return };
        git.authors = authors;
    }

    pub(super) fn ledger(&mut self) -> &mut WorkspaceLedger {
        self.ledger.part_mut(&"w".into())
    }

    pub(super) fn fresh_oid(&mut self) -> Oid {
        self.next_oid += 1;
        oid(self.next_oid)
    }

    pub(super) fn listing(&mut self, path: &str, edit: impl FnOnce(&mut Listing)) {
        let id = repository(path);
        let seen = Arc::make_mut(&mut self.snapshot.repositories).get_mut(&id);
        let part = Arc::make_mut(seen.or(self.unseen.get_mut(&id)).expect("a repository"));
        let mut listing = (**part.listing.value().expect("a listing that is known")).clone();
        edit(&mut listing);
        part.listing = Observed::known(listing);
    }

    /// The server stops or starts to answer for a repository.
    pub(super) fn reachable(&mut self, path: &str, reachable: bool) {
        let at = self.snapshot.at;
        let part = Arc::make_mut(&mut self.snapshot.repositories)
            .get_mut(&repository(path))
            .expect("a repository");
        let part = Arc::make_mut(part);
        part.listing = if reachable {
            let last = part.listing.last_known(Purpose::Display).expect("read before").clone();
            Observed::Known(last)
        } else {
            part.listing.failed("timed out", at)
        };
    }

    /// A repository counts as never read.
    pub(super) fn forget(&mut self, path: &str) {
        let at = self.snapshot.at;
        let part = Arc::make_mut(&mut self.snapshot.repositories)
            .get_mut(&repository(path))
            .expect("a repository");
        Arc::make_mut(part).listing = Observed::not_read_yet(at);
    }

    /// Opens a change, or pushes to it, with a commit made now that depends on others.
    pub(super) fn push(&mut self, text: &str, dependencies: &[&str]) -> Oid {
        let head = self.fresh_oid();
        let at = self.snapshot.at;
        self.push_as(text, head, at, dependencies);
        head
    }

    pub(super) fn push_as(&mut self, text: &str, head: Oid, at: Timestamp, needs: &[&str]) {
        let references = needs
            .iter()
            .zip(1..)
            .map(|(name, line)| Written {
                change: change(name),
                as_written: (*name).to_owned(),
                line,
                via: Via::default(),
            })
            .collect();
        let references = References { references, ..References::default() };
        let ChangeId { repository, number } = change(text);
        let forge = hosted(&repository.path).then(|| self.pulled(text, references.clone()));
        self.commits.insert(head, CommitFacts { committed_at: at, references });
        let base = self.base_of(text);
        self.listing(&repository.path, |listing| {
            listing.changes.retain(|listed| listed.number != number);
            listing.changes.push(OpenRef {
                number,
                head,
                base,
                ref_name: format!("refs/pull/{number}/head").into(),
                merge: false,
                forge,
            });
            listing.changes.sort_by_key(|listed| listed.number);
        });
    }

    pub(super) fn edit(&mut self, text: &str, edit: impl FnOnce(&mut OpenRef)) {
        let ChangeId { repository, number } = change(text);
        self.listing(&repository.path, |listing| {
            let listed = listing.changes.iter_mut().find(|listed| listed.number == number);
            edit(listed.expect("an open change"));
        });
    }

    pub(super) fn head(&mut self, text: &str) -> Oid {
        let mut head = None;
        self.edit(text, |listed| head = Some(listed.head));
        head.expect("a head")
    }

    /// The ref of a change is deleted, or a pull request closed.
    pub(super) fn close(&mut self, text: &str) {
        let ChangeId { repository, number } = change(text);
        let head = Some(self.head(text));
        self.become_of(text, Fate::Closed { head, labels: BTreeSet::new() });
        self.listing(&repository.path, |listing| {
            listing.changes.retain(|listed| listed.number != number);
        });
    }

    /// The change's head becomes part of its base; its ref stays, but a pull request is open no more.
    pub(super) fn merge(&mut self, text: &str) {
        let head = self.head(text);
        let path = change(text).repository.path;
        if hosted(&path) {
            self.close(text);
        }
        let base = self.push_base(&path);
        self.ancestry.insert((head, base));
        let main = Some(self.main_of(&path));
        self.become_of(text, Fate::Merged { commit: Some(base), base: main });
    }

    pub(super) fn push_base(&mut self, path: &str) -> Oid {
        let (head, main) = (self.fresh_oid(), self.main_of(path));
        let mut before = None;
        self.listing(path, |listing| before = listing.branches.insert(main, head));
        let before = before.expect("a base");
        let inherited: Vec<Oid> =
            self.ancestry.iter().filter(|(_, tip)| *tip == before).map(|(old, _)| *old).collect();
        self.ancestry.extend(inherited.into_iter().chain([before]).map(|old| (old, head)));
        head
    }

    fn answer(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::Commit { oid, .. } if !self.silent.contains(oid) => {
                self.commits.get(oid).cloned().map(Answer::Commit)
            }
            Question::Contains { ancestor, descendant, .. }
                if !self.silent.contains(ancestor) && !self.silent.contains(descendant) =>
            {
                Some(Answer::Contains(self.ancestry.contains(&(*ancestor, *descendant))))
            }
            Question::Fate { repository, number } => {
                let fate = self.fates.get(&repository.change(*number)).cloned();
                Some(Answer::Fate(fate.unwrap_or(Fate::Missing)))
            }
            Question::Files { head, .. } => self.files.get(head).cloned().map(Answer::Files),
            Question::Candidate(recipe) => {
                self.tool.answer(&self.packages, &self.definitions, recipe)
            }
            Question::Mergeable { repository, number, .. } => {
                let mergeable = self.mergeable.get(&repository.change(*number)).copied();
                mergeable.map(Answer::Mergeable)
            }
            Question::Rights { login, .. } => self.rights.get(login).copied().map(Answer::Rights),
            _ => None,
        }
    }

    /// The plan after its questions were answered; each incremental one is compared with scratch.
    pub(super) fn plan(&mut self) -> Plan {
        loop {
            let (made, equal) = self.planner.check(&self.snapshot, &self.ledger);
            assert!(equal, "the incremental plan is another one than that from scratch");
            let mut more = false;
            let workspace = made.workspaces.first().expect("a workspace");
            for question in workspace.parts.iter().flat_map(|part| &*part.asked.consulted) {
                let known = |id| workspace.watched.contains_key(id) || workspace.part(id).is_some();
                assert!(question.repository().is_none_or(known), "{question:?} moves unnoticed");
            }
            // What is spent is committed before anything is asked.
            for (id, facts) in workspace.facts.iter().filter(|(_, facts)| facts.asked.is_some()) {
                self.ledger().changes.insert(id.clone(), facts.clone());
                more = true;
            }
            for question in &made.wanted {
                if let Some(answer) = self.answer(question) {
                    Arc::make_mut(&mut self.snapshot.answers)
                        .insert(question.clone(), Observed::known(answer));
                    more = true;
                }
            }
            more |= self.watch(&made);
            if !more {
                return made;
            }
        }
    }

    /// Waits, plans and commits; the subjects that were triggered, as `a#1`.
    pub(super) fn run(&mut self, seconds: u64) -> Vec<String> {
        self.snapshot.at = self.snapshot.at + Span::seconds(seconds);
        let made = self.plan();
        self.commit(&made)
    }

    /// What the ledger does with a plan; what it has already stays one in memory, as in the daemon's view.
    pub(super) fn commit(&mut self, made: &Plan) -> Vec<String> {
        let before = self.ledger.clone();
        let mut triggered = Vec::new();
        let workspace = Arc::clone(made.workspaces.first().expect("a workspace"));
        let ledger = self.ledger();
        ledger.looks.extend(workspace.looks.iter().cloned());
        ledger.changes.extend(workspace.facts.iter().cloned());
        if let Some(facts) = &workspace.mainline {
            ledger.mainline = Some(facts.clone());
        }
        ledger.said.take_over(&workspace.reports);
        for planned in workspace.subjects() {
            for gone in &planned.superseded {
                for attempt in ledger.attempts.values_mut().flatten() {
                    if attempt.request_id == gone.request_id
                        && (gone.cancel || attempt.stage == Stage::Queued)
                    {
                        attempt.stage = Stage::Dropped;
                    }
                }
            }
            for trigger in &planned.triggers {
                triggered.push(short(&planned.subject));
                let request = &trigger.request;
                let attempts = ledger.attempts.entry(planned.subject.clone()).or_default();
                assert!(attempts.iter().all(|known| known.request_id != request.request_id));
                let (ci, parts) = (trigger.ci.clone(), trigger.parts.clone());
                attempts.push(AttemptView::queued(ci, request, parts));
            }
        }
        if self.ledger == before {
            self.ledger = before;
        }
        triggered
    }

    /// Everything that is open ends with a verdict.
    pub(super) fn finish(&mut self, verdict: Verdict) {
        self.end(verdict, |_, _| true);
    }

    /// Everything of one subject that is open ends with a verdict.
    pub(super) fn finish_of(&mut self, text: &str, verdict: Verdict) {
        self.end(verdict, |other, _| *other == subject(text));
    }

    /// Everything that is open on one CI ends with a verdict.
    pub(super) fn finish_on(&mut self, ci: &str, verdict: Verdict) {
        self.end(verdict, |_, on| &**on == ci);
    }

    fn end(&mut self, verdict: Verdict, which: impl Fn(&Subject, &Name) -> bool) {
        let at = self.snapshot.at;
        for (subject, attempts) in &mut self.ledger().attempts {
            for attempt in attempts.iter_mut().filter(|attempt| which(subject, &attempt.ci)) {
                if attempt.stage.open() {
                    attempt.stage = Stage::Ended(verdict);
                    attempt.ended_at = Some(at);
                }
            }
        }
    }

    pub(super) fn rebuild(&mut self, text: &str, alone: bool) {
        let at = self.snapshot.at;
        let rebuild = Rebuild { by: "somebody".to_owned(), at, alone };
        self.ledger().rebuilds.insert(subject(text), rebuild);
    }
}

pub(super) fn short(subject: &Subject) -> String {
    let text = match subject.queue() {
        Some(queue) => queue.change().to_string().replace('#', "@"),
        None => subject.to_string(),
    };
    text.trim_start_matches("mirror/").trim_start_matches("github.com/").to_owned()
}

/// A package at a tag.
pub(super) fn pinned(name: &str) -> Package {
    let pin = Some(Pin::Tag("v1".to_owned()));
    package(name, Vcs::Git { url: url(name), branch: Some(Name::from("main")), pin })
}
