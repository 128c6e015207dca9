//! Invariant 7: the incremental plan equals the plan from scratch. `core` shows it over random worlds;
//! here it is what a real daemon saw.

use std::sync::Arc;

use crosswatch_core::model::observed::Observed;
use crosswatch_core::plan::incremental::Planner;
use crosswatch_core::plan::plan;

use crate::support::eventually;
use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_saw_gives_the_same_plan_both_ways() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[]), ("drivers", &["types"])]);
    site.configure(&url, &site.local_ci("true"), &["one", "two"]);
    let daemon = site.start().await;
    site.settled(&["one", "two"]).await;
    site.change("types", 1, "types");
    site.change("drivers", 1, "drivers\n\nDepends-On: types#1");
    eventually("it is built", async || site.succeeded("two", "mirror/drivers#1") == 1).await;
    drop(daemon);

    let config = site.path().join("workspaces.yaml");
    let published = crosswatch::daemon::offline(&config, None).await.expect("a plan");
    let (mut snapshot, ledger) = ((*published.snapshot).clone(), (*published.ledger).clone());
    let mut planner = Planner::new();
    let mut compare = |snapshot: &_, what: &str| {
        let (one, other) = (planner.plan(snapshot, &ledger), plan(snapshot, &ledger));
        let bytes = |plan: &_| serde_json::to_vec(plan).expect("JSON");
        assert_eq!(bytes(&one), bytes(&other), "{what}");
    };
    compare(&snapshot, "as it was");
    let ids: Vec<_> = snapshot.repositories.keys().cloned().collect();
    for id in ids {
        snapshot.at = snapshot.at + crosswatch_core::model::time::Span::seconds(1);
        let mut part = (*snapshot.repositories[&id]).clone();
        part.listing = part.listing.failed("an outage", snapshot.at);
        Arc::make_mut(&mut snapshot.repositories).insert(id.clone(), Arc::new(part));
        compare(&snapshot, &format!("without {id}"));
    }
    for question in snapshot.answers.keys().cloned().collect::<Vec<_>>() {
        let gone = Observed::not_read_yet(snapshot.at);
        Arc::make_mut(&mut snapshot.answers).insert(question.clone(), gone);
        compare(&snapshot, &format!("without {question:?}"));
    }
    snapshot.at = snapshot.at + crosswatch_core::model::time::Span::days(200);
    compare(&snapshot, "much later");
}
