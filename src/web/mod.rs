//! The page, the API, metrics and health: on TCP for reading, on a Unix socket for acting too.

mod acts;
mod asked;
mod ci_push;
mod health;
pub mod hook_rows;
mod hooks;
pub mod logs;
mod page;
pub mod rows;
mod server;
mod style;
mod wrong;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::Settings;
use serde::Deserialize;

use crate::daemon::Access;
use crate::ledger::BuildFilter;
use crate::pass::Published;

pub use acts::Act;

/// Where the command line reaches the daemon: `$CROSSWATCH_SOCKET`, else in `$RUNTIME_DIRECTORY`, else
/// in the state directory.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match (variable("CROSSWATCH_SOCKET"), variable("RUNTIME_DIRECTORY")) {
        (Some(socket), _) => PathBuf::from(socket),
        (None, Some(folder)) => PathBuf::from(folder).join("api.sock"),
        (None, None) => state_dir.join("api.sock"),
    }
}

/// Serves pages and API until the tasks are stopped.
pub async fn start(access: &Access, settings: &Settings, socket: &Path) -> Result<(), String> {
    let hosts = server::hosts(settings);
    server::serve_tcp(access, &settings.listen, reading(access.clone()), hosts).await?;
    let acting = reading(access.clone())
        .merge(asked::router(access.clone()))
        .merge(acts::router(access.clone()));
    server::serve_unix(access, socket, acting).await
}

/// Everything that only reads.
fn reading(access: Access) -> Router {
    Router::new()
        .route("/", get(page::overview))
        .route("/workspaces/{name}", get(page::workspace))
        .route("/builds/{id}/log", get(logs::build_page))
        .route("/builds/{id}/log.txt", get(logs::build_text))
        .route("/workspaces/{name}/log", get(logs::workspace_page))
        .route("/workspaces/{name}/log.txt", get(logs::workspace_text))
        .route("/style.css", get(style::style))
        .route("/api/v1/workspaces", get(workspaces))
        .route("/api/v1/changes", get(changes))
        .route("/api/v1/builds", get(builds))
        .route("/api/v1/forges", get(forges))
        .route("/api/v1/hooks", get(hook_list))
        .route("/api/v1/plan", get(plan))
        .route("/api/v1/explain", get(explain))
        .route("/api/v1/overrides", get(overrides))
        .route("/api/v1/log", get(log))
        .merge(health::router())
        .merge(ci_push::router())
        .merge(hooks::router())
        .with_state(Arc::new(access))
}

type Shared = State<Arc<Access>>;

/// An answer that is an error, for programs and people.
pub(crate) struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, axum::Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

fn published(access: &Access) -> Result<Arc<Published>, Refusal> {
    access.publications.borrow().clone().ok_or_else(|| {
        Refusal(StatusCode::SERVICE_UNAVAILABLE, "the first pass is not over yet".to_owned())
    })
}

fn json(value: &impl serde::Serialize) -> Response {
    axum::Json(value).into_response()
}

async fn workspaces(
    State(access): Shared,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    let (published, board) = (published(&access)?, access.board.read());
    match &which.workspace {
        Some(name) => {
            rows::workspace(&published, &board, name).map(|row| json(&row)).map_err(missing)
        }
        None => Ok(json(&rows::workspaces(&published, &board))),
    }
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    workspace: Option<String>,
    #[serde(default)]
    change: Option<String>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(default)]
    build: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
}

async fn changes(State(access): Shared, Query(which): Query<Which>) -> Result<Response, Refusal> {
    let published = published(&access)?;
    if let Some(name) = &which.workspace {
        workspace_id(&published, name).map_err(missing)?;
    }
    Ok(json(&rows::changes(&published, which.workspace.as_deref())))
}

async fn builds(State(access): Shared, Query(which): Query<Which>) -> Result<Response, Refusal> {
    let workspace = match &which.workspace {
        Some(name) => {
            let published = published(&access)?;
            Some(workspace_id(&published, name).map_err(missing)?)
        }
        None => None,
    };
    let filter =
        BuildFilter { workspace, subject: which.change, request: which.build, limit: which.limit };
    Ok(json(&access.ledger.builds(&filter).await.map_err(broken)?))
}

async fn forges(State(access): Shared) -> Response {
    let board = access.board.read();
    json(&rows::ForgesView {
        forges: rows::forges(&access.world.settings(), &board, &access.governor),
        repositories: rows::repositories(&board),
    })
}

async fn hook_list(State(access): Shared) -> Response {
    let (settings, now) = (access.world.settings(), access.clock.now());
    json(&access.board.look(|board| hook_rows::hooks(&settings, board, now)))
}

async fn plan(State(access): Shared) -> Result<Response, Refusal> {
    Ok(json(&*published(&access)?.plan))
}

async fn explain(State(access): Shared, Query(which): Query<Which>) -> Result<Response, Refusal> {
    let (workspace, change) = pair(which.workspace.as_deref(), which.change.as_deref())?;
    let published = published(&access)?;
    let name = workspace.to_owned();
    let explanation = rows::explain(&published, workspace, change).map_err(missing)?;
    if which.format.as_deref() == Some("json") {
        return Ok(json(&explanation));
    }
    let (text, end) = (explanation.text(), {
        let read = tokio::task::spawn_blocking(move || logs::end_of_failure(&published, &name));
        read.await.unwrap_or_default()
    });
    Ok(rows::with_end(text, &end).into_response())
}

async fn overrides(State(access): Shared, Query(which): Query<Which>) -> Result<Response, Refusal> {
    let (workspace, change) = pair(which.workspace.as_deref(), which.change.as_deref())?;
    let format = which.format.as_deref().unwrap_or("json");
    let published = published(&access)?;
    rows::overrides(&published, workspace, change, format, which.fingerprint.as_deref())
        .map(IntoResponse::into_response)
        .map_err(missing)
}

/// Path of a log, for the command line on the same machine.
async fn log(State(access): Shared, Query(which): Query<Which>) -> Result<Response, Refusal> {
    let log = match (&which.workspace, &which.build) {
        (Some(name), _) => logs::of_workspace(&access, name),
        (None, Some(id)) => logs::of_build(&access, id).await,
        (None, None) => None,
    };
    log.map(|log| log.path.display().to_string().into_response())
        .ok_or_else(|| missing("there is no log of that name".to_owned()))
}

fn pair<'a>(
    workspace: Option<&'a str>,
    change: Option<&'a str>,
) -> Result<(&'a str, &'a str), Refusal> {
    workspace
        .zip(change)
        .ok_or_else(|| Refusal(StatusCode::BAD_REQUEST, "say workspace= and change=".to_owned()))
}

fn missing(why: String) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, why)
}

fn broken(error: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// The id under which the ledger keeps a workspace.
pub(crate) fn workspace_id(published: &Published, name: &str) -> Result<Name, String> {
    published
        .plan
        .workspace(name)
        .map(|plan| plan.id.clone())
        .ok_or_else(|| format!("there is no workspace {name}; `crosswatch workspaces` lists them"))
}
