//! CIs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crosswatch_core::model::build::Verdict;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{
    Bounds, BuildbotCi, CiKind, CiSettings, CommandCi, HeaderValue, HttpCall, HttpCi, HttpPoll,
    Limits, LocalCi, OutputLimit, Sandbox,
};
use crosswatch_core::model::time::Span;

use super::super::keys::{self, Kind};
use super::super::mask::{is_secret_key, shown};
use super::super::tree::{Node, Value};
use super::{At, Fields, Walk, top};

/// Keys that every kind takes.
const COMMON: usize = 6;

/// Builds one CI.
pub(super) fn ci(walk: &mut Walk<'_>, name: Name, node: &Node, path: &str) -> Option<CiSettings> {
    let fields = walk.fields(node, path, &keys::CI);
    if !fields.has("kind") {
        walk.missing(&fields, "kind", "write `kind: local`, buildbot, http or command");
        return None;
    }
    let kind = walk.word(fields.get("kind"))?;
    refuse_foreign(walk, &fields, &kind);
    let kind = match kind.as_str() {
        "local" => CiKind::Local(local(walk, &fields)?),
        "buildbot" => CiKind::Buildbot(buildbot(walk, &fields)?),
        "http" => CiKind::Http(Box::new(http(walk, &fields)?)),
        _ => CiKind::Command(command(walk, &fields)?),
    };
    let local = matches!(kind, CiKind::Local(_));
    Some(CiSettings {
        name,
        kind,
        max_in_flight: walk.size(fields.get("max_in_flight"), 8),
        deadline: walk.duration(fields.get("deadline"), Span::seconds(30)),
        // A build on this machine is asked for in memory, which costs nothing.
        poll: walk.duration(
            fields.get("poll_interval"),
            if local { Span::seconds(1) } else { Span::seconds(10) },
        ),
        lost_after: walk.duration(fields.get("lost_after"), Span::minutes(10)),
        push_secret: walk.secret(fields.get("push_secret")),
    })
}

/// Refuses keys that only other kinds take.
fn refuse_foreign(walk: &mut Walk<'_>, fields: &Fields<'_>, kind: &str) {
    let Value::Map(entries) = &fields.node().value else { return };
    let common = || keys::CI.0.iter().take(COMMON).map(|key| key.name);
    let own = keys::ci_keys(kind);
    for entry in entries {
        let known = keys::CI.key(&entry.key).is_some();
        if known && !common().any(|key| key == entry.key) && !own.contains(&entry.key.as_str()) {
            walk.error_at(
                entry.place,
                &fields.path,
                format!("a CI of kind {kind} has no key {}", shown(&entry.key)),
                format!("besides the common ones it takes {}", own.join(", ")),
            );
        }
    }
}

fn local(walk: &mut Walk<'_>, fields: &Fields<'_>) -> Option<LocalCi> {
    if !fields.has("run") {
        walk.missing(fields, "run", "write the build's command, such as run: [./ci.sh]");
    }
    let run = walk.own_command(fields.get("run"));
    let read_only = walk.texts(fields.get("read_only")).unwrap_or_default();
    let read_only: Vec<PathBuf> = read_only.iter().map(|path| walk.folder.join(path)).collect();
    let limits = limits(walk, fields, Span::hours(1));
    Some(LocalCi {
        slots: walk.size(fields.get("slots"), 2),
        limits,
        sandbox: walk.choice(fields.get("sandbox"), Sandbox::Bubblewrap),
        read_only,
        network: walk.bool(fields.get("network"), false),
        run: run?,
    })
}

fn limits(walk: &mut Walk<'_>, fields: &Fields<'_>, timeout: Span) -> Limits {
    let (output, bounds) = (OutputLimit::DEFAULT, Bounds::DEFAULT);
    let (silence, grace) = (Span::minutes(20), Span::seconds(10));
    let default = Limits { timeout, silence, grace, output, bounds };
    walk.limits(fields, default)
}

fn buildbot(walk: &mut Walk<'_>, fields: &Fields<'_>) -> Option<BuildbotCi> {
    if !fields.has("url") {
        walk.missing(
            fields,
            "url",
            "write the address of the master, such as http://buildbot:8010",
        );
    }
    let (user, password) = (fields.get("user"), fields.get("password"));
    if let (Some(at), None) | (None, Some(at)) = (user, password) {
        walk.error(at.node, at.path, "user and password belong together", "give both, or none");
    }
    let (user, password) = (walk.some_text(user), walk.secret(password));
    let project = walk.some_text(fields.get("project"));
    Some(BuildbotCi { url: top::web_url(walk, fields.get("url"))?, user, password, project })
}

fn http(walk: &mut Walk<'_>, fields: &Fields<'_>) -> Option<HttpCi> {
    if !fields.has("send") {
        walk.missing(fields, "send", "write the request that starts a build: send: {url: …}");
    }
    let send = fields.get("send").and_then(|at| {
        let call = walk.fields(at.node, at.path, &keys::CALL);
        http_call(walk, &call, "POST")
    });
    let poll = fields.get("poll").and_then(|at| {
        let ask = walk.fields(at.node, at.path, &keys::ASK);
        http_poll(walk, &ask)
    });
    let cancel = fields.get("cancel").and_then(|at| {
        let call = walk.fields(at.node, at.path, &keys::CALL);
        http_call(walk, &call, "POST")
    });
    Some(HttpCi {
        id: pointer(walk, fields.get("id")),
        link: pointer(walk, fields.get("link")),
        poll,
        cancel,
        sign: walk.secret(fields.get("sign")),
        send: send?,
    })
}

fn http_poll(walk: &mut Walk<'_>, fields: &Fields<'_>) -> Option<HttpPoll> {
    if !fields.has("state") {
        walk.missing(fields, "state", "write the JSON pointer to the state, such as /status");
    }
    let mut states = BTreeMap::new();
    for (word, at_node, path) in texts(walk, fields.get("states")) {
        let at = At { node: at_node, path: &path, kind: &VERDICTS, name: "states" };
        if let Some(verdict) = walk.word(Some(at)) {
            let json = serde_json::Value::String(verdict);
            states.extend(serde_json::from_value::<Verdict>(json).ok().map(|v| (word, v)));
        }
    }
    let link = pointer(walk, fields.get("link"));
    let state = pointer(walk, fields.get("state"));
    Some(HttpPoll { call: http_call(walk, fields, "GET")?, state: state?, link, states })
}

static VERDICTS: Kind = Kind::Words(&["success", "failure", "cancelled", "lost", "refused"]);

fn http_call(walk: &mut Walk<'_>, fields: &Fields<'_>, method: &str) -> Option<HttpCall> {
    if !fields.has("url") {
        walk.missing(fields, "url", "write the address, such as https://ci.example.org/builds");
    }
    let mut headers = BTreeMap::new();
    for (name, node, path) in texts(walk, fields.get("headers")) {
        let at = At { node, path: &path, kind: &Kind::Text, name: &name };
        let value = if is_secret_key(&name) || matches!(node.value, Value::Map(_)) {
            walk.secret(Some(at)).map(HeaderValue::Secret)
        } else {
            walk.text(Some(at)).map(HeaderValue::Plain)
        };
        headers.extend(value.map(|value| (name.clone(), value)));
    }
    let url = walk.some_text(fields.get("url"));
    if let (Some(text), Some(at)) = (&url, fields.get("url"))
        && !["https://", "http://", "{{"].iter().any(|start| text.starts_with(start))
    {
        walk.wrong(at, "a URL of http or https", "write one such as https://ci.example.org/builds");
    }
    let body = walk.text(fields.get("body"));
    let method = walk.word(fields.get("method")).unwrap_or_else(|| method.to_owned());
    Some(HttpCall { method, url: url?, headers, body })
}

fn pointer(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Option<String> {
    let text = walk.text(at)?;
    if let (false, Some(at)) = (text.is_empty() || text.starts_with('/'), at) {
        walk.wrong(at, "a JSON pointer", "write one that begins with /, such as /build/id");
        return None;
    }
    Some(text)
}

/// Free names with what stands below them.
pub(super) fn texts<'t>(
    walk: &mut Walk<'_>,
    at: Option<At<'t>>,
) -> Vec<(String, &'t Node, String)> {
    let Some(at) = at else { return Vec::new() };
    let Value::Map(entries) = &at.node.value else {
        walk.wrong(at, "names with texts", "write `NAME: text` below it");
        return Vec::new();
    };
    let all = entries.iter();
    all.map(|e| (e.key.clone(), &*e.node, super::join(at.path, &e.key))).collect()
}

fn command(walk: &mut Walk<'_>, fields: &Fields<'_>) -> Option<CommandCi> {
    if !fields.has("send") {
        walk.missing(fields, "send", "write the executable that starts a build: send: [./send]");
    }
    let send = walk.own_command(fields.get("send"));
    let poll = walk.own_command(fields.get("poll"));
    let cancel = walk.own_command(fields.get("cancel"));
    let limits = limits(walk, fields, Span::minutes(2));
    Some(CommandCi { send: send?, poll, cancel, limits })
}
