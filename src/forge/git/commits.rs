//! Reads commits and their ancestry by a supervised git in bare mirrors without files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::identity::Oid;
use crosswatch_core::model::time::{Span, Timestamp};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::GitError;
use super::remote::{failed, git_command};
use super::url::{display, way, without_user};
use crate::supervise::{Ended, Limits, Run, Supervisor};

/// The longest message that is kept; what follows is cut.
const MAX_MESSAGE: usize = 64 * 1024;
const MAX_OUTPUT: usize = 64 * 1024 * 1024;
/// As many are fetched at once: arguments have a limit.
const BATCH: usize = 500;

/// What one commit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFacts {
    /// The committer's date.
    pub committed_at: Timestamp,
    /// The message, valid UTF-8, at most 64 KiB of it.
    pub message: String,
}

/// The mirrors of all repositories below one folder, two each: commits alone, and whole history.
#[derive(Clone, Debug)]
pub struct Mirrors {
    supervisor: Supervisor,
    root: PathBuf,
    busy: Arc<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>>,
}

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

impl Mirrors {
    /// Mirrors below `root`, which is made when needed.
    pub fn new(supervisor: Supervisor, root: impl Into<PathBuf>) -> Self {
        Self { supervisor, root: root.into(), busy: Arc::default() }
    }

    /// Reads commits; one that the server does not give is an error for all of them.
    pub async fn read_commits(
        &self,
        source: Source<'_>,
        oids: &[Oid],
    ) -> Result<Vec<(Oid, CommitFacts)>, GitError> {
        let mut found = Vec::new();
        for batch in oids.chunks(BATCH) {
            let git = self.open(source, "commits", batch).await?;
            let mut known = git.commits(batch).await;
            if git.made_again(known.as_ref().err()).await? {
                known = git.commits(batch).await;
            }
            found.extend(known?);
        }
        Ok(found)
    }

    /// Those of `ancestors` that are `descendant` or reachable from it.
    pub async fn contained(
        &self,
        source: Source<'_>,
        ancestors: &[Oid],
        descendant: Oid,
    ) -> Result<BTreeSet<Oid>, GitError> {
        let mut contained = BTreeSet::new();
        for batch in ancestors.chunks(BATCH) {
            let git = self.open(source, "history", &[descendant]).await?;
            let mut some = git.contained(batch, descendant).await;
            if git.made_again(some.as_ref().err()).await? {
                some = git.contained(batch, descendant).await;
            }
            contained.extend(some?);
        }
        Ok(contained)
    }

    /// Whether `ancestor` is `descendant` or reachable from it.
    pub async fn contains(
        &self,
        source: Source<'_>,
        ancestor: Oid,
        descendant: Oid,
    ) -> Result<bool, GitError> {
        Ok(self.contained(source, &[ancestor], descendant).await?.contains(&ancestor))
    }

    async fn open<'a>(
        &'a self,
        source: Source<'a>,
        kind: &str,
        oids: &[Oid],
    ) -> Result<Mirror<'a>, GitError> {
        way(source.url)?;
        let sha256 = oids.first().is_some_and(|oid| oid.as_bytes().len() == 32);
        let name = blake3::hash(source.url.as_bytes()).to_hex();
        let format = if sha256 { "-sha256" } else { "" };
        let dir = self.root.join(name.as_str()).join(format!("{kind}{format}.git"));
        let lock = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(busy.entry(dir.clone()).or_default())
        };
        let alone = lock.lock_owned().await;
        let mirror = Mirror { supervisor: &self.supervisor, source, dir, sha256, _alone: alone };
        mirror.make().await?;
        Ok(mirror)
    }
}

struct Mirror<'a> {
    supervisor: &'a Supervisor,
    source: Source<'a>,
    dir: PathBuf,
    sha256: bool,
    _alone: tokio::sync::OwnedMutexGuard<()>,
}

impl Mirror<'_> {
    /// Makes a mirror again that turned out to be damaged; whether it is worth asking again.
    async fn made_again(&self, error: Option<&GitError>) -> Result<bool, GitError> {
        let damaged = match error {
            Some(GitError::Process { detail, .. }) => damaged(detail),
            Some(GitError::Mirror { .. }) => true,
            _ => false,
        };
        if !damaged {
            return Ok(false);
        }
        tracing::warn!(mirror = %self.dir.display(), "a damaged mirror is made again");
        std::fs::remove_dir_all(&self.dir).map_err(|error| self.broken(&error.to_string()))?;
        self.make().await?;
        Ok(true)
    }

    async fn make(&self) -> Result<(), GitError> {
        std::fs::create_dir_all(&self.dir).map_err(|error| self.broken(&error.to_string()))?;
        if self.dir.join("HEAD").is_file() && self.dir.join("config").is_file() {
            remove_stale_locks(&self.dir);
            return Ok(());
        }
        let format = if self.sha256 { "sha256" } else { "sha1" };
        let path = self.dir.display().to_string();
        let words = ["git", "init", "-q", "--bare", "--template="].map(str::to_owned);
        let words = words.into_iter().chain([format!("--object-format={format}"), path]);
        let ended = self.run(words.collect(), Vec::new()).await;
        match ended.outcome.success() {
            true => Ok(()),
            false => Err(failed("git init", self.source.url, ended)),
        }
    }

    async fn commits(&self, oids: &[Oid]) -> Result<Vec<(Oid, CommitFacts)>, GitError> {
        let mut known = self.read(oids).await?;
        let missing: Vec<Oid> =
            oids.iter().filter(|oid| !known.contains_key(oid)).copied().collect();
        if !missing.is_empty() {
            let wanted = missing.iter().map(Oid::to_string).collect();
            self.fetch(&["--depth=1"], wanted).await?;
            known.extend(self.read(&missing).await?);
        }
        oids.iter()
            .map(|oid| {
                let facts = known.get(oid).cloned().ok_or_else(|| GitError::Protocol {
                    url: display(self.source.url),
                    why: format!("it did not send the commit {oid}"),
                })?;
                Ok((*oid, facts))
            })
            .collect()
    }

    async fn contained(
        &self,
        ancestors: &[Oid],
        descendant: Oid,
    ) -> Result<BTreeSet<Oid>, GitError> {
        let all: BTreeSet<Oid> = ancestors.iter().copied().chain([descendant]).collect();
        let listed: Vec<Oid> = all.iter().copied().collect();
        let known = self.read(&listed).await?;
        // Kept by refs: a later fetch then asks only for what is new.
        let wanted: Vec<String> = all
            .iter()
            .filter(|oid| !known.contains_key(oid))
            .map(|oid| format!("+{oid}:refs/kept/{oid}"))
            .collect();
        if !wanted.is_empty() {
            self.fetch(&[], wanted).await?;
        }
        let mut words = self.git();
        words.extend(["rev-list", "--stdin"].map(str::to_owned));
        let mut input: String = ancestors.iter().map(|oid| format!("{oid}\n")).collect();
        input.push_str(&format!("^{descendant}\n"));
        let ended = self.run(words, input.into_bytes()).await;
        if !ended.outcome.success() || ended.stdout_truncated {
            return Err(failed("git rev-list", self.source.url, ended));
        }
        let text = String::from_utf8_lossy(&ended.stdout);
        let outside: BTreeSet<Oid> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if !outside.is_empty() && self.dir.join("shallow").exists() {
            // Where history is cut off, "not found" says nothing.
            return Err(GitError::Protocol {
                url: display(self.source.url),
                why: "its history is shallow; let it serve the whole history".to_owned(),
            });
        }
        Ok(ancestors.iter().copied().filter(|oid| !outside.contains(oid)).collect())
    }

    async fn fetch(&self, how: &[&str], wanted: Vec<String>) -> Result<(), GitError> {
        let (url, _) = without_user(self.source.url);
        let (mut words, secret) = git_command(self.source.url, self.source.auth)?;
        words.extend(["-C".to_owned(), self.dir.display().to_string()]);
        for setting in [
            &format!("remote.origin.url={url}"),
            "remote.origin.promisor=true",
            "remote.origin.partialclonefilter=tree:0",
            "gc.auto=0",
            "maintenance.auto=false",
        ] {
            words.extend(["-c".to_owned(), setting.to_owned()]);
        }
        words.extend(["fetch", "-q", "--no-tags", "--no-write-fetch-head"].map(str::to_owned));
        words.extend(["--filter=tree:0", "--no-recurse-submodules"].map(str::to_owned));
        words.extend(how.iter().map(|word| (*word).to_owned()));
        words.push("origin".to_owned());
        words.extend(wanted);
        let ended = self.run(words, secret).await;
        match ended.outcome.success() {
            true => Ok(()),
            false => Err(failed("git fetch", self.source.url, ended)),
        }
    }

    /// Those of `oids` that the mirror has.
    async fn read(&self, oids: &[Oid]) -> Result<BTreeMap<Oid, CommitFacts>, GitError> {
        let mut words = self.git();
        words.extend(["cat-file", "--batch"].map(str::to_owned));
        let input: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
        let ended = self.run(words, input.into_bytes()).await;
        if !ended.outcome.success() || ended.stdout_truncated {
            return Err(failed("git cat-file", self.source.url, ended));
        }
        parse_batch(&ended.stdout).ok_or_else(|| self.broken("git cat-file printed another format"))
    }

    fn git(&self) -> Vec<String> {
        let dir = self.dir.display().to_string();
        ["git", "-c", "safe.directory=*", "-C", &dir].map(str::to_owned).to_vec()
    }

    async fn run(&self, words: Vec<String>, stdin: Vec<u8>) -> Ended {
        let mut run = Run::new(words, "/");
        run.limits = Limits { wall: self.source.deadline, grace: Span(1000), ..Limits::default() };
        run.stdin = stdin;
        run.capture = Some(MAX_OUTPUT);
        run.lock = Some(self.dir.with_extension("lock"));
        for (key, value) in [("LC_ALL", "C"), ("GIT_NO_LAZY_FETCH", "1")] {
            run.env.insert(key.to_owned(), value.to_owned());
        }
        run.env.insert("GIT_DIR".to_owned(), self.dir.display().to_string());
        self.supervisor.run(run, self.source.cancel).await
    }

    fn broken(&self, why: &str) -> GitError {
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

fn parse_batch(mut bytes: &[u8]) -> Option<BTreeMap<Oid, CommitFacts>> {
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(bytes.get(..end)?).ok()?;
        bytes = bytes.get(end.checked_add(1)?..)?;
        let mut words = line.split(' ');
        let oid: Oid = words.next()?.parse().ok()?;
        let kind = words.next()?;
        if kind == "missing" {
            continue;
        }
        let size: usize = words.next()?.parse().ok()?;
        let body = bytes.get(..size)?;
        bytes = bytes.get(size.checked_add(1)?..)?;
        if kind == "commit" {
            found.insert(oid, parse_commit(body)?);
        }
    }
    Some(found)
}

fn parse_commit(body: &[u8]) -> Option<CommitFacts> {
    let split = body.windows(2).position(|two| two == b"\n\n")?;
    let head = String::from_utf8_lossy(body.get(..split)?).into_owned();
    let line = head.lines().find_map(|line| line.strip_prefix("committer "))?;
    let seconds = line.rsplit(' ').nth(1)?.parse().ok()?;
    let message = body.get(split.checked_add(2)?..)?;
    let message = message.get(..MAX_MESSAGE).unwrap_or(message);
    let message = String::from_utf8_lossy(message).replace('\0', "\u{fffd}");
    Some(CommitFacts { committed_at: Timestamp::from_seconds(seconds), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read_out_of_a_batch() {
        let oid = "0123456789abcdef0123456789abcdef01234567";
        let body = "tree x\nauthor A <a> 1 +0000\ncommitter C D <c> 17 +0200\n\nTitle\n\nBody\n";
        let text = format!("{oid} commit {}\n{body}\n{oid} missing\n", body.len());
        let found = parse_batch(text.as_bytes()).expect("a batch");
        let facts = found.values().next().expect("a commit");
        assert_eq!(facts.committed_at, Timestamp(17_000));
        assert_eq!(facts.message, "Title\n\nBody\n");
        assert_eq!(parse_batch(b"0123"), None);
        assert_eq!(parse_batch(&text.as_bytes()[..80]), None);
    }
}
