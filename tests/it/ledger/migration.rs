//! What older versions stored is read as it was.

use std::borrow::Cow;

use crosswatch::clock::Clock;
use crosswatch::ledger::{BuildFilter, Ledger};
use crosswatch::store::Store;
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::{Adopted, AttemptView};
use sqlx::migrate::Migrator;

use super::plans::{AT, build, change};
use crate::support::postgres::Server;

/// Where attempts still had their requests in the same row.
const TOGETHER: i64 = 6;

/// What was seen of a change, as it is stored.
const SEEN: &str = concat!(
    r#""first_seen":1790000000000,"head":"e3d5003ead1a936380020220637f7b8e1c281299","#,
    r#""head_moved_at":1790000000000,"references":null,"references_moved_at":1790000000000}"#,
);

/// An attempt, and facts of changes, as that version stored them.
async fn stored_together(url: &str) -> AttemptView {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(url).await.expect("a database");
    let all = sqlx::migrate!("src/store/migrations").migrations.into_owned();
    let until: Vec<_> = all.into_iter().filter(|migration| migration.version <= TOGETHER).collect();
    let migrator = Migrator { migrations: Cow::Owned(until), ..Migrator::DEFAULT };
    migrator.run(&pool).await.expect("the schema of then");
    let trigger = build("l", 1).triggers[0].clone();
    let text = |text: Result<String, _>| text.expect("JSON");
    sqlx::query(
        "INSERT INTO attempts (request_id, workspace, subject, ci, fingerprint, attempt, stage, \
         is_open, priority, decided_at, note, request, parts) \
         VALUES ($1, 'w', $2, 'main', $3, 1, 'queued', 1, 2, $4, 'said', $5, $6)",
    )
    .bind(trigger.request.request_id.to_string())
    .bind(change(1).to_string())
    .bind(trigger.request.fingerprint.to_string())
    .bind(AT.0)
    .bind(text(serde_json::to_string(&trigger.request)))
    .bind(text(serde_json::to_string(&trigger.parts)))
    .execute(&pool)
    .await
    .expect("an attempt");
    let held = r#"{"adopted":{"held":""#.to_owned() + &"7b".repeat(32) + r#""},"# + SEEN;
    for (number, facts) in [(2, held), (3, r#"{"adopted":"recent","#.to_owned() + SEEN)] {
        sqlx::query(
            "INSERT INTO change_facts (workspace, change_name, facts) VALUES ('w', $1, $2)",
        )
        .bind(change(number).to_string())
        .bind(facts)
        .execute(&pool)
        .await
        .expect("facts");
    }
    pool.close().await;
    let attempt = AttemptView::queued(Name::from("main"), &trigger.request, trigger.parts);
    AttemptView { note: Some("said".to_owned()), ..attempt }
}

async fn is_read_as_it_was(store: Store, attempt: AttemptView) {
    let ledger = Ledger::open(store, Clock::manual(AT)).await.expect("a ledger");
    let term = ledger.lead("a").await.expect("leads");
    let read = &ledger.view().workspaces["w"].attempts[&Subject::Change(change(1))];
    assert_eq!(*read, [attempt]);
    let adopted = |number| ledger.view().workspaces["w"].changes[&change(number)].adopted;
    assert_eq!([2, 3].map(adopted), [Adopted::Undecided, Adopted::Recent]);
    let request = build("l", 1).triggers[0].request.clone();
    let open = ledger.outbox().await.expect("rows");
    assert_eq!(open[0].request, request);
    let builds = ledger.builds(&BuildFilter::default()).await.expect("rows");
    assert_eq!(builds[0].request, request);
    assert!(ledger.mark_sending(&term, request.request_id, AT).await.expect("a mark"));
    ledger.close().await;
}

#[tokio::test]
async fn an_attempt_beside_its_request_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("l.sqlite");
    let attempt = stored_together(&format!("sqlite://{}?mode=rwc", path.display())).await;
    is_read_as_it_was(Store::sqlite(&path).await.expect("a store"), attempt).await;
}

#[tokio::test]
async fn an_attempt_beside_its_request_on_postgres() {
    let server = Server::shared();
    let url = server.database();
    let attempt = stored_together(&url).await;
    is_read_as_it_was(Store::postgres(&url.into()).await.expect("a store"), attempt).await;
}
