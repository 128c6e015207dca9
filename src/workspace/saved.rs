//! What is kept of a workspace over restarts.

use std::sync::Arc;

use crosswatch_core::control::lifecycle::State;
use crosswatch_core::control::suspicion::Suspected;
use crosswatch_core::model::manifest::Manifest;
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::run::RunRecord;
use crosswatch_core::model::settings::WorkspaceSettings;
use crosswatch_core::model::snapshot::{Updated, WorkspacePart};
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::fence::Held;

/// What is kept of a workspace over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Where its life is.
    pub life: State,
    /// The last good manifest.
    pub manifest: Option<Arc<Manifest>>,
    /// What the last successful update left.
    pub updated: Option<Updated>,
    /// Why the last run failed, if it did.
    pub failure: Option<String>,
    /// The last runs, oldest first.
    pub runs: Arc<Vec<RunRecord>>,
    /// When a run ended that was killed, until its leftovers are cleared away.
    pub unclean: Option<Timestamp>,
    /// The newest manifest, when it is not believed.
    pub suspicion: Option<Suspicion>,
    /// Processes that keep the folder fenced.
    pub held: Vec<Held>,
}

/// A manifest that is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// What a second run has to agree with; nothing when it could not be read at all.
    pub suspected: Option<Suspected>,
    /// Why, and where it is kept.
    pub why: String,
}

impl Saved {
    /// What the planner sees of it.
    pub fn part(&self, settings: &WorkspaceSettings) -> WorkspacePart {
        let manifest = match (&self.manifest, &self.failure) {
            (Some(manifest), _) => Observed::Known(Arc::clone(manifest)),
            (None, Some(why)) => Observed::not_read_yet(Timestamp(0)).failed(why, Timestamp(0)),
            (None, None) => Observed::not_read_yet(Timestamp(0)),
        };
        WorkspacePart {
            name: settings.name.clone(),
            manifest,
            updated: self.updated.clone(),
            failure: self.failure.clone(),
            pending: false,
        }
    }
}
