//! Which commits the package directories are at, read from git's own small files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crosswatch_core::model::identity::{Name, Oid};
use crosswatch_core::model::manifest::Manifest;

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

/// What `HEAD` of the checkout in `directory` is, if it is one.
fn head(directory: &Path) -> Option<Oid> {
    let dot_git = directory.join(".git");
    let git_dir = if dot_git.is_dir() {
        dot_git
    } else {
        let text = read(&dot_git)?;
        let target = PathBuf::from(text.strip_prefix("gitdir:")?.trim());
        if target.is_absolute() { target } else { directory.join(target) }
    };
    let head = read(&git_dir.join("HEAD"))?;
    let head = head.trim();
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else { return head.parse().ok() };
    if name.split('/').any(|part| part == "..") {
        return None;
    }
    let common = read(&git_dir.join("commondir"))
        .map_or_else(|| git_dir.clone(), |text| git_dir.join(text.trim()));
    if let Some(text) = read(&common.join(name)) {
        return text.trim().parse().ok();
    }
    let packed = read(&common.join("packed-refs"))?;
    packed.lines().find_map(|line| {
        let (oid, packed) = line.split_once(' ')?;
        (packed == name).then(|| oid.parse().ok()).flatten()
    })
}

fn read(path: &Path) -> Option<String> {
    String::from_utf8(read_regular(path, MAX_BYTES).ok()?).ok()
}
