//! Settings as a configuration again, with every default written out: `check --resolved`.

use crosswatch_core::model::settings::{
    CiKind, CiSettings, Database, ForgeKind, ForgeSettings, HeaderValue, HttpCall, Limits,
    ManifestFrom, SecretRef, Settings, Step, WorkspaceSettings,
};
use crosswatch_core::model::time::Span;
use serde_json::{Map, Value, json};

/// YAML that [`super::parse`] understands as the same settings.
pub fn resolved(settings: &Settings) -> String {
    let forges: Map<_, _> =
        settings.forges.iter().map(|(n, f)| (n.to_string(), forge(f))).collect();
    let cis: Map<_, _> = settings.ci.iter().map(|(n, c)| (n.to_string(), ci(c))).collect();
    let workspaces: Vec<_> = settings.workspaces.iter().map(|w| workspace(w)).collect();
    let value = json!({
        "version": 1,
        "state_dir": settings.state_dir,
        "database": match &settings.database {
            Database::Sqlite => json!("sqlite"),
            Database::Postgres(reference) => json!(reference),
        },
        "listen": settings.listen,
        "public_url": settings.public_url,
        "max_updates": settings.max_updates, "max_candidates": settings.max_candidates,
        "max_load": settings.max_load,
        "logs": {
            "keep": span(settings.logs.keep), "max_size": settings.logs.max_size.to_string(),
        },
        "proxy": settings.proxy.as_ref().map(|proxy| json!({
            "url": proxy.url, "except": proxy.except, "user": proxy.user, "password": proxy.password,
        })),
        "forges": forges,
        "ci": cis,
        "workspaces": workspaces,
    });
    serde_yaml::to_string(&without_null(value))
        .unwrap_or_else(|error| format!("# the settings cannot be written: {error}\n"))
}

fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_null(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_null).collect()),
        other => other,
    }
}

/// The span in the greatest unit that writes it exactly.
fn span(span: Span) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let unit = units.iter().find(|(_, size)| span.0 > 0 && span.0.is_multiple_of(*size));
    unit.map_or_else(|| format!("{}ms", span.0), |(unit, size)| format!("{}{unit}", span.0 / size))
}

fn forge(forge: &ForgeSettings) -> Value {
    let token = match forge.tokens.as_slice() {
        [] => Value::Null,
        [token] => json!(token),
        tokens => json!(tokens),
    };
    let app = forge.app.as_ref();
    let app =
        app.map(|app| json!({"id": app.id, "installation": app.installation, "key": app.key}));
    let mut value = json!({
        "url": forge.url, "also": forge.also, "token": token, "app": app,
        "poll": {"interval": span(forge.interval), "reconcile": span(forge.reconcile)},
    });
    add(
        &mut value,
        match &forge.kind {
            ForgeKind::Git(git) => json!({
                "kind": "git", "changes": git.changes, "base": git.base, "authors": git.authors,
            }),
            ForgeKind::GitHub(github) => {
                let secrets =
                    (!github.webhook_secrets.is_empty()).then_some(&github.webhook_secrets);
                json!({"kind": "github", "api_url": github.api_url, "webhook_secret": secrets})
            }
        },
    );
    value
}

fn add(to: &mut Value, more: Value) {
    if let (Value::Object(to), Value::Object(more)) = (to, more) {
        to.extend(more);
    }
}

fn limits(limits: &Limits) -> Value {
    json!({"timeout": span(limits.timeout), "silence": span(limits.silence), "grace": span(limits.grace)})
}

fn measures(limits: &Limits) -> Value {
    let (output, bounds) = (limits.output, limits.bounds);
    json!({
        "output": {"max": output.max.to_string(), "over": output.over},
        "limits": {
            "memory": bounds.memory.map(|size| size.to_string()), "processes": bounds.processes,
            "open_files": bounds.open_files, "disk": bounds.disk.map(|size| size.to_string()),
        },
    })
}

fn asked(step: &Step) -> Value {
    let mut value = json!({"run": step.run});
    add(&mut value, limits(&step.limits));
    value
}

fn step(step: &Step) -> Value {
    let mut value = asked(step);
    add(&mut value, measures(&step.limits));
    value
}

fn ci(ci: &CiSettings) -> Value {
    let mut value = json!({
        "kind": ci.kind.word(), "max_in_flight": ci.max_in_flight, "deadline": span(ci.deadline),
        "poll_interval": span(ci.poll), "lost_after": span(ci.lost_after),
        "push_secret": ci.push_secret,
    });
    match &ci.kind {
        CiKind::Local(local) => {
            add(
                &mut value,
                json!({
                    "run": local.run, "slots": local.slots, "sandbox": local.sandbox,
                    "read_only": local.read_only, "network": local.network,
                }),
            );
            add(&mut value, limits(&local.limits));
            add(&mut value, measures(&local.limits));
        }
        CiKind::Buildbot(bot) => add(
            &mut value,
            json!({
                "url": bot.url, "user": bot.user, "password": bot.password, "project": bot.project,
            }),
        ),
        CiKind::Http(http) => add(
            &mut value,
            json!({
                "send": call(&http.send), "id": http.id, "link": http.link,
                "poll": http.poll.as_ref().map(|poll| {
                    let mut value = call(&poll.call);
                    add(&mut value, json!({"state": poll.state, "link": poll.link, "states": poll.states}));
                    value
                }),
                "cancel": http.cancel.as_ref().map(call), "sign": http.sign,
            }),
        ),
        CiKind::Command(command) => {
            add(
                &mut value,
                json!({
                    "send": command.send, "poll": command.poll, "cancel": command.cancel,
                }),
            );
            add(&mut value, limits(&command.limits));
        }
    }
    value
}

fn call(call: &HttpCall) -> Value {
    let header = |value: &HeaderValue| match value {
        HeaderValue::Plain(text) => json!(text),
        HeaderValue::Secret(reference) => secret(reference),
    };
    let headers: Map<_, _> = call.headers.iter().map(|(n, v)| (n.clone(), header(v))).collect();
    json!({"method": call.method, "url": call.url, "headers": headers, "body": call.body})
}

fn secret(reference: &SecretRef) -> Value {
    json!(reference)
}

fn workspace(workspace: &WorkspaceSettings) -> Value {
    let mut update = workspace.update.as_ref().map_or_else(|| json!({}), step);
    add(&mut update, json!({"on": workspace.update_on}));
    let mut manifest = json!({
        "format": workspace.manifest.format, "max_bytes": workspace.manifest.max_bytes,
        "files": workspace.manifest.files, "checkouts": workspace.manifest.checkouts,
    });
    add(
        &mut manifest,
        match &workspace.manifest.from {
            ManifestFrom::Path(path) => json!({"path": path}),
            ManifestFrom::Run(run) => asked(run),
        },
    );
    let built = [("changes", workspace.build_changes), ("mainline", workspace.build_mainline)];
    let built: Vec<_> = built.iter().filter(|(_, built)| *built).map(|(word, _)| *word).collect();
    let rules = &workspace.changes;
    json!({
        "name": workspace.name, "id": workspace.id, "tool": workspace.tool,
        "source": workspace.source.as_ref().map(|s| json!({"url": s.url, "branch": s.branch})),
        "bootstrap": workspace.bootstrap.as_ref().map(step),
        "update": update, "manifest": manifest, "defining": workspace.defining,
        "overrides": workspace.spellings, "ci": workspace.ci, "build": built,
        "changes": {
            "settle": {
                "new": span(rules.settle_new), "push": span(rules.settle_push),
                "bots": span(rules.settle_bots),
            },
            "drafts": rules.drafts, "max_age": span(rules.max_age),
            "dependencies": rules.dependencies, "authors": "trusted", "trusted": rules.trusted,
            "bots": rules.bots, "merged_labels": rules.merged_labels,
            "on_conflict": rules.on_conflict, "adopt": rules.adopt, "branch_matching": rules.branch_matching,
            "rebuild_on_base": rules.rebuild_on_base,
            "max_dependencies": rules.max_dependencies, "on_closed": rules.on_closed,
            "ref": rules.ref_kind, "same_repository": rules.same_repository,
            "pinned": if rules.pinned_roots { "roots" } else { "members" },
            "grammar": rules.reading.grammar, "phrases": rules.reading.phrases,
            "paths": rules.paths, "ignore_paths": rules.ignore_paths,
        },
        "mainline": {
            "settle": span(workspace.mainline.settle),
            "settle_at_most": span(workspace.mainline.settle_at_most),
        },
        "epoch": workspace.epoch, "max_in_flight": workspace.max_in_flight,
        "report": {"to": workspace.report_to}, "env": workspace.env, "mirror": workspace.mirror,
        "candidates": {
            "make": workspace.candidates.make, "network": workspace.candidates.network,
            "read_only": workspace.candidates.read_only,
            "max_size": workspace.candidates.max_size.to_string(),
        },
        "paused": workspace.paused, "rebootstrap_after": workspace.rebootstrap_after,
        "max_shrink": workspace.max_shrink,
    })
}
