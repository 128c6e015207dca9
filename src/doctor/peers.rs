//! Whether forges, CIs and the database answer, each within a few seconds.

use crosswatch_core::model::settings::{CiKind, SecretRef, Settings};
use crosswatch_core::model::time::Span;

use super::facts::Peer;
use crate::config::Secrets;
use crate::http::{HttpClient, HttpError, HttpRequest, Method, shown};
use crate::store;

const DEADLINE: Span = Span::seconds(5);
/// Asked at once.
const AT_ONCE: usize = 16;

/// Forges and CIs with a plain address; any answer counts.
pub(super) async fn reach(settings: &Settings) -> Vec<Peer> {
    use futures_util::StreamExt;
    let forges =
        settings.forges.values().map(|forge| (format!("forge {}", forge.name), forge.url.clone()));
    let cis = settings.ci.values().filter_map(|ci| match &ci.kind {
        CiKind::Buildbot(bot) => Some((format!("CI {}", ci.name), bot.url.clone())),
        CiKind::Http(http) if !http.send.url.contains(['{', '}']) => {
            // What a request might start is not sent: its server's root is asked for.
            let root = url::Url::parse(&http.send.url).ok()?.join("/").ok()?;
            Some((format!("CI {}", ci.name), root.into()))
        }
        CiKind::Http(_) | CiKind::Local(_) | CiKind::Command(_) => None,
    });
    let client = HttpClient::new();
    let asked = forges.chain(cis).map(|(name, url)| {
        let client = client.clone();
        async move {
            let fault = if let Some(path) = url.strip_prefix("file://") {
                std::fs::metadata(path).err().map(|error| format!("{path}: {error}"))
            } else if url.starts_with("http") {
                match client {
                    Ok(client) => ask(&client, &url).await,
                    Err(error) => Some(error.to_string()),
                }
            } else {
                return None;
            };
            Some(Peer { name, url: shown(&url), fault })
        }
    });
    let answers: Vec<Option<Peer>> =
        futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
    answers.into_iter().flatten().collect()
}

async fn ask(client: &HttpClient, url: &str) -> Option<String> {
    let request =
        HttpRequest::new(Method::GET, url).deadline(DEADLINE).max_body(64 * 1024).follow(false);
    match client.send(request).await {
        Ok(_) | Err(HttpError::TooLarge { .. }) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// The server by its place, or what is wrong with it.
pub(super) async fn postgres(secrets: &Secrets, url: &SecretRef) -> Result<String, String> {
    let url = secrets.resolve(url).map_err(|error| error.to_string())?;
    store::Store::reachable(&url).await.map_err(|error| error.to_string())
}
