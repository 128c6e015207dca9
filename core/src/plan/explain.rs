//! Why a subject is decided as it is: the chain from the manifest to the decision, as data.
//!
//! [`Explanation::text`] is what people read of it.

use serde::Serialize;

use super::explain_rules::{released, rule};
use super::explain_text as words;
use super::fingerprint;
use super::look::View;
use super::mainline::mainline;
use super::queue;
use super::tracked::{Tracked, tracked};
use super::trust;
use crate::model::build::{PackageHead, SetMember};
use crate::model::change::{OpenRef, Rights};
use crate::model::identity::{ChangeId, Fingerprint, Name, Oid, RepositoryId, Subject};
use crate::model::ledger_view::{AttemptView, LedgerView, WorkspaceLedger};
use crate::model::observed::Purpose;
use crate::model::plan::{CandidatePlan, Decision, FingerprintPart, SubjectPlan, WorkspacePlan};
use crate::model::settings::WorkspaceSettings;
use crate::model::snapshot::Snapshot;
use crate::model::time::Timestamp;
use crate::references::{Finding, Written};

/// Explains the subjects of one workspace; what they share is worked out once.
pub struct Explainer<'a> {
    view: View<'a>,
    plan: &'a WorkspacePlan,
    tracked: Tracked,
}

/// Everything that a decision was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Workspace.
    pub workspace: Name,
    /// Mainline or change.
    pub subject: Subject,
    /// What the decision was made at.
    pub at: Timestamp,
    /// The decision.
    pub decision: Decision,
    /// The rule by which it is so, with the keys of the configuration that it follows.
    pub rule: String,
    /// What releases it, or what would change it.
    pub released: String,
    /// Why the manifest in force is not the newest, if it is not.
    pub manifest: Option<String>,
    /// What the workspace tracks that makes the subject matter.
    pub tracked: Vec<Tracking>,
    /// Every reference that led into the set, and those that led nowhere.
    pub references: Vec<Reference>,
    /// The change and all that it depends on, dependencies first.
    pub set: Vec<Member>,
    /// What the set makes of the manifest, where it touches what decides that.
    pub candidate: Option<CandidatePlan>,
    /// Who approved exactly this set, if somebody did.
    pub approved: Option<String>,
    /// Fingerprint, if everything in it is known.
    pub fingerprint: Option<Fingerprint>,
    /// What it is made of.
    pub parts: Vec<Part>,
    /// Parts of the last other fingerprint that are gone.
    pub left: Vec<FingerprintPart>,
    /// The last other fingerprint and what is known of it.
    pub compared_with: Option<String>,
    /// Attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Builds that this decision triggers, by CI.
    pub triggers: Vec<Name>,
    /// Clear references that fail.
    pub findings: Vec<Finding>,
    /// Things that only our page shows.
    pub notes: Vec<Finding>,
}

/// A branch that the workspace tracks, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tracking {
    /// Repository.
    pub repository: RepositoryId,
    /// Branch, when it is known.
    pub branch: Option<Name>,
    /// What comes from it, such as `package types of the manifest`.
    pub because: Vec<String>,
}

/// Where a dependency is written, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The change in whose text it stands.
    pub of: ChangeId,
    /// The reference.
    #[serde(flatten)]
    pub written: Written,
    /// What became of it.
    pub became: String,
}

/// A member of the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Change, head and base.
    #[serde(flatten)]
    pub member: SetMember,
    /// Whether the head needs no approval.
    pub trusted: bool,
    /// Why that is so.
    pub trust: String,
    /// The ref that a build checks out, unless another member contains this one.
    pub ref_name: Option<String>,
    /// Why that one.
    pub ref_choice: String,
    /// Packages that it is checked out for.
    pub packages: Vec<Name>,
}

/// One thing that the fingerprint is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What and its value.
    #[serde(flatten)]
    pub part: FingerprintPart,
    /// What it was in the last other fingerprint; nothing if it was not in it.
    pub before: Option<String>,
    /// Whether it moved since then.
    pub moved: bool,
}

impl<'a> Explainer<'a> {
    /// For one workspace; nothing if the plan, the settings and the ledger do not belong together.
    pub fn new(
        snapshot: &'a Snapshot,
        ledger: &'a LedgerView,
        plan: &'a WorkspacePlan,
    ) -> Option<Self> {
        static EMPTY: WorkspaceLedger = WorkspaceLedger::EMPTY;
        let settings: &WorkspaceSettings = snapshot.settings.workspace(&plan.workspace)?;
        let part = ledger.workspaces.get(&settings.id).map_or(&EMPTY, |part| part);
        let view = View::new(snapshot, settings, part, &ledger.ledger_id);
        let tracked = tracked(&view);
        Some(Self { view, plan, tracked })
    }

    /// The whole chain of one subject.
    pub fn explain(&self, subject: &SubjectPlan) -> Explanation {
        let settings = self.view.settings;
        let ledger = self.view.ledger;
        let attempts = ledger.attempts.get(&subject.subject).map_or(&[][..], Vec::as_slice);
        let parts = self.parts(subject);
        let (compared_with, before) = self.before(subject, attempts, &parts);
        let part = |part: &FingerprintPart| {
            let old = before.iter().find(|old| old.what == part.what).map(|old| old.value.clone());
            let moved = compared_with.is_some() && old.as_ref() != Some(&part.value);
            Part { part: part.clone(), before: old, moved }
        };
        let gone = |old: &&FingerprintPart| !parts.iter().any(|new| new.what == old.what);
        let approval = ledger
            .approvals
            .iter()
            .find(|approval| approval.releases(&subject.subject, &subject.set));
        Explanation {
            workspace: self.plan.workspace.clone(),
            subject: subject.subject.clone(),
            at: self.view.at(),
            decision: Decision::clone(&subject.decision),
            rule: rule(subject, settings),
            released: released(subject, settings),
            manifest: self
                .view
                .part
                .and_then(|part| part.manifest.unknown())
                .map(|unknown| format!("not known since {}: {}", unknown.since, unknown.why)),
            tracked: self.trackings(subject),
            references: self.references(subject),
            set: subject.set.iter().map(|member| self.member(subject, member)).collect(),
            candidate: subject.candidate.as_deref().cloned(),
            approved: approval.map(|approval| format!("by {} at {}", approval.by, approval.at)),
            fingerprint: self.plan.fingerprint(subject),
            parts: parts.iter().map(part).collect(),
            left: before.iter().filter(gone).cloned().collect(),
            compared_with,
            attempts: attempts.to_vec(),
            triggers: subject.triggers.iter().map(|trigger| trigger.ci.clone()).collect(),
            findings: subject.findings.clone(),
            notes: subject.notes.clone(),
        }
    }

    /// What the fingerprint of a subject is made of, if that is known.
    pub fn parts(&self, subject: &SubjectPlan) -> Vec<FingerprintPart> {
        if subject.print.is_none() {
            return Vec::new();
        }
        let difference = subject.candidate.as_ref().and_then(|plan| plan.difference.as_ref());
        let digest = difference.and_then(|difference| difference.digest);
        match &subject.subject {
            Subject::Mainline => {
                let mainline = mainline(&self.view, &self.tracked, None);
                mainline.map(|mainline| mainline.parts(&self.view)).unwrap_or_default()
            }
            Subject::Change(_) => fingerprint::parts_of_set(&self.view, &subject.set, digest),
            Subject::Queue(queue) => queue::parts(&self.view, queue, subject, digest),
        }
    }

    /// The last fingerprint that was another one than now, in words and in parts.
    fn before(
        &self,
        subject: &SubjectPlan,
        attempts: &[AttemptView],
        parts: &[FingerprintPart],
    ) -> (Option<String>, Vec<FingerprintPart>) {
        let Some(now) = self.plan.fingerprint(subject) else { return (None, Vec::new()) };
        if let Some(last) = attempts.iter().rev().find(|attempt| attempt.fingerprint != now) {
            let text = format!(
                "{}, of which attempt {} on {} was decided at {}",
                words::short(&last.fingerprint),
                last.attempt,
                last.ci,
                last.decided_at
            );
            return (Some(text), last.parts.parts());
        }
        let facts = self.view.ledger.mainline.as_ref();
        match facts.filter(|facts| subject.subject == Subject::Mainline && facts.recorded != now) {
            Some(facts) => {
                let text = format!("{}, found when the watch began", words::short(&facts.recorded));
                // Only heads are kept of it; the other parts are taken to be as they are.
                let of_head = |head: &PackageHead| FingerprintPart {
                    what: format!("{} from {}", head.package, head.repository),
                    value: head.head.to_string(),
                };
                let mut before: Vec<FingerprintPart> = facts.heads.iter().map(of_head).collect();
                let other = |part: &&FingerprintPart| !part.what.contains(" from ");
                before.extend(parts.iter().filter(other).cloned());
                (Some(text), before)
            }
            None => (None, Vec::new()),
        }
    }

    fn trackings(&self, subject: &SubjectPlan) -> Vec<Tracking> {
        let own = subject.subject.repository();
        let base = match &subject.subject {
            Subject::Mainline => None,
            Subject::Change(own) => {
                let of = subject.set.iter().find(|member| member.change == *own);
                of.map(|member| &member.base)
            }
            Subject::Queue(queue) => Some(&self.view.oldest(&queue.repository, &queue.base)),
        };
        let mut trackings: Vec<Tracking> = Vec::new();
        for (id, repository) in &self.tracked.repositories {
            if own.is_some_and(|own| own != id) {
                continue;
            }
            for used in &repository.uses {
                let pinned = used.pin.is_some();
                let matters = base.is_none_or(|base| pinned || used.branch.as_ref() == Some(base));
                if !matters {
                    continue;
                }
                let because = words::tracked_because(used, self.view.settings);
                let branch = used.branch.as_ref().map(|branch| self.view.present(id, branch));
                let same = |tracking: &&mut Tracking| {
                    tracking.repository == *id && tracking.branch == branch
                };
                match trackings.iter_mut().find(same) {
                    Some(tracking) => tracking.because.push(because),
                    None => trackings.push(Tracking {
                        repository: id.clone(),
                        branch: branch.clone(),
                        because: vec![because],
                    }),
                }
            }
        }
        trackings
    }

    fn references(&self, subject: &SubjectPlan) -> Vec<Reference> {
        let mut references = Vec::new();
        let mut add = |of: &ChangeId, written: &[Written]| {
            references.extend(written.iter().map(|written| Reference {
                of: of.clone(),
                became: became(subject, written),
                written: written.clone(),
            }));
        };
        if let Some(own) = subject.subject.change() {
            add(own, &subject.references);
        }
        for SetMember { change, head, .. } in &subject.set {
            if subject.subject.change() == Some(change) {
                continue;
            }
            match self.plan.subject(&Subject::Change(change.clone())) {
                Some(plan) => add(change, &plan.references),
                None => {
                    let repository = &change.repository;
                    let pull = self.listed(change, *head).and_then(|listed| listed.forge.as_ref());
                    let commit = self.view.last_commit(repository, *head, Purpose::Display);
                    let references = match (pull, commit) {
                        (Some(pull), _) => {
                            let reading = &self.view.settings.changes.reading;
                            pull.references.by(reading).map_or(&[][..], |read| &read.references)
                        }
                        (None, Some(commit)) => &commit.references.references,
                        (None, None) => &[],
                    };
                    add(change, references);
                }
            }
        }
        references
    }

    fn member(&self, subject: &SubjectPlan, member: &SetMember) -> Member {
        let change = &member.change;
        let forge = self.view.snapshot.settings.forge(&change.repository.forge);
        let trusted = trust::trusted(&self.view, change);
        let chosen = subject.overrides.iter().find(|entry| entry.change == *change);
        let listed = self.listed(change, member.head);
        let kind = self.view.settings.changes.ref_kind;
        let facts = self.view.ledger.changes.get(change).and_then(|facts| facts.forge.as_ref());
        let last = facts.and_then(|facts| facts.choice);
        let writes = !trusted && self.may_write(change);
        Member {
            member: member.clone(),
            trusted: trusted || writes,
            trust: match listed.and_then(|listed| listed.forge.as_deref()) {
                Some(_) if writes => {
                    "trusted: its author may write to the repository, and owns the \
                                      one that its head comes from"
                        .to_owned()
                }
                Some(pull) => trust::why(&self.view.settings.changes, change, pull),
                None => words::trust(trusted, forge.map(|forge| &**forge)),
            },
            ref_name: chosen.map(|entry| entry.ref_name.clone()),
            ref_choice: match subject.subject.queue() {
                Some(queue) if queue::has(&self.view, queue, member) => words::queued(chosen),
                _ => words::ref_choice(kind, chosen, listed, last),
            },
            packages: chosen.map(|entry| entry.packages.clone()).unwrap_or_default(),
        }
    }

    /// Whether the forge was asked about its author and said so.
    fn may_write(&self, change: &ChangeId) -> bool {
        let Some(login) = trust::asked_for(&self.view, change) else { return false };
        let rights = self.view.rights(&change.repository, &login);
        matches!(rights, Ok(Rights::Write) | Err((_, Some(Rights::Write))))
    }

    fn listed(&self, change: &ChangeId, head: Oid) -> Option<&OpenRef> {
        let listing = self.view.repository(&change.repository)?.listing.value()?;
        listing.changes.iter().find(|open| open.number == change.number && open.head == head)
    }
}

/// What became of a reference.
fn became(subject: &SubjectPlan, written: &Written) -> String {
    if subject.set.iter().any(|member| member.change == written.change) {
        return "a member of the set".to_owned();
    }
    let said = subject
        .findings
        .iter()
        .chain(&subject.notes)
        .find(|said| said.line == written.line && said.as_written == written.as_written);
    match said {
        Some(said) => said.text.clone(),
        None => "no member of the set; the reason above says why, where that matters".to_owned(),
    }
}
