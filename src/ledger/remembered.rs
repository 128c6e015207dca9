//! A cache of last known answers and workspaces' states. Losing it costs requests or an update.

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::Timestamp;
use sqlx::Row as _;

use super::{Ledger, LedgerError, Term};

/// What a transaction forgets at most.
const CHUNK: usize = 500;

impl Ledger {
    /// Keeps values of one kind, in one transaction.
    pub async fn remember(
        &self,
        term: &Term,
        kind: &str,
        values: &[(String, String, Timestamp)],
    ) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        for (name, value, read_at) in values {
            sqlx::query(
                "INSERT INTO remembered (kind, name, value, read_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (kind, name) DO UPDATE SET value = $3, read_at = $4",
            )
            .bind(kind)
            .bind(name)
            .bind(value)
            .bind(read_at.0)
            .execute(&mut *write)
            .await
            .map_err(self.sql())?;
        }
        self.done(write, &[]).await
    }

    /// All values of one kind: name, value, when it was read.
    pub async fn recall(
        &self,
        kind: &str,
    ) -> Result<Vec<(String, String, Timestamp)>, LedgerError> {
        let rows = sqlx::query("SELECT name, value, read_at FROM remembered WHERE kind = $1")
            .bind(kind)
            .fetch_all(self.store.reader())
            .await
            .map_err(self.sql())?;
        rows.iter()
            .map(|row| {
                let read_at: i64 = row.try_get(2).map_err(self.sql())?;
                Ok((
                    row.try_get(0).map_err(self.sql())?,
                    row.try_get(1).map_err(self.sql())?,
                    Timestamp(read_at),
                ))
            })
            .collect()
    }

    /// Forgets what was read before a time.
    pub async fn forget(
        &self,
        term: &Term,
        kind: &str,
        before: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query("DELETE FROM remembered WHERE kind = $1 AND read_at < $2")
            .bind(kind)
            .bind(before.0)
            .execute(&mut *write)
            .await
            .map_err(self.sql())?;
        self.done(write, &[]).await
    }

    /// Forgets what was read before a time and is not `kept`, by its name.
    pub async fn forget_unless(
        &self,
        term: &Term,
        kind: &str,
        before: Timestamp,
        kept: impl Fn(&str) -> bool,
    ) -> Result<(), LedgerError> {
        let old = "SELECT name FROM remembered WHERE kind = $1 AND read_at < $2";
        let old = sqlx::query_scalar(old).bind(kind).bind(before.0);
        let mut old: Vec<String> = old.fetch_all(self.store.reader()).await.map_err(self.sql())?;
        old.retain(|name| !kept(name));
        for names in old.chunks(CHUNK) {
            let mut write = self.write(term).await?;
            for name in names {
                // It may have been read again since.
                let sql = "DELETE FROM remembered WHERE kind = $1 AND name = $2 AND read_at < $3";
                let query = sqlx::query(sql).bind(kind).bind(name).bind(before.0);
                query.execute(&mut *write).await.map_err(self.sql())?;
            }
            self.done(write, &[]).await?;
        }
        Ok(())
    }

    /// Keeps the state of a workspace.
    pub async fn save_workspace(
        &self,
        term: &Term,
        workspace: &Name,
        state: &str,
    ) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query(
            "INSERT INTO workspaces (workspace, state) VALUES ($1, $2) \
             ON CONFLICT (workspace) DO UPDATE SET state = $2",
        )
        .bind(workspace.as_str())
        .bind(state)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        self.done(write, &[]).await
    }

    /// The kept state of a workspace.
    pub async fn saved_workspace(&self, workspace: &Name) -> Result<Option<String>, LedgerError> {
        let row = sqlx::query("SELECT state FROM workspaces WHERE workspace = $1")
            .bind(workspace.as_str())
            .fetch_optional(self.store.reader())
            .await
            .map_err(self.sql())?;
        row.map(|row| row.try_get(0).map_err(self.sql())).transpose()
    }
}
