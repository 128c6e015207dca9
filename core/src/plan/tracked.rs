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
    of_manifest(view, manifest(view))
}

/// The same of any manifest, such as that of a candidate.
pub(crate) fn of_manifest(view: &View<'_>, manifest: Option<&Manifest>) -> Tracked {
    let mut tracked = Tracked::default();
    if let Some(source) = &view.settings.source {
        let vcs = Vcs::Git { url: source.url.clone(), branch: source.branch.clone(), pin: None };
        let name = Name::from("source");
        add(view, &mut tracked, (&name, &name, None), &vcs, (true, None));
    }
    let Some(manifest) = manifest else { return tracked };
    for package in &manifest.packages {
        let names = (&package.name, &package.override_key, package.repeats.as_ref());
        add(view, &mut tracked, names, &package.vcs, (false, package.path.as_ref()));
    }
    for definition in &manifest.definitions {
        let names = (&definition.name, &definition.override_key, definition.repeats.as_ref());
        add(view, &mut tracked, names, &definition.vcs, (true, None));
    }
    tracked
}

/// The manifest in force: the last good one while an update fails.
pub(crate) fn manifest<'a>(view: &View<'a>) -> Option<&'a Manifest> {
    view.part
        .and_then(|part| part.manifest.last_known(Purpose::ManifestInForce))
        .map(|manifest| &**manifest)
}

fn add(
    view: &View<'_>,
    tracked: &mut Tracked,
    (package, override_key, repeats): (&Name, &Name, Option<&Arc<Repeats>>),
    vcs: &Vcs,
    (definition, path): (bool, Option<&String>),
) {
    let unwatched = |reason: String| Unwatched { package: package.clone(), reason };
    let (url, branch, pin) = match vcs {
        Vcs::Git { url, branch, pin } => (url, branch, pin),
        Vcs::Other { kind, .. } => {
            Arc::make_mut(&mut tracked.unwatched)
                .push(unwatched(format!("its version control is {kind}, not git")));
            return;
        }
    };
    match view.snapshot.locate(url) {
        Located::Unwatched { reason } => {
            Arc::make_mut(&mut tracked.unwatched).push(unwatched(reason))
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
                .entry(id)
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
