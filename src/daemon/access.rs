//! What the pages and the command line may see and ask of a running daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::pass::{Publications, Wake};
use crate::task::Tasks;

/// Handles into the daemon, cheap to clone.
#[derive(Clone)]
pub struct Access {
    /// What the last pass published.
    pub publications: Publications,
    /// Brings the next pass forward.
    pub wake: Wake,
    /// The time.
    pub clock: Clock,
    /// Tasks, to tell which panicked.
    pub tasks: Tasks,
    /// Orders that the daemon's own loop carries out.
    pub orders: mpsc::Sender<Order>,
    /// What the observers did last, for people.
    pub board: Board,
}

/// An order to the daemon.
pub enum Order {
    /// Read the configuration again; `confirm` accepts one that triggers many builds.
    Reload {
        /// Accept whatever it triggers.
        confirm: bool,
        /// What came of it: a sentence, or the errors.
        answer: oneshot::Sender<Result<String, String>>,
    },
    /// Run a workspace's update now; `fresh` bootstraps it anew.
    Update {
        /// Which one.
        workspace: Name,
        /// Bootstrap anew.
        fresh: bool,
        /// What came of it.
        answer: oneshot::Sender<Result<String, String>>,
    },
    /// A CI pushed a result: look at its builds sooner.
    CiPushed {
        /// Which CI.
        ci: Name,
    },
}

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
    /// Why the daemon is not ready, by what is wrong; empty when it is.
    pub not_ready: BTreeMap<String, String>,
}

/// Life of one workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkspaceStatus {
    /// absent, bootstrapping, ready, updating, failed.
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
