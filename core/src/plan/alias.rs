//! Branches that were renamed go by their first names in every rule, so that a new name changes nothing.
//! What leaves the planner has the present ones.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::change::Listing;
use crate::model::identity::{Name, RepositoryId};
use crate::model::observed::Purpose;
use crate::model::snapshot::{RepositoryPart, Snapshot};
use crate::references::Finding;

use super::look::View;

/// The snapshot with such branches by their first names.
pub fn by_first_names(snapshot: &Snapshot) -> Cow<'_, Snapshot> {
    let renamed = |part: &RepositoryPart| {
        let last = part.listing.last_known(Purpose::Display);
        last.is_some_and(|listing| !listing.former.is_empty())
    };
    if snapshot.by_first_names || !snapshot.repositories.values().any(|part| renamed(part)) {
        return Cow::Borrowed(snapshot);
    }
    let repositories = snapshot.repositories.iter().map(|(id, part)| {
        let part = match renamed(part) {
            false => Arc::clone(part),
            true => Arc::new(RepositoryPart {
                listing: part.listing.mapped(|listing| listing.by_oldest(id)),
                ..RepositoryPart::clone(part)
            }),
        };
        (id.clone(), part)
    });
    let repositories = Arc::new(repositories.collect());
    Cow::Owned(Snapshot { repositories, by_first_names: true, ..snapshot.clone() })
}

/// That a manifest calls a branch by a name that it no longer has.
pub(crate) fn note((repository, written, present): &(RepositoryId, Name, Name)) -> Finding {
    let text = format!(
        "branch {written} of {repository} is called {present} now and is watched by that name; \
         write {present} where the manifest comes from, since tools do not find the old one"
    );
    Finding { as_written: written.to_string(), line: 0, text }
}

impl View<'_> {
    /// What a branch was called first.
    pub(crate) fn oldest(&self, repository: &RepositoryId, branch: &Name) -> Name {
        let renamed = self.renamed(repository);
        renamed.and_then(|listing| listing.oldest(branch)).unwrap_or(branch).clone()
    }

    /// What a branch is called now.
    pub(crate) fn present(&self, repository: &RepositoryId, branch: &Name) -> Name {
        let renamed = self.renamed(repository);
        renamed.and_then(|listing| listing.present(branch)).unwrap_or(branch).clone()
    }

    fn renamed(&self, repository: &RepositoryId) -> Option<&Listing> {
        if !self.snapshot.by_first_names {
            return None;
        }
        let last = self.repository(repository)?.listing.last_known(Purpose::Hiding)?;
        (!last.former.is_empty()).then_some(&**last)
    }
}
