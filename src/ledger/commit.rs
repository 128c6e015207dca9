//! Writing down what a plan decided, before anything of it is acted upon.

use crosswatch_core::model::build::RequestId;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::plan::{Plan, SubjectPlan, Trigger};
use crosswatch_core::model::time::Timestamp;
use sqlx::{Any, Transaction};

use super::rows::{number, parsed, set_digest, text, to_json};
use super::view::Dirty;
use super::work::{Memory, Work, to_write};
use super::{Fault, Ledger, LedgerError, Term};

/// Subjects in one transaction.
const CHUNK: usize = 1000;

/// What a commit did to attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// New in the outbox.
    pub queued: Vec<RequestId>,
    /// Taken out of the outbox before anything was sent.
    pub dropped: Vec<RequestId>,
    /// With a CI, and now marked to be cancelled.
    pub cancel: Vec<RequestId>,
    /// Not queued: the approval that they need is not there.
    pub unapproved: Vec<RequestId>,
}

impl Ledger {
    /// Stores the plan's looks, facts, attempts, superseded rows and changed decisions, at most
    /// 1,000 subjects in one transaction. Writes nothing when the ledger has it all already.
    pub async fn commit(&self, term: &Term, plan: &Plan) -> Result<Committed, LedgerError> {
        let mut memory = self.0.memory.lock().await;
        if memory.term != term.number() {
            *memory = Memory { term: term.number(), ..Memory::default() };
        }
        let ids: Vec<Name> = plan.workspaces.iter().map(|part| part.id.clone()).collect();
        let view = self.view(&ids).await?;
        self.recall_decisions(&mut memory, &ids).await?;
        let work = to_write(plan, &view, &memory);
        let mut committed = Committed::default();
        for chunk in work.chunks(CHUNK) {
            let result = self.commit_chunk(term, plan.at, chunk, &mut committed).await;
            // Also after a failure: a commit whose answer was lost may have been done.
            for item in chunk {
                let mut dirty = Dirty { rest: item.mainline.is_some(), ..Dirty::default() };
                if item.looks.is_empty() {
                    dirty.subjects.insert(item.subject.clone());
                } else {
                    dirty.rest = true;
                }
                self.soil(item.workspace, dirty);
            }
            if let Err(error) = result {
                *memory = Memory::default();
                return Err(error);
            }
            memory.learn(chunk);
        }
        Ok(committed)
    }

    async fn commit_chunk(
        &self,
        term: &Term,
        at: Timestamp,
        chunk: &[Work<'_>],
        committed: &mut Committed,
    ) -> Result<(), LedgerError> {
        let mut writing = self.writing(term).await?;
        let mut part = Committed::default();
        write(&mut writing, at, chunk, &mut part).await.map_err(|fault| self.fault(fault))?;
        self.done(writing).await?;
        committed.queued.append(&mut part.queued);
        committed.dropped.append(&mut part.dropped);
        committed.cancel.append(&mut part.cancel);
        committed.unapproved.append(&mut part.unapproved);
        Ok(())
    }

    async fn recall_decisions(&self, memory: &mut Memory, ids: &[Name]) -> Result<(), LedgerError> {
        for id in ids {
            if memory.decisions.contains_key(id) {
                continue;
            }
            let mut reading = self.reading().await?;
            let rows =
                sqlx::query("SELECT subject, word, reason FROM decision WHERE workspace = $1")
                    .bind(id.as_str())
                    .fetch_all(&mut *reading)
                    .await
                    .map_err(|error| self.fault(error.into()))?;
            let decisions = rows
                .iter()
                .map(|row| {
                    Ok((parsed(row, "subject")?, (text(row, "word")?, text(row, "reason")?)))
                })
                .collect::<Result<_, Fault>>()
                .map_err(|fault| self.fault(fault))?;
            memory.decisions.insert(id.clone(), decisions);
        }
        Ok(())
    }
}

impl Memory {
    fn learn(&mut self, chunk: &[Work<'_>]) {
        for item in chunk {
            if let Some((word, reason)) = item.decision {
                let decisions = self.decisions.entry(item.workspace.clone()).or_default();
                decisions.insert(item.subject.clone(), (word.to_owned(), reason.to_owned()));
            }
            self.settled
                .extend(item.superseded.iter().filter(|old| old.cancel).map(|old| old.request_id));
            for trigger in &item.triggers {
                self.settled.remove(&trigger.request.request_id);
            }
        }
    }
}

type Writing = Transaction<'static, Any>;

async fn write(
    writing: &mut Writing,
    at: Timestamp,
    chunk: &[Work<'_>],
    committed: &mut Committed,
) -> Result<(), Fault> {
    let row = sqlx::query("SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) AS last FROM audit")
        .fetch_one(&mut **writing)
        .await?;
    let mut audited = number(&row, "last")?;
    for item in chunk {
        let (workspace, subject) = (item.workspace.as_str(), item.subject.to_string());
        facts(writing, item, &subject).await?;
        for old in &item.superseded {
            supersede(writing, at, old, committed).await?;
        }
        for trigger in &item.triggers {
            if let Some(plan) = item.plan {
                queue(writing, at, workspace, plan, trigger, committed).await?;
            }
        }
        if let Some((word, reason)) = item.decision {
            audited += 1;
            decide(writing, at, audited, workspace, &subject, word, reason).await?;
        }
    }
    Ok(())
}

async fn facts(writing: &mut Writing, item: &Work<'_>, subject: &str) -> Result<(), Fault> {
    let workspace = item.workspace.as_str();
    if let Some(facts) = item.facts {
        sqlx::query(
            "INSERT INTO change_facts (workspace, subject, facts) VALUES ($1, $2, $3) \
             ON CONFLICT (workspace, subject) DO UPDATE SET facts = excluded.facts",
        )
        .bind(workspace)
        .bind(subject)
        .bind(to_json("facts", facts)?)
        .execute(&mut **writing)
        .await?;
    }
    if let Some(facts) = item.mainline {
        sqlx::query(
            "INSERT INTO mainline_facts (workspace, facts) VALUES ($1, $2) \
             ON CONFLICT (workspace) DO UPDATE SET facts = excluded.facts",
        )
        .bind(workspace)
        .bind(to_json("facts", facts)?)
        .execute(&mut **writing)
        .await?;
    }
    for look in &item.looks {
        sqlx::query(
            "INSERT INTO look (workspace, repository, branch) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(workspace)
        .bind(look.repository.to_string())
        .bind(look.branch.as_str())
        .execute(&mut **writing)
        .await?;
    }
    Ok(())
}

async fn supersede(
    writing: &mut Writing,
    at: Timestamp,
    old: &crosswatch_core::model::plan::Superseded,
    committed: &mut Committed,
) -> Result<(), Fault> {
    let id = old.request_id.to_string();
    let dropped = sqlx::query(
        "UPDATE attempt SET stage = 'dropped', is_open = 0, ended_at = $1, note = $2 \
         WHERE request_id = $3 AND stage = 'queued'",
    )
    .bind(at.0)
    .bind(&old.why)
    .bind(&id)
    .execute(&mut **writing)
    .await?;
    if dropped.rows_affected() == 1 {
        committed.dropped.push(old.request_id);
    } else if old.cancel {
        let marked = sqlx::query(
            "UPDATE attempt SET cancel_wanted = 1, cancel_why = $1 \
             WHERE request_id = $2 AND is_open = 1 AND cancel_wanted = 0",
        )
        .bind(&old.why)
        .bind(&id)
        .execute(&mut **writing)
        .await?;
        if marked.rows_affected() == 1 {
            committed.cancel.push(old.request_id);
        }
    }
    Ok(())
}

async fn queue(
    writing: &mut Writing,
    at: Timestamp,
    workspace: &str,
    plan: &SubjectPlan,
    trigger: &Trigger,
    committed: &mut Committed,
) -> Result<(), Fault> {
    let request = &trigger.request;
    let (id, subject) = (request.request_id.to_string(), request.subject.to_string());
    if trigger.needs_approval {
        let approved = sqlx::query(
            "SELECT given_at FROM approval \
             WHERE workspace = $1 AND subject = $2 AND set_digest = $3",
        )
        .bind(workspace)
        .bind(&subject)
        .bind(set_digest(&request.set))
        .fetch_optional(&mut **writing)
        .await?;
        if approved.is_none() {
            committed.unapproved.push(request.request_id);
            return Ok(());
        }
    }
    let inserted = sqlx::query(
        "INSERT INTO attempt (request_id, workspace, subject, ci, fingerprint, attempt, stage, \
         is_open, priority, decided_at, queued_at, tries, cancel_wanted, members, parts, request) \
         VALUES ($1, $2, $3, $4, $5, $6, 'queued', 1, $7, $8, $9, 0, 0, $10, $11, $12) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&id)
    .bind(workspace)
    .bind(&subject)
    .bind(trigger.ci.as_str())
    .bind(request.fingerprint.to_string())
    .bind(i64::from(request.attempt))
    .bind(trigger.priority.rank())
    .bind(request.decided_at.0)
    .bind(at.0)
    .bind(to_json("members", &request.set)?)
    .bind(to_json("parts", &plan.parts)?)
    .bind(to_json("request", request)?)
    .execute(&mut **writing)
    .await?;
    let mut queued = inserted.rows_affected() == 1;
    if !queued {
        // It was dropped before it was sent, and is wanted once more. Its request stays as it is.
        let again = sqlx::query(
            "UPDATE attempt SET stage = 'queued', is_open = 1, ended_at = NULL, note = NULL, \
             cancel_wanted = 0, cancel_why = NULL, not_before = NULL, sending_deadline = NULL, \
             queued_at = $1, priority = $2 WHERE request_id = $3 AND stage = 'dropped'",
        )
        .bind(at.0)
        .bind(trigger.priority.rank())
        .bind(&id)
        .execute(&mut **writing)
        .await?;
        queued = again.rows_affected() == 1;
    }
    if queued {
        committed.queued.push(request.request_id);
    }
    Ok(())
}

async fn decide(
    writing: &mut Writing,
    at: Timestamp,
    audited: i64,
    workspace: &str,
    subject: &str,
    word: &str,
    reason: &str,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO audit (id, workspace, subject, decided_at, word, reason) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(audited)
    .bind(workspace)
    .bind(subject)
    .bind(at.0)
    .bind(word)
    .bind(reason)
    .execute(&mut **writing)
    .await?;
    sqlx::query(
        "INSERT INTO decision (workspace, subject, word, reason) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace, subject) DO UPDATE SET word = excluded.word, \
         reason = excluded.reason",
    )
    .bind(workspace)
    .bind(subject)
    .bind(word)
    .bind(reason)
    .execute(&mut **writing)
    .await?;
    Ok(())
}
