//! The one transaction of a pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use crosswatch_core::model::build::{RequestId, Stage};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::leap::{Carried, Leap};
use crosswatch_core::model::ledger_view::{Approval, AttemptView};
use crosswatch_core::model::plan::{Plan, SubjectPlan, Trigger, WorkspacePlan};
use crosswatch_core::model::time::Span;
use sqlx::{Any, Row as _, Transaction};

use super::gathered::Gathered;
use super::{Ledger, LedgerError, Stored, Term};

/// Facts and subjects after which a transaction takes no other workspace.
const CHUNK: usize = 1_000;

/// What a transaction wrote of a workspace.
pub(super) struct Touched<'p> {
    /// Its facts.
    pub(super) plan: &'p WorkspacePlan,
    /// Attempts that were queued, if there were none like them.
    pub(super) queued: Vec<(&'p Subject, AttemptView)>,
    /// Subjects of which attempts were dropped or cancelled.
    pub(super) subjects: Vec<&'p Subject>,
}

impl<'p> Touched<'p> {
    fn new(plan: &'p WorkspacePlan) -> Self {
        Self { plan, queued: Vec::new(), subjects: Vec::new() }
    }
}

/// A transaction of a plan.
struct Writing<'p> {
    transaction: Transaction<'static, Any>,
    begun: Span,
    /// What is written at its end.
    rows: Gathered,
    touched: Vec<Touched<'p>>,
    /// Facts, decisions, subjects and reports in it.
    written: usize,
}

impl Writing<'_> {
    async fn begin(ledger: &Ledger, term: &Term) -> Result<Self, LedgerError> {
        Ok(Self {
            transaction: ledger.write(term).await?,
            begun: ledger.clock.steady(),
            rows: Gathered::default(),
            touched: Vec::new(),
            written: 0,
        })
    }
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
    /// How long each of its transactions kept others from writing.
    pub transactions: Vec<Span>,
}

impl Committed {
    /// Whether anything is left to do at CIs.
    pub fn acts(&self) -> bool {
        !(self.queued.is_empty() && self.dropped.is_empty() && self.cancel.is_empty())
    }
}

impl Ledger {
    /// Stores facts, attempts, cancel intents, changed decisions and reports of a plan in one
    /// transaction; one with more than 1,000 of them takes several. What did not change is not
    /// written, and a plan that says nothing new begins no transaction.
    pub async fn commit(&self, term: &Term, plan: &Plan) -> Result<Committed, LedgerError> {
        let mut committed = Committed::default();
        let mut write = None;
        let before = self.stored();
        for workspace in &plan.workspaces {
            let changed = match before.get(&workspace.id) {
                Some(stored) if Arc::ptr_eq(stored, workspace) => Vec::new(),
                Some(stored) => changed_since(stored, workspace),
                None => self.changed_decisions(workspace).await?,
            };
            let subjects: Vec<&SubjectPlan> = workspace.acting().collect();
            let facts = !workspace.facts.is_empty()
                || !workspace.looks.is_empty()
                || workspace.mainline.is_some();
            let says = !workspace.reports.is_empty();
            if !facts && subjects.is_empty() && changed.is_empty() && !says {
                continue;
            }
            let mut open = match write.take() {
                Some(open) => open,
                None => Writing::begin(self, term).await?,
            };
            let mainline = workspace.mainline.as_ref();
            open.rows.facts(&workspace.id, &workspace.looks, &workspace.facts, mainline)?;
            open.rows.decisions(&workspace.id, &changed, plan.at);
            self.write_reports(&mut open.transaction, workspace, plan.at).await?;
            committed.reports += workspace.reports.len();
            let mut written = Touched::new(workspace);
            for subject in &subjects {
                self.write_subject(&mut open, &mut written, subject, &mut committed).await?;
            }
            open.touched.push(written);
            open.written += workspace.facts.len() + changed.len() + subjects.len();
            open.written += workspace.reports.len();
            if open.written < CHUNK {
                write = Some(open);
            } else {
                self.finish(open, &mut committed).await?;
            }
        }
        if let Some(write) = write {
            self.finish(write, &mut committed).await?;
        }
        let stored = plan.workspaces.iter().map(|plan| (plan.id.clone(), Arc::clone(plan)));
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(stored.collect());
        Ok(committed)
    }

    /// Writes what was gathered, ends the transaction, and lets the view take over what was written.
    async fn finish(
        &self,
        mut write: Writing<'_>,
        committed: &mut Committed,
    ) -> Result<(), LedgerError> {
        let queued = write.rows.write(&mut write.transaction).await.map_err(self.sql())?;
        let queued: BTreeSet<RequestId> = queued
            .iter()
            .map(|row| {
                let id: String = row.try_get(0).map_err(self.sql())?;
                id.parse().map_err(|why: String| self.content(why))
            })
            .collect::<Result<_, LedgerError>>()?;
        write.transaction.commit().await.map_err(self.sql())?;
        committed.transactions.push(Span(self.clock.steady().0.saturating_sub(write.begun.0)));
        committed.queued.extend(&queued);
        self.take_over(write.touched, &queued).await
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
                let mut rows = Gathered::default();
                rows.facts(id, &[], facts, mainline.as_ref())?;
                rows.write(&mut write).await.map_err(self.sql())?;
                self.done(write, &[]).await?;
                self.carried(id, facts, mainline).await;
            }
        }
        Ok(())
    }

    async fn write_subject<'p>(
        &self,
        open: &mut Writing<'p>,
        touched: &mut Touched<'p>,
        subject: &'p SubjectPlan,
        committed: &mut Committed,
    ) -> Result<(), LedgerError> {
        let (write, workspace) = (&mut open.transaction, &touched.plan.id);
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
            if trigger.needs_approval && !self.approved(write, workspace, subject, trigger).await? {
                continue;
            }
            let attempt = open.rows.attempt(workspace, &subject.subject, trigger)?;
            touched.queued.push((&subject.subject, attempt));
        }
        if !subject.superseded.is_empty() {
            touched.subjects.push(&subject.subject);
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
        let changed = plan.subjects().filter(|subject| {
            let now = (subject.decision.word(), subject.decision.reason());
            known.get(subject.subject.to_string().as_str()) != Some(&now)
        });
        Ok(changed.collect())
    }
}

/// Subjects whose decision is another one than in the plan that was stored last.
fn changed_since<'p>(stored: &WorkspacePlan, plan: &'p WorkspacePlan) -> Vec<&'p SubjectPlan> {
    let mut changed = Vec::new();
    let mut before = stored.parts.iter().peekable();
    for part in &plan.parts {
        while before.next_if(|old| old.repository < part.repository).is_some() {}
        let before = before.next_if(|old| old.repository == part.repository);
        if before.is_some_and(|before| Arc::ptr_eq(before, part)) {
            continue;
        }
        let known = before.map_or(&[][..], |before| &before.subjects);
        let same = |subject: &SubjectPlan| {
            let known = known.iter().find(|known| known.subject == subject.subject)?;
            let (one, other) = (&known.decision, &subject.decision);
            Some(one.word() == other.word() && one.reason() == other.reason())
        };
        changed.extend(part.subjects.iter().filter(|subject| same(subject) != Some(true)));
    }
    changed
}
