//! The outbox: what the `ci` driver reads, and the marks by which an attempt moves on. Each mark
//! names the stages that it may start from, so a late or doubled one changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::model::build::{BuildRequest, Priority, RequestId, Stage, Verdict};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::time::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Transaction};

use super::rows::{count, flag, json, maybe_text, maybe_time, number, parsed, stage, text, time};
use super::view::Dirty;
use super::{Fault, Ledger, LedgerError, Term, locked};

/// An attempt that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Id of the workspace (the request has its present name).
    pub workspace: Name,
    /// The CI.
    pub ci: Name,
    /// What is sent; the same bytes in each retry.
    pub request: Arc<BuildRequest>,
    /// How far it is.
    pub stage: Stage,
    /// Who is served first.
    pub priority: Priority,
    /// When it came into the outbox.
    pub queued_at: Timestamp,
    /// Until when a request that is on its way may still arrive.
    pub sending_deadline: Option<Timestamp>,
    /// The CI's own name for it.
    pub remote: Option<String>,
    /// Page of the build.
    pub link: Option<String>,
    /// Whether it should be cancelled.
    pub cancel_wanted: bool,
    /// Why it should be.
    pub cancel_why: Option<String>,
    /// When the CI took it.
    pub taken_at: Option<Timestamp>,
    /// Requests that were begun.
    pub tries: u32,
    /// When the next request may begin.
    pub not_before: Option<Timestamp>,
    /// What was said last about it.
    pub note: Option<String>,
}

type Statement = Query<'static, Any, AnyArguments>;

impl Ledger {
    /// All attempts that have not ended, the most urgent and then the oldest first.
    pub async fn outbox(&self) -> Result<Vec<OutboxRow>, LedgerError> {
        let known = locked(&self.0.requests).clone();
        let mut reading = self.reading().await?;
        let rows = open_rows(&mut reading, &known).await.map_err(|fault| self.fault(fault))?;
        *locked(&self.0.requests) =
            rows.iter().map(|row| (row.request.request_id, Arc::clone(&row.request))).collect();
        Ok(rows)
    }

    /// Before a request is sent: queued → sending. `deadline` is when it is surely over.
    pub async fn mark_sending(
        &self,
        term: &Term,
        id: RequestId,
        deadline: Timestamp,
    ) -> Result<bool, LedgerError> {
        let statement = sqlx::query(
            "UPDATE attempt SET stage = 'sending', tries = tries + 1, sending_deadline = $2, \
             not_before = NULL WHERE request_id = $1 AND stage = 'queued' AND cancel_wanted = 0 \
             RETURNING workspace, subject",
        );
        self.mark(term, id, statement.bind(id.to_string()).bind(deadline.0)).await
    }

    /// The CI took it: sending → sent.
    pub async fn mark_sent(
        &self,
        term: &Term,
        id: RequestId,
        remote: Option<&str>,
        link: Option<&str>,
    ) -> Result<bool, LedgerError> {
        let statement = sqlx::query(
            "UPDATE attempt SET stage = 'sent', taken_at = $2, remote = $3, \
             link = COALESCE($4, link), note = NULL, sending_deadline = NULL \
             WHERE request_id = $1 AND stage = 'sending' RETURNING workspace, subject",
        )
        .bind(id.to_string())
        .bind(self.0.clock.now().0)
        .bind(remote.map(str::to_owned))
        .bind(link.map(str::to_owned));
        self.mark(term, id, statement).await
    }

    /// The CI surely did not take it: sending → queued; an unwanted one ends here instead.
    pub async fn mark_queued_again(
        &self,
        term: &Term,
        id: RequestId,
        not_before: Timestamp,
        note: &str,
    ) -> Result<bool, LedgerError> {
        let unwanted = sqlx::query(
            "UPDATE attempt SET stage = CASE WHEN cancel_wanted = 2 THEN 'cancelled' \
             ELSE 'dropped' END, is_open = 0, ended_at = $2, note = cancel_why WHERE \
             request_id = $1 AND stage = 'sending' AND cancel_wanted > 0 \
             RETURNING workspace, subject",
        )
        .bind(id.to_string())
        .bind(self.0.clock.now().0);
        if self.mark(term, id, unwanted).await? {
            return Ok(true);
        }
        let statement = sqlx::query(
            "UPDATE attempt SET stage = 'queued', sending_deadline = NULL, not_before = $2, \
             note = $3 WHERE request_id = $1 AND stage = 'sending' AND cancel_wanted = 0 \
             RETURNING workspace, subject",
        )
        .bind(id.to_string())
        .bind(not_before.0)
        .bind(note.to_owned());
        self.mark(term, id, statement).await
    }

    /// The CI builds it: sending or sent → running. A result that a CI pushes may be faster than
    /// the answer to the request.
    pub async fn mark_running(
        &self,
        term: &Term,
        id: RequestId,
        link: Option<&str>,
        note: Option<&str>,
    ) -> Result<bool, LedgerError> {
        let statement = sqlx::query(
            "UPDATE attempt SET stage = 'running', taken_at = COALESCE(taken_at, $2), \
             link = COALESCE($3, link), note = $4, sending_deadline = NULL \
             WHERE request_id = $1 AND stage IN ('sending', 'sent') RETURNING workspace, subject",
        )
        .bind(id.to_string())
        .bind(self.0.clock.now().0)
        .bind(link.map(str::to_owned))
        .bind(note.map(str::to_owned));
        self.mark(term, id, statement).await
    }

    /// It ended: any open stage → the verdict.
    pub async fn mark_ended(
        &self,
        term: &Term,
        id: RequestId,
        verdict: Verdict,
        ended_at: Timestamp,
        link: Option<&str>,
        note: Option<&str>,
    ) -> Result<bool, LedgerError> {
        let statement = sqlx::query(
            "UPDATE attempt SET stage = $2, is_open = 0, ended_at = $3, \
             link = COALESCE($4, link), note = $5, sending_deadline = NULL, not_before = NULL \
             WHERE request_id = $1 AND is_open = 1 RETURNING workspace, subject",
        )
        .bind(id.to_string())
        .bind(verdict.word())
        .bind(ended_at.0)
        .bind(link.map(str::to_owned))
        .bind(note.map(str::to_owned));
        self.mark(term, id, statement).await
    }

    /// Says something about an open attempt; the same words again write nothing.
    pub async fn note(&self, term: &Term, id: RequestId, note: &str) -> Result<bool, LedgerError> {
        let statement = sqlx::query(
            "UPDATE attempt SET note = $2 WHERE request_id = $1 AND is_open = 1 \
             AND COALESCE(note, '') <> $2 RETURNING workspace, subject",
        );
        self.mark(term, id, statement.bind(id.to_string()).bind(note.to_owned())).await
    }

    /// A person's cancel: a queued attempt ends at once, one with the CI is marked.
    pub async fn cancel(&self, term: &Term, id: RequestId, by: &str) -> Result<bool, LedgerError> {
        let why = format!("cancelled by {by}");
        let queued = sqlx::query(
            "UPDATE attempt SET stage = 'cancelled', is_open = 0, ended_at = $2, note = $3 \
             WHERE request_id = $1 AND stage = 'queued' RETURNING workspace, subject",
        )
        .bind(id.to_string())
        .bind(self.0.clock.now().0)
        .bind(why.clone());
        if self.mark(term, id, queued).await? {
            return Ok(true);
        }
        let taken = sqlx::query(
            "UPDATE attempt SET cancel_wanted = 2, cancel_why = $2 WHERE request_id = $1 \
             AND is_open = 1 AND stage <> 'queued' AND cancel_wanted < 2 \
             RETURNING workspace, subject",
        );
        self.mark(term, id, taken.bind(id.to_string()).bind(why)).await
    }

    async fn mark(
        &self,
        term: &Term,
        id: RequestId,
        statement: Statement,
    ) -> Result<bool, LedgerError> {
        let mut writing = self.writing(term).await?;
        let found = marked(&mut writing, statement).await.map_err(|fault| self.fault(fault))?;
        let Some((workspace, subject)) = found else {
            tracing::debug!(request = %id, "a mark came late or twice and changed nothing");
            return Ok(false);
        };
        let result = self.done(writing).await;
        self.soil(&workspace, Dirty { subjects: [subject].into(), ..Dirty::default() });
        result.map(|()| true)
    }
}

async fn marked(
    writing: &mut Transaction<'static, Any>,
    statement: Statement,
) -> Result<Option<(Name, Subject)>, Fault> {
    let rows = statement.fetch_all(&mut **writing).await?;
    rows.first()
        .map(|row| Ok((text(row, "workspace")?.into(), parsed(row, "subject")?)))
        .transpose()
}

async fn open_rows(
    reading: &mut Transaction<'static, Any>,
    known: &BTreeMap<RequestId, Arc<BuildRequest>>,
) -> Result<Vec<OutboxRow>, Fault> {
    let rows = sqlx::query(
        "SELECT request_id, workspace, ci, stage, priority, queued_at, sending_deadline, remote, \
         link, cancel_wanted, cancel_why, taken_at, tries, not_before, note FROM attempt \
         WHERE is_open = 1 ORDER BY priority, queued_at, request_id",
    )
    .fetch_all(&mut **reading)
    .await?;
    let mut open = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: RequestId = parsed(row, "request_id")?;
        let request = match known.get(&id) {
            Some(request) => Arc::clone(request),
            None => {
                let row = sqlx::query("SELECT request FROM attempt WHERE request_id = $1")
                    .bind(id.to_string())
                    .fetch_one(&mut **reading)
                    .await?;
                Arc::new(json(&row, "request")?)
            }
        };
        open.push(outbox_row(row, request)?);
    }
    Ok(open)
}

fn outbox_row(row: &AnyRow, request: Arc<BuildRequest>) -> Result<OutboxRow, Fault> {
    Ok(OutboxRow {
        workspace: text(row, "workspace")?.into(),
        ci: text(row, "ci")?.into(),
        request,
        stage: stage(row)?,
        priority: Priority::from_rank(number(row, "priority")?),
        queued_at: time(row, "queued_at")?,
        sending_deadline: maybe_time(row, "sending_deadline")?,
        remote: maybe_text(row, "remote")?,
        link: maybe_text(row, "link")?,
        cancel_wanted: flag(row, "cancel_wanted")?,
        cancel_why: maybe_text(row, "cancel_why")?,
        taken_at: maybe_time(row, "taken_at")?,
        tries: count(row, "tries")?,
        not_before: maybe_time(row, "not_before")?,
        note: maybe_text(row, "note")?,
    })
}
