//! What workspaces have in common, kept once for all of them.

use std::cell::RefCell;
use std::sync::Arc;

use crate::model::common::Common;
use crate::model::identity::{ChangeId, RepositoryId};
use crate::model::ledger_view::Seen;
use crate::model::plan::SetPlan;

use super::tracked::TrackedRepository;

/// Sets, facts and repositories as workspaces see them.
#[derive(Default)]
pub(crate) struct Shared {
    sets: RefCell<Common<ChangeId, SetPlan>>,
    seen: RefCell<Common<ChangeId, Seen>>,
    repositories: RefCell<Common<RepositoryId, TrackedRepository>>,
}

impl Shared {
    /// The plan of a change's set.
    pub(crate) fn set(&self, change: &ChangeId, mut plan: SetPlan) -> Arc<SetPlan> {
        // Gives back the room that lists took while they grew.
        plan.packages.shrink_to_fit();
        plan.set.shrink_to_fit();
        plan.overrides.shrink_to_fit();
        plan.references.shrink_to_fit();
        plan.findings.shrink_to_fit();
        plan.notes.shrink_to_fit();
        self.sets.borrow_mut().share(change, Arc::new(plan))
    }

    /// What was seen of a change.
    pub(crate) fn seen(&self, change: &ChangeId, seen: Arc<Seen>) -> Arc<Seen> {
        self.seen.borrow_mut().share(change, seen)
    }

    /// A repository as it is tracked.
    pub(crate) fn repository(
        &self,
        id: &RepositoryId,
        mut tracked: Arc<TrackedRepository>,
    ) -> Arc<TrackedRepository> {
        Arc::make_mut(&mut tracked).uses.shrink_to_fit();
        self.repositories.borrow_mut().share(id, tracked)
    }

    /// Forgets what no workspace has any more.
    pub(crate) fn tidy(&self) {
        self.sets.borrow_mut().tidy();
        self.seen.borrow_mut().tidy();
        self.repositories.borrow_mut().tidy();
    }
}
