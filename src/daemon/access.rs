//! What the pages and the command line may see and ask of a running daemon.

use crosswatch_core::model::identity::{Name, RepositoryId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::board::World;
pub use crate::board::{Board, BoardContent, RepositoryStatus, WorkspaceStatus};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Secrets;
pub use crate::forge::governor::Governor;
pub use crate::hooks::{Hooks, NotTaken, Refused, Signed, Taken};
use crate::ledger::{Ledger, Term};
use crate::pass::{Publications, Wake};
use crate::task::Tasks;
pub use crate::watch::api_host;

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
    /// What was triggered.
    pub ledger: Ledger,
    /// The right to write to the ledger, while this daemon leads.
    pub term: watch::Receiver<Option<Term>>,
    /// Reads the secrets of CIs that push results.
    pub secrets: Arc<Secrets>,
    /// The settings in force, beside what was observed.
    pub world: World,
    /// Limits of forges.
    pub governor: Governor,
    /// Takes webhooks.
    pub hooks: Hooks,
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
    /// Another repository at the same path of a forge is the right one.
    Accept {
        /// Which one.
        repository: RepositoryId,
    },
    /// A CI pushed a result: look at its builds sooner.
    CiPushed {
        /// Which CI.
        ci: Name,
    },
}
