//! The folders of one workspace, and how a fresh one takes the place of another.
//!
//! Tools write absolute paths into what they make, so a fresh workspace is made where it will live: the
//! old one is renamed away, and renamed back when the new one does not work. What exists says where a
//! swap was when the daemon died:
//!
//! ```text
//! NAME            nothing is going on
//! NAME+old        the old one stands aside; NAME, if it is there, is not proven ─► put back
//! NAME+gone       to be removed; NAME, or else NAME+old, is the one that works
//! ```
//!
//! Names of workspaces have no `+`, so these are no one else's.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosswatch_core::model::run::RunKind;
use crosswatch_core::model::time::Timestamp;
use nix::fcntl::OFlag;

use super::files::{is_folder, remove};

/// How often, and how many times in one go, the lock of a run that is just ending is tried.
const LOOKS: (Duration, u32) = (Duration::from_millis(50), 100);

/// The folders of one workspace.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    /// Where its commands run.
    pub(super) root: PathBuf,
    /// Where the old one stands while a fresh one is made.
    pub(super) aside: PathBuf,
    /// What is to be removed.
    gone: PathBuf,
    /// Held while a command runs.
    pub(super) lock: PathBuf,
    /// Logs of its runs.
    pub(super) logs: PathBuf,
    /// The newest manifest that was not believed.
    pub(super) suspected: PathBuf,
}

impl Folders {
    pub(super) fn of(state_dir: &Path, name: &str) -> Self {
        let workspaces = state_dir.join("workspaces");
        Self {
            root: workspaces.join(name),
            aside: workspaces.join(format!("{name}+old")),
            gone: workspaces.join(format!("{name}+gone")),
            lock: workspaces.join(format!("{name}.lock")),
            logs: state_dir.join("logs").join(name),
            suspected: state_dir.join("suspected").join(name),
        }
    }

    /// The log of a run that starts at `at`.
    pub(super) fn log(&self, kind: RunKind, at: Timestamp) -> PathBuf {
        let stamp = at.to_string().replace([':', '-', 'Z'], "");
        // Two runs may start within one second, and each has a log of its own.
        let millis = at.0.rem_euclid(1000);
        self.logs.join(format!("{stamp}.{millis:03}Z-{kind}.log"))
    }

    /// Whether the workspace is there and is a folder of its own, not a link to some other.
    pub(super) fn is_there(&self) -> bool {
        is_folder(&self.root)
    }

    /// Makes the workspace an empty folder; a bootstrap starts in one.
    pub(super) fn make_empty(&self) -> io::Result<()> {
        remove(&self.root)?;
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::create_dir(&self.root)
    }

    /// Renames the workspace away.
    pub(super) fn set_aside(&self) -> io::Result<()> {
        self.put_back()?;
        if self.is_there() { fs::rename(&self.root, &self.aside) } else { Ok(()) }
    }

    /// Puts back what stands aside, if anything does, in place of what is there; removes leftovers.
    /// Safe to be repeated from wherever it was interrupted. Whether something was put back.
    pub(super) fn put_back(&self) -> io::Result<bool> {
        let back = is_folder(&self.aside);
        if back {
            if fs::symlink_metadata(&self.root).is_ok() {
                remove(&self.gone)?;
                fs::rename(&self.root, &self.gone)?;
            }
            fs::rename(&self.aside, &self.root)?;
        } else {
            remove(&self.aside)?;
        }
        remove(&self.gone)?;
        Ok(back)
    }

    /// Decides for the new one: from here on nothing is put back. [`Self::clear`] removes the old one.
    pub(super) fn keep_new(&self) -> io::Result<()> {
        remove(&self.gone)?;
        match fs::rename(&self.aside, &self.gone) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Removes what [`Self::keep_new`] left.
    pub(super) fn clear(&self) -> io::Result<()> {
        remove(&self.gone)
    }

    /// Keeps a manifest that is not believed for people to look at.
    pub(super) fn keep_suspected(&self, bytes: &[u8]) -> io::Result<()> {
        let mut new = self.suspected.clone().into_os_string();
        new.push("+new");
        if let Some(folder) = self.suspected.parent() {
            fs::create_dir_all(folder)?;
        }
        remove(Path::new(&new))?;
        File::create_new(&new)?.write_all(bytes)?;
        fs::rename(new, &self.suspected)
    }

    /// Takes the lock that every run of the workspace holds, waiting a little for a run that is just
    /// ending: until it is given, processes of an earlier daemon may still be at work in the folder.
    pub(super) async fn hold(&self) -> io::Result<File> {
        if let Some(parent) = self.lock.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = File::options()
            .create(true)
            .append(true)
            .mode(0o640)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(&self.lock)?;
        for _ in 0..LOOKS.1 {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(LOOKS.0).await,
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::new(
            ErrorKind::WouldBlock,
            format!(
                "another run holds the lock {}; it goes on when that ends",
                self.lock.display()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        folders: Folders,
    }

    /// A state directory with these folders of the workspace `w`, each holding a file of its name.
    fn place(present: &[&str]) -> Place {
        let dir = tempfile::tempdir().expect("a folder");
        let folders = Folders::of(dir.path(), "w");
        for name in present {
            let folder = dir.path().join("workspaces").join(name);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(name), "x").expect("a file");
        }
        fs::create_dir_all(dir.path().join("workspaces")).expect("a folder");
        Place { dir, folders }
    }

    impl Place {
        /// Which of the files of [`place`] the workspace holds.
        fn holds(&self, name: &str) -> bool {
            self.folders.root.join(name).is_file()
        }

        /// Names in the folder of all workspaces.
        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.dir.path().join("workspaces")).expect("a folder");
            let mut names: Vec<String> = entries
                .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        }
    }

    /// What is found after a crash, and which of them has to be the workspace afterwards.
    const CRASHES: [(&[&str], Option<&str>); 8] = [
        (&[], None),
        (&["w"], Some("w")),
        (&["w+old"], Some("w+old")),
        (&["w", "w+old"], Some("w+old")),
        (&["w+gone", "w+old"], Some("w+old")),
        (&["w", "w+gone", "w+old"], Some("w+old")),
        (&["w", "w+gone"], Some("w")),
        (&["w+gone"], None),
    ];

    #[test]
    fn from_every_state_of_a_swap_the_one_that_works_comes_back() {
        for (found, works) in CRASHES {
            let place = place(found);
            for again in [false, true] {
                let back = place.folders.put_back().expect("put back");
                assert!(!(back && again), "{found:?}: the second time there is nothing to do");
                match works {
                    Some(works) => {
                        assert!(place.holds(works), "{found:?}");
                        assert_eq!(place.names(), ["w"], "{found:?}");
                    }
                    None => assert!(place.names().is_empty(), "{found:?}"),
                }
            }
        }
    }

    #[test]
    fn a_new_one_replaces_the_old_only_when_it_is_kept() {
        let place = place(&["w"]);
        let folders = &place.folders;
        folders.set_aside().expect("aside");
        folders.make_empty().expect("empty");
        fs::write(folders.root.join("new"), "x").expect("a file");
        folders.put_back().expect("back");
        assert!(place.holds("w") && !place.holds("new"));
        folders.set_aside().expect("aside");
        folders.make_empty().expect("empty");
        fs::write(folders.root.join("new"), "x").expect("a file");
        folders.keep_new().expect("kept");
        assert!(!folders.put_back().expect("a crash before the removal"));
        assert!(place.holds("new") && !place.holds("w"));
        folders.clear().expect("cleared");
        assert_eq!(place.names(), ["w"]);
    }

    #[test]
    fn links_in_the_places_of_the_folders_are_not_followed() {
        let place = place(&[]);
        let outside = place.dir.path().join("outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(outside.join("precious"), "x").expect("a file");
        let folders = &place.folders;
        let link = |at: &Path| symlink(&outside, at).expect("a link");
        link(&folders.root);
        assert!(!folders.is_there());
        folders.set_aside().expect("nothing to put aside");
        folders.make_empty().expect("empty");
        assert!(folders.is_there());
        link(&folders.aside);
        link(&folders.gone);
        assert!(!folders.put_back().expect("put back"));
        assert_eq!(place.names(), ["w"]);
        fs::create_dir(&folders.aside).expect("a folder");
        remove(&folders.root).expect("removed");
        link(&folders.root);
        assert!(folders.put_back().expect("put back"));
        assert!(folders.is_there());
        assert!(outside.join("precious").is_file());
    }

    #[tokio::test]
    async fn the_lock_is_waited_for() {
        let place = place(&[]);
        let held = place.folders.hold().await.expect("free");
        let (second, ()) = tokio::join!(place.folders.hold(), async {
            tokio::task::yield_now().await;
            drop(held);
        });
        second.expect("free again");
    }
}
