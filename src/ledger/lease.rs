//! Who leads: a row with a term that every writing transaction checks.

use std::sync::PoisonError;

use crosswatch_core::model::time::Span;
use sqlx::{Any, Row as _, Transaction};

use super::{Ledger, LedgerError};

/// How long a lease lasts when it is not renewed, by the clock of whoever waits for it.
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

/// What stands in the row of a lease that was given back.
const RELEASED: i64 = 0;

/// The lease of another daemon as this one saw it.
#[derive(Debug)]
pub(super) struct Sighting {
    /// Term and end; every renewal writes a later end.
    row: (i64, i64),
    /// Since when the row is as it is, by a clock that nobody can set.
    since: Span,
    /// Whether it was seen to change: its holder is there.
    renewed: bool,
}

impl Ledger {
    /// Takes the lease when nobody has it, when it is `holder`'s own, or when this daemon saw that it was
    /// not renewed for as long as it lasts. What other machines take for the time decides nothing.
    pub async fn lead(&self, holder: &str) -> Result<Term, LedgerError> {
        let looked = self.clock.steady();
        let mut write = self.store.begin().await?;
        let row = sqlx::query("SELECT holder, term, expires_at FROM lease WHERE id = 1")
            .fetch_optional(&mut *write)
            .await
            .map_err(self.sql())?;
        let (mut before, mut expires_at) = (0, RELEASED);
        if let Some(row) = row {
            let other: String = row.try_get(0).map_err(self.sql())?;
            before = row.try_get(1).map_err(self.sql())?;
            expires_at = row.try_get(2).map_err(self.sql())?;
            if other != holder && expires_at != RELEASED {
                self.run_out(other, (before, expires_at), looked)?;
            }
        }
        let number = before + 1;
        let changed = sqlx::query(
            "INSERT INTO lease (id, holder, term, expires_at) VALUES (1, $1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET holder = $1, term = $2, expires_at = $3 \
             WHERE lease.term = $4 AND lease.expires_at = $5",
        )
        .bind(holder)
        .bind(number)
        .bind((self.clock.now() + LEASE).0)
        .bind(before)
        .bind(expires_at)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        if changed.rows_affected() != 1 {
            let holder = "another daemon".to_owned();
            return Err(LedgerError::NotLeader { holder, term: number });
        }
        write.commit().await.map_err(self.sql())?;
        *self.sighted.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.reload_all().await?;
        Ok(Term { holder: holder.to_owned(), number })
    }

    /// Fails unless another daemon's lease stood in `row`, which was read after `looked`, for as long as
    /// it lasts.
    fn run_out(&self, holder: String, row: (i64, i64), looked: Span) -> Result<(), LedgerError> {
        let mut sighted = self.sighted.lock().unwrap_or_else(PoisonError::into_inner);
        let term = row.0;
        let renewed = match &*sighted {
            Some(seen) if seen.row == row => {
                if looked.0.saturating_sub(seen.since.0) >= LEASE.0 {
                    return Ok(());
                }
                seen.renewed
            }
            before => {
                let renewed = before.is_some();
                *sighted = Some(Sighting { row, since: self.clock.steady(), renewed });
                renewed
            }
        };
        Err(match renewed {
            true => LedgerError::NotLeader { holder, term },
            false => LedgerError::LeaseAwaited { holder, term },
        })
    }

    /// Makes the lease last longer. What is written always differs, even when this machine's clock was put
    /// back: that shows others that somebody is there.
    pub async fn renew(&self, term: &Term) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query(
            "UPDATE lease SET expires_at = \
             CASE WHEN expires_at < $1 THEN $1 ELSE expires_at + 1 END WHERE id = 1",
        )
        .bind((self.clock.now() + LEASE).0)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        self.done(write, &[]).await
    }

    /// Gives the lease back, so that another daemon need not wait.
    pub async fn release(&self, term: &Term) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query("UPDATE lease SET expires_at = $1 WHERE id = 1")
            .bind(RELEASED)
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
