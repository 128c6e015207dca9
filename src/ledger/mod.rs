//! What is remembered: looks, facts, attempts with their outbox, people's words and the audit.
//!
//! A verb is one transaction. Each that writes first proves, in that transaction, that its term
//! still leads; a stolen lease therefore writes nothing.

mod commit;
mod lease;
mod outbox;
mod people;
mod read;
mod remembered;
mod rows;
mod view;
mod work;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosswatch_core::model::build::{BuildRequest, RequestId};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::ledger_view::LedgerView;
use crosswatch_core::model::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::clock::Clock;
use crate::store::{Store, StoreError};

pub use commit::Committed;
pub use lease::{LEASE, Term};
pub use outbox::OutboxRow;
pub use read::{AuditRow, BuildRow, BuildsFilter};
pub use remembered::{MAX_REMEMBERED, Remembered, Run, RunKind, SavedWorkspace};

/// The ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    id: String,
    view: tokio::sync::Mutex<Arc<LedgerView>>,
    dirty: Mutex<BTreeMap<Name, view::Dirty>>,
    reload: AtomicBool,
    memory: tokio::sync::Mutex<work::Memory>,
    /// Requests of open attempts, which never change.
    requests: Mutex<BTreeMap<RequestId, Arc<BuildRequest>>>,
}

/// Why a verb did nothing.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The term is over: it ran out, was given back, or somebody else leads.
    #[error(
        "term {term} of {holder} no longer leads (now: {now}); nothing was written, lead again first"
    )]
    NotLeader {
        /// The term that was used.
        term: i64,
        /// Who used it.
        holder: String,
        /// Who leads now, with the term.
        now: String,
    },
    /// Somebody else leads.
    #[error("{holder} leads until {until}; end it, or wait for that time")]
    HeldBy {
        /// Who.
        holder: String,
        /// Until when, unless it is renewed.
        until: Timestamp,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored value cannot be read.
    #[error("{place}: {column} has {value:?}, which this version cannot read: {reason}")]
    Damaged {
        /// File or host.
        place: String,
        /// Table and column.
        column: &'static str,
        /// The beginning of the value.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// Something is too large to be remembered.
    #[error("{what} has {bytes} bytes, at most {most} are remembered")]
    TooLarge {
        /// Kind and key.
        what: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// No random id could be made for a new ledger.
    #[error("/dev/urandom cannot be read for the ledger's id: {0}")]
    Random(std::io::Error),
}

impl LedgerError {
    /// Whether trying again later can help without anybody changing the program or the data.
    pub fn passes(&self) -> bool {
        match self {
            Self::Store(error) => error.passes(),
            Self::NotLeader { .. } | Self::HeldBy { .. } => true,
            Self::Damaged { .. } | Self::TooLarge { .. } | Self::Random(_) => false,
        }
    }
}

impl Ledger {
    /// Opens the ledger in `store`; a new one gets its id.
    pub async fn open(store: Store, clock: Clock) -> Result<Self, LedgerError> {
        let id = lease::ledger_id(&store).await?;
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            view: tokio::sync::Mutex::new(Arc::new(LedgerView {
                ledger_id: id.clone(),
                workspaces: BTreeMap::new(),
            })),
            id,
            dirty: Mutex::default(),
            reload: AtomicBool::new(false),
            memory: tokio::sync::Mutex::default(),
            requests: Mutex::default(),
        })))
    }

    /// Names this ledger for ever; part of request ids.
    pub fn ledger_id(&self) -> &str {
        &self.0.id
    }

    /// The database under it.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    async fn reading(&self) -> Result<Transaction<'static, Any>, LedgerError> {
        Ok(self.0.store.read().await?)
    }

    /// Starts a transaction that writes and proves that `term` leads.
    async fn writing(&self, term: &Term) -> Result<Transaction<'static, Any>, LedgerError> {
        let mut writing = self.0.store.write().await?;
        lease::guard(&mut writing, term, self.0.clock.now()).await.map_err(|e| self.fault(e))?;
        Ok(writing)
    }

    async fn done(&self, writing: Transaction<'static, Any>) -> Result<(), LedgerError> {
        writing.commit().await.map_err(|error| self.0.store.failed(error).into())
    }

    fn fault(&self, fault: Fault) -> LedgerError {
        match fault {
            Fault::Sql(error) => self.0.store.failed(error).into(),
            Fault::NotLeader { term, holder, now } => LedgerError::NotLeader { term, holder, now },
            Fault::HeldBy { holder, until } => LedgerError::HeldBy { holder, until },
            Fault::Damaged { column, value, reason } => LedgerError::Damaged {
                place: self.0.store.place().to_owned(),
                column,
                value,
                reason,
            },
        }
    }
}

/// What can go wrong inside a transaction, before the place is known.
#[derive(Debug)]
enum Fault {
    Sql(sqlx::Error),
    NotLeader { term: i64, holder: String, now: String },
    HeldBy { holder: String, until: Timestamp },
    Damaged { column: &'static str, value: String, reason: String },
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
