//! What can go wrong with a verb of the ledger.

use super::lease::LEASE;
use crate::store::StoreError;

/// An error of the ledger. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another daemon leads.
    #[error(
        "{holder} leads since term {term}; only one daemon may use a database: stop one of them"
    )]
    NotLeader {
        /// Who leads.
        holder: String,
        /// In which term.
        term: i64,
    },
    /// Another daemon led last; whether it still does is not known yet.
    #[error(
        "{holder} led last, in term {term}; whether it is still there shows within {LEASE}, after which \
         this daemon leads or says so"
    )]
    LeaseAwaited {
        /// Who led.
        holder: String,
        /// In which term.
        term: i64,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gave no random bytes.
    #[error("/dev/urandom cannot be read: {why}")]
    Random {
        /// The system's own words.
        why: String,
    },
    /// A value cannot be written as JSON.
    #[error("a value cannot be written as JSON: {why}")]
    Encode {
        /// The writer's words.
        why: String,
    },
}
