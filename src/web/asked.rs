//! Questions whose answers are worked out for one person: what-if, and what the planner sees. Over the
//! Unix socket only, one at a time: they cost as much as a pass and tell more than the pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crosswatch_core::model::saved::Saved;
use crosswatch_core::plan::anonymous::anonymous;
use crosswatch_core::plan::what_if::{Edit, what_if};
use tokio::sync::Semaphore;

use super::{Refusal, broken, missing, published};
use crate::daemon::Access;
use crate::pass::Published;

#[derive(Clone)]
struct Desk {
    access: Access,
    free: Arc<Semaphore>,
}

pub(super) fn router(access: Access) -> Router {
    Router::new()
        .route("/api/v1/what-if", get(would))
        .route("/api/v1/snapshot", get(snapshot))
        .with_state(Desk { access, free: Arc::new(Semaphore::new(1)) })
}

impl Desk {
    /// Works on the last pass, when nobody else does.
    async fn work(
        &self,
        work: impl FnOnce(&Published) -> Result<Vec<u8>, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let published = published(&self.access)?;
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(broken)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&published);
            drop(permit);
            done
        });
        let bytes = done.await.map_err(broken)??;
        Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
    }
}

async fn would(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let edits: Result<Vec<Edit>, String> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "if")
        .map(|(_, edit)| edit.parse())
        .collect();
    let edits = edits.map_err(|why| Refusal(StatusCode::BAD_REQUEST, why))?;
    desk.work(move |published| {
        let found = what_if(&published.snapshot, &published.ledger, &edits);
        bytes(&found.map_err(|error| missing(error.to_string()))?)
    })
    .await
}

async fn snapshot(
    State(desk): State<Desk>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let hide = url::form_urlencoded::parse(query.as_bytes())
        .any(|(key, value)| key == "anonymous" && value == "true");
    desk.work(move |published| {
        let saved = Saved::new(&published.snapshot, &published.seen);
        bytes(&if hide { anonymous(&saved) } else { saved })
    })
    .await
}

fn bytes(value: &impl serde::Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(broken)
}
