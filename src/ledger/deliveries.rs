//! Webhooks: which deliveries were taken, so that none is acted upon twice, and which hooks there are.

use std::collections::BTreeSet;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::{Span, Timestamp};
use sqlx::{Any, Row as _, Transaction};

use super::{Ledger, LedgerError, Term};

/// How long a delivery is remembered. Forges deliver again for three days.
const KEEP: Span = Span::days(7);

/// Deliveries that are remembered.
const MOST: i64 = 100_000;

/// How a delivery came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was delivered.
    Taken,
    /// Only the forge's log of deliveries tells of it. Should it be delivered after all, it counts.
    Missed,
}

impl Came {
    fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Missed => "missed",
        }
    }
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The forge's name in the configuration.
    pub forge: Name,
    /// The forge's own id of it, the same each time that it is delivered.
    pub guid: String,
    /// Whose.
    pub hook: u64,
    /// Such as `push`.
    pub event: String,
    /// The forge's own id of the repository; 0 without one.
    pub repository_id: u64,
    /// When it was taken, or delivered by the forge's log.
    pub at: Timestamp,
}

/// A hook that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRow {
    /// The forge's name in the configuration.
    pub forge: Name,
    /// The forge's own id of it.
    pub hook: u64,
    /// What it belongs to: `repository`, `organization`, `integration`.
    pub target: String,
    /// Where its log of deliveries is, such as `orgs/rock`; empty where that is not known.
    pub place: String,
    /// Events that it delivered.
    pub events: BTreeSet<String>,
    /// First delivery.
    pub first_at: Timestamp,
    /// Last delivery, to a minute.
    pub last_at: Timestamp,
    /// The forge's log of its deliveries was read up to here.
    pub log_read_to: Timestamp,
}

impl Ledger {
    /// Stores deliveries and the hooks that they came from, in one transaction. Says of each whether it
    /// is new; one that was only missed before is new when it is taken.
    pub async fn deliveries(
        &self,
        term: &Term,
        came: Came,
        deliveries: &[DeliveryRow],
        hooks: &[HookRow],
    ) -> Result<Vec<bool>, LedgerError> {
        let mut write = self.write(term).await?;
        let mut new = Vec::with_capacity(deliveries.len());
        for row in deliveries {
            let stored = sqlx::query(
                "INSERT INTO deliveries (forge, guid, hook, event, repository_id, came, received_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (forge, guid) DO UPDATE \
                 SET came = $6, received_at = $7 WHERE deliveries.came = 'missed' AND $6 = 'taken'",
            )
            .bind(row.forge.as_str())
            .bind(&row.guid)
            .bind(number(row.hook))
            .bind(&row.event)
            .bind(number(row.repository_id))
            .bind(came.word())
            .bind(row.at.0)
            .execute(&mut *write)
            .await
            .map_err(self.sql())?;
            new.push(stored.rows_affected() == 1);
        }
        for hook in hooks {
            self.heard(&mut write, hook).await?;
        }
        self.done(write, &[]).await?;
        Ok(new)
    }

    async fn heard(
        &self,
        write: &mut Transaction<'static, Any>,
        hook: &HookRow,
    ) -> Result<(), LedgerError> {
        let events: Vec<&str> = hook.events.iter().map(String::as_str).collect();
        sqlx::query(
            "INSERT INTO hooks (forge, hook, target, place, events, first_at, last_at, log_read_to) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (forge, hook) DO UPDATE \
             SET target = $3, place = $4, events = $5, last_at = $7",
        )
        .bind(hook.forge.as_str())
        .bind(number(hook.hook))
        .bind(&hook.target)
        .bind(&hook.place)
        .bind(events.join(" "))
        .bind(hook.first_at.0)
        .bind(hook.last_at.0)
        .bind(hook.log_read_to.0)
        .execute(&mut **write)
        .await
        .map_err(self.sql())?;
        Ok(())
    }

    /// Stores up to when the log of a hook's deliveries was read.
    pub async fn log_read(
        &self,
        term: &Term,
        forge: &Name,
        hook: u64,
        to: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query("UPDATE hooks SET log_read_to = $3 WHERE forge = $1 AND hook = $2")
            .bind(forge.as_str())
            .bind(number(hook))
            .bind(to.0)
            .execute(&mut *write)
            .await
            .map_err(self.sql())?;
        self.done(write, &[]).await
    }

    /// All hooks that were heard.
    pub async fn hooks(&self) -> Result<Vec<HookRow>, LedgerError> {
        let rows = sqlx::query(
            "SELECT forge, hook, target, place, events, first_at, last_at, log_read_to FROM hooks \
             ORDER BY forge, hook",
        )
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        rows.iter()
            .map(|row| {
                let text = |at: usize| row.try_get::<String, _>(at).map_err(self.sql());
                let time = |at: usize| row.try_get::<i64, _>(at).map_err(self.sql());
                Ok(HookRow {
                    forge: Name::from(text(0)?),
                    hook: u64::try_from(time(1)?).unwrap_or_default(),
                    target: text(2)?,
                    place: text(3)?,
                    events: text(4)?.split_whitespace().map(str::to_owned).collect(),
                    first_at: Timestamp(time(5)?),
                    last_at: Timestamp(time(6)?),
                    log_read_to: Timestamp(time(7)?),
                })
            })
            .collect()
    }

    /// Forgets deliveries that are old, or more than are remembered.
    pub async fn forget_deliveries(&self, term: &Term) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query(
            "DELETE FROM deliveries WHERE received_at < $1 OR received_at < (SELECT received_at \
             FROM deliveries ORDER BY received_at DESC LIMIT 1 OFFSET $2)",
        )
        .bind((self.clock.now() - KEEP).0)
        .bind(MOST)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        self.done(write, &[]).await
    }
}

/// Ids of forges are positive and far from the end.
fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
