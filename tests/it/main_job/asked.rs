//! What is asked about one pull request alone, from the forge to the decision.

use forge_model::{Edit, Fault, NewChange, Permission, What};

use super::github::{Hub, saying};
use crate::support::git_repo::{commit, git};

fn of_mallory() -> NewChange {
    NewChange {
        author: "mallory".into(),
        association: "CONTRIBUTOR".into(),
        fork: Some("mallory/types".into()),
        ..NewChange::default()
    }
}

/// Requests so far whose line has `what` in it.
fn asked(hub: &Hub, what: &str) -> usize {
    hub.model.requests().lines.iter().filter(|line| line.contains(what)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pull_request_is_built_at_its_merge_ref_as_soon_as_the_forge_has_tried() {
    let hub = Hub::new("true", "ref: auto", &["one", "two"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one", "two"]).await;
    assert_eq!(hub.open("types", NewChange::default()), 1);
    let types = hub.change("types", 1);
    // Less than the minute that a forge is waited for that says nothing.
    hub.built(&types, 1).await;
    let overrides = hub.site.cli(&["overrides", "one", &types, "--format", "json"]);
    let overrides = String::from_utf8_lossy(&overrides.stdout).into_owned();
    assert!(overrides.contains("refs/pull/1/merge"), "{overrides}\n{}", hub.site.log());
    let explained = hub.site.cli(&["explain", "one", &types]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("the forge can merge it"), "{explained}");
    // Two workspaces ask as often as one, and nobody asks again when the base moves.
    let before = asked(&hub, "types/pulls/1 ");
    assert!((2..=4).contains(&before), "{before}: {:?}", hub.model.requests().lines);
    for round in 0..3 {
        let repo = hub.site.repo("types");
        let main = git(&repo, &["rev-parse", "refs/heads/main"]);
        let head = commit(&repo, "refs/heads/main", &format!("push {round}"), &[&main]);
        hub.model.push("rock/types", "main", Some(&head));
    }
    assert_eq!(hub.open("drivers", NewChange::default()), 1);
    hub.built(&hub.change("drivers", 1), 1).await;
    assert_eq!(asked(&hub, "types/pulls/1 "), before);
    assert_eq!(hub.site.succeeded("one", &types), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_moved_together_are_asked_about_together() {
    let hub = Hub::new("true", "ref: auto", &["one", "two"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one", "two"]).await;
    let names = ["types", "drivers", "gui"];
    let changes = names.map(|name| hub.change(name, 1));
    let subjects: Vec<&str> = changes.iter().map(String::as_str).collect();
    hub.site
        .together("one", &subjects, || {
            for name in names {
                assert_eq!(hub.open(name, NewChange::default()), 1);
            }
        })
        .await;
    for change in &changes {
        hub.built(change, 1).await;
        let overrides = hub.site.cli(&["overrides", "one", change, "--format", "json"]);
        let overrides = String::from_utf8_lossy(&overrides.stdout).into_owned();
        assert!(overrides.contains("refs/pull/1/merge"), "{overrides}\n{}", hub.site.log());
    }
    // Not one of them is asked about by itself, but where a look saw only some of them.
    let alone = asked(&hub, "/pulls/1 ");
    assert!(alone <= 2, "{alone}: {:?}", hub.model.requests().lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_does_not_count_is_held_until_a_push_that_does() {
    let hub = Hub::new("true", "ref: head, ignore_paths: [\"*.md\", \"docs/**\"]", &["one"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let new = NewChange { files: files(&["README.md", "docs/a"]), ..NewChange::default() };
    assert_eq!(hub.open("types", new), 1);
    let types = hub.change("types", 1);
    hub.decided(&types, "touches no path that this workspace watches").await;
    let asked_before = asked(&hub, "types/pulls/1/files");
    assert_eq!(asked_before, 1);
    assert_eq!(hub.open("drivers", NewChange { files: files(&["x"]), ..Default::default() }), 1);
    hub.built(&hub.change("drivers", 1), 1).await;
    assert_eq!(hub.site.succeeded("one", &types), 0);
    assert_eq!(asked(&hub, "types/pulls/1/files"), asked_before, "files are read once a head");
    let (repo, main) =
        (hub.site.repo("types"), git(&hub.site.repo("types"), &["rev-parse", "main"]));
    let head = commit(&repo, "refs/heads/new", "with code", &[&main]);
    git(&repo, &["update-ref", "-d", "refs/heads/new"]);
    {
        let mut state = hub.model.state();
        let change = state.named("rock/types").changes.get_mut(&1).expect("the change");
        change.files.push("src/a.c".to_owned());
    }
    hub.model.push_change("rock/types", 1, Some(&head));
    hub.built(&types, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_write_needs_no_approval() {
    let hub = Hub::new("true", "ref: head", &["one"]).await;
    hub.model.permit("rock/drivers", "mallory", Permission::Write);
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, drivers) = (hub.change("types", 1), hub.change("drivers", 1));
    assert_eq!(hub.open("types", of_mallory()), 1);
    hub.decided(&types, "mallory may not write to").await;
    assert_eq!(hub.open("drivers", of_mallory()), 1);
    hub.built(&drivers, 1).await;
    assert_eq!(hub.site.succeeded("one", &types), 0);
    let explained = hub.site.cli(&["explain", "one", &drivers]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("trusted: its author may write"), "{explained}");
    assert_eq!(asked(&hub, "/collaborators/"), 2, "{:?}", hub.model.requests().lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_by_the_grammar_of_the_workspace() {
    let hub = Hub::new("true", "ref: head, grammar: zuul", &["one"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, drivers) = (hub.change("types", 1), hub.change("drivers", 1));
    assert_eq!(hub.open("types", NewChange::default()), 1);
    assert_eq!(hub.open("drivers", saying("Depends on: rock/types#1")), 1);
    hub.built(&types, 1).await;
    hub.built(&drivers, 1).await;
    let zuul = format!("Depends-On: {}/rock/types/pull/1", hub.model.url);
    hub.edit("drivers", 1, Edit::Body(Some(zuul)));
    hub.built(&drivers, 2).await;
    hub.decided(&types, "covered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_graphql_is_read_by_rest_alone() {
    let hub = Hub::new("true", "ref: auto", &["one"]).await;
    let missing = What::Status(404, Vec::new(), "{\"message\": \"Not Found\"}".to_owned());
    hub.model.fault(Fault::on("graphql", missing));
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, drivers) = hub.two_that_depend().await;
    hub.edit("drivers", 1, Edit::Close);
    hub.decided(&drivers, "none").await;
    hub.decided(&types, "unchanged").await;
}
