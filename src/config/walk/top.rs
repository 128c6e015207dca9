//! The file's own keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{
    Authors, CiKind, Database, ForgeSettings, ProxySettings, Sandbox, Settings,
};

use super::super::keys;
use super::super::mask::shown;
use super::super::tree::{Node, Value};
use super::values::{is_name, url_fault};
use super::{At, Walk, ci, forges, workspaces};

/// Builds the settings from the root.
pub(super) fn settings(walk: &mut Walk<'_>, root: &Node) -> Settings {
    walk.refuse_secrets(root, "");
    let fields = walk.fields(root, "", &keys::TOP);
    if root.get("version").is_none() && matches!(root.value, Value::Map(_)) {
        walk.missing(&fields, "version", "write `version: 1` first");
    }
    walk.count(fields.get("version"), 1);
    let state_dir =
        walk.path(fields.get("state_dir")).unwrap_or_else(|| PathBuf::from("/var/lib/crosswatch"));
    let forges: BTreeMap<_, _> = named(walk, fields.get("forges"))
        .into_iter()
        .map(|(name, node, path)| {
            (name.clone(), forges::forge(walk, name, node, &path).map(Arc::new))
        })
        .collect();
    let cis: BTreeMap<_, _> = named(walk, fields.get("ci"))
        .into_iter()
        .map(|(name, node, path)| (name.clone(), (ci::ci(walk, name, node, &path), node)))
        .collect();
    let names = workspaces::Known { forges: forges.clone(), ci: cis.keys().cloned().collect() };
    let workspaces = workspaces::workspaces(walk, &fields, &names);
    let forges: BTreeMap<_, _> =
        forges.into_iter().filter_map(|(name, forge)| Some((name, forge?))).collect();
    // A forge with pull requests says who wrote each change: those of strangers are nobody's.
    let all_trusted = forges
        .values()
        .all(|forge| forge.kind.git().is_some_and(|git| git.authors == Authors::Any));
    one_identity(walk, root, &forges);
    for (name, (settings, node)) in &cis {
        if let Some(CiKind::Local(local)) = settings.as_ref().map(|ci| &ci.kind)
            && local.sandbox == Sandbox::None
            && !all_trusted
        {
            let place = node.get("sandbox").map_or(node.place, |entry| entry.node.place);
            walk.error_at(
                place,
                &format!("ci.{name}.sandbox"),
                "without a sandbox the code of changes runs as the daemon, but not every forge says `authors: any`",
                "use `sandbox: bubblewrap`, or say `authors: any` where everybody is trusted",
            );
        }
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    Settings {
        state_dir,
        database: database(walk, fields.get("database")),
        listen: listen(walk, fields.get("listen")),
        public_url: web_url(walk, fields.get("public_url")),
        forges,
        ci: cis.into_iter().filter_map(|(name, (ci, _))| Some((name, Arc::new(ci?)))).collect(),
        workspaces,
        max_updates: walk.size(fields.get("max_updates"), cores),
        max_candidates: walk.size(fields.get("max_candidates"), 1),
        max_load: fields
            .get("max_load")
            .and_then(|at| u32::try_from(walk.count(Some(at), 0)).ok())
            .filter(|load| *load > 0),
        logs: walk.logs(fields.get("logs")),
        proxy: proxy(walk, fields.get("proxy")),
    }
}

/// Refuses two forges whose repositories could not be told apart.
fn one_identity(walk: &mut Walk<'_>, root: &Node, forges: &BTreeMap<Name, Arc<ForgeSettings>>) {
    let mut seen: BTreeMap<&Name, &Name> = BTreeMap::new();
    for (name, forge) in forges {
        let Some(first) = seen.insert(&forge.identity, name) else { continue };
        let node = root.get("forges").and_then(|all| all.node.get(name));
        let place = node.map_or(root.place, |entry| entry.node.place);
        walk.error_at(
            place,
            &format!("forges.{name}"),
            format!("its repositories would be called {}/… as those of {first}", forge.identity),
            "write one forge with all its addresses under `also`, or give the plain git forge another name",
        );
    }
}

/// Names with what stands below them.
fn named<'t>(walk: &mut Walk<'_>, at: Option<At<'t>>) -> Vec<(Name, &'t Node, String)> {
    let Some(at) = at else { return Vec::new() };
    let Value::Map(entries) = &at.node.value else {
        walk.wrong(at, "names with keys below them", "write `NAME: {kind: …}` below it");
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries {
        if is_name(&entry.key) {
            all.push((
                Name::from(entry.key.as_str()),
                &*entry.node,
                format!("{}.{}", at.path, entry.key),
            ));
        } else {
            walk.error_at(
                entry.place,
                at.path,
                format!("{} is not a name", shown(&entry.key)),
                NAME_MEND,
            );
        }
    }
    all
}

/// What a name must look like.
pub(super) const NAME_MEND: &str =
    "a name has at most 64 of A-Z a-z 0-9 . _ -, and begins with a letter or digit";

fn database(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Database {
    match at {
        None => Database::Sqlite,
        Some(At { node: Node { value: Value::Scalar { text, .. }, .. }, .. })
            if text == "sqlite" =>
        {
            Database::Sqlite
        }
        Some(at) if matches!(at.node.value, Value::Map(_)) => {
            walk.secret(Some(at)).map_or(Database::Sqlite, Database::Postgres)
        }
        Some(at) => {
            walk.error(
                at.node,
                at.path,
                "expected sqlite, or where the URL of a PostgreSQL server is kept",
                "put postgres://… into a file and write {file: PATH}, {env: NAME} or {credential: NAME}",
            );
            Database::Sqlite
        }
    }
}

fn proxy(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Option<ProxySettings> {
    let at = at?;
    let fields = walk.fields(at.node, at.path, &keys::PROXY);
    if !fields.has("url") && matches!(at.node.value, Value::Map(_)) {
        walk.missing(&fields, "url", "write its address, such as http://proxy.example.org:3128");
    }
    let except = walk.items(fields.get("except")).unwrap_or_default();
    let except = except
        .iter()
        .filter_map(|(node, path)| {
            walk.some_text(Some(At { node, path, kind: &keys::Kind::Text, name: "except" }))
        })
        .collect();
    Some(ProxySettings {
        url: web_url(walk, fields.get("url"))?,
        except,
        user: walk.some_text(fields.get("user")),
        password: walk.secret(fields.get("password")),
    })
}

fn listen(walk: &mut Walk<'_>, at: Option<At<'_>>) -> String {
    let default = || "127.0.0.1:8020".to_owned();
    let Some(text) = walk.some_text(at) else { return default() };
    let valid = text.parse::<std::net::SocketAddr>().is_ok()
        || text
            .rsplit_once(':')
            .is_some_and(|(host, port)| is_name(host) && port.parse::<u16>().is_ok());
    if !valid && let Some(at) = at {
        walk.wrong(at, "an address and a port", "write one such as 127.0.0.1:8020 or [::1]:8020");
        return default();
    }
    text
}

/// A URL of http or https, without a trailing `/`.
pub(super) fn web_url(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Option<String> {
    let text = walk.some_text(at)?;
    if let (Some(fault), Some(at)) = (url_fault(&text, &["https", "http"]), at) {
        walk.error(
            at.node,
            at.path,
            format!("{fault}, found {}", shown(&text)),
            "write one such as https://ci.example.org",
        );
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}
