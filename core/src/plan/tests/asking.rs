//! What tests ask of a world's plan.

use super::world::{World, subject};
use crate::model::plan::{Decision, Plan, SubjectPlan};
use crate::plan::plan;

impl World {
    pub(super) fn planned(&mut self, text: &str) -> SubjectPlan {
        let made = self.plan();
        let workspace = made.workspaces.first().expect("a workspace");
        workspace.subject(&subject(text)).unwrap_or_else(|| panic!("no plan of {text}")).clone()
    }

    /// `held: settling` and the like.
    pub(super) fn decision(&mut self, text: &str) -> String {
        let decision = self.planned(text).decision;
        let word = decision.word();
        match decision {
            Decision::Held { why, .. } => format!("{word}: {why:?}"),
            Decision::Blocked { why, .. } => format!("{word}: {why:?}"),
            Decision::Covered { by, .. } => format!("{word}: {}#{}", by.repository.path, by.number),
            _ => word.to_owned(),
        }
    }

    /// A plan of this snapshot alone.
    pub(super) fn scratch(&self) -> Plan {
        plan(&self.snapshot, &self.ledger)
    }
}
