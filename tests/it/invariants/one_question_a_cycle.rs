//! Two workspaces, one repository: one question.

use crosswatch::clock::Clock;
use crosswatch_core::model::time::Span;

use crate::support::eventually;
use crate::support::git_http::GitHttpServer;
use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_two_workspaces_share_is_listed_once_a_cycle() {
    let site = Site::new();
    let server = GitHttpServer::start(&site.git_root()).await;
    site.manifest(&server.url, &[("types", &[]), ("drivers", &["types"])]);
    site.configure(&server.url, &site.local_ci("true"), &["one", "two"]);
    let _daemon = site.start().await;
    site.settled(&["one", "two"]).await;
    let looks = |site: &Site| -> u64 {
        let rows = site.ask(&["forges"]).expect("an answer")["repositories"].take();
        rows.as_array().expect("rows").iter().filter_map(|row| row["looks"].as_u64()).sum()
    };
    eventually("a few cycles", async || looks(&site) >= 12).await;
    let rows = site.ask(&["forges"]).expect("an answer")["repositories"].take();
    let rows = rows.as_array().expect("rows").clone();
    assert_eq!(rows.len(), 3, "source and two packages");
    for row in &rows {
        assert_eq!(row["workspaces"].as_array().expect("names").len(), 2, "{row}");
    }
    // An interval is never shorter than nine tenths of what is configured, here a second; bootstraps
    // and updates, which list refs for themselves, are over.
    let clock = Clock::system();
    let (begun, before) = (clock.now(), server.counts().ls_refs);
    eventually("six seconds", async || clock.now().since(begun) >= Span::seconds(6)).await;
    let (elapsed, listed) = (clock.now().since(begun), server.counts().ls_refs - before);
    let most = 3 * (elapsed.0 / 900 + 1);
    assert!(listed as u64 <= most, "{listed} listings of 3 repositories in {elapsed}");
    assert!(listed >= 9, "{listed} listings of 3 repositories in {elapsed}");
}
