//! Readers of `.autoproj/config.yml` and of the cache of pull requests.

use serde_yaml::Value;

use crate::manifest::ManifestError;
use crate::manifest::yaml::{self, Entry, found, untag};

/// Largest file that is read.
pub const MAX_BYTES: u64 = 16 << 20;

/// Pull requests of a cache that are read at most.
pub const MAX_CACHED: usize = 50_000;

/// What autoproj-daemon was told. Tokens are only noted, never kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Daemon {
    /// Project at the Buildbot master; the folder's name when left out.
    pub project: Option<String>,
    /// Kind, address and branch of the build configuration.
    pub source: Option<(String, String, Option<String>)>,
    /// Servers with pull requests, by host.
    pub services: Vec<Service>,
    /// Seconds between two looks.
    pub polling_period: u64,
    /// Days after which a pull request is stale.
    pub max_age: u64,
    /// Host of the Buildbot master.
    pub buildbot_host: String,
    /// Port of the Buildbot master.
    pub buildbot_port: u64,
    /// Keys of autoproj itself that its bootstrap reads, in the order of the file.
    pub others: Vec<String>,
}

/// A server with pull requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its host.
    pub host: String,
    /// `github` or `gitlab`.
    pub kind: String,
    /// Address of its API, if it was said.
    pub api: Option<String>,
    /// Whether a token stands in the file.
    pub has_token: bool,
}

/// A pull request as autoproj-daemon last built it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Address of the repository.
    pub url: String,
    /// Its number there.
    pub number: u64,
    /// Base branch.
    pub base: String,
    /// Head.
    pub head: String,
    /// Whether it was a draft.
    pub draft: bool,
    /// What it was built with, in the order of the overrides.
    pub dependencies: Vec<Dependency>,
}

/// Something that a pull request was built with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// `host/owner/name`.
    pub repository: String,
    /// Number of the pull request.
    pub number: u64,
    /// Its head.
    pub head: String,
}

/// Reads `config.yml`.
pub fn configuration(text: &str) -> Result<Daemon, ManifestError> {
    let value = yaml::document(text)?;
    let file = Entry::whole(&value, "the keys of .autoproj/config.yml")?;
    let number = |key: &str, default: u64| -> Result<u64, ManifestError> {
        // The daemon itself asks for them as texts.
        match file.text(key)? {
            None => Ok(default),
            Some(text) => text.trim().parse().map_err(|_| wrong(key, "a whole number", &text)),
        }
    };
    let mut daemon = Daemon {
        project: file.line("daemon_project")?,
        polling_period: number("daemon_polling_period", 60)?,
        max_age: number("daemon_max_age", 120)?,
        buildbot_host: file.line("daemon_buildbot_host")?.unwrap_or_else(|| "localhost".into()),
        buildbot_port: number("daemon_buildbot_port", 8010)?,
        ..Daemon::default()
    };
    if let Some(source) = file.inner("manifest_source")? {
        let kind = source.line("type")?.unwrap_or_else(|| "git".to_owned());
        if let Some(url) = source.line("url")? {
            let branch = source.line("remote_branch")?.or(source.line("branch")?);
            daemon.source = Some((kind, url, branch));
        }
    }
    for (host, entry) in file.named("daemon_services")? {
        let line = |key: &str| entry.as_ref().map_or(Ok(None), |entry| entry.line(key));
        let known = if host.contains("gitlab") { "gitlab" } else { "github" };
        daemon.services.push(Service {
            kind: line("service")?.unwrap_or_else(|| known.to_owned()),
            api: line("api_endpoint")?,
            has_token: entry.as_ref().is_some_and(|entry| entry.get("access_token").is_some()),
            host,
        });
    }
    // Before it knew several servers there was one key, of GitHub.
    let github = |service: &Service| service.host == "github.com";
    if file.get("daemon_api_key").is_some() && !daemon.services.iter().any(github) {
        daemon.services.push(Service {
            host: "github.com".to_owned(),
            kind: "github".to_owned(),
            api: None,
            has_token: true,
        });
    }
    for key in file.map.keys() {
        if let Value::String(key) = untag(key)
            && !key.starts_with("daemon_")
            && key != "manifest_source"
        {
            daemon.others.push(key.clone());
        }
    }
    Ok(daemon)
}

/// Reads the cache of pull requests.
pub fn cache(text: &str) -> Result<Vec<Cached>, ManifestError> {
    let value = yaml::document(text)?;
    let entries = match untag(&value) {
        Value::Sequence(entries) => entries,
        Value::Null => return Ok(Vec::new()),
        other => return Err(wrong("the file", "a list of pull requests", &found(other))),
    };
    if entries.len() > MAX_CACHED {
        return Err(ManifestError::TooMany { what: "pull requests".to_owned(), most: MAX_CACHED });
    }
    let mut cached = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let entry = Entry::of(entry, format!("pull request {}", at + 1), "a pull request")?;
        let mut dependencies = Vec::new();
        for dependency in entry.list("dependencies")? {
            dependencies.push(Dependency {
                repository: needed(&dependency, "repository")?,
                number: counted(&dependency)?,
                head: needed(&dependency, "head")?,
            });
        }
        cached.push(Cached {
            url: needed(&entry, "repo_url")?,
            number: counted(&entry)?,
            base: needed(&entry, "base_branch")?,
            head: needed(&entry, "head_sha")?,
            draft: matches!(entry.get("draft?").or(entry.get("draft")), Some(Value::Bool(true))),
            dependencies,
        });
    }
    Ok(cached)
}

fn needed(entry: &Entry<'_>, key: &str) -> Result<String, ManifestError> {
    let place = format!("{}: {key}", entry.place);
    entry.line(key)?.ok_or_else(|| wrong(&place, "a text", "nothing"))
}

fn counted(entry: &Entry<'_>) -> Result<u64, ManifestError> {
    let text = needed(entry, "number")?;
    text.parse().map_err(|_| wrong(&format!("{}: number", entry.place), "a number", &text))
}

fn wrong(place: &str, expected: &str, found: &str) -> ManifestError {
    ManifestError::Wrong {
        place: place.to_owned(),
        expected: expected.to_owned(),
        found: found.chars().take(60).collect(),
    }
}
