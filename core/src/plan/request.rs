//! The request that a CI gets for a decision.

use std::sync::Arc;

use crate::model::build::{BuildRequest, Cause, Primary, Priority, RequestId};
use crate::model::identity::{ChangeId, Fingerprint, Name, Subject};
use crate::model::plan::SubjectPlan;
use crate::model::time::Timestamp;

use super::again;
use super::attempts::Due;
use super::decide::Deciding;
use super::look::View;
use super::mainline::{self, Mainline};
use super::openness::Open;
use super::tracked::manifest;

/// Of a change and its set, or of an entry of a merge queue that ends with it.
pub(crate) fn of_change(
    deciding: &Deciding<'_, '_>,
    (id, open): (&ChangeId, &Open<'_>),
    plan: &SubjectPlan,
    fingerprint: Fingerprint,
    due: &Due,
) -> BuildRequest {
    let view = deciding.view;
    let repository_url = deciding
        .tracked
        .repositories
        .get(&id.repository)
        .map(|repository| repository.url.to_string())
        .unwrap_or_default();
    let author = open.listed.forge.as_ref().and_then(|forge| forge.author.as_ref());
    BuildRequest {
        request_id: request_id(view, &plan.subject, fingerprint, due),
        workspace: view.settings.name.clone(),
        subject: plan.subject.clone(),
        fingerprint,
        attempt: due.attempt,
        cause: due.cause,
        reason: due.reason.clone(),
        mainline: again::mainline(view, &due.ci),
        decided_at: decided_at(view, &plan.subject, due),
        set: plan.set.clone(),
        overrides: plan.overrides.clone(),
        spellings: view.settings.spellings.clone(),
        heads: Arc::clone(deciding.mainline),
        affected: deciding.affected(&plan.set),
        trusted: plan.trusted,
        page: page(view, &plan.subject),
        primary: Primary {
            repository_url,
            repository: Some(id.repository.clone()),
            branch: view.present(&id.repository, open.base),
            revision: Some(open.listed.head),
            author: author.map(|author| author.login.to_string()),
            committer: None,
            source_project_id: None,
            when: Some(open.dated),
        },
    }
}

/// Of the mainline.
pub(crate) fn of_mainline(view: &View<'_>, mainline: &Mainline, due: &Due) -> BuildRequest {
    let subject = Subject::Mainline;
    let before = view.ledger.mainline.as_ref().map_or(&[][..], |facts| &facts.heads);
    let changed = mainline::changed(before, &mainline.heads);
    let first = mainline.heads.iter().find(|head| changed.contains(&head.package));
    let source = view.settings.source.as_ref();
    let decided_at = decided_at(view, &subject, due);
    BuildRequest {
        request_id: request_id(view, &subject, mainline.fingerprint, due),
        workspace: view.settings.name.clone(),
        subject,
        fingerprint: mainline.fingerprint,
        attempt: due.attempt,
        cause: due.cause,
        reason: due.reason.clone(),
        mainline: again::mainline(view, &due.ci),
        decided_at,
        set: Vec::new(),
        overrides: Vec::new(),
        spellings: view.settings.spellings.clone(),
        heads: Arc::clone(&mainline.heads),
        affected: mainline::affected(manifest(view), &changed),
        trusted: true,
        page: page(view, &Subject::Mainline),
        primary: Primary {
            repository_url: mainline::source_url(view).unwrap_or_default(),
            repository: first.map(|head| head.repository.clone()),
            branch: source
                .and_then(|source| source.branch.clone())
                .unwrap_or_else(|| Name::from("master")),
            revision: first.map(|head| head.head),
            author: None,
            committer: None,
            source_project_id: None,
            when: Some(view.at()),
        },
    }
}

/// Never before a rebuild was asked for that this carries out: a clock that was put back meanwhile must
/// not make it look unanswered.
fn decided_at(view: &View<'_>, subject: &Subject, due: &Due) -> Timestamp {
    let asked = view.ledger.rebuilds.get(subject).filter(|_| due.cause == Cause::Person);
    asked.map_or(view.at(), |rebuild| rebuild.at.max(view.at()))
}

/// Who is served first: a person before all others, what only fills idle time after them.
pub(crate) fn priority(cause: Cause, usual: Priority) -> Priority {
    match cause {
        Cause::New => usual,
        Cause::Person => Priority::Person,
        Cause::Epoch | Cause::Recovery | Cause::Base => Priority::Idle,
    }
}

fn request_id(
    view: &View<'_>,
    subject: &Subject,
    fingerprint: Fingerprint,
    due: &Due,
) -> RequestId {
    let workspace = &view.settings.id;
    RequestId::new(view.ledger_id, workspace, subject, &due.ci, &fingerprint, due.attempt)
}

/// Page of a subject, if the daemon has a public address.
pub(crate) fn page(view: &View<'_>, subject: &Subject) -> Option<String> {
    let public = view.snapshot.settings.public_url.as_ref()?;
    let name = &view.settings.name;
    Some(match subject {
        Subject::Mainline => format!("{public}/workspaces/{name}"),
        Subject::Change(_) | Subject::Queue(_) => {
            format!("{public}/workspaces/{name}#{}", subject.to_string().replace('#', "-"))
        }
    })
}
