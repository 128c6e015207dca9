//! Locks of git that a killed run left behind: git itself never removes them, and waits or refuses.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crosswatch_core::model::time::Timestamp;

use super::files::is_folder;

/// Most entries of folders that are looked at.
const MAX_ENTRIES: usize = 2_000_000;
/// A file system may keep times a little coarser than the clock.
const COARSE: Duration = Duration::from_secs(2);

/// Removes locks of git in every repository below `root` that were made until `until`, when the killed
/// run had ended; a person's own git that works there now is left alone. Names what it removed.
pub(super) fn remove_locks(root: &Path, until: Timestamp) -> Vec<PathBuf> {
    let until = UNIX_EPOCH + Duration::from_millis(u64::try_from(until.0).unwrap_or(0)) + COARSE;
    let mut walk = Walk { left: MAX_ENTRIES, until, removed: Vec::new() };
    walk.tree(root);
    walk.removed.sort();
    walk.removed
}

struct Walk {
    left: usize,
    until: SystemTime,
    removed: Vec<PathBuf>,
}

impl Walk {
    /// Looks for repositories, those close to the root first.
    fn tree(&mut self, root: &Path) {
        // Each with whether all in it is git's own, as it is for the other work trees of a repository.
        let mut open = VecDeque::from([(root.to_owned(), false)]);
        while let Some((folder, gits)) = open.pop_front() {
            if is_git(&folder) {
                self.repository(&folder);
                open.push_back((folder.join("modules"), false));
                open.push_back((folder.join("worktrees"), true));
                continue;
            }
            for (path, kind) in self.entries(&folder) {
                if kind.is_dir() {
                    open.push_back((path, gits));
                } else if gits && kind.is_file() {
                    self.consider(path);
                }
            }
        }
    }

    fn repository(&mut self, folder: &Path) {
        for below in ["", "info", "objects/info"] {
            for (path, kind) in self.entries(&folder.join(below)) {
                if kind.is_file() {
                    self.consider(path);
                }
            }
        }
        self.consider(folder.join("objects/maintenance.lock"));
        let mut open = vec![folder.join("refs"), folder.join("logs")];
        while let Some(folder) = open.pop() {
            for (path, kind) in self.entries(&folder) {
                if kind.is_dir() {
                    open.push(path);
                } else if kind.is_file() {
                    self.consider(path);
                }
            }
        }
    }

    fn consider(&mut self, path: PathBuf) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !(name.ends_with(".lock") || name == "gc.pid") {
            return;
        }
        let old = fs::symlink_metadata(&path).is_ok_and(|found| {
            found.is_file() && found.modified().is_ok_and(|time| time <= self.until)
        });
        if old && fs::remove_file(&path).is_ok() {
            self.removed.push(path);
        }
    }

    /// What is in a folder; nothing for a link to one, and nothing once enough was seen.
    fn entries(&mut self, folder: &Path) -> Vec<(PathBuf, fs::FileType)> {
        if self.left == 0 || !is_folder(folder) {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let found: Vec<_> = entries
            .take(self.left)
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.path(), entry.file_type().ok()?))
            })
            .collect();
        self.left = self.left.saturating_sub(found.len().max(1));
        if self.left == 0 {
            tracing::warn!(folder = %folder.display(), "too many files to look for locks in all");
        }
        found
    }
}

fn is_git(folder: &Path) -> bool {
    folder.ends_with(".git")
        || (is_folder(&folder.join("objects"))
            && is_folder(&folder.join("refs"))
            && folder.join("HEAD").is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn locks_of_git_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("root");
        let make = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, "x").expect("a file");
            path
        };
        make("bare.git/HEAD");
        fs::create_dir_all(root.join("bare.git/objects")).expect("a folder");
        fs::create_dir_all(root.join("bare.git/refs")).expect("a folder");
        let stale = [
            ".git/index.lock",
            ".git/HEAD.lock",
            ".git/config.lock",
            ".git/gc.pid",
            ".git/refs/heads/feature/x.lock",
            ".git/objects/info/commit-graph.lock",
            ".git/modules/sub/index.lock",
            ".git/worktrees/w/index.lock",
            "src/deep/pkg/.git/packed-refs.lock",
            "src/deep/pkg/.git/shallow.lock",
            "bare.git/packed-refs.lock",
        ];
        make(".git/modules/sub/HEAD");
        fs::create_dir_all(root.join(".git/modules/sub/objects")).expect("a folder");
        fs::create_dir_all(root.join(".git/modules/sub/refs")).expect("a folder");
        let mut expected: Vec<PathBuf> = stale.into_iter().map(&make).collect();
        expected.sort();
        let kept = [
            "Cargo.lock",
            "src/deep/pkg/yarn.lock",
            "worktrees/pkg/Cargo.lock",
            ".git/index",
            ".git/refs/heads/main",
            "src/gc.pid",
        ]
        .map(&make);
        let outside = dir.path().join("outside");
        fs::create_dir_all(outside.join(".git")).expect("a folder");
        fs::write(outside.join(".git/index.lock"), "x").expect("a file");
        symlink(&outside, root.join("link")).expect("a link");
        symlink(outside.join(".git"), root.join("src/.git")).expect("a link");

        assert!(remove_locks(&root, Timestamp(0)).is_empty(), "these were made after the run");
        let far = Timestamp(i64::MAX / 4);
        assert_eq!(remove_locks(&root, far), expected);
        assert!(kept.iter().all(|path| path.is_file()));
        assert!(outside.join(".git/index.lock").is_file());
    }
}
