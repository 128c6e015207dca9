//! Says when the configuration's file may have changed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::MAX_BYTES;

const QUIET: Duration = Duration::from_millis(200);
const PERIOD: Duration = Duration::from_secs(30);

/// A look at one file through its folder.
///
/// The folder is watched, since a file that is replaced takes a watch on itself away with it.
/// Events only bring the next look forward: network file systems have none, so the file is looked
/// at every 30 s as well. To lose no change make the watch before the file is first loaded.
pub struct Watch {
    path: PathBuf,
    woken: Arc<Notify>,
    last: blake3::Hash,
    /// Kept so that a caller that stops waiting half-way loses nothing.
    pending: bool,
    period: Duration,
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches from now on.
    pub fn new(path: &Path) -> Self {
        let woken = Arc::new(Notify::new());
        let watcher = watcher(path, Arc::clone(&woken))
            .inspect_err(|error| {
                tracing::warn!(path = %path.display(), %error, "the configuration's folder cannot be watched; it is looked at every 30 s");
            })
            .ok();
        let last = digest(path);
        Self {
            path: path.to_owned(),
            woken,
            last,
            pending: false,
            period: PERIOD,
            _watcher: watcher,
        }
    }

    /// Returns once the file is another than at the last return.
    pub async fn changed(&mut self) {
        loop {
            if !self.pending {
                tokio::select! {
                    () = self.woken.notified() => {}
                    () = tokio::time::sleep(self.period) => {}
                }
                self.pending = true;
            }
            // Writers write in several steps; a stream of events must not put it off for ever.
            for _ in 0..10 {
                if tokio::time::timeout(QUIET, self.woken.notified()).await.is_err() {
                    break;
                }
            }
            let path = self.path.clone();
            let now = tokio::task::spawn_blocking(move || digest(&path)).await;
            self.pending = false;
            if let Ok(now) = now
                && now != self.last
            {
                self.last = now;
                return;
            }
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("path", &self.path).finish_non_exhaustive()
    }
}

fn watcher(path: &Path, woken: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an access; an error or an overflow may hide a change.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            woken.notify_one();
        }
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    watcher.watch(folder.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// The digest of the file, or of the reason why it cannot be read.
fn digest(path: &Path) -> blake3::Hash {
    let content = std::fs::metadata(path).and_then(|metadata| {
        if !metadata.is_file() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match content {
        Ok(bytes) => blake3::hash(&bytes),
        Err(error) => blake3::hash(format!("unreadable: {:?}", error.kind()).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replaced_file_is_seen_and_reading_it_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("workspaces.yaml");
        std::fs::write(&path, "one").expect("written");
        let mut watch = Watch::new(&path);
        for text in ["two", "three"] {
            let next = folder.path().join("next");
            std::fs::write(&next, text).expect("written");
            std::fs::rename(&next, &path).expect("renamed");
            let seen = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await;
            assert!(seen.is_ok(), "{text} was not seen");
        }
        std::fs::read(&path).expect("read");
        let seen = tokio::time::timeout(QUIET * 3, watch.changed()).await;
        assert!(seen.is_err(), "reading woke the watch");
    }
}
