//! Plans of sets, each kept once however many workspaces see the set alike.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::model::identity::ChangeId;
use crate::model::plan::SetPlan;

/// Those that are known, by the change that they are of.
#[derive(Default)]
pub(crate) struct Shared {
    known: RefCell<BTreeMap<ChangeId, Vec<Weak<SetPlan>>>>,
}

impl Shared {
    /// The known one that is equal, or this.
    pub(crate) fn share(&self, change: &ChangeId, mut plan: SetPlan) -> Arc<SetPlan> {
        let mut known = self.known.borrow_mut();
        let Some(known) = known.get_mut(change) else {
            let plan = Arc::new(compact(plan));
            known.insert(change.clone(), vec![Arc::downgrade(&plan)]);
            return plan;
        };
        known.retain(|known| known.strong_count() > 0);
        if let Some(same) = known.iter().filter_map(Weak::upgrade).find(|known| **known == plan) {
            return same;
        }
        plan = compact(plan);
        let plan = Arc::new(plan);
        known.push(Arc::downgrade(&plan));
        plan
    }

    /// Forgets what nobody has any more.
    pub(crate) fn tidy(&self) {
        self.known.borrow_mut().retain(|_, known| {
            known.retain(|known| known.strong_count() > 0);
            !known.is_empty()
        });
    }
}

/// Gives back the room that lists took while they grew.
fn compact(mut plan: SetPlan) -> SetPlan {
    plan.packages.shrink_to_fit();
    plan.set.shrink_to_fit();
    plan.overrides.shrink_to_fit();
    plan.references.shrink_to_fit();
    plan.findings.shrink_to_fit();
    plan.notes.shrink_to_fit();
    plan
}
