//! The port to wherever last known answers are kept. Losing one costs a request, nothing else.

use crosswatch_core::model::change::Listing;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Something worth keeping over a restart.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// What it is: `listing`, `answer`, `candidate` or `absence`.
    pub kind: &'static str,
    /// The repository or question, as text, or a digest of it.
    pub key: String,
    /// The value, as JSON.
    pub json: String,
    /// When it was read.
    pub read_at: Timestamp,
}

/// Takes what should be remembered, without waiting.
#[derive(Clone, Debug)]
pub struct Memory(mpsc::Sender<Remembered>);

impl Memory {
    /// Sends to whoever keeps it.
    pub fn new(sender: mpsc::Sender<Remembered>) -> Self {
        Self(sender)
    }

    /// Remembers a value; dropped when the keeper is behind.
    pub fn keep(
        &self,
        kind: &'static str,
        key: &impl serde::Serialize,
        value: &impl serde::Serialize,
        read_at: Timestamp,
    ) {
        let (Ok(key), Ok(json)) = (serde_json::to_string(key), serde_json::to_string(value)) else {
            return;
        };
        if self.0.try_send(Remembered { kind, key, json, read_at }).is_err() {
            tracing::debug!(kind, "a last known answer was not kept: its keeper is behind");
        }
    }
}

/// What is remembered of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Branches and changes.
    #[serde(flatten)]
    pub listing: Listing,
    /// What a forge with an API showed beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenAs>,
}

/// What a forge with an API showed beside a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAs {
    /// The forge's own id of the repository.
    pub forge_id: String,
    /// Its path as the forge spells it.
    pub spelling: String,
    /// The mark that it had before it was read.
    #[serde(default)]
    pub mark: Option<String>,
}
