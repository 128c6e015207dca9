//! What is watched over all workspaces, kept from pass to pass: few workspaces watch something else than
//! before, while there are many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::plan::{Plan, Watched, WorkspacePlan};
use crosswatch_core::model::snapshot::Snapshot;

/// Watched repositories. Its pointer stays the same while nothing in it changes.
pub type WatchList = Arc<BTreeMap<RepositoryId, Watching>>;

/// A repository that somebody watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watching {
    /// Where it is, as the first of these workspaces has it.
    pub watched: Watched,
    /// Workspaces that watch it; none where that is not known before the first pass.
    pub workspaces: Arc<BTreeSet<Name>>,
}

/// What is watched before the first pass says what is: what an earlier run knew is looked at meanwhile.
pub fn before_the_first_pass(snapshot: &Snapshot) -> WatchList {
    let nobody = Arc::<BTreeSet<Name>>::default();
    let watching = |watched| Watching { watched, workspaces: Arc::clone(&nobody) };
    let watched = crosswatch_core::plan::watched(snapshot).into_iter();
    Arc::new(watched.map(|(id, watched)| (id, watching(watched))).collect())
}

/// Brings the list up to date.
#[derive(Default)]
pub(super) struct Watchers {
    list: WatchList,
    plans: BTreeMap<Name, Arc<WorkspacePlan>>,
}

impl Watchers {
    /// The list of a plan.
    pub(super) fn of(&mut self, plan: &Plan) -> WatchList {
        let mut touched: BTreeSet<RepositoryId> = BTreeSet::new();
        let now: BTreeMap<Name, Arc<WorkspacePlan>> =
            plan.workspaces.iter().map(|plan| (plan.workspace.clone(), Arc::clone(plan))).collect();
        for name in self.plans.keys().chain(now.keys()) {
            let (before, after) = (self.plans.get(name), now.get(name));
            let same = match (before, after) {
                (Some(before), Some(after)) => {
                    Arc::ptr_eq(before, after) || before.watched == after.watched
                }
                _ => false,
            };
            if !same {
                touched.extend(
                    before.into_iter().chain(after).flat_map(|p| p.watched.keys().cloned()),
                );
            }
        }
        self.plans = now;
        if !touched.is_empty() {
            let list = Arc::make_mut(&mut self.list);
            let mut users: BTreeMap<&RepositoryId, BTreeSet<Name>> = BTreeMap::new();
            for (name, plan) in &self.plans {
                for id in touched.iter().filter(|id| plan.watched.contains_key(*id)) {
                    users.entry(id).or_default().insert(name.clone());
                }
            }
            for id in &touched {
                let workspaces = users.remove(id).unwrap_or_default();
                let first = workspaces.first().and_then(|name| self.plans.get(name));
                match first.and_then(|plan| plan.watched.get(id)) {
                    Some(watched) => {
                        let (watched, workspaces) = (watched.clone(), Arc::new(workspaces));
                        list.insert(id.clone(), Watching { watched, workspaces });
                    }
                    None => drop(list.remove(id)),
                }
            }
        }
        Arc::clone(&self.list)
    }
}
