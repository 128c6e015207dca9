//! `/ci/NAME`: a CI says that something happened. It is a hint, so its content is not read.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use crosswatch_core::model::identity::Name;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Shared;
use crate::daemon::{Access, Order};

/// Largest body that is taken (and not read).
const MAX_BODY: usize = 1024 * 1024;

pub(super) fn router() -> Router<Arc<Access>> {
    Router::new().route("/ci/{name}", post(pushed)).layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Wakes the follower of a CI, if the secret is right. Without a configured secret nothing is open.
async fn pushed(
    State(access): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    _body: axum::body::Bytes,
) -> StatusCode {
    let Some(published) = access.publications.borrow().clone() else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let ci = published.snapshot.settings.ci.get(name.as_str());
    let secret = ci
        .and_then(|ci| ci.push_secret.as_ref())
        .and_then(|secret| access.secrets.resolve(secret).ok());
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let (Some(secret), Some(given)) = (secret, given) else { return StatusCode::UNAUTHORIZED };
    // Digests are of one length, so the comparison tells nothing about the secret's.
    let right = Sha256::digest(secret.expose_secret().as_bytes());
    if !bool::from(right.ct_eq(&Sha256::digest(given.as_bytes()))) {
        return StatusCode::UNAUTHORIZED;
    }
    match access.orders.try_send(Order::CiPushed { ci: Name::from(name) }) {
        // A full queue means that looks are on their way already.
        Ok(()) | Err(_) => StatusCode::ACCEPTED,
    }
}
