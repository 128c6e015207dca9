//! What a workspace sees of repositories that are decided together: nothing ties them to others, and nothing of
//! them is its own but how their changes came in and what was built of them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::identity::{ChangeId, RepositoryId, Subject};
use crate::model::ledger_view::{Adopted, AttemptView, ChangeFacts, Look, WorkspaceLedger};
use crate::model::settings::RebuildOnBase;

use super::look::View;
use super::once::{Known, Once};
use super::tracked::{Tracked, TrackedRepository};

/// Repositories that nothing ties to others, as one workspace sees them.
pub(crate) struct Cluster<'a>(pub(crate) Vec<Seen<'a>>);

/// A repository of it.
pub(crate) struct Seen<'a> {
    pub(crate) id: &'a RepositoryId,
    pub(crate) tracked: &'a Arc<TrackedRepository>,
    /// The numbers of its open changes, each with what the ledger knows of it.
    pub(crate) known: Vec<(u64, Option<&'a ChangeFacts>)>,
    /// What was built of its changes, also of those that are open no more.
    pub(crate) built: Vec<Built<'a>>,
}

/// A change with its attempts, oldest first.
pub(crate) type Built<'a> = (&'a ChangeId, &'a [AttemptView]);

impl<'a> Cluster<'a> {
    /// What was built of it.
    pub(crate) fn built(&self) -> impl Iterator<Item = Built<'a>> {
        self.0.iter().flat_map(|seen| seen.built.iter().copied())
    }
}

/// The clusters of a workspace that may be decided as in another one.
pub(crate) fn clusters<'a>(
    once: &Once<'_>,
    view: &View<'a>,
    tracked: &'a Tracked,
) -> Vec<Cluster<'a>> {
    let ledger = view.ledger;
    let rules = &view.settings.changes;
    let together = rules.branch_matching || rules.rebuild_on_base != RebuildOnBase::None;
    if together || ledger.paused_by.is_some() {
        return Vec::new();
    }
    let all = &tracked.repositories;
    let built = built(ledger);
    let (mut own, joint) = apart(once, &built);
    let approved = ledger.approvals.iter().flat_map(|approval| &approval.set);
    let subjects = ledger.rebuilds.keys().chain(ledger.attempts.keys().filter(is_queued));
    let of_subjects = subjects.filter_map(Subject::repository);
    own.extend(approved.map(|member| &member.change.repository).chain(of_subjects));
    own.extend(&view.settings.report_to);
    let scope: Vec<_> = match view.scope() {
        Some(scope) => scope.iter().filter_map(|id| all.get_key_value(id)).collect(),
        None => all.iter().collect(),
    };
    let mut clusters = Vec::with_capacity(scope.len());
    let mut joined: BTreeSet<&RepositoryId> = BTreeSet::new();
    let facts = Sorted { all: ledger.changes.as_slice(), from: 0 };
    let mut sorted = (facts, Sorted { all: built.as_slice(), from: 0 });
    let reading = once.reading(scope.iter().copied());
    let find = |id: &RepositoryId| {
        let at = scope.binary_search_by(|(one, _)| (*one).cmp(id)).ok()?;
        scope.get(at).copied()
    };
    for (id, repository) in &scope {
        let Some(known) = reading.of(repository) else { continue };
        let Some(tied) = &known.tied else {
            let seen = seen(view, &own, &mut sorted, (id, repository), known);
            clusters.extend(seen.map(|seen| Cluster(vec![seen])));
            continue;
        };
        if joined.contains(id) {
            continue;
        }
        let whole: Option<Vec<_>> = tied.iter().map(find).collect();
        let parted = whole.is_none();
        let cluster = whole.unwrap_or_else(|| around(once, (id, repository), all));
        joined.extend(cluster.iter().map(|(id, _)| *id));
        // What was built together may be in several of the parts.
        let apart = |id: &RepositoryId| joint.contains(id) || find(id).is_none();
        if parted && cluster.iter().any(|(id, _)| apart(id)) {
            continue;
        }
        let mut sorted = sorted;
        let seen = cluster.into_iter().map(|(id, repository)| {
            let known = reading.of(repository)?;
            seen(view, &own, &mut sorted, (id, repository), known)
        });
        clusters.extend(seen.collect::<Option<Vec<_>>>().map(Cluster));
    }
    clusters
}

/// What is tied to a repository among those of a workspace, which lacks some of what is tied to it
/// elsewhere.
fn around<'a>(
    once: &Once<'_>,
    (id, repository): (&'a RepositoryId, &'a Arc<TrackedRepository>),
    all: &'a BTreeMap<RepositoryId, Arc<TrackedRepository>>,
) -> Vec<(&'a RepositoryId, &'a Arc<TrackedRepository>)> {
    let mut cluster = BTreeMap::from([(id, repository)]);
    let mut fresh = vec![id];
    while let Some(one) = fresh.pop() {
        for other in once.ties.around(one, all) {
            if let Some((other, repository)) = all.get_key_value(other)
                && cluster.insert(other, repository).is_none()
            {
                fresh.push(other);
            }
        }
    }
    cluster.into_iter().collect()
}

fn is_queued(subject: &&Subject) -> bool {
    matches!(subject, Subject::Queue(_))
}

/// What was built of changes, in their order.
fn built(ledger: &WorkspaceLedger) -> Vec<Built<'_>> {
    let built = ledger.attempts.iter();
    built.filter_map(|(subject, attempts)| Some((subject.change()?, attempts.as_slice()))).collect()
}

/// Repositories of which something was built together although no text ties them now, and others of which
/// something was.
fn apart<'a>(
    once: &Once<'_>,
    built: &[Built<'a>],
) -> (BTreeSet<&'a RepositoryId>, BTreeSet<&'a RepositoryId>) {
    let (mut apart, mut together) = (BTreeSet::new(), BTreeSet::new());
    let members = built.iter().flat_map(|(change, attempts)| {
        let members = attempts.iter().flat_map(|attempt| attempt.set.iter());
        let others = members.map(|member| &member.change.repository);
        others.map(|other| (&change.repository, other)).filter(|(own, other)| own != other)
    });
    for (own, other) in members.collect::<BTreeSet<_>>() {
        let tied = once.tied(own).is_some_and(|tied| tied.binary_search(other).is_ok());
        if tied { &mut together } else { &mut apart }.extend([own, other]);
    }
    (apart, together)
}

/// Something by change, read in their order.
struct Sorted<'a, K, V> {
    all: &'a [(K, V)],
    from: usize,
}

impl<K, V> Clone for Sorted<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Sorted<'_, K, V> {}

impl<'a, K: Borrow<ChangeId>, V> Sorted<'a, K, V> {
    /// What is of a repository's changes; the next one asked for comes after it.
    fn of(&mut self, id: &RepositoryId) -> &'a [(K, V)] {
        let before = |(change, _): &(K, V)| change.borrow().repository < *id;
        let rest = self.all.get(self.from..).unwrap_or_default();
        // Mostly it is the next one or near.
        let mut near = 1;
        while rest.get(near).is_some_and(before) {
            near *= 2;
        }
        let near = rest.get(..near.saturating_add(1)).unwrap_or(rest);
        let begin = near.partition_point(before);
        self.from += begin;
        let own = rest.get(begin..).unwrap_or_default();
        let end = own.iter().position(|(change, _)| change.borrow().repository != *id);
        own.get(..end.unwrap_or(own.len())).unwrap_or_default()
    }
}

/// Facts, and what was built.
type Recorded<'a, 'b> =
    (Sorted<'a, ChangeId, ChangeFacts>, Sorted<'b, &'a ChangeId, &'a [AttemptView]>);

/// Nothing where something of it is the workspace's own.
fn seen<'a>(
    view: &View<'a>,
    own: &BTreeSet<&RepositoryId>,
    (facts, built): &mut Recorded<'a, '_>,
    (id, tracked): (&'a RepositoryId, &'a Arc<TrackedRepository>),
    known: &Known,
) -> Option<Seen<'a>> {
    let changes = known.changes.as_ref()?;
    if own.contains(id) {
        return None;
    }
    for branch in tracked.uses.iter().filter_map(|used| used.branch.as_ref()) {
        let look = Look { repository: id.clone(), branch: branch.clone() };
        if !view.ledger.looks.contains(&look) {
            return None;
        }
    }
    let (mut facts, built) = (facts.of(id).iter().peekable(), built.of(id).to_vec());
    let mut known = Vec::with_capacity(changes.len());
    for number in changes {
        while facts.next_if(|(change, _)| change.number < *number).is_some() {}
        let facts = facts.next_if(|(change, _)| change.number == *number).map(|(_, facts)| facts);
        // Which of these are recent is decided among all of them.
        if facts.is_some_and(|facts| facts.adopted == Adopted::Undecided) {
            return None;
        }
        known.push((*number, facts));
    }
    Some(Seen { id, tracked, known, built })
}
