//! Plans as the planner would make them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::model::build::{
    BuildRequest, Cause, PackageHead, Primary, Priority, RequestId, SetMember, Verdict,
};
use crosswatch_core::model::fingerprint::Print;
use crosswatch_core::model::identity::{ChangeId, Fingerprint, Name, Oid, Subject};
use crosswatch_core::model::ledger_view::{Adopted, ChangeFacts, Look, Seen};
use crosswatch_core::model::made_of;
use crosswatch_core::model::part::Part;
use crosswatch_core::model::plan::{
    Decision, FingerprintPart, Plan, SetPlan, SubjectPlan, Trigger, WorkspacePlan,
};
use crosswatch_core::model::report::Reports;
use crosswatch_core::model::time::Timestamp;

pub(super) const AT: Timestamp = Timestamp(1_700_000_000_000);

pub(super) fn change(number: u64) -> ChangeId {
    format!("mirror/base/types#{number}").parse().expect("a change")
}

pub(super) fn set(number: u64) -> Vec<SetMember> {
    let head: Oid = format!("{number:040x}").parse().expect("a commit");
    vec![SetMember { change: change(number), head, base: Name::from("master") }]
}

/// A build of change `number` with its facts, triggered in workspace `w`.
pub(super) fn build(ledger: &str, number: u64) -> SubjectPlan {
    let subject = Subject::Change(change(number));
    let fingerprint = Fingerprint(*blake3::hash(&number.to_le_bytes()).as_bytes());
    let request = BuildRequest {
        request_id: RequestId::new(ledger, "w", &subject, "main", &fingerprint, 1),
        workspace: Name::from("w"),
        subject: subject.clone(),
        fingerprint,
        attempt: 1,
        cause: Cause::Recovery,
        reason: "new".to_owned(),
        mainline: Some(Verdict::Failure),
        decided_at: AT,
        set: set(number),
        overrides: Vec::new(),
        spellings: Vec::new(),
        heads: vec![PackageHead {
            package: Name::from("types"),
            repository: change(1).repository,
            head: set(number)[0].head,
        }]
        .into(),
        affected: vec![Name::from("types")],
        trusted: true,
        page: None,
        primary: Primary {
            repository_url: "file:///types".to_owned(),
            repository: None,
            branch: Name::from("master"),
            revision: None,
            author: None,
            committer: None,
            source_project_id: None,
            when: None,
        },
    };
    SubjectPlan {
        subject,
        decision: Decision::Build { reason: "new".to_owned() }.into(),
        of: Arc::new(SetPlan { set: set(number), ..SetPlan::default() }),
        trusted: true,
        candidate: None,
        print: Some(Print::Own(fingerprint)),
        triggers: vec![Trigger {
            ci: Name::from("main"),
            priority: Priority::Recent,
            request,
            parts: parts(number),
            needs_approval: false,
            approved_as: Vec::new(),
        }]
        .into(),
        superseded: [].into(),
    }
}

/// Of some the parts follow from the set, of others they do not.
fn parts(number: u64) -> Vec<FingerprintPart> {
    if number.is_multiple_of(2) {
        return vec![FingerprintPart { what: "head".to_owned(), value: number.to_string() }];
    }
    let own = made_of::workspace(&Name::from("w"), number);
    own.into_iter().chain(set(number).iter().map(made_of::member)).collect()
}

pub(super) fn facts(number: u64) -> (ChangeId, ChangeFacts) {
    let seen = Seen {
        first_seen: AT,
        head: set(number)[0].head,
        head_moved_at: AT,
        references: None,
        references_moved_at: AT,
        awaited: std::collections::BTreeMap::new(),
        forge: None,
        asked: None,
    };
    (change(number), ChangeFacts { adopted: Adopted::No, seen: Arc::new(seen) })
}

pub(super) fn plan(subjects: Vec<SubjectPlan>) -> Plan {
    let repository = change(1).repository;
    let part = WorkspacePlan {
        inputs: None,
        workspace: Name::from("w"),
        id: Name::from("w"),
        epoch: 0,
        facts: subjects
            .iter()
            .filter_map(|plan| plan.subject.change().map(|change| facts(change.number)))
            .collect(),
        parts: Part::all(subjects, BTreeMap::new()).into(),
        watched: Arc::default(),
        unwatched: Arc::default(),
        looks: vec![Look { repository, branch: Name::from("master") }],
        mainline: None,
        reports: Reports::default(),
    };
    Plan { at: AT, workspaces: vec![Arc::new(part)], wanted: BTreeSet::new(), next_at: None }
}
