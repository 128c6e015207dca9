//! A merge queue of a model of GitHub, over the whole program.

use forge_model::{Edit, NewChange};

use super::github::{Hub, saying};
use crate::support::eventually;
use crate::support::git_repo::{commit, git};

impl Hub {
    /// Queues a change as GitHub does: with a merge commit on what it would be put on. The subject and
    /// its head.
    fn queue(&self, name: &str, number: u64) -> (String, String) {
        let full = format!("rock/{name}");
        let (_, on) = self.model.queue_end(&full, number);
        let repo = self.site.repo(name);
        let own = self.model.state().named(&full).changes[&number].head.clone();
        let head = commit(&repo, "refs/heads/new", &format!("merges #{number}"), &[&on, &own]);
        git(&repo, &["update-ref", "-d", "refs/heads/new"]);
        let branch = self.model.queue(&full, number, Some(&head));
        let repository = self.change(name, number);
        let repository = repository.rsplit_once('#').expect("a change").0.to_owned();
        (format!("{repository}@{branch}"), head)
    }

    fn request(&self, subject: &str) -> serde_json::Value {
        let of = |build: &&serde_json::Value| build["request"]["subject"] == subject;
        self.site.builds().iter().find(of).expect("a build")["request"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_built_at_the_queues_head_and_reported_there_alone() {
    let script = "cat \"$CROSSWATCH_OVERRIDES\"";
    let hub = Hub::new(script, "ref: head, adopt: none", &["one"]).await;
    hub.report_to(&["types"], "");
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    assert_eq!(hub.open("drivers", NewChange::default()), 1);
    hub.built(&hub.change("drivers", 1), 1).await;
    assert_eq!(hub.open("types", saying("Depends on: rock/drivers#1")), 1);
    assert_eq!(hub.open("types", NewChange::default()), 2);
    hub.built(&hub.change("types", 1), 1).await;
    hub.built(&hub.change("types", 2), 1).await;
    let mainline = hub.site.decision("one", "mainline");
    let before = hub.site.builds().len();

    let (first, first_head) = hub.queue("types", 1);
    let (second, second_head) = hub.queue("types", 2);
    hub.built(&first, 1).await;
    hub.built(&second, 1).await;
    let request = hub.request(&second);
    let heads: Vec<&str> = request["overrides"]
        .as_array()
        .expect("overrides")
        .iter()
        .map(|one| one["head"].as_str().expect("a head"))
        .collect();
    assert_eq!(heads, [hub.head("drivers", 1).as_str(), &second_head], "{request:#}");
    let branch = second.split_once('@').expect("a branch").1;
    assert_eq!(request["overrides"][1]["ref_name"], format!("refs/heads/{branch}"));
    assert_eq!(request["set"].as_array().map(Vec::len), Some(3), "{request:#}");

    // On the head of each entry, and no word more on the changes.
    for head in [&first_head, &second_head] {
        eventually(&format!("a verdict:\n{}", hub.site.log()), async || {
            let said = hub.statuses("types");
            said.get(head)
                .and_then(|said| said.last())
                .is_some_and(|last| last.starts_with("success: passed on here"))
        })
        .await;
    }
    let said = hub.statuses("types");
    let heads: std::collections::BTreeSet<String> =
        [first_head, second_head, hub.head("types", 1), hub.head("types", 2)].into();
    assert_eq!(said.keys().cloned().collect::<std::collections::BTreeSet<_>>(), heads);
    assert!(said[&hub.head("types", 1)].len() <= 2, "{said:?}");
    assert!(hub.statuses("drivers").is_empty(), "it is not named");

    // People find it under any end of its name.
    let end = branch.rsplit('/').next().expect("an end");
    let explained = hub.site.cli(&["explain", "one", end]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("the branch of the merge queue"), "{explained}");
    let log = hub.site.cli(&["log", request["request_id"].as_str().expect("an id")]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains(&format!("refs/heads/{branch}")), "{log}");

    // A restart builds nothing again; neither does the end of the queue, nor did the mainline move.
    drop(_daemon);
    let _daemon = hub.site.start().await;
    hub.decided(&second, "unchanged").await;
    hub.model.unqueue("rock/types", 1);
    hub.model.unqueue("rock/types", 2);
    hub.decided(&second, "none").await;
    assert_eq!(hub.site.builds().len(), before + 2, "{}", hub.site.log());
    assert_eq!(hub.site.decision("one", "mainline"), mainline);
    assert!(!hub.site.log().contains("panicked"), "{}", hub.site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_queue_is_cancelled_and_a_strangers_waits() {
    let waits = "[ -z \"$(grep gh-readonly-queue \"$CROSSWATCH_OVERRIDES\")\" ] || sleep 600";
    let hub = Hub::new(waits, "ref: head", &["one"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    assert_eq!(hub.open("types", NewChange::default()), 1);
    hub.built(&hub.change("types", 1), 1).await;
    let (entry, _) = hub.queue("types", 1);
    let stage = |subject: &str| {
        let of = |build: &serde_json::Value| build["request"]["subject"] == subject;
        let builds = hub.site.builds();
        builds.iter().find(|build| of(build)).map(|build| build["stage"].to_string())
    };
    eventually(&format!("it runs:\n{}", hub.site.log()), async || {
        stage(&entry).is_some_and(|stage| stage.contains("running"))
    })
    .await;
    hub.model.unqueue("rock/types", 1);
    eventually(&format!("it is cancelled:\n{}", hub.site.log()), async || {
        stage(&entry).is_some_and(|stage| !stage.contains("running"))
    })
    .await;
    hub.edit("types", 1, Edit::Close);

    let stranger = NewChange {
        author: "mallory".into(),
        association: "NONE".into(),
        fork: Some("mallory/types".into()),
        ..NewChange::default()
    };
    assert_eq!(hub.open("types", stranger), 2);
    let change = hub.change("types", 2);
    hub.decided(&change, "approve").await;
    let (entry, _) = hub.queue("types", 2);
    hub.decided(&entry, "approve").await;
    assert_eq!(stage(&entry), None);
    // Whoever approves the change approves what is queued of it.
    assert!(hub.site.cli(&["approve", "one", &change]).status.success());
    eventually(&format!("it runs:\n{}", hub.site.log()), async || stage(&entry).is_some()).await;
}
