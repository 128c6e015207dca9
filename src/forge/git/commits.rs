//! Reads commits and their ancestry by a supervised git in bare mirrors without files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crosswatch_core::model::identity::Oid;
use crosswatch_core::model::time::Timestamp;

use super::GitError;
pub use super::bare::Source;
use super::bare::{Bare, Locks};
use super::remote::failed;
use super::url::{display, way};
use crate::supervise::Supervisor;

/// The longest message that is kept; what follows is cut.
const MAX_MESSAGE: usize = 64 * 1024;
/// As many are fetched at once: arguments have a limit.
const BATCH: usize = 500;

/// Says that what is missing was left out and can be had from where the rest came from.
pub(super) const TREELESS: [&str; 2] =
    ["remote.origin.promisor=true", "remote.origin.partialclonefilter=tree:0"];

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
    locks: Locks,
}

impl Mirrors {
    /// Mirrors below `root`, which is made when needed.
    pub fn new(supervisor: Supervisor, root: impl Into<PathBuf>) -> Self {
        Self { supervisor, root: root.into(), locks: Locks::default() }
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
            if git.0.made_again(known.as_ref().err()).await? {
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
            if git.0.made_again(some.as_ref().err()).await? {
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

    pub(super) async fn open<'a>(
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
        Bare::open(&self.supervisor, &self.locks, source, dir, sha256, "").await.map(Mirror)
    }
}

pub(super) struct Mirror<'a>(pub(super) Bare<'a>);

impl Mirror<'_> {
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
                    url: display(self.0.source.url),
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
        self.have(&all).await?;
        let words = self.0.git(["rev-list", "--stdin"]);
        let mut input: String = ancestors.iter().map(|oid| format!("{oid}\n")).collect();
        input.push_str(&format!("^{descendant}\n"));
        let ended = self.0.run(words, input.into_bytes()).await;
        if !ended.outcome.success() || ended.stdout_truncated {
            return Err(failed("git rev-list", self.0.source.url, ended));
        }
        let text = String::from_utf8_lossy(&ended.stdout);
        let outside: BTreeSet<Oid> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if !outside.is_empty() && self.0.dir.join("shallow").exists() {
            // Where history is cut off, "not found" says nothing.
            return Err(GitError::Protocol {
                url: display(self.0.source.url),
                why: "its history is shallow; let it serve the whole history".to_owned(),
            });
        }
        Ok(ancestors.iter().copied().filter(|oid| !outside.contains(oid)).collect())
    }

    /// Fetches those of `all`, with their history, that are not there.
    pub(super) async fn have(&self, all: &BTreeSet<Oid>) -> Result<(), GitError> {
        let listed: Vec<Oid> = all.iter().copied().collect();
        let known = self.read(&listed).await?;
        // Kept by refs: a later fetch then asks only for what is new.
        let wanted: Vec<String> = all
            .iter()
            .filter(|oid| !known.contains_key(oid))
            .map(|oid| format!("+{oid}:refs/kept/{oid}"))
            .collect();
        if wanted.is_empty() { Ok(()) } else { self.fetch(&[], wanted).await }
    }

    async fn fetch(&self, how: &[&str], wanted: Vec<String>) -> Result<(), GitError> {
        let options: Vec<&str> = ["-q", "--filter=tree:0"].iter().chain(how).copied().collect();
        self.0.fetch(&TREELESS, &options, wanted).await
    }

    /// Those of `oids` that the mirror has.
    async fn read(&self, oids: &[Oid]) -> Result<BTreeMap<Oid, CommitFacts>, GitError> {
        let words = self.0.git(["cat-file", "--batch"]);
        let input: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
        let ended = self.0.run(words, input.into_bytes()).await;
        if !ended.outcome.success() || ended.stdout_truncated {
            return Err(failed("git cat-file", self.0.source.url, ended));
        }
        parse_batch(&ended.stdout)
            .ok_or_else(|| self.0.broken("git cat-file printed another format"))
    }
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
