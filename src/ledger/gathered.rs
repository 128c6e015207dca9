//! Rows of a transaction, gathered so that those of many subjects and workspaces are written at once.

use std::sync::Arc;

use crosswatch_core::model::build::{BuildRequest, PackageHead, Stage};
use crosswatch_core::model::identity::{ChangeId, Name, Subject};
use crosswatch_core::model::ledger_view::{AttemptView, ChangeFacts, Look, MainlineFacts};
use crosswatch_core::model::plan::{SubjectPlan, Trigger};
use crosswatch_core::model::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::attempts::Asked;
use super::batch::Batch;
use super::{LedgerError, to_json};

/// The rows.
pub(super) struct Gathered {
    looks: Batch<3>,
    facts: Batch<3>,
    mainlines: Batch<2>,
    decisions: Batch<5>,
    audit: Batch<5>,
    heads: Batch<2>,
    attempts: Batch<14>,
    requests: Batch<2>,
    /// The commits that were gathered last, with their digest: attempts of a workspace share them.
    last: Option<(Arc<[PackageHead]>, String)>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            looks: Batch::new(
                "INSERT INTO looks (workspace, repository, branch)",
                "ON CONFLICT DO NOTHING",
            ),
            facts: Batch::new(
                "INSERT INTO change_facts (workspace, change_name, facts)",
                "ON CONFLICT (workspace, change_name) DO UPDATE SET facts = excluded.facts",
            ),
            mainlines: Batch::new(
                "INSERT INTO mainline_facts (workspace, facts)",
                "ON CONFLICT (workspace) DO UPDATE SET facts = excluded.facts",
            ),
            decisions: Batch::new(
                "INSERT INTO decisions (workspace, subject, word, reason, decided_at)",
                "ON CONFLICT (workspace, subject) DO UPDATE SET word = excluded.word, \
                 reason = excluded.reason, decided_at = excluded.decided_at",
            ),
            audit: Batch::new(
                "INSERT INTO audit (workspace, subject, word, reason, decided_at)",
                "",
            ),
            heads: Batch::new("INSERT INTO heads (digest, heads)", "ON CONFLICT DO NOTHING"),
            attempts: Batch::new(
                "INSERT INTO attempts (request_id, workspace, subject, ci, fingerprint, attempt, \
                 stage, is_open, priority, decided_at, heads, members, seen, parts)",
                "ON CONFLICT DO NOTHING RETURNING request_id",
            ),
            requests: Batch::new(
                "INSERT INTO requests (request_id, request)",
                "ON CONFLICT DO NOTHING",
            ),
            last: None,
        }
    }
}

impl Gathered {
    /// Facts of a workspace.
    pub(super) fn facts(
        &mut self,
        workspace: &Name,
        looks: &[Look],
        facts: &[(ChangeId, ChangeFacts)],
        mainline: Option<&MainlineFacts>,
    ) -> Result<(), LedgerError> {
        let workspace = workspace.as_str();
        for Look { repository, branch } in looks {
            let repository = repository.to_string();
            self.looks.push([workspace.into(), repository.into(), branch.as_str().into()]);
        }
        for (change, facts) in facts {
            let change = change.to_string();
            self.facts.push([workspace.into(), change.into(), to_json(facts)?.into()]);
        }
        if let Some(facts) = mainline {
            self.mainlines.push([workspace.into(), to_json(facts)?.into()]);
        }
        Ok(())
    }

    /// Decisions of a workspace that are other ones than before.
    pub(super) fn decisions(&mut self, workspace: &Name, changed: &[&SubjectPlan], at: Timestamp) {
        for subject in changed {
            let decision = &subject.decision;
            let row = [
                workspace.as_str().into(),
                subject.subject.to_string().into(),
                decision.word().into(),
                decision.reason().into(),
                at.0.into(),
            ];
            self.audit.push(row.clone());
            self.decisions.push(row);
        }
    }

    /// A build to trigger; gives what the view has of it once it is written.
    pub(super) fn attempt(
        &mut self,
        workspace: &Name,
        subject: &Subject,
        trigger: &Trigger,
    ) -> Result<AttemptView, LedgerError> {
        let request = &trigger.request;
        let attempt = AttemptView::queued(trigger.ci.clone(), request, trigger.parts.clone());
        let heads = self.heads(&request.heads)?;
        let kept = BuildRequest { heads: Arc::default(), ..request.clone() };
        let asked = Asked::of(workspace, &attempt);
        let id = request.request_id.to_string();
        self.requests.push([id.as_str().into(), to_json(&kept)?.into()]);
        self.attempts.push([
            id.into(),
            workspace.as_str().into(),
            subject.to_string().into(),
            trigger.ci.as_str().into(),
            request.fingerprint.to_string().into(),
            i64::from(request.attempt).into(),
            Stage::Queued.word().into(),
            1.into(),
            trigger.priority.rank().into(),
            request.decided_at.0.into(),
            heads.into(),
            to_json(&attempt.set)?.into(),
            to_json(&asked)?.into(),
            asked.parts(&attempt.parts)?.into(),
        ]);
        Ok(attempt)
    }

    /// Digest of the mainline's commits, which are written unless they are there.
    fn heads(&mut self, heads: &Arc<[PackageHead]>) -> Result<String, LedgerError> {
        if let Some((last, digest)) = &self.last
            && Arc::ptr_eq(last, heads)
        {
            return Ok(digest.clone());
        }
        let text = to_json(heads)?;
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        self.heads.push([digest.as_str().into(), text.into()]);
        self.last = Some((Arc::clone(heads), digest.clone()));
        Ok(digest)
    }

    /// Writes all of them. Gives the request ids of attempts that are new.
    pub(super) async fn write(
        self,
        write: &mut Transaction<'static, Any>,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        self.looks.write(write).await?;
        self.facts.write(write).await?;
        self.mainlines.write(write).await?;
        self.decisions.write(write).await?;
        self.audit.write(write).await?;
        self.heads.write(write).await?;
        self.requests.write(write).await?;
        self.attempts.write(write).await
    }
}
