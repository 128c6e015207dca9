//! What should be said on forges, and the marks that writes leave.

use std::collections::BTreeMap;

use crosswatch_core::model::identity::{ChangeId, Name};
use crosswatch_core::model::report::{Said, Status, StatusKey, StatusState};
use crosswatch_core::model::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::{Ledger, LedgerError, Term, to_json};

/// A status that is not written as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueStatus {
    /// Id of the workspace.
    pub workspace: Name,
    /// Where it stands.
    pub key: StatusKey,
    /// What it says.
    pub status: Status,
    /// The check run that can still say it. One that is over cannot begin again.
    pub run: Option<String>,
    /// Since when.
    pub wanted_at: Timestamp,
}

/// A comment whose remarks moved since it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueComment {
    /// The change.
    pub change: ChangeId,
    /// What each workspace remarks, by its id.
    pub remarks: BTreeMap<Name, Vec<String>>,
    /// How often the remarks moved.
    pub wanted: i64,
    /// Since when.
    pub wanted_at: Timestamp,
    /// What the forge calls the comment.
    pub comment_id: Option<String>,
    /// Digest of its text.
    pub digest: Option<String>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Where: a repository, a change, or a commit as `REPOSITORY@HEAD`.
    pub place: String,
    /// What the forge said.
    pub why: String,
    /// When.
    pub since: Timestamp,
    /// When it is tried again.
    pub ends_at: Timestamp,
}

impl Ledger {
    /// Stores what a workspace should say of commits; part of a pass's transaction.
    pub(super) async fn write_statuses(
        &self,
        write: &mut Transaction<'static, Any>,
        workspace: &Name,
        statuses: &[(StatusKey, Status)],
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        for (key, status) in statuses {
            sqlx::query(
                "INSERT INTO statuses (workspace, repository, head, context, state, description, \
                 target, wanted_at, is_due) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) \
                 ON CONFLICT (workspace, repository, head, context) DO UPDATE SET \
                 state = $5, description = $6, target = $7, wanted_at = $8, \
                 is_due = CASE WHEN statuses.written = $9 THEN 0 ELSE 1 END",
            )
            .bind(workspace.as_str())
            .bind(key.repository.to_string())
            .bind(key.head.to_string())
            .bind(key.context.as_str())
            .bind(status.state.word())
            .bind(&status.description)
            .bind(status.target.clone())
            .bind(at.0)
            .bind(written(status)?)
            .execute(&mut **write)
            .await
            .map_err(self.sql())?;
        }
        Ok(())
    }

    /// Stores what a workspace should say of changes; part of a pass's transaction.
    pub(super) async fn write_remarks(
        &self,
        write: &mut Transaction<'static, Any>,
        workspace: &Name,
        remarks: &[(ChangeId, Vec<String>)],
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let id = workspace.as_str();
        for (change, remarks) in remarks {
            let change = change.to_string();
            let query = if remarks.is_empty() {
                sqlx::query("DELETE FROM remarks WHERE workspace = $1 AND change_name = $2")
                    .bind(id)
                    .bind(&change)
            } else {
                sqlx::query(
                    "INSERT INTO remarks (workspace, change_name, remarks) VALUES ($1, $2, $3) \
                     ON CONFLICT (workspace, change_name) DO UPDATE SET remarks = $3",
                )
                .bind(id)
                .bind(&change)
                .bind(to_json(remarks)?)
            };
            query.execute(&mut **write).await.map_err(self.sql())?;
            sqlx::query(
                "INSERT INTO comments (change_name, wanted, wanted_at, written) VALUES ($1, 1, $2, 0) \
                 ON CONFLICT (change_name) DO UPDATE SET wanted = comments.wanted + 1, wanted_at = $2",
            )
            .bind(&change)
            .bind(at.0)
            .execute(&mut **write)
            .await
            .map_err(self.sql())?;
        }
        Ok(())
    }

    /// What a workspace should say, for the planner.
    pub(super) async fn read_said(&self, workspace: &str) -> Result<Said, LedgerError> {
        let mut said = Said::default();
        let rows = sqlx::query(
            "SELECT repository, head, context, state, description, target FROM statuses \
             WHERE workspace = $1",
        )
        .bind(workspace)
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        for row in &rows {
            said.statuses.insert(self.status_key(row)?, self.status(row)?);
        }
        let rows = sqlx::query("SELECT change_name, remarks FROM remarks WHERE workspace = $1")
            .bind(workspace)
            .fetch_all(self.store.reader())
            .await
            .map_err(self.sql())?;
        for row in &rows {
            let change: String = row.try_get(0).map_err(self.sql())?;
            let remarks: String = row.try_get(1).map_err(self.sql())?;
            let change = change.parse().map_err(|why: String| self.content(why))?;
            said.remarks.insert(change, self.json(&remarks)?);
        }
        Ok(said)
    }

    /// Statuses that are not written as they should be.
    pub async fn due_statuses(&self) -> Result<Vec<DueStatus>, LedgerError> {
        let rows = sqlx::query(
            "SELECT repository, head, context, state, description, target, workspace, wanted_at, \
             check_run, written FROM statuses WHERE is_due = 1",
        )
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        rows.iter()
            .map(|row| {
                let workspace: String = row.try_get(6).map_err(self.sql())?;
                let status = self.status(row)?;
                let run: Option<String> = row.try_get(8).map_err(self.sql())?;
                let before: Option<String> = row.try_get(9).map_err(self.sql())?;
                let over = before.is_some_and(|before| is_over(&before));
                Ok(DueStatus {
                    workspace: Name::from(workspace),
                    key: self.status_key(row)?,
                    run: run.filter(|_| !over || status.state.is_over()),
                    status,
                    wanted_at: Timestamp(row.try_get(7).map_err(self.sql())?),
                })
            })
            .collect()
    }

    /// Comments whose remarks moved since they were written.
    pub async fn due_comments(&self) -> Result<Vec<DueComment>, LedgerError> {
        let rows = sqlx::query(
            "SELECT c.change_name, c.wanted, c.wanted_at, c.comment_id, c.digest, r.workspace, r.remarks \
             FROM comments c LEFT JOIN remarks r ON r.change_name = c.change_name \
             WHERE c.wanted <> c.written",
        )
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        let mut due: BTreeMap<ChangeId, DueComment> = BTreeMap::new();
        for row in &rows {
            let change: String = row.try_get(0).map_err(self.sql())?;
            let change: ChangeId = change.parse().map_err(|why: String| self.content(why))?;
            let comment = due.entry(change.clone()).or_insert(DueComment {
                change,
                remarks: BTreeMap::new(),
                wanted: row.try_get(1).map_err(self.sql())?,
                wanted_at: Timestamp(row.try_get(2).map_err(self.sql())?),
                comment_id: row.try_get(3).map_err(self.sql())?,
                digest: row.try_get(4).map_err(self.sql())?,
            });
            let workspace: Option<String> = row.try_get(5).map_err(self.sql())?;
            let remarks: Option<String> = row.try_get(6).map_err(self.sql())?;
            if let (Some(workspace), Some(remarks)) = (workspace, remarks) {
                comment.remarks.insert(Name::from(workspace), self.json(&remarks)?);
            }
        }
        Ok(due.into_values().collect())
    }

    /// The forge has this status now, as a check run if it is one; it stays due if another one is wanted meanwhile.
    pub async fn mark_status(
        &self,
        term: &Term,
        workspace: &Name,
        key: &StatusKey,
        (status, run): (&Status, Option<&str>),
    ) -> Result<(), LedgerError> {
        let sql = "UPDATE statuses SET written = $5, check_run = $9, is_due = CASE WHEN state = $6 \
             AND description = $7 AND COALESCE(target, '') = $8 THEN 0 ELSE 1 END \
             WHERE workspace = $1 AND repository = $2 AND head = $3 AND context = $4";
        let query = sqlx::query(sql)
            .bind(workspace.to_string())
            .bind(key.repository.to_string())
            .bind(key.head.to_string())
            .bind(key.context.to_string())
            .bind(written(status)?)
            .bind(status.state.word())
            .bind(status.description.clone())
            .bind(status.target.clone().unwrap_or_default())
            .bind(run.map(str::to_owned));
        self.mark_report(term, query).await
    }

    /// The comment is as these remarks want it.
    pub async fn mark_comment(
        &self,
        term: &Term,
        comment: &DueComment,
        comment_id: Option<String>,
        digest: Option<String>,
    ) -> Result<(), LedgerError> {
        let sql = "UPDATE comments SET written = $2, comment_id = $3, digest = $4 \
             WHERE change_name = $1";
        let query = sqlx::query(sql)
            .bind(comment.change.to_string())
            .bind(comment.wanted)
            .bind(comment_id)
            .bind(digest);
        self.mark_report(term, query).await
    }

    /// Nothing is written there until a time.
    pub async fn stop(&self, term: &Term, stop: &Stop) -> Result<(), LedgerError> {
        let sql = "INSERT INTO stops (place, why, since, ends_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (place) DO UPDATE SET why = $2, since = $3, ends_at = $4";
        let query = sqlx::query(sql)
            .bind(stop.place.clone())
            .bind(stop.why.clone())
            .bind(stop.since.0)
            .bind(stop.ends_at.0);
        self.mark_report(term, query).await
    }

    /// Where nothing is written, in order.
    pub async fn stops(&self, now: Timestamp) -> Result<Vec<Stop>, LedgerError> {
        let rows = sqlx::query(
            "SELECT place, why, since, ends_at FROM stops WHERE ends_at > $1 ORDER BY place",
        )
        .bind(now.0)
        .fetch_all(self.store.reader())
        .await
        .map_err(self.sql())?;
        rows.iter()
            .map(|row| {
                Ok(Stop {
                    place: row.try_get(0).map_err(self.sql())?,
                    why: row.try_get(1).map_err(self.sql())?,
                    since: Timestamp(row.try_get(2).map_err(self.sql())?),
                    ends_at: Timestamp(row.try_get(3).map_err(self.sql())?),
                })
            })
            .collect()
    }

    /// Everything may be written again.
    pub async fn clear_stops(&self, term: &Term) -> Result<(), LedgerError> {
        self.mark_report(term, sqlx::query("DELETE FROM stops")).await
    }

    async fn mark_report<'q>(
        &self,
        term: &Term,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), LedgerError> {
        let mut write = self.write(term).await?;
        query.execute(&mut *write).await.map_err(self.sql())?;
        self.done(write, &[]).await
    }

    fn status_key(&self, row: &AnyRow) -> Result<StatusKey, LedgerError> {
        let text = |index: usize| row.try_get::<String, _>(index).map_err(self.sql());
        let content = |why: String| self.content(why);
        Ok(StatusKey {
            repository: text(0)?.parse().map_err(content)?,
            head: text(1)?.parse().map_err(content)?,
            context: Name::from(text(2)?),
        })
    }

    fn status(&self, row: &AnyRow) -> Result<Status, LedgerError> {
        let word: String = row.try_get(3).map_err(self.sql())?;
        Ok(Status {
            state: StatusState::from_word(&word)
                .ok_or_else(|| self.content(format!("a state {word:?}")))?,
            description: row.try_get(4).map_err(self.sql())?,
            target: row.try_get(5).map_err(self.sql())?,
        })
    }
}

/// A status as one text, to compare with.
fn written(status: &Status) -> Result<String, LedgerError> {
    to_json(&(status.state.word(), &status.description, &status.target))
}

/// Whether that text says how something ended.
fn is_over(written: &str) -> bool {
    let read = serde_json::from_str::<(String, String, Option<String>)>(written);
    let state = read.ok().and_then(|(word, ..)| StatusState::from_word(&word));
    state.is_some_and(StatusState::is_over)
}
