//! What the last pass saw and decided, for everybody who only reads.

use std::sync::Arc;

use crosswatch_core::model::ledger_view::LedgerView;
use crosswatch_core::model::plan::Plan;
use crosswatch_core::model::snapshot::Snapshot;

/// Snapshot and plan of one pass, with the ledger's view after its commit.
#[derive(Clone, Debug)]
pub struct Published {
    /// What the pass saw.
    pub snapshot: Arc<Snapshot>,
    /// What it decided.
    pub plan: Arc<Plan>,
    /// The ledger as it was when the plan was made.
    pub seen: Arc<LedgerView>,
    /// The ledger after its commit.
    pub ledger: Arc<LedgerView>,
    /// Number of the pass since the start, from 1.
    pub number: u64,
}

/// Receives what each pass publishes; nothing before the first.
pub type Publications = tokio::sync::watch::Receiver<Option<Arc<Published>>>;
