//! What people say: approvals, rebuilds, pauses.

use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::{Approval, Rebuild};
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::rows::{set_digest, to_json};
use super::view::Dirty;
use super::{Ledger, LedgerError, Term};

impl Ledger {
    /// Allows exactly that set to be built for its subject.
    pub async fn approve(
        &self,
        term: &Term,
        workspace: &Name,
        approval: &Approval,
    ) -> Result<(), LedgerError> {
        let members = to_json("members", &approval.set).map_err(|fault| self.fault(fault))?;
        let statement = sqlx::query(
            "INSERT INTO approval (workspace, subject, set_digest, members, given_by, given_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workspace, subject, set_digest) \
             DO UPDATE SET given_by = excluded.given_by, given_at = excluded.given_at",
        )
        .bind(workspace.to_string())
        .bind(approval.subject.to_string())
        .bind(set_digest(&approval.set))
        .bind(members)
        .bind(approval.by.clone())
        .bind(approval.at.0);
        self.say(term, workspace, statement).await
    }

    /// Asks for a rebuild; only the last wish for a subject is kept.
    pub async fn ask_rebuild(
        &self,
        term: &Term,
        workspace: &Name,
        subject: &Subject,
        rebuild: &Rebuild,
    ) -> Result<(), LedgerError> {
        let statement = sqlx::query(
            "INSERT INTO rebuild (workspace, subject, asked_by, asked_at, alone) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (workspace, subject) DO UPDATE SET \
             asked_by = excluded.asked_by, asked_at = excluded.asked_at, alone = excluded.alone",
        )
        .bind(workspace.to_string())
        .bind(subject.to_string())
        .bind(rebuild.by.clone())
        .bind(rebuild.at.0)
        .bind(i64::from(rebuild.alone));
        self.say(term, workspace, statement).await
    }

    /// Pauses a workspace. The first who did stays named.
    pub async fn pause(&self, term: &Term, workspace: &Name, by: &str) -> Result<(), LedgerError> {
        let statement = sqlx::query(
            "INSERT INTO pause (workspace, paused_by, paused_at) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(workspace.to_string())
        .bind(by.to_owned())
        .bind(self.0.clock.now().0);
        self.say(term, workspace, statement).await
    }

    /// Ends a pause.
    pub async fn resume(&self, term: &Term, workspace: &Name, by: &str) -> Result<(), LedgerError> {
        let statement =
            sqlx::query("DELETE FROM pause WHERE workspace = $1").bind(workspace.to_string());
        self.say(term, workspace, statement).await?;
        tracing::info!(workspace = %workspace, by, "the workspace goes on");
        Ok(())
    }

    async fn say(
        &self,
        term: &Term,
        workspace: &Name,
        statement: Query<'static, Any, AnyArguments>,
    ) -> Result<(), LedgerError> {
        let mut writing = self.writing(term).await?;
        statement.execute(&mut *writing).await.map_err(|error| self.fault(error.into()))?;
        let result = self.done(writing).await;
        self.soil(workspace, Dirty { rest: true, ..Dirty::default() });
        result
    }
}
