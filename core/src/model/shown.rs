//! A workspace's plan as it is shown: subjects one after the other, each with its fingerprint.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::identity::{ChangeId, Fingerprint, Name, RepositoryId, Subject};
use super::ledger_view::{ChangeFacts, Look, MainlineFacts};
use super::plan::{
    CandidatePlan, Decision, SetPlan, Superseded, Trigger, Unwatched, Watched, WorkspacePlan,
};
use super::question::Question;
use super::time::Timestamp;

impl Serialize for WorkspacePlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'p> {
            workspace: &'p Name,
            id: &'p Name,
            subjects: Vec<ShownSubject<'p>>,
            watched: &'p BTreeMap<RepositoryId, Watched>,
            unwatched: &'p [Unwatched],
            looks: &'p [Look],
            facts: &'p [(ChangeId, ChangeFacts)],
            mainline: &'p Option<MainlineFacts>,
            wanted: BTreeSet<Question>,
            consulted: BTreeSet<&'p Question>,
            next_at: Option<Timestamp>,
        }
        #[derive(Serialize)]
        struct ShownSubject<'p> {
            subject: &'p Subject,
            decision: &'p Decision,
            #[serde(flatten)]
            of: &'p SetPlan,
            trusted: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            candidate: Option<&'p CandidatePlan>,
            fingerprint: Option<Fingerprint>,
            triggers: &'p [Trigger],
            superseded: &'p [Superseded],
        }
        let shown = Shown {
            workspace: &self.workspace,
            id: &self.id,
            subjects: self
                .subjects()
                .map(|subject| ShownSubject {
                    subject: &subject.subject,
                    decision: &subject.decision,
                    of: &subject.of,
                    trusted: subject.trusted,
                    candidate: subject.candidate.as_deref(),
                    fingerprint: self.fingerprint(subject),
                    triggers: &subject.triggers,
                    superseded: &subject.superseded,
                })
                .collect(),
            watched: &self.watched,
            unwatched: &self.unwatched,
            looks: &self.looks,
            facts: &self.facts,
            mainline: &self.mainline,
            wanted: self.wanted(),
            consulted: self.consulted().collect(),
            next_at: self.next_at(),
        };
        shown.serialize(serializer)
    }
}
