//! Invariant 10: secrets are in no log, page, metric, error, process title, environment of a child,
//! ledger or state.

use std::path::Path;

use crosswatch::http::{HttpClient, HttpRequest, Method};

use crate::support::eventually;
use crate::support::git_http::GitHttpServer;
use crate::support::site::Site;

const CANARIES: [&str; 3] = ["token-canary-9f1c", "header-canary-77aa", "variable-canary-5d3e"];

fn secret(site: &Site, name: &str, value: &str) -> String {
    let path = site.path().join(name);
    std::fs::write(&path, value).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("a mode");
    path.display().to_string()
}

/// Files below `folder` that hold a canary.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                let text = String::from_utf8_lossy(&bytes);
                found.extend(
                    CANARIES
                        .iter()
                        .filter(|canary| text.contains(**canary))
                        .map(|canary| format!("{canary} in {}", path.display())),
                );
            }
        }
    }
    found
}

/// Children of the daemon, and the daemon, that show a canary in title or environment.
fn shown_by_processes() -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let title = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&title).into_owned();
        let mut seen = title.clone();
        if !title.contains("run\0--config") {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            seen.push_str(&String::from_utf8_lossy(&environment));
        }
        found.extend(
            CANARIES
                .iter()
                .filter(|canary| seen.contains(**canary))
                .map(|canary| format!("{canary} in process {title}")),
        );
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_comes_out_anywhere() {
    let site = Site::new();
    let server = GitHttpServer::start(&site.git_root()).await;
    site.manifest(&server.url, &[("types", &[])]);
    let token = secret(&site, "token", CANARIES[0]);
    let header = secret(&site, "header", CANARIES[1]);
    let ci = format!(
        "{}\n  web: {{kind: http, send: {{method: POST, url: \"http://127.0.0.1:9/\", headers: \
         {{X-Key: {{file: \"{header}\"}}}}}}}}\n  hooked: {{kind: buildbot, url: \"http://127.0.0.1:9\", \
         user: u, password: {{env: CROSSWATCH_CANARY}}}}",
        site.local_ci("env; sleep 0.3")
    );
    site.configure(&server.url, &ci, &[]);
    let path = site.path().join("workspaces.yaml");
    let mut text = std::fs::read_to_string(&path).expect("the configuration");
    text = text.replace("authors: any", &format!("authors: any\n    token: {{file: \"{token}\"}}"));
    text.push_str("  - {name: one, ci: [here, web, hooked]}\n");
    site.write_config(&text);
    let _daemon =
        site.start_with(&[("CROSSWATCH_CANARY", CANARIES[2]), ("RUST_LOG", "trace")]).await;
    site.settled(&["one"]).await;
    // From now on the server refuses the token, which is an error worth a text.
    site.change("types", 1, "types");
    eventually("it is built", async || {
        let shown = shown_by_processes();
        assert!(shown.is_empty(), "{shown:?}");
        site.succeeded("one", "mirror/types#1") == 1
    })
    .await;
    server.require(Some("Basic bm90IHRoaXM="));
    eventually("an error is shown", async || {
        site.ask(&["forges"]).is_some_and(|rows| rows.to_string().contains("401"))
    })
    .await;

    let http = HttpClient::new().expect("a client");
    for page in ["/", "/workspaces/one", "/metrics", "/api/v1/plan", "/api/v1/builds", "/readyz"] {
        let request = HttpRequest::new(Method::GET, format!("{}{page}", site.pages()));
        let answer = http.send(request).await.expect("an answer");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} on {page}");
        }
    }
    assert!(site.log().len() > 1_000, "the log says a lot at this level");
    for canary in CANARIES {
        assert!(!site.log().contains(canary), "{canary} in the log");
    }
    let leaks = leaks(&site.state());
    assert!(leaks.is_empty(), "{leaks:?}");
}
