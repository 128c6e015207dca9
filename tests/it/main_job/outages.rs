//! A GitHub that fails, wholly or in parts, with the real daemon. Seconds stand for the minutes and hours
//! of the bars: intervals are one second, so an outage of ten cycles is one of ten minutes.

use std::collections::BTreeSet;

use forge_model::{Access, Edit, Fault, NewChange, What};

use super::github::Hub;
use crate::support::eventually;

/// Repositories beside those that have changes.
const MORE: usize = 46;

/// The workspaces that share them.
const FIVE: [&str; 5] = ["one", "two", "three", "four", "five"];

/// Workspaces of 50 repositories of a GitHub, and `lan`, one of a plain git server.
async fn wide(script: &str, changes: &str, workspaces: &[&str]) -> Hub {
    let hub = Hub::new(script, changes, workspaces).await;
    let names: Vec<String> = (0..MORE).map(|n| format!("p{n}")).collect();
    for name in &names {
        hub.model.repository(&format!("rock/{name}"));
    }
    let mut packages: Vec<(&str, &[&str])> =
        vec![("types", &[]), ("drivers", &["types"]), ("gui", &["drivers"])];
    packages.extend(names.iter().map(|name| (name.as_str(), &[] as &[&str])));
    hub.site.manifest(&format!("{}/rock", hub.model.url), &packages);
    let head = crate::support::git_repo::git(&hub.site.repo("conf"), &["rev-parse", "main"]);
    hub.model.push("rock/conf", "main", Some(&head));
    hub.site.repository("side");
    let (path, git) = (hub.site.path(), hub.site.file_url());
    let manifest = path.join("lan.json");
    let text = serde_json::json!({
        "version": 1, "definitions": [],
        "packages": [{"name": "side", "git": {"url": format!("{git}/side.git"), "branch": "main"}}],
    });
    std::fs::write(&manifest, text.to_string()).expect("a file");
    let config = path.join("workspaces.yaml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let text = text.replace(
        "forges:\n",
        &format!(
            "forges:\n  lan: {{kind: git, url: \"{git}\", authors: any, poll: {{interval: 1s}}}}\n"
        ),
    );
    let copy = format!("{{run: [cp, {}, manifest.json], timeout: 1m}}", manifest.display());
    let text = text.replace(
        "sandbox: bubblewrap",
        &format!("sandbox: bubblewrap, read_only: [{}]", path.display()),
    );
    hub.site.write_config(&format!(
        "{text}  - name: lan\n    source: {{url: \"{git}/side.git\", branch: main}}\n    \
         bootstrap: {copy}\n    update: {copy}\n    candidates: {{make: false}}\n"
    ));
    hub
}

/// Failures of repositories, by the end of their path.
fn failing(hub: &Hub) -> BTreeSet<String> {
    let Some(mut answer) = hub.site.ask(&["forges"]) else { return [String::new()].into() };
    let rows = answer["repositories"].take();
    let failing = rows.as_array().expect("rows").iter().filter(|row| !row["failure"].is_null());
    let name = |row: &serde_json::Value| {
        let id = row["repository"].to_string();
        id.trim_matches('"').rsplit('/').next().unwrap_or_default().to_owned()
    };
    failing.map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_is_down_loses_nothing_and_is_read_once_when_it_is_back() {
    let go = "while [ ! -e GO ]; do sleep 0.05; done";
    let hub = wide(go, "ref: head", &["one"]).await;
    let flag = hub.site.path().join("go");
    hub.site.local_ci(&go.replace("GO", &flag.display().to_string()));
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one", "lan"]).await;
    hub.open("types", NewChange::default());
    let types = hub.change("types", 1);
    let running = |workspace: &str| {
        let builds = hub.site.builds();
        let of = |build: &&serde_json::Value| build["request"]["workspace"] == workspace;
        builds.iter().filter(of).any(|build| build["stage"] == "running")
    };
    eventually("its build is under way", async || running("one")).await;

    let down = What::Status(502, Vec::new(), "<html>502</html>".to_owned());
    hub.model.fault(Fault::on("", down));
    // Everything is read anew at the first look after a move, so the outage is seen.
    hub.model.push("rock/p0", "main", None);
    hub.model.forget_requests();
    eventually("many questions failed", async || hub.model.requests().of("").requests >= 5).await;
    hub.site.change("side", 1, "meanwhile");
    eventually("another forge goes on", async || running("lan")).await;
    let builds = hub.site.builds();
    assert_eq!(builds.len(), 2, "nothing new of it is triggered: {builds:?}");
    assert!(builds.iter().all(|build| build["cancel_wanted"] == false), "{builds:?}");
    assert!(!hub.site.decision("one", &types).starts_with("superseded"));

    hub.model.forget_requests();
    hub.model.no_faults();
    std::fs::write(&flag, "").expect("a file");
    hub.built(&types, 1).await;
    let marks = |hub: &Hub| hub.model.requests().of("graphql").requests;
    eventually("it answers", async || marks(&hub) >= 3 && failing(&hub).is_empty()).await;
    hub.decided(&types, "unchanged").await;
    let seen = hub.model.requests();
    assert!(seen.most_in_flight <= 10, "{} at once", seen.most_in_flight);
    assert!(seen.of("/repos").requests <= 3 * 50, "one full read: {:?}", seen.by_endpoint);
    assert_eq!(hub.site.builds().len(), 2, "nothing is built twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_that_fail_delay_no_others() {
    let hub = wide("true", "ref: head", &["one"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let forbidden = What::Status(403, Vec::new(), "{\"message\": \"no\"}".to_owned());
    hub.model.fault(Fault::on("repos/rock/p0", forbidden));
    hub.model.fault(Fault::on("repos/rock/p1/", What::Garbage(b"{\"not\": ".to_vec())));
    for name in ["p0", "p1"] {
        // Read together with others it does not fail: the faults are those of REST.
        eventually(&format!("{name} fails"), async || {
            hub.model.push(&format!("rock/{name}"), "main", None);
            failing(&hub).contains(name)
        })
        .await;
    }
    {
        let mut state = hub.model.state();
        let hidden = state.id("rock/p2").expect("a repository");
        state.named("rock/p2").private = true;
        let others = state.repositories.keys().copied().filter(|id| *id != hidden).collect();
        let token = state.tokens.values_mut().next().expect("a token");
        token.access = Access::Only(others);
    }
    eventually("p2 is not there", async || failing(&hub).contains("p2")).await;
    for number in 1..=5 {
        let opened =
            hub.open("types", NewChange { branch: format!("b{number}"), ..Default::default() });
        hub.model.forget_requests();
        let change = hub.change("types", opened);
        eventually("it is seen", async || {
            let requests = hub.model.requests();
            let many = requests.of("graphql").requests > 30;
            assert!(!many, "{:?}\n{}", requests.lines, hub.site.log());
            hub.site.decision("one", &change) != "none"
        })
        .await;
        // One cycle may have begun before, one finds it, and one may begin until we see it.
        let cycles = hub.model.requests().of("graphql").requests;
        assert!(cycles <= 4, "seen after {cycles} cycles");
    }
    assert!(failing(&hub).contains("p2"));
}

/// Builds of a subject in each of the five workspaces, once all of them have so many.
async fn each_built(hub: &Hub, subject: &str, times: usize) {
    for workspace in FIVE {
        eventually(&format!("{subject} is built {times} times in {workspace}"), async || {
            hub.site.succeeded(workspace, subject) == times
        })
        .await;
    }
}

async fn each_decides(hub: &Hub, subject: &str, words: &str) {
    for workspace in FIVE {
        eventually(&format!("{subject} is {words} in {workspace}"), async || {
            hub.site.decision(workspace, subject).contains(words)
        })
        .await;
    }
}

/// What the plans of all workspaces are made from.
async fn seen(hub: &Hub, what: &str, there: bool) {
    eventually(&format!("{what} is seen: {there}"), async || {
        let saved = hub.site.cli(&["snapshot", "save", "-"]);
        String::from_utf8_lossy(&saved.stdout).contains(what) == there
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_workspaces_of_fifty_repositories_learn_everything_once_for_two_requests_a_cycle() {
    let hub = wide("true", "ref: head, drafts: hold", &FIVE).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&FIVE).await;
    let asked = |what: &str| hub.model.requests().of(what).requests;
    for rest in [true, false] {
        hub.model.forget_requests();
        eventually("five cycles", async || asked("graphql") >= 5).await;
        let lines = hub.model.requests().lines;
        assert!(rest || asked("") <= 10, "at most two a cycle: {lines:?}");
    }
    let (types, drivers) = (hub.change("types", 1), hub.change("drivers", 1));
    hub.open("types", NewChange::default());
    each_built(&hub, &types, 1).await;
    hub.open("drivers", NewChange { draft: true, ..NewChange::default() });
    each_decides(&hub, &drivers, "it is a draft").await;
    hub.edit("drivers", 1, Edit::Draft(false));
    each_built(&hub, &drivers, 1).await;
    hub.push("drivers", 1);
    each_built(&hub, &drivers, 2).await;
    hub.edit("drivers", 1, Edit::Body(Some("Depends on: rock/types#1".into())));
    each_built(&hub, &drivers, 3).await;
    each_decides(&hub, &types, "covered").await;
    // A base that nobody tracks, and back.
    let repo = hub.site.repo("drivers");
    let main = crate::support::git_repo::git(&repo, &["rev-parse", "main"]);
    hub.model.push("rock/drivers", "feature", Some(&main));
    hub.edit("drivers", 1, Edit::Base("feature".into()));
    each_decides(&hub, &types, "unchanged").await;
    hub.edit("drivers", 1, Edit::Base("main".into()));
    each_decides(&hub, &types, "covered").await;
    hub.model.delete_branch("rock/drivers", "feature");
    seen(&hub, "\"feature\"", false).await;
    hub.edit("drivers", 1, Edit::Label("canary-label".into()));
    seen(&hub, "canary-label", true).await;
    hub.edit("drivers", 1, Edit::Close);
    each_decides(&hub, &types, "unchanged").await;
    hub.edit("drivers", 1, Edit::Reopen);
    each_decides(&hub, &types, "covered").await;
    // A commit that does not stand on the one before.
    let forced = crate::support::git_repo::commit(&repo, "refs/heads/new", "forced", &[&main]);
    crate::support::git_repo::git(&repo, &["update-ref", "-d", "refs/heads/new"]);
    hub.model.push_change("rock/drivers", 1, Some(&forced));
    each_built(&hub, &drivers, 4).await;
    hub.model.rename("rock/p0", "rock/renamed");
    seen(&hub, "rock/renamed", true).await;
    hub.edit("types", 1, Edit::Merge);
    each_decides(&hub, &types, "none").await;
    // A member that is merged is one less.
    each_built(&hub, &drivers, 5).await;
    // Once each, in every workspace.
    for workspace in FIVE {
        let builds = hub.site.builds();
        let of = |subject: &str| {
            let all = builds.iter().map(|build| &build["request"]);
            all.filter(|r| r["workspace"] == workspace && r["subject"] == subject).count()
        };
        assert_eq!((of(&types), of(&drivers)), (1, 5), "{workspace}");
    }
}
