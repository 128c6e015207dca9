//! Talks to the daemon over its Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::CliError;
use crate::config;
use crate::web::{self, Act};

const DEADLINE: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 256 * 1024 * 1024;

/// The daemon, by its socket.
pub(super) struct Client {
    socket: PathBuf,
}

impl Client {
    /// The socket that was named, or else the one that the environment or the configuration says.
    pub(super) fn new(socket: Option<PathBuf>, config: &Path) -> Result<Self, CliError> {
        let named = socket.or_else(|| {
            ["CROSSWATCH_SOCKET", "RUNTIME_DIRECTORY"]
                .iter()
                .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
                .then(|| web::socket_path(Path::new("")))
        });
        let socket = match named {
            Some(socket) => socket,
            None => {
                let settings = config::without_secrets(config)
                    .map_err(|errors| CliError::Usage(errors.to_string()))?;
                web::socket_path(&settings.state_dir)
            }
        };
        Ok(Self { socket })
    }

    /// The answer to a question, as text.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<String, CliError> {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query);
        self.ask(Method::GET, format!("{path}?{}", text.finish()), Bytes::new()).await
    }

    /// Has the daemon do something; what it says.
    pub(super) async fn act(&self, act: &Act) -> Result<String, CliError> {
        let body = serde_json::to_vec(act).map_err(|error| CliError::Failed(error.to_string()))?;
        self.ask(Method::POST, "/api/v1/do".to_owned(), Bytes::from(body)).await
    }

    async fn ask(&self, method: Method, uri: String, body: Bytes) -> Result<String, CliError> {
        match tokio::time::timeout(DEADLINE, self.talk(method, uri, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.away("it took the call and does not answer")),
        }
    }

    fn away(&self, why: impl ToString) -> CliError {
        CliError::NoDaemon { socket: self.socket.display().to_string(), why: why.to_string() }
    }

    async fn talk(&self, method: Method, uri: String, body: Bytes) -> Result<String, CliError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => CliError::Failed(format!(
                "{} is not open to you; ask as root, as the daemon's user, or (to read) as a member \
                 of the socket's group",
                self.socket.display()
            )),
            _ => self.away(error),
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.away(error))?;
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(hyper::header::HOST, "localhost")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| CliError::Failed(error.to_string()))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| self.away(error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_BODY)
                .collect()
                .await
                .map_err(|error| CliError::Failed(format!("the daemon's answer broke: {error}")))?;
            Ok::<_, CliError>((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        tokio::pin!(connection);
        let (status, text): (StatusCode, String) = tokio::select! {
            answer = answer => answer?,
            ended = &mut connection => {
                return Err(self.away(ended.err().map_or("it hung up".to_owned(), |e| e.to_string())));
            }
        };
        if status.is_success() {
            return Ok(text);
        }
        let said = serde_json::from_str::<serde_json::Value>(&text).ok();
        let said = said.and_then(|said| Some(said.get("error")?.as_str()?.to_owned()));
        Err(CliError::Failed(said.unwrap_or_else(|| format!("the daemon answered {status}"))))
    }
}
