//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::Shared;
use crate::daemon::Access;

pub(super) fn router() -> Router<Arc<Access>> {
    // Counting begins when the pages are wired, before the first pass.
    recorder();
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            PrometheusBuilder::new()
                .install_recorder()
                .inspect_err(|error| tracing::warn!(%error, "there are no metrics"))
                .ok()
        })
        .as_ref()
}

/// The process lives and none of its tasks panicked.
async fn healthz(State(access): Shared) -> (StatusCode, String) {
    let panicked = access.tasks.panicked();
    if panicked.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        let why = format!("tasks that panicked: {}; restart the daemon\n", panicked.join(", "));
        (StatusCode::INTERNAL_SERVER_ERROR, why)
    }
}

/// Decisions are made and can be stored.
async fn readyz(State(access): Shared) -> (StatusCode, String) {
    let mut wrong: Vec<String> = access
        .board
        .read()
        .not_ready
        .into_iter()
        .map(|(what, why)| format!("{what}: {why}"))
        .collect();
    if access.publications.borrow().is_none() {
        wrong.push("the first pass is not over yet".to_owned());
    }
    wrong.extend(access.tasks.panicked().into_iter().map(|task| format!("{task} panicked")));
    if wrong.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", wrong.join("\n")))
    }
}

async fn metrics(State(access): Shared) -> String {
    let board = access.board.read();
    let failing = board.repositories.values().filter(|status| status.failure.is_some()).count();
    metrics::gauge!("crosswatch_repositories").set(board.repositories.len() as f64);
    metrics::gauge!("crosswatch_repositories_failing").set(failing as f64);
    let unannounced: usize = board.hooks.values().map(|status| status.unannounced.len()).sum();
    metrics::gauge!("crosswatch_unannounced_repositories").set(unannounced as f64);
    let failed = board.workspaces.values().filter(|status| status.failure.is_some()).count();
    metrics::gauge!("crosswatch_workspaces_failing").set(failed as f64);
    if let Some(published) = access.publications.borrow().as_ref() {
        for workspace in &published.plan.workspaces {
            let mut words = std::collections::BTreeMap::new();
            for subject in workspace.subjects() {
                *words.entry(subject.decision.word()).or_insert(0_u32) += 1;
            }
            for word in
                ["build", "unchanged", "covered", "held", "blocked", "superseded", "unknown"]
            {
                let count = words.get(word).copied().unwrap_or(0);
                metrics::gauge!("crosswatch_decisions", "workspace" => workspace.workspace.to_string(),
                    "decision" => word)
                .set(f64::from(count));
            }
        }
    }
    recorder().map(PrometheusHandle::render).unwrap_or_default()
}
