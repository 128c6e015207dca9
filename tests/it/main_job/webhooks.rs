//! Webhooks of a model of GitHub over the whole program: quick where they arrive, harmless where not.

use std::time::Duration;

use crosswatch::clock::Clock;
use crosswatch::http::{HttpClient, HttpRequest, Method, StatusCode};
use crosswatch_core::model::time::{Span, Timestamp};
use forge_model::{Edit, HookFault, HookWhat, NewChange};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;

use super::github::Hub;
use crate::support::eventually;
use crate::support::site::Site;

pub(crate) const SECRET: &str = "webhook-canary";

/// Nothing but webhooks tells within a test that something moved.
pub(crate) const ONLY_HOOKS: &str = "interval: 10m, reconcile: 10h";

/// A hub that takes webhooks, with a hook for the whole of `rock` at the forge.
pub(crate) async fn hub(script: &str, changes: &str, poll: &str) -> Hub {
    let hub = Hub::new(script, changes, &["one"]).await;
    let mut files = String::new();
    for (name, secret) in [("new", SECRET), ("old", "the secret before")] {
        let file = hub.site.path().join(name);
        std::fs::write(&file, secret).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).expect("a mode");
        files.push_str(&format!("{{file: \"{}\"}}, ", file.display()));
    }
    hub.forge(poll, &format!("webhook_secret: [{files}]"));
    hub.model.org_hook("rock", &format!("{}/hooks/hub", hub.site.pages()), SECRET);
    hub
}

/// What `hooks` says of the one forge.
pub(crate) fn hooks(site: &Site) -> Value {
    site.ask(&["hooks"]).map(|rows| rows[0].clone()).unwrap_or_default()
}

pub(crate) fn counted(site: &Site, what: &str) -> u64 {
    hooks(site)["counts"][what].as_u64().unwrap_or_default()
}

pub(crate) fn strike(hub: &Hub, what: HookWhat, times: Option<u32>) {
    hub.model.state().hook_faults.push(HookFault { event: None, times, what });
}

/// Sends a body as the forge would, signed with `secret` if there is one.
pub(crate) async fn deliver(
    http: &HttpClient,
    site: &Site,
    (event, guid): (&str, &str),
    body: &str,
    secret: Option<&str>,
) -> StatusCode {
    let mut request = HttpRequest::new(Method::POST, format!("{}/hooks/hub", site.pages()))
        .body(body.to_owned())
        .deadline(Span::seconds(60));
    let mut headers = vec![
        ("x-github-event", event.to_owned()),
        ("x-github-delivery", guid.to_owned()),
        ("x-github-hook-id", "77".to_owned()),
        ("x-github-hook-installation-target-type", "organization".to_owned()),
    ];
    if let Some(secret) = secret {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(body.as_bytes());
        let digest = mac.finalize().into_bytes();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        headers.push(("x-hub-signature-256", format!("sha256={hex}")));
    }
    for (name, value) in headers {
        request = request.header(name, SecretString::from(value));
    }
    http.send(request).await.expect("an answer").status
}

async fn metrics(site: &Site) -> String {
    let request = HttpRequest::new(Method::GET, format!("{}/metrics", site.pages()));
    let answer = HttpClient::new().expect("a client").send(request).await.expect("an answer");
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Transactions in which deliveries were stored.
async fn transactions(site: &Site) -> u64 {
    let metrics = metrics(site).await;
    let line =
        |line: &str| line.strip_prefix("crosswatch_webhook_transactions_total ")?.parse().ok();
    metrics.lines().find_map(line).expect("a counter")
}

/// When the newest build of a subject was decided.
fn decided_at(site: &Site, subject: &str) -> Option<Timestamp> {
    let builds = site.builds();
    let build = builds.iter().find(|build| build["request"]["subject"] == subject)?;
    build["decided_at"]
        .as_i64()
        .map(Timestamp)
        .or_else(|| build["decided_at"].as_str()?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_leads_to_a_decision_at_once_also_when_the_forge_is_behind_itself() {
    let hub = hub("true", "ref: head", ONLY_HOOKS).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, clock) = (hub.change("types", 1), Clock::system());
    let mut took = Vec::new();
    let began = clock.now();
    hub.open("types", NewChange::default());
    hub.built(&types, 1).await;
    took.extend(decided_at(&hub.site, &types).map(|at| at.since(began).0));
    for times in 2..6 {
        let began = clock.now();
        hub.push("types", 1);
        hub.built(&types, times).await;
        took.extend(decided_at(&hub.site, &types).map(|at| at.since(began).0));
    }
    took.sort_unstable();
    println!("head to decision: median {} ms, most {} ms of {took:?}", took[2], took[4]);
    assert_eq!((took.len(), counted(&hub.site, "unknown")), (5, 0));
    let forges = hub.site.ask(&["forges"]).expect("an answer");
    let detector = forges["forges"][0]["detector"].as_str().expect("a text").to_owned();
    assert!(detector.starts_with("webhooks, and "), "{detector}");

    // What is told is not yet to be read: the forge's own answers are behind for a while.
    hub.model.state().lag = 1_500;
    hub.push("types", 1);
    hub.built(&types, 6).await;
    hub.model.state().lag = 0;

    // A repository that nobody watches is not asked for.
    hub.model.repository("rock/other");
    hub.model.forget_requests();
    hub.model.open("rock/other", NewChange::default());
    eventually("it is unknown", async || counted(&hub.site, "unknown") > 0).await;
    let lines = hub.model.requests().lines;
    assert!(!lines.iter().any(|line| line.contains("rock/other")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_badly_signed_changes_nothing_and_the_log_makes_up_for_it() {
    let hub = hub("true", "ref: head", "interval: 1s, reconcile: 10h").await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    // The first one tells where the log is.
    hub.open("types", NewChange::default());
    eventually("one is taken", async || counted(&hub.site, "taken") > 0).await;
    strike(&hub, HookWhat::BadSignature, Some(1));
    strike(&hub, HookWhat::Unsigned, Some(1));
    hub.open("drivers", NewChange::default());
    hub.open("gui", NewChange::default());
    eventually(&format!("they are made up for:\n{}", hub.site.log()), async || {
        counted(&hub.site, "repaired") >= 2
    })
    .await;
    let hooks = hooks(&hub.site);
    assert_eq!((&hooks["counts"]["refused"], &hooks["counts"]["lost"]), (&json!(2), &json!(2)));
    assert_eq!(hooks["hooks"][0]["place"], "orgs/rock", "{hooks}");
    let hook = &hooks["hooks"][0];
    assert!(hook["log"].is_null() && !hook["log_read_at"].is_null(), "{hooks}");
    // Delivered again by a person, it counts.
    let id = hub.model.state().deliveries.iter().find(|of| of.status == 401).map(|of| of.id);
    let taken = counted(&hub.site, "taken");
    assert!(hub.model.deliver_again(id.expect("a delivery")));
    eventually("it is taken after all", async || counted(&hub.site, "taken") > taken).await;
    let metrics = metrics(&hub.site).await;
    assert!(
        metrics.contains("crosswatch_webhooks_total{forge=\"hub\",outcome=\"lost\"} 2"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_act_on_what_was_taken_before() {
    let hub = hub("true", "ref: head", ONLY_HOOKS).await;
    let daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let types = hub.change("types", 1);
    hub.open("types", NewChange::default());
    hub.built(&types, 1).await;
    daemon.kill();
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    hub.decided(&types, "unchanged").await;
    // What the start reads is read.
    let mut before = u64::MAX;
    eventually("it rests", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = hub.model.requests().of("/repos").requests;
        std::mem::replace(&mut before, now) == now
    })
    .await;
    hub.model.forget_requests();
    let ids: Vec<u64> = hub.model.state().deliveries.iter().map(|of| of.id).collect();
    for id in &ids {
        assert!(hub.model.deliver_again(*id));
    }
    let all = ids.len() as u64;
    eventually("all are duplicates", async || counted(&hub.site, "duplicate") == all).await;
    // A hint is sent before the next one is taken: had there been one, it would have been read.
    hub.open("drivers", NewChange::default());
    hub.built(&hub.change("drivers", 1), 1).await;
    let lines = hub.model.requests().lines;
    assert!(!lines.iter().any(|line| line.contains("rock/types/pulls")), "{lines:?}");
}

/// Decisions after the same acts, with this fault of all webhooks.
async fn decisions(what: Option<HookWhat>) -> (Vec<String>, Value) {
    let hub = hub("true", "ref: head", "interval: 10m, reconcile: 6s").await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    if let Some(what) = what {
        strike(&hub, what, None);
    }
    hub.open("types", NewChange::default());
    let body = Some("Depends on: rock/types#1\n".to_owned());
    hub.open("drivers", NewChange { body, ..NewChange::default() });
    hub.open("gui", NewChange { draft: true, ..NewChange::default() });
    hub.push("types", 1);
    hub.push("gui", 1);
    hub.edit("gui", 1, Edit::Body(Some("Depends on: rock/drivers#1\n".into())));
    hub.edit("gui", 1, Edit::Draft(false));
    let branch = "second".to_owned();
    hub.open("gui", NewChange { branch, ..NewChange::default() });
    hub.edit("gui", 2, Edit::Close);
    let host = hub.model.url.trim_start_matches("http://").to_owned();
    let shown = || {
        let rows = hub.site.ask(&["changes"]).unwrap_or_default();
        let rows = rows.as_array().cloned().unwrap_or_default();
        let line = |row: &Value| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("change"), text("decision")).replace(&host, "hub")
        };
        rows.iter().map(line).collect::<Vec<_>>()
    };
    let gui = hub.change("gui", 1);
    eventually(&format!("the top is built:\n{}", hub.site.log()), async || {
        let shown = shown().join("\n");
        let over = |name: &str, word: &str| shown.contains(&format!("hub/rock/{name}#1 {word}"));
        over("types", "covered")
            && over("drivers", "covered")
            && over("gui", "unchanged")
            && hub.site.succeeded("one", &gui) > 0
    })
    .await;
    (shown(), hooks(&hub.site)["counts"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_lost_doubled_or_shuffled_change_no_decision() {
    let (plain, counts) = decisions(None).await;
    println!("as they should be: {counts}");
    assert!(counts["taken"].as_u64() > Some(5), "{counts}");
    for (what, count) in [
        (HookWhat::Lose, "taken"),
        (HookWhat::Duplicate, "duplicate"),
        (HookWhat::Shuffle(Duration::from_secs(3)), "taken"),
    ] {
        let (decisions, counts) = decisions(Some(what)).await;
        println!("{what:?}: {counts}");
        assert_eq!(decisions, plain, "{what:?}");
        assert_eq!(counts[count].as_u64() > Some(0), what != HookWhat::Lose, "{what:?} {counts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_github_is_answered_and_a_burst_is_stored_together() {
    let hub = hub("true", "ref: head", ONLY_HOOKS).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let packed = include_bytes!("../../support/forge-model/schemas/webhook-examples.json.gz");
    let unpacked = flate2::read::GzDecoder::new(&packed[..]);
    let examples: Vec<Value> = serde_json::from_reader(unpacked).expect("examples");
    let (http, clock) = (HttpClient::new().expect("a client"), Clock::system());
    let mut took = Vec::new();
    for entry in &examples {
        let event = entry["event"].as_str().expect("an event");
        for (n, example) in entry["examples"].as_array().expect("examples").iter().enumerate() {
            let began = clock.now();
            let guid = format!("{event}-{n}");
            let body = example.to_string();
            let status = deliver(&http, &hub.site, (event, &guid), &body, Some(SECRET)).await;
            took.push(clock.now().since(began).0);
            assert_eq!(status, StatusCode::ACCEPTED, "{event} {n}");
        }
    }
    took.sort_unstable();
    println!(
        "{} examples answered: median {} ms, 99 of 100 {} ms, most {} ms",
        took.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1]
    );
    let counts = hooks(&hub.site)["counts"].clone();
    assert_eq!((&counts["unreadable"], &counts["refused"]), (&json!(0), &json!(0)), "{counts}");

    let body = json!({"ref": "refs/heads/main", "after": "a".repeat(40),
        "repository": {"id": 1, "full_name": "rock/unwatched"}})
    .to_string();
    let before = transactions(&hub.site).await;
    let began = clock.now();
    let guids: Vec<String> = (0..200).map(|n| format!("burst-{n}")).collect();
    let burst =
        guids.iter().map(|guid| deliver(&http, &hub.site, ("push", guid), &body, Some(SECRET)));
    for status in futures_util::future::join_all(burst).await {
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    let ms = clock.now().since(began).0;
    let transactions = transactions(&hub.site).await - before;
    println!("200 at once: {ms} ms in {transactions} transactions");
    assert!(transactions < 150, "each one had a transaction of its own");
    // The secret before is still right while it is replaced; nothing else is.
    for (secret, status) in [
        (Some("the secret before"), StatusCode::ACCEPTED),
        (Some("another"), StatusCode::UNAUTHORIZED),
        (None, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(deliver(&http, &hub.site, ("push", "one-more"), &body, secret).await, status);
    }
    let bad = deliver(&http, &hub.site, ("push", "odd"), "{\"repository\": 1}", Some(SECRET)).await;
    assert_eq!(bad, StatusCode::BAD_REQUEST);
    let table = hub.site.cli(&["hooks"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("no `public_url`") && table.contains("1 unreadable"), "{table}");
    assert!(!hub.site.log().contains(SECRET));
}
