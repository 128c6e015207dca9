//! Who may write: one row with a holder, a term that only grows, and a time at which it ends.

use std::io::Read as _;

use crosswatch_core::model::time::{Span, Timestamp};
use sqlx::{Any, Transaction};

use super::rows::{number, text};
use super::{Fault, Ledger, LedgerError};
use crate::store::Store;

/// How long a term lasts without being renewed.
pub const LEASE: Span = Span::seconds(30);

/// The right to write, proven again by each write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    holder: String,
    number: i64,
}

impl Term {
    /// Its number; a later leader has a greater one.
    pub fn number(&self) -> i64 {
        self.number
    }
}

impl Ledger {
    /// Begins a new term. `holder` names an installation (host and state directory): the same
    /// holder takes over at once after a crash, another one waits until the lease runs out.
    pub async fn lead(&self, holder: &str) -> Result<Term, LedgerError> {
        let mut writing = self.0.store.write().await?;
        let now = self.0.clock.now();
        let number = take(&mut writing, holder, now).await.map_err(|e| self.fault(e))?;
        self.done(writing).await?;
        // Another leader may have written since we looked.
        self.reload();
        Ok(Term { holder: holder.to_owned(), number })
    }

    /// Makes the term last [`LEASE`] from now; also one that ran out, if nobody took it since.
    pub async fn renew(&self, term: &Term) -> Result<(), LedgerError> {
        let mut writing = self.0.store.write().await?;
        let until = self.0.clock.now() + LEASE;
        let renewed = sqlx::query(
            "UPDATE lease SET expires_at = $1 WHERE id = 1 AND holder = $2 AND term = $3",
        )
        .bind(until.0)
        .bind(&term.holder)
        .bind(term.number)
        .execute(&mut *writing)
        .await
        .map_err(|error| self.0.store.failed(error))?;
        if renewed.rows_affected() != 1 {
            let lost = not_leader(&mut writing, term).await.unwrap_or_else(Fault::Sql);
            return Err(self.fault(lost));
        }
        self.done(writing).await
    }

    /// Ends the term, so that the next leader need not wait. Does nothing if it is over already.
    pub async fn release(&self, term: &Term) -> Result<(), LedgerError> {
        let mut writing = self.0.store.write().await?;
        sqlx::query(
            "UPDATE lease SET holder = '', expires_at = 0 \
             WHERE id = 1 AND holder = $1 AND term = $2",
        )
        .bind(&term.holder)
        .bind(term.number)
        .execute(&mut *writing)
        .await
        .map_err(|error| self.0.store.failed(error))?;
        self.done(writing).await
    }
}

/// Fails unless `term` leads. The touched row keeps every other writer out until the transaction
/// ends, so that a term cannot be lost between this check and the commit.
pub(super) async fn guard(
    writing: &mut Transaction<'static, Any>,
    term: &Term,
    now: Timestamp,
) -> Result<(), Fault> {
    let touched = sqlx::query(
        "UPDATE lease SET writes = writes + 1 \
         WHERE id = 1 AND holder = $1 AND term = $2 AND expires_at > $3",
    )
    .bind(&term.holder)
    .bind(term.number)
    .bind(now.0)
    .execute(&mut **writing)
    .await?;
    if touched.rows_affected() == 1 { Ok(()) } else { Err(not_leader(writing, term).await?) }
}

async fn not_leader(
    writing: &mut Transaction<'static, Any>,
    term: &Term,
) -> Result<Fault, sqlx::Error> {
    let row = sqlx::query("SELECT holder, term, expires_at FROM lease WHERE id = 1")
        .fetch_optional(&mut **writing)
        .await?;
    let now = match &row {
        None => "nobody".to_owned(),
        Some(row) => match (text(row, "holder"), number(row, "term"), number(row, "expires_at")) {
            (Ok(holder), ..) if holder.is_empty() => "nobody".to_owned(),
            (Ok(holder), Ok(number), Ok(until)) => {
                format!("{holder}, term {number}, until {}", Timestamp(until))
            }
            _ => "unknown".to_owned(),
        },
    };
    Ok(Fault::NotLeader { term: term.number, holder: term.holder.clone(), now })
}

async fn take(
    writing: &mut Transaction<'static, Any>,
    holder: &str,
    now: Timestamp,
) -> Result<i64, Fault> {
    sqlx::query(
        "INSERT INTO lease (id, holder, term, expires_at, writes) VALUES (1, '', 0, 0, 0) \
         ON CONFLICT DO NOTHING",
    )
    .execute(&mut **writing)
    .await?;
    let taken = sqlx::query(
        "UPDATE lease SET holder = $1, term = term + 1, expires_at = $2 \
         WHERE id = 1 AND (holder = $1 OR holder = '' OR expires_at <= $3)",
    )
    .bind(holder)
    .bind((now + LEASE).0)
    .bind(now.0)
    .execute(&mut **writing)
    .await?;
    let row = sqlx::query("SELECT holder, term, expires_at FROM lease WHERE id = 1")
        .fetch_one(&mut **writing)
        .await?;
    if taken.rows_affected() == 1 {
        number(&row, "term")
    } else {
        Err(Fault::HeldBy {
            holder: text(&row, "holder")?,
            until: Timestamp(number(&row, "expires_at")?),
        })
    }
}

/// The ledger's id, made at the first time.
pub(super) async fn ledger_id(store: &Store) -> Result<String, LedgerError> {
    const FIND: &str = "SELECT value FROM meta WHERE name = 'ledger_id'";
    let failed = |error| LedgerError::from(store.failed(error));
    let mut reading = store.read().await?;
    let found: Option<String> =
        sqlx::query_scalar(FIND).fetch_optional(&mut *reading).await.map_err(failed)?;
    drop(reading);
    if let Some(id) = found {
        return Ok(id);
    }
    let mut random = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(LedgerError::Random)?;
    let new: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut writing = store.write().await?;
    sqlx::query("INSERT INTO meta (name, value) VALUES ('ledger_id', $1) ON CONFLICT DO NOTHING")
        .bind(new)
        .execute(&mut *writing)
        .await
        .map_err(failed)?;
    let id = sqlx::query_scalar(FIND).fetch_one(&mut *writing).await.map_err(failed)?;
    writing.commit().await.map_err(failed)?;
    Ok(id)
}
