//! Builds as supervised commands of the daemon itself, each in a folder of its own.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosswatch_core::model::build::{BuildRequest, RequestId, Verdict};
use crosswatch_core::model::identity::Subject;
use crosswatch_core::model::settings::{Bounds, CiSettings, Limits, LocalCi, OutputLimit, Sandbox};
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::spelling::Spelling;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::command::told;
use super::local_folder::{BuildEnd, Folder, Trace, sweep};
use super::ports::{Cage, Job, JobEnd, Outcome, Runner};
use super::{AskError, Backend, BoxFuture, CiError, Found, Parts, RemoteId, SendError, Sent, argv};
use crate::clock::Clock;
use crate::task::Tasks;

/// Signal of the system's last resort; what was ended by it says nothing about the code.
const SIGKILL: i32 = 9;

/// How long it may take to find out whether a command can be caged.
const TRIAL: Span = Span::seconds(30);

/// Builds on this machine.
pub(super) struct LocalBackend(Arc<Inner>);

struct Inner {
    argv: Vec<String>,
    settings: LocalCi,
    state_dir: PathBuf,
    builds: PathBuf,
    slots: Arc<Semaphore>,
    open: Mutex<HashMap<RequestId, Open>>,
    runner: Arc<dyn Runner>,
    tasks: Tasks,
    clock: Clock,
}

/// A build between being taken and its result.
#[derive(Clone)]
struct Open {
    since: Option<Timestamp>,
    stop: CancellationToken,
}

impl LocalBackend {
    pub(super) fn new(
        settings: &CiSettings,
        kind: &LocalCi,
        parts: &Parts,
    ) -> Result<Self, CiError> {
        Ok(Self(Arc::new(Inner {
            argv: argv(settings, "run", &kind.run, parts)?,
            settings: kind.clone(),
            state_dir: parts.state_dir.clone(),
            builds: parts.state_dir.join("builds"),
            slots: Arc::new(Semaphore::new(kind.slots.clamp(1, 1024))),
            open: Mutex::default(),
            runner: Arc::clone(&parts.runner),
            tasks: parts.tasks.clone(),
            clock: parts.clock.clone(),
        })))
    }
}

impl Backend for LocalBackend {
    fn send(
        &self,
        request: Arc<BuildRequest>,
        _cancel: CancellationToken,
    ) -> BoxFuture<Result<Sent, SendError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.send(request).await })
    }

    fn find(
        &self,
        request: Arc<BuildRequest>,
        _remote: Option<RemoteId>,
    ) -> BoxFuture<Result<Found, AskError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.find(request.request_id).await })
    }

    fn cancel(
        &self,
        request: Arc<BuildRequest>,
        _remote: Option<RemoteId>,
    ) -> BoxFuture<Result<(), AskError>> {
        if let Some(open) = self.0.open().get(&request.request_id) {
            open.stop.cancel();
        }
        Box::pin(async { Ok(()) })
    }

    fn can_be_asked(&self) -> bool {
        true
    }
}

impl Inner {
    async fn send(self: Arc<Self>, request: Arc<BuildRequest>) -> Result<Sent, SendError> {
        let id = request.request_id;
        let sent = Sent { remote: RemoteId::new(&id.to_string()), link: None };
        let cage = self.cage(&request).await.map_err(|why| SendError::Refused { why })?;
        let folder = Folder::new(&self.builds, id);
        let stop = CancellationToken::new();
        {
            let mut open = self.open();
            if open.contains_key(&id) {
                return Ok(sent);
            }
            open.insert(id, Open { since: None, stop: stop.clone() });
        }
        let made = {
            let (folder, request) = (folder.clone(), Arc::clone(&request));
            blocking(move || {
                let trace = folder.trace()?;
                if trace == Trace::Never {
                    folder.make(&request)?;
                }
                Ok(trace)
            })
            .await
        };
        match made {
            Ok(Trace::Never) => {}
            // It was taken before: what became of it is for `find` to tell.
            Ok(_) => {
                self.open().remove(&id);
                return Ok(sent);
            }
            Err(error) => {
                self.open().remove(&id);
                return Err(SendError::NotTaken {
                    why: format!(
                        "{}: the build's folder could not be made: {error}",
                        folder.path().display()
                    ),
                    retry: true,
                });
            }
        }
        let inner = Arc::clone(&self);
        self.tasks.spawn(format!("build {id}"), async move {
            inner.build(&request, folder, cage, stop).await;
        });
        Ok(sent)
    }

    async fn build(
        &self,
        request: &BuildRequest,
        folder: Folder,
        cage: bool,
        stop: CancellationToken,
    ) {
        let id = request.request_id;
        let slot = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
        };
        let end = match slot {
            None => BuildEnd {
                verdict: Verdict::Cancelled,
                ended_at: self.clock.now(),
                summary: "cancelled before it began".to_owned(),
            },
            Some(_slot) => {
                if let Some(open) = self.open().get_mut(&id) {
                    open.since = Some(self.clock.now());
                }
                let ended = self.runner.run(self.job(request, &folder, cage), stop).await;
                BuildEnd {
                    verdict: verdict(&ended),
                    ended_at: self.clock.now(),
                    summary: told(&ended),
                }
            }
        };
        let builds = self.builds.clone();
        let stored = {
            let folder = folder.clone();
            blocking(move || {
                folder.end(&end)?;
                sweep(&builds)
            })
            .await
        };
        if let Err(error) = stored {
            let folder = folder.path().display();
            tracing::error!(%folder, %error, "the end of a build could not be stored or old builds swept");
        }
        self.open().remove(&id);
    }

    async fn find(&self, id: RequestId) -> Result<Found, AskError> {
        if let Some(found) = self.running(id) {
            return Ok(found);
        }
        let folder = Folder::new(&self.builds, id);
        let trace = {
            let folder = folder.clone();
            blocking(move || folder.trace()).await
        };
        let remote = RemoteId::new(&id.to_string());
        match trace {
            Ok(Trace::Never) => Ok(self.running(id).unwrap_or(Found::Never)),
            // It may have been taken between the two looks.
            Ok(Trace::Unfinished) => Ok(self.running(id).unwrap_or(Found::Ended {
                verdict: Verdict::Lost,
                remote,
                link: None,
                ended_at: None,
                summary: Some("interrupted: the daemon ended while it ran".to_owned()),
            })),
            Ok(Trace::Ended(end)) => Ok(Found::Ended {
                verdict: end.verdict,
                remote,
                link: None,
                ended_at: Some(end.ended_at),
                summary: Some(end.summary),
            }),
            Err(error) => {
                Err(AskError::Away { why: format!("{}: {error}", folder.path().display()) })
            }
        }
    }

    fn running(&self, id: RequestId) -> Option<Found> {
        let since = self.open().get(&id)?.since;
        let remote = RemoteId::new(&id.to_string());
        Some(match since {
            None => Found::Queued { remote, link: None },
            Some(_) => Found::Running { remote, link: None, since },
        })
    }

    /// Whether the build is caged, or why it must not run at all.
    async fn cage(&self, request: &BuildRequest) -> Result<bool, String> {
        if request.subject == Subject::Mainline {
            return Ok(false);
        }
        match self.settings.sandbox {
            Sandbox::Bubblewrap => match self.no_cage().await {
                None => Ok(true),
                Some(why) => Err(format!(
                    "builds of changes need a sandbox: {why}; or say `sandbox: none` where every \
                     head is trusted; `crosswatch doctor` says more"
                )),
            },
            Sandbox::None if request.trusted => Ok(false),
            Sandbox::None => Err(
                "the set has a head that is not trusted, and `sandbox: none` builds only trusted \
                 ones; use `sandbox: bubblewrap`"
                    .to_owned(),
            ),
        }
    }

    /// Why nothing can be caged here, found out by caging a command that does nothing.
    async fn no_cage(&self) -> Option<String> {
        let dir = self.builds.join(".trial");
        if let Err(error) = tokio::fs::create_dir_all(&dir).await {
            return Some(format!("{}: {error}", dir.display()));
        }
        let (output, bounds) = (OutputLimit::DEFAULT, Bounds::DEFAULT);
        let grace = Span::seconds(1);
        let limits = Limits { timeout: TRIAL, silence: TRIAL, grace, output, bounds };
        let job = Job {
            argv: vec!["true".to_owned()],
            dir: dir.clone(),
            env: BTreeMap::new(),
            limits,
            log: None,
            stdin: Vec::new(),
            capture: 0,
            cage: Some(Cage {
                read_only: Vec::new(),
                hidden: Vec::new(),
                writable: dir,
                network: false,
            }),
        };
        let end = self.runner.run(job, CancellationToken::new()).await;
        (end.outcome != Outcome::Exit(0)).then(|| told(&end))
    }

    fn job(&self, request: &BuildRequest, folder: &Folder, cage: bool) -> Job {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut env = BTreeMap::from([
            ("CROSSWATCH_WORKSPACE".to_owned(), request.workspace.to_string()),
            ("CROSSWATCH_SUBJECT".to_owned(), request.subject.to_string()),
            ("CROSSWATCH_REQUEST_ID".to_owned(), request.request_id.to_string()),
            ("CROSSWATCH_FINGERPRINT".to_owned(), request.fingerprint.to_string()),
            ("CROSSWATCH_OVERRIDES".to_owned(), text(folder.overrides())),
            ("CROSSWATCH_REQUEST".to_owned(), text(folder.request())),
            ("CROSSWATCH_REASON".to_owned(), request.reason.clone()),
        ]);
        for spelling in request.spellings.iter().filter(|spelling| **spelling != Spelling::Json) {
            let name = format!("CROSSWATCH_OVERRIDES_{}", spelling.word().to_ascii_uppercase());
            env.insert(name, text(folder.path().join(spelling.file_name())));
        }
        let cage = cage.then(|| {
            let mut read_only = self.settings.read_only.clone();
            read_only.push(folder.path().to_owned());
            let program = self.argv.first().map(Path::new);
            read_only.extend(program.filter(|path| path.is_absolute()).map(Path::to_owned));
            Cage {
                read_only,
                hidden: vec![self.state_dir.clone()],
                writable: folder.work(),
                network: self.settings.network,
            }
        });
        Job {
            argv: self.argv.clone(),
            dir: folder.work(),
            env,
            limits: self.settings.limits,
            log: Some(folder.log()),
            stdin: Vec::new(),
            capture: 0,
            cage,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<RequestId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verdict(end: &JobEnd) -> Verdict {
    match end.outcome {
        Outcome::Exit(0) => Verdict::Success,
        Outcome::Signal(SIGKILL) | Outcome::Lost(_) => Verdict::Lost,
        Outcome::Exit(_) | Outcome::Signal(_) | Outcome::Deadline(_) => Verdict::Failure,
        Outcome::Cancelled => Verdict::Cancelled,
        Outcome::NotStarted(_) => Verdict::Refused,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(std::io::Error::other(error)),
    }
}
