//! What a daemon that starts again does first.

use crosswatch::clock::Clock;
use crosswatch::ledger::Ledger;
use crosswatch::store::Store;
use crosswatch_core::model::identity::Name;
use forge_model::Edit;

use super::github::Hub;
use crate::support::eventually;

async fn ledger(hub: &Hub) -> Ledger {
    let path = hub.site.state().join("crosswatch.sqlite");
    let store = Store::sqlite(&path).await.expect("the ledger");
    Ledger::open(store, Clock::system()).await.expect("the ledger")
}

/// What was decided on these so far, each the newest first.
async fn history(hub: &Hub, subjects: &[&str]) -> Vec<Vec<(String, String)>> {
    let ledger = ledger(hub).await;
    let mut all = Vec::new();
    for subject in subjects {
        let rows = ledger.audit(&Name::from("one"), subject, 100).await.expect("rows");
        all.push(rows.into_iter().map(|row| (row.word, row.reason)).collect());
    }
    ledger.close().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pass_after_a_restart_knows_what_the_marks_confirm() {
    let hub = Hub::new("true", "ref: head", &["one"]).await;
    let daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, drivers) = hub.two_that_depend().await;
    hub.decided(&drivers, "unchanged").await;
    // Marks of what is young differ once more.
    eventually("the marks that are kept are those of old things", async || {
        let kept = ledger(&hub).await.recall("listing").await.expect("rows");
        kept.len() == 4 && kept.iter().all(|(_, listing, _)| !listing.contains("~\""))
    })
    .await;
    let subjects = ["mainline", types.as_str(), drivers.as_str()];
    daemon.kill();
    let before = history(&hub, &subjects).await;
    hub.model.forget_requests();
    let daemon = hub.site.start().await;
    hub.decided(&types, "covered").await;
    hub.decided(&drivers, "unchanged").await;
    daemon.kill();
    let asked = hub.model.requests();
    assert_eq!(asked.of("graphql").requests, asked.total().requests, "{asked:?}");
    assert_eq!(history(&hub, &subjects).await, before, "nothing was in doubt for a moment");
    // What moved meanwhile is seen by the first pass, too.
    hub.edit("drivers", 1, Edit::Close);
    let _daemon = hub.site.start().await;
    hub.decided(&types, "unchanged").await;
    let after = history(&hub, &subjects[1..2]).await;
    let new = after[0].len() - before[1].len();
    assert!(after[0][..new].iter().all(|(word, _)| word != "unknown"), "{after:?}");
}
