//! Forges.

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{
    AppSettings, Authors, ForgeKind, ForgeSettings, GitForge, GitHubForge, SecretRef,
};
use crosswatch_core::model::time::Span;

use super::super::keys;
use super::super::mask::shown;
use super::super::tree::{Node, Value};
use super::values::{is_ref, is_scp, pattern_fault, url_fault};
use super::{At, Fields, Walk, top};

const SCHEMES: [&str; 4] = ["https", "http", "ssh", "file"];

/// Builds one forge.
pub(super) fn forge(
    walk: &mut Walk<'_>,
    name: Name,
    node: &Node,
    path: &str,
) -> Option<ForgeSettings> {
    if let Some(entry) = node.get("kind")
        && let Value::Scalar { text, .. } = &entry.node.value
        && matches!(text.as_str(), "gitlab" | "gitea" | "forgejo")
    {
        // Its other keys are of no use to this version, so nothing is said about them.
        walk.error(
            &entry.node,
            &format!("{path}.kind"),
            format!("kind {text} is not supported by this version; kinds: github, git"),
            "use `kind: git` with the server's URL; changes are then found by their refs",
        );
        return None;
    }
    let fields = walk.fields(node, path, &keys::FORGE);
    let kind = walk.word(fields.get("kind"));
    let is_github = kind.as_deref() == Some("github");
    let needed: &[(&str, &str)] = if is_github { &[] } else { &NEEDED };
    for (key, mend) in needed {
        if !fields.has(key) && node.get(key).is_none() && matches!(node.value, Value::Map(_)) {
            walk.missing(&fields, key, mend);
        }
    }
    if let Some(kind) = &kind {
        refuse_foreign(walk, &fields, kind);
    }
    let url = git_url(walk, fields.get("url"));
    let url =
        if is_github { url.unwrap_or_else(|| GITHUB.into()) } else { url.unwrap_or_default() };
    let also = walk.items(fields.get("also")).map(|items| {
        let at = |node, path| At { node, path, kind: &keys::Kind::Text, name: "also" };
        items.iter().filter_map(|(node, path)| git_url(walk, Some(at(node, path)))).collect()
    });
    let poll = fields.get("poll").map(|at| walk.fields(at.node, at.path, &keys::POLL));
    let poll = |key| poll.as_ref().and_then(|poll| poll.get(key));
    let interval = walk.duration(poll("interval"), Span::seconds(60));
    let reconcile = walk.duration(poll("reconcile"), Span::minutes(15));
    let (identity, also, kind) = if is_github {
        let host = host(walk, &url, fields.get("url"));
        let api_url = top::web_url(walk, fields.get("api_url")).unwrap_or_else(|| api_of(&url));
        let webhook_secrets = walk.secrets(fields.get("webhook_secret"));
        let kind = GitHubForge { api_url, webhook_secrets };
        (Name::from(host.as_str()), also.unwrap_or_else(|| by_ssh(&host)), ForgeKind::GitHub(kind))
    } else {
        let kind = ForgeKind::Git(GitForge {
            changes: patterns(walk, fields.get("changes")),
            base: branch(walk, fields.get("base")),
            authors: walk.choice(fields.get("authors"), Authors::None),
        });
        (name.clone(), also.unwrap_or_default(), kind)
    };
    let tokens = tokens(walk, fields.get("token"), is_github);
    let app = app(walk, fields.get("app"));
    Some(ForgeSettings { name, identity, kind, url, also, tokens, app, interval, reconcile })
}

/// One token, or a list of them where the forge has an API.
fn tokens(walk: &mut Walk<'_>, at: Option<At<'_>>, many: bool) -> Vec<SecretRef> {
    let Some(at) = at.filter(|at| matches!(at.node.value, Value::List(_))) else {
        return walk.secret(at).into_iter().collect();
    };
    if !many {
        let mend = "write one place of a token, without brackets";
        walk.error(at.node, at.path, "a forge of kind git takes one token", mend);
        return Vec::new();
    }
    let items = walk.items(Some(at)).unwrap_or_default();
    if items.is_empty() {
        walk.error(at.node, at.path, "expected at least one token", "remove the key to use none");
    }
    let mut tokens: Vec<SecretRef> = Vec::new();
    for (node, path) in &items {
        let at = At { node, path, kind: &keys::Kind::Secret, name: "token" };
        let Some(token) = walk.secret(Some(at)) else { continue };
        if tokens.contains(&token) {
            walk.error(node, path, "this token stands here twice", "remove one of them");
        }
        tokens.push(token);
    }
    tokens
}

fn app(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Option<AppSettings> {
    let at = at?;
    let fields = walk.fields(at.node, at.path, &keys::APP);
    for (key, mend) in [
        ("id", "write the number that the page of the application shows as its App ID"),
        ("key", "say where the private key is that the page of the application gives"),
    ] {
        if !fields.has(key) && at.node.get(key).is_none() && matches!(at.node.value, Value::Map(_))
        {
            walk.missing(&fields, key, mend);
        }
    }
    let installation = fields.get("installation");
    let installation = installation.map(|at| walk.count(Some(at), 1));
    let id = walk.count(fields.get("id"), 1);
    Some(AppSettings { id, installation, key: walk.secret(fields.get("key"))? })
}

const GITHUB: &str = "https://github.com";

/// What a plain git forge cannot do without.
const NEEDED: [(&str, &str); 3] = [
    ("kind", "write `kind: github` or `kind: git`"),
    ("url", "write what the URLs of its repositories begin with, such as https://git.example.org"),
    (
        "authors",
        "plain git knows no authors: write `authors: any` if everybody who can push there is trusted, else `authors: none`",
    ),
];

/// Refuses keys that mean nothing to the kind.
fn refuse_foreign(walk: &mut Walk<'_>, fields: &Fields<'_>, kind: &str) {
    let Value::Map(entries) = &fields.node().value else { return };
    for entry in entries {
        if keys::foreign_forge_keys(kind).contains(&entry.key.as_str()) {
            walk.error_at(
                entry.place,
                fields.path(),
                format!("a forge of kind {kind} has no key {}", shown(&entry.key)),
                "remove it",
            );
        }
    }
}

/// Host of a forge's pages, in lower case; with its port unless it is the usual one.
fn host(walk: &mut Walk<'_>, url: &str, at: Option<At<'_>>) -> String {
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let host = parsed.as_ref().and_then(|url| {
        let host = url.host_str()?.to_lowercase();
        Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
    });
    if let (None, Some(at)) = (&host, at) {
        walk.error(
            at.node,
            at.path,
            "expected the address of the server's pages",
            "write one such as https://github.example.org; addresses of ssh stand under `also`",
        );
    }
    host.unwrap_or_default()
}

fn api_of(url: &str) -> String {
    if url == GITHUB { "https://api.github.com".into() } else { format!("{url}/api/v3") }
}

/// How manifests write repositories of that server by ssh.
fn by_ssh(host: &str) -> Vec<String> {
    let name = host.split(':').next().unwrap_or(host);
    let mut also = vec![format!("ssh://git@{name}")];
    if host == "github.com" {
        also.push("ssh://git@ssh.github.com:443".into());
    }
    also
}

fn patterns(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Vec<String> {
    let Some(items) = walk.items(at) else {
        return vec!["refs/pull/*/head".into(), "refs/merge-requests/*/head".into()];
    };
    let mut patterns = Vec::new();
    for (node, path) in &items {
        let at = At { node, path, kind: &keys::Kind::Text, name: "changes" };
        let Some(text) = walk.text(Some(at)) else { continue };
        match pattern_fault(&text) {
            Some(fault) => walk.error(
                node,
                path,
                format!("{fault}, found {}", shown(&text)),
                "write one such as refs/pull/*/head",
            ),
            None => patterns.push(text),
        }
    }
    if let (true, Some(at)) = (items.is_empty(), at) {
        walk.wrong(
            at,
            "at least one ref pattern",
            "write one such as refs/pull/*/head, or remove the key",
        );
    }
    patterns
}

/// A branch's name.
pub(super) fn branch(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Option<Name> {
    let text = walk.some_text(at)?;
    if let (false, Some(at)) = (is_ref(&text), at) {
        walk.wrong(at, "the name of a branch", "write it without refs/heads/, such as master");
        return None;
    }
    Some(Name::from(text))
}

/// A git URL, without a trailing `/`.
pub(super) fn git_url(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Option<String> {
    let text = walk.some_text(at)?;
    if let (Some(fault), Some(at)) = (url_fault(&text, &SCHEMES), at)
        && !is_scp(&text)
    {
        walk.error(
            at.node,
            at.path,
            format!("{fault}, found {}", shown(&text)),
            "write one such as https://git.example.org or file:///srv/git",
        );
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}
