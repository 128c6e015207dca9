//! The outbox: attempts that are not over, and the marks that acts on them leave.

use crosswatch_core::model::build::{BuildRequest, Priority, RequestId, Stage, Verdict};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::Timestamp;
use sqlx::Row as _;

use super::{Ledger, LedgerError, Term};

/// An attempt that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The request, as it is sent in every retry.
    pub request: BuildRequest,
    /// Id of the workspace.
    pub workspace: Name,
    /// The CI that gets it.
    pub ci: Name,
    /// How far it is.
    pub stage: Stage,
    /// Who is served first.
    pub priority: Priority,
    /// When it was decided.
    pub queued_at: Timestamp,
    /// Not sent (again) before this time.
    pub not_before: Option<Timestamp>,
    /// When the request that is on its way ends at the latest.
    pub sending_deadline: Option<Timestamp>,
    /// When the CI took it.
    pub taken_at: Option<Timestamp>,
    /// It is no longer wanted.
    pub cancel_wanted: bool,
    /// Sends that the CI surely did not take.
    pub tries: u32,
    /// What the CI calls it.
    pub remote: Option<String>,
    /// Its page.
    pub link: Option<String>,
}

const OPEN_ROWS: &str = "SELECT request, workspace, ci, stage, priority, decided_at, not_before, \
     sending_deadline, taken_at, cancel_wanted, tries, remote, link, heads.heads FROM attempts \
     JOIN requests ON requests.request_id = attempts.request_id \
     LEFT JOIN heads ON heads.digest = attempts.heads WHERE is_open = 1 \
     ORDER BY decided_at, attempts.request_id";

impl Ledger {
    /// All attempts that are not over.
    pub async fn outbox(&self) -> Result<Vec<OutboxRow>, LedgerError> {
        let rows =
            sqlx::query(OPEN_ROWS).fetch_all(self.store.reader()).await.map_err(self.sql())?;
        rows.iter()
            .map(|row| {
                let number = |index: usize| row.try_get::<i64, _>(index).map_err(self.sql());
                let time = |index: usize| {
                    row.try_get::<Option<i64>, _>(index)
                        .map(|time| time.map(Timestamp))
                        .map_err(self.sql())
                };
                let text = |index: usize| row.try_get::<String, _>(index).map_err(self.sql());
                let heads: Option<String> = row.try_get(13).map_err(self.sql())?;
                Ok(OutboxRow {
                    request: self.request(&text(0)?, heads.as_deref())?,
                    workspace: Name::from(text(1)?),
                    ci: Name::from(text(2)?),
                    stage: self.stage(row, 3)?,
                    priority: Priority::from_rank(number(4)?),
                    queued_at: Timestamp(number(5)?),
                    not_before: time(6)?,
                    sending_deadline: time(7)?,
                    taken_at: time(8)?,
                    cancel_wanted: number(9)? != 0,
                    tries: u32::try_from(number(10)?).unwrap_or(u32::MAX),
                    remote: row.try_get(11).map_err(self.sql())?,
                    link: row.try_get(12).map_err(self.sql())?,
                })
            })
            .collect()
    }

    /// Before a send: whether the row was still queued and is `sending` now.
    pub async fn mark_sending(
        &self,
        term: &Term,
        id: RequestId,
        deadline: Timestamp,
    ) -> Result<bool, LedgerError> {
        let sql = "UPDATE attempts SET stage = 'sending', sending_deadline = $2 \
             WHERE request_id = $1 AND stage = 'queued' AND cancel_wanted = 0";
        self.mark(term, id, sqlx::query(sql).bind(id.to_string()).bind(deadline.0)).await
    }

    /// The CI took it.
    pub async fn mark_sent(
        &self,
        term: &Term,
        id: RequestId,
        remote: Option<String>,
        link: Option<String>,
    ) -> Result<bool, LedgerError> {
        let sql = "UPDATE attempts SET stage = 'sent', taken_at = $2, remote = COALESCE($3, remote), \
             link = COALESCE($4, link), note = NULL \
             WHERE request_id = $1 AND stage IN ('sending', 'sent')";
        let now = self.clock.now().0;
        let query = sqlx::query(sql).bind(id.to_string()).bind(now).bind(remote).bind(link);
        self.mark(term, id, query).await
    }

    /// The CI surely did not take it: queued again, not before a time.
    pub async fn mark_queued_again(
        &self,
        term: &Term,
        id: RequestId,
        not_before: Timestamp,
        note: &str,
    ) -> Result<bool, LedgerError> {
        let sql = "UPDATE attempts SET stage = 'queued', not_before = $2, note = $3, \
             tries = tries + 1, sending_deadline = NULL \
             WHERE request_id = $1 AND stage = 'sending'";
        let query = sqlx::query(sql).bind(id.to_string()).bind(not_before.0).bind(note);
        self.mark(term, id, query).await
    }

    /// The CI builds it.
    pub async fn mark_running(
        &self,
        term: &Term,
        id: RequestId,
        remote: Option<String>,
        link: Option<String>,
    ) -> Result<bool, LedgerError> {
        let sql = "UPDATE attempts SET stage = 'running', taken_at = COALESCE(taken_at, $2), \
             remote = COALESCE($3, remote), link = COALESCE($4, link), note = NULL \
             WHERE request_id = $1 AND stage IN ('sending', 'sent', 'running')";
        let now = self.clock.now().0;
        let query = sqlx::query(sql).bind(id.to_string()).bind(now).bind(remote).bind(link);
        self.mark(term, id, query).await
    }

    /// It ended with a verdict.
    pub async fn mark_ended(
        &self,
        term: &Term,
        id: RequestId,
        verdict: Verdict,
        link: Option<String>,
        note: Option<String>,
    ) -> Result<bool, LedgerError> {
        self.end(term, id, Stage::Ended(verdict), link, note).await
    }

    /// It ended because it was no longer wanted; its fingerprint is not spent.
    pub async fn mark_dropped(&self, term: &Term, id: RequestId) -> Result<bool, LedgerError> {
        self.end(term, id, Stage::Dropped, None, None).await
    }

    async fn end(
        &self,
        term: &Term,
        id: RequestId,
        stage: Stage,
        link: Option<String>,
        note: Option<String>,
    ) -> Result<bool, LedgerError> {
        let sql = "UPDATE attempts SET stage = $2, is_open = 0, ended_at = $3, \
             link = COALESCE($4, link), note = COALESCE($5, note) \
             WHERE request_id = $1 AND is_open = 1";
        let query = sqlx::query(sql)
            .bind(id.to_string())
            .bind(stage.word())
            .bind(self.clock.now().0)
            .bind(link)
            .bind(note);
        self.mark(term, id, query).await
    }

    /// What was heard last about it, for people.
    pub async fn note(&self, term: &Term, id: RequestId, note: &str) -> Result<bool, LedgerError> {
        let sql = "UPDATE attempts SET note = $2 WHERE request_id = $1 AND is_open = 1 \
             AND COALESCE(note, '') <> $2";
        self.mark(term, id, sqlx::query(sql).bind(id.to_string()).bind(note)).await
    }

    async fn mark<'q>(
        &self,
        term: &Term,
        id: RequestId,
        query: sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<bool, LedgerError> {
        let mut write = self.write(term).await?;
        let marked = query.execute(&mut *write).await.map_err(self.sql())?.rows_affected() > 0;
        let row = sqlx::query("SELECT workspace, subject FROM attempts WHERE request_id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut *write)
            .await
            .map_err(self.sql())?;
        self.done(write, &[]).await?;
        if let Some(row) = row.filter(|_| marked) {
            let text = |index: usize| row.try_get::<String, _>(index).map_err(self.sql());
            let subject = text(1)?.parse().map_err(|why: String| self.content(why))?;
            self.reload_attempts(&Name::from(text(0)?), &subject).await?;
        }
        Ok(marked)
    }
}
