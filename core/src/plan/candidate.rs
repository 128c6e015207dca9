//! Sets that touch what decides the manifest: they are judged by the manifest that they would give.
//!
//! There is no loop over the world here. A pass asks for the candidate of the set as it is known; with
//! the manifest that comes back the set may have other members, for which the next pass asks again.
//! Which rounds there were is seen by walking from the first question along the answers, each time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::candidate::{Candidate, Difference, Recipe, digest};
use crate::model::change::Files;
use crate::model::identity::{ChangeId, RepositoryId};
use crate::model::locator::Located;
use crate::model::manifest::Manifest;
use crate::model::plan::{Blocked, CandidatePlan, Decision};
use crate::model::question::Question;

use super::decide::{Deciding, undecided};
use super::look::View;
use super::openness::State;
use super::queue::Root;
use super::sets::{ChangeSet, Graph, graph};
use super::tracked::{Tracked, TrackedRepository, manifest, of_manifest};

/// Manifests that are exported for one set at most.
pub(crate) const ROUNDS: usize = 4;
/// How often its tool may ask for more repositories.
const NEEDS: usize = 4;
/// Repositories beyond the mainline's that the candidates of a workspace may have watched.
pub(crate) const BEYOND: usize = 500;
/// Lines of a failed candidate's log that its reason repeats.
const LINES: usize = 5;

/// What is known of the candidate of a set.
pub(crate) enum Standing<'a> {
    /// Its manifest, and the set as that makes it.
    Settled(Box<Settled<'a>>),
    /// Nothing can be built yet, with the set that it is about.
    Open(Box<Undecided>),
}

/// A candidate that is not made, or cannot be.
pub(crate) struct Undecided {
    pub(crate) decision: Decision,
    pub(crate) set: ChangeSet,
    pub(crate) plan: CandidatePlan,
}

/// A candidate that is made.
pub(crate) struct Settled<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) tracked: Tracked,
    pub(crate) graph: Graph<'a>,
    pub(crate) set: ChangeSet,
    pub(crate) plan: CandidatePlan,
}

/// What keeps a candidate from being made.
pub(crate) struct Gate<'g> {
    /// Why a set is not built now.
    pub(crate) not_now: &'g dyn Fn(&ChangeSet) -> Option<Decision>,
    /// Why code of a set must not run.
    pub(crate) approval: &'g dyn Fn(&ChangeSet) -> Option<Decision>,
}

/// Whether a set has a candidate.
pub(crate) enum Because {
    /// It leaves the manifest as it is.
    Nothing,
    /// It has one, for this reason.
    Of(String),
    /// That is not known.
    Unknown(String),
}

/// Why a set has a candidate: a member of a definition repository, or one that touches a file which
/// decides the manifest. Which files it touches is asked only of a set that could be built now.
pub(crate) fn because(deciding: &Deciding<'_, '_>, set: &ChangeSet, gate: &Gate<'_>) -> Because {
    if !deciding.view.settings.candidates.make {
        return Because::Nothing;
    }
    let definition = set.members.iter().find_map(|member| {
        let repository = deciding.tracked.repositories.get(&member.change.repository)?;
        let used = repository.overridden(&member.base).find(|used| used.definition)?;
        let what = match &*used.package {
            "source" => "the workspace's source".to_owned(),
            name => format!("definition repository {name}"),
        };
        Some(format!("{} touches {what}", member.change))
    });
    if let Some(why) = definition {
        return Because::Of(why);
    }
    let defining = &deciding.view.settings.defining;
    if defining.is_empty() || set.unknown.is_some() || set.unpaid.is_some() || set.blocked.is_some()
    {
        return Because::Nothing;
    }
    let mut missing = None;
    for member in &set.members {
        let Some(open) = deciding.graph.open.get(&member.change) else { continue };
        match deciding.view.seen_files(&member.change, open.listed) {
            Ok(Files::TooMany) => {
                let why = format!("{} touches more files than are listed", member.change);
                return Because::Of(why);
            }
            Ok(Files::Listed(files)) => {
                if let Some(file) = files.iter().find(|file| defining.fit(file)) {
                    let why =
                        format!("{} touches {file}, which decides the manifest", member.change);
                    return Because::Of(why);
                }
            }
            Err(why) => missing = missing.or(Some((member, open, why))),
        }
    }
    let Some((member, open, why)) = missing.filter(|_| (gate.not_now)(set).is_none()) else {
        return Because::Nothing;
    };
    match deciding.view.files(&member.change, open.listed) {
        Ok(_) => Because::Nothing,
        Err(_) => Because::Unknown(why),
    }
}

/// Walks along the candidates of one set.
struct Walk<'d, 'v, 'a> {
    deciding: &'d Deciding<'v, 'a>,
    root: Root<'d>,
    plan: CandidatePlan,
    readable: BTreeSet<RepositoryId>,
    needs: usize,
}

enum Step<'a> {
    Made(&'a Manifest),
    /// More is readable now; the same set is asked for again.
    Again,
    Not(Decision),
}

/// Works out the candidate of `root`. `gate` says why none may be made for a set now; what was made
/// before is used all the same.
pub(crate) fn candidate<'a>(
    deciding: &Deciding<'_, 'a>,
    root: Root<'_>,
    because: String,
    set: ChangeSet,
    gate: &Gate<'_>,
) -> Standing<'a> {
    let plan = CandidatePlan { because, rounds: 0, difference: None };
    let mut walk = Walk { deciding, root, plan, readable: BTreeSet::new(), needs: 0 };
    let view = deciding.view;
    // References of somebody who must not make a candidate are not even looked at.
    if let Some(closed) = (gate.approval)(&set) {
        let incomplete = set.unknown.is_some() || set.unpaid.is_some();
        let decision = if incomplete { Some(undecided(&set)) } else { (gate.not_now)(&set) };
        return walk.open(decision.unwrap_or(closed), set);
    }
    let Some(mainline) = manifest(view) else {
        return walk.open(unknown("the workspace's manifest is not known yet".to_owned()), set);
    };
    let first = match walk.without_filter() {
        Ok(first) => first,
        Err(decision) => return walk.open(decision, set),
    };
    let mut set = root.set(view, &graph(view, &first, deciding.changes));
    loop {
        let manifest = match walk.step(mainline, &set, gate) {
            Step::Made(manifest) => manifest,
            Step::Again => continue,
            Step::Not(decision) => return walk.open(decision, set),
        };
        walk.plan.rounds += 1;
        let tracked = of_manifest(view, Some(manifest), &[]).0;
        if let Err(decision) = walk.watch(tracked.repositories.iter()) {
            return walk.open(decision, set);
        }
        let graph = graph(view, &tracked, deciding.changes);
        let next = root.set(view, &graph);
        if next.unknown.is_none()
            && next.unpaid.is_none()
            && root.applied(&next) == root.applied(&set)
        {
            walk.plan.difference = Some(Difference::between(mainline, manifest));
            let plan = walk.plan;
            return Standing::Settled(Box::new(Settled {
                manifest,
                tracked,
                graph,
                set: next,
                plan,
            }));
        }
        set = next;
        if walk.plan.rounds >= ROUNDS {
            let reason = format!(
                "its candidate does not settle: after {ROUNDS} rounds its manifest still brings other \
                 changes into the set; its author removes the reference that goes round in circles"
            );
            return walk.open(Decision::Blocked { why: Blocked::CandidateUnsettled, reason }, set);
        }
    }
}

fn unknown(reason: String) -> Decision {
    Decision::Unknown { reason }
}

impl<'a> Walk<'_, '_, 'a> {
    fn open(self, decision: Decision, set: ChangeSet) -> Standing<'a> {
        Standing::Open(Box::new(Undecided { decision, set, plan: self.plan }))
    }

    fn step(&mut self, mainline: &Manifest, set: &ChangeSet, gate: &Gate<'_>) -> Step<'a> {
        if set.unknown.is_some() || set.unpaid.is_some() {
            return Step::Not(undecided(set));
        }
        if let Some((why, reason)) = &set.blocked {
            return Step::Not(Decision::Blocked { why: *why, reason: reason.clone() });
        }
        let view = self.deciding.view;
        let mut recipe = Box::new(Recipe {
            workspace: view.settings.name.clone(),
            mainline: digest(mainline),
            members: self.root.applied(set),
            readable: self.readable.clone(),
            again: None,
        });
        let mut question = Question::Candidate(recipe.clone());
        let mut answer = view.candidate(&question);
        let subject = self.root.subject();
        if let (Ok(Candidate::Failed { .. }), Some(rebuild)) =
            (&answer, view.ledger.rebuilds.get(&subject))
        {
            recipe.again = Some(rebuild.at);
            question = Question::Candidate(recipe);
            answer = view.candidate(&question);
        }
        match answer {
            Ok(Candidate::Made(manifest)) => Step::Made(manifest),
            Ok(Candidate::Needs(more)) => self.needs(more),
            Ok(Candidate::Failed { why, tail }) => Step::Not(self.failed(why, tail)),
            Err(why) => match (gate.not_now)(set) {
                Some(decision) => Step::Not(decision),
                None => {
                    view.want(question);
                    let because = &self.plan.because;
                    let reason = format!(
                        "{because}, so the manifest that it would give is being made (round {} of at \
                         most {ROUNDS}): {why}",
                        self.plan.rounds + 1
                    );
                    Step::Not(unknown(reason))
                }
            },
        }
    }

    fn failed(&self, why: &str, tail: &[String]) -> Decision {
        let mut reason = format!("its candidate failed: {why}");
        let lines: Vec<&String> = tail.iter().filter(|line| !line.trim().is_empty()).collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
            reason.push_str(&format!("; {}", line.trim()));
        }
        reason.push_str("; its author mends that with a push, `crosswatch rebuild` makes it again");
        Decision::Blocked { why: Blocked::CandidateFailed, reason }
    }

    /// What its tool wants to read is watched, and then shown to it.
    fn needs(&mut self, addresses: &BTreeSet<String>) -> Step<'a> {
        let view = self.deciding.view;
        let more: BTreeMap<RepositoryId, Arc<TrackedRepository>> =
            addresses.iter().filter_map(|url| located(view, url)).collect();
        if self.needs >= NEEDS || more.keys().all(|id| self.readable.contains(id)) {
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let why =
                format!("its tool asked for {}, which cannot be shown to it", addresses.join(", "));
            return Step::Not(self.failed(&why, &[]));
        }
        self.needs += 1;
        if let Err(decision) = self.watch(more.iter()) {
            return Step::Not(decision);
        }
        for id in more.keys() {
            let listing = view.repository(id).map(|part| &part.listing);
            if let Some(not_read) = listing.and_then(|listing| listing.unknown()) {
                let reason =
                    format!("its candidate needs {id}, which is not read: {}", not_read.why);
                return Step::Not(unknown(reason));
            }
        }
        self.readable.extend(more.into_keys());
        Step::Again
    }

    /// Has repositories watched; an error while one of them was never looked at, or is new to this turn
    /// of the plan, which then has another one.
    fn watch<'r>(
        &self,
        repositories: impl Iterator<Item = (&'r RepositoryId, &'r Arc<TrackedRepository>)>,
    ) -> Result<(), Decision> {
        let deciding = self.deciding;
        let mut missing = None;
        for (id, repository) in repositories {
            if deciding.tracked.repositories.contains_key(id) {
                continue;
            }
            let known = deciding.beyond.contains_key(id);
            if !known {
                let mut discovered = deciding.discovered.borrow_mut();
                if discovered.len() + deciding.beyond.len() >= BEYOND {
                    let why = format!("it brings more than {BEYOND} new repositories");
                    return Err(self.failed(&why, &[]));
                }
                let (spelling, url) = (repository.spelling.clone(), repository.url.clone());
                discovered.insert(id.clone(), Arc::new(TrackedRepository::bare(spelling, url)));
            }
            if !known || deciding.view.repository(id).is_none() {
                missing = missing.or(Some(id));
            }
        }
        missing.map_or(Ok(()), |id| {
            Err(unknown(format!("{id}, which its candidate brings, was not read yet")))
        })
    }

    /// The mainline's repositories, and those that references of the set lead to besides: of these
    /// any open change may become a member until a manifest says which.
    fn without_filter(&self) -> Result<Tracked, Decision> {
        let deciding = self.deciding;
        let mut all = deciding.tracked.clone();
        let mut found: BTreeMap<RepositoryId, Arc<TrackedRepository>> = BTreeMap::new();
        let mut queue: VecDeque<&ChangeId> = self.root.changes().into();
        let mut seen: BTreeSet<&ChangeId> = queue.iter().copied().collect();
        while let Some(id) = queue.pop_front() {
            let Some(State::Open(open)) = deciding.changes.states.get(id) else { continue };
            for written in &open.references.references {
                let repository = &written.change.repository;
                if !all.repositories.contains_key(repository) {
                    let Some(mut new) = by_identity(deciding.view, repository) else { continue };
                    Arc::make_mut(&mut new).open = true;
                    found.insert(repository.clone(), new.clone());
                    all.repositories.insert(repository.clone(), new);
                }
                let known = deciding.changes.states.get_key_value(&written.change);
                if let Some((next, _)) = known.filter(|(next, _)| seen.insert(next)) {
                    queue.push_back(next);
                }
            }
        }
        self.watch(found.iter()).map(|()| all)
    }
}

/// A repository of which only the identity is known, as its forge would have it fetched.
fn by_identity(view: &View<'_>, id: &RepositoryId) -> Option<Arc<TrackedRepository>> {
    let forge = view.snapshot.settings.forge(&id.forge)?;
    located(view, &format!("{}/{}.git", forge.url.trim_end_matches('/'), id.path))
        .filter(|(found, _)| found == id)
        .map(|(_, repository)| repository)
}

fn located(view: &View<'_>, url: &str) -> Option<(RepositoryId, Arc<TrackedRepository>)> {
    match view.snapshot.locate(url) {
        Located::Repository { id, spelling, url, .. } => {
            Some((id, Arc::new(TrackedRepository::bare(spelling, url))))
        }
        Located::Unwatched { .. } => None,
    }
}
