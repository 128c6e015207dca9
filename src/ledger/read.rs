//! Reading for people: builds and the history of decisions.

use crosswatch_core::model::build::{BuildRequest, Stage};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::{Ledger, LedgerError};

/// Which builds are wanted; everything by default.
#[derive(Clone, Debug, Default)]
pub struct BuildFilter {
    /// Of this workspace id only.
    pub workspace: Option<Name>,
    /// Of this subject only.
    pub subject: Option<String>,
    /// Whose request id begins so.
    pub request: Option<String>,
    /// At most so many, newest first; 100 when left out, never more than 1,000.
    pub limit: Option<u32>,
}

/// One build, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRow {
    /// The request as it was sent.
    pub request: BuildRequest,
    /// The CI.
    pub ci: Name,
    /// How far it is.
    pub stage: Stage,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What the CI calls it.
    pub remote: Option<String>,
    /// Its page.
    pub link: Option<String>,
    /// What was heard last about it.
    pub note: Option<String>,
    /// It is no longer wanted.
    pub cancel_wanted: bool,
}

/// One change of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When it was decided.
    pub at: Timestamp,
    /// The decision's word.
    pub word: String,
    /// Its reason.
    pub reason: String,
}

impl Ledger {
    /// Builds, newest first.
    pub async fn builds(&self, filter: &BuildFilter) -> Result<Vec<BuildRow>, LedgerError> {
        let rows = sqlx::query(
            "SELECT request, ci, stage, decided_at, ended_at, remote, link, note, cancel_wanted, \
             heads.heads FROM attempts JOIN requests ON requests.request_id = attempts.request_id \
             LEFT JOIN heads ON heads.digest = attempts.heads \
             WHERE ($1 = '' OR workspace = $1) AND ($2 = '' OR subject = $2) \
             AND ($3 = '' OR substr(attempts.request_id, 1, length($3)) = $3) \
             ORDER BY decided_at DESC, attempt DESC, ci LIMIT $4",
        )
        .bind(filter.workspace.as_deref().unwrap_or_default())
        .bind(filter.subject.as_deref().unwrap_or_default())
        .bind(filter.request.as_deref().unwrap_or_default())
        .bind(i64::from(filter.limit.unwrap_or(100).min(1_000)))
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        rows.iter()
            .map(|row| {
                let request: String = row.try_get(0).map_err(self.sql())?;
                let ci: String = row.try_get(1).map_err(self.sql())?;
                let decided_at: i64 = row.try_get(3).map_err(self.sql())?;
                let ended_at: Option<i64> = row.try_get(4).map_err(self.sql())?;
                let cancel_wanted: i64 = row.try_get(8).map_err(self.sql())?;
                let heads: Option<String> = row.try_get(9).map_err(self.sql())?;
                Ok(BuildRow {
                    request: self.request(&request, heads.as_deref())?,
                    ci: Name::from(ci),
                    stage: self.stage(row, 2)?,
                    decided_at: Timestamp(decided_at),
                    ended_at: ended_at.map(Timestamp),
                    remote: row.try_get(5).map_err(self.sql())?,
                    link: row.try_get(6).map_err(self.sql())?,
                    note: row.try_get(7).map_err(self.sql())?,
                    cancel_wanted: cancel_wanted != 0,
                })
            })
            .collect()
    }

    /// Decisions on a subject that were different from the one before, newest first.
    pub async fn audit(
        &self,
        workspace: &Name,
        subject: &str,
        limit: u32,
    ) -> Result<Vec<AuditRow>, LedgerError> {
        let rows = sqlx::query(
            "SELECT decided_at, word, reason FROM audit WHERE workspace = $1 AND subject = $2 \
             ORDER BY decided_at DESC LIMIT $3",
        )
        .bind(workspace.as_str())
        .bind(subject)
        .bind(i64::from(limit.min(1_000)))
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        rows.iter()
            .map(|row| {
                let at: i64 = row.try_get(0).map_err(self.sql())?;
                Ok(AuditRow {
                    at: Timestamp(at),
                    word: row.try_get(1).map_err(self.sql())?,
                    reason: row.try_get(2).map_err(self.sql())?,
                })
            })
            .collect()
    }
}
