//! Branches and repositories that were renamed go by their first names in every rule, so that a new name
//! changes nothing. What leaves the planner has the present names of branches.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::change::Listing;
use crate::model::identity::{Name, RepositoryId};
use crate::model::observed::Purpose;
use crate::model::snapshot::{RepositoryPart, Snapshot};
use crate::references::{Finding, References, Written};

use super::look::View;

/// A snapshot by first names, of which it is known whether anything has others at all.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) snapshot: Snapshot,
    renamed: bool,
}

impl Named {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let renamed = snapshot.repositories.values().any(|part| otherwise(part));
        Self { snapshot: by_first_names(snapshot).into_owned(), renamed }
    }

    /// Of a snapshot in which these repositories are others than in this one.
    pub(crate) fn after(&self, snapshot: &Snapshot, moved: &[&RepositoryId]) -> Self {
        let mut parts = moved.iter().filter_map(|id| snapshot.repositories.get(*id));
        if self.renamed || parts.any(|part| otherwise(part)) {
            return Self::of(snapshot);
        }
        Self { snapshot: snapshot.clone(), renamed: false }
    }
}

/// Whether the repository or one of its branches may be called otherwise than at first.
fn otherwise(part: &RepositoryPart) -> bool {
    !part.spelling.eq_ignore_ascii_case(&part.id.path) || renamed(part)
}

fn renamed(part: &RepositoryPart) -> bool {
    let last = part.listing.last_known(Purpose::Display);
    last.is_some_and(|listing| !listing.former.is_empty())
}

/// The snapshot with such branches by their first names, and with the aliases of repositories.
pub fn by_first_names(snapshot: &Snapshot) -> Cow<'_, Snapshot> {
    if snapshot.by_first_names {
        return Cow::Borrowed(snapshot);
    }
    let aliases = snapshot.renamed();
    if aliases.is_empty() && !snapshot.repositories.values().any(|part| renamed(part)) {
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
    let aliases = Arc::new(aliases);
    Cow::Owned(Snapshot { repositories, aliases, by_first_names: true, ..snapshot.clone() })
}

/// That a manifest calls a branch by a name that it no longer has.
pub(crate) fn note((repository, written, present): &(RepositoryId, Name, Name)) -> Finding {
    let text = format!(
        "branch {written} of {repository} is called {present} now and is watched by that name; \
         write {present} where the manifest comes from, since tools do not find the old one"
    );
    Finding { as_written: written.to_string(), line: 0, text }
}

impl<'a> View<'a> {
    /// References by the first names of repositories, each change once.
    pub(crate) fn by_first_names(&self, references: Cow<'a, References>) -> Cow<'a, References> {
        let snapshot = self.snapshot;
        let other = |written: &Written| snapshot.aliases.contains_key(&written.change.repository);
        if snapshot.aliases.is_empty() || !references.references.iter().any(other) {
            return references;
        }
        let mut references = references.into_owned();
        let mut seen = BTreeSet::new();
        references.references.retain_mut(|written| {
            let number = written.change.number;
            written.change = snapshot.first_name(&written.change.repository).change(number);
            seen.insert(written.change.clone())
        });
        Cow::Owned(references)
    }

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
