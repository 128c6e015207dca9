//! A real git server over HTTP: `git http-backend` behind a small CGI server that counts.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use crosswatch::task::Tasks;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Requests by what they ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `GET …/info/refs`.
    pub info_refs: usize,
    /// `POST …/git-upload-pack` that asks for refs.
    pub ls_refs: usize,
    /// `POST …/git-upload-pack` that asks for commits.
    pub fetch: usize,
    /// Anything else.
    pub other: usize,
}

/// Serves every repository below a folder until it is dropped.
pub struct GitHttpServer {
    /// `http://127.0.0.1:PORT`; append `/NAME.git`.
    pub url: String,
    shared: Arc<Shared>,
    tasks: Tasks,
}

#[derive(Default)]
struct Shared {
    root: PathBuf,
    info_refs: AtomicUsize,
    ls_refs: AtomicUsize,
    fetch: AtomicUsize,
    other: AtomicUsize,
    hang: AtomicBool,
    freeze: AtomicBool,
    frozen: AtomicUsize,
    old: AtomicBool,
    garbage: Mutex<Option<Vec<u8>>>,
    authorization: Mutex<Option<String>>,
}

impl GitHttpServer {
    /// Listens on a free port of the loopback address.
    pub async fn start(root: &Path) -> Self {
        let shared = Arc::new(Shared { root: root.to_owned(), ..Shared::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let tasks = Tasks::new();
        tasks.spawn("git server", async move {
            axum::serve(listener, app).await.expect("the server runs");
        });
        Self { url, shared, tasks }
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        Counts {
            info_refs: read(&self.shared.info_refs),
            ls_refs: read(&self.shared.ls_refs),
            fetch: read(&self.shared.fetch),
            other: read(&self.shared.other),
        }
    }

    /// Accepts requests and never answers them.
    pub fn set_hang(&self, hang: bool) {
        self.shared.hang.store(hang, Ordering::SeqCst);
    }

    /// Sends the first half of every pack and then nothing, with the connection kept open.
    pub fn set_freeze(&self, freeze: bool) {
        self.shared.freeze.store(freeze, Ordering::SeqCst);
    }

    /// Packs that stopped in the middle so far.
    pub fn frozen(&self) -> usize {
        self.shared.frozen.load(Ordering::SeqCst)
    }

    /// Speaks the first version of the protocol only.
    pub fn set_old(&self, old: bool) {
        self.shared.old.store(old, Ordering::SeqCst);
    }

    /// Answers every POST with these bytes under the right content type.
    pub fn set_garbage(&self, garbage: Option<&[u8]>) {
        *self.shared.garbage.lock().unwrap_or_else(PoisonError::into_inner) =
            garbage.map(<[u8]>::to_vec);
    }

    /// Refuses whoever does not send this `Authorization`.
    pub fn require(&self, authorization: Option<&str>) {
        *self.shared.authorization.lock().unwrap_or_else(PoisonError::into_inner) =
            authorization.map(str::to_owned);
    }
}

impl Drop for GitHttpServer {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 * 1024 * 1024).await.expect("a body");
    let path = parts.uri.path();
    let count = if path.ends_with("/info/refs") {
        &shared.info_refs
    } else if !path.ends_with("/git-upload-pack") {
        &shared.other
    } else if body.windows(15).any(|window| window == b"command=ls-refs") {
        &shared.ls_refs
    } else {
        &shared.fetch
    };
    count.fetch_add(1, Ordering::SeqCst);
    if shared.hang.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let text = |name: header::HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let required = shared.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if required.is_some_and(|required| required != text(header::AUTHORIZATION)) {
        return Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header(header::WWW_AUTHENTICATE, "Basic realm=git")
            .body(Body::empty())
            .expect("an answer");
    }
    let garbage = shared.garbage.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(garbage) = garbage.filter(|_| path.ends_with("/git-upload-pack")) {
        return Response::builder()
            .header(header::CONTENT_TYPE, "application/x-git-upload-pack-result")
            .body(Body::from(garbage))
            .expect("an answer");
    }
    let protocol = match shared.old.load(Ordering::SeqCst) {
        true => "",
        false => text(header::HeaderName::from_static("git-protocol")),
    };
    #[expect(clippy::disallowed_methods, reason = "the test's own server")]
    let mut command = Command::new("git");
    command
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", protocol)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("git is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    let write = async move {
        // A refused request is not read by the backend.
        stdin.write_all(&body).await.ok();
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.expect("an output").stdout;
    let pack = output.windows(4).position(|four| four == b"PACK");
    if let Some(pack) = pack.filter(|_| shared.freeze.load(Ordering::SeqCst)) {
        shared.frozen.fetch_add(1, Ordering::SeqCst);
        let half = pack + (output.len() - pack) / 2;
        return cgi(&output[..half], futures_util::stream::pending().boxed());
    }
    cgi(&output, futures_util::stream::empty().boxed())
}

/// The answer of a CGI program, and what follows it.
fn cgi(output: &[u8], rest: BoxStream<'static, Result<Vec<u8>, Infallible>>) -> Response<Body> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a header");
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        response = match name {
            "Status" => response.status(&value[..3]),
            _ => response.header(name, value),
        };
    }
    let body = output[end + 4..].to_vec();
    let body = futures_util::stream::once(std::future::ready(Ok(body))).chain(rest);
    response.body(Body::from_stream(body)).expect("an answer")
}
