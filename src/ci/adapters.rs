//! The ports of the backends, served by the daemon's own client and supervisor.

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::BoxFuture;
use super::ports::{Answer, Call, CallError, HeaderText, Job, JobEnd, Outcome, Runner, Web};
use crate::http::{HttpClient, HttpRequest, Method};
use crate::supervise::{self, Run, SandboxSpec, Supervisor};

impl Web for HttpClient {
    fn call(&self, call: Call) -> BoxFuture<Result<Answer, CallError>> {
        let client = self.clone();
        Box::pin(async move {
            let method = Method::from_bytes(call.method.as_bytes())
                .map_err(|error| CallError::NotSent(format!("{}: {error}", call.method)))?;
            let mut request = HttpRequest::new(method, call.url)
                .body(call.body)
                .deadline(call.deadline)
                .max_body(call.max_body)
                .follow(false);
            for (name, text) in call.headers {
                let value = match text {
                    HeaderText::Plain(text) => SecretString::from(text),
                    HeaderText::Secret(text) => text,
                };
                request = request.header(name, value);
            }
            let answer = client.send(request).await.map_err(|error| {
                let text = error.to_string();
                if error.may_have_acted() {
                    CallError::Unknown(text)
                } else {
                    CallError::NotSent(text)
                }
            })?;
            let text = |value: &crate::http::header::HeaderValue| {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            Ok(Answer {
                status: answer.status.as_u16(),
                headers: answer
                    .headers
                    .iter()
                    .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                    .collect(),
                body: answer.body.to_vec(),
            })
        })
    }
}

impl Runner for Supervisor {
    fn run(&self, job: Job, cancel: CancellationToken) -> BoxFuture<JobEnd> {
        let supervisor = self.clone();
        Box::pin(async move {
            let run = Run {
                env: job.env,
                limits: job.limits.into(),
                log: job.log,
                stdin: job.stdin,
                capture: (job.capture > 0).then_some(job.capture),
                sandbox: job.cage.map(|cage| SandboxSpec {
                    writable: cage.writable,
                    shown_at: None,
                    readable: cage.read_only,
                    hidden: cage.hidden,
                    network: cage.network,
                }),
                ..Run::new(job.argv, job.dir)
            };
            let ended = supervisor.run(run, &cancel).await;
            let text = ended.outcome.to_string();
            JobEnd {
                outcome: match ended.outcome {
                    supervise::Outcome::Finished(code) => Outcome::Exit(code),
                    supervise::Outcome::Signalled(signal) => Outcome::Signal(signal),
                    supervise::Outcome::TimedOut(_)
                    | supervise::Outcome::OverLimit(_)
                    | supervise::Outcome::OutOfMemory => Outcome::Deadline(text),
                    supervise::Outcome::Cancelled => Outcome::Cancelled,
                    supervise::Outcome::CouldNotStart(_) => Outcome::NotStarted(text),
                    supervise::Outcome::Unkillable { .. } | supervise::Outcome::KeeperLost => {
                        Outcome::Lost(text)
                    }
                },
                stdout: ended.stdout,
                last_line: ended.tail.into_iter().rev().find(|line| !line.trim().is_empty()),
            }
        })
    }
}
