//! Commits and what contains what.

use std::collections::BTreeMap;

use crosswatch_core::model::change::CommitFacts;
use crosswatch_core::model::identity::{ChangeId, Oid};
use crosswatch_core::model::time::Timestamp;
use crosswatch_core::references::{References, Via, Written};

/// One object store for all repositories.
#[derive(Default)]
pub struct Git {
    commits: BTreeMap<Oid, Commit>,
    order: Vec<Oid>,
}

/// One commit.
pub struct Commit {
    /// When it was made.
    pub at: Timestamp,
    /// `Depends-On:` trailers of its message.
    pub names: Vec<ChangeId>,
    /// Whether the manifest has the extra package, in a definition repository.
    pub extra: bool,
    /// Itself and all that it contains, a bit for each.
    contains: Vec<u64>,
}

impl Git {
    /// A commit on some others.
    pub fn commit(
        &mut self,
        at: Timestamp,
        parents: &[Oid],
        names: Vec<ChangeId>,
        extra: bool,
    ) -> Oid {
        let place = self.order.len();
        let text = format!("{:040x}", place + 1);
        let oid: Oid = text.parse().expect("an object id");
        let mut contains = vec![0_u64; place / 64 + 1];
        for parent in parents.iter().filter_map(|parent| self.commits.get(parent)) {
            for (bits, more) in contains.iter_mut().zip(&parent.contains) {
                *bits |= more;
            }
        }
        if let Some(bits) = contains.get_mut(place / 64) {
            *bits |= 1 << (place % 64);
        }
        self.order.push(oid);
        self.commits.insert(oid, Commit { at, names, extra, contains });
        oid
    }

    /// The commit.
    pub fn get(&self, oid: Oid) -> Option<&Commit> {
        self.commits.get(&oid)
    }

    /// Whether `descendant` contains `ancestor`.
    pub fn contains(&self, ancestor: Oid, descendant: Oid) -> bool {
        let Ok(place) = self.order.binary_search(&ancestor) else { return false };
        let Some(commit) = self.commits.get(&descendant) else { return false };
        commit.contains.get(place / 64).is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }

    /// What a look at a commit shows.
    pub fn facts(&self, oid: Oid) -> Option<CommitFacts> {
        let commit = self.commits.get(&oid)?;
        Some(CommitFacts { committed_at: commit.at, references: written(&commit.names) })
    }
}

/// References as a body or trailers that name these.
pub fn written(names: &[ChangeId]) -> References {
    let references = names
        .iter()
        .zip(1..)
        .map(|(change, line)| Written {
            change: change.clone(),
            as_written: change.to_string(),
            line,
            via: Via::default(),
        })
        .collect();
    References { references, ..References::default() }
}
