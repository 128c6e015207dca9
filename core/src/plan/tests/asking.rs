//! What tests ask of a world's plan.

use super::world::{World, subject};
use crate::model::identity::Fingerprint;
use crate::model::plan::{Decision, FingerprintPart, Plan, SubjectPlan};
use crate::plan::explain::Explainer;
use crate::plan::plan;

impl World {
    pub(super) fn planned(&mut self, text: &str) -> SubjectPlan {
        let made = self.plan();
        let workspace = made.workspaces.first().expect("a workspace");
        let planned = workspace.subject(&subject(text));
        SubjectPlan::clone(planned.unwrap_or_else(|| panic!("no plan of {text}")))
    }

    /// Its fingerprint.
    pub(super) fn fingerprint(&mut self, text: &str) -> Option<Fingerprint> {
        let made = self.plan();
        let workspace = made.workspaces.first().expect("a workspace");
        workspace.fingerprint(workspace.subject(&subject(text))?)
    }

    /// What a fingerprint is made of.
    pub(super) fn parts(&mut self, text: &str) -> Vec<FingerprintPart> {
        let made = self.plan();
        let planned = self.planned(text);
        let workspace = made.workspaces.first().expect("a workspace");
        let explainer = Explainer::new(&self.snapshot, &self.ledger, workspace);
        explainer.expect("they belong together").parts(&planned)
    }

    /// `held: settling` and the like.
    pub(super) fn decision(&mut self, text: &str) -> String {
        let decision = self.planned(text).decision;
        let word = decision.word();
        match &*decision {
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
