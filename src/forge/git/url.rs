//! Which way a git URL is asked, and how it is shown.

use crate::http::shown;

use super::GitError;

/// How a remote is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Http,
    Local { path: String },
    Ssh { host: String, port: Option<u16>, path: String },
}

/// Reads `http(s)://`, `file://`, `ssh://`, `user@host:path` and absolute paths.
pub(super) fn way(url: &str) -> Result<Way, GitError> {
    let bad = |why: &str| GitError::BadUrl { url: display(url), why: why.to_owned() };
    if url.chars().any(char::is_control) {
        return Err(bad("it holds control characters"));
    }
    if url.starts_with('/') {
        return Ok(Way::Local { path: url.to_owned() });
    }
    if !url.contains("://") {
        let (host, path) = url.split_once(':').ok_or_else(|| bad("it has no scheme"))?;
        if host.contains('/') {
            return Err(bad("a path has to be absolute"));
        }
        return ssh(host.to_owned(), None, path.to_owned())
            .ok_or_else(|| bad("wrong host or path"));
    }
    let parsed = url::Url::parse(url).map_err(|error| bad(&error.to_string()))?;
    match parsed.scheme() {
        "http" | "https" => Ok(Way::Http),
        // Git takes the path of a file URL as it stands, without decoding.
        "file" => match url.trim_start_matches("file://") {
            path if path.starts_with('/') => Ok(Way::Local { path: path.to_owned() }),
            _ => Err(bad("file:// needs an absolute path")),
        },
        "ssh" | "git+ssh" | "ssh+git" => {
            let name = parsed.host_str().ok_or_else(|| bad("it has no host"))?;
            let host = match parsed.username() {
                "" => name.to_owned(),
                user => format!("{user}@{name}"),
            };
            let path = parsed.path();
            let path = if path.starts_with("/~") { path.trim_start_matches('/') } else { path };
            ssh(host, parsed.port(), path.to_owned()).ok_or_else(|| bad("wrong host or path"))
        }
        _ => Err(bad("use http://, https://, ssh://, file:// or an absolute path")),
    }
}

fn ssh(host: String, port: Option<u16>, path: String) -> Option<Way> {
    // A leading dash would be read as an option by ssh, and `NAME::` by git as a helper to run.
    let fit = !host.is_empty() && !host.starts_with('-') && !path.is_empty();
    let fit = fit && !path.starts_with(':');
    (fit && !host.contains("@-")).then_some(Way::Ssh { host, port, path })
}

/// The URL without secrets.
pub(super) fn display(url: &str) -> String {
    if url.contains("://") { shown(url) } else { url.chars().filter(|c| !c.is_control()).collect() }
}

/// Splits the user part off an HTTP URL, since a process title shows its arguments to everybody.
pub(super) fn without_user(url: &str) -> (String, Option<(String, String)>) {
    let Ok(mut parsed) = url::Url::parse(url) else { return (url.to_owned(), None) };
    if !matches!(parsed.scheme(), "http" | "https") || parsed.username().is_empty() {
        return (url.to_owned(), None);
    }
    let user = parsed.username().to_owned();
    let password = parsed.password().unwrap_or_default().to_owned();
    parsed.set_username("").ok();
    parsed.set_password(None).ok();
    (parsed.to_string(), Some((user, password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_told_apart() {
        let local = |path: &str| Way::Local { path: path.to_owned() };
        let ssh = |host: &str, port, path: &str| Way::Ssh {
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        };
        for (url, expected) in [
            ("https://h/a.git", Way::Http),
            ("file:///srv/a b.git", local("/srv/a b.git")),
            ("/srv/a.git", local("/srv/a.git")),
            ("git@h:a/b.git", ssh("git@h", None, "a/b.git")),
            ("ssh://git@h:22022/a", ssh("git@h", Some(22022), "/a")),
            ("ssh://h/~u/a", ssh("h", None, "~u/a")),
        ] {
            assert_eq!(way(url).ok(), Some(expected), "{url}");
        }
        for wrong in ["", "a", "./a:b", "-oProxyCommand=x:y", "ssh://-x/y", "ext::sh -c x", "a:\n"]
        {
            assert!(way(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn users_are_split_off() {
        let (url, user) = without_user("https://u:p@h/a");
        assert_eq!((url.as_str(), user), ("https://h/a", Some(("u".into(), "p".into()))));
    }
}
