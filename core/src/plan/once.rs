//! What is worked out once in a pass, whichever workspaces need it: how a package is tracked, and what is to
//! be known of a repository as it is tracked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::model::build::PackageHead;
use crate::model::fingerprint::Leaf;
use crate::model::identity::RepositoryId;
use crate::model::manifest::Package;
use crate::model::observed::Purpose;
use crate::model::snapshot::Snapshot;

use super::fingerprint;
use super::ties::Ties;
use super::tracked::TrackedRepository;

/// Kept for one pass, of one snapshot.
pub(crate) struct Once<'p> {
    snapshot: &'p Snapshot,
    pub(crate) ties: &'p Ties,
    /// By the address of a package, which stays as long as the snapshot.
    packages: RwLock<BTreeMap<usize, Alone>>,
    /// By the address of a repository as it is tracked, which stays as long as it is kept here.
    repositories: RwLock<BTreeMap<usize, Known>>,
    /// What texts tie together, by each of that.
    tied: RwLock<BTreeMap<RepositoryId, Arc<[RepositoryId]>>>,
}

/// The repository of a package, as it is tracked where nothing else comes from it.
pub(crate) type Alone = (RepositoryId, Arc<TrackedRepository>);

/// A repository as it is tracked.
pub(crate) struct Known {
    pub(crate) tracked: Arc<TrackedRepository>,
    /// Of each use the head of its branch and what the mainline's fingerprint has of it.
    pub(crate) heads: Vec<Option<(PackageHead, Leaf)>>,
    /// All that texts tie to it, whoever tracks that, in their order; nothing where it is alone.
    pub(crate) tied: Option<Arc<[RepositoryId]>>,
    /// The numbers of its open changes in their order, where what is decided of them may be what another
    /// workspace decides: it is read, nothing is queued in it, and it defines nothing.
    pub(crate) changes: Option<Vec<u64>>,
}

/// What is known of repositories: asked for by one workspace after the other, not for each repository. None of them
/// may ask for more while it has one.
pub(crate) struct Reading<'o>(RwLockReadGuard<'o, BTreeMap<usize, Known>>);

impl Reading<'_> {
    /// Nothing of one that was not asked for.
    pub(crate) fn of(&self, tracked: &Arc<TrackedRepository>) -> Option<&Known> {
        self.0.get(&at(tracked))
    }
}

fn at(tracked: &Arc<TrackedRepository>) -> usize {
    Arc::as_ptr(tracked).addr()
}

impl<'p> Once<'p> {
    pub(crate) fn new(snapshot: &'p Snapshot, ties: &'p Ties) -> Self {
        let (packages, repositories) = (RwLock::default(), RwLock::default());
        Self { snapshot, ties, packages, repositories, tied: RwLock::default() }
    }

    /// How packages are tracked for which that is known; nothing for the others.
    pub(crate) fn alone(&self, packages: &[Arc<Package>]) -> Vec<Option<Alone>> {
        let known = self.packages.read().unwrap_or_else(PoisonError::into_inner);
        packages.iter().map(|package| known.get(&Arc::as_ptr(package).addr()).cloned()).collect()
    }

    /// Keeps how a package is tracked.
    pub(crate) fn learn(&self, packages: impl IntoIterator<Item = (&'p Arc<Package>, Alone)>) {
        let mut known = self.packages.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(packages.into_iter().map(|(of, alone)| (Arc::as_ptr(of).addr(), alone)));
    }

    /// What is to be known of these repositories, as they are tracked.
    pub(crate) fn reading<'t>(
        &self,
        repositories: impl Iterator<Item = (&'t RepositoryId, &'t Arc<TrackedRepository>)>,
    ) -> Reading<'_> {
        let read = || self.repositories.read().unwrap_or_else(PoisonError::into_inner);
        let known = read();
        let new = |(_, tracked): &(_, &Arc<TrackedRepository>)| !known.contains_key(&at(tracked));
        let new: Vec<_> = repositories.filter(new).collect();
        if new.is_empty() {
            return Reading(known);
        }
        drop(known);
        let made: Vec<_> = new.iter().map(|(id, one)| (at(one), self.made(id, one))).collect();
        let mut all = self.repositories.write().unwrap_or_else(PoisonError::into_inner);
        for (address, known) in made {
            all.entry(address).or_insert(known);
        }
        drop(all);
        Reading(read())
    }

    fn made(&self, id: &RepositoryId, tracked: &Arc<TrackedRepository>) -> Known {
        let listing = self.snapshot.repositories.get(id).map(|part| &part.listing);
        let last = listing.and_then(|listing| listing.last_known(Purpose::ManifestInForce));
        let heads = tracked.uses.iter().map(|used| {
            let head = *last?.branches.get(used.branch.as_ref()?)?;
            let (package, repository) = (used.package.clone(), id.clone());
            let head = PackageHead { package, repository, head };
            let leaf = fingerprint::head(&head);
            Some((head, leaf))
        });
        let own = tracked.uses.iter().any(|used| used.definition);
        let listing = listing.and_then(|listing| listing.value()).filter(|_| !own);
        let listing = listing.filter(|listing| listing.queued().next().is_none());
        let changes = listing.map(|listing| {
            let mut numbers: Vec<u64> = listing.changes.iter().map(|open| open.number).collect();
            numbers.sort_unstable();
            numbers
        });
        let tied = self.tied(id);
        Known { tracked: Arc::clone(tracked), heads: heads.collect(), tied, changes }
    }

    /// All that texts tie to a repository, whoever tracks that, in their order and with itself; nothing
    /// where it is alone.
    pub(crate) fn tied(&self, id: &RepositoryId) -> Option<Arc<[RepositoryId]>> {
        if !self.ties.any(id) {
            return None;
        }
        let known = self.tied.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(id) {
            return Some(Arc::clone(known));
        }
        drop(known);
        let all = &*self.snapshot.repositories;
        let mut joined = BTreeSet::from([id]);
        let mut fresh = vec![id];
        while let Some(one) = fresh.pop() {
            for other in self.ties.around(one, all) {
                if joined.insert(other) {
                    fresh.push(other);
                }
            }
        }
        let together: Arc<[RepositoryId]> = joined.into_iter().cloned().collect();
        let mut known = self.tied.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(together.iter().map(|id| (id.clone(), Arc::clone(&together))));
        Some(together)
    }
}
