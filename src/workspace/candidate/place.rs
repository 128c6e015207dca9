//! Where one candidate is made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::files::remove;

/// The folder of all of them.
pub(super) fn all(state_dir: &Path) -> PathBuf {
    state_dir.join("candidates")
}

/// The folder of one.
pub(super) struct Place(PathBuf);

impl Place {
    /// A new one. What has the same name is of no daemon that lives.
    pub(super) fn make(state_dir: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = Self(all(state_dir).join(number.to_string()));
        remove(&place.0)?;
        for folder in [place.copy(), place.git(), place.given()] {
            fs::create_dir_all(folder)?;
        }
        Ok(place)
    }

    /// The copy of the workspace.
    pub(super) fn copy(&self) -> PathBuf {
        self.0.join("copy")
    }

    /// Repositories with the changes in them.
    pub(super) fn git(&self) -> PathBuf {
        self.0.join("git")
    }

    /// What the commands are given besides.
    pub(super) fn given(&self) -> PathBuf {
        self.0.join("given")
    }

    /// Removes all of it.
    pub(super) async fn remove(self) {
        let removed = tokio::task::spawn_blocking(move || {
            remove(&self.0).map_err(|error| format!("{}: {error}", self.0.display()))
        });
        match removed.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::error!(why, "what is left of a candidate was not removed"),
            Err(error) => tracing::error!(%error, "what is left of a candidate was not removed"),
        }
    }
}
