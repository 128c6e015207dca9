//! A real master behind the proxy.

use std::sync::Arc;

use crosswatch::ci::{Found, SendError};
use crosswatch::http::{HttpClient, HttpRequest, Method};
use crosswatch_core::model::build::Verdict;
use crosswatch_core::model::settings::{BuildbotCi, CiKind, SecretRef};
use tokio_util::sync::CancellationToken;

use super::{backend, ended, request};
use crate::support::buildbot::Buildbot;
use crate::support::eventually;
use crate::support::proxy::{Mode, Proxy};

fn kind(url: &str, project: &str) -> CiKind {
    CiKind::Buildbot(BuildbotCi {
        url: url.to_owned(),
        user: Some("daemon".to_owned()),
        password: Some(SecretRef::Env("HOOK".to_owned())),
        project: Some(project.to_owned()),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_are_sent_found_followed_and_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let master = Buildbot::start(dir.path(), "rock");
    let proxy = tokio::task::spawn_blocking({
        let port = master.port;
        move || Proxy::start(port)
    })
    .await
    .unwrap();
    let main = backend(dir.path(), kind(&proxy.url, "rock"));
    let go = CancellationToken::new;

    // One change, one finished build, with its properties.
    let good = request(1);
    assert_eq!(main.find(Arc::clone(&good), None).await.unwrap(), Found::Never);
    main.send(Arc::clone(&good), go()).await.unwrap();
    let (verdict, found) = ended(&main, &good).await;
    assert_eq!(verdict, Verdict::Success, "{found:?}");
    let Found::Ended { remote: Some(remote), link: Some(link), ended_at: Some(_), .. } = &found
    else {
        panic!("{found:?}")
    };
    assert!(link.contains("/#/builders/1/builds/"), "{link}");
    assert_eq!(main.find(Arc::clone(&good), Some(remote.clone())).await.unwrap(), found);
    let url = format!("{}/api/v2/builds?property=*", master.url);
    let answer = HttpClient::new().unwrap().send(HttpRequest::new(Method::GET, url)).await.unwrap();
    let builds: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(builds["builds"].as_array().unwrap().len(), 1, "{builds}");
    let properties = &builds["builds"][0]["properties"];
    assert_eq!(properties["crosswatch_request_id"][0], good.request_id.to_string());
    assert_eq!(
        properties["crosswatch_overrides"][0][0]["base/types"]["remote_branch"],
        "refs/pull/1/head"
    );
    assert_eq!(properties["branch"][0], "autoproj/rock/github.com/rock-core/base-types/pulls/1");

    // A failure.
    let bad = request(2);
    main.send(Arc::clone(&bad), go()).await.unwrap();
    assert_eq!(ended(&main, &bad).await.0, Verdict::Failure);

    // A build that is cancelled while it runs.
    let long = request(6);
    main.send(Arc::clone(&long), go()).await.unwrap();
    eventually("the build runs", async || {
        matches!(main.find(Arc::clone(&long), None).await.unwrap(), Found::Running { .. })
    })
    .await;
    main.cancel(Arc::clone(&long), None).await.unwrap();
    assert_eq!(ended(&main, &long).await.0, Verdict::Cancelled);

    // A project that no scheduler takes.
    let stray = backend(dir.path(), kind(&proxy.url, "other"));
    let unheard = request(3);
    stray.send(Arc::clone(&unheard), go()).await.unwrap();
    let found = stray.find(Arc::clone(&unheard), None).await.unwrap();
    let Found::Unscheduled { why } = found else { panic!("{found:?}") };
    assert!(why.contains("project other"), "{why}");

    // An answer that is cut: uncertain, and yet the master can tell.
    proxy.on("/change_hook", Mode::CutLastByte);
    let cut = request(4);
    let sent = main.send(Arc::clone(&cut), go()).await;
    assert!(matches!(sent, Err(SendError::Uncertain { .. })), "{sent:?}");
    assert_eq!(ended(&main, &cut).await.0, Verdict::Success);

    // A wrong password, and a master that is not there.
    drop(proxy);
    let gone = main.send(request(5), go()).await;
    assert!(matches!(gone, Err(SendError::NotTaken { retry: true, .. })), "{gone:?}");
    assert!(main.find(request(5), None).await.is_err());
    let CiKind::Buildbot(anonymous) = kind(&master.url, "rock") else { unreachable!() };
    let anonymous = CiKind::Buildbot(BuildbotCi { user: None, ..anonymous });
    let refused = backend(dir.path(), anonymous).send(request(5), go()).await;
    assert!(matches!(refused, Err(SendError::Refused { .. })), "{refused:?}");
}
