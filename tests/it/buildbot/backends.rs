//! `command` and `local` with real processes, `http` with a real server.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::routing::{get, post};
use crosswatch::ci::{Found, RemoteId, SendError};
use crosswatch::task::Tasks;
use crosswatch_core::model::build::Verdict;
use crosswatch_core::model::settings::{
    CiKind, CommandCi, HttpCall, HttpCi, HttpPoll, LocalCi, Sandbox, SecretRef,
};
use tokio_util::sync::CancellationToken;

use super::{LIMITS, backend, ended, request};
use crate::support::eventually;

#[expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
fn script(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn local(dir: &Path, sandbox: Sandbox) -> CiKind {
    script(
        dir,
        "ci.sh",
        "cp \"$CROSSWATCH_OVERRIDES\" seen.json\n\
         case \"$CROSSWATCH_SUBJECT\" in *#2) echo no good; exit 3;; *#6) exec sleep 600;; esac",
    );
    CiKind::Local(LocalCi {
        run: vec!["./ci.sh".to_owned()],
        slots: 1,
        limits: LIMITS,
        sandbox,
        read_only: Vec::new(),
        network: false,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_builds_run_in_folders_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let here = backend(dir.path(), local(dir.path(), Sandbox::Bubblewrap));
    let go = CancellationToken::new;
    let good = request(1);
    assert_eq!(here.find(Arc::clone(&good), None).await.unwrap(), Found::Never);
    here.send(Arc::clone(&good), go()).await.unwrap();
    here.send(Arc::clone(&good), go()).await.unwrap();
    let (verdict, found) = ended(&here, &good).await;
    assert_eq!(verdict, Verdict::Success, "{found:?}");
    let folder = dir.path().join("builds").join(good.request_id.to_string());
    assert!(folder.join("work/seen.json").exists() && folder.join("overrides.yml").exists());

    let bad = request(2);
    here.send(Arc::clone(&bad), go()).await.unwrap();
    let (verdict, found) = ended(&here, &bad).await;
    assert_eq!(verdict, Verdict::Failure);
    assert!(format!("{found:?}").contains("no good"), "{found:?}");

    // One slot: the second waits for the first, and goes on when that is cancelled.
    let (long, next) = (request(6), request(7));
    here.send(Arc::clone(&long), go()).await.unwrap();
    eventually("it runs", async || {
        matches!(here.find(Arc::clone(&long), None).await.unwrap(), Found::Running { .. })
    })
    .await;
    here.send(Arc::clone(&next), go()).await.unwrap();
    assert!(matches!(here.find(Arc::clone(&next), None).await.unwrap(), Found::Queued { .. }));

    // Another daemon on the same folder finds what ran there interrupted.
    let later = backend(dir.path(), local(dir.path(), Sandbox::Bubblewrap));
    let found = later.find(Arc::clone(&long), None).await.unwrap();
    assert!(matches!(found, Found::Ended { verdict: Verdict::Lost, .. }), "{found:?}");

    here.cancel(Arc::clone(&long), None).await.unwrap();
    assert_eq!(ended(&here, &long).await.0, Verdict::Cancelled);
    assert_eq!(ended(&here, &next).await.0, Verdict::Success);
}

#[tokio::test]
async fn without_a_sandbox_only_trusted_heads_are_built() {
    let dir = tempfile::tempdir().unwrap();
    let here = backend(dir.path(), local(dir.path(), Sandbox::None));
    let mut stranger = (*request(1)).clone();
    stranger.trusted = false;
    let sent = here.send(Arc::new(stranger), CancellationToken::new()).await;
    assert!(matches!(sent, Err(SendError::Refused { .. })), "{sent:?}");
    assert_eq!(here.find(request(1), None).await.unwrap(), Found::Never);
}

#[tokio::test]
async fn commands_send_and_poll() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "send", "cat > got.json; echo 42; echo http://ci.example/42");
    script(
        dir.path(),
        "poll",
        "test \"$1\" = 42 || { echo never; exit; }; echo failure http://ci.example/42",
    );
    script(dir.path(), "busy", "exit 75");
    let kind = |send: &str| {
        CiKind::Command(CommandCi {
            send: vec![send.to_owned()],
            poll: Some(vec!["./poll".to_owned()]),
            cancel: None,
            limits: LIMITS,
        })
    };
    let main = backend(dir.path(), kind("./send"));
    let sent = main.send(request(1), CancellationToken::new()).await.unwrap();
    assert_eq!(sent.remote, RemoteId::new("42"));
    assert_eq!(sent.link.as_deref(), Some("http://ci.example/42"));
    let got = fs::read_to_string(dir.path().join("got.json")).unwrap();
    assert!(got.contains(&request(1).request_id.to_string()));
    let found = main.find(request(1), sent.remote).await.unwrap();
    assert!(matches!(found, Found::Ended { verdict: Verdict::Failure, .. }), "{found:?}");
    assert_eq!(main.find(request(1), None).await.unwrap(), Found::Never);
    let busy = backend(dir.path(), kind("./busy"));
    let sent = busy.send(request(1), CancellationToken::new()).await;
    assert!(matches!(sent, Err(SendError::NotTaken { retry: true, .. })), "{sent:?}");
    let missing = backend(dir.path(), kind("./missing"));
    let sent = missing.send(request(1), CancellationToken::new()).await;
    assert!(matches!(sent, Err(SendError::Refused { .. })), "{sent:?}");
}

#[tokio::test]
async fn http_calls_are_filled_in_signed_and_picked_apart() {
    let router = axum::Router::new()
        .route(
            "/builds",
            post(async |headers: HeaderMap, body: String| {
                let signed = headers.get("x-crosswatch-signature").unwrap().to_str().unwrap();
                assert!(signed.starts_with("sha256=") && signed.len() == 71, "{signed}");
                let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                assert_eq!(body["ref"], "feature");
                axum::Json(serde_json::json!({"build": {"id": 7, "url": "http://ci.example/7"}}))
            }),
        )
        .route(
            "/builds/by-request/{id}",
            get(async || axum::Json(serde_json::json!({"state": "passed"}))),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tasks = Tasks::new();
    tasks.spawn("ci", async move { axum::serve(listener, router).await.unwrap() });
    let call = |method: &str, path: &str, body: Option<&str>| HttpCall {
        method: method.to_owned(),
        url: format!("{url}{path}"),
        headers: BTreeMap::new(),
        body: body.map(str::to_owned),
    };
    let kind = |path: &str| {
        CiKind::Http(Box::new(HttpCi {
            send: call("POST", "/builds", Some(r#"{"ref": "{{ branch }}"}"#)),
            id: Some("/build/id".to_owned()),
            link: Some("/build/url".to_owned()),
            poll: Some(HttpPoll {
                call: call("GET", path, None),
                state: "/state".to_owned(),
                link: None,
                states: BTreeMap::from([("passed".to_owned(), Verdict::Success)]),
            }),
            cancel: None,
            sign: Some(SecretRef::Env("KEY".to_owned())),
        }))
    };
    let dir = tempfile::tempdir().unwrap();
    let main = backend(dir.path(), kind("/builds/by-request/{{ request_id }}"));
    assert!(main.can_be_asked());
    let sent = main.send(request(1), CancellationToken::new()).await.unwrap();
    assert_eq!(sent.remote, RemoteId::new("7"));
    assert_eq!(ended(&main, &request(1)).await.0, Verdict::Success);
    // A wrong address is a plain 404, which proves nothing.
    let wrong = backend(dir.path(), kind("/nowhere/{{ request_id }}"));
    assert!(wrong.find(request(1), None).await.is_err());
    assert!(!backend(dir.path(), kind("/builds/{{ id }}")).can_be_asked());
}
