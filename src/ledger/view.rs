//! The planner's view of the ledger, kept in memory; only what was written to is read again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::{
    Approval, AttemptView, LedgerView, Look, Rebuild, WorkspaceLedger,
};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::rows::{count, flag, json, maybe_text, maybe_time, parsed, stage, text, time};
use super::{Fault, Ledger, LedgerError, locked};

/// What of a workspace has to be read again.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Looks, mainline, approvals, rebuilds, pause.
    pub(super) rest: bool,
    /// Attempts and facts of these.
    pub(super) subjects: BTreeSet<Subject>,
    /// Everything.
    pub(super) whole: bool,
}

/// With more subjects than this to read again, the whole workspace is read at once.
const SINGLY: usize = 100;

impl Ledger {
    /// What the planner sees of these workspaces (by id). A part that did not change is the same
    /// `Arc` as before, and so is the whole.
    pub async fn view(&self, workspaces: &[Name]) -> Result<Arc<LedgerView>, LedgerError> {
        let mut view = self.0.view.lock().await;
        let wanted: BTreeSet<&Name> = workspaces.iter().collect();
        let all = self.0.reload.swap(false, Ordering::SeqCst);
        let mut parts = view.workspaces.clone();
        if all {
            // Those that were not asked for now are read when they are.
            parts.retain(|id, _| wanted.contains(id));
        }
        let mut result = Ok(());
        for id in wanted {
            let mut dirty = locked(&self.0.dirty).remove(id).unwrap_or_default();
            dirty.whole |= all;
            match self.part(id, view.workspaces.get(id), &dirty).await {
                Ok(part) => {
                    parts.insert(id.clone(), part);
                }
                Err(error) => {
                    self.soil(id, dirty);
                    self.0.reload.fetch_or(all, Ordering::SeqCst);
                    result = Err(error);
                    break;
                }
            }
        }
        let same = view.workspaces.len() == parts.len()
            && view
                .workspaces
                .iter()
                .zip(&parts)
                .all(|(old, new)| old.0 == new.0 && Arc::ptr_eq(old.1, new.1));
        if !same {
            *view = Arc::new(LedgerView { ledger_id: self.0.id.clone(), workspaces: parts });
        }
        result.map(|()| Arc::clone(&view))
    }

    /// Reads everything again at the next view; for a ledger that somebody else may have written.
    pub fn reload(&self) {
        self.0.reload.store(true, Ordering::SeqCst);
    }

    /// Notes that something of a workspace has to be read again.
    pub(super) fn soil(&self, workspace: &Name, more: Dirty) {
        let mut dirty = locked(&self.0.dirty);
        let part = dirty.entry(workspace.clone()).or_default();
        part.rest |= more.rest;
        part.whole |= more.whole;
        part.subjects.extend(more.subjects);
    }

    async fn part(
        &self,
        id: &Name,
        old: Option<&Arc<WorkspaceLedger>>,
        dirty: &Dirty,
    ) -> Result<Arc<WorkspaceLedger>, LedgerError> {
        let new = match old {
            Some(old) if !dirty.whole && dirty.subjects.len() <= SINGLY => {
                if !dirty.rest && dirty.subjects.is_empty() {
                    return Ok(Arc::clone(old));
                }
                let mut new = WorkspaceLedger::clone(old);
                let mut reading = self.reading().await?;
                if dirty.rest {
                    rest(&mut reading, id, &mut new).await.map_err(|e| self.fault(e))?;
                }
                for subject in &dirty.subjects {
                    self::subject(&mut reading, id, subject, &mut new)
                        .await
                        .map_err(|e| self.fault(e))?;
                }
                new
            }
            _ => {
                let mut new = WorkspaceLedger::default();
                let mut reading = self.reading().await?;
                rest(&mut reading, id, &mut new).await.map_err(|e| self.fault(e))?;
                subjects(&mut reading, id, &mut new).await.map_err(|e| self.fault(e))?;
                new
            }
        };
        Ok(match old {
            Some(old) if **old == new => Arc::clone(old),
            _ => Arc::new(new),
        })
    }
}

async fn rest(
    reading: &mut Transaction<'static, Any>,
    id: &Name,
    into: &mut WorkspaceLedger,
) -> Result<(), Fault> {
    let id = id.as_str();
    let rows = sqlx::query("SELECT repository, branch FROM look WHERE workspace = $1")
        .bind(id)
        .fetch_all(&mut **reading)
        .await?;
    into.looks = rows.iter().map(look).collect::<Result<_, _>>()?;
    let row = sqlx::query("SELECT facts FROM mainline_facts WHERE workspace = $1")
        .bind(id)
        .fetch_optional(&mut **reading)
        .await?;
    into.mainline = row.as_ref().map(|row| json(row, "facts")).transpose()?;
    let rows = sqlx::query(
        "SELECT subject, members, given_by, given_at FROM approval WHERE workspace = $1 \
         ORDER BY given_at, subject, set_digest",
    )
    .bind(id)
    .fetch_all(&mut **reading)
    .await?;
    into.approvals = rows.iter().map(approval).collect::<Result<_, _>>()?;
    let rows =
        sqlx::query("SELECT subject, asked_by, asked_at, alone FROM rebuild WHERE workspace = $1")
            .bind(id)
            .fetch_all(&mut **reading)
            .await?;
    into.rebuilds = rows.iter().map(rebuild).collect::<Result<_, _>>()?;
    let row = sqlx::query("SELECT paused_by FROM pause WHERE workspace = $1")
        .bind(id)
        .fetch_optional(&mut **reading)
        .await?;
    into.paused_by = row.as_ref().map(|row| text(row, "paused_by")).transpose()?;
    Ok(())
}

async fn subjects(
    reading: &mut Transaction<'static, Any>,
    id: &Name,
    into: &mut WorkspaceLedger,
) -> Result<(), Fault> {
    let rows = sqlx::query("SELECT subject, facts FROM change_facts WHERE workspace = $1")
        .bind(id.as_str())
        .fetch_all(&mut **reading)
        .await?;
    for row in &rows {
        into.changes.insert(parsed(row, "subject")?, json(row, "facts")?);
    }
    let rows = sqlx::query(
        "SELECT * FROM (SELECT subject, request_id, ci, fingerprint, attempt, stage, is_open, \
         decided_at, ended_at, members, parts, link, note, ROW_NUMBER() OVER \
         (PARTITION BY subject, ci ORDER BY decided_at DESC, attempt DESC, request_id) AS place \
         FROM attempt WHERE workspace = $1) AS ranked WHERE place <= 10 OR is_open = 1 \
         ORDER BY decided_at, attempt, request_id",
    )
    .bind(id.as_str())
    .fetch_all(&mut **reading)
    .await?;
    for row in &rows {
        into.attempts.entry(parsed(row, "subject")?).or_default().push(attempt(row)?);
    }
    Ok(())
}

async fn subject(
    reading: &mut Transaction<'static, Any>,
    id: &Name,
    subject: &Subject,
    into: &mut WorkspaceLedger,
) -> Result<(), Fault> {
    let written = subject.to_string();
    if let Subject::Change(change) = subject {
        let row =
            sqlx::query("SELECT facts FROM change_facts WHERE workspace = $1 AND subject = $2")
                .bind(id.as_str())
                .bind(&written)
                .fetch_optional(&mut **reading)
                .await?;
        match &row {
            Some(row) => into.changes.insert(change.clone(), json(row, "facts")?),
            None => into.changes.remove(change),
        };
    }
    let rows = sqlx::query(
        "SELECT * FROM (SELECT subject, request_id, ci, fingerprint, attempt, stage, is_open, \
         decided_at, ended_at, members, parts, link, note, ROW_NUMBER() OVER \
         (PARTITION BY ci ORDER BY decided_at DESC, attempt DESC, request_id) AS place \
         FROM attempt WHERE workspace = $1 AND subject = $2) AS ranked \
         WHERE place <= 10 OR is_open = 1 ORDER BY decided_at, attempt, request_id",
    )
    .bind(id.as_str())
    .bind(&written)
    .fetch_all(&mut **reading)
    .await?;
    let attempts = rows.iter().map(attempt).collect::<Result<Vec<_>, _>>()?;
    if attempts.is_empty() {
        into.attempts.remove(subject);
    } else {
        into.attempts.insert(subject.clone(), attempts);
    }
    Ok(())
}

fn look(row: &AnyRow) -> Result<Look, Fault> {
    Ok(Look { repository: parsed(row, "repository")?, branch: text(row, "branch")?.into() })
}

fn approval(row: &AnyRow) -> Result<Approval, Fault> {
    Ok(Approval {
        subject: parsed(row, "subject")?,
        set: json(row, "members")?,
        by: text(row, "given_by")?,
        at: time(row, "given_at")?,
    })
}

fn rebuild(row: &AnyRow) -> Result<(Subject, Rebuild), Fault> {
    let asked = Rebuild {
        by: text(row, "asked_by")?,
        at: time(row, "asked_at")?,
        alone: flag(row, "alone")?,
    };
    Ok((parsed(row, "subject")?, asked))
}

fn attempt(row: &AnyRow) -> Result<AttemptView, Fault> {
    Ok(AttemptView {
        request_id: parsed(row, "request_id")?,
        ci: text(row, "ci")?.into(),
        fingerprint: parsed(row, "fingerprint")?,
        attempt: count(row, "attempt")?,
        stage: stage(row)?,
        decided_at: time(row, "decided_at")?,
        ended_at: maybe_time(row, "ended_at")?,
        set: json(row, "members")?,
        parts: json(row, "parts")?,
        link: maybe_text(row, "link")?,
        note: maybe_text(row, "note")?,
    })
}
