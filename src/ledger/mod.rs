//! The ledger: what was decided and triggered, behind verbs of the domain. Every writing verb is one
//! transaction that first checks that this daemon still leads.

mod attempts;
mod batch;
mod commit;
mod deliveries;
mod error;
mod gathered;
mod known;
mod lease;
mod outbox;
mod people;
mod prune;
mod read;
mod remembered;
mod reports;
mod rows;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::ledger_view::LedgerView;
use crosswatch_core::model::plan::WorkspacePlan;
use sqlx::{Any, Row as _, Transaction};

use known::Known;
use lease::Sighting;

pub use commit::Committed;
pub use deliveries::{Came, DeliveryRow, HookRow};
pub use error::LedgerError;
pub use lease::{LEASE, Term};
pub use outbox::OutboxRow;
pub use read::{AuditRow, BuildFilter, BuildRow};
pub use reports::{DueComment, DueStatus, Stop};

use crate::clock::Clock;
use crate::store::Store;

/// Plans by the id of their workspace.
type Stored = Arc<BTreeMap<Name, Arc<WorkspacePlan>>>;

/// The ledger; clones share everything.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
    clock: Clock,
    id: String,
    view: Arc<Mutex<Arc<LedgerView>>>,
    /// The last plan of each workspace, by its id, whose decisions are stored.
    stored: Arc<Mutex<Stored>>,
    /// What parts that were read have in common.
    known: Arc<Mutex<Known>>,
    /// Held while a part of the view is read, so that an older reading never replaces a newer one.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// The lease of the daemon that leads in place of this one.
    sighted: Arc<Mutex<Option<Sighting>>>,
}

impl Ledger {
    /// Opens the ledger in a database, giving it its identity when it is new. What the planner sees is
    /// read by who takes the lease, or by [`Self::look`].
    pub async fn open(store: Store, clock: Clock) -> Result<Self, LedgerError> {
        let mut bytes = [0_u8; 16];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
            .map_err(|error| LedgerError::Random { why: error.to_string() })?;
        let fresh: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let error = |error: sqlx::Error| store.error(&error);
        let known = sqlx::query("SELECT value FROM meta WHERE name = 'ledger'")
            .fetch_optional(store.reader())
            .await
            .map_err(error)?;
        let id = match known {
            Some(row) => row.try_get(0).map_err(error)?,
            None => {
                let mut write = store.begin().await?;
                sqlx::query(
                    "INSERT INTO meta (name, value) VALUES ('ledger', $1) ON CONFLICT DO NOTHING",
                )
                .bind(fresh)
                .execute(&mut *write)
                .await
                .map_err(error)?;
                let row = sqlx::query("SELECT value FROM meta WHERE name = 'ledger'")
                    .fetch_one(&mut *write)
                    .await
                    .map_err(error)?;
                write.commit().await.map_err(error)?;
                row.try_get(0).map_err(error)?
            }
        };
        Ok(Self {
            store,
            clock,
            id,
            view: Arc::default(),
            known: Arc::default(),
            reading: Arc::default(),
            stored: Arc::default(),
            sighted: Arc::default(),
        })
    }

    /// Reads what the planner sees, for somebody who does not lead.
    pub async fn look(&self) -> Result<(), LedgerError> {
        self.reload_all().await
    }

    /// What names this ledger.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the planner sees. Parts that did not change keep their pointers.
    pub fn view(&self) -> Arc<LedgerView> {
        Arc::clone(&self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a writing transaction in `term`.
    async fn write(&self, term: &Term) -> Result<Transaction<'static, Any>, LedgerError> {
        let mut write = self.store.begin().await?;
        lease::check(self, &mut write, term).await?;
        Ok(write)
    }

    /// Ends a writing transaction that touched the part of `workspaces` in the view.
    async fn done(
        &self,
        write: Transaction<'static, Any>,
        workspaces: &[Name],
    ) -> Result<(), LedgerError> {
        write.commit().await.map_err(|error| self.store.error(&error))?;
        for workspace in workspaces {
            self.reload(workspace).await?;
        }
        Ok(())
    }

    fn sql(&self) -> impl Fn(sqlx::Error) -> LedgerError + '_ {
        |error| self.store.error(&error).into()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, LedgerError> {
        serde_json::from_str(text).map_err(|error| self.content(error.to_string()))
    }

    fn content(&self, why: impl Into<String>) -> LedgerError {
        crate::store::StoreError::Content { place: self.store.place().to_owned(), why: why.into() }
            .into()
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// Writes a value that is made of plain data as JSON.
fn to_json(value: &impl serde::Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| LedgerError::Encode { why: error.to_string() })
}
