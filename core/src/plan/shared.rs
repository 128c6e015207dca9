//! What workspaces have in common, kept once for all of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::common::Common;
use crate::model::identity::{ChangeId, RepositoryId};
use crate::model::ledger_view::Seen;
use crate::model::plan::{Decision, SetPlan};

use super::tracked::TrackedRepository;

/// Sets, facts and repositories as workspaces see them.
#[derive(Default)]
pub(crate) struct Shared {
    sets: Mutex<Common<ChangeId, SetPlan>>,
    /// By their hash: there may be as many of a change as workspaces.
    decisions: Mutex<Common<u64, Decision>>,
    seen: Mutex<Common<ChangeId, Seen>>,
    repositories: Mutex<Common<RepositoryId, TrackedRepository>>,
}

impl Shared {
    /// The plan of a change's set.
    pub(crate) fn set(&self, change: &ChangeId, mut plan: SetPlan) -> Arc<SetPlan> {
        let mut sets = locked(&self.sets);
        if let Some(known) = sets.find(change, &plan) {
            return known;
        }
        // Gives back the room that lists took while they grew.
        plan.packages.shrink_to_fit();
        plan.set.shrink_to_fit();
        plan.overrides.shrink_to_fit();
        plan.references.shrink_to_fit();
        plan.findings.shrink_to_fit();
        plan.notes.shrink_to_fit();
        sets.share(change, Arc::new(plan))
    }

    /// A decision.
    pub(crate) fn decision(&self, decision: Decision) -> Arc<Decision> {
        let mut hasher = DefaultHasher::new();
        decision.hash(&mut hasher);
        let (key, mut decisions) = (hasher.finish(), locked(&self.decisions));
        let known = decisions.find(&key, &decision);
        known.unwrap_or_else(|| decisions.share(&key, Arc::new(decision)))
    }

    /// What was seen of a change.
    pub(crate) fn seen(&self, change: &ChangeId, seen: Arc<Seen>) -> Arc<Seen> {
        locked(&self.seen).share(change, seen)
    }

    /// A repository as it is tracked.
    pub(crate) fn repository(
        &self,
        id: &RepositoryId,
        mut tracked: Arc<TrackedRepository>,
    ) -> Arc<TrackedRepository> {
        Arc::make_mut(&mut tracked).uses.shrink_to_fit();
        locked(&self.repositories).share(id, tracked)
    }

    /// Forgets what no workspace has any more.
    pub(crate) fn tidy(&self) {
        locked(&self.sets).tidy();
        locked(&self.decisions).tidy();
        locked(&self.seen).tidy();
        locked(&self.repositories).tidy();
    }
}

/// Several threads plan; none of them leaves anything half done.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::{Name, Oid};
    use crate::model::time::Timestamp;

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let shared = Shared::default();
        let id = RepositoryId::new("github.com", "o/a");
        let head: Oid = "1".repeat(40).parse().expect("an oid");
        let at = Timestamp(0);
        let seen = Seen {
            first_seen: at,
            head,
            head_moved_at: at,
            references: None,
            references_moved_at: at,
            awaited: [].into(),
            forge: None,
            asked: None,
        };
        let tracked = TrackedRepository::bare(Name::from("o/a"), Name::from("https://x"));
        let all = (
            shared.set(&id.change(1), SetPlan::default()),
            shared.decision(Decision::Unknown { reason: String::new() }),
            shared.seen(&id.change(1), Arc::new(seen)),
            shared.repository(&id, Arc::new(tracked)),
        );
        let empty = || {
            shared.tidy();
            [
                locked(&shared.sets).is_empty(),
                locked(&shared.decisions).is_empty(),
                locked(&shared.seen).is_empty(),
                locked(&shared.repositories).is_empty(),
            ]
        };
        assert_eq!(empty(), [false; 4]);
        drop(all);
        assert_eq!(empty(), [true; 4]);
    }
}
