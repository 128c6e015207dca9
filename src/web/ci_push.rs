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
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(given_secret);
    let (Some(secret), Some(given)) = (secret, given) else { return StatusCode::UNAUTHORIZED };
    // Digests are of one length, so the comparison tells nothing about the secret's.
    let right = Sha256::digest(secret.expose_secret().as_bytes());
    if !bool::from(right.ct_eq(&Sha256::digest(&given))) {
        return StatusCode::UNAUTHORIZED;
    }
    match access.orders.try_send(Order::CiPushed { ci: Name::from(name) }) {
        // A full queue means that looks are on their way already.
        Ok(()) | Err(_) => StatusCode::ACCEPTED,
    }
}

/// The token of `Bearer TOKEN`, or the password of `Basic` with any user: Buildbot's reporter sends
/// either.
fn given_secret(header: &str) -> Option<Vec<u8>> {
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = decode_base64(value.trim())?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(((bits >> count) & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_as_a_token_or_as_a_password() {
        let given = |header: &str| {
            given_secret(header).map(|secret| String::from_utf8(secret).expect("text"))
        };
        assert_eq!(given("Bearer s3cret"), Some("s3cret".to_owned()));
        assert_eq!(given("bearer s3cret"), Some("s3cret".to_owned()));
        assert_eq!(given("Basic YnVpbGRib3Q6czNjcmV0"), Some("s3cret".to_owned()));
        assert_eq!(given("Basic YTpiOmM="), Some("b:c".to_owned()), "a password may have a colon");
        for wrong in ["", "s3cret", "Digest s3cret", "Basic !!!", "Basic YWJj"] {
            assert_eq!(given(wrong), None, "{wrong}");
        }
    }
}
