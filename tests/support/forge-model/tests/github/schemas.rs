//! The model's answers and webhooks against GitHub's own descriptions of them.

use crate::client::{get, get_as, post, received};
use forge_model::{Edit, Model, NewChange, Permission};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What is said about answers or webhooks.
struct Description(Value);

impl Description {
    fn of(text: &str) -> Self {
        Self(serde_json::from_str(text).expect("a description"))
    }

    /// What is wrong with a value that goes by that name.
    fn faults(&self, name: &str, value: &Value) -> Vec<String> {
        let schema = &self.0["answers"][name];
        assert!(schema.is_object(), "nothing is said about {name}");
        let mut faults = Vec::new();
        self.check(schema, value, name, &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            return self.check(&self.0["schemas"][name], value, at, faults);
        }
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, at, faults);
        }
        for choice in ["anyOf", "oneOf"] {
            let Some(choices) = schema[choice].as_array() else { continue };
            let tried = choices.iter().map(|choice| {
                let mut faults = Vec::new();
                self.check(choice, value, at, &mut faults);
                faults
            });
            let least = tried.min_by_key(Vec::len).unwrap_or_default();
            faults.extend(least);
        }
        let types = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|kind| is(kind, value)) {
            let found: String = value.to_string().chars().take(60).collect();
            faults.push(format!("{at}: expected {types:?}, found {found}"));
            return;
        }
        let constant = schema.get("const").is_some_and(|only| only != value);
        let listed = schema["enum"].as_array().is_some_and(|all| !all.contains(value));
        if constant || listed {
            faults.push(format!("{at}: {value} is not one of its values"));
        }
        for (n, item) in value.as_array().into_iter().flatten().enumerate() {
            if schema["items"].is_object() {
                self.check(&schema["items"], item, &format!("{at}[{n}]"), faults);
            }
        }
        let Some(object) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                faults.push(format!("{at}.{name}: is missing"));
            }
        }
        for (name, value) in object {
            if let Some(schema) = schema["properties"].get(name) {
                self.check(schema, value, &format!("{at}.{name}"), faults);
            }
        }
    }
}

fn ignore(_: impl Sized) {}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

/// A world in which everything stands that an answer can show.
async fn world() -> (Model, u64, String) {
    let model = Model::start().await;
    model.token("main", "secret");
    model.repository("org/a");
    model.permit("org/a", "bob", Permission::Triage);
    let fork = Some("me/a".to_owned());
    let number = model.open("org/a", NewChange { fork, ..NewChange::default() });
    model.edit("org/a", number, Edit::Label("bug".to_owned()));
    model.comment("org/a", number, "bob", "hello");
    let orphan = model.open("org/a", NewChange { body: None, ..NewChange::default() });
    model.edit("org/a", orphan, Edit::DeleteFork);
    model.edit("org/a", orphan, Edit::DeleteAuthor);
    let merged = model.open("org/a", NewChange::default());
    model.edit("org/a", merged, Edit::Merge);
    let head = model.push_change("org/a", number, None);
    (model, number, head)
}

#[tokio::test]
async fn answers_are_as_github_describes_them() {
    let described = Description::of(include_str!("../../schemas/github.json"));
    let (model, number, head) = world().await;
    let mut faults = Vec::new();
    let hook = model.hook(Some("org/a"), "http://127.0.0.1:1/x", "s");
    model.star("org/a");
    model.push("org/a", "main", None);
    let status = json!({"state": "success", "context": "cw", "description": "done"});
    let statuses = format!("/api/v3/repos/org/a/statuses/{head}");
    let comments = format!("/api/v3/repos/org/a/issues/{number}/comments");
    // Applications alone write check runs.
    if let Some(token) = model.state().tokens.get_mut("secret") {
        token.name = "installation 7".to_owned();
    }
    let check = json!({"name": "cw", "head_sha": head, "status": "in_progress"});
    for (name, path, body) in [
        ("status", statuses.as_str(), status),
        ("comment", &comments, json!({"body": "x"})),
        ("check_run", "/api/v3/repos/org/a/check-runs", check),
        ("access_token", "/api/v3/app/installations/7/access_tokens", json!({})),
    ] {
        let answer = post(&model, path, &body).await;
        assert_eq!(answer.status, 201, "{path}");
        faults.extend(described.faults(name, &answer.json()));
    }
    let pull = format!("/repos/org/a/pulls/{number}");
    for (name, path) in [
        ("repository", "/repos/org/a".to_owned()),
        ("repositories", "/orgs/org/repos?sort=pushed".to_owned()),
        ("pulls", "/repos/org/a/pulls?state=all".to_owned()),
        ("pull", pull.clone()),
        ("files", format!("{pull}/files")),
        ("branches", "/repos/org/a/branches".to_owned()),
        ("branch", "/repos/org/a/branches/main".to_owned()),
        ("ref", "/repos/org/a/git/ref/heads/main".to_owned()),
        ("refs", "/repos/org/a/git/matching-refs/heads/".to_owned()),
        ("comments", "/repos/org/a/issues/comments".to_owned()),
        ("statuses", format!("/repos/org/a/commits/{head}/statuses")),
        ("combined", format!("/repos/org/a/commits/{head}/status")),
        ("permission", "/repos/org/a/collaborators/bob/permission".to_owned()),
        ("rate_limit", "/rate_limit".to_owned()),
        ("deliveries", format!("/repos/org/a/hooks/{hook}/deliveries")),
    ] {
        let answer = get(&model, &path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        let value = answer.json();
        assert!(value.as_array().is_none_or(|items| !items.is_empty()), "{path} shows nothing");
        faults.extend(described.faults(name, &value));
    }
    model.rename("org/a", "org/b");
    let moved = get(&model, "/repos/org/a", None).await.json();
    faults.extend(described.faults("moved", &moved));
    let missing = get_as(&model, "secret", "/repos/org/nothing", None).await.json();
    faults.extend(described.faults("missing", &missing));
    // What it describes as an object is null where a fork was deleted.
    faults.retain(|fault| !fault.ends_with(".head.repo: expected [\"object\"], found null"));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn webhooks_are_as_github_describes_them() {
    let described = Description::of(include_str!("../../schemas/webhooks.json"));
    let (model, number, _) = world().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    model.hook(None, &format!("http://{}/x", listener.local_addr().unwrap()), "s");
    let edit = |edit| model.edit("org/a", number, edit);
    let mut faults = Vec::new();
    let acts: [(&str, usize, &dyn Fn()); 11] = [
        ("pull_request$opened", 1, &|| ignore(model.open("org/a", NewChange::default()))),
        ("pull_request$edited", 1, &|| edit(Edit::Body(None))),
        ("pull_request$edited", 1, &|| edit(Edit::Title("t".into()))),
        ("pull_request$converted_to_draft", 1, &|| edit(Edit::Draft(true))),
        ("pull_request$ready_for_review", 1, &|| edit(Edit::Draft(false))),
        ("pull_request$labeled", 1, &|| edit(Edit::Label("x".into()))),
        ("pull_request$closed", 1, &|| edit(Edit::Close)),
        ("pull_request$reopened", 1, &|| edit(Edit::Reopen)),
        ("issue_comment$created", 1, &|| ignore(model.comment("org/a", number, "bob", "x"))),
        ("push$event", 2, &|| ignore(model.push_change("org/a", number, None))),
        ("repository$renamed", 1, &|| model.rename("org/a", "org/c")),
    ];
    for (name, count, act) in acts {
        act();
        for _ in 0..count {
            let (head, body) = received(&listener).await;
            let value: Value = serde_json::from_slice(&body).unwrap();
            let follows = count > 1 && head.contains("x-github-event: pull_request");
            let name = if follows { "pull_request$synchronize" } else { name };
            faults.extend(described.faults(name, &value));
        }
    }
    // What a queue does is told in three ways, in whatever order they arrive.
    let queued: [(&dyn Fn(), &str, &str); 2] = [
        (&|| ignore(model.queue("org/c", number, None)), "enqueued", "checks_requested"),
        (&|| model.unqueue("org/c", number), "dequeued", "destroyed"),
    ];
    for (act, of_change, of_group) in queued {
        act();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let (_, body) = received(&listener).await;
            let value: Value = serde_json::from_slice(&body).unwrap();
            let name = match value["action"].as_str() {
                None => "push$event".to_owned(),
                Some(action) if action == of_group => format!("merge_group${action}"),
                Some(action) => format!("pull_request${action}"),
            };
            faults.extend(described.faults(&name, &value));
            seen.insert(name);
        }
        let group = format!("merge_group${of_group}");
        assert_eq!(seen, [group, format!("pull_request${of_change}"), "push$event".into()].into());
    }
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
