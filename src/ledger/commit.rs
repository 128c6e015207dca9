//! The transactions of a pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use crosswatch_core::model::build::{RequestId, Stage};
use crosswatch_core::model::identity::{ChangeId, Name, Subject};
use crosswatch_core::model::leap::{Carried, Leap};
use crosswatch_core::model::ledger_view::{Approval, AttemptView, ChangeFacts};
use crosswatch_core::model::plan::{Plan, SubjectPlan, Trigger, WorkspacePlan};
use crosswatch_core::model::report::{Status, StatusKey};
use crosswatch_core::model::time::{Span, Timestamp};
use sqlx::{Any, Row as _, Transaction};

use super::gathered::Gathered;
use super::rows::each;
use super::{Ledger, LedgerError, Stored, Term};

/// Rows after which a transaction takes no other workspace, and how many facts, decisions or reports of one
/// are written in one go.
const CHUNK: usize = 1_000;
/// Rows after which a workspace goes on in another transaction.
const MOST: usize = 2_000;

/// What is new of a workspace, in pieces that come in this order. If a daemon ends between two of them, what
/// was written decides nothing that the rest would have decided otherwise.
enum Piece<'p, 'c> {
    /// Facts of changes: before anything that was decided with them.
    Facts(&'p [(ChangeId, ChangeFacts)]),
    /// Decisions that are other ones than before.
    Decisions(&'c [&'p SubjectPlan]),
    /// What becomes of attempts of a subject.
    Subject(&'p SubjectPlan),
    /// What forges should be told of commits.
    Statuses(&'p [(StatusKey, Status)]),
    /// The same of changes.
    Remarks(&'p [(ChangeId, Vec<String>)]),
    /// Looks, after the facts of all changes that were found with them: what is unknown then was opened
    /// later. The mainline's facts with what is built of it.
    Last(Option<&'p SubjectPlan>),
}

impl<'p, 'c> Piece<'p, 'c> {
    /// All of a plan, with decisions that are other ones than before.
    fn all(plan: &'p WorkspacePlan, changed: &'c [&'p SubjectPlan]) -> Vec<Self> {
        let (mainline, others): (Vec<_>, Vec<_>) =
            plan.acting().partition(|subject| subject.subject == Subject::Mainline);
        let mainline = mainline.first().copied();
        let mut pieces: Vec<Self> = plan.facts.chunks(CHUNK).map(Self::Facts).collect();
        pieces.extend(changed.chunks(CHUNK).map(Self::Decisions));
        pieces.extend(others.into_iter().map(Self::Subject));
        pieces.extend(plan.reports.statuses.chunks(CHUNK).map(Self::Statuses));
        pieces.extend(plan.reports.remarks.chunks(CHUNK).map(Self::Remarks));
        let rest = !plan.looks.is_empty() || plan.mainline.is_some() || mainline.is_some();
        if rest || !pieces.is_empty() {
            pieces.push(Self::Last(mainline));
        }
        pieces
    }

    fn rows(&self, plan: &WorkspacePlan) -> usize {
        match self {
            Self::Facts(facts) => facts.len(),
            Self::Decisions(changed) => changed.len(),
            Self::Subject(_) => 1,
            Self::Statuses(statuses) => statuses.len(),
            Self::Remarks(remarks) => remarks.len(),
            Self::Last(mainline) => plan.looks.len() + usize::from(mainline.is_some()),
        }
    }
}

/// What a transaction wrote of a workspace.
pub(super) struct Touched<'p> {
    /// The plan that it is of.
    pub(super) plan: &'p WorkspacePlan,
    /// Facts of changes.
    pub(super) facts: Vec<&'p [(ChangeId, ChangeFacts)]>,
    /// Attempts that were queued, if there were none like them.
    pub(super) queued: Vec<(&'p Subject, AttemptView)>,
    /// Subjects of which attempts were dropped or cancelled.
    pub(super) subjects: Vec<&'p Subject>,
    /// Whether that was the last of it.
    pub(super) last: bool,
}

impl<'p> Touched<'p> {
    fn new(plan: &'p WorkspacePlan) -> Self {
        let (facts, queued, subjects) = (Vec::new(), Vec::new(), Vec::new());
        Self { plan, facts, queued, subjects, last: false }
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
    /// transaction; one with more than 1,000 of them takes several, and one workspace more than one only
    /// with more than 2,000. What did not change is not written, and a plan that says nothing new begins
    /// no transaction.
    pub async fn commit(&self, term: &Term, plan: &Plan) -> Result<Committed, LedgerError> {
        let mut committed = Committed::default();
        let mut write: Option<Writing<'_>> = None;
        let before = self.stored();
        for workspace in &plan.workspaces {
            let changed = match before.get(&workspace.id) {
                Some(stored) if Arc::ptr_eq(stored, workspace) => Vec::new(),
                Some(stored) => changed_since(stored, workspace),
                None => self.changed_decisions(workspace).await?,
            };
            for (place, piece) in Piece::all(workspace, &changed).into_iter().enumerate() {
                let most = if place == 0 { CHUNK } else { MOST };
                let mut open = match write.take() {
                    Some(open) if open.written < most => open,
                    full => {
                        if let Some(full) = full {
                            self.finish(full, &mut committed).await?;
                        }
                        Writing::begin(self, term).await?
                    }
                };
                open.written += piece.rows(workspace);
                self.write_piece(&mut open, workspace, piece, (plan.at, &mut committed)).await?;
                write = Some(open);
            }
        }
        if let Some(write) = write {
            self.finish(write, &mut committed).await?;
        }
        let stored = plan.workspaces.iter().map(|plan| (plan.id.clone(), Arc::clone(plan)));
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(stored.collect());
        Ok(committed)
    }

    /// Writes a piece of a workspace, or gathers it to be written.
    async fn write_piece<'p>(
        &self,
        open: &mut Writing<'p>,
        plan: &'p WorkspacePlan,
        piece: Piece<'p, '_>,
        (at, committed): (Timestamp, &mut Committed),
    ) -> Result<(), LedgerError> {
        let mut touched = match open.touched.pop_if(|touched| std::ptr::eq(touched.plan, plan)) {
            Some(touched) => touched,
            None => Touched::new(plan),
        };
        match piece {
            Piece::Facts(facts) => {
                open.rows.facts(&plan.id, &[], facts, None)?;
                touched.facts.push(facts);
            }
            Piece::Decisions(changed) => open.rows.decisions(&plan.id, changed, at),
            Piece::Subject(subject) => {
                self.write_subject(open, &mut touched, subject, committed).await?;
            }
            Piece::Statuses(statuses) => {
                self.write_statuses(&mut open.transaction, &plan.id, statuses, at).await?;
                committed.reports += statuses.len();
            }
            Piece::Remarks(remarks) => {
                self.write_remarks(&mut open.transaction, &plan.id, remarks, at).await?;
                committed.reports += remarks.len();
            }
            Piece::Last(mainline) => {
                if let Some(subject) = mainline {
                    self.write_subject(open, &mut touched, subject, committed).await?;
                }
                open.rows.facts(&plan.id, &plan.looks, &[], plan.mainline.as_ref())?;
                touched.last = true;
            }
        }
        open.touched.push(touched);
        Ok(())
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
        for (id, part) in &*self.view().workspaces {
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
        let decisions = "SELECT string_agg(concat(length(subject), ':', subject, \
             length(word), ':', word, length(reason), ':', reason), '') \
             FROM decisions WHERE workspace = $1";
        let rows = self.rows(decisions, &plan.id).await?;
        let mut known = BTreeMap::new();
        for row in each(&rows) {
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
    for part in plan.parts.iter() {
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
