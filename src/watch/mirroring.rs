//! Shared mirrors: fetched once when a head moved, lent to the workspaces that may read them.

mod for_candidate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Name, Oid, RepositoryId};
use crosswatch_core::model::locator::Located;
use crosswatch_core::model::manifest::{Manifest, Vcs};
use crosswatch_core::model::observed::Purpose;
use crosswatch_core::model::settings::{Mirror, WorkspaceSettings};
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::model::time::{Span, Timestamp};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::TokenReader;
use super::looking::chain;
use crate::board::World;
use crate::clock::Clock;
use crate::forge::git::mirror::{Held, Need, Origin, Seen, Standing};
use crate::forge::git::{GitError, Lent, SharedMirrors};
use crate::pass::{Publications, Published};

/// Mirrors that are fetched at once, beforehand and for one update.
const AT_ONCE: usize = 4;
/// Time between two looks for mirrors that nobody uses.
const SWEEP: Span = Span::hours(6);
/// A workspace that worked without mirrors and not with them goes without for this long.
const WITHOUT: Span = Span::days(1);

/// Keeps mirrors up to date and lends them.
#[derive(Clone)]
pub struct Mirroring {
    world: World,
    publications: Publications,
    token: TokenReader,
    mirrors: SharedMirrors,
    trust: Arc<Mutex<BTreeMap<Name, Trust>>>,
    clock: Clock,
}

/// Whether a workspace's commands get on with mirrors.
#[derive(Clone, Debug)]
enum Trust {
    /// The last run that read them failed; the next goes without, which tells whose fault it was.
    Tried(Vec<std::path::PathBuf>),
    /// It works without them.
    Without { until: Timestamp },
}

impl Mirroring {
    /// With mirrors that are read with the forges' tokens.
    pub fn new(
        world: World,
        publications: Publications,
        token: TokenReader,
        mirrors: SharedMirrors,
        clock: Clock,
    ) -> Self {
        Self { world, publications, token, mirrors, trust: Arc::default(), clock }
    }

    /// Fetches what moved, and removes what nobody uses, until it is dropped.
    pub async fn run(mut self) {
        let never = CancellationToken::new();
        let mut swept: Option<Timestamp> = None;
        let mut busy: BTreeSet<RepositoryId> = BTreeSet::new();
        let mut current: BTreeMap<RepositoryId, Arc<Listing>> = BTreeMap::new();
        let mut fetches: FuturesUnordered<_> = FuturesUnordered::new();
        loop {
            let now = self.clock.now();
            if fetches.is_empty() && swept.is_none_or(|at| now.since(at) >= SWEEP) {
                swept = Some(now);
                self.mirrors.sweep(&never).await;
            }
            let published = self.publications.borrow_and_update().clone();
            let snapshot = self.world.freeze(now);
            for id in published.iter().flat_map(|published| wanted(published, &snapshot)) {
                let listing = snapshot.repositories.get(&id).and_then(|part| part.listing.value());
                let Some(listing) = listing else { continue };
                // A listing that is what it was is the same one.
                let same = current.get(&id).is_some_and(|before| Arc::ptr_eq(before, listing));
                if same || busy.len() >= AT_ONCE || busy.contains(&id) {
                    continue;
                }
                let standing = self.standing(&snapshot, &id, listing);
                if standing == Standing::Current {
                    current.insert(id, Arc::clone(listing));
                } else if standing == Standing::Behind {
                    busy.insert(id.clone());
                    let (this, never) = (self.clone(), never.clone());
                    fetches.push(async move {
                        let snapshot = this.world.freeze(this.clock.now());
                        let brought = this.bring(&snapshot, &id, Need::Seen, &[], &never).await;
                        (id, brought.map(|_| ()))
                    });
                }
            }
            tokio::select! {
                changed = self.publications.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                Some((id, brought)) = fetches.next(), if !fetches.is_empty() => {
                    busy.remove(&id);
                    if let Err(why) = brought {
                        tracing::warn!(repository = %id, why, "a mirror was not brought up to date");
                    }
                }
                () = tokio::time::sleep(Span::minutes(1).to_std()) => {}
            }
        }
    }

    /// Lends a workspace's next run the mirrors of what it reads, each at least as new as what was
    /// last seen of its repository. What cannot be brought to that is not lent: git then asks the
    /// server. The lent configuration and mirrors can be shown to a sandbox too.
    pub async fn lend(&self, workspace: &WorkspaceSettings) -> Lent {
        if workspace.mirror == Mirror::Off {
            return Lent::default();
        }
        if !self.is_trusted(&workspace.name) {
            return Lent::default().telling(self.teller(&workspace.name, None));
        }
        let snapshot = self.world.freeze(self.clock.now());
        let reads = self.reads(workspace, &snapshot);
        let lent = self.lend_repositories(&snapshot, &reads).await;
        let mirrors = lent.mirrors().to_vec();
        lent.telling(self.teller(&workspace.name, Some(mirrors)))
    }

    async fn lend_repositories(&self, snapshot: &Snapshot, reads: &BTreeSet<RepositoryId>) -> Lent {
        let mut addresses = addresses(snapshot);
        let mut held = Vec::new();
        for (id, brought) in self.bring_all(snapshot, reads, &BTreeMap::new()).await {
            match brought {
                Ok(mirror) => held.push((mirror, addresses.remove(&id).unwrap_or_default())),
                Err(why) => {
                    tracing::info!(repository = %id, why, "its mirror is not lent to an update");
                }
            }
        }
        let others = addresses.into_values().flatten().collect();
        self.mirrors.lend(held, &others).unwrap_or_else(|error| {
            tracing::warn!(why = chain(&error), "no mirrors are lent");
            Lent::default()
        })
    }

    /// Brings the mirrors of some repositories, a few at once; `more` are refs beside branches.
    async fn bring_all(
        &self,
        snapshot: &Snapshot,
        reads: &BTreeSet<RepositoryId>,
        more: &BTreeMap<RepositoryId, Vec<(String, Oid)>>,
    ) -> Vec<(RepositoryId, Result<Held, String>)> {
        let never = CancellationToken::new();
        let mut waiting = reads.iter();
        let mut brought = Vec::new();
        let mut asks: FuturesUnordered<_> = FuturesUnordered::new();
        loop {
            for id in waiting.by_ref().take(AT_ONCE.saturating_sub(asks.len())) {
                let more = more.get(id).map(Vec::as_slice).unwrap_or_default();
                let never = &never;
                asks.push(async move {
                    (id.clone(), self.bring(snapshot, id, Need::Now, more, never).await)
                });
            }
            match asks.next().await {
                Some(one) => brought.push(one),
                None => return brought,
            }
        }
    }

    /// What the workspace's git will read: what its manifest has, or, before there is one, what the
    /// manifests of the others have.
    fn reads(&self, workspace: &WorkspaceSettings, snapshot: &Snapshot) -> BTreeSet<RepositoryId> {
        let source = workspace.source.iter().map(|source| source.url.as_str());
        let mut reads: BTreeSet<RepositoryId> =
            source.filter_map(|url| locate(snapshot, url)).map(|(id, _)| id).collect();
        match manifest(snapshot, &workspace.name) {
            Some(manifest) => {
                let own = urls(manifest).filter_map(|url| locate(snapshot, url));
                reads.extend(own.map(|(id, _)| id));
            }
            None => {
                let published = self.publications.borrow().clone();
                reads.extend(published.iter().flat_map(|p| wanted(p, snapshot)));
            }
        }
        reads
    }

    fn standing(&self, snapshot: &Snapshot, id: &RepositoryId, listing: &Listing) -> Standing {
        // What needs no mirror is as it should be.
        self.origin(snapshot, id, None).map_or(Standing::Current, |(origin, read_at)| {
            self.mirrors.standing(&origin, Seen { listing, read_at })
        })
    }

    async fn bring(
        &self,
        snapshot: &Snapshot,
        id: &RepositoryId,
        need: Need,
        more: &[(String, Oid)],
        cancel: &CancellationToken,
    ) -> Result<Held, String> {
        let forge = snapshot.settings.forge(&id.forge).ok_or("its forge is not configured")?;
        let auth = self.token.token(forge, id).await?;
        let (origin, read_at) =
            self.origin(snapshot, id, auth).ok_or("it needs no mirror, or was not read yet")?;
        let listing = snapshot.repositories.get(id).and_then(|part| part.listing.value().cloned());
        let listing = listing.ok_or("its branches are not known now")?;
        let more = more.iter().cloned().collect();
        let seen = Seen { listing: &listing, read_at };
        let brought = self.mirrors.bring(&origin, seen, need, &more, cancel).await;
        brought.map_err(|error: GitError| chain(&error))
    }

    fn origin(
        &self,
        snapshot: &Snapshot,
        id: &RepositoryId,
        auth: Option<secrecy::SecretString>,
    ) -> Option<(Origin, Timestamp)> {
        let part = snapshot.repositories.get(id)?;
        let forge = snapshot.settings.forge(&id.forge)?;
        let read_at = snapshot.times.get(id)?.read_at?;
        let worth = SharedMirrors::worth(&part.url)
            && part.listing.value().is_some_and(|listing| !listing.branches.is_empty());
        worth.then(|| {
            let origin = Origin {
                id: id.clone(),
                forge_url: forge.url.clone(),
                credential: self.token.credential(forge, id),
                url: part.url.clone(),
                auth,
            };
            (origin, read_at)
        })
    }

    fn is_trusted(&self, workspace: &Name) -> bool {
        let trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        match trust.get(workspace) {
            None => true,
            Some(Trust::Tried(_)) => false,
            Some(Trust::Without { until }) => self.clock.now() >= *until,
        }
    }

    /// Learns from the end of a run: a failure with mirrors is tried without, and if that works,
    /// they stay away for a day and are looked at for damage.
    fn teller(
        &self,
        workspace: &Name,
        lent: Option<Vec<std::path::PathBuf>>,
    ) -> Arc<dyn Fn(bool) + Send + Sync> {
        let (this, workspace) = (self.clone(), workspace.clone());
        Arc::new(move |succeeded| {
            let mut trust = this.trust.lock().unwrap_or_else(PoisonError::into_inner);
            match (&lent, succeeded) {
                (Some(mirrors), false) if !mirrors.is_empty() => {
                    trust.insert(workspace.clone(), Trust::Tried(mirrors.clone()));
                }
                (Some(_), _) => drop(trust.remove(&workspace)),
                (None, true) => {
                    if let Some(Trust::Tried(mirrors)) = trust.get(&workspace) {
                        tracing::warn!(%workspace,
                            "it works without mirrors and did not with them; it goes without for a \
                             day; `mirror: off` says so for good");
                        this.mirrors.doubt(mirrors);
                        let until = this.clock.now() + WITHOUT;
                        trust.insert(workspace.clone(), Trust::Without { until });
                    }
                }
                // It fails either way: the mirrors are not to blame.
                (None, false) => drop(trust.remove(&workspace)),
            }
        })
    }
}

/// Repositories that some workspace reads through mirrors.
fn wanted(published: &Published, snapshot: &Snapshot) -> BTreeSet<RepositoryId> {
    let settings = snapshot.settings.workspaces.iter();
    let mirrored: BTreeSet<&Name> =
        settings.filter(|one| one.mirror == Mirror::On).map(|one| &one.name).collect();
    if mirrored.is_empty() {
        return BTreeSet::new();
    }
    let read = published.watching.iter().filter(|(_, watching)| {
        watching.workspaces.iter().any(|workspace| mirrored.contains(workspace))
    });
    read.map(|(id, _)| id.clone()).collect()
}

fn manifest<'a>(snapshot: &'a Snapshot, workspace: &Name) -> Option<&'a Manifest> {
    let part = snapshot.workspaces.get(workspace)?;
    part.manifest.last_known(Purpose::ManifestInForce).map(|manifest| &**manifest)
}

fn urls(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let all = manifest.packages.iter().map(|package| &package.vcs);
    let all = all.chain(manifest.definitions.iter().map(|definition| &definition.vcs));
    all.filter_map(|vcs| match vcs {
        Vcs::Git { url, .. } => Some(url.as_str()),
        Vcs::Other { .. } => None,
    })
}

fn locate(snapshot: &Snapshot, url: &str) -> Option<(RepositoryId, String)> {
    match snapshot.locator.locate(url) {
        Located::Repository { id, spelling, .. } => Some((id, spelling.to_string())),
        Located::Unwatched { .. } => None,
    }
}

/// Every address of every known repository: as the manifests write it, and as its forge would.
fn addresses(snapshot: &Snapshot) -> BTreeMap<RepositoryId, BTreeSet<String>> {
    let renamed = snapshot.renamed();
    let mut all: BTreeMap<RepositoryId, BTreeSet<String>> = BTreeMap::new();
    for (id, part) in snapshot.repositories.iter() {
        let own = all.entry(id.clone()).or_default();
        own.insert(part.url.trim_end_matches('/').to_owned());
        own.extend(snapshot.locator.spellings(id, &part.spelling));
    }
    let sources = snapshot.settings.workspaces.iter().filter_map(|w| w.source.as_ref());
    let sources = sources.map(|source| source.url.as_str());
    let manifests = snapshot.workspaces.keys().filter_map(|name| manifest(snapshot, name));
    for url in sources.chain(manifests.flat_map(urls)) {
        if let Some((id, spelling)) = locate(snapshot, url) {
            let own = all.entry(renamed.get(&id).unwrap_or(&id).clone()).or_default();
            own.insert(url.trim_end_matches('/').to_owned());
            own.extend(snapshot.locator.spellings(&id, &spelling));
        }
    }
    all
}
