//! What is written to GitHub: commit statuses, or an application's check runs, and one comment on a
//! change.

use std::sync::Arc;

use crosswatch_core::control::report::code;
use crosswatch_core::model::identity::ChangeId;
use crosswatch_core::model::report::{Status, StatusKey, StatusState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{Failure, Reason};
use super::{Inner, name};
use crate::forge::{ForgeError, Saying, Spoken, Sticky};
use crate::http::{Method, StatusCode, Toll, Urgency};

/// Points of the budget that a write costs.
const COST: u32 = 1;

/// What our comments begin with.
const MARK: &str = "<!-- crosswatch ";

/// Longest beginning of a comment that is looked at.
const BEGINNING: usize = 200;

/// Number and first line of comments that may be ours.
type Marked = Vec<(u64, String)>;

pub(super) fn toll(inner: &Inner) -> Toll {
    inner.rest.toll("core", COST, Urgency::Write)
}

/// A check run where those may be tried, else a status.
pub(super) async fn say(inner: &Inner, saying: &Saying) -> Result<Spoken, ForgeError> {
    let mut spoken = Spoken::default();
    if inner.app && saying.checks {
        match run(inner, saying).await {
            Ok(id) => return Ok(Spoken { run: Some(id.to_string()), refused: None }),
            // Who has no right to check runs may have one to statuses.
            Err(ForgeError::Forbidden(why) | ForgeError::NotFound(why)) => {
                spoken.refused = Some(why);
            }
            Err(error) => return Err(error),
        }
    }
    status(inner, &saying.key, &saying.status).await?;
    Ok(spoken)
}

/// The number of the check run.
async fn run(inner: &Inner, saying: &Saying) -> Result<u64, ForgeError> {
    let Saying { key, status, .. } = saying;
    let repository = name::of(&key.repository)?;
    let about = format!("{}@{}", key.repository, key.head.short());
    let mut body = json!({
        "name": key.context,
        "external_id": format!("{}@{}", key.context, key.head),
        "status": if status.state.is_over() { "completed" } else { "in_progress" },
        "output": { "title": status.description, "summary": code(&status.description) },
    });
    let conclusion = match status.state {
        StatusState::Success => Some("success"),
        StatusState::Failure => Some("failure"),
        // Nobody's verdict. Those that are neutral count as passed where a check is required.
        StatusState::Error => Some("cancelled"),
        StatusState::Pending | StatusState::Inconclusive => None,
    };
    for (field, value) in [("conclusion", conclusion), ("details_url", status.target.as_deref())] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    if let Some(id) = saying.run.as_deref().and_then(|id| id.parse::<u64>().ok()) {
        let at = format!("repos/{repository}/check-runs/{id}");
        match send(inner, &about, Method::PATCH, &at, &body).await {
            Ok(_) => return Ok(id),
            // It is gone, or another application's.
            Err(ForgeError::NotFound(_) | ForgeError::Forbidden(_)) => {}
            Err(error) => return Err(error),
        }
    }
    body["head_sha"] = json!(key.head);
    let at = format!("repos/{repository}/check-runs");
    made(&about, &send(inner, &about, Method::POST, &at, &body).await?)
}

async fn status(inner: &Inner, key: &StatusKey, status: &Status) -> Result<(), ForgeError> {
    let state = match status.state {
        // GitHub has no word for what says nothing: the description does.
        StatusState::Pending | StatusState::Inconclusive => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Error => "error",
    };
    let body = json!({
        "state": state,
        "description": status.description,
        "target_url": status.target,
        "context": key.context,
    });
    let at = format!("repos/{}/statuses/{}", name::of(&key.repository)?, key.head);
    let about = format!("{}@{}", key.repository, key.head.short());
    send(inner, &about, Method::POST, &at, &body).await?;
    Ok(())
}

/// The comment's number, if there is one now.
pub(super) async fn comment(inner: &Inner, sticky: &Sticky) -> Result<Option<String>, ForgeError> {
    let change = &sticky.change;
    let repository = name::of(&change.repository)?;
    let about = change.to_string();
    let body = json!({ "body": sticky.text });
    if let Some(id) = sticky.id.as_deref().and_then(|id| id.parse::<u64>().ok()) {
        let at = format!("repos/{repository}/issues/comments/{id}");
        match send(inner, &about, Method::PATCH, &at, &body).await {
            Ok(_) => return Ok(Some(id.to_string())),
            // Somebody deleted it.
            Err(ForgeError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(id) = find(inner, change, &repository, &sticky.marker).await? {
        let at = format!("repos/{repository}/issues/comments/{id}");
        send(inner, &about, Method::PATCH, &at, &body).await?;
        return Ok(Some(id.to_string()));
    }
    if !sticky.create {
        return Ok(None);
    }
    let at = format!("repos/{repository}/issues/{}/comments", change.number);
    let id = made(&about, &send(inner, &about, Method::POST, &at, &body).await?)?;
    Ok(Some(id.to_string()))
}

/// The number of what was made.
fn made(about: &str, answer: &[u8]) -> Result<u64, ForgeError> {
    let made: Made = serde_json::from_slice(answer)
        .map_err(|error| ForgeError::Nonsense(format!("{about}: what was made: {error}")))?;
    Ok(made.id)
}

/// The oldest comment with our mark: whoever copies the mark comes later.
async fn find(
    inner: &Inner,
    change: &ChangeId,
    repository: &str,
    marker: &str,
) -> Result<Option<u64>, ForgeError> {
    let at = format!("repos/{repository}/issues/{}/comments?per_page=100", change.number);
    let pages: Vec<Arc<Marked>> = inner.pages(&change.repository, &at, marked).await?;
    let all = pages.iter().flat_map(|page| page.iter());
    Ok(all.filter(|(_, mark)| mark == marker).map(|(id, _)| *id).min())
}

fn marked(body: &[u8]) -> Result<Marked, String> {
    let comments: Vec<Made> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let first = |comment: Made| {
        let text = comment.body.unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim_end();
        (line.starts_with(MARK) && line.len() <= BEGINNING).then(|| (comment.id, line.to_owned()))
    };
    Ok(comments.into_iter().filter_map(first).collect())
}

#[derive(Deserialize)]
struct Made {
    id: u64,
    body: Option<String>,
}

async fn send(
    inner: &Inner,
    about: &str,
    method: Method,
    at: &str,
    body: &Value,
) -> Result<Vec<u8>, ForgeError> {
    let sent = async {
        let request = inner.rest.request(method, at)?;
        let request = request.header("content-type", "application/json".to_owned());
        inner.ask.send(toll(inner), request.body(body.to_string()).deadline(inner.deadline)).await
    };
    let answer =
        sent.await.map_err(|error| Failure::asking(about, &error).without(inner.token.as_ref()))?;
    if answer.status.is_success() {
        return Ok(answer.body.to_vec());
    }
    let mut failure = Failure::status(about, &answer).without(inner.token.as_ref());
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
        failure.reason = Reason::Refused;
    }
    Err(failure.into())
}
