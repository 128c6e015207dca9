//! Asks one remote for its refs, over HTTP or the pipes of a supervised process.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::time::Span;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::GitError;
use super::ls_refs::{self, Capabilities, RefList};
use super::pktline::{FLUSH, Packets};
use super::url::{Way, display, way, without_user};
use crate::http::{HttpAnswer, HttpClient, HttpRequest, Method};
use crate::supervise::{Ended, Limits, Outcome, Run, Supervisor};

/// No listing is larger.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// A server without v2 is asked for its version again after so many looks.
const ASK_AGAIN: u32 = 60;
/// What is remembered of servers is forgotten when it grows beyond this.
const MAX_REMEMBERED: usize = 100_000;

/// Lists the refs of remotes.
#[derive(Clone, Debug)]
pub struct GitRemote {
    http: HttpClient,
    supervisor: Supervisor,
    known: Arc<Mutex<HashMap<String, Version>>>,
    ssh: Vec<String>,
}

#[derive(Clone, Debug)]
enum Version {
    Two(Capabilities),
    Old { looks_left: u32 },
}

impl GitRemote {
    /// Asks over `http`, and starts git and ssh through `supervisor`.
    pub fn new(http: HttpClient, supervisor: Supervisor) -> Self {
        let ssh = ["ssh", "-oBatchMode=yes", "-oConnectTimeout=10", "-oSendEnv=GIT_PROTOCOL"];
        let ssh = ssh.map(str::to_owned).to_vec();
        Self { http, supervisor, known: Arc::default(), ssh }
    }

    /// Uses another program with its first arguments instead of ssh.
    #[must_use]
    pub fn with_ssh(mut self, ssh: Vec<String>) -> Self {
        self.ssh = ssh;
        self
    }

    /// The refs of `url` below `prefixes` (none: all) and `HEAD`, within `deadline`.
    ///
    /// `auth` is a token, or `user:password`.
    pub async fn list(
        &self,
        url: &str,
        prefixes: &[String],
        auth: Option<&SecretString>,
        deadline: Span,
        cancel: &CancellationToken,
    ) -> Result<RefList, GitError> {
        let way = way(url)?;
        let ask = Ask { url, prefixes, auth, deadline, cancel };
        let found = match self.look(&ask, &way) {
            Some(Version::Old { .. }) => None,
            known => tokio::select! {
                () = cancel.cancelled(), if way == Way::Http => return Err(GitError::Cancelled),
                found = self.version_two(&ask, &way, known) => found?,
            },
        };
        let mut list = match found {
            Some(list) => list,
            None => {
                self.remember(url, Some(Version::Old { looks_left: ASK_AGAIN }));
                self.ls_remote(&ask).await?
            }
        };
        list.retain(prefixes);
        Ok(list)
    }

    /// `None` when the server does not speak version 2.
    async fn version_two(
        &self,
        ask: &Ask<'_>,
        way: &Way,
        known: Option<Version>,
    ) -> Result<Option<RefList>, GitError> {
        match way {
            Way::Http => self.over_http(ask, known).await,
            Way::Local { path } => {
                let path = path.strip_suffix('/').unwrap_or(path);
                let words = ["git", "-c", "safe.directory=*", "upload-pack", "--strict", path];
                let words = if Path::new(path).join(".git").exists() {
                    // Strict means: this folder, not one that git would guess.
                    words.into_iter().filter(|word| *word != "--strict").collect()
                } else {
                    words.to_vec()
                };
                self.over_pipe(ask, words.into_iter().map(str::to_owned).collect()).await
            }
            Way::Ssh { host, port, path } => {
                let mut words = self.ssh.clone();
                if let Some(port) = port {
                    words.extend(["-p".to_owned(), port.to_string()]);
                }
                words.extend(["--".to_owned(), host.clone()]);
                words.push(format!("git-upload-pack '{}'", path.replace('\'', r"'\''")));
                self.over_pipe(ask, words).await
            }
        }
    }

    async fn over_http(
        &self,
        ask: &Ask<'_>,
        known: Option<Version>,
    ) -> Result<Option<RefList>, GitError> {
        let base = ask.url.trim_end_matches('/');
        let wrong = |why: String| GitError::Protocol { url: display(ask.url), why };
        let found = match known {
            Some(Version::Two(found)) => found,
            _ => {
                let url = format!("{base}/info/refs?service=git-upload-pack");
                let answer = self.http.send(ask.http(Method::GET, url)).await?;
                checked(ask, &answer)?;
                let smart = "application/x-git-upload-pack-advertisement";
                if !is(&answer, smart) {
                    let html = answer.body.trim_ascii_start().starts_with(b"<");
                    return match html {
                        true => Err(wrong("it answered with a page for people".to_owned())),
                        false => Ok(None),
                    };
                }
                let found = ls_refs::capabilities(&mut Packets::new(&answer.body));
                let Some(found) = found.map_err(wrong)? else { return Ok(None) };
                self.remember(ask.url, Some(Version::Two(found.clone())));
                found
            }
        };
        let body = ls_refs::request(&found, ask.prefixes).map_err(wrong)?;
        let request = ask
            .http(Method::POST, format!("{base}/git-upload-pack"))
            .header("content-type", "application/x-git-upload-pack-request")
            .header("accept", "application/x-git-upload-pack-result")
            .body(body);
        let read = |answer: HttpAnswer| {
            checked(ask, &answer)?;
            if !is(&answer, "application/x-git-upload-pack-result") {
                return Err(wrong("the answer's content type is not git's".to_owned()));
            }
            ls_refs::answer(&mut Packets::new(&answer.body), found.sha256).map_err(wrong)
        };
        let list = self.http.send(request).await.map_err(GitError::from).and_then(read);
        if list.is_err() {
            // The server may have changed: the next look asks for its capabilities again.
            self.remember(ask.url, None);
        }
        list.map(Some)
    }

    /// Sends the request right behind the start: the capabilities come back before the answer.
    async fn over_pipe(
        &self,
        ask: &Ask<'_>,
        words: Vec<String>,
    ) -> Result<Option<RefList>, GitError> {
        let what = words.first().cloned().unwrap_or_default();
        let wrong = |why: String| GitError::Protocol { url: display(ask.url), why };
        let known = self.look(ask, &Way::Http);
        let mut assumed = match known {
            Some(Version::Two(found)) => found,
            _ => Capabilities::default(),
        };
        // The object format has to be right in the request; a wrong guess costs a second run.
        for _ in 0..2 {
            let mut run = ask.run(words.clone());
            run.env.insert("GIT_PROTOCOL".to_owned(), "version=2".to_owned());
            run.stdin = ls_refs::request(&assumed, ask.prefixes).map_err(wrong)?;
            run.stdin.extend_from_slice(FLUSH);
            let ended = self.supervisor.run(run, ask.cancel).await;
            let mut packets = Packets::new(&ended.stdout);
            let found = match ls_refs::capabilities(&mut packets) {
                Ok(Some(found)) => found,
                Ok(None) if !ended.stdout.is_empty() => return Ok(None),
                _ if !ended.outcome.success() => return Err(ask.failed(&what, ended)),
                Ok(None) => return Ok(None),
                Err(why) => return Err(wrong(why)),
            };
            if found.sha256 != assumed.sha256 {
                assumed = Capabilities { sha256: found.sha256, unborn: found.unborn };
                continue;
            }
            if !ended.outcome.success() {
                return Err(ask.failed(&what, ended));
            }
            self.remember(ask.url, Some(Version::Two(found.clone())));
            return ls_refs::answer(&mut packets, found.sha256).map(Some).map_err(wrong);
        }
        Err(wrong("it names another object format each time".to_owned()))
    }

    async fn ls_remote(&self, ask: &Ask<'_>) -> Result<RefList, GitError> {
        let (url, _) = without_user(ask.url);
        let (mut words, secret) = git_command(ask.url, ask.auth)?;
        words.extend(["ls-remote", "--symref", "--", &url].map(str::to_owned));
        let run = Run { stdin: secret, ..ask.run(words) };
        let ended = self.supervisor.run(run, ask.cancel).await;
        if !ended.outcome.success() || ended.stdout_truncated {
            return Err(ask.failed("git ls-remote", ended));
        }
        ls_refs::ls_remote(&String::from_utf8_lossy(&ended.stdout))
            .map_err(|why| GitError::Protocol { url: display(ask.url), why })
    }

    /// What is known of the server; each look at an old one counts.
    fn look(&self, ask: &Ask<'_>, way: &Way) -> Option<Version> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let version = known.get_mut(ask.url)?;
        if let Version::Old { looks_left } = version {
            if *looks_left == 0 {
                known.remove(ask.url);
                return None;
            }
            *looks_left = looks_left.saturating_sub(u32::from(*way == Way::Http));
        }
        Some(version.clone())
    }

    fn remember(&self, url: &str, version: Option<Version>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match version {
            Some(Version::Old { .. }) if matches!(known.get(url), Some(Version::Old { .. })) => {}
            Some(version) => {
                if known.len() >= MAX_REMEMBERED {
                    known.clear();
                }
                known.insert(url.to_owned(), version);
            }
            None => drop(known.remove(url)),
        }
    }
}

struct Ask<'a> {
    url: &'a str,
    prefixes: &'a [String],
    auth: Option<&'a SecretString>,
    deadline: Span,
    cancel: &'a CancellationToken,
}

impl Ask<'_> {
    fn http(&self, method: Method, url: String) -> HttpRequest {
        let request = HttpRequest::new(method, url)
            .header("git-protocol", "version=2")
            .deadline(self.deadline)
            .max_body(MAX_ANSWER);
        match self.auth.map(credentials) {
            Some((user, password)) => request.basic(&user, &password),
            None => request,
        }
    }

    fn run(&self, words: Vec<String>) -> Run {
        let mut run = Run::new(words, "/");
        run.limits = Limits { wall: self.deadline, grace: Span(500), ..Limits::default() };
        run.env.insert("LC_ALL".to_owned(), "C".to_owned());
        run.capture = Some(MAX_ANSWER);
        run
    }

    fn failed(&self, what: &str, ended: Ended) -> GitError {
        failed(what, self.url, ended)
    }
}

pub(super) fn failed(what: &str, url: &str, ended: Ended) -> GitError {
    if ended.outcome == Outcome::Cancelled {
        return GitError::Cancelled;
    }
    let skip = ended.tail.len().saturating_sub(4);
    let detail: Vec<_> = ended.tail.iter().skip(skip).map(String::as_str).collect();
    let detail = match ended.stdout_truncated {
        true => format!("it printed more than {MAX_ANSWER} bytes"),
        false => detail.join(" / "),
    };
    GitError::Process { what: what.to_owned(), url: display(url), outcome: ended.outcome, detail }
}

/// The beginning of a git command, and the input with which it finds its credential.
///
/// Arguments and environments are seen by others, and a file would outlive a killed daemon. So the
/// credential comes as standard input, which a run keeps in a file without a name; a helper that
/// is asked for this one authority alone reads it from there.
pub(super) fn git_command(
    url: &str,
    auth: Option<&SecretString>,
) -> Result<(Vec<String>, Vec<u8>), GitError> {
    let settings = ["-c", "safe.directory=*", "-c", "protocol.version=2", "-c"];
    let settings = settings.into_iter().chain(["credential.helper="]).map(str::to_owned);
    let plain = || std::iter::once("git".to_owned()).chain(settings.clone()).collect();
    let (bare, user) = without_user(url);
    let pair = auth.map(credentials).or(user.map(|(user, password)| (user, password.into())));
    let (Some((user, password)), Ok(parsed)) = (pair, url::Url::parse(&bare)) else {
        return Ok((plain(), Vec::new()));
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        return Ok((plain(), Vec::new()));
    }
    let password = password.expose_secret();
    if user.chars().chain(password.chars()).any(char::is_control) {
        let why = "its credential holds control characters; write it without".to_owned();
        return Err(GitError::BadUrl { url: display(url), why });
    }
    let origin = parsed.origin().ascii_serialization();
    let helper = r#"!f() { test "$1" = get && cat /dev/fd/9; }; f"#;
    let start = r#"exec 9<&0 </dev/null; exec git "$@""#;
    let words = ["sh", "-c", start, "git"].map(str::to_owned).into_iter().chain(settings);
    let words = words.chain(["-c".to_owned(), format!("credential.{origin}.helper={helper}")]);
    Ok((words.collect(), format!("username={user}\npassword={password}\n").into_bytes()))
}

/// Hosted forges take a token as the password of any user.
fn credentials(auth: &SecretString) -> (String, SecretString) {
    match auth.expose_secret().split_once(':') {
        Some((user, password)) => (user.to_owned(), password.to_owned().into()),
        None => ("x-access-token".to_owned(), auth.clone()),
    }
}

fn checked(ask: &Ask<'_>, answer: &HttpAnswer) -> Result<(), GitError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let retry_after = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
    Err(GitError::Status {
        url: display(ask.url),
        status: answer.status.as_u16(),
        retry_after: retry_after.map(Span::seconds),
    })
}

fn is(answer: &HttpAnswer, kind: &str) -> bool {
    answer.header("content-type").is_some_and(|value| value.split(';').next() == Some(kind))
}
