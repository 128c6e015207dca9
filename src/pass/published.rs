//! What the last pass saw and decided, for everybody who only reads.

use std::sync::Arc;

use crosswatch_core::model::ledger_view::LedgerView;
use crosswatch_core::model::plan::Plan;
use crosswatch_core::model::snapshot::Snapshot;

use super::WatchList;

/// Snapshot and plan of one pass, with the ledger's view after its commit.
#[derive(Clone, Debug)]
pub struct Published {
    /// What the pass saw.
    pub snapshot: Arc<Snapshot>,
    /// What it decided.
    pub plan: Arc<Plan>,
    /// What its workspaces watch.
    pub watching: WatchList,
    /// The ledger as it was when the plan was made.
    pub seen: Arc<LedgerView>,
    /// The ledger after its commit.
    pub ledger: Arc<LedgerView>,
    /// Number of the pass since the start, from 1.
    pub number: u64,
}

impl Published {
    /// What would be decided where no daemon runs, and nobody watches anything.
    pub fn offline(snapshot: Snapshot, plan: Plan, ledger: Arc<LedgerView>) -> Self {
        let (snapshot, plan) = (Arc::new(snapshot), Arc::new(plan));
        let (watching, seen) = (WatchList::default(), Arc::clone(&ledger));
        Self { snapshot, plan, watching, seen, ledger, number: 0 }
    }
}

/// Receives what each pass publishes; nothing before the first.
pub type Publications = tokio::sync::watch::Receiver<Option<Arc<Published>>>;
