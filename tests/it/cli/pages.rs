//! What is served over TCP: reading only, to known hosts, and hints with a secret.

use super::{ask, get, site};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_show_decisions_builds_and_logs_and_say_what_is_wrong_first() {
    let site = site("printf '\\033[31mred\\033[0m and gone\\n'; exit 1", "");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    let (status, page) = get(&site, "/");
    assert_eq!(status, 200);
    assert!(page.contains("Nothing is wrong."), "{page}");
    for header in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff"]
    {
        assert!(page.to_ascii_lowercase().contains(header), "{page}");
    }

    site.push("types", "second");
    eventually("the mainline fails", async || {
        get(&site, "/").1.contains("its last build on here ended failure")
    })
    .await;
    let (_, page) = get(&site, "/");
    let place = |text: &str| page.find(text).expect(text);
    assert!(place("Needs a look") < place("Workspaces"), "{page}");
    let log = page.split("builds/").nth(1).and_then(|rest| rest.split('"').next());
    let (status, log) = get(&site, &format!("/builds/{}", log.expect("a link to the log")));
    assert_eq!(status, 200);
    assert!(log.contains("red and gone") && !log.contains('\u{1b}'), "{log}");

    let (status, page) = get(&site, "/workspaces/one");
    assert_eq!(status, 200);
    assert!(page.contains("mainline in workspace one"), "the explanation is there: {page}");
    assert_eq!(get(&site, "/workspaces/one/log").0, 200);
    for path in ["/workspaces/nine", "/builds/..%2f..%2flock/log", "/builds/ffffffff/log", "/x"] {
        assert_eq!(get(&site, path).0, 404, "{path}");
    }
    for path in ["/api/v1/changes?workspace=nine", "/api/v1/builds?workspace=nine"] {
        assert_eq!(get(&site, path).0, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_name_is_refused_and_nothing_can_be_done_over_tcp() {
    let site = site("true", "");
    let _daemon = site.start().await;
    for (host, status) in [
        ("Host: localhost", 200),
        ("Host: LOCALHOST:99", 200),
        ("Host: evil.example.org", 421),
        ("Host: localhost.evil.example.org", 421),
        ("Host: evil.example.org:8020", 421),
    ] {
        assert_eq!(ask(&site, "GET", "/healthz", &[host], "").0, status, "{host}");
    }
    let json = "Content-Type: application/json";
    let body = r#"{"do":"pause","workspace":"one"}"#;
    assert_eq!(ask(&site, "POST", "/api/v1/do", &[json], body).0, 404);
    assert_eq!(ask(&site, "POST", "/", &[json], body).0, 405);
    eventually("it is ready", async || get(&site, "/readyz").0 == 200).await;
    let (status, metrics) = get(&site, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("crosswatch_decisions{"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_a_ci_wants_the_secret_and_a_small_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).expect("a mode");
    let site = site("true", &format!("push_secret: {{file: \"{}\"}}", secret.display()));
    let _daemon = site.start().await;
    let bearer = "Authorization: Bearer s3cret";
    for (path, header, status) in [
        ("/ci/here", bearer, 202),
        ("/ci/here", "Authorization: Basic YnVpbGRib3Q6czNjcmV0", 202),
        ("/ci/here", "Authorization: Bearer s3cre", 401),
        ("/ci/here", "Authorization: Bearer s3crets", 401),
        ("/ci/here", "Authorization: Bearer", 401),
        ("/ci/here", "X-Nothing: at all", 401),
        ("/ci/nine", bearer, 401),
    ] {
        assert_eq!(ask(&site, "POST", path, &[header], "{}").0, status, "{path} {header}");
    }
    let (status, answer) = ask(&site, "POST", "/ci/here", &["Authorization: Bearer no"], "s3cret");
    assert_eq!(status, 401);
    assert!(!answer.contains("s3cret"), "{answer}");
    let long = "x".repeat(1024 * 1024 + 1);
    let (status, _) = ask(&site, "POST", "/ci/here", &[bearer], &long);
    assert!(status == 413 || status == 0, "{status}");
    assert!(!site.log().contains("s3cret"));
}
