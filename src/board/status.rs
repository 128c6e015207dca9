//! What the observers did last, for people.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::run::RunRecord;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Last status of every observer; written by observers, read by people.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BoardContent>>);

/// What the board shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BoardContent {
    /// Workspaces by name.
    pub workspaces: BTreeMap<Name, WorkspaceStatus>,
    /// Watched repositories.
    pub repositories: BTreeMap<RepositoryId, RepositoryStatus>,
    /// CIs that cannot be used, each with the reason.
    pub ci: BTreeMap<Name, String>,
    /// Why the newest configuration was not taken over, if it was not.
    pub configuration: Option<String>,
    /// Why the daemon is not ready, by what is wrong; empty when it is.
    pub not_ready: BTreeMap<String, String>,
}

/// Life of one workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkspaceStatus {
    /// absent, bootstrapping, ready, updating, rebootstrapping, failed, fenced.
    pub phase: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What failed last, with the end of its output.
    pub failure: Option<String>,
    /// Last lines of a failure's output.
    pub tail: Vec<String>,
    /// When the next run starts by itself.
    pub next_at: Option<Timestamp>,
    /// Log of the present or last run.
    pub log: Option<std::path::PathBuf>,
    /// Last success.
    pub updated_at: Option<Timestamp>,
    /// Why the newest manifest is not believed, and where it is kept.
    pub suspicion: Option<String>,
    /// What else is not as usual.
    pub notes: Vec<String>,
    /// The last runs, oldest first.
    pub runs: Arc<Vec<RunRecord>>,
}

/// Looks at one repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RepositoryStatus {
    /// Last whole answer.
    pub read_at: Option<Timestamp>,
    /// What went wrong last, if it did.
    pub failure: Option<String>,
    /// Next look.
    pub next_at: Option<Timestamp>,
    /// Looks since the start.
    pub looks: u64,
    /// Workspaces that share it.
    pub workspaces: Vec<Name>,
}

impl Board {
    /// A copy of everything.
    pub fn read(&self) -> BoardContent {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes something; `change` must be quick.
    pub fn update(&self, change: impl FnOnce(&mut BoardContent)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
