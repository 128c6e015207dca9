//! Which (repository, branch) pairs a workspace tracks, and for which packages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::identity::{Name, Oid, RepositoryId};
use crate::model::ledger_view::{Look, WorkspaceLedger};
use crate::model::locator::Located;
use crate::model::manifest::{Manifest, Package, Pin, Repeats, Vcs};
use crate::model::observed::Purpose;
use crate::model::plan::{Unwatched, Watched};
use crate::model::settings::{UpdateOn, WorkspaceSettings};
use crate::model::snapshot::Snapshot;

use super::alias::by_first_names;
use super::look::View;
use super::once::{Alone, Once};
use super::shared::Shared;

/// Everything that a workspace tracks.
#[derive(Clone, Default)]
pub(crate) struct Tracked {
    pub(crate) repositories: BTreeMap<RepositoryId, Arc<TrackedRepository>>,
    pub(crate) unwatched: Arc<Vec<Unwatched>>,
    /// Branches that the manifest calls by a name that they no longer have: that, and the present one.
    pub(crate) renamed: BTreeSet<(RepositoryId, Name, Name)>,
}

/// One tracked repository.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TrackedRepository {
    pub(crate) spelling: Name,
    pub(crate) url: Name,
    pub(crate) uses: Vec<Use>,
    /// Which packages come from it is not known before a candidate's tool said so.
    pub(crate) open: bool,
}

/// A package, definition repository or source that comes from a repository.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) package: Name,
    pub(crate) override_key: Name,
    /// The branch, when it is known; a manifest that names none means the default branch.
    pub(crate) branch: Option<Name>,
    pub(crate) pin: Option<Pin>,
    pub(crate) definition: bool,
    pub(crate) repeats: Option<Arc<Repeats>>,
    /// The folder of the repository that it lives in, if it is not the whole.
    pub(crate) path: Option<String>,
}

impl TrackedRepository {
    /// Of which nothing is known to come.
    pub(crate) fn bare(spelling: Name, url: Name) -> Self {
        Self { spelling, url, uses: Vec::new(), open: false }
    }

    /// Uses that a change against `base` overrides: those of that branch, and pinned ones.
    pub(crate) fn overridden<'a>(&'a self, base: &'a str) -> impl Iterator<Item = &'a Use> {
        self.uses
            .iter()
            .filter(move |used| used.pin.is_some() || used.branch.as_deref() == Some(base))
    }

    /// Whether a change against `base` can be a member of a set.
    pub(crate) fn fits(&self, base: &str) -> bool {
        self.open || self.overridden(base).next().is_some()
    }

    /// Whether a change against `base` is a root: some unpinned use tracks that branch.
    pub(crate) fn tracks(&self, base: &str) -> bool {
        self.uses.iter().any(|used| used.pin.is_none() && used.branch.as_deref() == Some(base))
    }
}

/// What all workspaces watch by their manifests alone, which are known before any repository was read.
pub fn watched(snapshot: &Snapshot) -> BTreeMap<RepositoryId, Watched> {
    let snapshot = by_first_names(snapshot);
    let mut watched = BTreeMap::new();
    let mut add = |url: &str| {
        if let Located::Repository { id, spelling, url, .. } = snapshot.locate(url) {
            watched.entry(id).or_insert(Watched { url, spelling });
        }
    };
    // Manifests have most of their packages in common.
    let mut seen: BTreeSet<*const Package> = BTreeSet::new();
    for settings in &snapshot.settings.workspaces {
        if let Some(source) = &settings.source {
            add(&source.url);
        }
        let part = snapshot.workspaces.get(&settings.name);
        let manifest = part.and_then(|part| part.manifest.last_known(Purpose::ManifestInForce));
        let Some(manifest) = manifest else { continue };
        let packages = manifest.packages.iter().filter(|package| seen.insert(Arc::as_ptr(package)));
        let definitions = manifest.definitions.iter().map(|definition| &definition.vcs);
        for vcs in packages.map(|package| &package.vcs).chain(definitions) {
            if let Vcs::Git { url, .. } = vcs {
                add(url);
            }
        }
    }
    watched
}

/// Packages and definition repositories of the manifest in force, and the workspace's own source.
pub(crate) fn tracked(view: &View<'_>) -> Tracked {
    of_manifest(view, manifest(view), &[]).0
}

/// The same with what workspaces have in common kept once, and worked out once where there is a pass.
pub(crate) fn shared<'p>(view: &View<'p>, shared: &Shared, once: Option<&Once<'p>>) -> Tracked {
    let manifest = manifest(view);
    let packages = manifest.map_or(&[][..], |manifest| &manifest.packages);
    let alone = once.map(|once| once.alone(packages)).unwrap_or_default();
    let (mut tracked, new) = of_manifest(view, manifest, &alone);
    for id in &new {
        if let Some(repository) = tracked.repositories.get_mut(id) {
            *repository = shared.repository(id, Arc::clone(repository));
        }
    }
    if let Some(once) = once.filter(|_| !new.is_empty()) {
        let by_name: BTreeMap<&Name, &Arc<Package>> =
            packages.iter().map(|package| (&package.name, package)).collect();
        let learned = new.iter().filter_map(|id| {
            let repository = tracked.repositories.get(id)?;
            let [only] = repository.uses.as_slice() else { return None };
            let other = |(of, ..): &(RepositoryId, Name, Name)| of == id;
            if only.definition || tracked.renamed.iter().any(other) {
                return None;
            }
            Some((*by_name.get(&only.package)?, (id.clone(), Arc::clone(repository))))
        });
        once.learn(learned);
    }
    tracked
}

/// The same of any manifest, such as that of a candidate, with the repositories that are not taken over as
/// they are from what is known of packages alone.
pub(crate) fn of_manifest(
    view: &View<'_>,
    manifest: Option<&Manifest>,
    alone: &[Option<Alone>],
) -> (Tracked, BTreeSet<RepositoryId>) {
    let (mut tracked, mut new) = (Tracked::default(), BTreeSet::new());
    if let Some(source) = &view.settings.source {
        let vcs = Vcs::Git { url: source.url.clone(), branch: source.branch.clone(), pin: None };
        let name = Name::from("source");
        new.extend(add(view, &mut tracked, (&name, &name, None), &vcs, (true, None)));
    }
    let Some(manifest) = manifest else { return (tracked, new) };
    let alone = alone.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    for (package, alone) in manifest.packages.iter().zip(alone) {
        if let Some((id, repository)) = alone
            && !tracked.repositories.contains_key(id)
        {
            tracked.repositories.insert(id.clone(), Arc::clone(repository));
            continue;
        }
        let names = (&package.name, &package.override_key, package.repeats.as_ref());
        let (vcs, path) = (&package.vcs, package.path.as_ref());
        new.extend(add(view, &mut tracked, names, vcs, (false, path)));
    }
    for definition in &manifest.definitions {
        let names = (&definition.name, &definition.override_key, definition.repeats.as_ref());
        new.extend(add(view, &mut tracked, names, &definition.vcs, (true, None)));
    }
    (tracked, new)
}

/// The manifest in force: the last good one while an update fails.
pub(crate) fn manifest<'a>(view: &View<'a>) -> Option<&'a Manifest> {
    view.part
        .and_then(|part| part.manifest.last_known(Purpose::ManifestInForce))
        .map(|manifest| &**manifest)
}

/// Adds a use, and says of which repository it is.
fn add(
    view: &View<'_>,
    tracked: &mut Tracked,
    (package, override_key, repeats): (&Name, &Name, Option<&Arc<Repeats>>),
    vcs: &Vcs,
    (definition, path): (bool, Option<&String>),
) -> Option<RepositoryId> {
    let unwatched = |reason: String| Unwatched { package: package.clone(), reason };
    let (url, branch, pin) = match vcs {
        Vcs::Git { url, branch, pin } => (url, branch, pin),
        Vcs::Other { kind, .. } => {
            Arc::make_mut(&mut tracked.unwatched)
                .push(unwatched(format!("its version control is {kind}, not git")));
            return None;
        }
    };
    match view.snapshot.locate(url) {
        Located::Unwatched { reason } => {
            Arc::make_mut(&mut tracked.unwatched).push(unwatched(reason));
            None
        }
        Located::Repository { id, spelling, url, .. } => {
            let branch = branch.clone().or_else(|| {
                let listing = &view.repository(&id)?.listing;
                listing.last_known(Purpose::ManifestInForce)?.default_branch.clone()
            });
            let branch = branch.map(|written| {
                let present = view.present(&id, &written);
                if present != written && pin.is_none() {
                    tracked.renamed.insert((id.clone(), written.clone(), present));
                }
                view.oldest(&id, &written)
            });
            let repository = tracked
                .repositories
                .entry(id.clone())
                .or_insert_with(|| Arc::new(TrackedRepository::bare(spelling, url)));
            Arc::make_mut(repository).uses.push(Use {
                package: package.clone(),
                override_key: override_key.clone(),
                branch,
                pin: pin.clone(),
                definition,
                repeats: repeats.cloned(),
                path: path.cloned(),
            });
            Some(id)
        }
    }
}

/// Heads that the workspace's update depends on: those of its definition repositories, or of
/// everything that it tracks when updates run after any push. `None` while one of them is not known.
pub fn update_inputs(
    snapshot: &Snapshot,
    settings: &WorkspaceSettings,
) -> Option<Vec<(Look, Oid)>> {
    let ledger = WorkspaceLedger::default();
    let snapshot = by_first_names(snapshot);
    let view = View::new(&snapshot, settings, &ledger, "");
    inputs(&view, &tracked(&view))
}

/// The same, of what the workspace tracks.
pub(crate) fn inputs(view: &View<'_>, tracked: &Tracked) -> Option<Vec<(Look, Oid)>> {
    let mut inputs = Vec::new();
    for (id, repository) in &tracked.repositories {
        for used in &repository.uses {
            let counts = used.definition || view.settings.update_on == UpdateOn::Any;
            if used.pin.is_some() || !counts {
                continue;
            }
            let listing = view.repository(id)?.listing.value()?;
            let branch = used.branch.clone()?;
            if let Some(head) = listing.branches.get(&branch) {
                inputs.push((Look { repository: id.clone(), branch }, *head));
            }
        }
    }
    inputs.sort();
    inputs.dedup();
    inputs.shrink_to_fit();
    Some(inputs)
}
