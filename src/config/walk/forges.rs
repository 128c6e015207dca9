//! Forges.

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{Authors, ForgeKind, ForgeSettings, GitForge};
use crosswatch_core::model::time::Span;

use super::super::keys;
use super::super::mask::shown;
use super::super::tree::{Node, Value};
use super::values::{is_ref, is_scp, pattern_fault, url_fault};
use super::{At, Walk};

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
        && matches!(text.as_str(), "github" | "gitlab" | "gitea" | "forgejo")
    {
        // Its other keys are of no use to this version, so nothing is said about them.
        walk.error(
            &entry.node,
            &format!("{path}.kind"),
            format!("kind {text} is not supported by this version; kinds: git"),
            "use `kind: git` with the server's URL; changes are then found by their refs",
        );
        return None;
    }
    let fields = walk.fields(node, path, &keys::FORGE);
    for (key, mend) in [
        ("kind", "write `kind: git`"),
        (
            "url",
            "write what the URLs of its repositories begin with, such as https://git.example.org",
        ),
        (
            "authors",
            "plain git knows no authors: write `authors: any` if everybody who can push there is trusted, else `authors: none`",
        ),
    ] {
        if !fields.has(key) && node.get(key).is_none() && matches!(node.value, Value::Map(_)) {
            walk.missing(&fields, key, mend);
        }
    }
    walk.word(fields.get("kind"));
    let url = git_url(walk, fields.get("url")).unwrap_or_default();
    let also = walk.items(fields.get("also")).unwrap_or_default();
    let also = also
        .iter()
        .filter_map(|(node, path)| {
            git_url(walk, Some(At { node, path, kind: &keys::Kind::Text, name: "also" }))
        })
        .collect();
    let poll = fields.get("poll").map(|at| walk.fields(at.node, at.path, &keys::POLL));
    let poll = |key| poll.as_ref().and_then(|poll| poll.get(key));
    let interval = walk.duration(poll("interval"), Span::seconds(60));
    let reconcile = walk.duration(poll("reconcile"), Span::minutes(15));
    Some(ForgeSettings {
        identity: name.clone(),
        kind: ForgeKind::Git(GitForge {
            changes: patterns(walk, fields.get("changes")),
            base: branch(walk, fields.get("base")),
            authors: walk.choice(fields.get("authors"), Authors::None),
        }),
        name,
        url,
        also,
        token: walk.secret(fields.get("token")),
        interval,
        reconcile,
    })
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
