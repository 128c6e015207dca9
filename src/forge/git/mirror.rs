//! One whole bare mirror for each repository and credential, which all workspaces read.
//!
//! It holds every branch and tag, so that a git that is led here sees what the server would show. The
//! treeless mirrors of [`super::commits`] stay beside it: they answer for repositories that no
//! workspace reads through a mirror and for heads of changes, without a single file being fetched.

mod lending;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::control::backoff::delay;
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Oid, RepositoryId};
use crosswatch_core::model::time::{Span, Timestamp};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::GitError;
use super::bare::{Bare, Locks, Source};
use super::remote::failed;
use super::url::{Way, way};
use crate::clock::Clock;
use crate::supervise::Supervisor;

/// Longest time of one git command; the first fetch of a large repository takes long.
const DEADLINE: Span = Span::minutes(30);
/// A fetch shows its progress: without any it hangs.
const SILENCE: Span = Span::minutes(2);
/// What an update reads was asked for at the server at most this long before.
const FRESH: Span = Span::minutes(1);
/// After a failed fetch, at first and at most.
const RETRY: (Span, Span) = (Span::seconds(30), Span::minutes(30));
/// A repository with files in LFS is looked at again after this.
const LFS_AGAIN: Span = Span::days(7);
/// Unused for longer, a mirror is removed.
const UNUSED: Span = Span::days(14);
/// Time between two clean-ups of one mirror.
const CLEAN: Span = Span::days(7);
/// More moved branches are not looked at one by one.
const MOST_MOVED: usize = 20;
const USED: &str = "crosswatch-used";
const CLEANED: &str = "crosswatch-cleaned";

/// A repository, and with what it is read.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its identity.
    pub id: RepositoryId,
    /// Address of its forge: another server under the same name has other repositories.
    pub forge_url: String,
    /// Name of the credential, never its value; `None` reads what everybody may.
    pub credential: Option<String>,
    /// Where it is fetched from.
    pub url: String,
    /// A token, or `user:password`.
    pub auth: Option<SecretString>,
}

/// What the daemon saw of it, which a mirror must not fall behind.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its branches.
    pub listing: &'a Listing,
    /// When they were read.
    pub read_at: Timestamp,
}

/// How new a mirror has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// As new as what was seen.
    Seen,
    /// The same, and asked for at the server within the last minute: what a look at branches does not
    /// show, such as a tag, must not be missing.
    Now,
}

/// How a mirror compares with what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has that.
    Current,
    /// A fetch would bring it.
    Behind,
    /// The last fetch failed; it is too early for another.
    Resting,
}

/// A mirror that may be read while this lives.
#[derive(Clone, Debug)]
pub struct Held {
    dir: PathBuf,
    lease: Arc<()>,
}

/// What is remembered of a mirror while the daemon runs.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Refs after the last fetch, without tags; `None` before they were first read.
    refs: Option<Arc<BTreeMap<String, Oid>>>,
    /// When the last good fetch began.
    fetched_at: Option<Timestamp>,
    failures: u32,
    not_before: Timestamp,
    why: String,
    doubted: bool,
    lease: Arc<()>,
}

/// All shared mirrors below one folder.
#[derive(Clone, Debug)]
pub struct SharedMirrors {
    supervisor: Supervisor,
    root: PathBuf,
    locks: Locks,
    known: Arc<Mutex<HashMap<PathBuf, Known>>>,
    clock: Clock,
    silence: Span,
}

impl SharedMirrors {
    /// Mirrors below `root`, which is made when needed.
    pub fn new(supervisor: Supervisor, root: impl Into<PathBuf>, clock: Clock) -> Self {
        let root = root.into();
        Self {
            supervisor,
            root,
            locks: Locks::default(),
            known: Arc::default(),
            clock,
            silence: SILENCE,
        }
    }

    /// Ends a fetch that says nothing for this long.
    #[must_use]
    pub fn with_silence(mut self, silence: Span) -> Self {
        self.silence = silence;
        self
    }

    /// Whether a mirror of `url` would save anything: what lies on this machine needs none.
    pub fn worth(url: &str) -> bool {
        way(url).is_ok_and(|way| !matches!(way, Way::Local { .. }))
    }

    /// How the mirror compares with what was seen.
    pub fn standing(&self, origin: &Origin, seen: Seen<'_>) -> Standing {
        let known = self.known(&self.dir(origin, seen.listing));
        if known.is_current(seen) {
            Standing::Current
        } else if self.clock.now() < known.not_before {
            Standing::Resting
        } else {
            Standing::Behind
        }
    }

    /// The mirror, as new as `need` says; fetches when it has to, once for all who ask at the same
    /// time. `more` are refs beside branches and tags, such as the heads of changes.
    pub async fn bring(
        &self,
        origin: &Origin,
        seen: Seen<'_>,
        need: Need,
        more: &BTreeMap<String, Oid>,
        cancel: &CancellationToken,
    ) -> Result<Held, GitError> {
        let dir = self.dir(origin, seen.listing);
        let sha256 = listing_is_sha256(seen.listing);
        let source =
            Source { url: &origin.url, auth: origin.auth.as_ref(), deadline: DEADLINE, cancel };
        way(&origin.url)?;
        std::fs::create_dir_all(&self.root).map_err(|error| GitError::Mirror {
            path: self.root.display().to_string(),
            why: error.to_string(),
        })?;
        let bare = Bare::open(&self.supervisor, &self.locks, source, dir.clone(), sha256, SETTINGS)
            .await?;
        let bare = bare.silence(self.silence);
        let mut known = self.known(&dir);
        if bare.fresh {
            // Somebody removed it meanwhile, or it never was: nothing that is remembered holds.
            (known.refs, known.fetched_at) = (None, None);
        }
        let now = self.clock.now();
        if now < known.not_before {
            return Err(bare.broken(&format!("{}; it is tried again later", known.why)));
        }
        let brought = self.brought(&bare, &mut known, seen, need, more).await;
        if let Err(error) = &brought
            && !matches!(error, Failure::Cancelled)
        {
            let (failures, wait) = match error {
                Failure::Lfs => (0, LFS_AGAIN),
                _ => {
                    let failures = known.failures.saturating_add(1);
                    let key = dir.display().to_string();
                    (failures, delay(RETRY.0, RETRY.1, failures, &key))
                }
            };
            known.failures = failures;
            known.not_before = self.clock.now() + wait;
            known.why = error.to_string();
        }
        let held = Held { dir: dir.clone(), lease: Arc::clone(&known.lease) };
        self.remember(dir, known);
        brought.map(|()| held).map_err(|error| match error {
            Failure::Git(error) => error,
            Failure::Cancelled => GitError::Cancelled,
            other => bare.broken(&other.to_string()),
        })
    }

    async fn brought(
        &self,
        bare: &Bare<'_>,
        known: &mut Known,
        seen: Seen<'_>,
        need: Need,
        more: &BTreeMap<String, Oid>,
    ) -> Result<(), Failure> {
        stamp(&bare.dir, USED, self.clock.now()).map_err(|error| bare.broken(&error))?;
        if known.doubted {
            known.doubted = false;
            if !sound(bare).await {
                bare.make_again().await?;
                *known = Known { lease: Arc::clone(&known.lease), ..Known::default() };
            }
        }
        if known.refs.is_none() {
            // A mirror that cannot be read is fetched, which says what is wrong with it.
            known.refs = refs(bare).await.ok().map(Arc::new);
        }
        let recent = known.fetched_at.is_some_and(|at| self.clock.now().since(at) <= FRESH);
        let current = known.is_current(seen) && (need == Need::Seen || recent);
        if current && known.has(more) {
            return Ok(());
        }
        let before = known.refs.take();
        let began = self.clock.now();
        let size = size(&bare.dir);
        let mut renewed = renew(bare, before.as_deref(), seen.listing, more).await;
        if bare.made_again(renewed.as_ref().err()).await? {
            renewed = renew(bare, None, seen.listing, more).await;
        }
        metrics::counter!("crosswatch_mirror_fetches_total",
            "succeeded" => renewed.is_ok().to_string())
        .increment(1);
        let (now, lfs) = renewed?;
        let grown = self::size(&bare.dir).saturating_sub(size);
        metrics::counter!("crosswatch_mirror_fetched_bytes_total").increment(grown);
        if lfs {
            return Err(Failure::Lfs);
        }
        let moved = missing(&now, seen.listing);
        if moved.len() > MOST_MOVED {
            return Err(Failure::Older(format!("{} branches", moved.len())));
        }
        for (branch, head) in moved {
            let there = now.get(&branch);
            if !matches!(there, Some(there) if reaches(bare, head, *there).await?) {
                return Err(Failure::Older(branch));
            }
        }
        known.refs = Some(Arc::new(now));
        known.fetched_at = Some(began);
        known.failures = 0;
        match known.has(more) {
            true => Ok(()),
            false => Err(Failure::Older("a change".to_owned())),
        }
    }

    /// Has mirrors looked at for damage before they are lent again.
    pub fn doubt(&self, mirrors: &[PathBuf]) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in mirrors {
            all.entry(dir.clone()).or_default().doubted = true;
        }
    }

    /// Removes what was not used for two weeks and cleans the rest up, one mirror after another.
    pub async fn sweep(&self, cancel: &CancellationToken) {
        let now = self.clock.now();
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut left = 0;
        for dir in entries.map(|entry| entry.path()) {
            if dir.extension().is_none_or(|ending| ending != "git") {
                continue;
            }
            if !self.is_leased(&dir) && now.since(stamped(&dir, USED, now)) > UNUSED {
                self.remove(&dir).await;
            } else if now.since(stamped(&dir, CLEANED, now)) > CLEAN {
                self.clean(&dir, cancel).await;
                left += size(&dir);
            } else {
                left += size(&dir);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes need not be exact")]
        metrics::gauge!("crosswatch_mirror_bytes").set(left as f64);
        for entry in std::fs::read_dir(self.root.join("use")).into_iter().flatten().flatten() {
            let written = entry.metadata().and_then(|data| data.modified()).ok();
            let written = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let written = written.and_then(|since| i64::try_from(since.as_secs()).ok());
            if written.is_some_and(|at| now.since(Timestamp::from_seconds(at)) > UNUSED) {
                // If it stays, the next sweep meets it again.
                std::fs::remove_file(entry.path()).ok();
            }
        }
    }

    fn is_leased(&self, dir: &Path) -> bool {
        // One is in the table, one is the copy that is looked at.
        Arc::strong_count(&self.known(dir).lease) > 2
    }

    async fn remove(&self, dir: &Path) {
        let Some(_alone) = self.locks.try_take(dir) else { return };
        if self.is_leased(dir) {
            return;
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(dir);
        let gone = dir.to_owned();
        let removed = tokio::task::spawn_blocking(move || {
            std::fs::remove_file(gone.with_extension("lock")).ok();
            std::fs::remove_dir_all(gone)
        });
        match removed.await {
            Ok(Ok(())) => tracing::info!(mirror = %dir.display(), "an unused mirror was removed"),
            Ok(Err(error)) => {
                tracing::warn!(mirror = %dir.display(), %error, "an unused mirror was not removed");
            }
            Err(_) => {}
        }
    }

    /// Drops refs of changes that nobody reads, and lets git gather its packs.
    async fn clean(&self, dir: &Path, cancel: &CancellationToken) {
        let source = Source { url: "", auth: None, deadline: Span::minutes(10), cancel };
        let sha256 = dir.to_string_lossy().ends_with("-sha256.git");
        let Ok(bare) =
            Bare::open(&self.supervisor, &self.locks, source, dir.to_owned(), sha256, SETTINGS)
                .await
        else {
            return;
        };
        if !self.is_leased(dir)
            && let Ok(all) = every_ref(&bare).await
        {
            let lost: String = all
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(_, name)| name)
                .filter(|name| !name.starts_with("refs/heads/") && !name.starts_with("refs/tags/"))
                .map(|name| format!("delete {name}\n"))
                .collect();
            bare.run(bare.git(["update-ref", "--stdin"]), lost.into_bytes()).await;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(dir);
        }
        let words = bare.git(["-c", "gc.autoDetach=false", "gc", "--auto", "--quiet"]);
        let ended = bare.run(words, Vec::new()).await;
        if !ended.outcome.success() {
            tracing::warn!(mirror = %dir.display(), outcome = %ended.outcome, tail = ?ended.tail,
                "a mirror was not cleaned up");
        }
        stamp(dir, CLEANED, self.clock.now()).ok();
    }

    /// Nothing of an address is in the name, so none can lead out of the folder or meet another's.
    fn dir(&self, origin: &Origin, listing: &Listing) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        let credential = origin.credential.as_deref().map_or_else(String::new, |c| format!("+{c}"));
        for part in [&*origin.id.forge, &*origin.id.path, &origin.forge_url, &credential] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let format = if listing_is_sha256(listing) { "-sha256" } else { "" };
        self.root.join(format!("{}{format}.git", hasher.finalize().to_hex()))
    }

    fn known(&self, dir: &Path) -> Known {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(dir).cloned().unwrap_or_default()
    }

    fn remember(&self, dir: PathBuf, known: Known) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(dir, known);
    }
}

impl Held {
    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Known {
    /// Whether it has what was seen, or was fetched after that.
    fn is_current(&self, seen: Seen<'_>) -> bool {
        let Some(refs) = &self.refs else { return false };
        let heads = refs.keys().filter(|name| name.starts_with(HEADS)).count();
        let same = heads == seen.listing.branches.len() && missing(refs, seen.listing).is_empty();
        same || self.fetched_at.is_some_and(|at| at > seen.read_at)
    }

    fn has(&self, more: &BTreeMap<String, Oid>) -> bool {
        let refs = self.refs.as_ref();
        more.iter().all(|(name, oid)| refs.and_then(|refs| refs.get(name)) == Some(oid))
    }
}

const HEADS: &str = "refs/heads/";

/// Whoever reads asks for commits by name, or without files, as the server would let them; and nobody
/// writes, whatever an explicit push address was turned into.
const SETTINGS: &str = "[uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = true\n\
    [receive]\n\thideRefs = refs\n";

/// Why a mirror is of no use now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("its last fetch failed: {0}")]
    Git(GitError),
    #[error("its server answered with something older than what was seen before: {0}")]
    Older(String),
    #[error("it keeps files in LFS, which a mirror does not have")]
    Lfs,
    #[error("cancelled")]
    Cancelled,
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Cancelled => Self::Cancelled,
            error => Self::Git(error),
        }
    }
}

fn listing_is_sha256(listing: &Listing) -> bool {
    listing.branches.values().next().is_some_and(|oid| oid.as_bytes().len() == 32)
}

/// Branches that are not what was seen.
fn missing(refs: &BTreeMap<String, Oid>, listing: &Listing) -> Vec<(String, Oid)> {
    let named = listing.branches.iter().map(|(name, oid)| (format!("{HEADS}{name}"), *oid));
    named.filter(|(name, oid)| refs.get(name) != Some(oid)).collect()
}

async fn fetch(bare: &Bare<'_>, more: &BTreeMap<String, Oid>) -> Result<(), GitError> {
    let mut wanted = vec!["+refs/heads/*:refs/heads/*".to_owned()];
    wanted.push("+refs/tags/*:refs/tags/*".to_owned());
    wanted.extend(more.keys().map(|name| format!("+{name}:{name}")));
    bare.fetch(&[], &["--prune", "--progress"], wanted).await
}

/// Fetches; what the mirror has then, and whether its repository keeps files elsewhere.
async fn renew(
    bare: &Bare<'_>,
    before: Option<&BTreeMap<String, Oid>>,
    listing: &Listing,
    more: &BTreeMap<String, Oid>,
) -> Result<(BTreeMap<String, Oid>, bool), GitError> {
    fetch(bare, more).await?;
    let now = refs(bare).await?;
    if before == Some(&now) {
        return Ok((now, false));
    }
    set_head(bare, listing).await?;
    let lfs = has_lfs(bare, &now, listing).await?;
    Ok((now, lfs))
}

async fn every_ref(bare: &Bare<'_>) -> Result<String, GitError> {
    let words = bare.git(["for-each-ref", "--format=%(objectname) %(refname)"]);
    let ended = bare.run(words, Vec::new()).await;
    match ended.outcome.success() && !ended.stdout_truncated {
        true => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        false => Err(failed("git for-each-ref", bare.source.url, ended)),
    }
}

async fn refs(bare: &Bare<'_>) -> Result<BTreeMap<String, Oid>, GitError> {
    let all = every_ref(bare).await?;
    Ok(all
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, name)| !name.starts_with("refs/tags/"))
        .filter_map(|(oid, name)| Some((name.to_owned(), oid.parse().ok()?)))
        .collect())
}

/// A clone without a branch of its own takes the one that `HEAD` names.
async fn set_head(bare: &Bare<'_>, listing: &Listing) -> Result<(), GitError> {
    let Some(branch) = &listing.default_branch else { return Ok(()) };
    let target = format!("{HEADS}{branch}");
    let ended = bare.run(bare.git(["symbolic-ref", "HEAD", &target]), Vec::new()).await;
    match ended.outcome.success() {
        true => Ok(()),
        false => Err(failed("git symbolic-ref", bare.source.url, ended)),
    }
}

/// Whether the default branch says that files are kept in LFS.
async fn has_lfs(
    bare: &Bare<'_>,
    refs: &BTreeMap<String, Oid>,
    listing: &Listing,
) -> Result<bool, GitError> {
    let branch = listing.default_branch.iter().chain(listing.branches.keys());
    let Some(head) = branch.filter_map(|name| refs.get(&format!("{HEADS}{name}"))).next() else {
        return Ok(false);
    };
    let head = head.to_string();
    let words = ["grep", "-q", "-e", "filter=lfs", &head, "--", ".gitattributes"];
    let words = bare.git(words).into_iter().chain(["*/.gitattributes".to_owned()]).collect();
    let ended = bare.run(words, Vec::new()).await;
    match ended.outcome {
        crate::supervise::Outcome::Finished(0) => Ok(true),
        crate::supervise::Outcome::Finished(1) => Ok(false),
        _ => Err(failed("git grep", bare.source.url, ended)),
    }
}

/// Whether `newer` is `older` or built on it.
async fn reaches(bare: &Bare<'_>, older: Oid, newer: Oid) -> Result<bool, GitError> {
    let (older, newer) = (older.to_string(), newer.to_string());
    let ended = bare.run(bare.git(["merge-base", "--is-ancestor", &older, &newer]), Vec::new());
    let ended = ended.await;
    match ended.outcome {
        crate::supervise::Outcome::Cancelled => Err(GitError::Cancelled),
        outcome => Ok(outcome.success()),
    }
}

async fn sound(bare: &Bare<'_>) -> bool {
    let words = ["fsck", "--connectivity-only", "--no-dangling", "--no-reflogs"];
    let ended = bare.run(bare.git(words), Vec::new()).await;
    !matches!(ended.outcome, crate::supervise::Outcome::Finished(code) if code != 0)
}

fn stamp(dir: &Path, name: &str, now: Timestamp) -> Result<(), String> {
    std::fs::write(dir.join(name), now.0.to_string()).map_err(|error| error.to_string())
}

/// The time that was stamped; where none was, counting begins now.
fn stamped(dir: &Path, name: &str, now: Timestamp) -> Timestamp {
    let text = std::fs::read_to_string(dir.join(name)).ok();
    text.and_then(|text| text.trim().parse().ok()).map(Timestamp).unwrap_or_else(|| {
        // A stamp that cannot be written is tried again at the next sweep.
        stamp(dir, name, now).ok();
        now
    })
}

/// Bytes of all files below `dir`.
fn size(dir: &Path) -> u64 {
    let mut bytes = 0_u64;
    let mut open = vec![dir.join("objects")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => open.push(entry.path()),
                Ok(data) => bytes = bytes.saturating_add(data.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}
