//! Invariant 1: what could not be read triggers nothing, closes nothing, cancels nothing.

use crate::support::eventually;
use crate::support::git_http::GitHttpServer;
use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_forge_changes_no_decision_to_an_act() {
    let site = Site::new();
    let server = GitHttpServer::start(&site.git_root()).await;
    site.manifest(&server.url, &[("types", &[]), ("drivers", &["types"])]);
    let go = site.path().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    site.configure(&server.url, &site.local_ci(&script), &["one"]);
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    site.together("one", &["mirror/types#1", "mirror/drivers#1"], || {
        site.change("types", 1, "types");
        site.change("drivers", 1, "drivers\n\nDepends-On: types#1");
    })
    .await;
    eventually("a build is under way", async || {
        site.builds().iter().any(|build| build["stage"] == "running" || build["stage"] == "sent")
    })
    .await;

    server.set_garbage(Some(b"<html>502</html>"));
    eventually("the outage is seen", async || {
        site.decision("one", "mirror/drivers#1").starts_with("unknown")
    })
    .await;
    let builds = site.builds();
    assert_eq!(builds.len(), 1, "nothing new is triggered: {builds:?}");
    assert_eq!(builds[0]["cancel_wanted"], false, "nothing is cancelled");
    assert!(!site.decision("one", "mirror/types#1").starts_with("superseded"));

    server.set_garbage(None);
    std::fs::write(&go, "").expect("a file");
    eventually("everything goes on", async || site.succeeded("one", "mirror/drivers#1") == 1).await;
    assert_eq!(site.builds().len(), 1);
}
