//! What several workspaces decide alike is decided once in a pass.
//!
//! What is decided of a change follows from its repository and those that texts tie to that, from the rules,
//! and from what the ledger knows of the changes there. A workspace that sees all of that as one before it
//! takes over what was decided for that one; its fingerprints, the requests to build, and what is said of
//! builds are its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::model::build::PackageHead;
use crate::model::fingerprint::{Leaf, Print, of_set};
use crate::model::identity::{ChangeId, Fingerprint, RepositoryId, Subject};
use crate::model::ledger_view::{ChangeFacts, WorkspaceLedger};
use crate::model::part::Part;
use crate::model::plan::{SetPlan, SubjectPlan, WorkspacePlan};
use crate::model::question::Question;
use crate::model::settings::{Settings, WorkspaceSettings};
use crate::model::snapshot::Snapshot;

use super::answered::answered;
use super::attempts;
use super::cluster::{Cluster, Seen, clusters};
use super::look::View;
use super::once::Once;
use super::repeat::Repeat;
use super::request;
use super::scope::Earlier;
use super::ties::Ties;
use super::tracked::{Tracked, TrackedRepository};
use super::workspace::{Planned, plain};

/// What was decided in a pass, of one snapshot and one view of the ledger.
pub(crate) struct Pass<'p> {
    pub(crate) once: Once<'p>,
    rules: &'p Rules,
    decided: RwLock<BTreeMap<Key, Vec<DecidedCluster>>>,
    /// By the number of the rules.
    repeats: RwLock<BTreeMap<usize, Vec<Arc<Repeat>>>>,
}

/// The number of the rules, and the address of the first repository as it is tracked.
type Key = (usize, usize);

/// Which workspaces have the same rules, by the address of their settings, which stay as long as this.
pub(crate) struct Rules(BTreeMap<usize, usize>);

/// What a cluster was decided from beside the snapshot, and what was decided.
struct DecidedCluster {
    tracked: Vec<Arc<TrackedRepository>>,
    known: Vec<Option<ChangeFacts>>,
    parts: Vec<Arc<Part>>,
    /// Changes that were built, each with its set, in their order.
    built: Vec<(ChangeId, Arc<[Leaf]>, Arc<SetPlan>)>,
    /// Facts that moved.
    facts: Vec<(ChangeId, ChangeFacts)>,
}

/// What is taken over.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) facts: Vec<(ChangeId, ChangeFacts)>,
}

impl Rules {
    /// Of all workspaces.
    pub(crate) fn of(settings: &Settings) -> Self {
        let mut kinds: Vec<&WorkspaceSettings> = Vec::new();
        let mut rules = BTreeMap::new();
        for settings in &settings.workspaces {
            let known = kinds.iter().position(|kind| same_rules(kind, settings));
            if known.is_none() {
                kinds.push(settings);
            }
            rules.insert(at(settings), known.unwrap_or(kinds.len() - 1));
        }
        Self(rules)
    }

    fn of_one(&self, settings: &WorkspaceSettings) -> Option<usize> {
        self.0.get(&at(settings)).copied()
    }
}

fn at(settings: &WorkspaceSettings) -> usize {
    std::ptr::from_ref(settings).addr()
}

impl<'p> Pass<'p> {
    pub(crate) fn new(snapshot: &'p Snapshot, ties: &'p Ties, rules: &'p Rules) -> Self {
        let (decided, repeats) = (RwLock::default(), RwLock::default());
        Self { once: Once::new(snapshot, ties), rules, decided, repeats }
    }

    /// Takes over what was decided already and limits the view to the rest, of which those are returned
    /// that another workspace may take over.
    pub(crate) fn take<'a>(
        &self,
        view: &mut View<'a>,
        tracked: &'a Tracked,
        heads: &Arc<[PackageHead]>,
    ) -> (Taken, Vec<Cluster<'a>>) {
        let mut taken = Taken::default();
        let mut missed = Vec::new();
        let mut done: Vec<&RepositoryId> = Vec::new();
        if let Some(rules) = self.rules.of_one(view.settings) {
            let clusters = clusters(&self.once, view, tracked);
            let decided = self.decided.read().unwrap_or_else(PoisonError::into_inner);
            for cluster in clusters {
                let known = key(rules, &cluster).and_then(|key| decided.get(&key));
                let found = known.and_then(|all| all.iter().find(|known| known.fits(&cluster)));
                match found
                    .and_then(|known| Some((known, known.answered(view.settings, &cluster)?)))
                {
                    Some((known, built)) => {
                        known.take(view, (tracked, heads), &built, &mut taken);
                        done.extend(cluster.0.iter().map(|seen| seen.id));
                    }
                    None => missed.push(cluster),
                }
            }
        }
        if !done.is_empty() {
            done.sort();
            let rest = |id: &&RepositoryId| done.binary_search(id).is_err();
            // What was built of repositories that are tracked no more is decided on as well.
            let built = view.ledger.attempts.keys().filter_map(Subject::repository);
            let all = tracked.repositories.keys().chain(built);
            let rest = match view.scope() {
                Some(scope) => scope.iter().filter(rest).cloned().collect(),
                None => all.filter(rest).cloned().collect(),
            };
            view.limit(rest);
        }
        (taken, missed)
    }

    /// Keeps what was decided of clusters, where nothing of it is the workspace's own; whether that is all of
    /// them.
    pub(crate) fn keep(
        &self,
        settings: &WorkspaceSettings,
        clusters: Vec<Cluster<'_>>,
        plan: &WorkspacePlan,
    ) -> bool {
        let Some(rules) = self.rules.of_one(settings) else { return false };
        let decided = clusters
            .iter()
            .filter_map(|cluster| Some((key(rules, cluster)?, decided(settings, cluster, plan)?)));
        let decided: Vec<_> = decided.collect();
        let kept = decided.len() == clusters.len();
        let mut all = self.decided.write().unwrap_or_else(PoisonError::into_inner);
        for (key, decided) in decided {
            all.entry(key).or_default().push(decided);
        }
        kept
    }

    /// What came of the move in a workspace that is the same where it matters.
    pub(crate) fn repeat(
        &self,
        settings: &WorkspaceSettings,
        ledger: &WorkspaceLedger,
        earlier: &Earlier<'_>,
    ) -> Option<Arc<Repeat>> {
        let rules = self.rules.of_one(settings)?;
        let repeats = self.repeats.read().unwrap_or_else(PoisonError::into_inner);
        repeats.get(&rules)?.iter().find(|repeat| repeat.fits(earlier, ledger)).cloned()
    }

    /// Keeps what came of a move.
    pub(crate) fn learn(
        &self,
        view: &View<'_>,
        earlier: &Earlier<'_>,
        scope: &BTreeSet<RepositoryId>,
        planned: &Planned,
    ) {
        let Some(rules) = self.rules.of_one(view.settings) else { return };
        let seen = (view.snapshot, view.ledger);
        let Some(repeat) = Repeat::of(earlier, seen, scope, planned) else { return };
        let mut all = self.repeats.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(rules).or_default().push(Arc::new(repeat));
    }
}

/// The same with requests of the workspace's own.
pub(crate) fn triggered(
    view: &View<'_>,
    (tracked, heads): (&Tracked, &Arc<[PackageHead]>),
    plan: &SubjectPlan,
) -> SubjectPlan {
    let trigger = |other| request::alike(view, tracked, heads, (plan, other));
    SubjectPlan { triggers: plan.triggers.iter().map(trigger).collect(), ..plan.clone() }
}

fn key(rules: usize, cluster: &Cluster<'_>) -> Option<Key> {
    Some((rules, Arc::as_ptr(cluster.0.first()?.tracked).addr()))
}

/// Nothing where something was decided from what is the workspace's own.
fn decided(
    settings: &WorkspaceSettings,
    cluster: &Cluster<'_>,
    plan: &WorkspacePlan,
) -> Option<DecidedCluster> {
    let known = cluster.0.iter().flat_map(|seen| &seen.known);
    let mut decided = DecidedCluster {
        tracked: cluster.0.iter().map(|seen| Arc::clone(seen.tracked)).collect(),
        known: known.map(|(_, facts)| facts.cloned()).collect(),
        parts: Vec::new(),
        built: Vec::new(),
        facts: Vec::new(),
    };
    let mut built = cluster.built().peekable();
    for Seen { id, .. } in &cluster.0 {
        if let Some(part) = plan.part(id) {
            let own = |question: &Question| {
                matches!(question, Question::Fate { .. } | Question::Candidate(_))
            };
            if part.asked.own || part.asked.consulted.iter().any(own) {
                return None;
            }
            for subject in &part.subjects {
                let (id, members) = alike(subject)?;
                if built.next_if(|(change, _)| *change == id).is_some() {
                    let of = Arc::clone(&subject.of);
                    decided.built.push((id.clone(), Arc::clone(members), of));
                }
            }
            decided.parts.push(Arc::clone(part));
        }
        let begin = plan.facts.partition_point(|(change, _)| change.repository < **id);
        let facts = plan.facts.iter().skip(begin);
        let own = facts.take_while(|(change, _)| change.repository == **id);
        decided.facts.extend(own.cloned());
    }
    // What is open no more is decided by how it was built.
    decided.answered(settings, cluster).is_some().then_some(decided)
}

impl DecidedCluster {
    /// The fingerprints of what was built, where its builds say the same.
    fn answered(
        &self,
        settings: &WorkspaceSettings,
        cluster: &Cluster<'_>,
    ) -> Option<Vec<Fingerprint>> {
        let mut built = cluster.built();
        let mut prints = Vec::with_capacity(self.built.len());
        for (id, members, of) in &self.built {
            let (_, attempts) = built.next().filter(|(change, _)| *change == id)?;
            let print = of_set(&settings.id, settings.epoch, members);
            prints.extend(answered(settings, attempts, print, &of.set).then_some(print));
        }
        (built.next().is_none() && prints.len() == self.built.len()).then_some(prints)
    }

    /// Takes over what was decided, with the fingerprints of what was built.
    fn take(
        &self,
        view: &View<'_>,
        (tracked, heads): (&Tracked, &Arc<[PackageHead]>),
        built: &[Fingerprint],
        taken: &mut Taken,
    ) {
        let mut built = self.built.iter().map(|(id, ..)| id).zip(built).peekable();
        let mut own = |plan: &SubjectPlan| {
            let built = built.next_if(|(id, _)| plan.subject.change() == Some(*id));
            let decision = match built.filter(|_| plan.decision.stands()) {
                Some((_, print)) => {
                    let none = || Vec::new();
                    Arc::new(attempts::standing(view, &plan.subject, *print, &none, None).decision)
                }
                None => Arc::clone(&plan.decision),
            };
            SubjectPlan { decision, ..triggered(view, (tracked, heads), plan) }
        };
        let is_own = |part: &Part| {
            let of = |(id, ..): &(ChangeId, _, _)| Some(&id.repository) == part.repository.as_ref();
            part.acts() || self.built.iter().any(of)
        };
        taken.parts.extend(self.parts.iter().map(|part| match is_own(part) {
            false => Arc::clone(part),
            true => Arc::new(part.with(part.subjects.iter().map(&mut own).collect())),
        }));
        taken.facts.extend(self.facts.iter().cloned());
    }

    /// Whether it is of this cluster, and of the same facts.
    fn fits(&self, cluster: &Cluster<'_>) -> bool {
        let known = cluster.0.iter().flat_map(|seen| &seen.known);
        self.tracked.len() == cluster.0.len()
            && self.tracked.iter().zip(&cluster.0).all(|(one, seen)| Arc::ptr_eq(one, seen.tracked))
            && known.map(|(_, facts)| *facts).eq(self.known.iter().map(Option::as_ref))
    }
}

/// The change and the leaves of its set, where what was decided follows from that.
fn alike(subject: &SubjectPlan) -> Option<(&ChangeId, &Arc<[Leaf]>)> {
    match &subject.print {
        Some(Print::Set(members)) if plain(subject) => Some((subject.subject.change()?, members)),
        _ => None,
    }
}

/// Whether changes are decided by the same rules in two workspaces.
fn same_rules(one: &WorkspaceSettings, other: &WorkspaceSettings) -> bool {
    let WorkspaceSettings {
        update_on,
        defining,
        ci,
        build_changes,
        changes,
        epoch,
        candidates,
        paused,
        // These say how a workspace is made, what is built of its mainline, and what is said of it.
        name: _,
        id: _,
        tool: _,
        source: _,
        bootstrap: _,
        update: _,
        manifest: _,
        spellings: _,
        build_mainline: _,
        mainline: _,
        max_in_flight: _,
        report_to: _,
        env: _,
        mirror: _,
        rebootstrap_after: _,
        max_shrink: _,
    } = one;
    *update_on == other.update_on
        && *defining == other.defining
        && *ci == other.ci
        && *build_changes == other.build_changes
        && *changes == other.changes
        && *epoch == other.epoch
        && *candidates == other.candidates
        && *paused == other.paused
}
