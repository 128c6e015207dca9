//! Whether a change touches anything that its workspace watches in its repository.

use std::collections::BTreeSet;

use crate::model::change::Files;
use crate::model::identity::ChangeId;
use crate::model::plan::{Decision, Held};

use super::decide::Deciding;
use super::openness::Open;

/// Folders that a reason names.
const NAMED: usize = 5;

impl Deciding<'_, '_> {
    /// The decision on a change that touches nothing that counts here, or of which that is not known.
    /// Its files are asked for only where they matter: where a package lives in a folder of the
    /// repository, or paths are ignored. A list that is too long may have any file in it.
    pub(crate) fn untouched(&self, id: &ChangeId, open: &Open<'_>) -> Option<Decision> {
        let rules = &self.view.settings.changes;
        let uses = || self.tracked.repositories.get(&id.repository).into_iter();
        let uses = || uses().flat_map(|repository| repository.overridden(open.base));
        let whole = uses().any(|used| used.path.is_none());
        if whole && rules.ignore_paths.is_empty() {
            return None;
        }
        let files = match self.view.files(id, open.listed) {
            Ok(Files::Listed(files)) => files,
            Ok(Files::TooMany) => return None,
            Err(reason) => return Some(Decision::Unknown { reason }),
        };
        let below = |file: &str, folder: &str| {
            file.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let counts = |file: &str| {
            whole || rules.paths.fit(file) || {
                let folders = uses().filter_map(|used| used.path.as_deref());
                folders.into_iter().any(|folder| below(file, folder))
            }
        };
        let mut counting = files.iter().filter(|file| !rules.ignore_paths.fit(file));
        if counting.any(|file| counts(file)) {
            return None;
        }
        let folders: BTreeSet<&str> = uses().filter_map(|used| used.path.as_deref()).collect();
        let mut watched: Vec<&str> = folders.iter().copied().take(NAMED).collect();
        if folders.len() > NAMED {
            watched.push("others");
        }
        let watched = match watched.as_slice() {
            [] => "all but `ignore_paths`".to_owned(),
            some => some.join(", "),
        };
        let reason = format!(
            "it touches no path that this workspace watches in {} ({watched}); a push that does, or \
             `crosswatch rebuild`, releases it",
            id.repository
        );
        Some(Decision::Held { why: Held::NoWatchedPath, reason, until: None })
    }
}
