//! Where a package comes from, for tools that have one text for branch, tag and commit.

use super::text::{line, masked, name, quoted, wrong};
use super::{Builder, ManifestError};
use crate::model::identity::Name;
use crate::model::manifest::{Pin, Vcs, is_change_ref};

/// A git repository at `revision`: a commit when it is one in whole, a tag when it says so, nothing
/// when it is the ref of a change, else a branch.
pub(super) fn git(
    builder: &mut Builder,
    place: &str,
    key: &Name,
    url: String,
    revision: Option<&str>,
) -> Result<Vcs, ManifestError> {
    let (mut branch, mut pin) = (None, None);
    if let Some(text) = revision {
        let text = line(&format!("{place}: revision"), text)?;
        if is_commit(&text) {
            pin = Some(Pin::Commit(text));
        } else if let Some(tag) = text.strip_prefix("refs/tags/") {
            pin = Some(Pin::Tag(tag.to_owned()));
        } else if is_change_ref(&text) {
            leaked(builder, key, text);
        } else {
            let text = text.strip_prefix("refs/heads/").unwrap_or(&text);
            branch = Some(name(&format!("{place}: revision"), text)?);
        }
    }
    Ok(Vcs::Git { url, branch, pin })
}

/// Notes the ref of a change where a branch belongs.
pub(super) fn leaked(builder: &mut Builder, key: &Name, change: String) {
    builder.note(|| {
        format!(
            "{key:?} is on {change}, the ref of a change, as after an update with overrides; its \
             default branch is tracked"
        )
    });
    builder.change_refs.push((key.clone(), change));
}

/// Whether it names one commit.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// An address without password; a relative one (`./x`, `../x`) is resolved against `base` as git
/// does it for submodules: each `..` takes one part from the end of `base`.
pub(super) fn absolute(
    place: &str,
    url: &str,
    base: Option<&str>,
) -> Result<String, ManifestError> {
    let relative =
        |url: &str| matches!(url, "." | "..") || url.starts_with("./") || url.starts_with("../");
    if !relative(url) {
        return line(place, &masked(url));
    }
    let Some(base) = base else {
        let expected = "a whole address, since the workspace has no `source` to resolve it against";
        return Err(wrong(place, expected, quoted(url)));
    };
    let mut base = base.trim_end_matches('/');
    let mut rest = url;
    loop {
        if let Some(after) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("..")) {
            base = shorter(base)
                .ok_or_else(|| wrong(place, "an address below its server", quoted(url)))?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else {
            break;
        }
    }
    let rest = if rest == "." { "" } else { rest };
    let separator = if base.ends_with(':') || rest.is_empty() { "" } else { "/" };
    line(place, &masked(&format!("{base}{separator}{rest}")))
}

/// Without its last part; `None` where only the server is left.
fn shorter(base: &str) -> Option<&str> {
    let path = base.find("://").map_or(0, |at| at + 3);
    let rest = base.get(path..)?;
    if let Some(at) = rest.rfind('/') {
        return base.get(..path + at);
    }
    // The scp form: what stands before the colon is the server.
    let at = rest.find(':').filter(|_| path == 0)?;
    if at + 1 == rest.len() {
        return None;
    }
    base.get(..=at)
}

/// A folder of the workspace: relative, without `..`.
pub(super) fn folder(place: &str, path: &str) -> Result<String, ManifestError> {
    let text = line(place, path)?;
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(wrong(place, "a folder inside the workspace", quoted(&text)));
    }
    let parts: Vec<&str> =
        text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_addresses_are_resolved_as_git_does_it() {
        for (base, url, whole) in [
            ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
            ("https://h/a/b.git/", "../../c/d.git", "https://h/c/d.git"),
            ("git@h:a/b.git", "../c.git", "git@h:a/c.git"),
            ("git@h:b.git", "../c.git", "git@h:c.git"),
            ("/srv/git/b", "../c", "/srv/git/c"),
            ("file:///srv/git/b", "./c", "file:///srv/git/b/c"),
            ("https://h/a/b.git", "..", "https://h/a"),
            ("https://h/a/b.git", "https://o/x", "https://o/x"),
        ] {
            assert_eq!(absolute("p", url, Some(base)).as_deref(), Ok(whole));
        }
        assert!(absolute("p", "../../../x", Some("https://h/a/b")).is_err());
        assert!(absolute("p", "../../x", Some("git@h:b")).is_err());
        assert!(absolute("p", "../x", None).is_err());
    }
}
