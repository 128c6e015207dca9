//! Which commits the package directories are at, read from git's own small files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crosswatch_core::model::identity::{Name, Oid};
use crosswatch_core::model::manifest::{Manifest, Pin, Vcs};

use super::files::read_regular;

/// Largest file of git that is read.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The commit of each package whose directory is a git checkout.
pub(super) fn checkouts(root: &Path, manifest: &Manifest) -> BTreeMap<Name, Oid> {
    manifest
        .packages
        .iter()
        .filter_map(|package| {
            let directory = root.join(package.directory.as_deref()?);
            Some((package.name.clone(), head(&directory)?))
        })
        .collect()
}

/// Where a manifest names a tag by a text that could be a branch, makes it a pin: the checkout has a
/// tag of that name and no branch.
pub(super) fn mark_tags(root: &Path, manifest: &mut Manifest) {
    let definitions = manifest.definitions.iter_mut().map(|d| (&mut d.vcs, &d.directory));
    let packages = manifest.packages.iter_mut().map(Arc::make_mut);
    let packages = packages.map(|p| (&mut p.vcs, &p.directory));
    for (vcs, directory) in packages.chain(definitions) {
        let Vcs::Git { branch, pin: pin @ None, .. } = vcs else { continue };
        let (Some(name), Some(directory)) = (branch.clone(), directory) else { continue };
        if is_tag(&root.join(directory), &name) {
            (*branch, *pin) = (None, Some(Pin::Tag(name.to_string())));
        }
    }
}

fn is_tag(directory: &Path, name: &str) -> bool {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return false;
    }
    let Some(git_dir) = git_dir(directory) else { return false };
    let common = common_dir(&git_dir);
    let packed = read(&common.join("packed-refs")).unwrap_or_default();
    let has = |full: &str| {
        common.join(full).is_file()
            || packed.lines().any(|line| line.split_once(' ').is_some_and(|(_, at)| at == full))
    };
    has(&format!("refs/tags/{name}"))
        && !has(&format!("refs/heads/{name}"))
        && !has(&format!("refs/remotes/origin/{name}"))
}

/// What `HEAD` of the checkout in `directory` is, if it is one.
fn head(directory: &Path) -> Option<Oid> {
    let git_dir = git_dir(directory)?;
    let head = read(&git_dir.join("HEAD"))?;
    let head = head.trim();
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else { return head.parse().ok() };
    if name.split('/').any(|part| part == "..") {
        return None;
    }
    let common = common_dir(&git_dir);
    if let Some(text) = read(&common.join(name)) {
        return text.trim().parse().ok();
    }
    let packed = read(&common.join("packed-refs"))?;
    packed.lines().find_map(|line| {
        let (oid, packed) = line.split_once(' ')?;
        (packed == name).then(|| oid.parse().ok()).flatten()
    })
}

/// The folder with git's own files of a checkout.
fn git_dir(directory: &Path) -> Option<PathBuf> {
    let dot_git = directory.join(".git");
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let text = read(&dot_git)?;
    let target = PathBuf::from(text.strip_prefix("gitdir:")?.trim());
    Some(if target.is_absolute() { target } else { directory.join(target) })
}

/// Where refs are that worktrees share.
fn common_dir(git_dir: &Path) -> PathBuf {
    read(&git_dir.join("commondir"))
        .map_or_else(|| git_dir.to_owned(), |text| git_dir.join(text.trim()))
}

fn read(path: &Path) -> Option<String> {
    String::from_utf8(read_regular(path, MAX_BYTES).ok()?).ok()
}
