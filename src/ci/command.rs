//! A CI behind executables: one takes the request as JSON and prints an id, two more are optional.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crosswatch_core::model::build::{BuildRequest, Verdict};
use crosswatch_core::model::settings::{CiSettings, CommandCi, Limits};
use tokio_util::sync::CancellationToken;

use super::answer::{line, link};
use super::payload::spelled;
use super::ports::{Job, JobEnd, Outcome, Runner};
use super::{AskError, Backend, BoxFuture, CiError, Found, Parts, RemoteId, SendError, Sent, argv};

/// Exit code of `sysexits.h` for "try again": the executable surely started nothing.
const TRY_AGAIN: i32 = 75;

/// Exit codes of `sysexits.h` for wrong use and wrong configuration.
const WRONG: [i32; 2] = [64, 78];

/// How much of an executable's answer is read.
const LONGEST_ANSWER: usize = 16 << 10;

/// A CI behind executables.
pub(super) struct CommandBackend(Arc<Inner>);

struct Inner {
    send: Vec<String>,
    poll: Option<Vec<String>>,
    cancel: Option<Vec<String>>,
    limits: Limits,
    dir: PathBuf,
    runner: Arc<dyn Runner>,
}

impl CommandBackend {
    pub(super) fn new(
        settings: &CiSettings,
        kind: &CommandCi,
        parts: &Parts,
    ) -> Result<Self, CiError> {
        let optional = |key: &str, run: &Option<Vec<String>>| {
            run.as_ref().map(|run| argv(settings, key, run, parts)).transpose()
        };
        Ok(Self(Arc::new(Inner {
            send: argv(settings, "send", &kind.send, parts)?,
            poll: optional("poll", &kind.poll)?,
            cancel: optional("cancel", &kind.cancel)?,
            limits: kind.limits,
            dir: parts.config_dir.clone(),
            runner: Arc::clone(&parts.runner),
        })))
    }
}

impl Backend for CommandBackend {
    fn send(
        &self,
        request: Arc<BuildRequest>,
        cancel: CancellationToken,
    ) -> BoxFuture<Result<Sent, SendError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.send(&request, cancel).await })
    }

    fn find(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<Found, AskError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let poll = inner.poll.as_ref().ok_or_else(|| AskError::Unable {
                why: "this CI has no `poll` executable in the configuration".to_owned(),
            })?;
            let end = inner.ask(poll, &request, remote.as_ref()).await?;
            read(&end.stdout, remote).ok_or_else(|| AskError::Odd {
                why: format!(
                    "{}: printed {:?}; one of queued, running, success, failure, cancelled, lost, \
                     never is expected, and behind it the build's page",
                    name(poll),
                    line(&String::from_utf8_lossy(&end.stdout))
                ),
            })
        })
    }

    fn cancel(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<(), AskError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let cancel = inner.cancel.as_ref().ok_or_else(|| AskError::Unable {
                why: "this CI has no `cancel` executable in the configuration".to_owned(),
            })?;
            inner.ask(cancel, &request, remote.as_ref()).await.map(drop)
        })
    }

    fn can_be_asked(&self) -> bool {
        self.0.poll.is_some()
    }
}

impl Inner {
    async fn send(
        &self,
        request: &BuildRequest,
        cancel: CancellationToken,
    ) -> Result<Sent, SendError> {
        let whole = serde_json::to_value(request).map(|mut whole| {
            if let Some(keys) = whole.as_object_mut() {
                keys.insert("overrides_as".to_owned(), serde_json::json!(spelled(request)));
            }
            whole.to_string().into_bytes()
        });
        let stdin = whole.map_err(|error| SendError::Refused {
            why: format!("the build request has no JSON form: {error}"),
        })?;
        let end = self.runner.run(self.job(self.send.clone(), request, stdin), cancel).await;
        let why = format!("{}: {}", name(&self.send), told(&end));
        match end.outcome {
            Outcome::Exit(0) => {
                let text = String::from_utf8_lossy(&end.stdout);
                let mut lines = text.lines();
                Ok(Sent {
                    remote: lines.next().and_then(RemoteId::new),
                    link: lines.next().and_then(link),
                })
            }
            Outcome::Exit(TRY_AGAIN) => Err(SendError::NotTaken { why, retry: true }),
            Outcome::Exit(code) if WRONG.contains(&code) => Err(SendError::Refused { why }),
            Outcome::NotStarted(_) => Err(SendError::Refused { why }),
            _ => Err(SendError::Uncertain { why }),
        }
    }

    async fn ask(
        &self,
        run: &[String],
        request: &BuildRequest,
        remote: Option<&RemoteId>,
    ) -> Result<JobEnd, AskError> {
        let mut argv = run.to_vec();
        argv.push(remote.map(RemoteId::to_string).unwrap_or_default());
        let job = self.job(argv, request, Vec::new());
        let end = self.runner.run(job, CancellationToken::new()).await;
        let why = format!("{}: {}", name(run), told(&end));
        match end.outcome {
            Outcome::Exit(0) => Ok(end),
            Outcome::NotStarted(_) => Err(AskError::Refused { why }),
            Outcome::Exit(code) if WRONG.contains(&code) => Err(AskError::Refused { why }),
            _ => Err(AskError::Away { why }),
        }
    }

    fn job(&self, argv: Vec<String>, request: &BuildRequest, stdin: Vec<u8>) -> Job {
        Job {
            argv,
            dir: self.dir.clone(),
            env: BTreeMap::from([
                ("CROSSWATCH_REQUEST_ID".to_owned(), request.request_id.to_string()),
                ("CROSSWATCH_FINGERPRINT".to_owned(), request.fingerprint.to_string()),
                ("CROSSWATCH_WORKSPACE".to_owned(), request.workspace.to_string()),
                ("CROSSWATCH_SUBJECT".to_owned(), request.subject.to_string()),
            ]),
            limits: self.limits,
            log: None,
            stdin,
            capture: LONGEST_ANSWER,
            cage: None,
        }
    }
}

fn name(run: &[String]) -> &str {
    run.first().map(String::as_str).unwrap_or_default()
}

/// How a run ended, in words.
pub(super) fn told(end: &JobEnd) -> String {
    let how = match &end.outcome {
        Outcome::Exit(code) => format!("exit {code}"),
        Outcome::Signal(number) => format!("ended by signal {number}"),
        Outcome::Deadline(which) => which.clone(),
        Outcome::Cancelled => "cancelled".to_owned(),
        Outcome::NotStarted(why) | Outcome::Lost(why) => why.clone(),
    };
    match end.last_line.as_deref().map(line) {
        Some(last) if !last.is_empty() => format!("{how}: {last}"),
        _ => how,
    }
}

fn read(stdout: &[u8], remote: Option<RemoteId>) -> Option<Found> {
    let text = String::from_utf8_lossy(stdout);
    let mut words = text.split_whitespace();
    let word = words.next()?;
    let link = words.next().and_then(link);
    Some(match word {
        "never" if remote.is_none() => Found::Never,
        "queued" => Found::Queued { remote, link },
        "running" => Found::Running { remote, link, since: None },
        "success" | "failure" | "cancelled" | "lost" => Found::Ended {
            verdict: Verdict::from_word(word)?,
            remote,
            link,
            ended_at: None,
            summary: None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_poll_are_read() {
        let known = RemoteId::new("1");
        assert_eq!(read(b"never\n", None), Some(Found::Never));
        assert_eq!(read(b"never\n", known.clone()), None);
        assert!(matches!(
            read(b"success http://ci/1\n", known.clone()),
            Some(Found::Ended { verdict: Verdict::Success, link: Some(_), .. })
        ));
        assert!(matches!(read(b"queued", None), Some(Found::Queued { .. })));
        for wrong in [&b""[..], b"refused", b"Success", b"\xff", b"ok"] {
            assert_eq!(read(wrong, known.clone()), None);
        }
    }
}
