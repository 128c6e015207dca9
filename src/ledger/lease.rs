//! Who leads: a row with a term that every writing transaction checks.

use crosswatch_core::model::time::Span;
use sqlx::{Any, Row as _, Transaction};

use super::{Ledger, LedgerError};

/// How long a lease lasts when it is not renewed.
pub const LEASE: Span = Span::seconds(30);

/// The right to write, until somebody else takes the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    holder: String,
    number: i64,
}

impl Term {
    /// Its number; grows with each change of the leader.
    pub fn number(&self) -> i64 {
        self.number
    }
}

impl Ledger {
    /// Takes the lease when it is free, expired, or held by `holder` itself.
    pub async fn lead(&self, holder: &str) -> Result<Term, LedgerError> {
        let now = self.clock.now();
        let mut write = self.store.begin().await?;
        let row = sqlx::query("SELECT holder, term, expires_at FROM lease WHERE id = 1")
            .fetch_optional(&mut *write)
            .await
            .map_err(self.sql())?;
        let mut before = 0;
        if let Some(row) = row {
            let other: String = row.try_get(0).map_err(self.sql())?;
            before = row.try_get(1).map_err(self.sql())?;
            let expires_at: i64 = row.try_get(2).map_err(self.sql())?;
            if other != holder && expires_at > now.0 {
                return Err(LedgerError::NotLeader { holder: other, term: before });
            }
        }
        let number = before + 1;
        let changed = sqlx::query(
            "INSERT INTO lease (id, holder, term, expires_at) VALUES (1, $1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET holder = $1, term = $2, expires_at = $3 \
             WHERE lease.term = $4",
        )
        .bind(holder)
        .bind(number)
        .bind((now + LEASE).0)
        .bind(before)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        if changed.rows_affected() != 1 {
            let holder = "another daemon".to_owned();
            return Err(LedgerError::NotLeader { holder, term: number });
        }
        write.commit().await.map_err(self.sql())?;
        self.reload_all().await?;
        Ok(Term { holder: holder.to_owned(), number })
    }

    /// Makes the lease last longer.
    pub async fn renew(&self, term: &Term) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query("UPDATE lease SET expires_at = $1 WHERE id = 1")
            .bind((self.clock.now() + LEASE).0)
            .execute(&mut *write)
            .await
            .map_err(self.sql())?;
        self.done(write, &[]).await
    }

    /// Gives the lease back, so that another daemon need not wait.
    pub async fn release(&self, term: &Term) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query("UPDATE lease SET expires_at = 0 WHERE id = 1")
            .execute(&mut *write)
            .await
            .map_err(self.sql())?;
        self.done(write, &[]).await
    }
}

/// Fails unless `term` is still the present one; locks the row until the transaction ends.
pub(super) async fn check(
    ledger: &Ledger,
    write: &mut Transaction<'static, Any>,
    term: &Term,
) -> Result<(), LedgerError> {
    let ours =
        sqlx::query("UPDATE lease SET term = term WHERE id = 1 AND term = $1 AND holder = $2")
            .bind(term.number)
            .bind(&term.holder)
            .execute(&mut **write)
            .await
            .map_err(ledger.sql())?;
    if ours.rows_affected() == 1 {
        return Ok(());
    }
    let row = sqlx::query("SELECT holder, term FROM lease WHERE id = 1")
        .fetch_optional(&mut **write)
        .await
        .map_err(ledger.sql())?;
    let (holder, number) = match row {
        Some(row) => (row.try_get(0).map_err(ledger.sql())?, row.try_get(1).map_err(ledger.sql())?),
        None => ("nobody".to_owned(), 0),
    };
    Err(LedgerError::NotLeader { holder, term: number })
}
