//! git over HTTP: refs of the world by protocol v2, and everything else from a repository on disk.

use std::process::Stdio;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use tokio::io::AsyncWriteExt;

use super::serve::{Ask, Reply, response, token};
use crate::Shared;
use crate::fault::{What, strike};

/// Whether a path is of git and not of the API.
pub(crate) fn is_git(path: &str) -> bool {
    path.ends_with("/git-upload-pack") || path.ends_with("/info/refs")
}

pub(crate) async fn answer(
    shared: &Arc<Shared>,
    ask: &Ask,
    headers: &HeaderMap,
    line: &str,
) -> Response<Body> {
    let (what, found, latency, name) = {
        let mut state = shared.state();
        // git sends the token as a password.
        let name = token(&state, ask).map_or("nobody".to_owned(), |token| token.name.clone());
        let text = String::from_utf8_lossy(&ask.body).into_owned();
        let what = strike(&mut state.faults, line, &text, &name);
        let path = ask.path.trim_start_matches('/');
        let end = path.find("/info/refs").or_else(|| path.find("/git-upload-pack"));
        let full = path.get(..end.unwrap_or(0)).unwrap_or_default().trim_end_matches(".git");
        let found = state.id(full).and_then(|id| state.repositories.get(&id));
        let found = found.filter(|of| !of.private || name != "nobody").map(|of| {
            let of = state.seen(of);
            (of.refs(), of.default_branch.clone(), of.folder.clone())
        });
        (what, found, state.latency, name)
    };
    tokio::time::sleep(latency).await;
    let status = if found.is_some() { 200 } else { 404 };
    shared.state().log.answered(&name, line, status, 0);
    match what {
        Some(What::Hang) => std::future::pending().await,
        Some(What::Delay(wait)) => tokio::time::sleep(wait).await,
        Some(What::Status(status, _, body)) => {
            return response(Reply { status, headers: Vec::new(), body, cost: 0 });
        }
        _ => {}
    }
    let Some((refs, head, folder)) = found else {
        return response(Reply::message(404, "Not Found"));
    };
    if let Some(folder) = folder {
        return backend(ask, headers, line, &folder).await;
    }
    let kind = "application/x-git-upload-pack";
    let (kind, body) = if ask.method == "GET" {
        let mut body = String::new();
        body.push_str(&packet("# service=git-upload-pack\n"));
        body.push_str("0000");
        for capability in ["version 2\n", "agent=model\n", "ls-refs=unborn\n", "fetch\n"] {
            body.push_str(&packet(capability));
        }
        body.push_str("0000");
        (format!("{kind}-advertisement"), body)
    } else {
        (format!("{kind}-result"), ls_refs(&ask.body, &refs, &head))
    };
    Response::builder().header("content-type", kind).body(Body::from(body)).expect("an answer")
}

fn ls_refs(ask: &[u8], refs: &[(String, String)], head: &str) -> String {
    let text = String::from_utf8_lossy(ask);
    let prefixes: Vec<&str> =
        text.split("ref-prefix ").skip(1).filter_map(|rest| rest.split('\n').next()).collect();
    let wanted =
        |name: &str| prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix));
    let mut body = String::new();
    let target = format!("refs/heads/{head}");
    if let Some((_, commit)) = refs.iter().find(|(name, _)| *name == target && wanted("HEAD")) {
        body.push_str(&packet(&format!("{commit} HEAD symref-target:{target}\n")));
    }
    for (name, commit) in refs.iter().filter(|(name, _)| wanted(name)) {
        body.push_str(&packet(&format!("{commit} {name}\n")));
    }
    body.push_str("0000");
    body
}

fn packet(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}

async fn backend(
    ask: &Ask,
    headers: &HeaderMap,
    line: &str,
    folder: &std::path::Path,
) -> Response<Body> {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let service = if ask.path.ends_with("/info/refs") { "info/refs" } else { "git-upload-pack" };
    let query = line.split_once('?').map(|(_, query)| query).unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "the model's own server")]
    let mut command = tokio::process::Command::new("git");
    command
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{service}"))
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &ask.method)
        .env("CONTENT_TYPE", text("content-type"))
        .env("CONTENT_LENGTH", ask.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("GIT_PROTOCOL", text("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("git is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    let body = ask.body.clone();
    let write = async move {
        // A refused request is not read by the backend.
        stdin.write_all(&body).await.ok();
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.expect("an output").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a header");
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        response = match name {
            "Status" => response.status(&value[..3]),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).expect("an answer")
}
