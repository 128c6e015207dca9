//! What people say: approvals, rebuilds, pauses.

use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::{Approval, Rebuild};

use super::{Ledger, LedgerError, Term, to_json};

impl Ledger {
    /// Stores an approval of an exact set; it takes the place of an earlier one of the subject.
    pub async fn approve(
        &self,
        term: &Term,
        workspace: &Name,
        approval: &Approval,
    ) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query(
            "INSERT INTO approvals (workspace, subject, approval, given_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (workspace, subject) DO UPDATE SET approval = $3, given_at = $4",
        )
        .bind(workspace.as_str())
        .bind(approval.subject.to_string())
        .bind(to_json(approval)?)
        .bind(approval.at.0)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        self.done(write, std::slice::from_ref(workspace)).await
    }

    /// Stores that somebody wants a subject built again.
    pub async fn ask_rebuild(
        &self,
        term: &Term,
        workspace: &Name,
        subject: &Subject,
        rebuild: &Rebuild,
    ) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        let view = self.view();
        let attempts = view.workspaces.get(workspace).and_then(|part| part.attempts.get(subject));
        let rebuild = rebuild.clone().after(attempts.map_or(&[], Vec::as_slice));
        sqlx::query(
            "INSERT INTO rebuilds (workspace, subject, rebuild) VALUES ($1, $2, $3) \
             ON CONFLICT (workspace, subject) DO UPDATE SET rebuild = $3",
        )
        .bind(workspace.as_str())
        .bind(subject.to_string())
        .bind(to_json(&rebuild)?)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        self.done(write, std::slice::from_ref(workspace)).await
    }

    /// Nothing of the workspace is triggered until it is resumed.
    pub async fn pause(&self, term: &Term, workspace: &Name, by: &str) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query(
            "INSERT INTO pauses (workspace, paused_by) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(workspace.as_str())
        .bind(by)
        .execute(&mut *write)
        .await
        .map_err(self.sql())?;
        self.done(write, std::slice::from_ref(workspace)).await
    }

    /// Ends a pause.
    pub async fn resume(&self, term: &Term, workspace: &Name) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        sqlx::query("DELETE FROM pauses WHERE workspace = $1")
            .bind(workspace.as_str())
            .execute(&mut *write)
            .await
            .map_err(self.sql())?;
        self.done(write, std::slice::from_ref(workspace)).await
    }
}
