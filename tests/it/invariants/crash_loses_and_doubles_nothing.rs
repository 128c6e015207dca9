//! A daemon that is killed loses nothing and doubles nothing.

use std::sync::Arc;

use crate::support::buildbot::{Buildbot, HOOK_PASSWORD};
use crate::support::eventually;
use crate::support::proxy::{Mode, Proxy};
use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_builds_nothing_twice() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &["one"]);
    let daemon = site.start().await;
    site.settled(&["one"]).await;
    site.change("types", 1, "types");
    eventually("it is built", async || site.succeeded("one", "mirror/types#1") == 1).await;
    daemon.kill();
    let _daemon = site.start().await;
    eventually("it is known as built", async || {
        site.decision("one", "mirror/types#1").starts_with("unchanged: here ended with success")
    })
    .await;
    assert_eq!(site.builds().len(), 1);
}

/// A site whose CI is a real Buildbot behind a proxy.
struct Master {
    site: Site,
    proxy: Arc<Proxy>,
    buildbot: Buildbot,
}

impl Master {
    async fn start(project: &str) -> Self {
        let site = Site::new();
        let folder = site.path().join("buildbot");
        let (buildbot, proxy) = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder).expect("a folder");
            let buildbot = Buildbot::start(&folder, "one");
            let proxy = Proxy::start(buildbot.port);
            (buildbot, Arc::new(proxy))
        })
        .await
        .expect("a master");
        let url = site.file_url();
        site.manifest(&url, &[("types", &[])]);
        let secret = site.path().join("hook-secret");
        std::fs::write(&secret, HOOK_PASSWORD).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, mode).expect("a mode");
        let ci = format!(
            "  main: {{kind: buildbot, url: \"{}\", user: daemon, \
             password: {{file: \"{}\"}}, project: {project}, deadline: 3s, poll_interval: 300ms, lost_after: 4s}}",
            proxy.url,
            secret.display()
        );
        site.configure(&url, &ci, &["one"]);
        Self { site, proxy, buildbot }
    }

    /// Builds in the master that ended and carry a request id of ours.
    async fn finished(&self) -> Vec<serde_json::Value> {
        let http = crosswatch::http::HttpClient::new().expect("a client");
        let url = format!("{}/api/v2/builds?property=*", self.buildbot.url);
        let request = crosswatch::http::HttpRequest::new(crosswatch::http::Method::GET, url);
        let Ok(answer) = http.send(request).await else { return Vec::new() };
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let builds = answer["builds"].as_array().cloned().unwrap_or_default();
        builds.into_iter().filter(|build| build["complete"] == true).collect()
    }

    async fn held(&self, count: usize) {
        let proxy = Arc::clone(&self.proxy);
        tokio::task::spawn_blocking(move || proxy.wait_held(count)).await.expect("it was sent");
    }

    async fn exactly_one(&self) {
        let site = &self.site;
        eventually(&format!("it is built:\n{}", site.log()), async || {
            site.succeeded("one", "mirror/types#1") == 1
        })
        .await;
        let finished = self.finished().await;
        assert_eq!(finished.len(), 1, "{finished:?}\n{}", site.log());
        let properties = finished[0]["properties"].to_string();
        assert!(properties.contains("refs/pull/1/head"), "overrides are carried: {properties}");
    }
}

/// Kills the daemon while its request is where `mode` stops it, lets the old request go on after the
/// restart when `late`, and expects one build.
async fn killed_while(mode: Mode, late: bool) {
    let master = Master::start("one").await;
    let site = &master.site;
    let daemon = site.start().await;
    site.settled(&["one"]).await;
    master.proxy.on("/change_hook", mode);
    site.change("types", 1, "types");
    if mode == Mode::CutLastByte {
        let proxy = Arc::clone(&master.proxy);
        eventually("it was sent", async || {
            proxy.seen().iter().any(|seen| seen.forwarded && seen.line.contains("/change_hook"))
        })
        .await;
    } else {
        master.held(1).await;
    }
    daemon.kill();
    master.proxy.on("/change_hook", Mode::Pass);
    let _daemon = site.start().await;
    if late {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    }
    master.proxy.release();
    master.exactly_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_request_is_forwarded() {
    killed_while(Mode::HoldBefore, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_the_old_request_arrives_after_the_restart() {
    killed_while(Mode::HoldBefore, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_request_is_forwarded() {
    killed_while(Mode::HoldAfter, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_the_last_byte_of_the_answer() {
    killed_while(Mode::CutLastByte, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_no_scheduler_takes_ends_lost_with_the_reason() {
    let master = Master::start("another").await;
    let site = &master.site;
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    site.change("types", 1, "types");
    eventually("it is lost", async || {
        site.builds().iter().any(|build| {
            build["stage"] == serde_json::json!({ "ended": "lost" })
                && build["note"].as_str().is_some_and(|note| note.contains("scheduler"))
        })
    })
    .await;
    assert!(site.decision("one", "mirror/types#1").starts_with("held: main lost attempt 1"));
}
