//! Sets that were green together and are merged in part: the mainline waits for the rest of them.

use std::collections::BTreeMap;

use crate::model::build::{SetMember, Stage, Verdict};
use crate::model::identity::{Fingerprint, Name};
use crate::model::ledger_view::AttemptView;
use crate::model::observed::Purpose;
use crate::model::time::{Span, Timestamp};

use super::fate::{Fated, fated};
use super::look::View;
use super::openness::{Changes, State, base};
use super::tracked::Tracked;

/// How long the mainline waits at most, if pushes may be gathered for as long.
const WAIT: Span = Span::minutes(15);

/// What became of a member with the head that was built.
enum Member {
    Merged,
    Open,
    /// It may be either, as far as can be read now: waiting is what triggers nothing.
    Either,
    /// Closed, pushed to, or no part of the workspace any more: that set will not be whole.
    Other,
}

/// What the mainline waits for.
#[derive(Default)]
pub(crate) struct Partly {
    /// All such sets by fingerprint, with when each was first seen.
    pub(crate) since: BTreeMap<Fingerprint, Timestamp>,
    /// Until when that is so, and why.
    pub(crate) waiting: Option<(Timestamp, String)>,
}

/// Looks for them among the last sets that were built.
pub(crate) fn partly(view: &View<'_>, tracked: &Tracked, changes: &Changes<'_>) -> Partly {
    let mut partly = Partly::default();
    let known = view.ledger.mainline.as_ref().map(|facts| &facts.partly);
    let wait = WAIT.min(view.settings.mainline.settle_at_most);
    for (subject, attempts) in &view.ledger.attempts {
        let (Some(top), Some(green)) = (subject.change(), green(&view.settings.ci, attempts))
        else {
            continue;
        };
        if !view.in_scope(&top.repository) {
            continue;
        }
        view.about(Some(&top.repository));
        let Some(merged) = in_part(view, tracked, changes, &green.set) else { continue };
        let since = known.and_then(|known| known.get(&green.fingerprint)).copied();
        // A time that is still to come was written by a clock that was put back since.
        let since = since.map_or(view.at(), |since| since.min(view.at()));
        partly.since.insert(green.fingerprint, since);
        let until = since + wait;
        if view.until(until) && partly.waiting.as_ref().is_none_or(|(known, _)| *known < until) {
            let reason = format!(
                "the set of {top} was green together and is partly merged ({}); the mainline waits \
                 for the rest of it for {wait} at most, or until one of it is closed or pushed to",
                merged.change
            );
            partly.waiting = Some((until, reason));
        }
    }
    view.about(None);
    partly
}

/// The last attempt with a set of several, if its fingerprint is green on every CI that judged it.
fn green<'a>(cis: &[Name], attempts: &'a [AttemptView]) -> Option<&'a AttemptView> {
    let last = last_together(attempts)?;
    let same = |ci: &Name| {
        let of =
            |attempt: &&AttemptView| attempt.ci == *ci && attempt.fingerprint == last.fingerprint;
        attempts.iter().rev().filter(judged).find(of)
    };
    let mut verdicts = cis.iter().filter_map(same).map(|attempt| attempt.stage).peekable();
    verdicts.peek()?;
    verdicts.all(|stage| stage == Stage::Ended(Verdict::Success)).then_some(last)
}

/// The last attempt with a set of several that was judged.
pub(crate) fn last_together(attempts: &[AttemptView]) -> Option<&AttemptView> {
    attempts.iter().rev().filter(judged).find(|attempt| attempt.set.len() > 1)
}

fn judged(attempt: &&AttemptView) -> bool {
    matches!(attempt.stage, Stage::Ended(Verdict::Success | Verdict::Failure))
}

/// The first member that is merged or may be, if another one is still open or may be.
fn in_part<'s>(
    view: &View<'_>,
    tracked: &Tracked,
    changes: &Changes<'_>,
    set: &'s [SetMember],
) -> Option<&'s SetMember> {
    // What is in the lists costs no question; a set of which nothing is open there is over.
    let listed = |member: &SetMember| changes.states.contains_key(&member.change);
    let unread = |member: &SetMember| changes.unread.contains_key(&member.change.repository);
    if !set.iter().any(|member| listed(member) || unread(member)) {
        return None;
    }
    let (mut merged, mut open, mut either) = (Vec::new(), 0, Vec::new());
    for member in set {
        match became(view, tracked, changes, member) {
            Member::Merged => merged.push(member),
            Member::Open => open += 1,
            Member::Either => either.push(member),
            Member::Other => return None,
        }
    }
    let rest = open + either.len();
    match (merged.first(), either.first()) {
        (Some(first), _) if rest > 0 => Some(first),
        (None, Some(first)) => Some(first),
        _ => None,
    }
}

fn became(view: &View<'_>, tracked: &Tracked, changes: &Changes<'_>, member: &SetMember) -> Member {
    let change = &member.change;
    let Some(repository) = tracked.repositories.get(&change.repository) else {
        return Member::Other;
    };
    let same = |of_that: Member, head| if head == member.head { of_that } else { Member::Other };
    match changes.states.get(change) {
        Some(State::Open(open)) => same(Member::Open, open.listed.head),
        Some(State::Merged { head, .. }) => same(Member::Merged, *head),
        Some(State::Unknown(_)) => last_known(view, member),
        None if changes.unread.contains_key(&change.repository) => Member::Either,
        None => match fated(view, repository, change) {
            Fated::Merged { .. } => {
                let last = view.ledger.changes.get(change).map(|facts| facts.head);
                same(Member::Merged, last.unwrap_or(member.head))
            }
            Fated::Closed | Fated::Missing => Member::Other,
            Fated::Unknown(_) => Member::Either,
        },
    }
}

/// By the last list that was read: an outage alone makes nobody wait.
fn last_known(view: &View<'_>, member: &SetMember) -> Member {
    let SetMember { change, head, .. } = member;
    let part = view.repository(&change.repository);
    let listing = part.and_then(|part| part.listing.last_known(Purpose::Hiding));
    let Some((listing, listed)) =
        listing.and_then(|listing| Some((listing, listing.change(change.number)?)))
    else {
        return Member::Either;
    };
    if listed.head != *head {
        return Member::Other;
    }
    if listed.forge.is_some() {
        return Member::Open;
    }
    let tip = base(listing, listed).and_then(|base| listing.branches.get(base));
    match tip.map(|tip| view.contains(&change.repository, *head, *tip)) {
        None | Some(Ok(false)) => Member::Open,
        Some(Ok(true)) => Member::Merged,
        Some(Err(_)) => Member::Either,
    }
}
