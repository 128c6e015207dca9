//! Which change's build has another change in it, and what is said while that cannot be read.

use std::collections::BTreeMap;

use crate::model::build::{SetMember, Stage};
use crate::model::identity::ChangeId;
use crate::model::plan::{Decision, SubjectPlan};

use super::decide::Deciding;
use super::decided::Decided;
use super::look::View;
use super::openness::{Changes, Open, State};
use super::sets::Graph;
use super::trust::trusted;

impl Deciding<'_, '_> {
    /// Whether another change's build has this one with its present head.
    pub(crate) fn covered(
        &self,
        id: &ChangeId,
        open: &Open<'_>,
        decided: &Decided,
    ) -> Option<Decision> {
        let has = |set: &[SetMember]| {
            set.iter().any(|member| member.change == *id && member.head == open.listed.head)
        };
        let by = decided.above(id).find(|(_, plan)| {
            plan.decision.stands()
                && has(&plan.set)
                && (plan.trusted || self.approved(&plan.subject, &plan.set))
        });
        if let Some((by, _)) = by {
            let reason = format!("{by} depends on it and is built with it");
            return Some(Decision::Covered { by: by.clone(), reason });
        }
        // A change that cannot be read now neither adds nor removes cover.
        if !self.changes.uncertain && !decided.unknown() {
            return None;
        }
        self.view.ledger.attempts.iter().find_map(|(subject, attempts)| {
            let other = subject.change().filter(|other| *other != id)?;
            let undecided = |plan: &SubjectPlan| matches!(*plan.decision, Decision::Unknown { .. });
            let unread = matches!(self.changes.states.get(other), Some(State::Unknown(_)))
                || decided.get(other).is_some_and(undecided)
                || self.changes.unread.contains_key(&other.repository);
            let last = attempts.last()?;
            // One that was pushed to since may have left it behind.
            let built = last.set.iter().find(|member| member.change == *other);
            let seen = self.view.ledger.changes.get(other).map(|facts| facts.head);
            let unread = unread && built.is_none_or(|own| seen.is_none_or(|seen| seen == own.head));
            (unread && last.stage != Stage::Dropped && has(&last.set)).then(|| Decision::Covered {
                by: other.clone(),
                reason: format!("{other} was built with it and cannot be read now"),
            })
        })
    }

    /// A change that cannot be decided now and would cover this one if it could.
    pub(crate) fn unread_above<'s>(
        &'s self,
        id: &ChangeId,
        decided: &'s Decided,
    ) -> Option<&'s ChangeId> {
        let undecided = decided
            .above(id)
            .find(|(_, plan)| plan.trusted && matches!(*plan.decision, Decision::Unknown { .. }));
        undecided.map(|(other, _)| other).or_else(|| self.below.get(id))
    }
}

/// Everything that changes whose state is not known depended on when last known. Such a change
/// covers nothing, but that it cannot be read must not make anything be built either.
pub(crate) fn below(
    view: &View<'_>,
    changes: &Changes<'_>,
    graph: &Graph<'_>,
) -> BTreeMap<ChangeId, ChangeId> {
    let mut below = BTreeMap::new();
    let mut queue: Vec<(&ChangeId, &ChangeId)> = changes
        .hiding
        .iter()
        .filter(|(above, _)| trusted(view, above))
        .flat_map(|(above, members)| members.iter().map(move |member| (above, member)))
        .collect();
    while let Some((above, id)) = queue.pop() {
        if above != id && !below.contains_key(id) {
            below.insert(id.clone(), above.clone());
            queue.extend(graph.members(id).map(|member| (above, member)));
            let hidden = changes.hiding.get(id);
            queue.extend(hidden.into_iter().flatten().map(|member| (above, member)));
        }
    }
    below
}
