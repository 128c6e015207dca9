//! Plans of changes as they are made, and which of them have a change in their set.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::identity::ChangeId;
use crate::model::plan::{Decision, SubjectPlan};

/// Plans that are made already, by change.
#[derive(Default)]
pub(crate) struct Decided {
    plans: BTreeMap<ChangeId, SubjectPlan>,
    /// Of members, the changes whose sets they are in.
    above: BTreeMap<ChangeId, BTreeSet<ChangeId>>,
    /// Whether some decision is unknown.
    unknown: bool,
}

impl Decided {
    /// Enters a plan, in place of one that was there.
    pub(crate) fn insert(&mut self, id: ChangeId, plan: SubjectPlan) {
        for member in plan.set.iter().filter(|member| member.change != id) {
            self.above.entry(member.change.clone()).or_default().insert(id.clone());
        }
        self.unknown |= matches!(*plan.decision, Decision::Unknown { .. });
        self.plans.insert(id, plan);
    }

    /// The plan of a change.
    pub(crate) fn get(&self, id: &ChangeId) -> Option<&SubjectPlan> {
        self.plans.get(id)
    }

    /// Other changes whose sets may have this one, by identity.
    pub(crate) fn above(&self, id: &ChangeId) -> impl Iterator<Item = (&ChangeId, &SubjectPlan)> {
        let above = self.above.get(id).into_iter().flatten();
        above.filter_map(|above| self.plans.get_key_value(above))
    }

    /// Whether some decision is unknown.
    pub(crate) fn unknown(&self) -> bool {
        self.unknown
    }

    /// All plans, by change.
    pub(crate) fn into_plans(self) -> Vec<SubjectPlan> {
        self.plans.into_values().collect()
    }
}
