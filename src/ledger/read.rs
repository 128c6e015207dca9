//! What pages and tables read, and how old rows go.

use crosswatch_core::model::build::{BuildRequest, Priority, RequestId, Stage};
use crosswatch_core::model::identity::{Fingerprint, Name, Subject};
use crosswatch_core::model::time::Timestamp;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::rows::{count, flag, json, maybe_text, maybe_time, number, parsed, stage, text, time};
use super::{Fault, Ledger, LedgerError, Term};

/// Which builds to read; what is left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct BuildsFilter {
    /// Id of the workspace.
    pub workspace: Option<Name>,
    /// Mainline or change.
    pub subject: Option<Subject>,
    /// Beginning of the request id.
    pub request: Option<String>,
    /// Only those that have not ended.
    pub open: bool,
    /// At most so many.
    pub limit: usize,
}

/// One attempt, for pages and tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuildRow {
    /// Its name.
    pub request_id: RequestId,
    /// Id of the workspace.
    pub workspace: Name,
    /// What is built.
    pub subject: Subject,
    /// The CI.
    pub ci: Name,
    /// What makes it worth running.
    pub fingerprint: Fingerprint,
    /// From 1.
    pub attempt: u32,
    /// How far it is.
    pub stage: Stage,
    /// Who is served first.
    pub priority: Priority,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When it came into the outbox.
    pub queued_at: Timestamp,
    /// When the CI took it.
    pub taken_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The CI's own name for it.
    pub remote: Option<String>,
    /// Page of the build.
    pub link: Option<String>,
    /// What was said last about it.
    pub note: Option<String>,
    /// Whether it should be cancelled.
    pub cancel_wanted: bool,
    /// Requests that were begun.
    pub tries: u32,
}

/// One changed decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// What it is about.
    pub subject: Subject,
    /// When it was decided.
    pub at: Timestamp,
    /// The decision.
    pub word: String,
    /// Its reason.
    pub reason: String,
}

impl Ledger {
    /// Attempts, newest first.
    pub async fn builds(&self, filter: &BuildsFilter) -> Result<Vec<BuildRow>, LedgerError> {
        let prefix = filter.request.clone().unwrap_or_default().to_ascii_lowercase();
        if !prefix.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let mut reading = self.reading().await?;
        builds(&mut reading, filter, prefix).await.map_err(|fault| self.fault(fault))
    }

    /// The stored request of an attempt.
    pub async fn request(&self, id: RequestId) -> Result<Option<BuildRequest>, LedgerError> {
        let mut reading = self.reading().await?;
        let row = sqlx::query("SELECT request FROM attempt WHERE request_id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut *reading)
            .await
            .map_err(|error| self.fault(error.into()))?;
        row.as_ref().map(|row| json(row, "request")).transpose().map_err(|fault| self.fault(fault))
    }

    /// Changed decisions of a workspace or one of its subjects, newest first.
    pub async fn audit(
        &self,
        workspace: &Name,
        subject: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, LedgerError> {
        let mut reading = self.reading().await?;
        let rows = sqlx::query(
            "SELECT subject, decided_at, word, reason FROM audit WHERE workspace = $1 \
             AND ($2 = '' OR subject = $2) ORDER BY id DESC LIMIT $3",
        )
        .bind(workspace.as_str())
        .bind(subject.map(Subject::to_string).unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *reading)
        .await
        .map_err(|error| self.fault(error.into()))?;
        rows.iter().map(audit_row).collect::<Result<_, _>>().map_err(|fault| self.fault(fault))
    }

    /// Deletes what is older than `before`: ended attempts beyond the newest ten of a subject on a
    /// CI, audit, and runs beyond the newest twenty of a workspace. Says how many rows went.
    pub async fn prune(&self, term: &Term, before: Timestamp) -> Result<u64, LedgerError> {
        let mut writing = self.writing(term).await?;
        let gone = prune(&mut writing, before).await.map_err(|error| self.fault(error.into()))?;
        self.done(writing).await?;
        Ok(gone)
    }
}

async fn builds(
    reading: &mut Transaction<'static, Any>,
    filter: &BuildsFilter,
    prefix: String,
) -> Result<Vec<BuildRow>, Fault> {
    // `g` comes after every hexadecimal digit.
    let end = format!("{prefix}g");
    let rows = sqlx::query(
        "SELECT request_id, workspace, subject, ci, fingerprint, attempt, stage, priority, \
         decided_at, queued_at, taken_at, ended_at, remote, link, note, cancel_wanted, tries \
         FROM attempt WHERE ($1 = '' OR workspace = $1) AND ($2 = '' OR subject = $2) \
         AND request_id >= $3 AND request_id < $4 AND (is_open = 1 OR $5 = 0) \
         ORDER BY decided_at DESC, request_id LIMIT $6",
    )
    .bind(filter.workspace.as_ref().map(Name::to_string).unwrap_or_default())
    .bind(filter.subject.as_ref().map(Subject::to_string).unwrap_or_default())
    .bind(prefix)
    .bind(end)
    .bind(i64::from(filter.open))
    .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX))
    .fetch_all(&mut **reading)
    .await?;
    rows.iter().map(build_row).collect()
}

fn build_row(row: &AnyRow) -> Result<BuildRow, Fault> {
    Ok(BuildRow {
        request_id: parsed(row, "request_id")?,
        workspace: text(row, "workspace")?.into(),
        subject: parsed(row, "subject")?,
        ci: text(row, "ci")?.into(),
        fingerprint: parsed(row, "fingerprint")?,
        attempt: count(row, "attempt")?,
        stage: stage(row)?,
        priority: Priority::from_rank(number(row, "priority")?),
        decided_at: time(row, "decided_at")?,
        queued_at: time(row, "queued_at")?,
        taken_at: maybe_time(row, "taken_at")?,
        ended_at: maybe_time(row, "ended_at")?,
        remote: maybe_text(row, "remote")?,
        link: maybe_text(row, "link")?,
        note: maybe_text(row, "note")?,
        cancel_wanted: flag(row, "cancel_wanted")?,
        tries: count(row, "tries")?,
    })
}

fn audit_row(row: &AnyRow) -> Result<AuditRow, Fault> {
    Ok(AuditRow {
        subject: parsed(row, "subject")?,
        at: time(row, "decided_at")?,
        word: text(row, "word")?,
        reason: text(row, "reason")?,
    })
}

async fn prune(
    writing: &mut Transaction<'static, Any>,
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let attempts = sqlx::query(
        "DELETE FROM attempt WHERE is_open = 0 AND ended_at < $1 AND request_id IN \
         (SELECT request_id FROM (SELECT request_id, ROW_NUMBER() OVER (PARTITION BY workspace, \
         subject, ci ORDER BY decided_at DESC, attempt DESC, request_id) AS place FROM attempt) \
         AS ranked WHERE place > 10)",
    )
    .bind(before.0)
    .execute(&mut **writing)
    .await?;
    let audit = sqlx::query("DELETE FROM audit WHERE decided_at < $1")
        .bind(before.0)
        .execute(&mut **writing)
        .await?;
    let runs = sqlx::query(
        "DELETE FROM run WHERE started_at < $1 AND id IN (SELECT id FROM (SELECT id, \
         ROW_NUMBER() OVER (PARTITION BY workspace ORDER BY id DESC) AS place FROM run) \
         AS ranked WHERE place > 20)",
    )
    .bind(before.0)
    .execute(&mut **writing)
    .await?;
    Ok(attempts.rows_affected() + audit.rows_affected() + runs.rows_affected())
}
