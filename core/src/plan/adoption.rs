//! What is done with changes that were open before we watched.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::identity::{ChangeId, RepositoryId};
use crate::model::ledger_view::Adopted;
use crate::model::settings::Adopt;
use crate::model::time::Timestamp;

use super::decide::RECENT;
use super::look::View;
use super::openness::{Changes, State};

/// Adopted changes that a workspace builds at most.
const AT_MOST: usize = 20;

/// Marks the newest of the undecided changes as recent; returns the others, which are to be held.
/// A repository is decided when all of its undecided changes are known, so that the newest are taken.
pub(crate) fn adopt(view: &View<'_>, changes: &mut Changes<'_>) -> BTreeSet<ChangeId> {
    let mut by_repository: BTreeMap<&RepositoryId, Vec<&ChangeId>> = BTreeMap::new();
    for (id, facts) in &changes.facts.now {
        if facts.adopted == Adopted::Undecided {
            by_repository.entry(&id.repository).or_default().push(id);
        }
    }
    let mut candidates: Vec<(Timestamp, &ChangeId)> = Vec::new();
    let mut to_hold: BTreeSet<ChangeId> = BTreeSet::new();
    for ids in by_repository.into_values() {
        let states: Option<Vec<_>> = ids
            .iter()
            .map(|id| match changes.states.get(*id) {
                Some(State::Unknown(_)) | None => None,
                Some(State::Open(open)) => Some((*id, Some(open.dated))),
                Some(State::Merged { .. }) => Some((*id, None)),
            })
            .collect();
        for (id, committed_at) in states.into_iter().flatten() {
            let Some(committed_at) = committed_at else { continue };
            let first_seen = changes.facts.now.get(id).map_or(view.at(), |facts| facts.first_seen);
            let recent = committed_at + RECENT > first_seen;
            if recent && view.settings.changes.adopt == Adopt::Recent {
                candidates.push((committed_at, id));
            } else {
                to_hold.insert(id.clone());
            }
        }
    }
    candidates.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    if candidates.is_empty() {
        return to_hold;
    }
    let taken = view.ledger.changes.values().filter(|f| f.adopted == Adopted::Recent).count();
    let slots = AT_MOST.saturating_sub(taken);
    let candidates: Vec<ChangeId> = candidates.into_iter().map(|(_, id)| id.clone()).collect();
    for (index, id) in candidates.into_iter().enumerate() {
        if index < slots {
            if let Some(facts) = changes.facts.now.get_mut(&id) {
                facts.adopted = Adopted::Recent;
            }
        } else {
            to_hold.insert(id);
        }
    }
    to_hold
}
