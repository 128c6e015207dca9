//! What webhooks brought since the start, for people.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Webhooks of one forge since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HooksStatus {
    /// Hooks that were heard, also by earlier runs, by the forge's own id.
    pub hooks: BTreeMap<u64, HookStatus>,
    /// The last delivery with a right signature.
    pub last_at: Option<Timestamp>,
    /// What became of deliveries.
    pub counts: HookCounts,
    /// Why a secret cannot be read.
    pub secret: Option<String>,
    /// Repositories that moved and were not announced, and when that was seen last.
    pub unannounced: BTreeMap<RepositoryId, Timestamp>,
}

/// Deliveries by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCounts {
    /// Taken.
    pub taken: u64,
    /// Taken before.
    pub duplicate: u64,
    /// Nothing that is read can differ after it.
    pub idle: u64,
    /// Without a right signature.
    pub refused: u64,
    /// Signed and not understood.
    pub unreadable: u64,
    /// About repositories that nobody watches.
    pub unknown: u64,
    /// Did not arrive, by the forge's own log.
    pub lost: u64,
    /// Repositories that were read because of those.
    pub repaired: u64,
}

impl HookCounts {
    /// Names and numbers, in the order in which they are shown.
    pub fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("taken", self.taken),
            ("duplicate", self.duplicate),
            ("idle", self.idle),
            ("refused", self.refused),
            ("unreadable", self.unreadable),
            ("unknown", self.unknown),
            ("lost", self.lost),
            ("repaired", self.repaired),
        ]
    }
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// What it belongs to, in the forge's words.
    pub target: String,
    /// Where that is, such as `orgs/rock`.
    pub place: String,
    /// Events that it delivered.
    pub events: BTreeSet<String>,
    /// Last delivery.
    pub last_at: Timestamp,
    /// Why the forge's log of its deliveries cannot be read.
    pub log: Option<String>,
    /// When that log was read last.
    pub log_read_at: Option<Timestamp>,
}
