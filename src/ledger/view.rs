//! The planner's view, kept in memory and read again for each workspace that was written.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use crosswatch_core::model::build::{RequestId, Stage};
use crosswatch_core::model::identity::{ChangeId, Name, Subject};
use crosswatch_core::model::ledger_view::{
    ChangeFacts, LedgerView, MainlineFacts, WorkspaceLedger,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::commit::Touched;
use super::known::{self, Known};
use super::rows::each;
use super::{Ledger, LedgerError, attempts};

/// Workspaces that are read at once.
const AT_ONCE: usize = 4;

/// Most of what is recorded of a workspace, and how many rows the rest of it has: each statement costs more
/// than a row does.
const WORKSPACE: &str = "SELECT \
    (SELECT string_agg(concat(length(repository), ':', repository, length(branch), ':', branch), '') \
    FROM looks WHERE workspace = $1), \
    (SELECT string_agg(concat(length(change_name), ':', change_name, length(facts), ':', facts), '') \
    FROM change_facts WHERE workspace = $1), \
    (SELECT facts FROM mainline_facts WHERE workspace = $1), \
    (SELECT paused_by FROM pauses WHERE workspace = $1), \
    (SELECT COUNT(*) FROM attempts WHERE workspace = $1), \
    (SELECT COUNT(*) FROM approvals WHERE workspace = $1) \
    + (SELECT COUNT(*) FROM rebuilds WHERE workspace = $1), \
    (SELECT COUNT(*) FROM statuses WHERE workspace = $1) \
    + (SELECT COUNT(*) FROM remarks WHERE workspace = $1)";

impl Ledger {
    /// Reads the whole view anew; whoever led meanwhile may have stored other decisions.
    pub(super) async fn reload_all(&self) -> Result<(), LedgerError> {
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Known::everything();
        let rows = sqlx::query(
            "SELECT workspace FROM looks UNION SELECT workspace FROM change_facts \
             UNION SELECT workspace FROM mainline_facts UNION SELECT workspace FROM attempts \
             UNION SELECT workspace FROM pauses UNION SELECT workspace FROM statuses \
             UNION SELECT workspace FROM remarks",
        )
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        let mut workspaces = Vec::with_capacity(rows.len());
        for row in rows {
            let workspace: String = row.try_get(0).map_err(self.sql())?;
            workspaces.push(Name::from(workspace));
        }
        let reading = self.reading.lock().await;
        let parts = stream::iter(workspaces).map(|workspace| async move {
            let part = self.read_workspace(&workspace).await?;
            Ok::<_, LedgerError>((workspace, part))
        });
        let mut parts = parts.buffer_unordered(AT_ONCE);
        while let Some((workspace, part)) = parts.try_next().await? {
            self.replace(&workspace, part);
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).end();
        drop(reading);
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut view).ledger_id.clone_from(&self.id);
        Ok(())
    }

    /// Reads the part of one workspace anew; an equal one keeps its pointer.
    pub(super) async fn reload(&self, workspace: &Name) -> Result<(), LedgerError> {
        let _reading = self.reading.lock().await;
        let part = self.read_workspace(workspace).await?;
        self.replace(workspace, part);
        Ok(())
    }

    /// Puts a part that was read into the view.
    fn replace(&self, workspace: &Name, part: WorkspaceLedger) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if view.workspaces.get(workspace).is_none_or(|before| **before != part) {
            let next: &mut LedgerView = Arc::make_mut(&mut view);
            Arc::make_mut(&mut next.workspaces).insert(workspace.clone(), Arc::new(part));
        }
    }

    /// Takes over what a plan's transaction wrote.
    pub(super) async fn take_over(
        &self,
        touched: Vec<Touched<'_>>,
        new: &BTreeSet<RequestId>,
    ) -> Result<(), LedgerError> {
        let _reading = self.reading.lock().await;
        for Touched { plan, facts, queued, subjects, last } in touched {
            let mut attempts = Vec::new();
            for subject in subjects {
                attempts.push((subject, self.read_attempts(&plan.id, subject).await?));
            }
            self.change(&plan.id, |part| {
                for facts in facts {
                    // What comes at once and in order takes half the room.
                    if part.changes.is_empty() {
                        part.changes = facts.iter().cloned().collect();
                    } else {
                        part.changes.extend(facts.iter().cloned());
                    }
                }
                if last {
                    if part.looks.is_empty() {
                        part.looks = plan.looks.iter().cloned().collect();
                    } else {
                        part.looks.extend(plan.looks.iter().cloned());
                    }
                    if let Some(facts) = &plan.mainline {
                        part.mainline = Some(facts.clone());
                    }
                    part.said.take_over(&plan.reports);
                }
                for (subject, attempt) in queued {
                    if !new.contains(&attempt.request_id) {
                        continue;
                    }
                    let one = || Vec::with_capacity(1);
                    let attempts = part.attempts.entry(subject.clone()).or_insert_with(one);
                    // The outbox may have gone on with it, and read it, since it was written.
                    let there = attempts.iter().any(|one| one.request_id == attempt.request_id);
                    if !there {
                        attempts.push(attempt);
                        attempts::keep(attempts);
                    }
                }
                for (subject, read) in attempts {
                    part.attempts.remove(subject);
                    part.attempts.extend(read);
                }
            });
        }
        Ok(())
    }

    /// Takes over facts that were carried along with the clock.
    pub(super) async fn carried(
        &self,
        workspace: &Name,
        facts: &[(ChangeId, ChangeFacts)],
        mainline: Option<MainlineFacts>,
    ) {
        let _reading = self.reading.lock().await;
        self.change(workspace, |part| {
            part.changes.extend(facts.iter().cloned());
            part.mainline = mainline.or(part.mainline.take());
        });
    }

    /// Reads the attempts of one subject anew.
    pub(super) async fn reload_attempts(
        &self,
        workspace: &Name,
        subject: &Subject,
    ) -> Result<(), LedgerError> {
        let _reading = self.reading.lock().await;
        let read = self.read_attempts(workspace, subject).await?;
        self.change(workspace, |part| {
            part.attempts.remove(subject);
            part.attempts.extend(read);
        });
        Ok(())
    }

    fn change(&self, workspace: &Name, change: impl FnOnce(&mut WorkspaceLedger)) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let next: &mut LedgerView = Arc::make_mut(&mut view);
        change(next.part_mut(workspace));
    }

    async fn read_workspace(&self, workspace: &Name) -> Result<WorkspaceLedger, LedgerError> {
        let (id, reader) = (workspace.as_str(), self.store.reader());
        let row = sqlx::query(WORKSPACE).bind(id).fetch_one(reader).await.map_err(self.sql())?;
        let text = |index| row.try_get::<Option<String>, _>(index).map_err(self.sql());
        let many = |index| row.try_get::<i64, _>(index).map_err(self.sql());
        let (looks, changes, mainline) = (text(0)?, text(1)?, text(2)?);
        let attempts = self.attempt_texts(id, many(4)?).await?;
        let (known, of) = (Arc::clone(&self.known), workspace.clone());
        let read = self.apart(move || {
            let attempts = attempts::parse(&known, &of, &attempts)?;
            let mainline = mainline.as_deref().map(known::mainline).transpose()?;
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let look = |row: Result<[&str; 2], String>| {
                row.and_then(|[repository, branch]| known.look(repository, branch))
            };
            let looks = each(&looks.unwrap_or_default()).map(look).collect::<Result<_, _>>()?;
            let change = |row: Result<[&str; 2], String>| {
                row.and_then(|[change, facts]| known.change(change, facts))
            };
            let changes =
                each(&changes.unwrap_or_default()).map(change).collect::<Result<_, _>>()?;
            Ok(WorkspaceLedger { looks, changes, mainline, attempts, ..WorkspaceLedger::default() })
        });
        let mut part = read.await?;
        part.paused_by = text(3)?;
        if many(5)? > 0 {
            self.read_asked(id, &mut part).await?;
        }
        if many(6)? > 0 {
            part.said = self.read_said(id).await?;
        }
        Ok(part)
    }

    /// What people asked of a workspace.
    async fn read_asked(&self, id: &str, part: &mut WorkspaceLedger) -> Result<(), LedgerError> {
        let reader = self.store.reader();
        let rows =
            sqlx::query("SELECT approval FROM approvals WHERE workspace = $1 ORDER BY subject")
                .bind(id)
                .fetch_all(reader)
                .await
                .map_err(self.sql())?;
        for row in rows {
            let approval: String = row.try_get(0).map_err(self.sql())?;
            part.approvals.push(self.json(&approval)?);
        }
        let rows = sqlx::query("SELECT subject, rebuild FROM rebuilds WHERE workspace = $1")
            .bind(id)
            .fetch_all(reader)
            .await
            .map_err(self.sql())?;
        for row in rows {
            let subject: String = row.try_get(0).map_err(self.sql())?;
            let rebuild: String = row.try_get(1).map_err(self.sql())?;
            let subject = subject.parse().map_err(|why: String| self.content(why))?;
            part.rebuilds.insert(subject, self.json(&rebuild)?);
        }
        Ok(())
    }

    pub(super) fn stage(&self, row: &AnyRow, index: usize) -> Result<Stage, LedgerError> {
        let word: String = row.try_get(index).map_err(self.sql())?;
        Stage::from_word(&word).ok_or_else(|| self.content(format!("a stage {word:?}")))
    }
}
