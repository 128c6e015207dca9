//! What became of a change that is not among the open ones of its repository.

use crate::model::change::Fate;
use crate::model::identity::{ChangeId, Name, Oid};

use super::look::View;
use super::tracked::TrackedRepository;

/// What a change is that is not open.
pub(crate) enum Fated {
    /// Merged; what stands for it in the base branch and that branch, as far as they are known.
    Merged { commit: Option<Oid>, base: Option<Name> },
    /// Closed unmerged.
    Closed,
    /// None of that number, as far as anybody here may know.
    Missing,
    /// It could not be read.
    Unknown(String),
}

/// Of a change whose repository was read and does not list it.
pub(crate) fn fated(view: &View<'_>, repository: &TrackedRepository, change: &ChangeId) -> Fated {
    if view.gone(&change.repository).is_some() {
        return Fated::Closed;
    }
    // Whoever did not watch while it was open knows nothing of it.
    view.own();
    let known = view.ledger.changes.get(change).map(|facts| facts.head);
    if !view.hosted(&change.repository) {
        return match known {
            Some(head) => by_head(view, repository, change, head),
            None => Fated::Missing,
        };
    }
    match view.fate(change) {
        Ok(Fate::Open) => Fated::Unknown(format!(
            "{change} is open, and the open changes of its repository were read before that"
        )),
        Ok(Fate::Merged { commit, base }) => {
            let base = base.as_ref().map(|base| view.oldest(&change.repository, base));
            Fated::Merged { commit: *commit, base }
        }
        Ok(Fate::Closed { head, labels }) => {
            let counts = &view.settings.changes.merged_labels;
            if labels.iter().any(|label| counts.iter().any(|name| name.eq_ignore_ascii_case(label)))
            {
                return Fated::Merged { commit: None, base: None };
            }
            match head.or(known) {
                Some(head) => by_head(view, repository, change, head),
                None => Fated::Closed,
            }
        }
        Ok(Fate::Missing) => Fated::Missing,
        Err(why) => Fated::Unknown(why),
    }
}

/// Merged if a tracked branch contains its last head.
fn by_head(view: &View<'_>, repository: &TrackedRepository, change: &ChangeId, head: Oid) -> Fated {
    let id = &change.repository;
    let listing = view.repository(id).and_then(|part| part.listing.value());
    let mut unknown = None;
    for branch in repository.uses.iter().filter_map(|used| used.branch.as_ref()) {
        let Some(tip) = listing.and_then(|listing| listing.branches.get(branch)) else { continue };
        match view.contains(id, head, *tip) {
            Ok(true) => return Fated::Merged { commit: Some(head), base: None },
            Ok(false) => {}
            Err(why) => unknown = unknown.or(Some(why)),
        }
    }
    unknown.map_or(Fated::Closed, Fated::Unknown)
}
