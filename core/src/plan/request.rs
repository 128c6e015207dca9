//! The request that a CI gets for a decision.

use std::sync::Arc;

use crate::model::build::{BuildRequest, Cause, PackageHead, Primary, Priority, RequestId};
use crate::model::identity::{ChangeId, Fingerprint, Name, Subject};
use crate::model::plan::{SubjectPlan, Trigger};
use crate::model::time::Timestamp;

use super::again;
use super::attempts::Due;
use super::decide::Deciding;
use super::fingerprint;
use super::look::View;
use super::mainline::{self, Mainline};
use super::openness::Open;
use super::tracked::{Tracked, manifest};

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
        request_id: request_id(view, (&plan.subject, fingerprint, &due.ci, due.attempt)),
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

/// The same of a workspace that decides alike, made from that of another one: only what is its own differs.
pub(crate) fn alike(
    view: &View<'_>,
    tracked: &Tracked,
    heads: &Arc<[PackageHead]>,
    (plan, other): (&SubjectPlan, &Trigger),
) -> Trigger {
    let settings = view.settings;
    let request = &other.request;
    let print = plan.print.as_ref().map(|print| print.of(&settings.id, settings.epoch));
    let fingerprint = print.unwrap_or(request.fingerprint);
    let attempt = (&plan.subject, fingerprint, &other.ci, request.attempt);
    let request = BuildRequest {
        request_id: request_id(view, attempt),
        workspace: settings.name.clone(),
        fingerprint,
        mainline: again::mainline(view, &other.ci),
        spellings: settings.spellings.clone(),
        heads: Arc::clone(heads),
        affected: again::affected(tracked, (manifest(view), None), &plan.set),
        page: page(view, &plan.subject),
        ..request.clone()
    };
    let parts = fingerprint::parts_of_set(view, &plan.set, None);
    Trigger { request, parts, ..other.clone() }
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
        request_id: request_id(view, (&subject, mainline.fingerprint, &due.ci, due.attempt)),
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
    (subject, fingerprint, ci, attempt): (&Subject, Fingerprint, &Name, u32),
) -> RequestId {
    RequestId::new(view.ledger_id, &view.settings.id, subject, ci, &fingerprint, attempt)
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
