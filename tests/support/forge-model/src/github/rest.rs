//! What REST answers to those who read. Writing is in `write`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::serve::{Ask, Reply, token};
use super::{apps, hooks, json, write};
use crate::Shared;
use crate::world::{Change, ChangeState, Comment, Hook, HookTarget, Repository, State};

pub(crate) fn answer(shared: &Arc<Shared>, state: &mut State, ask: &Ask) -> Reply {
    let parts: Vec<&str> = ask.path.split('/').filter(|part| !part.is_empty()).collect();
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", ["rate_limit"]) => rate_limit(state, ask),
        ("GET", ["user"]) => match token(state, ask) {
            Some(token) => Reply::json(200, &json::user(state, Some(&token.login))),
            None => Reply::message(401, "Requires authentication"),
        },
        ("GET", ["user" | "installation", "repos" | "repositories"]) => {
            repositories(state, ask, None)
        }
        ("GET", ["orgs", org, "repos"]) => repositories(state, ask, Some(org)),
        ("GET", ["app", "hook", "deliveries"]) => {
            let of_app = |hook: &&Hook| hook.target == HookTarget::App;
            let hook = state.hooks.iter().find(of_app).map(|hook| hook.id);
            deliveries(state, ask, hook, &HookTarget::App)
        }
        ("GET", ["orgs", owner, "hooks", id, "deliveries"]) => {
            let target = HookTarget::Organization(owner.to_lowercase());
            deliveries(state, ask, id.parse().ok(), &target)
        }
        ("POST", ["app", "hook", "deliveries", id, "attempts"]) => attempt(shared, state, id),
        ("POST", ["app", "installations", id, "access_tokens"]) => {
            let app = apps::who(state, ask);
            apps::access_token(state, app, id)
        }
        ("GET", ["app", "installations"]) => apps::installations(state, apps::who(state, ask), ask),
        (_, ["repos", owner, name, rest @ ..]) => {
            let full = format!("{owner}/{name}").to_lowercase();
            if let Some(id) = state.moved.get(&full).filter(|_| !state.names.contains_key(&full)) {
                let mut path = format!("{}/api/v3/repositories/{id}", state.url);
                for part in rest {
                    path = format!("{path}/{part}");
                }
                let to = json!({"message": "Moved Permanently", "url": path});
                let mut reply = Reply::json(301, &to);
                reply.headers.push(("location", with_query(&path, ask)));
                return reply;
            }
            let id = state.names.get(&full).copied();
            inside(shared, state, ask, id, rest)
        }
        (_, ["repositories", id, rest @ ..]) => inside(shared, state, ask, id.parse().ok(), rest),
        _ => Reply::message(404, "Not Found"),
    }
}

fn inside(
    shared: &Arc<Shared>,
    state: &mut State,
    ask: &Ask,
    id: Option<u64>,
    rest: &[&str],
) -> Reply {
    let found = id.and_then(|id| state.repositories.get(&id));
    let Some(of) = found.filter(|of| state.sees(token(state, ask), of)) else {
        return Reply::message(404, "Not Found");
    };
    let id = of.id;
    if ask.method != "GET" {
        if let ["hooks", _, "deliveries", delivery, "attempts"] = rest {
            return attempt(shared, state, delivery);
        }
        if !token(state, ask).is_some_and(|token| token.writes) || of.archived {
            return Reply::message(403, "Resource not accessible by personal access token");
        }
        return write::answer(shared, state, ask, id, rest);
    }
    let of = state.seen(of);
    match rest {
        [] => Reply::json(200, &json::repository(state, of)),
        ["branches"] => {
            let all = of.branches.iter().map(|(name, head)| branch(state, of, name, head));
            page(state, ask, id, "branches", all.collect())
        }
        ["branches", name @ ..] => {
            let name = name.join("/");
            match of.branches.get(&name) {
                Some(head) => Reply::json(200, &whole_branch(state, of, &name, head)),
                None => Reply::message(404, "Branch not found"),
            }
        }
        ["git", "ref", name @ ..] => {
            let name = format!("refs/{}", name.join("/"));
            match of.refs().into_iter().find(|(other, _)| *other == name) {
                Some((name, head)) => Reply::json(200, &reference(state, of, &name, &head)),
                None => Reply::message(404, "Not Found"),
            }
        }
        ["git", "matching-refs", prefix @ ..] => {
            let prefix = format!("refs/{}", prefix.join("/"));
            if of.branches.is_empty() && of.changes.is_empty() {
                return Reply::message(409, "Git Repository is empty.");
            }
            let all = of.refs().into_iter().filter(|(name, _)| name.starts_with(&prefix));
            let all: Vec<Value> =
                all.map(|(name, head)| reference(state, of, &name, &head)).collect();
            Reply::json(200, &Value::Array(all))
        }
        ["pulls"] => pulls(state, ask, of),
        ["pulls", number] => {
            change(of, number, |change| Reply::json(200, &json::pull(state, of, change, true)))
                .unwrap_or_else(|| Reply::message(404, "Not Found"))
                .settling(shared, id, number)
        }
        ["pulls", number, "files"] => change(of, number, |change| {
            let file = |path: &String| {
                json!({
                    "sha": change.head, "filename": path, "status": "modified", "additions": 1,
                    "deletions": 0, "changes": 1, "blob_url": "", "raw_url": "",
                    "contents_url": format!(
                        "{}/api/v3/repositories/{id}/contents/{path}?ref={}",
                        state.url, change.head
                    ),
                })
            };
            let at = format!("pulls/{number}/files");
            page(state, ask, id, &at, change.files.iter().map(file).collect())
        })
        .unwrap_or_else(|| Reply::message(404, "Not Found")),
        ["issues", "comments"] => comments(state, ask, of, None),
        ["issues", number, "comments"] => comments(state, ask, of, number.parse().ok()),
        ["issues", number] => {
            change(of, number, |change| Reply::json(200, &json::issue(state, of, change)))
                .unwrap_or_else(|| Reply::message(404, "Not Found"))
        }
        ["commits", head, "statuses"] => {
            let all = of.statuses.get(*head).cloned().unwrap_or_default();
            let newest = all.into_iter().rev().collect();
            page(state, ask, id, &format!("commits/{head}/statuses"), newest)
        }
        ["commits", head, "status"] => {
            let all = of.statuses.get(*head).cloned().unwrap_or_default();
            let url = format!("{}/api/v3/repositories/{id}/commits/{head}", state.url);
            let is = |word: &str| all.iter().any(|status| status["state"] == word);
            let sum = match (is("failure") || is("error"), is("pending") || all.is_empty()) {
                (true, _) => "failure",
                (false, true) => "pending",
                (false, false) => "success",
            };
            Reply::json(
                200,
                &json!({
                    "sha": head, "state": sum, "statuses": all, "total_count": all.len(),
                    "repository": json::repository(state, of), "commit_url": url,
                    "url": format!("{url}/status"),
                }),
            )
        }
        ["commits", head, "check-runs"] => {
            let all: Vec<&Value> =
                of.checks.values().filter(|check| check["head_sha"] == **head).collect();
            Reply::json(200, &json!({"total_count": all.len(), "check_runs": all}))
        }
        ["collaborators", login, "permission"] => {
            let public = (!of.private).then_some(crate::Permission::Read);
            let right = of.collaborators.get(*login).copied().or(public);
            if !state.users.contains_key(*login) {
                return Reply::message(404, &format!("{login} is not a user"));
            }
            let (permission, role) = json::permission(right);
            let mut user = json::user(state, Some(login));
            user["role_name"] = Value::from(role);
            Reply::json(200, &json!({"permission": permission, "role_name": role, "user": user}))
        }
        ["hooks", hook, "deliveries"] => {
            deliveries(state, ask, hook.parse().ok(), &HookTarget::Repository(id))
        }
        _ => Reply::message(404, "Not Found"),
    }
}

fn change<T>(of: &Repository, number: &str, then: impl FnOnce(&Change) -> T) -> Option<T> {
    Some(then(of.changes.get(&number.parse().ok()?)?))
}

impl Reply {
    /// Asking for a change makes the forge compute whether it can be merged.
    fn settling(self, shared: &Arc<Shared>, id: u64, number: &str) -> Self {
        if let Ok(number) = number.parse::<u64>() {
            try_to_merge(shared, id, number);
        }
        self
    }
}

/// Computes whether a change can be merged, after the answer that is being given.
pub(super) fn try_to_merge(shared: &Arc<Shared>, id: u64, number: u64) {
    let shared = Arc::clone(shared);
    let runtime = shared.runtime.clone();
    let _task = runtime.spawn_blocking(move || {
        let mut state = shared.state();
        let of = state.repositories.get_mut(&id);
        let change = of.and_then(|of| of.changes.get_mut(&number));
        if let Some(change) = change.filter(|change| change.mergeable.is_none()) {
            change.mergeable = Some(true);
        }
    });
}

fn pulls(state: &State, ask: &Ask, of: &Repository) -> Reply {
    let wanted = ask.param("state").unwrap_or("open");
    let mut all: Vec<&Change> = of
        .changes
        .values()
        .filter(|change| match wanted {
            "all" => true,
            "closed" => change.state != ChangeState::Open,
            _ => change.state == ChangeState::Open,
        })
        .filter(|change| ask.param("base").is_none_or(|base| base == change.base))
        .collect();
    let updated = ask.param("sort") == Some("updated");
    let newest = if updated || ask.param("sort").is_none() { "desc" } else { "asc" };
    all.sort_by_key(|change| (if updated { change.updated_at } else { 0 }, change.number));
    if ask.param("direction").unwrap_or(newest) == "desc" {
        all.reverse();
    }
    let all = all.into_iter().map(|change| json::pull(state, of, change, false)).collect();
    page(state, ask, of.id, "pulls", all)
}

fn comments(state: &State, ask: &Ask, of: &Repository, number: Option<u64>) -> Reply {
    let since = ask.param("since").and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let since = since.map_or(i64::MIN, jiff::Timestamp::as_second);
    let mut all: Vec<&Comment> = of
        .comments
        .values()
        .filter(|comment| number.is_none_or(|number| number == comment.number))
        .filter(|comment| comment.updated_at >= since)
        .collect();
    if ask.param("sort") == Some("updated") {
        all.sort_by_key(|comment| (comment.updated_at, comment.id));
        if ask.param("direction") != Some("asc") {
            all.reverse();
        }
    }
    let all = all.into_iter().map(|comment| json::comment(state, of, comment)).collect();
    let at = number.map_or("issues/comments".to_owned(), |n| format!("issues/{n}/comments"));
    page(state, ask, of.id, &at, all)
}

fn repositories(state: &State, ask: &Ask, owner: Option<&str>) -> Reply {
    let token = token(state, ask);
    let mut all: Vec<&Repository> = state
        .repositories
        .values()
        .filter(|of| owner.is_none_or(|owner| of.owner == owner) && state.sees(token, of))
        .collect();
    if ask.param("sort") == Some("pushed") {
        all.sort_by_key(|of| (std::cmp::Reverse(of.pushed_at), of.id));
    }
    let items: Vec<Value> = all.into_iter().map(|of| json::repository(state, of)).collect();
    let total = items.len();
    let mut reply = paged(ask, &format!("{}/api/v3{}", state.url, ask.path), items);
    if ask.path.starts_with("/installation") {
        let items: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        reply.body = json!({"total_count": total, "repositories": items}).to_string();
    }
    reply
}

fn deliveries(state: &State, ask: &Ask, hook: Option<u64>, target: &HookTarget) -> Reply {
    let known = |hook: &u64| state.hooks.iter().any(|of| of.id == *hook && of.target == *target);
    let Some(hook) = hook.filter(known) else { return Reply::message(404, "Not Found") };
    let of_hook = |other: u64| other == hook;
    let failed = |status: u16| !(200..300).contains(&status);
    let all = state.deliveries.iter().rev().filter(|delivery| of_hook(delivery.hook));
    let all = all.filter(|delivery| match ask.param("status") {
        Some("failure") => failed(delivery.status),
        Some("success") => !failed(delivery.status),
        _ => true,
    });
    let items = all.map(hooks::entry).collect();
    paged(ask, &format!("{}/api/v3{}", state.url, ask.path), items)
}

fn attempt(shared: &Arc<Shared>, state: &mut State, id: &str) -> Reply {
    let done = id.parse().is_ok_and(|id| hooks::again(shared, state, id));
    if done { Reply::json(202, &json!({})) } else { Reply::message(404, "Not Found") }
}

fn rate_limit(state: &mut State, ask: &Ask) -> Reply {
    let now = state.now();
    let known = ask.secret.as_ref().is_some_and(|secret| state.tokens.contains_key(secret));
    let limits = match ask.secret.as_ref().filter(|_| known) {
        Some(secret) => &mut state.tokens.get_mut(secret).expect("it is known").meter,
        None => &mut state.anonymous,
    };
    let mut resources = serde_json::Map::new();
    for graphql in [false, true] {
        let rate = limits.rate(graphql, now);
        let value = json!({
            "limit": rate.limit, "used": rate.used, "remaining": rate.limit - rate.used,
            "reset": rate.reset,
        });
        resources.insert(rate.name.to_owned(), value);
    }
    let core = resources.get("core").cloned();
    // Searches are not modelled; their pool is always full.
    let search = json!({"limit": 30, "used": 0, "remaining": 30, "reset": now + 60});
    resources.insert("search".to_owned(), search);
    Reply::json(200, &json!({"resources": resources, "rate": core}))
}

fn branch(state: &State, of: &Repository, name: &str, head: &str) -> Value {
    let url = format!("{}/api/v3/repos/{}/commits/{head}", state.url, of.full_name());
    json!({"name": name, "commit": {"sha": head, "url": url}, "protected": false})
}

/// A branch with its commit and its protection.
fn whole_branch(state: &State, of: &Repository, name: &str, head: &str) -> Value {
    let mut value = branch(state, of, name, head);
    let api = format!("{}/api/v3/repos/{}", state.url, of.full_name());
    let person = json!({"name": of.owner, "email": "", "date": json::time(of.pushed_at)});
    let url = format!("{api}/branches/{name}");
    value["_links"] = json!({"self": url, "html": format!("{}/{}", state.url, of.full_name())});
    value["protection"] = json!({"enabled": false});
    value["protection_url"] = Value::from(format!("{url}/protection"));
    value["commit"] = json!({
        "sha": head, "node_id": format!("C_{head}"), "url": format!("{api}/commits/{head}"),
        "html_url": format!("{}/{}/commit/{head}", state.url, of.full_name()),
        "comments_url": format!("{api}/commits/{head}/comments"), "parents": [],
        "author": json::user(state, Some(&of.owner)),
        "committer": json::user(state, Some(&of.owner)),
        "commit": {
            "url": format!("{api}/git/commits/{head}"), "author": person, "committer": person,
            "message": "A commit", "comment_count": 0,
            "tree": {"sha": head, "url": format!("{api}/git/trees/{head}")},
        },
    });
    value
}

fn reference(state: &State, of: &Repository, name: &str, head: &str) -> Value {
    let api = format!("{}/api/v3/repos/{}", state.url, of.full_name());
    json!({
        "ref": name, "node_id": format!("REF_{name}"), "url": format!("{api}/git/{name}"),
        "object": {"type": "commit", "sha": head, "url": format!("{api}/git/commits/{head}")},
    })
}

fn page(state: &State, ask: &Ask, id: u64, at: &str, items: Vec<Value>) -> Reply {
    paged(ask, &format!("{}/api/v3/repositories/{id}/{at}", state.url), items)
}

fn paged(ask: &Ask, url: &str, items: Vec<Value>) -> Reply {
    let number = |name: &str, least: usize| {
        ask.param(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(least).max(1)
    };
    let size = number("per_page", 30).min(100);
    // Delivery logs count by a cursor; a number does for both.
    let key = if ask.path.ends_with("/deliveries") { "cursor" } else { "page" };
    let at = number(key, 1);
    let last = items.len().div_ceil(size).max(1);
    let link = |rel: &str, at: usize| {
        let mut target = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in ask.query.iter().filter(|(name, _)| name != key) {
            target.append_pair(name, value);
        }
        target.append_pair(key, &at.to_string());
        format!("<{url}?{}>; rel=\"{rel}\"", target.finish())
    };
    let mut links = Vec::new();
    if at > 1 {
        links.push(link("prev", at - 1));
    }
    if at < last {
        links.push(link("next", at + 1));
        links.push(link("last", last));
    }
    if at > 1 {
        links.push(link("first", 1));
    }
    let items: Vec<Value> = items.into_iter().skip((at - 1) * size).take(size).collect();
    let mut reply = Reply::json(200, &Value::Array(items));
    if !links.is_empty() {
        reply.headers.push(("link", links.join(", ")));
    }
    reply
}

fn with_query(path: &str, ask: &Ask) -> String {
    if ask.query.is_empty() {
        return path.to_owned();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(&ask.query);
    format!("{path}?{}", query.finish())
}
