//! `/hooks/FORGE`: a forge says that something happened. Only what is signed is looked into, and what
//! it says is a hint.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use crosswatch_core::model::settings::{ForgeKind, ForgeSettings};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::Shared;
use crate::daemon::Access;
use crate::daemon::access::{NotTaken, Refused, Signed, Taken};
use crate::forge::github::hook;

/// Largest body; GitHub sends none that is larger.
const MAX_BODY: usize = 25 * 1024 * 1024;

/// What one place among those who send is worth.
const PLACE: usize = 1024 * 1024;

/// Places: so many MiB of bodies are in memory at once.
const PLACES: usize = 64;

/// Longest wait for a place.
const QUEUE: Duration = Duration::from_secs(2);

/// Longest time in which a body arrives; GitHub gives up after ten seconds.
const BODY: Duration = Duration::from_secs(10);

/// Longest header that is looked at.
const LONGEST: usize = 100;

/// Where deliveries arrive.
pub(super) fn router() -> Router<Arc<Access>> {
    let places = Arc::new(Semaphore::new(PLACES));
    let delivered = move |state: Shared, path: Path<String>, request: Request| async move {
        match delivered(&state.0, &path.0, request, &places).await {
            Ok(taken) => (StatusCode::ACCEPTED, word(taken)).into_response(),
            Err(refusal) => refusal,
        }
    };
    Router::new().route("/hooks/{forge}", post(delivered))
}

fn word(taken: Taken) -> &'static str {
    match taken {
        Taken::New => "taken\n",
        Taken::Duplicate => "taken before\n",
        Taken::Idle => "nothing to do\n",
    }
}

/// Takes one delivery. Without a configured secret nothing is open.
async fn delivered(
    access: &Access,
    name: &str,
    request: Request,
    places: &Semaphore,
) -> Result<Taken, Response> {
    let settings = access.world.settings();
    let forge = settings.forges.get(name);
    let secrets = forge.map(|forge| secrets(access, forge)).unwrap_or_default();
    let (parts, body) = request.into_parts();
    let refused = || {
        if let Some(forge) = forge {
            access.hooks.refused(&forge.name, Refused::Signature);
        }
        // Whoever asks does not learn which forges there are.
        answer(StatusCode::UNAUTHORIZED, "not signed with a secret of this forge")
    };
    let signature = parts.headers.get("x-hub-signature-256");
    let signature = signature.and_then(|value| hook::signature(value.as_bytes()));
    let (Some(forge), Some(signature), false) = (forge, signature, secrets.is_empty()) else {
        return Err(refused());
    };
    let body = read(&parts.headers, body, places).await?;
    if !hook::is_signed(&body, &signature, &secrets) {
        return Err(refused());
    }
    let delivery = signed(forge, &parts.headers, &body).map_err(|why| {
        access.hooks.refused(&forge.name, Refused::Unreadable);
        tracing::warn!(forge = %forge.name, why, "a signed webhook was not understood");
        answer(StatusCode::BAD_REQUEST, &why)
    })?;
    drop(body);
    access.hooks.take(delivery).await.map_err(|why| {
        let status = match why {
            NotTaken::Full | NotTaken::NotLeading | NotTaken::Ledger(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        answer(status, &why.to_string())
    })
}

/// Secrets of a forge that can be read; where one cannot, the others still count.
fn secrets(access: &Access, forge: &ForgeSettings) -> Vec<SecretString> {
    let ForgeKind::GitHub(github) = &forge.kind else { return Vec::new() };
    let mut failure = None;
    let mut secrets = Vec::new();
    for secret in &github.webhook_secrets {
        match access.secrets.resolve(secret) {
            Ok(secret) => secrets.push(secret),
            Err(error) => failure = Some(error.to_string()),
        }
    }
    access.hooks.secrets(&forge.name, failure);
    secrets
}

/// The whole body, within bounds of size, time and number.
async fn read(headers: &HeaderMap, body: Body, places: &Semaphore) -> Result<Bytes, Response> {
    let large = || answer(StatusCode::PAYLOAD_TOO_LARGE, "more than 25 MiB");
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(MAX_BODY);
    if length > MAX_BODY {
        return Err(large());
    }
    let wanted = u32::try_from(length.div_ceil(PLACE).max(1)).unwrap_or(1);
    let place = tokio::time::timeout(QUEUE, places.acquire_many(wanted)).await;
    let Ok(Ok(_place)) = place else {
        let why = "too many webhooks arrive at once; deliver it again later";
        return Err(answer(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    match tokio::time::timeout(BODY, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(large()),
        Ok(Err(_)) => Err(answer(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(answer(StatusCode::REQUEST_TIMEOUT, "the body took longer than ten seconds")),
    }
}

fn signed(forge: &ForgeSettings, headers: &HeaderMap, body: &[u8]) -> Result<Signed, String> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let plain = |c: char| c.is_ascii_graphic();
        (value.len() <= LONGEST && value.chars().all(plain)).then(|| value.to_owned())
    };
    let needed = |name: &str| {
        text(name).filter(|text| !text.is_empty()).ok_or_else(|| format!("there is no {name}"))
    };
    let (event, guid) = (needed("x-github-event")?, needed("x-github-delivery")?);
    let content = headers.get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
    let is_form =
        content.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"));
    let announced = hook::announced(&event, is_form, body)?;
    let hook = text("x-github-hook-id").and_then(|id| id.parse().ok()).unwrap_or_default();
    let target = text("x-github-hook-installation-target-type").unwrap_or_default();
    let (forge, identity) = (forge.name.clone(), forge.identity.clone());
    Ok(Signed { forge, identity, guid, event, hook, target, announced })
}

fn answer(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}
