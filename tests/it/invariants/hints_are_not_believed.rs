//! Invariant 6: payloads of CIs are hints: verified, never believed, they only bring looks forward.

use crosswatch::http::{HttpClient, HttpRequest, Method, StatusCode};
use crosswatch_core::model::time::Span;
use secrecy::SecretString;

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
