//! Stacked changes: a change whose base is the source branch of another open change.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::{Listing, OpenRef};
use crate::model::identity::{Name, RepositoryId};
use crate::model::queue::made_by_queue;

use super::tracked::TrackedRepository;

/// Open changes of one repository by their source branch in that same repository.
#[derive(Default)]
pub(crate) struct Stack<'a> {
    by_branch: BTreeMap<&'a Name, &'a OpenRef>,
}

impl<'a> Stack<'a> {
    /// Of a listing. Nothing stands on a change that wants to merge the default branch or a tracked one
    /// elsewhere: what is based on such a branch is based on the mainline. Of several changes with one
    /// source branch, one against a tracked branch counts, and then the one with the least number.
    pub(crate) fn of(
        id: &RepositoryId,
        repository: &TrackedRepository,
        listing: &'a Listing,
    ) -> Self {
        let mut by_branch = BTreeMap::new();
        for wanted in [true, false] {
            for listed in &listing.changes {
                let Some(source) = listed.forge.as_ref().and_then(|forge| forge.source.as_ref())
                else {
                    continue;
                };
                let branch = &source.branch;
                let on_tracked = listed.base.as_ref().is_some_and(|base| repository.tracks(base));
                let mainline =
                    listing.default_branch.as_ref() == Some(branch) || repository.tracks(branch);
                let mainline = mainline || made_by_queue(branch);
                if source.repository == *id && on_tracked == wanted && !mainline {
                    by_branch.entry(branch).or_insert(listed);
                }
            }
        }
        Self { by_branch }
    }

    /// The open change that wants to merge `branch`.
    pub(crate) fn owner(&self, branch: &Name) -> Option<&'a OpenRef> {
        self.by_branch.get(branch).copied()
    }

    /// The change right below, and the one at the bottom of the stack; nothing for a change that stands
    /// on none, or on one that stands on itself.
    pub(crate) fn below(&self, listed: &OpenRef) -> Option<(&'a OpenRef, &'a OpenRef)> {
        let below = self.owner(listed.base.as_ref()?)?;
        let mut seen = BTreeSet::from([listed.number]);
        let mut bottom = below;
        loop {
            if !seen.insert(bottom.number) {
                return None;
            }
            match bottom.base.as_ref().and_then(|base| self.owner(base)) {
                Some(next) => bottom = next,
                None => return Some((below, bottom)),
            }
        }
    }
}
