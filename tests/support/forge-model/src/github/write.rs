//! What REST does for those who write: statuses, check runs, comments.

use std::sync::Arc;

use serde_json::{Value, json};

use super::serve::{Ask, Reply, token};
use super::{hooks, json};
use crate::Shared;
use crate::world::State;

/// Statuses of one commit and context, as GitHub limits them.
const STATUSES: usize = 1000;

pub(super) fn answer(
    shared: &Arc<Shared>,
    state: &mut State,
    ask: &Ask,
    id: u64,
    rest: &[&str],
) -> Reply {
    let Ok(body) = serde_json::from_slice::<Value>(&ask.body) else {
        return Reply::message(400, "Problems parsing JSON");
    };
    let app = token(state, ask).is_some_and(|token| token.name.starts_with("installation"));
    if rest.first() == Some(&"check-runs") && !app {
        return Reply::message(403, "You must authenticate via a GitHub App.");
    }
    if let Some(fault) = check_fault(rest, &ask.method, &body) {
        return Reply::message(422, &fault);
    }
    let login = token(state, ask).map(|token| token.login.clone()).unwrap_or_default();
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let now = state.now();
    match (ask.method.as_str(), rest) {
        ("POST", ["statuses", head]) => {
            let states = ["error", "failure", "pending", "success"];
            let Some(status) = text("state").filter(|status| states.contains(&status.as_str()))
            else {
                return Reply::message(422, "Validation Failed");
            };
            if text("description").is_some_and(|text| text.chars().count() > 140) {
                return Reply::message(422, "description is too long (maximum is 140 characters)");
            }
            let number = state.fresh();
            let value = json!({
                "id": number, "node_id": format!("SC_{number}"), "state": status,
                "description": body["description"], "target_url": body["target_url"],
                "context": text("context").unwrap_or_else(|| "default".to_owned()),
                "created_at": json::time(now), "updated_at": json::time(now), "avatar_url": null,
                "url": format!("{}/api/v3/repositories/{id}/statuses/{head}", state.url),
                "creator": json::user(state, Some(&login)),
            });
            let of = state.repositories.get_mut(&id).expect("a repository");
            let known = of.branches.values().any(|other| other == head)
                || of.changes.values().any(|change| change.head == *head)
                || of.folder.is_some();
            let all = of.statuses.entry((*head).to_owned()).or_default();
            let same = all.iter().filter(|other| other["context"] == value["context"]).count();
            if !known || same >= STATUSES {
                return Reply::message(422, &format!("No commit found for SHA: {head}"));
            }
            all.push(value.clone());
            Reply::json(201, &value)
        }
        ("POST", ["check-runs"]) => {
            let number = state.fresh();
            let url = format!("{}/api/v3/repositories/{id}/check-runs/{number}", state.url);
            let mut value = json!({
                "url": url, "html_url": url, "details_url": url, "conclusion": null,
                "started_at": json::time(now), "completed_at": null, "external_id": "",
                "check_suite": {"id": 1}, "app": null, "pull_requests": [],
                "output": {
                    "title": null, "summary": null, "text": null, "annotations_count": 0,
                    "annotations_url": url,
                },
            });
            if let (Some(value), Some(body)) = (value.as_object_mut(), body.as_object()) {
                value.extend(body.clone());
            }
            value["id"] = json!(number);
            value["node_id"] = json!(format!("CR_{number}"));
            let of = state.repositories.get_mut(&id).expect("a repository");
            let head = body["head_sha"].as_str().unwrap_or_default();
            let known = of.branches.values().any(|other| other == head)
                || of.changes.values().any(|change| change.head == head)
                || of.folder.is_some();
            if !known {
                return Reply::message(422, &format!("No commit found for SHA: {head}"));
            }
            of.checks.insert(number, value.clone());
            Reply::json(201, &value)
        }
        ("PATCH", ["check-runs", number]) => {
            let of = state.repositories.get_mut(&id).expect("a repository");
            let check = number.parse().ok().and_then(|number: u64| of.checks.get_mut(&number));
            match (check.and_then(|check| check.as_object_mut()), body.as_object()) {
                (Some(check), Some(body)) => {
                    // What is over does not begin again: the word for that is passed over.
                    let over = check.get("status") == Some(&json!("completed"));
                    check.extend(body.clone());
                    if over {
                        check.insert("status".to_owned(), json!("completed"));
                    }
                    Reply::json(200, &Value::Object(check.clone()))
                }
                _ => Reply::message(404, "Not Found"),
            }
        }
        ("POST", ["issues", number, "comments"]) => {
            let number = number.parse().unwrap_or(0);
            let there = state.repositories[&id].changes.contains_key(&number);
            let Some(text) = text("body").filter(|_| there) else {
                return Reply::message(if there { 422 } else { 404 }, "Not Found");
            };
            let mut told = Vec::new();
            let comment = state.comment(id, number, &login, &text, &mut told);
            hooks::send(shared, state, id, told);
            let of = &state.repositories[&id];
            Reply::json(201, &json::comment(state, of, &of.comments[&comment]))
        }
        ("PATCH", ["issues", "comments", number]) => {
            let number: u64 = number.parse().unwrap_or(0);
            let of = state.repositories.get_mut(&id).expect("a repository");
            let (Some(comment), Some(text)) = (of.comments.get_mut(&number), text("body")) else {
                return Reply::message(404, "Not Found");
            };
            comment.body = text;
            comment.updated_at = now;
            let of = &state.repositories[&id];
            Reply::json(200, &json::comment(state, of, &of.comments[&number]))
        }
        _ => Reply::message(404, "Not Found"),
    }
}

/// What is wrong with a check run, if it is about one.
fn check_fault(rest: &[&str], method: &str, body: &Value) -> Option<String> {
    if rest.first() != Some(&"check-runs") {
        return None;
    }
    let lacks = |name: &str| body[name].as_str().is_none_or(str::is_empty);
    if method == "POST" && (lacks("name") || lacks("head_sha")) {
        return Some("\"name\", \"head_sha\" weren't supplied.".to_owned());
    }
    let word = |name: &str, words: &[&str]| {
        body.get(name).is_none_or(|value| value.as_str().is_some_and(|word| words.contains(&word)))
    };
    let conclusions =
        ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
    let over = body["status"] == "completed";
    if !word("status", &["queued", "in_progress", "completed"])
        || !word("conclusion", &conclusions)
        || over != body.get("conclusion").is_some()
    {
        return Some("Invalid request: status and conclusion do not fit.".to_owned());
    }
    let output = body.get("output")?;
    let text = |name: &str| output[name].as_str().unwrap_or_default();
    let fits = !text("title").is_empty()
        && !text("summary").is_empty()
        && text("title").chars().count() <= 255
        && text("summary").len() <= 65_535;
    (!fits).then(|| "Invalid request: output wants a title and a summary that fit.".to_owned())
}
