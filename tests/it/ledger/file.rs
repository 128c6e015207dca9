//! A SQLite file that somebody else locks, fills or breaks.

use std::future::Future as _;

use crosswatch::clock::Clock;
use crosswatch::ledger::{Ledger, LedgerError};
use crosswatch::store::{Store, StoreError};
use sqlx::{Connection as _, Executor as _};

use super::plans::{AT, build, plan};

#[tokio::test]
async fn a_locked_file_is_said_and_recovers_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("l.sqlite");
    let store = Store::sqlite(&path).await.expect("a store");
    let ledger = Ledger::open(store, Clock::manual(AT)).await.expect("a ledger");
    let term = ledger.lead("a").await.expect("leads");
    let url = format!("sqlite://{}", path.display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.expect("a connection");
    other.execute("BEGIN EXCLUSIVE").await.expect("a lock");
    let wanted = plan(vec![build(ledger.id(), 1)]);
    let busy = ledger.commit(&term, &wanted).await;
    assert!(matches!(busy, Err(LedgerError::Store(StoreError::Busy { .. }))), "{busy:?}");
    assert!(ledger.outbox().await.expect("reading goes on").is_empty());
    other.execute("ROLLBACK").await.expect("unlocked");
    assert_eq!(ledger.commit(&term, &wanted).await.expect("recovered").queued.len(), 1);
}

#[tokio::test]
async fn a_commit_that_is_broken_off_is_there_whole_or_not_at_all() {
    for polls in [1, 2, 4, 8, 16, 32, 64] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::sqlite(&folder.path().join("l.sqlite")).await.expect("a store");
        let ledger = Ledger::open(store, Clock::manual(AT)).await.expect("a ledger");
        let term = ledger.lead("a").await.expect("leads");
        let wanted = plan((1..=3).map(|number| build(ledger.id(), number)).collect());
        {
            let mut commit = Box::pin(ledger.commit(&term, &wanted));
            for _ in 0..polls {
                let done = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(commit.as_mut().poll(context).is_ready())
                })
                .await;
                if done {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let rows = ledger.outbox().await.expect("rows").len();
        assert!(rows == 0 || rows == 3, "{rows} rows after {polls} polls");
        ledger.commit(&term, &wanted).await.expect("committed");
        assert_eq!(ledger.outbox().await.expect("rows").len(), 3);
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("l.sqlite");
    std::fs::write(&path, "no database at all, but long enough to look like one".repeat(40))
        .expect("a file");
    let refused = Store::sqlite(&path).await.expect_err("it is no database");
    assert!(refused.to_string().contains("l.sqlite"), "{refused}");
    let missing = folder.path().join("none").join("l.sqlite");
    assert!(Store::sqlite(&missing).await.is_err());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("l.sqlite");
    Store::sqlite(&path).await.expect("a store").close().await;
    let url = format!("sqlite://{}", path.display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.expect("a connection");
    other
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
             execution_time) VALUES (9999, 'later', 1, x'00', 0)",
        )
        .await
        .expect("a later version");
    let refused = Store::sqlite(&path).await;
    assert!(matches!(refused, Err(StoreError::Schema { .. })), "{refused:?}");
}
