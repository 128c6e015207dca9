//! Two workspaces, one repository: one question.

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
        let rows = site.ask(&["forges"]).expect("an answer");
        rows.as_array().expect("rows").iter().filter_map(|row| row["looks"].as_u64()).sum()
    };
    eventually("a few cycles", async || looks(&site) >= 12).await;
    let rows = site.ask(&["forges"]).expect("an answer");
    let rows = rows.as_array().expect("rows").clone();
    assert_eq!(rows.len(), 3, "source and two packages");
    for row in &rows {
        assert_eq!(row["workspaces"].as_array().expect("names").len(), 2, "{row}");
    }
    // Each look is one listing: bootstrap and update of a workspace list refs for themselves.
    let by_tools = 4;
    let before = looks(&site);
    let listed = server.counts().ls_refs as u64;
    let after = looks(&site);
    assert!(listed >= before, "{listed} listings for {before} looks");
    assert!(listed <= after + 3 + by_tools, "{listed} listings for {after} looks");
}
