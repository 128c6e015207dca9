//! Letting go of what is old, in transactions of bounded size: while one lasts, nobody else writes.

use crosswatch_core::model::time::{Span, Timestamp};
use sqlx::Row as _;

use super::attempts::KEPT;
use super::{Ledger, LedgerError, Term};

/// Rows that a transaction deletes at most; of attempts and commits, which are larger, a part of that.
const CHUNK: i64 = 1_000;
const ATTEMPTS: usize = 500;
const HEADS: i64 = 100;
/// Attempts of one subject on one CI that are looked at in one go.
const MOST: i64 = 100_000;

/// What goes with its age: the history of decisions, and reports, which stay as the forge has them. A comment
/// is found again by its mark; it goes after its remarks.
const OLD: [&str; 5] = [
    "DELETE FROM audit WHERE (workspace, subject, decided_at) IN \
     (SELECT workspace, subject, decided_at FROM audit WHERE decided_at < $1 LIMIT $2)",
    "DELETE FROM statuses WHERE (workspace, repository, head, context) IN \
     (SELECT workspace, repository, head, context FROM statuses \
     WHERE is_due IN (0, 1) AND wanted_at < $1 LIMIT $2)",
    "DELETE FROM stops WHERE place IN (SELECT place FROM stops WHERE ends_at < $1 LIMIT $2)",
    "DELETE FROM remarks WHERE (workspace, change_name) IN \
     (SELECT remarks.workspace, remarks.change_name FROM comments \
     JOIN remarks ON remarks.change_name = comments.change_name \
     WHERE comments.wanted_at < $1 LIMIT $2)",
    "DELETE FROM comments WHERE change_name IN \
     (SELECT change_name FROM comments WHERE wanted_at < $1 LIMIT $2)",
];

/// Commits that no attempt stands on any more.
const NOBODYS: &str = "DELETE FROM heads WHERE digest IN (SELECT digest FROM heads WHERE NOT EXISTS \
     (SELECT 1 FROM attempts WHERE attempts.heads = heads.digest) LIMIT $1)";

impl Ledger {
    /// Deletes what is older than a time: history of decisions, reports, and ended attempts beyond
    /// the newest of a subject on a CI that decisions see. Gives how long each of its transactions kept
    /// others from writing.
    pub async fn prune(&self, term: &Term, before: Timestamp) -> Result<Vec<Span>, LedgerError> {
        let mut transactions = Vec::new();
        for statement in OLD {
            let query = || sqlx::query(statement).bind(before.0).bind(CHUNK);
            while self.prunes(term, query, CHUNK, &mut transactions).await? {}
        }
        // Read apart: to find them takes longer than to delete them. What is over stays so.
        let over = self.over(before).await?;
        for ids in over.chunks(ATTEMPTS) {
            let (mut write, begun) = (self.write(term).await?, self.clock.steady());
            for id in ids {
                for statement in [
                    "DELETE FROM requests WHERE request_id = $1",
                    "DELETE FROM attempts WHERE request_id = $1",
                ] {
                    let query = sqlx::query(statement).bind(id);
                    query.execute(&mut *write).await.map_err(self.sql())?;
                }
            }
            self.done(write, &[]).await?;
            transactions.push(Span(self.clock.steady().0.saturating_sub(begun.0)));
        }
        let query = || sqlx::query(NOBODYS).bind(HEADS);
        while self.prunes(term, query, HEADS, &mut transactions).await? {}
        Ok(transactions)
    }

    /// Deletes some rows in a transaction; whether there may be more of them.
    async fn prunes<'q>(
        &self,
        term: &Term,
        query: impl FnOnce() -> sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>,
        most: i64,
        transactions: &mut Vec<Span>,
    ) -> Result<bool, LedgerError> {
        let (mut write, begun) = (self.write(term).await?, self.clock.steady());
        let deleted = query().execute(&mut *write).await.map_err(self.sql())?.rows_affected();
        self.done(write, &[]).await?;
        transactions.push(Span(self.clock.steady().0.saturating_sub(begun.0)));
        Ok(i64::try_from(deleted).unwrap_or(i64::MAX) >= most)
    }

    /// Ended attempts that are old, and that decisions no longer see.
    async fn over(&self, before: Timestamp) -> Result<Vec<String>, LedgerError> {
        let kept = i64::try_from(KEPT).unwrap_or(i64::MAX);
        let many = "SELECT workspace, subject, ci FROM attempts \
             GROUP BY workspace, subject, ci HAVING COUNT(*) > $1";
        let many = sqlx::query(many).bind(kept).fetch_all(self.store.reader()).await;
        let mut over = Vec::new();
        for row in many.map_err(self.sql())? {
            let text = |index| row.try_get::<String, _>(index).map_err(self.sql());
            let old = sqlx::query_scalar(
                "SELECT request_id FROM (SELECT request_id, is_open, ended_at FROM attempts \
                 WHERE workspace = $1 AND subject = $2 AND ci = $3 \
                 ORDER BY decided_at DESC, attempt DESC, request_id LIMIT $4 OFFSET $5) AS old \
                 WHERE is_open = 0 AND ended_at < $6",
            );
            let old = old.bind(text(0)?).bind(text(1)?).bind(text(2)?).bind(MOST).bind(kept);
            let old = old.bind(before.0).fetch_all(self.store.reader()).await;
            over.extend::<Vec<String>>(old.map_err(self.sql())?);
        }
        Ok(over)
    }
}
