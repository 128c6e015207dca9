//! The GitHub face, asked over real sockets by a client that knows nothing of the model.

use std::time::Duration;

use crate::client::{exchange, get, get_as, post, query, received};
use forge_model::fault::{HookFault, HookWhat};
use forge_model::{Edit, Fault, Limits, Meter, Model, NewChange, Permission, What};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

async fn world() -> Model {
    let model = Model::start().await;
    model.token("main", "secret");
    model.token("other", "second");
    model.repository("org/a");
    model
}

fn spent(model: &Model) -> u32 {
    model.state().tokens["secret"].meter.spent()
}

#[tokio::test]
async fn lists_have_pages_and_tags_that_belong_to_a_token() {
    let model = world().await;
    for _ in 0..250 {
        model.open("org/a", NewChange::default());
    }
    let first = get(&model, "/repos/org/a/pulls?per_page=100", None).await;
    assert_eq!((first.status, first.json().as_array().unwrap().len()), (200, 100));
    assert_eq!(first.json()[0]["number"], 250);
    let mut seen = 100;
    let mut link = first.headers["link"].clone();
    while let Some((next, _)) = link.split_once(">; rel=\"next\"") {
        let path = next.rsplit_once("/api/v3").unwrap().1.to_owned();
        let page = get(&model, &path, None).await;
        seen += page.json().as_array().unwrap().len();
        link = page.headers.get("link").cloned().unwrap_or_default();
    }
    assert_eq!((seen, spent(&model)), (250, 3));
    let etag = first.headers["etag"].clone();
    let ask = |secret, etag: String| {
        let model = &model;
        async move {
            let path = "/repos/org/a/pulls?per_page=100";
            get_as(model, secret, path, Some(&etag)).await.status
        }
    };
    assert_eq!(ask("secret", etag.clone()).await, 304);
    assert_eq!(ask("second", etag.clone()).await, 200);
    assert_eq!(spent(&model), 3, "a 304 costs nothing");
    // A star moves the list although no change in it did.
    model.star("org/a");
    assert_eq!(ask("secret", etag).await, 200);
    let summary = model.requests();
    assert_eq!(summary.of("GET /repos/{}/{}/pulls").not_modified, 1);
    assert_eq!(summary.total().requests, 6);
}

#[tokio::test]
async fn limits_are_kept_and_whoever_comes_early_is_counted() {
    let model = world().await;
    let limits = Limits { minute: 5, retry_after: Some(1), core: 6, ..Limits::github() };
    model.state().tokens.get_mut("secret").unwrap().meter = Meter::new(limits);
    for _ in 0..5 {
        assert_eq!(get(&model, "/repos/org/a", None).await.status, 200);
    }
    let refused = get(&model, "/repos/org/a", None).await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (403, "1"));
    assert_eq!(model.requests().early, 0);
    // Whoever was on the way could not know.
    get(&model, "/repos/org/a", None).await;
    assert_eq!((model.requests().early, model.requests().refused), (0, 2));
    tokio::time::sleep(Duration::from_millis(400)).await;
    get(&model, "/repos/org/a", None).await;
    assert_eq!((model.requests().early, model.requests().refused), (1, 3));
    let limits = Limits { core: 2, ..Limits::github() };
    model.state().tokens.get_mut("secret").unwrap().meter = Meter::new(limits);
    let left: Vec<(u16, String)> = {
        let mut left = Vec::new();
        for _ in 0..3 {
            let answer = get(&model, "/repos/org/a", None).await;
            left.push((answer.status, answer.headers["x-ratelimit-remaining"].clone()));
        }
        left
    };
    assert_eq!(left, [(200, "1".into()), (200, "0".into()), (403, "0".into())]);
    assert_eq!(get(&model, "/rate_limit", None).await.json()["rate"]["remaining"], 0);
    assert_eq!(get_as(&model, "wrong", "/user", None).await.status, 401);
}

#[tokio::test]
async fn names_rights_and_forks_come_and_go() {
    let model = world().await;
    model.rename("org/a", "org/b");
    let moved = get(&model, "/repos/org/a/pulls?state=open", None).await;
    assert_eq!(moved.status, 301);
    let path = moved.headers["location"].rsplit_once("/api/v3").unwrap().1.to_owned();
    assert_eq!(get(&model, &path, None).await.status, 200);
    model.set_private("org/b", true);
    let anonymous = exchange(&model, "GET /repos/org/b HTTP/1.1", "").await.expect("an answer");
    assert_eq!(anonymous.status, 404);
    assert_eq!(get(&model, "/repos/org/b", None).await.status, 200);
    let change = NewChange { fork: Some("me/b".into()), ..NewChange::default() };
    let number = model.open("org/b", change);
    let path = format!("/repos/org/b/pulls/{number}");
    assert_eq!(get(&model, &path, None).await.json()["head"]["repo"]["full_name"], "me/b");
    let head = model.push("me/b", "topic", None);
    assert_eq!(get(&model, &path, None).await.json()["head"]["sha"], *head);
    model.edit("org/b", number, Edit::DeleteFork);
    model.edit("org/b", number, Edit::DeleteAuthor);
    let orphan = get(&model, &path, None).await.json();
    assert!(orphan["head"]["repo"].is_null() && orphan["user"].is_null());
    model.permit("org/b", "bob", Permission::Maintain);
    let right = get(&model, "/repos/org/b/collaborators/bob/permission", None).await.json();
    assert_eq!((&right["permission"], &right["role_name"]), (&json!("write"), &json!("maintain")));
}

const SENTINEL: &str = "query Sentinel($ids: [ID!]!) { rateLimit { cost remaining }
  nodes(ids: $ids) { ... on Repository { id pushedAt
    pullRequests(first: 1, orderBy: {field: UPDATED_AT, direction: DESC}) { nodes { updatedAt } } } } }";

const FULL: &str = "query Full($ids: [ID!]!) { rateLimit { cost }
  nodes(ids: $ids) { __typename ... on Repository { ...whole } } }
  fragment whole on Repository { nameWithOwner
    refs(refPrefix: \"refs/heads/\", first: 100) { nodes { name target { oid } } pageInfo { hasNextPage endCursor } }
    pullRequests(states: [OPEN], first: 50) { totalCount nodes {
      number headRefOid body isDraft author { login __typename } labels(first: 10) { nodes { name } } } } }";

#[tokio::test]
async fn graphql_costs_what_its_connections_cost() {
    let model = world().await;
    let ids: Vec<String> =
        (0..100).map(|n| format!("R_{}", model.repository(&format!("many/r{n}")))).collect();
    let number =
        model.open("many/r7", NewChange { body: Some("x".into()), ..NewChange::default() });
    let data = query(&model, SENTINEL, json!({"ids": ids})).await;
    assert_eq!(data["data"]["rateLimit"], json!({"cost": 1, "remaining": 4999}));
    assert_eq!(data["data"]["nodes"].as_array().unwrap().len(), 100);
    assert!(data["data"]["nodes"][7]["pullRequests"]["nodes"][0]["updatedAt"].is_string());
    let data = query(&model, FULL, json!({"ids": &ids[..10]})).await;
    let one = &data["data"]["nodes"][7];
    assert_eq!(one["nameWithOwner"], "many/r7");
    assert_eq!(one["refs"]["nodes"][0]["name"], "main");
    assert_eq!(one["pullRequests"]["nodes"][0]["number"], number);
    assert_eq!(one["pullRequests"]["nodes"][0]["author"]["__typename"], "User");
    let nested =
        FULL.replace("labels(first: 10) { nodes { name } }", "comments(last: 3) { totalCount }");
    let data = query(&model, &nested, json!({"ids": &ids[..50]})).await;
    assert_eq!(data["data"]["rateLimit"]["cost"], 26);
    let wrong =
        query(&model, "{ repository(owner: \"org\", name: \"a\") { nonsense } }", json!({})).await;
    assert!(wrong["errors"][0]["message"].as_str().unwrap().contains("nonsense"));
    let unbound =
        FULL.replace("(refPrefix: \"refs/heads/\", first: 100)", "(refPrefix: \"refs/heads/\")");
    assert!(query(&model, &unbound, json!({"ids": ids})).await["errors"].is_array());
    let missing = query(&model, SENTINEL, json!({"ids": [ids[0], "R_1"]})).await;
    assert_eq!(missing["errors"][0]["path"], json!(["nodes", 1]));
    assert!(missing["data"]["nodes"][1].is_null() && missing["data"]["nodes"][0].is_object());
    model.fault(Fault::on("graphql", What::Heavy(50)));
    let heavy =
        post(&model, "/graphql", &json!({"query": SENTINEL, "variables": {"ids": ids}})).await;
    assert_eq!(heavy.status, 502);
    assert!(query(&model, SENTINEL, json!({"ids": &ids[..50]})).await["data"].is_object());
}

fn signed(head: &str, body: &[u8], secret: &str) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    head.contains(&format!("x-hub-signature-256: sha256={hex}"))
}

#[tokio::test]
async fn what_happens_is_told_by_signed_webhooks() {
    let model = world().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hooks/github", listener.local_addr().unwrap());
    let hook = model.hook(Some("org/a"), &url, "s3cret");
    let number = model.open("org/a", NewChange::default());
    let (head, body) = received(&listener).await;
    let payload: Value = serde_json::from_slice(&body).unwrap();
    assert!(head.contains("x-github-event: pull_request") && signed(&head, &body, "s3cret"));
    assert!(head.contains("x-github-hook-installation-target-type: repository"), "{head}");
    assert_eq!((&payload["action"], &payload["number"]), (&json!("opened"), &json!(number)));
    let head_sha = model.push_change("org/a", number, None);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (_, body) = received(&listener).await;
        let payload: Value = serde_json::from_slice(&body).unwrap();
        seen.push(payload["pull_request"]["head"]["sha"].clone());
    }
    assert!(seen.contains(&json!(head_sha)), "{seen:?}");
    let strike =
        |what| model.state().hook_faults.push(HookFault { event: None, times: Some(1), what });
    strike(HookWhat::BadSignature);
    model.edit("org/a", number, Edit::Body(Some("new".into())));
    let (head, body) = received(&listener).await;
    assert!(!signed(&head, &body, "s3cret"));
    strike(HookWhat::Duplicate);
    model.edit("org/a", number, Edit::Close);
    let id = |head: &str| head.split("x-github-delivery: ").nth(1).unwrap()[..36].to_owned();
    let (first, second) = (received(&listener).await.0, received(&listener).await.0);
    assert_eq!(id(&first), id(&second));
    // One that was lost is in the log, and can be sent again.
    strike(HookWhat::Lose);
    model.edit("org/a", number, Edit::Reopen);
    let path = format!("/repos/org/a/hooks/{hook}/deliveries?status=failure&per_page=10");
    let lost = loop {
        let lost = get(&model, &path, None).await.json();
        if lost.as_array().unwrap().len() == 1 {
            break lost[0].clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((&lost["action"], &lost["status_code"]), (&json!("reopened"), &json!(0)));
    let attempts = format!("/repos/org/a/hooks/{hook}/deliveries/{}/attempts", lost["id"]);
    assert_eq!(post(&model, &attempts, &json!({})).await.status, 202);
    let (head, body) = received(&listener).await;
    assert!(signed(&head, &body, "s3cret") && head.contains(lost["guid"].as_str().unwrap()));
}

#[tokio::test]
async fn faults_strike_whom_they_name() {
    let model = world().await;
    let ask = async |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nauthorization: Bearer secret");
        let asked = exchange(&model, &head, "");
        tokio::time::timeout(Duration::from_millis(500), asked).await.map(Result::ok)
    };
    let one = || Fault::on("/repos/org/a", What::Cut).times(1);
    model.fault(one());
    assert!(matches!(ask("/repos/org/a").await, Ok(None)), "cut");
    assert!(matches!(ask("/repos/org/a").await, Ok(Some(_))), "only once");
    model.fault(Fault { what: What::Hang, ..one() });
    assert!(ask("/repos/org/a").await.is_err(), "hangs");
    model.fault(Fault { what: What::Html, ..one() });
    let page = ask("/repos/org/a").await.unwrap().unwrap();
    assert!(page.body.starts_with(b"<!DOCTYPE") && page.status == 200);
    model.fault(Fault { what: What::Garbage(b"{]".to_vec()), ..one() });
    assert_eq!(ask("/repos/org/a").await.unwrap().unwrap().body, b"{]");
    let limited = What::Status(429, vec![("retry-after".into(), "60".into())], "{}".into());
    model.fault(Fault { what: limited, after: 1, ..one() });
    assert_eq!(ask("/repos/org/a").await.unwrap().unwrap().status, 200);
    assert_eq!(ask("/repos/org/a").await.unwrap().unwrap().status, 429);
    assert_eq!(ask("/repos/org/a").await.unwrap().unwrap().status, 403);
    let etag =
        get_as(&model, "second", "/repos/org/a/branches", None).await.headers["etag"].clone();
    model.fault(Fault::on("/branches", What::Stale304));
    model.push("org/a", "main", None);
    let stale = get_as(&model, "second", "/repos/org/a/branches", Some(&etag)).await;
    assert_eq!(stale.status, 304);
    model.no_faults();
    // Replicas are behind what was written.
    model.state().lag = 60_000;
    let old = get_as(&model, "second", "/repos/org/a/git/ref/heads/main", None).await.json();
    let new = model.push("org/a", "main", None);
    let seen = get_as(&model, "second", "/repos/org/a/git/ref/heads/main", None).await.json();
    assert_eq!(seen["object"]["sha"], old["object"]["sha"]);
    model.state().lag = 0;
    let seen = get_as(&model, "second", "/repos/org/a/git/ref/heads/main", None).await.json();
    assert_eq!(seen["object"]["sha"], *new);
}

#[tokio::test(flavor = "multi_thread")]
async fn git_lists_the_refs_of_the_world() {
    let model = world().await;
    let number = model.open("org/a", NewChange::default());
    let head = model.push_change("org/a", number, None);
    let url = format!("{}/org/a.git", model.url);
    #[expect(clippy::disallowed_methods, reason = "a real git asks")]
    let mut git = tokio::process::Command::new("git");
    let output = git.args(["ls-remote", &url]).output().await.expect("git is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("{head}\trefs/pull/{number}/head")), "{output:?}");
    assert!(text.contains("\tHEAD\n"), "{text}");
}

#[tokio::test]
async fn statuses_and_comments_are_written_where_that_is_allowed() {
    let model = world().await;
    let number = model.open("org/a", NewChange::default());
    let head = model.push_change("org/a", number, None);
    let status = json!({"state": "pending", "context": "cw", "description": "waits"});
    let path = format!("/api/v3/repos/org/a/statuses/{head}");
    assert_eq!(post(&model, &path, &status).await.status, 201);
    let read = get(&model, &format!("/repos/org/a/commits/{head}/statuses"), None).await.json();
    assert_eq!(read[0]["context"], "cw");
    let long = json!({"state": "pending", "description": "x".repeat(141)});
    assert_eq!(post(&model, &path, &long).await.status, 422);
    let unknown = format!("/api/v3/repos/org/a/statuses/{}", "1".repeat(40));
    assert_eq!(post(&model, &unknown, &status).await.status, 422);
    let path = format!("/api/v3/repos/org/a/issues/{number}/comments");
    assert_eq!(post(&model, &path, &json!({"body": "hello"})).await.status, 201);
    let comments =
        get(&model, "/repos/org/a/issues/comments?since=2020-01-01T00:00:00Z", None).await;
    assert_eq!(comments.json()[0]["body"], "hello");
    model.state().tokens.get_mut("secret").unwrap().writes = false;
    assert_eq!(post(&model, &path, &json!({"body": "hello"})).await.status, 403);
}
