//! The two listeners: TCP, whose hosts are checked, and a Unix socket, whose peers are.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use crosswatch_core::model::settings::Settings;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, UnixListener};
use tower::ServiceExt;

use super::acts::Peer;
use crate::daemon::Access;

/// Longest time for one request.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest life of a connection: one that asks and never reads must give its place back.
const LIFETIME: Duration = Duration::from_secs(300);
/// Connections at once, for each listener.
const CONNECTIONS: usize = 256;

/// Names under which the pages may be asked for; a foreign name is a trick of a foreign page.
pub(super) fn hosts(settings: &Settings) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
    hosts.extend(host(&settings.listen).map(str::to_owned));
    if let Some(url) = settings.public_url.as_ref().and_then(|url| url::Url::parse(url).ok()) {
        hosts.extend(url.host_str().map(str::to_owned));
    }
    hosts
}

/// The host of `host:port`.
fn host(authority: &str) -> Option<&str> {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => Some(host),
        _ => Some(authority).filter(|authority| !authority.is_empty()),
    }
}

/// Serves `router` on `listen`, for reading.
pub(super) async fn serve_tcp(
    access: &Access,
    listen: &str,
    router: Router,
    hosts: Vec<String>,
) -> Result<(), String> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        format!("the pages cannot be served on {listen}: {error}; free the port or change `listen`")
    })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!("pages at http://{address}/");
    }
    let router = router
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let allowed = request
                .headers()
                .get(header::HOST)
                .and_then(|value| value.to_str().ok())
                .and_then(host)
                .is_some_and(|host| hosts.iter().any(|known| known.eq_ignore_ascii_case(host)));
            async move {
                if allowed {
                    next.run(request).await
                } else {
                    let why = "this host name is not served here; set `public_url` to it\n";
                    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
                }
            }
        }))
        .layer(middleware::from_fn(guard));
    let tasks = access.tasks.clone();
    access.tasks.spawn("pages", async move {
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    tasks.spawn("page", async move {
                        connection(stream, router).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(())
}

/// Serves `router` on a Unix socket, telling it who asks.
pub(super) async fn serve_unix(
    access: &Access,
    socket: &Path,
    router: Router,
) -> Result<(), String> {
    let failed = |error: std::io::Error| {
        format!("the socket {} cannot be made: {error}; set CROSSWATCH_SOCKET", socket.display())
    };
    clear(socket).map_err(failed)?;
    let listener = UnixListener::bind(socket).map_err(failed)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    let router = router.layer(middleware::from_fn(guard));
    let tasks = access.tasks.clone();
    access.tasks.spawn("socket", async move {
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let peer = stream.peer_cred().map(|peer| Peer::of(peer.uid()));
                    let Ok(peer) = peer else { continue };
                    let router = router.clone().layer(axum::Extension(peer));
                    tasks.spawn("request", async move {
                        connection(stream, router).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(())
}

/// Removes the socket of an earlier run, and never anything else.
fn clear(socket: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(socket) {
        Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(socket),
        Ok(_) => Err(std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            "there is something else that is not a socket",
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn connection<S>(stream: S, router: Router)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service =
        router.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(DEADLINE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    match tokio::time::timeout(LIFETIME, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection broke"),
        Err(_) => tracing::debug!("a connection was open for too long"),
    }
}

/// Deadline and headers of every answer.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "it took too long\n").into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
