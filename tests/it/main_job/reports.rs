//! What the daemon says on a model of GitHub: statuses and the one comment, over the whole program.

use forge_model::{Edit, Fault, NewChange, What};
use serde_json::Value;

use super::github::{Hub, saying};
use crate::support::eventually;

impl Hub {
    /// Names repositories that may be written to; before the daemon starts, or it reloads.
    pub(super) fn report_to(&self, names: &[&str], changes: &str) {
        let path = self.site.path().join("workspaces.yaml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let gate = self.gate();
        std::fs::create_dir_all(&gate).expect("a folder");
        let to: Vec<String> = names.iter().map(|name| format!("hub/rock/{name}")).collect();
        let report = format!("  report: {{to: [{}]}}\nworkspaces:\n", to.join(", "));
        let text = text
            .replace("workspaces:\n", &report)
            .replace("ref: head", &format!("ref: head{changes}"))
            .replace("bubblewrap", &format!("bubblewrap, read_only: [{}]", gate.display()));
        self.site.write_config(&text);
    }

    fn gate(&self) -> std::path::PathBuf {
        self.site.path().join("gate")
    }

    /// Builds end from now on.
    fn go(&self) {
        std::fs::write(self.gate().join("go"), "").expect("a file");
    }

    /// Statuses of a repository, by head, as `state: description`.
    pub(super) fn statuses(&self, name: &str) -> std::collections::BTreeMap<String, Vec<String>> {
        let mut state = self.model.state();
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let one = |value: &Value| {
            assert_eq!(value["context"], "crosswatch/one");
            format!("{}: {}", text(value, "state"), text(value, "description"))
        };
        let all = &state.named(&format!("rock/{name}")).statuses;
        all.iter().map(|(head, all)| (head.clone(), all.iter().map(one).collect())).collect()
    }

    /// Our comments on the changes of a repository.
    fn comments(&self, name: &str) -> Vec<(u64, String)> {
        let mut state = self.model.state();
        let all = state.named(&format!("rock/{name}")).comments.values();
        all.map(|comment| (comment.number, comment.body.clone())).collect()
    }

    pub(super) fn head(&self, name: &str, number: u64) -> String {
        self.model.state().named(&format!("rock/{name}")).changes[&number].head.clone()
    }

    async fn says(&self, name: &str, number: u64, expected: &[&str]) {
        let head = self.head(name, number);
        eventually(
            &format!("{name}#{number} says {expected:?}:\n{}", self.site.log()),
            async || self.statuses(name).get(&head).is_some_and(|said| said == expected),
        )
        .await;
    }
}

const WAITS: &str = "until [ -e \"$(dirname \"$0\")/gate/go\" ]; do sleep 0.05; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_of_its_build_once_and_only_where_that_is_wanted() {
    let hub = Hub::new(WAITS, "ref: head", &["one"]).await;
    hub.report_to(&["types", "gui"], ", adopt: none");
    assert_eq!(hub.open("gui", saying("Depends on: rock/nothing#1")), 1);
    let daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    assert_eq!(hub.open("types", NewChange::default()), 1);
    assert_eq!(hub.open("drivers", saying("Depends on: rock/nothing#1")), 1);
    hub.says("types", 1, &["pending: building on here"]).await;
    hub.go();
    hub.says("types", 1, &["pending: building on here", "success: passed on here"]).await;
    hub.built(&hub.change("drivers", 1), 1).await;

    // After a restart nothing is said again: what comes after it is the sign that it had its time.
    drop(daemon);
    let _daemon = hub.site.start().await;
    hub.decided(&hub.change("types", 1), "unchanged").await;
    assert_eq!(hub.open("types", NewChange { title: "b".into(), ..NewChange::default() }), 2);
    hub.built(&hub.change("types", 2), 1).await;
    let second = hub.head("types", 2);
    eventually("the second one's verdict", async || {
        hub.statuses("types")
            .get(&second)
            .is_some_and(|said| said.last() == Some(&"success: passed on here".into()))
    })
    .await;
    let said = hub.statuses("types");
    assert_eq!(said[&hub.head("types", 1)].len(), 2, "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(hub.statuses("drivers").is_empty(), "it is not named");
    assert!(hub.statuses("gui").is_empty(), "it was open before");
    for name in ["types", "drivers", "gui"] {
        assert_eq!(hub.comments(name), [], "{name}");
    }
    hub.decided(&hub.change("gui", 1), "held").await;
    let log = hub.site.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_says_it_by_one_check_run_or_by_statuses_where_it_may_not() {
    const APP: u64 = 4712;
    let hub = Hub::new(WAITS, "ref: head", &["one"]).await;
    hub.report_to(&["types", "drivers"], ", adopt: none");
    let key = hub.site.path().join("app.pem");
    std::fs::write(&key, hub.model.app(APP)).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).expect("a mode");
    hub.model.install(APP, "rock");
    hub.forge("interval: 1s", &format!("app: {{id: {APP}, key: {{file: {}}}}}", key.display()));
    let path = hub.site.path().join("workspaces.yaml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let only: Vec<&str> = text.lines().filter(|line| !line.contains("token: {file")).collect();
    hub.site.write_config(&format!("{}\n", only.join("\n")));
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let checks = |name: &str| -> Vec<String> {
        let mut state = hub.model.state();
        let text = |check: &Value| format!("{} {}", check["status"], check["conclusion"]);
        state.named(&format!("rock/{name}")).checks.values().map(text).collect()
    };
    assert_eq!(hub.open("types", NewChange::default()), 1);
    eventually("it has begun", async || checks("types") == ["\"in_progress\" null"]).await;
    hub.go();
    let passed = "\"completed\" \"success\"";
    eventually("the same one passed", async || checks("types") == [passed]).await;
    assert!(hub.statuses("types").is_empty());
    // What is over does not begin again: a rebuild has a check run of its own, the newest counts.
    std::fs::remove_file(hub.gate().join("go")).expect("builds wait again");
    let types = hub.change("types", 1);
    assert!(hub.site.cli(&["rebuild", "one", &types]).status.success());
    let again = [passed, "\"in_progress\" null"];
    eventually("another one has begun", async || checks("types") == again).await;
    hub.go();
    eventually("another one passed", async || checks("types") == [passed, passed]).await;
    assert!(hub.statuses("types").is_empty());

    let refused = What::Status(403, Vec::new(), "{\"message\": \"not accessible\"}".to_owned());
    hub.model.fault(Fault::on("rock/drivers/check-runs", refused));
    hub.model.forget_requests();
    assert_eq!(hub.open("drivers", NewChange::default()), 1);
    hub.built(&hub.change("drivers", 1), 1).await;
    let head = hub.head("drivers", 1);
    eventually("its verdict is a status", async || {
        let said = hub.statuses("drivers");
        said.get(&head).is_some_and(|said| said.last() == Some(&"success: passed on here".into()))
    })
    .await;
    let lines = hub.model.requests().lines;
    let tried = lines.iter().filter(|line| line.contains("rock/drivers/check-runs")).count();
    assert_eq!(tried, 1, "it is remembered: {lines:?}");
    let forges = String::from_utf8_lossy(&hub.site.cli(&["forges"]).stdout).into_owned();
    assert!(forges.contains("no check runs of"), "{forges}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_refuses_is_left_alone_and_nothing_fails() {
    let hub = Hub::new(WAITS, "ref: head", &["one"]).await;
    hub.report_to(&["types"], "");
    let refusal = "{\"message\": \"Resource not accessible by personal access token\"}";
    let refused = Fault::on("/statuses/", What::Status(403, Vec::new(), refusal.to_owned()));
    hub.model.fault(Fault { body: Some("success".to_owned()), ..refused });
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    assert_eq!(hub.open("types", NewChange::default()), 1);
    hub.says("types", 1, &["pending: building on here"]).await;
    hub.go();
    let forges = || String::from_utf8_lossy(&hub.site.cli(&["forges"]).stdout).into_owned();
    eventually("it is told", async || forges().contains("no reports to")).await;
    assert!(forges().contains("Resource not accessible"), "{}", forges());
    // No other word is tried, and other changes are built.
    assert_eq!(hub.open("types", NewChange { title: "b".into(), ..NewChange::default() }), 2);
    hub.built(&hub.change("types", 2), 1).await;
    assert_eq!(hub.model.requests().of("statuses").requests, 2, "{}", hub.site.log());
    // Mended, and said so: the verdict that was refused is written as well.
    hub.model.no_faults();
    assert!(hub.site.cli(&["reload"]).status.success());
    hub.says("types", 1, &["pending: building on here", "success: passed on here"]).await;
    hub.says("types", 2, &["success: passed on here"]).await;
    assert!(!forges().contains("no reports to"), "{}", forges());
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_one_comment_and_what_is_private_is_nowhere() {
    let hub = Hub::new("true", "ref: head", &["one"]).await;
    hub.report_to(&["types"], "");
    hub.model.set_private("rock/drivers", true);
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let types = hub.change("types", 1);
    let body = "Depends on: rock/drivers#1, rock/nothing#7\n";
    assert_eq!(hub.open("drivers", NewChange::default()), 1);
    assert_eq!(hub.open("types", saying(body)), 1);
    eventually(&format!("a comment:\n{}", hub.site.log()), async || {
        hub.comments("types").iter().any(|(_, text)| text.contains("rock/nothing#7"))
    })
    .await;
    hub.built(&types, 1).await;
    let head = hub.head("types", 1);
    let last = "success: passed on here, together with 1 change not shown here";
    eventually(&format!("the verdict:\n{}", hub.site.log()), async || {
        hub.statuses("types").get(&head).is_some_and(|said| said.last() == Some(&last.into()))
    })
    .await;
    hub.edit("types", 1, Edit::Body(Some("Depends on: rock/drivers#1\n".into())));
    eventually("all clear", async || {
        hub.comments("types").iter().any(|(_, text)| text.contains("all clear"))
    })
    .await;
    assert_eq!(hub.comments("types").len(), 1, "one comment, edited");
    let written = format!("{:?} {:?}", hub.statuses("types"), hub.comments("types"));
    assert!(!written.contains("drivers"), "{written}");
    assert!(hub.statuses("drivers").is_empty() && hub.comments("drivers").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_and_not_marked_is_written_once_more_at_most() {
    let hub = Hub::new(WAITS, "ref: head", &["one"]).await;
    hub.report_to(&["types"], "");
    // The forge takes it, and its answer is lost; then so is the daemon.
    let comment = Fault::on("/comments", What::Cut).times(1);
    hub.model.fault(Fault { body: Some("somebody to approve".to_owned()), ..comment });
    let daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let stranger = NewChange {
        author: "mallory".into(),
        association: "NONE".into(),
        fork: Some("mallory/types".into()),
        ..NewChange::default()
    };
    assert_eq!(hub.open("types", stranger), 1);
    eventually("the comment is there", async || !hub.comments("types").is_empty()).await;
    drop(daemon);
    let daemon = hub.site.start().await;
    hub.decided(&hub.change("types", 1), "held").await;
    assert!(hub.site.cli(&["approve", "one", &hub.change("types", 1)]).status.success());
    hub.says("types", 1, &["pending: building on here"]).await;
    eventually("all clear", async || {
        hub.comments("types").iter().any(|(_, text)| text.contains("all clear"))
    })
    .await;
    assert_eq!(hub.comments("types").len(), 1, "it was found again");
    hub.model.fault(Fault::on("/statuses/", What::Cut).times(1));
    hub.go();
    hub.says("types", 1, &["pending: building on here", "success: passed on here"]).await;
    drop(daemon);
    let _daemon = hub.site.start().await;
    let twice = ["pending: building on here", "success: passed on here", "success: passed on here"];
    hub.says("types", 1, &twice).await;
    // What comes after it is the sign that it had its time.
    assert_eq!(hub.open("types", NewChange::default()), 2);
    hub.built(&hub.change("types", 2), 1).await;
    let second = hub.head("types", 2);
    eventually("the second one's verdict", async || {
        let said = hub.statuses("types");
        said.get(&second).is_some_and(|said| said.last() == Some(&"success: passed on here".into()))
    })
    .await;
    hub.says("types", 1, &twice).await;
    assert_eq!(hub.comments("types").len(), 1);
}
