//! Branches and repositories that a model of GitHub renames, over the whole program.

use forge_model::NewChange;

use super::github::{Hub, saying};
use crate::support::eventually;
use crate::support::git_repo::{commit, git};

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_branch_is_watched_by_its_new_name_and_builds_nothing() {
    let hub = Hub::new("cat \"$CROSSWATCH_OVERRIDES\"", "ref: head", &["one"]).await;
    let daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, drivers) = hub.two_that_depend().await;
    let decisions = || [&types, &drivers, "mainline"].map(|one| hub.site.decision("one", one));
    let (before, builds) = (decisions(), hub.site.builds().len());

    hub.model.rename_branch("rock/types", "main", "trunk");
    let called = || {
        let explained = hub.site.cli(&["explain", "one", "mainline"]);
        String::from_utf8_lossy(&explained.stdout).contains("is called trunk now")
    };
    eventually(&format!("it is noticed:\n{}", hub.site.log()), async || called()).await;
    assert_eq!(decisions(), before);
    // After a restart it is still known which branch that was.
    drop(daemon);
    let _daemon = hub.site.start().await;
    hub.decided(&types, "covered").await;
    hub.decided("mainline", "unchanged").await;
    assert!(called());
    assert_eq!(decisions(), before);
    assert_eq!(hub.site.builds().len(), builds, "{}", hub.site.log());

    // A push to it is one to the mainline, and a build gets the present name.
    let repo = hub.site.repo("types");
    let trunk = git(&repo, &["rev-parse", "refs/heads/trunk"]);
    let head = commit(&repo, "refs/heads/new", "more", &[&trunk]);
    hub.model.push("rock/types", "trunk", Some(&head));
    hub.built("mainline", 1).await;
    hub.push("types", 1);
    hub.built(&drivers, 2).await;
    let of = |build: &&serde_json::Value| build["request"]["subject"] == drivers.as_str();
    let newest = hub.site.builds();
    let newest = &newest.iter().find(of).expect("a build")["request"];
    let bases: Vec<_> =
        newest["overrides"].as_array().expect("overrides").iter().map(|one| &one["base"]).collect();
    assert_eq!(bases, ["trunk", "main"], "{newest:#}");
    assert!(!hub.site.log().contains("panicked"), "{}", hub.site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_a_renamed_repository_still_come_from_itself() {
    let hub = Hub::new("true", "ref: head", &["one"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (first, second, third) = (1, 2, 3);
    let of = |number| hub.change("types", number);
    assert_eq!(hub.open("types", NewChange::default()), first);
    hub.built(&of(first), 1).await;
    hub.model.rename("rock/types", "rock/kinds");
    let repo = hub.site.repo("types");
    let main = git(&repo, &["rev-parse", "refs/heads/main"]);
    let open = |new: NewChange| {
        let head = commit(&repo, "refs/heads/new", &format!("{new:?}"), &[&main]);
        git(&repo, &["update-ref", "-d", "refs/heads/new"]);
        hub.model.open("rock/kinds", NewChange { head: Some(head), ..new })
    };
    // Whoever opens it: only who may write there pushes to the repository itself.
    let stranger = || NewChange {
        author: "mallory".into(),
        association: "NONE".into(),
        ..NewChange::default()
    };
    assert_eq!(open(stranger()), second);
    hub.built(&of(second), 1).await;
    hub.decided(&of(first), "unchanged").await;
    let fork = Some("mallory/kinds".to_owned());
    assert_eq!(open(NewChange { fork, ..stranger() }), third);
    hub.decided(&of(third), "approve").await;
    assert_eq!(hub.site.succeeded("one", &of(first)), 1, "{}", hub.site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_repository_is_known_by_both_names() {
    let hub = Hub::new("true", "ref: head", &["one"]).await;
    let daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, drivers) = (hub.change("types", 1), hub.change("drivers", 1));
    hub.open("types", NewChange::default());
    hub.built(&types, 1).await;
    hub.model.rename("rock/types", "rock/kinds");
    hub.open("drivers", saying("Depends on rock/kinds#1"));
    hub.built(&drivers, 1).await;
    hub.decided(&types, "covered").await;
    let builds = hub.site.builds().len();
    // After a restart too, also while the forge says nothing.
    drop(daemon);
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    hub.decided(&types, "covered").await;
    hub.decided(&drivers, "unchanged").await;
    assert_eq!(hub.site.builds().len(), builds, "{}", hub.site.log());
}
