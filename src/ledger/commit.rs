//! The one transaction of a pass.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crosswatch_core::model::build::{RequestId, Stage};
use crosswatch_core::model::identity::{ChangeId, Name, Subject};
use crosswatch_core::model::leap::{Carried, Leap};
use crosswatch_core::model::ledger_view::{Approval, ChangeFacts, Look, MainlineFacts};
use crosswatch_core::model::plan::{Decision, Plan, SubjectPlan, Trigger, WorkspacePlan};
use sqlx::{Any, Row as _, Transaction};

use super::{Ledger, LedgerError, Stored, Term, to_json};

/// Facts and subjects after which a transaction takes no other workspace.
const CHUNK: usize = 1_000;

/// What a transaction wrote of a workspace.
#[derive(Clone)]
pub(super) struct Touched<'p> {
    /// Its facts.
    pub(super) plan: &'p WorkspacePlan,
    /// Subjects of which attempts were queued, dropped or cancelled.
    pub(super) subjects: Vec<&'p Subject>,
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Attempts that are new in the outbox.
    pub queued: Vec<RequestId>,
    /// Attempts that were dropped before anything was sent.
    pub dropped: Vec<RequestId>,
    /// Attempts with the CI that should be cancelled.
    pub cancel: Vec<RequestId>,
    /// Statuses and comments that should be written.
    pub reports: usize,
}

impl Ledger {
    /// Stores facts, attempts, cancel intents, changed decisions and reports of a plan in one
    /// transaction; one with more than 1,000 of them takes several. What did not change is not
    /// written, and a plan that says nothing new begins no transaction.
    pub async fn commit(&self, term: &Term, plan: &Plan) -> Result<Committed, LedgerError> {
        let mut committed = Committed::default();
        let mut touched: Vec<Touched<'_>> = Vec::new();
        let mut write = None;
        let mut written = 0;
        let before = self.stored();
        for workspace in &plan.workspaces {
            let changed = match before.get(&workspace.id) {
                Some(stored) if Arc::ptr_eq(stored, workspace) => Vec::new(),
                Some(stored) => changed_since(stored, workspace),
                None => self.changed_decisions(workspace).await?,
            };
            let acts = |subject: &&Arc<SubjectPlan>| {
                !subject.triggers.is_empty() || !subject.superseded.is_empty()
            };
            let subjects: Vec<&SubjectPlan> =
                workspace.subjects.iter().filter(acts).map(|subject| &**subject).collect();
            let facts = !workspace.facts.is_empty()
                || !workspace.looks.is_empty()
                || workspace.mainline.is_some();
            let says = !workspace.reports.is_empty();
            if !facts && subjects.is_empty() && changed.is_empty() && !says {
                continue;
            }
            let mut open = match write.take() {
                Some(open) => open,
                None => self.write(term).await?,
            };
            let (id, mainline) = (workspace.id.as_str(), workspace.mainline.as_ref());
            self.write_facts(&mut open, id, &workspace.looks, &workspace.facts, mainline).await?;
            self.write_decisions(&mut open, workspace, &changed, plan.at.0).await?;
            self.write_reports(&mut open, workspace, plan.at).await?;
            committed.reports += workspace.reports.len();
            for subject in &subjects {
                self.write_subject(&mut open, workspace, subject, &mut committed).await?;
            }
            written += workspace.facts.len() + changed.len() + subjects.len();
            written += workspace.reports.len();
            let subjects = subjects.into_iter().map(|subject| &subject.subject).collect();
            touched.push(Touched { plan: workspace, subjects });
            if written < CHUNK {
                write = Some(open);
            } else {
                self.committed(open, &touched).await?;
                touched.clear();
                written = 0;
            }
        }
        if let Some(write) = write {
            self.committed(write, &touched).await?;
        }
        let stored = plan.workspaces.iter().map(|plan| (plan.id.clone(), Arc::clone(plan)));
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(stored.collect());
        Ok(committed)
    }

    fn stored(&self) -> Stored {
        Arc::clone(&self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Carries what was noted of late along with a clock that ran ahead, in transactions of bounded size.
    /// When it fails between two of them it can be called again.
    pub async fn carry(&self, term: &Term, leap: Leap) -> Result<(), LedgerError> {
        for (id, part) in &self.view().workspaces {
            let Carried { changes, mut mainline } = leap.of(part);
            let mut chunks = changes.chunks(CHUNK);
            loop {
                let (facts, mainline) = (chunks.next().unwrap_or_default(), mainline.take());
                if facts.is_empty() && mainline.is_none() {
                    break;
                }
                let mut write = self.write(term).await?;
                self.write_facts(&mut write, id, &[], facts, mainline.as_ref()).await?;
                self.done(write, &[]).await?;
                self.carried(id, facts, mainline).await;
            }
        }
        Ok(())
    }

    async fn write_facts(
        &self,
        write: &mut Transaction<'static, Any>,
        id: &str,
        looks: &[Look],
        facts: &[(ChangeId, ChangeFacts)],
        mainline: Option<&MainlineFacts>,
    ) -> Result<(), LedgerError> {
        for look in looks {
            sqlx::query(
                "INSERT INTO looks (workspace, repository, branch) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(look.repository.to_string())
            .bind(look.branch.as_str())
            .execute(&mut **write)
            .await
            .map_err(self.sql())?;
        }
        for (change, facts) in facts {
            sqlx::query(
                "INSERT INTO change_facts (workspace, change_name, facts) VALUES ($1, $2, $3) \
                 ON CONFLICT (workspace, change_name) DO UPDATE SET facts = $3",
            )
            .bind(id)
            .bind(change.to_string())
            .bind(to_json(facts)?)
            .execute(&mut **write)
            .await
            .map_err(self.sql())?;
        }
        if let Some(facts) = mainline {
            sqlx::query(
                "INSERT INTO mainline_facts (workspace, facts) VALUES ($1, $2) \
                 ON CONFLICT (workspace) DO UPDATE SET facts = $2",
            )
            .bind(id)
            .bind(to_json(facts)?)
            .execute(&mut **write)
            .await
            .map_err(self.sql())?;
        }
        Ok(())
    }

    async fn write_subject(
        &self,
        write: &mut Transaction<'static, Any>,
        plan: &WorkspacePlan,
        subject: &SubjectPlan,
        committed: &mut Committed,
    ) -> Result<(), LedgerError> {
        for superseded in &subject.superseded {
            let id = superseded.request_id.to_string();
            let dropped = sqlx::query(
                "UPDATE attempts SET stage = $1, is_open = 0, note = $2, ended_at = $5 \
                 WHERE request_id = $3 AND stage = $4",
            )
            .bind(Stage::Dropped.word())
            .bind(&superseded.why)
            .bind(&id)
            .bind(Stage::Queued.word())
            .bind(self.clock.now().0)
            .execute(&mut **write)
            .await
            .map_err(self.sql())?;
            if dropped.rows_affected() > 0 {
                committed.dropped.push(superseded.request_id);
            } else if superseded.cancel {
                let cancelled = sqlx::query(
                    "UPDATE attempts SET cancel_wanted = 1, note = $1 \
                     WHERE request_id = $2 AND is_open = 1 AND cancel_wanted = 0",
                )
                .bind(&superseded.why)
                .bind(&id)
                .execute(&mut **write)
                .await
                .map_err(self.sql())?;
                if cancelled.rows_affected() > 0 {
                    committed.cancel.push(superseded.request_id);
                }
            }
        }
        for trigger in &subject.triggers {
            if trigger.needs_approval && !self.approved(write, &plan.id, subject, trigger).await? {
                continue;
            }
            if self.queue(write, &plan.id, subject, trigger).await? {
                committed.queued.push(trigger.request.request_id);
            }
        }
        Ok(())
    }

    async fn approved(
        &self,
        write: &mut Transaction<'static, Any>,
        workspace: &Name,
        subject: &SubjectPlan,
        trigger: &Trigger,
    ) -> Result<bool, LedgerError> {
        let own = [(subject.subject.clone(), subject.set.clone())];
        let needed = if trigger.approved_as.is_empty() { &own[..] } else { &trigger.approved_as };
        for (subject, set) in needed {
            let row =
                sqlx::query("SELECT approval FROM approvals WHERE workspace = $1 AND subject = $2")
                    .bind(workspace.as_str())
                    .bind(subject.to_string())
                    .fetch_optional(&mut **write)
                    .await
                    .map_err(self.sql())?;
            let Some(row) = row else { return Ok(false) };
            let text: String = row.try_get(0).map_err(self.sql())?;
            let approval: Approval = self.json(&text)?;
            if !approval.releases(subject, set) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn queue(
        &self,
        write: &mut Transaction<'static, Any>,
        workspace: &Name,
        subject: &SubjectPlan,
        trigger: &Trigger,
    ) -> Result<bool, LedgerError> {
        let request = &trigger.request;
        let inserted = sqlx::query(
            "INSERT INTO attempts (request_id, workspace, subject, ci, fingerprint, attempt, stage, \
             is_open, priority, decided_at, request, parts) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        )
        .bind(request.request_id.to_string())
        .bind(workspace.as_str())
        .bind(subject.subject.to_string())
        .bind(trigger.ci.as_str())
        .bind(request.fingerprint.to_string())
        .bind(i64::from(request.attempt))
        .bind(Stage::Queued.word())
        .bind(trigger.priority.rank())
        .bind(request.decided_at.0)
        .bind(to_json(request)?)
        .bind(to_json(&trigger.parts)?)
        .execute(&mut **write)
        .await
        .map_err(self.sql())?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Subjects whose decision is another one than the last that was written.
    async fn changed_decisions<'p>(
        &self,
        plan: &'p WorkspacePlan,
    ) -> Result<Vec<&'p SubjectPlan>, LedgerError> {
        let decisions = "SELECT string_agg(length(subject) || ':' || subject || \
             length(word) || ':' || word || length(reason) || ':' || reason, '') \
             FROM decisions WHERE workspace = $1";
        let rows = self.rows(decisions, &plan.id).await?;
        let mut known = BTreeMap::new();
        for row in rows.each() {
            let [subject, word, reason] = row.map_err(|why| self.content(why))?;
            known.insert(subject, (word, reason));
        }
        let changed = plan.subjects.iter().filter(|subject| {
            let now = (subject.decision.word(), subject.decision.reason());
            known.get(subject.subject.to_string().as_str()) != Some(&now)
        });
        Ok(changed.map(|subject| &**subject).collect())
    }

    async fn write_decisions(
        &self,
        write: &mut Transaction<'static, Any>,
        plan: &WorkspacePlan,
        changed: &[&SubjectPlan],
        at: i64,
    ) -> Result<(), LedgerError> {
        for subject in changed {
            for statement in [
                "INSERT INTO decisions (workspace, subject, word, reason, decided_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (workspace, subject) \
                 DO UPDATE SET word = $3, reason = $4, decided_at = $5",
                "INSERT INTO audit (workspace, subject, word, reason, decided_at) \
                 VALUES ($1, $2, $3, $4, $5)",
            ] {
                sqlx::query(statement)
                    .bind(plan.id.as_str())
                    .bind(subject.subject.to_string())
                    .bind(subject.decision.word())
                    .bind(subject.decision.reason())
                    .bind(at)
                    .execute(&mut **write)
                    .await
                    .map_err(self.sql())?;
            }
        }
        Ok(())
    }
}

/// Subjects whose decision is another one than in the plan that was stored last.
fn changed_since<'p>(stored: &WorkspacePlan, plan: &'p WorkspacePlan) -> Vec<&'p SubjectPlan> {
    let known: BTreeMap<&Subject, &Decision> =
        stored.subjects.iter().map(|subject| (&subject.subject, &*subject.decision)).collect();
    let changed = plan.subjects.iter().filter(|subject| {
        known.get(&subject.subject).is_none_or(|known| {
            known.word() != subject.decision.word() || known.reason() != subject.decision.reason()
        })
    });
    changed.map(|subject| &**subject).collect()
}
