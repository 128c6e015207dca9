//! The manifest that a workspace's tool exported: reading the bytes, and whether they are believed.

use std::path::Path;

use crosswatch_core::control::suspicion::{Judgement, judge};
use crosswatch_core::manifest::{self, Input, ReadManifest};
use crosswatch_core::model::manifest::Manifest;
use crosswatch_core::model::settings::{ManifestFormat, WorkspaceSettings};

use super::checkouts::mark_tags;
use super::files::{inside, read_regular};
use super::folders::Folders;
use super::matching::matching;
use super::saved::{Saved, Suspicion};

/// Why there is no new manifest in force.
#[derive(Debug)]
pub(super) enum NotBelieved {
    /// The bytes are no manifest.
    Unreadable(String),
    /// It lost too much to be believed at once.
    Shrunk(String),
}

/// Bytes that should be a manifest, and where they came from, for people.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) bytes: Vec<u8>,
    pub(super) place: String,
}

/// The bytes of the manifest `path` in the workspace.
pub(super) fn from_file(root: &Path, path: &Path, max: u64) -> Result<Exported, String> {
    let place = format!("the manifest {}", root.join(path).display());
    let bytes = inside(root, path)
        .and_then(|real| read_regular(&real, max.saturating_add(1)))
        .map_err(|error| format!("{place} cannot be read: {error}"))?;
    Ok(Exported { bytes, place })
}

/// Reads and judges what was exported. What is not believed is kept aside and remembered in `saved`,
/// whose manifest stays in force; what is believed ends a suspicion.
pub(super) fn take(
    exported: Exported,
    settings: &WorkspaceSettings,
    folders: &Folders,
    saved: &mut Saved,
) -> Result<Manifest, NotBelieved> {
    let Exported { bytes, place } = exported;
    let max = settings.manifest.max_bytes;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        let why = format!("{place} is larger than {max} bytes (`manifest.max_bytes`)");
        return Err(NotBelieved::Unreadable(why));
    }
    let read = match read(settings, folders, &bytes) {
        Ok(read) => read,
        Err(error) => {
            let mut why = format!("{place}: {error}");
            why.push_str(&kept(folders, &bytes));
            let suspected = saved.suspicion.take().and_then(|suspicion| suspicion.suspected);
            saved.suspicion = Some(Suspicion { suspected, why: why.clone() });
            return Err(NotBelieved::Unreadable(why));
        }
    };
    for note in &read.notes {
        tracing::info!(workspace = %settings.name, note, "note on the manifest");
    }
    let before = saved.suspicion.as_ref().and_then(|suspicion| suspicion.suspected.as_ref());
    match judge(saved.manifest.as_deref(), before, &read.manifest, settings.max_shrink) {
        Judgement::Believed => {
            saved.suspicion = None;
            Ok(read.manifest)
        }
        Judgement::Suspected { suspected, lost, of } => {
            let why = format!(
                "{place} lost {lost} of {of} packages at once, more than {} % (`max_shrink`); the last \
                 good one stays in force until another update exports the same packages{}",
                settings.max_shrink,
                kept(folders, &bytes)
            );
            saved.suspicion = Some(Suspicion { suspected: Some(suspected), why: why.clone() });
            Err(NotBelieved::Shrunk(why))
        }
    }
}

/// Reads what was exported, with the further files that the format wants.
pub(super) fn read(
    settings: &WorkspaceSettings,
    folders: &Folders,
    bytes: &[u8],
) -> Result<ReadManifest, String> {
    let (source, root) = (&settings.manifest, &folders.root);
    let files = matching(root, &source.files, source.max_bytes)?;
    let own = settings.source.as_ref();
    let input = Input {
        bytes,
        files: &files,
        source: own.map(|own| own.url.as_str()),
        source_branch: own.and_then(|own| own.branch.as_deref()),
        checkouts: source.checkouts.as_deref(),
    };
    let mut read =
        manifest::read_input(source.format, &input).map_err(|error| error.to_string())?;
    // These have one word for branch and tag; the checkout tells which it is.
    if matches!(source.format, ManifestFormat::West | ManifestFormat::Vcstool) {
        mark_tags(root, &mut read.manifest);
    }
    Ok(read)
}

fn kept(folders: &Folders, bytes: &[u8]) -> String {
    match folders.keep_suspected(bytes) {
        Ok(()) => format!("; it is kept in {}", folders.suspected.display()),
        Err(error) => {
            format!("; it could not be kept in {}: {error}", folders.suspected.display())
        }
    }
}
