//! One request: who asks, whether it may, what strikes it, and the answer with its headers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest, Sha256};

use super::hooks::hex;
use super::{apps, git, graphql, rest};
use crate::Shared;
use crate::fault::{What, strike};
use crate::limit::{Refusal, Toll};
use crate::world::{State, Token};

/// Longest body of a request.
const BODY: usize = 32 * 1024 * 1024;

/// A request, understood as far as all faces need.
pub(crate) struct Ask {
    pub(crate) method: String,
    /// Below the API, without its prefix.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The secret; `None` without one.
    pub(crate) secret: Option<String>,
}

/// An answer before limits, ETags and faults.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// Points of the pool.
    pub(crate) cost: u32,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string(), cost: 1 }
    }

    pub(crate) fn message(status: u16, message: &str) -> Self {
        let body = serde_json::json!({
            "message": message, "documentation_url": "https://docs.github.com/rest",
            "status": status.to_string(),
        });
        Self::json(status, &body)
    }
}

impl Ask {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The token of whoever asks.
pub(crate) fn token<'a>(state: &'a State, ask: &Ask) -> Option<&'a Token> {
    state.tokens.get(ask.secret.as_ref()?)
}

pub(crate) async fn answer(
    Extract(shared): Extract<Arc<Shared>>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY).await else {
        return response(Reply::message(413, "too large"));
    };
    let headers = parts.headers;
    let whole = parts.uri.path();
    let path = whole.strip_prefix("/api/v3").unwrap_or(whole).to_owned();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let query = query.into_owned().collect();
    let secret = secret(&headers);
    let ask = Ask { method: parts.method.to_string(), path, query, body, secret };
    let line = match parts.uri.query() {
        Some(query) => format!("{} {}?{query}", ask.method, ask.path),
        None if is_graphql(&ask) => {
            format!("{} {}?{}", ask.method, ask.path, graphql::about(&ask.body))
        }
        None => format!("{} {}", ask.method, ask.path),
    };
    if git::is_git(&ask.path) {
        return git::answer(&shared, &ask, &headers, &line).await;
    }
    api(&shared, ask, &headers, &line).await
}

fn is_graphql(ask: &Ask) -> bool {
    matches!(ask.path.as_str(), "/graphql" | "/api/graphql")
}

async fn api(shared: &Arc<Shared>, ask: Ask, headers: &HeaderMap, line: &str) -> Response<Body> {
    let is_graphql = is_graphql(&ask);
    let reads = matches!(ask.method.as_str(), "GET" | "HEAD");
    let writes = !reads && !is_graphql;
    let free = ask.path == "/rate_limit";
    let text = String::from_utf8_lossy(&ask.body).into_owned();
    let mut toll = Toll { graphql: is_graphql, writes, cost: 0 };
    let (name, latency, what) = {
        let mut state = shared.state();
        let name = match token(&state, &ask) {
            Some(token) if token.expires_at.is_none_or(|at| at > state.now()) => token.name.clone(),
            None if ask.secret.is_none() => "nobody".to_owned(),
            None if apps::who(&state, &ask).is_some() => "app".to_owned(),
            _ => {
                state.log.answered("unknown", line, 401, 0);
                return response(Reply::message(401, "Bad credentials"));
            }
        };
        let now_ms = state.now_ms();
        let limits = limits(&mut state, &ask);
        let entered = if free { Ok(()) } else { limits.enter(toll, now_ms) };
        let in_flight = limits.in_flight();
        let points = if writes { 5 } else { 1 };
        state.log.arrived(&name, in_flight, points, now_ms);
        if let Err(refusal) = entered {
            state.log.refused(refusal == Refusal::Early);
            state.log.answered(&name, line, 403, 0);
            return refused(&mut state, &ask, refusal, toll);
        }
        let what = strike(&mut state.faults, line, &text, &name);
        (name, state.latency, what)
    };
    // However the request ends, its place becomes free.
    let place = Place { shared: Arc::clone(shared), ask };
    let ask = &place.ask;
    if latency > Duration::ZERO {
        tokio::time::sleep(latency).await;
    }
    match &what {
        Some(What::Delay(wait)) => tokio::time::sleep(*wait).await,
        Some(What::Hang) => std::future::pending().await,
        _ => {}
    }
    let mut state = shared.state();
    let struck = match &what {
        Some(What::Status(status, headers, body)) => {
            let now_ms = state.now_ms();
            let after = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
            if let Some(seconds) = after.and_then(|(_, value)| value.parse().ok()) {
                limits(&mut state, ask).close_for(now_ms, seconds);
            }
            let mut response = Response::builder().status(*status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Some((*status, response.body(Body::from(body.clone())).expect("a fault's answer")))
        }
        Some(What::Heavy(most)) if is_graphql && graphql::asked_nodes(&text) > *most => {
            toll.cost = 10;
            let now = state.now();
            limits(&mut state, ask).charge(toll, now);
            Some((502, html(502)))
        }
        Some(What::Html) => Some((200, html(200))),
        _ => None,
    };
    if let Some((status, response)) = struck {
        state.log.answered(&name, line, status, 0);
        return response;
    }
    let mut reply = if is_graphql {
        graphql::answer(shared, &mut state, ask)
    } else {
        rest::answer(shared, &mut state, ask)
    };
    if reads && reply.status == 200 && !free {
        tag(&mut reply, headers, matches!(what, Some(What::Stale304)));
    }
    toll.cost = if reply.status == 304 || free { 0 } else { reply.cost };
    let now = state.now();
    let limits = limits(&mut state, ask);
    limits.charge(toll, now);
    let rate = limits.rate(is_graphql, now);
    let headers = &mut reply.headers;
    headers.push(("date", date(now)));
    headers.push(("x-ratelimit-limit", rate.limit.to_string()));
    headers.push(("x-ratelimit-used", rate.used.to_string()));
    headers.push(("x-ratelimit-remaining", (rate.limit - rate.used).to_string()));
    headers.push(("x-ratelimit-reset", rate.reset.to_string()));
    headers.push(("x-ratelimit-resource", rate.name.to_owned()));
    state.log.answered(&name, line, reply.status, toll.cost);
    drop(state);
    finish(reply, what)
}

/// The forge's own time, as headers write it.
fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).expect("a time");
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The limits of whoever asks.
fn limits<'a>(state: &'a mut State, ask: &Ask) -> &'a mut crate::Meter {
    if let Some(app) = apps::who(state, ask) {
        return &mut state.apps.get_mut(&app).expect("it is known").meter;
    }
    let known = ask.secret.as_ref().is_some_and(|secret| state.tokens.contains_key(secret));
    match ask.secret.as_ref().filter(|_| known) {
        Some(secret) => {
            let token = state.tokens.get_mut(secret).expect("it is known");
            &mut token.meter
        }
        None => &mut state.anonymous,
    }
}

fn refused(state: &mut State, ask: &Ask, refusal: Refusal, toll: Toll) -> Response<Body> {
    let (now, now_ms) = (state.now(), state.now_ms());
    let limits = limits(state, ask);
    let rate = limits.rate(toll.graphql, now);
    let after = limits.wait(now_ms);
    let mut reply = match refusal {
        Refusal::Primary => Reply::message(403, "API rate limit exceeded for user ID 1."),
        Refusal::Secondary | Refusal::Early => Reply::message(
            403,
            "You have exceeded a secondary rate limit. Please wait a few minutes.",
        ),
    };
    reply.headers = vec![
        ("x-ratelimit-limit", rate.limit.to_string()),
        ("x-ratelimit-remaining", (rate.limit - rate.used).to_string()),
        ("x-ratelimit-used", rate.used.to_string()),
        ("x-ratelimit-reset", rate.reset.to_string()),
        ("x-ratelimit-resource", rate.name.to_owned()),
    ];
    if let Some(after) = after.filter(|_| refusal != Refusal::Primary) {
        reply.headers.push(("retry-after", after.to_string()));
    }
    response(reply)
}

/// Gives an answer its ETag, which depends on the token, and makes it a 304 where it is known.
fn tag(reply: &mut Reply, headers: &HeaderMap, stale: bool) {
    let text = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let key = format!("{}:{}:{}", text("accept"), text("authorization"), reply.body);
    let etag = format!("W/\"{}\"", hex(&Sha256::digest(key)));
    let condition = text("if-none-match");
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = condition.split(',').any(|tag| opaque(tag) == opaque(&etag));
    let etag = if stale && !condition.is_empty() { condition.clone() } else { etag };
    if known || (stale && !condition.is_empty()) {
        reply.status = 304;
        reply.body.clear();
        // Paging is part of what did not change.
        reply.headers.retain(|(name, _)| *name != "link");
    }
    reply.headers.push(("etag", etag));
    reply.headers.push(("cache-control", "private, max-age=60, s-maxage=60".to_owned()));
    reply.headers.push(("vary", "Accept, Authorization, Cookie, X-GitHub-OTP".to_owned()));
}

fn secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("authorization")?.to_str().ok()?;
    let (_, secret) = value.split_once(' ')?;
    Some(secret.to_owned())
}

pub(crate) fn response(reply: Reply) -> Response<Body> {
    finish(reply, None)
}

fn html(status: u16) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8")
        .body(Body::from("<!DOCTYPE html><html><body><h1>Unicorn!</h1></body></html>"))
        .expect("a page")
}

fn finish(reply: Reply, what: Option<What>) -> Response<Body> {
    let status = StatusCode::from_u16(reply.status).expect("a status");
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .header("x-github-request-id", "MODEL");
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let bytes = Bytes::from(reply.body);
    let body = match what {
        Some(What::Cut) => {
            let half = bytes.slice(..bytes.len() / 2);
            let parts = [Ok(half), Err(std::io::Error::other("cut"))];
            Body::from_stream(stream::iter(parts))
        }
        Some(What::Drip(wait)) => Body::from_stream(stream::unfold(0, move |at| {
            let byte = (at < bytes.len()).then(|| bytes.slice(at..at + 1));
            async move {
                let byte = byte?;
                tokio::time::sleep(wait).await;
                Some((Ok::<_, Infallible>(byte), at + 1))
            }
        })),
        Some(What::Garbage(garbage)) => Body::from(garbage),
        _ => Body::from(bytes),
    };
    response.body(body).expect("an answer")
}

/// A place among those in flight.
struct Place {
    shared: Arc<Shared>,
    ask: Ask,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.ask.path != "/rate_limit" {
            limits(&mut self.shared.state(), &self.ask).leave();
        }
    }
}
