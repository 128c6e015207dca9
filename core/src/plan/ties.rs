//! Which repositories the texts of open changes tie together, whichever workspace reads them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::OpenRef;
use crate::model::identity::{Name, RepositoryId};
use crate::model::observed::Purpose;
use crate::model::question::{Answer, Question};
use crate::model::snapshot::Snapshot;
use crate::references::References;

use super::incremental::Moved;

/// What the texts of one repository's open changes name.
#[derive(Default, PartialEq, Eq)]
struct Named {
    repositories: BTreeSet<RepositoryId>,
    /// Names without an owner, which mean a repository only within a workspace.
    short: BTreeSet<Name>,
}

/// Ties in both directions.
#[derive(Default)]
pub(crate) struct Ties {
    named: BTreeMap<RepositoryId, Named>,
    /// By what is named, those in which it is.
    by: BTreeMap<RepositoryId, BTreeSet<RepositoryId>>,
    by_short: BTreeMap<Name, BTreeSet<RepositoryId>>,
}

impl Ties {
    /// Of everything that is open.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut ties = Self::default();
        for id in snapshot.repositories.keys() {
            ties.read(snapshot, id);
        }
        ties
    }

    /// After some of it moved.
    pub(crate) fn revise(&mut self, snapshot: &Snapshot, moved: &Moved<'_>) {
        let asked = moved.answers.iter().filter_map(|question| match question {
            Question::Commit { repository, .. } => Some(repository),
            _ => None,
        });
        let moved: BTreeSet<&RepositoryId> =
            moved.repositories.iter().copied().chain(asked).collect();
        for id in moved {
            self.read(snapshot, id);
        }
    }

    fn read(&mut self, snapshot: &Snapshot, id: &RepositoryId) {
        let mut now = Named::default();
        let listing =
            snapshot.repositories.get(id).and_then(|part| part.listing.last_known(Purpose::Hiding));
        for listed in listing.into_iter().flat_map(|listing| &listing.changes) {
            for read in texts(snapshot, id, listed) {
                let named = read.references.iter().map(|written| &written.change.repository);
                let named = named.map(|id| snapshot.first_name(id));
                now.repositories.extend(named.filter(|other| *other != id).cloned());
                now.short.extend(read.short.iter().map(|short| short.name.clone()));
            }
        }
        let before = self.named.remove(id).unwrap_or_default();
        for gone in before.repositories.difference(&now.repositories) {
            remove(&mut self.by, gone, id);
        }
        for gone in before.short.difference(&now.short) {
            remove(&mut self.by_short, gone, id);
        }
        for new in now.repositories.difference(&before.repositories) {
            self.by.entry(new.clone()).or_default().insert(id.clone());
        }
        for new in now.short.difference(&before.short) {
            self.by_short.entry(new.clone()).or_default().insert(id.clone());
        }
        if now != Named::default() {
            self.named.insert(id.clone(), now);
        }
    }

    /// Whether anything is tied to it.
    pub(crate) fn any(&self, id: &RepositoryId) -> bool {
        self.named.contains_key(id)
            || self.by.contains_key(id)
            || (!self.by_short.is_empty() && self.by_short.contains_key(last(id)))
    }

    /// Repositories that name this one or are named in it, among those of a workspace.
    pub(crate) fn around<'t>(
        &'t self,
        id: &RepositoryId,
        all: &'t BTreeMap<RepositoryId, impl Sized>,
    ) -> impl Iterator<Item = &'t RepositoryId> {
        let named = self.named.get(id);
        let repositories = named.into_iter().flat_map(|named| &named.repositories);
        let short = named.filter(|named| !named.short.is_empty());
        let short = short
            .into_iter()
            .flat_map(move |named| all.keys().filter(|other| named.short.contains(last(other))));
        let by = self.by.get(id).into_iter().flatten();
        let by_short = self.by_short.get(last(id)).into_iter().flatten();
        repositories.chain(short).chain(by).chain(by_short)
    }
}

fn remove<K: Ord>(by: &mut BTreeMap<K, BTreeSet<RepositoryId>>, named: &K, id: &RepositoryId) {
    if let Some(of) = by.get_mut(named) {
        of.remove(id);
        if of.is_empty() {
            by.remove(named);
        }
    }
}

/// The name that a reference without an owner calls it by.
fn last(id: &RepositoryId) -> &str {
    id.path.rsplit('/').next().unwrap_or_default()
}

/// What a change's text says, by every reading.
fn texts<'a>(
    snapshot: &'a Snapshot,
    id: &RepositoryId,
    listed: &'a OpenRef,
) -> impl Iterator<Item = &'a References> {
    let read = match &listed.forge {
        Some(forge) => Some(&forge.references),
        None => {
            let question = Question::Commit { repository: id.clone(), oid: listed.head };
            let answer = snapshot.answers.get(&question);
            match answer.and_then(|answer| answer.last_known(Purpose::Hiding)).map(|a| &**a) {
                Some(Answer::Commit(commit)) => Some(&commit.references),
                _ => None,
            }
        }
    };
    let otherwise = read.into_iter().flat_map(|read| read.otherwise.iter().map(|(_, read)| read));
    read.into_iter().chain(otherwise)
}
