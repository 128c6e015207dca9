//! Last known answers, runs of workspaces' commands, and the saved state of each workspace.

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::rows::{maybe_text, maybe_time, number, text, time};
use super::{Fault, Ledger, LedgerError, Term};

/// Largest value that is remembered, in bytes.
pub const MAX_REMEMBERED: usize = 16 << 20;

/// Rows of one page or one transaction.
const PAGE: usize = 500;

/// The last known answer to something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its name within its kind.
    pub key: String,
    /// The answer.
    pub json: String,
    /// When it was read.
    pub read_at: Timestamp,
}

/// What was run for a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// The workspace was made.
    Bootstrap,
    /// It was brought up to date.
    Update,
    /// Its manifest was printed by a command.
    Manifest,
}

impl RunKind {
    /// The word for it in tables, JSON and the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Update => "update",
            Self::Manifest => "manifest",
        }
    }

    /// The kind with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Bootstrap, Self::Update, Self::Manifest].into_iter().find(|kind| kind.word() == word)
    }
}

/// One run of a workspace's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Id of the workspace.
    pub workspace: Name,
    /// What was run.
    pub kind: RunKind,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How, in words.
    pub outcome: String,
    /// Where its log is.
    pub log: Option<String>,
    /// The end of its output.
    pub tail: String,
}

/// The saved state of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedWorkspace {
    /// Id of the workspace.
    pub workspace: Name,
    /// The state, as its module wrote it.
    pub json: String,
    /// When it was saved.
    pub saved_at: Timestamp,
}

impl Ledger {
    /// Remembers answers, 500 in a transaction. An answer never replaces one that was read later.
    pub async fn remember(
        &self,
        term: &Term,
        kind: &str,
        answers: &[Remembered],
    ) -> Result<(), LedgerError> {
        for answer in answers {
            bounded(&format!("{kind} {}", answer.key), &answer.json)?;
        }
        for page in answers.chunks(PAGE) {
            let mut writing = self.writing(term).await?;
            for answer in page {
                sqlx::query(
                    "INSERT INTO remembered (kind, name, json, read_at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (kind, name) DO UPDATE SET json = excluded.json, \
                     read_at = excluded.read_at WHERE remembered.read_at <= excluded.read_at",
                )
                .bind(kind)
                .bind(&answer.key)
                .bind(&answer.json)
                .bind(answer.read_at.0)
                .execute(&mut *writing)
                .await
                .map_err(|error| self.fault(error.into()))?;
            }
            self.done(writing).await?;
        }
        Ok(())
    }

    /// All answers of a kind, by key.
    pub async fn recall(&self, kind: &str) -> Result<Vec<Remembered>, LedgerError> {
        let mut reading = self.reading().await?;
        recall(&mut reading, kind).await.map_err(|fault| self.fault(fault))
    }

    /// Forgets the answers of a kind that were read before `before`; says how many.
    pub async fn forget_older(
        &self,
        term: &Term,
        kind: &str,
        before: Timestamp,
    ) -> Result<u64, LedgerError> {
        let mut writing = self.writing(term).await?;
        let gone = sqlx::query("DELETE FROM remembered WHERE kind = $1 AND read_at < $2")
            .bind(kind)
            .bind(before.0)
            .execute(&mut *writing)
            .await
            .map_err(|error| self.fault(error.into()))?;
        self.done(writing).await?;
        Ok(gone.rows_affected())
    }

    /// Stores a run.
    pub async fn record_run(&self, term: &Term, run: &Run) -> Result<(), LedgerError> {
        bounded("the end of a run's output", &run.tail)?;
        let mut writing = self.writing(term).await?;
        sqlx::query(
            "INSERT INTO run (id, workspace, kind, started_at, ended_at, outcome, log, tail) \
             VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM run), $1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run.workspace.as_str())
        .bind(run.kind.word())
        .bind(run.started_at.0)
        .bind(run.ended_at.map(|at| at.0))
        .bind(&run.outcome)
        .bind(run.log.clone())
        .bind(&run.tail)
        .execute(&mut *writing)
        .await
        .map_err(|error| self.fault(error.into()))?;
        self.done(writing).await
    }

    /// The last runs of a workspace, newest first.
    pub async fn runs(&self, workspace: &Name, limit: usize) -> Result<Vec<Run>, LedgerError> {
        let mut reading = self.reading().await?;
        let rows = sqlx::query(
            "SELECT workspace, kind, started_at, ended_at, outcome, log, tail FROM run \
             WHERE workspace = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(workspace.as_str())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *reading)
        .await
        .map_err(|error| self.fault(error.into()))?;
        rows.iter().map(run).collect::<Result<_, _>>().map_err(|fault| self.fault(fault))
    }

    /// Saves the state of a workspace in place of the last one.
    pub async fn save_workspace(
        &self,
        term: &Term,
        workspace: &Name,
        json: &str,
    ) -> Result<(), LedgerError> {
        bounded(&format!("the state of workspace {workspace}"), json)?;
        let mut writing = self.writing(term).await?;
        sqlx::query(
            "INSERT INTO workspace_state (workspace, json, saved_at) VALUES ($1, $2, $3) \
             ON CONFLICT (workspace) DO UPDATE SET json = excluded.json, \
             saved_at = excluded.saved_at",
        )
        .bind(workspace.as_str())
        .bind(json)
        .bind(self.0.clock.now().0)
        .execute(&mut *writing)
        .await
        .map_err(|error| self.fault(error.into()))?;
        self.done(writing).await
    }

    /// The saved states of all workspaces, by id.
    pub async fn workspaces_saved(&self) -> Result<Vec<SavedWorkspace>, LedgerError> {
        let mut reading = self.reading().await?;
        let rows =
            sqlx::query("SELECT workspace, json, saved_at FROM workspace_state ORDER BY workspace")
                .fetch_all(&mut *reading)
                .await
                .map_err(|error| self.fault(error.into()))?;
        rows.iter().map(saved).collect::<Result<_, _>>().map_err(|fault| self.fault(fault))
    }
}

fn bounded(what: &str, json: &str) -> Result<(), LedgerError> {
    if json.len() <= MAX_REMEMBERED {
        return Ok(());
    }
    Err(LedgerError::TooLarge { what: what.to_owned(), bytes: json.len(), most: MAX_REMEMBERED })
}

async fn recall(
    reading: &mut Transaction<'static, Any>,
    kind: &str,
) -> Result<Vec<Remembered>, Fault> {
    let mut all: Vec<Remembered> = Vec::new();
    loop {
        let after = all.last().map(|last| last.key.clone()).unwrap_or_default();
        let rows = sqlx::query(
            "SELECT name, json, read_at FROM remembered WHERE kind = $1 AND (name > $2 OR $3 = 1) \
             ORDER BY name LIMIT $4",
        )
        .bind(kind)
        .bind(after)
        .bind(i64::from(all.is_empty()))
        .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
        .fetch_all(&mut **reading)
        .await?;
        for row in &rows {
            all.push(Remembered {
                key: text(row, "name")?,
                json: text(row, "json")?,
                read_at: time(row, "read_at")?,
            });
        }
        if rows.len() < PAGE {
            return Ok(all);
        }
    }
}

fn run(row: &AnyRow) -> Result<Run, Fault> {
    let word = text(row, "kind")?;
    let kind = RunKind::from_word(&word).ok_or_else(|| Fault::Damaged {
        column: "kind",
        value: word,
        reason: "no such kind of run".to_owned(),
    })?;
    Ok(Run {
        workspace: text(row, "workspace")?.into(),
        kind,
        started_at: time(row, "started_at")?,
        ended_at: maybe_time(row, "ended_at")?,
        outcome: text(row, "outcome")?,
        log: maybe_text(row, "log")?,
        tail: text(row, "tail")?,
    })
}

fn saved(row: &AnyRow) -> Result<SavedWorkspace, Fault> {
    Ok(SavedWorkspace {
        workspace: text(row, "workspace")?.into(),
        json: text(row, "json")?,
        saved_at: Timestamp(number(row, "saved_at")?),
    })
}
