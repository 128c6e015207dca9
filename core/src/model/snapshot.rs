//! Everything the planner sees of the world, frozen.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::Listing;
use super::identity::{Name, Oid, RepositoryId};
use super::ledger_view::Look;
use super::locator::{Located, Locator};
use super::manifest::Manifest;
use super::observed::Observed;
use super::question::{Answer, Question};
use super::settings::Settings;
use super::time::Timestamp;

/// An immutable picture of the world. Freezing one is a clone of a few pointers, and whoever changes a
/// part of the world afterwards copies the map that it is in; two snapshots differ where pointers differ.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The only time that the plan sees.
    pub at: Timestamp,
    /// The configuration in force.
    pub settings: Arc<Settings>,
    /// Turns URLs of manifests into repositories, by that configuration.
    pub locator: Arc<Locator>,
    /// Workspaces by name.
    pub workspaces: Arc<BTreeMap<Name, Arc<WorkspacePart>>>,
    /// Repositories by identity.
    pub repositories: Arc<BTreeMap<RepositoryId, Arc<RepositoryPart>>>,
    /// Answers to [`super::plan::Plan::wanted`].
    pub answers: Arc<BTreeMap<Question, Observed<Answer>>>,
    /// Whether branches and repositories go by their first names in it, see [`crate::plan::by_first_names`].
    pub by_first_names: bool,
    /// Then: what repositories are called now, with what they were called first.
    pub aliases: Arc<BTreeMap<RepositoryId, RepositoryId>>,
    /// When the parts were read; no input of any decision.
    pub times: Arc<BTreeMap<RepositoryId, Times>>,
}

impl Snapshot {
    /// A world of which nothing was read yet.
    pub fn unread(at: Timestamp, settings: Arc<Settings>) -> Self {
        Self {
            at,
            locator: Arc::new(Locator::new(&settings)),
            settings,
            workspaces: Arc::default(),
            repositories: Arc::default(),
            answers: Arc::default(),
            by_first_names: false,
            aliases: Arc::default(),
            times: Arc::default(),
        }
    }

    /// What repositories of forges with an API are called now that are known as something else, with that.
    /// A path that is known as a repository of its own is no alias: whoever takes over a free name must not
    /// become what was watched by it.
    pub fn renamed(&self) -> BTreeMap<RepositoryId, RepositoryId> {
        let alias = |part: &Arc<RepositoryPart>| {
            if part.spelling.eq_ignore_ascii_case(&part.id.path) {
                return None;
            }
            let forge = self.settings.forge(&part.id.forge)?;
            let now = RepositoryId::new(part.id.forge.clone(), part.spelling.to_lowercase());
            let alias = forge.kind.git().is_none() && !self.repositories.contains_key(&now);
            alias.then(|| (now, part.id.clone()))
        };
        self.repositories.values().filter_map(alias).collect()
    }

    /// What a repository was called first.
    pub fn first_name<'s>(&'s self, id: &'s RepositoryId) -> &'s RepositoryId {
        self.aliases.get(id).unwrap_or(id)
    }

    /// The repository that an address means, by its first name.
    pub fn locate(&self, url: &str) -> Located {
        match self.locator.locate(url) {
            Located::Repository { id, spelling, url } => {
                let id = self.first_name(&id).clone();
                Located::Repository { id, spelling, url }
            }
            unwatched @ Located::Unwatched { .. } => unwatched,
        }
    }
}

/// When a repository was read, and when it is looked at next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Last whole answer.
    pub read_at: Option<Timestamp>,
    /// Next look.
    pub next_at: Option<Timestamp>,
}

/// One repository, seen with one credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryPart {
    /// Identity.
    pub id: RepositoryId,
    /// Its path as people write it.
    pub spelling: String,
    /// Where it is fetched from.
    pub url: String,
    /// Branches and change refs.
    pub listing: Observed<Listing>,
}

/// One workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspacePart {
    /// Name in the configuration.
    pub name: Name,
    /// What the workspace's own tool exported last.
    pub manifest: Observed<Manifest>,
    /// What the last successful update left behind.
    pub updated: Option<Updated>,
    /// Why the last bootstrap or update failed, if it did.
    pub failure: Option<String>,
    /// A bootstrap or update is running or wanted; the mainline waits for it.
    pub pending: bool,
}

/// What a successful update left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// Commits in the package directories, by package.
    pub checkouts: BTreeMap<Name, Oid>,
    /// The heads that the update was run for, see [`crate::plan::update_inputs`].
    pub inputs: Vec<(Look, Oid)>,
}
