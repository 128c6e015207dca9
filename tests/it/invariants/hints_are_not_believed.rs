//! Invariant 6: payloads of CIs and forges are hints: verified, never believed, they only bring looks forward.

use crosswatch::http::{HttpClient, HttpRequest, Method, StatusCode};
use crosswatch_core::model::time::Span;
use secrecy::SecretString;
use serde_json::json;

use crate::main_job::webhooks::{ONLY_HOOKS, SECRET, counted, deliver, hub};
use crate::support::eventually;
use crate::support::site::Site;

async fn push(site: &Site, secret: Option<&str>, body: &str) -> StatusCode {
    let http = HttpClient::new().expect("a client");
    let mut request = HttpRequest::new(Method::POST, format!("{}/ci/here", site.pages()))
        .body(body.to_owned())
        .deadline(Span::seconds(5));
    if let Some(secret) = secret {
        request = request.header("authorization", SecretString::from(format!("Bearer {secret}")));
    }
    http.send(request).await.expect("an answer").status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_without_the_secret_is_refused_and_one_with_it_is_not_believed() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    let secret = site.path().join("push-secret");
    std::fs::write(&secret, "push-canary").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).expect("a mode");
    let ci = site.local_ci("sleep 1000").replace(
        "sandbox: none}",
        &format!("sandbox: none, push_secret: {{file: \"{}\"}}}}", secret.display()),
    );
    site.configure(&url, &ci, &["one"]);
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    site.change("types", 1, "types");
    eventually("it is built", async || {
        site.builds().iter().any(|build| build["stage"] == "running")
    })
    .await;
    let id = site.builds()[0]["request"]["request_id"].as_str().expect("an id").to_owned();
    let lie = serde_json::json!({
        "complete": true, "results": 0, "request_id": id,
        "properties": { "crosswatch_request_id": [id, "Change"] },
    });
    assert_eq!(push(&site, None, &lie.to_string()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(push(&site, Some("wrong"), &lie.to_string()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(push(&site, Some("push-canary"), &lie.to_string()).await, StatusCode::ACCEPTED);
    // Two later looks at the CI are enough to show that only the CI's own answer counts.
    for _ in 0..2 {
        let before = site.ask(&["forges"]).expect("an answer")["repositories"][0]["looks"].as_u64();
        eventually("another cycle", async || {
            site.ask(&["forges"])
                .is_some_and(|rows| rows["repositories"][0]["looks"].as_u64() > before)
        })
        .await;
    }
    assert_eq!(site.builds()[0]["stage"], "running", "the payload was believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_the_secret_is_refused_and_one_with_it_is_not_believed() {
    let hub = hub("true", "ref: head", ONLY_HOOKS).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let http = HttpClient::new().expect("a client");
    // A change that there is not, with a head that nobody pushed, and a branch that is not deleted.
    let repository =
        json!({"id": hub.model.state().named("rock/types").id, "full_name": "rock/types"});
    let opened = json!({"action": "opened", "repository": repository, "pull_request":
        {"number": 5, "state": "open", "head": {"sha": "b".repeat(40)}}});
    let deleted = json!({"ref": "refs/heads/main", "after": "0".repeat(40), "deleted": true,
        "repository": repository});
    let lies = [("pull_request", opened.to_string()), ("push", deleted.to_string())];
    hub.model.forget_requests();
    for secret in [None, Some("wrong"), Some("")] {
        for (event, lie) in &lies {
            let status = deliver(&http, &hub.site, (event, event), lie, secret).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{event} {secret:?}");
        }
    }
    assert_eq!((counted(&hub.site, "refused"), counted(&hub.site, "taken")), (6, 0));
    for (event, lie) in &lies {
        let status = deliver(&http, &hub.site, (event, event), lie, Some(SECRET)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "nothing of the same id was stored");
    }
    // It is looked for again and again, and what is there counts.
    eventually("it was looked for", async || hub.model.requests().of("/pulls").requests >= 4).await;
    let rows = hub.site.ask(&["changes"]).expect("an answer").to_string();
    assert!(!rows.contains("types#5"), "the payload was believed: {rows}");
    assert!(hub.site.decision("one", "mainline").starts_with("unchanged"), "{}", hub.site.log());
    assert!(hub.site.builds().is_empty());
}
