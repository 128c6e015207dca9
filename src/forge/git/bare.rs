//! One bare repository of our own: made when needed, made again when damaged, one git in it at a time.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::time::Span;
use secrecy::SecretString;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::GitError;
use super::remote::{failed, git_command};
use super::url::without_user;
use crate::supervise::{Ended, Limits, Run, Supervisor};

const MAX_OUTPUT: usize = 64 * 1024 * 1024;

/// Where to ask, with what, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The repository's URL.
    pub url: &'a str,
    /// A token, or `user:password`.
    pub auth: Option<&'a SecretString>,
    /// For each git command.
    pub deadline: Span,
    /// Ends the question early.
    pub cancel: &'a CancellationToken,
}

/// One lock for each folder, so that what several ask at once is fetched once.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks(Arc<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>>);

impl Locks {
    pub(super) async fn take(&self, dir: &Path) -> OwnedMutexGuard<()> {
        self.of(dir).lock_owned().await
    }

    pub(super) fn try_take(&self, dir: &Path) -> Option<OwnedMutexGuard<()>> {
        self.of(dir).try_lock_owned().ok()
    }

    fn of(&self, dir: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(dir.to_owned()).or_default())
    }
}

/// A bare repository that is ours while this lives.
pub(super) struct Bare<'a> {
    supervisor: &'a Supervisor,
    pub(super) source: Source<'a>,
    pub(super) dir: PathBuf,
    /// Whether it was made just now and is empty.
    pub(super) fresh: bool,
    sha256: bool,
    settings: &'static str,
    silence: Option<Span>,
    _alone: OwnedMutexGuard<()>,
}

impl<'a> Bare<'a> {
    /// Waits for the folder's lock and makes the repository unless it is there; a new one gets
    /// `settings` behind git's own.
    pub(super) async fn open(
        supervisor: &'a Supervisor,
        locks: &Locks,
        source: Source<'a>,
        dir: PathBuf,
        sha256: bool,
        settings: &'static str,
    ) -> Result<Self, GitError> {
        let _alone = locks.take(&dir).await;
        let (fresh, silence) = (false, None);
        let mut bare = Self { supervisor, source, dir, fresh, sha256, settings, silence, _alone };
        bare.fresh = bare.make().await?;
        Ok(bare)
    }

    /// Ends every later command that writes nothing for this long.
    pub(super) fn silence(mut self, silence: Span) -> Self {
        self.silence = Some(silence);
        self
    }

    /// Makes a repository again that turned out to be damaged; whether it is worth asking again.
    pub(super) async fn made_again(&self, error: Option<&GitError>) -> Result<bool, GitError> {
        let damaged = match error {
            Some(GitError::Process { detail, .. }) => damaged(detail),
            Some(GitError::Mirror { .. }) => true,
            _ => false,
        };
        if !damaged {
            return Ok(false);
        }
        self.make_again().await?;
        Ok(true)
    }

    /// Throws everything away.
    pub(super) async fn make_again(&self) -> Result<(), GitError> {
        tracing::warn!(mirror = %self.dir.display(), "a damaged mirror is made again");
        std::fs::remove_dir_all(&self.dir).map_err(|error| self.broken(&error.to_string()))?;
        self.make().await.map(drop)
    }

    async fn make(&self) -> Result<bool, GitError> {
        std::fs::create_dir_all(&self.dir).map_err(|error| self.broken(&error.to_string()))?;
        if self.dir.join("HEAD").is_file() && self.dir.join("config").is_file() {
            remove_stale_locks(&self.dir);
            return Ok(false);
        }
        let format = if self.sha256 { "sha256" } else { "sha1" };
        let path = self.dir.display().to_string();
        let words = ["git", "init", "-q", "--bare", "--template="].map(str::to_owned);
        let words = words.into_iter().chain([format!("--object-format={format}"), path]);
        let ended = self.run(words.collect(), Vec::new()).await;
        if !ended.outcome.success() {
            return Err(failed("git init", self.source.url, ended));
        }
        let config = std::fs::OpenOptions::new().append(true).open(self.dir.join("config"));
        config
            .and_then(|mut config| config.write_all(self.settings.as_bytes()))
            .map_err(|error| self.broken(&error.to_string()))?;
        Ok(true)
    }

    /// Fetches `wanted` from the source with `settings` and `options`. The credential reaches this
    /// one git and is written nowhere.
    pub(super) async fn fetch(
        &self,
        settings: &[&str],
        options: &[&str],
        wanted: Vec<String>,
    ) -> Result<(), GitError> {
        let (url, _) = without_user(self.source.url);
        let (mut words, secret) = git_command(self.source.url, self.source.auth)?;
        words.extend(["-C".to_owned(), self.dir.display().to_string()]);
        let own = format!("remote.origin.url={url}");
        let always = [own.as_str(), "gc.auto=0", "maintenance.auto=false"];
        for setting in always.iter().chain(settings) {
            words.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        words.extend(["fetch", "--no-tags", "--no-write-fetch-head"].map(str::to_owned));
        words.push("--no-recurse-submodules".to_owned());
        words.extend(options.iter().map(|word| (*word).to_owned()));
        words.push("origin".to_owned());
        words.extend(wanted);
        let ended = self.run(words, secret).await;
        match ended.outcome.success() {
            true => Ok(()),
            false => Err(failed("git fetch", self.source.url, ended)),
        }
    }

    /// The beginning of a command that stays within the repository.
    pub(super) fn git<const N: usize>(&self, words: [&str; N]) -> Vec<String> {
        let dir = self.dir.display().to_string();
        let mut all = ["git", "-c", "safe.directory=*", "-C", &dir].map(str::to_owned).to_vec();
        all.extend(words.map(str::to_owned));
        all
    }

    pub(super) async fn run(&self, words: Vec<String>, stdin: Vec<u8>) -> Ended {
        let mut run = Run::new(words, "/");
        run.limits = Limits {
            wall: self.source.deadline,
            silence: self.silence,
            grace: Span(1000),
            ..Limits::default()
        };
        run.stdin = stdin;
        run.capture = Some(MAX_OUTPUT);
        run.lock = Some(self.dir.with_extension("lock"));
        for (key, value) in [("LC_ALL", "C"), ("GIT_NO_LAZY_FETCH", "1")] {
            run.env.insert(key.to_owned(), value.to_owned());
        }
        run.env.insert("GIT_DIR".to_owned(), self.dir.display().to_string());
        self.supervisor.run(run, self.source.cancel).await
    }

    pub(super) fn broken(&self, why: &str) -> GitError {
        GitError::Mirror { path: self.dir.display().to_string(), why: why.to_owned() }
    }
}

/// A git that was killed leaves its lock files, on which every later one would fail.
fn remove_stale_locks(dir: &Path) {
    let lock = File::options().create(true).append(true).open(dir.with_extension("lock"));
    // Held by the keeper of a run that is just ending: its git cleans up by itself.
    if !lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
        return;
    }
    let mut open = vec![dir.to_owned(), dir.join("refs"), dir.join("objects/pack")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && path.starts_with(dir.join("refs")) {
                open.push(path);
            } else if name.ends_with(".lock") || name.starts_with("tmp_") {
                // If it stays, git itself says so in the next run.
                std::fs::remove_file(path).ok();
            }
        }
    }
}

fn damaged(detail: &str) -> bool {
    [
        "not a git repository",
        "corrupt",
        "bad object",
        "bad config",
        "loose object",
        "packfile",
        "pack file",
        "unable to read",
        "did not send all necessary objects",
        "Could not read",
        "Invalid path",
    ]
    .iter()
    .any(|mark| detail.contains(mark))
}
