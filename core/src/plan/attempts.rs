//! What the attempts of a fingerprint say: whether it is spent, under way, or to be tried (again).

use crate::model::build::{Cause, SetMember, Stage, Verdict};
use crate::model::identity::{Fingerprint, Name, Subject};
use crate::model::ledger_view::{AttemptView, Rebuild};
use crate::model::plan::{Blocked, Decision, FingerprintPart, Held, Superseded};
use crate::model::time::{Span, Timestamp};
use thin_vec::ThinVec;

use super::again::Again;
use super::fingerprint::{self, moved};
use super::look::View;

/// Waits after the first and second attempt that ended without a verdict.
const RETRIES: [Span; 2] = [Span::minutes(2), Span::minutes(20)];

/// A build that a CI should get now.
pub(crate) struct Due {
    pub(crate) ci: Name,
    pub(crate) attempt: u32,
    pub(crate) cause: Cause,
    pub(crate) reason: String,
}

/// What is to be done for a fingerprint that may be built.
pub(crate) struct Standing {
    pub(crate) decision: Decision,
    pub(crate) due: Vec<Due>,
}

enum One {
    Due(Due),
    Open(String),
    Retry(Timestamp, String),
    Blocked(String),
    Spent(String),
}

/// All attempts of a subject, oldest first.
pub(crate) fn of<'a>(view: &View<'a>, subject: &Subject) -> &'a [AttemptView] {
    view.ledger.attempts.get(subject).map_or(&[], Vec::as_slice)
}

/// Whether some CI has this fingerprint already, in whatever state.
pub(crate) fn known(view: &View<'_>, subject: &Subject, fingerprint: Fingerprint) -> bool {
    of(view, subject)
        .iter()
        .any(|attempt| attempt.fingerprint == fingerprint && attempt.stage != Stage::Dropped)
}

/// Whether a build of it had all these members, with whatever manifest.
pub(crate) fn had(view: &View<'_>, subject: &Subject, members: &[SetMember]) -> bool {
    of(view, subject).iter().any(|attempt| {
        attempt.stage != Stage::Dropped && members.iter().all(|one| attempt.set.contains(one))
    })
}

/// The rebuild of a subject that a person asked for, unless every CI got an attempt since.
pub(crate) fn rebuild<'a>(view: &View<'a>, subject: &Subject) -> Option<&'a Rebuild> {
    let rebuild = view.ledger.rebuilds.get(subject)?;
    view.settings.ci.iter().any(|ci| awaits(view, subject, ci, rebuild)).then_some(rebuild)
}

fn awaits(view: &View<'_>, subject: &Subject, ci: &Name, rebuild: &Rebuild) -> bool {
    of(view, subject).iter().filter(|a| a.ci == *ci).all(|attempt| attempt.decided_at < rebuild.at)
}

/// Whether a person asked that this be built although another build covers it: until it was, and
/// for the fingerprint that was.
pub(crate) fn alone(view: &View<'_>, subject: &Subject, fingerprint: Fingerprint) -> bool {
    view.ledger.rebuilds.get(subject).is_some_and(|asked| {
        asked.alone
            && (rebuild(view, subject).is_some()
                || of(view, subject)
                    .iter()
                    .any(|a| a.fingerprint == fingerprint && a.decided_at >= asked.at))
    })
}

/// Compares the fingerprint, made of `parts`, with what every CI of the workspace did with it. What has a verdict is
/// built again only with `again`.
pub(crate) fn standing(
    view: &View<'_>,
    subject: &Subject,
    fingerprint: Fingerprint,
    parts: &dyn Fn() -> Vec<FingerprintPart>,
    again: Option<&Again<'_>>,
) -> Standing {
    let mut due = Vec::new();
    let (mut open, mut retry, mut blocked, mut spent) = (None, None, None, None);
    for ci in &view.settings.ci {
        match one(view, subject, fingerprint, parts, again, ci) {
            One::Due(wanted) => due.push(wanted),
            One::Open(reason) => open = open.or(Some(reason)),
            One::Retry(at, reason) => retry = retry.or(Some((at, reason))),
            One::Blocked(reason) => blocked = blocked.or(Some(reason)),
            One::Spent(reason) => spent = spent.or(Some(reason)),
        }
    }
    let decision = if let Some(first) = due.first() {
        Decision::Build { reason: first.reason.clone() }
    } else if let Some(reason) = open {
        Decision::Build { reason }
    } else if let Some((until, reason)) = retry {
        Decision::Held { why: Held::Retry, reason, until: Some(until) }
    } else if let Some(reason) = blocked {
        Decision::Blocked { why: Blocked::Ci, reason }
    } else if let Some(reason) = spent {
        Decision::Unchanged { reason }
    } else {
        Decision::Blocked {
            why: Blocked::Ci,
            reason: "the workspace names no CI; add one under `ci`".to_owned(),
        }
    };
    Standing { decision, due }
}

fn one(
    view: &View<'_>,
    subject: &Subject,
    fingerprint: Fingerprint,
    parts: &dyn Fn() -> Vec<FingerprintPart>,
    again: Option<&Again<'_>>,
    ci: &Name,
) -> One {
    let all = of(view, subject);
    let mut same: Vec<&AttemptView> = all
        .iter()
        .filter(|attempt| attempt.ci == *ci && attempt.fingerprint == fingerprint)
        .collect();
    // By number, not by a clock that may have been put back between two of them.
    same.sort_by_key(|attempt| attempt.attempt);
    let next = same.iter().map(|attempt| attempt.attempt).max().unwrap_or(0).saturating_add(1);
    if let Some(attempt) = same.iter().find(|attempt| attempt.stage.open()) {
        return One::Open(format!(
            "attempt {} on {ci} is {}",
            attempt.attempt,
            attempt.stage.word()
        ));
    }
    if let Some(rebuild) = view.ledger.rebuilds.get(subject)
        && awaits(view, subject, ci, rebuild)
    {
        let reason = format!("{} asked for a rebuild at {}", rebuild.by, rebuild.at);
        return One::Due(Due { ci: ci.clone(), attempt: next, cause: Cause::Person, reason });
    }
    let ended: Vec<(&AttemptView, Verdict)> = same
        .iter()
        .filter_map(|attempt| match attempt.stage {
            Stage::Ended(verdict) => Some((*attempt, verdict)),
            _ => None,
        })
        .collect();
    let Some((last, verdict)) = ended.last() else {
        let (cause, reason) = match all.iter().rev().find(|attempt| attempt.ci == *ci) {
            None => (Cause::New, "it was never built".to_owned()),
            Some(before) if before.fingerprint == fingerprint => {
                (before.retried(), "its last build was dropped before it ended".to_owned())
            }
            Some(before) => {
                let (built, parts) = (before.parts.parts(), parts());
                let moved = moved(&built, &parts);
                let only_epoch = fingerprint::only_epoch(&built, &parts);
                let cause = if only_epoch { Cause::Epoch } else { Cause::New };
                let moved = moved.join("; ");
                (cause, if moved.is_empty() { "its set moved".to_owned() } else { moved })
            }
        };
        return One::Due(Due { ci: ci.clone(), attempt: next, cause, reason });
    };
    let note = last.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
    let ended_at = last.ended_at.unwrap_or(last.decided_at);
    if verdict.spends() {
        let due = again.and_then(|again| again.due(view, all, (last, *verdict)));
        if let Some((cause, reason)) = due {
            return One::Due(Due { ci: ci.clone(), attempt: next, cause, reason });
        }
        let link = last.link.as_deref().map(|link| format!(", {link}")).unwrap_or_default();
        let suspect = match (verdict, last.mainline) {
            (Verdict::Failure, Some(Verdict::Failure)) => {
                "; the mainline was red then, so it is built again once that is green"
            }
            _ => "",
        };
        let word = verdict.word();
        return One::Spent(format!("{ci} ended with {word} at {ended_at}{link}{suspect}"));
    }
    if *verdict == Verdict::Refused {
        return One::Blocked(format!(
            "{ci} refused it{note}; mend that, then `crosswatch rebuild`"
        ));
    }
    let lost = ended.iter().rev().take_while(|(_, verdict)| *verdict == Verdict::Lost).count();
    match RETRIES.get(lost.saturating_sub(1)) {
        None => One::Blocked(format!(
            "{ci} lost {lost} attempts{note}; look at {ci}, then `crosswatch rebuild`"
        )),
        Some(wait) => {
            let at = ended_at + *wait;
            // It cannot have ended in the future: the clock was put back, and this time comes again.
            if ended_at <= view.at() && view.until(at) {
                One::Retry(
                    at,
                    format!("{ci} lost attempt {}{note}; tried again at {at}", last.attempt),
                )
            } else {
                let reason = format!("{ci} lost attempt {}{note}", last.attempt);
                One::Due(Due { ci: ci.clone(), attempt: next, cause: last.retried(), reason })
            }
        }
    }
}

/// Open attempts of a subject that are no longer wanted, because it has `fingerprint` now or is gone.
pub(crate) fn superseded(
    view: &View<'_>,
    subject: &Subject,
    fingerprint: Option<Fingerprint>,
    why: &str,
) -> ThinVec<Superseded> {
    of(view, subject)
        .iter()
        .filter(|attempt| attempt.stage.open() && Some(attempt.fingerprint) != fingerprint)
        .map(|attempt| Superseded {
            request_id: attempt.request_id,
            why: why.to_owned(),
            cancel: *subject != Subject::Mainline,
        })
        .collect()
}
