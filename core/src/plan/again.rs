//! What is built again although it has a verdict: failures that the mainline may have caused, and
//! sets whose mainline moved (`rebuild_on_base`). Both only fill idle time.

use std::collections::BTreeSet;

use crate::model::build::{Base, Cause, PackageHead, SetMember, Stage, Verdict};
use crate::model::candidate::Difference;
use crate::model::identity::{ChangeId, Name, Subject};
use crate::model::ledger_view::{AttemptView, MainlineFacts};
use crate::model::manifest::Manifest;
use crate::model::settings::RebuildOnBase;
use crate::model::time::Span;

use super::attempts;
use super::decide::Deciding;
use super::holds::last_moved;
use super::look::{Facts, View};
use super::mainline;
use super::openness::Open;
use super::sets::ChangeSet;
use super::tracked::Tracked;

/// How often a change is built again at most because the mainline moved.
const EVERY: Span = Span::hours(24);

/// How the last build of the mainline on a CI ended: success, failure, or nothing so far. Other ends
/// say nothing about the code.
pub(crate) fn mainline(view: &View<'_>, ci: &Name) -> Option<Verdict> {
    let judged = attempts::of(view, &Subject::Mainline).iter().filter_map(|attempt| {
        let Stage::Ended(verdict @ (Verdict::Success | Verdict::Failure)) = attempt.stage else {
            return None;
        };
        (attempt.ci == *ci).then_some(((attempt.ended_at, attempt.decided_at), verdict))
    });
    judged.max_by_key(|(times, _)| *times).map(|(_, verdict)| verdict)
}

/// What a build would stand on now, if that counts (`rebuild_on_base`) and no pushes to the mainline are
/// being gathered.
pub(crate) fn base(
    view: &View<'_>,
    heads: &[PackageHead],
    facts: Option<&MainlineFacts>,
) -> Option<Base> {
    if view.settings.changes.rebuild_on_base == RebuildOnBase::None {
        return None;
    }
    let rules = &view.settings.mainline;
    let settled_at = mainline::settled_at(facts?, rules.settle, rules.settle_at_most);
    if view.until(settled_at) {
        return None;
    }
    Base::of(heads, &[])
}

/// That a set may be built again, with what it would stand on now.
pub(crate) struct Again<'d> {
    all: Option<Base>,
    /// Worked out where the mainline moved at all.
    of_the_set: Box<dyn Fn() -> Option<Base> + 'd>,
}

impl Again<'_> {
    /// Why a set is to be built again whose last attempt on a CI ended so.
    pub(crate) fn due(
        &self,
        view: &View<'_>,
        all: &[AttemptView],
        (last, verdict): (&AttemptView, Verdict),
    ) -> Option<(Cause, String)> {
        let ci = &last.ci;
        let suspect = verdict == Verdict::Failure && last.mainline == Some(Verdict::Failure);
        if suspect && mainline(view, ci) == Some(Verdict::Success) {
            let reason =
                format!("it failed on {ci} while the mainline was red, which is green now");
            return Some((Cause::Recovery, reason));
        }
        let rule = view.settings.changes.rebuild_on_base;
        if rule == RebuildOnBase::None || verdict == Verdict::Cancelled {
            return None;
        }
        let before = last.base?;
        if before.all == self.all?.all {
            return None;
        }
        let what = match rule {
            RebuildOnBase::Affected if before.affected == (self.of_the_set)()?.affected => {
                return None;
            }
            RebuildOnBase::Affected => "a package that it affects",
            RebuildOnBase::None | RebuildOnBase::All => "the mainline",
        };
        let so_far = all.iter().filter(|attempt| {
            attempt.ci == *ci && attempt.cause == Cause::Base && attempt.stage != Stage::Dropped
        });
        let next = so_far.map(|attempt| attempt.decided_at + EVERY).max();
        if next.is_some_and(|next| view.until(next)) {
            return None;
        }
        let reason = format!("{what} moved in the mainline since attempt {}", last.attempt);
        Some((Cause::Base, reason))
    }
}

/// Packages that a build of a set affects by a manifest, which may differ from the mainline's.
pub(crate) fn affected(
    tracked: &Tracked,
    (manifest, difference): (Option<&Manifest>, Option<&Difference>),
    set: &[SetMember],
) -> Vec<Name> {
    let mut changed: BTreeSet<Name> = BTreeSet::new();
    for member in set {
        if let Some(repository) = tracked.repositories.get(&member.change.repository) {
            let packages = repository.overridden(&member.base);
            changed.extend(packages.map(|used| used.package.clone()));
        }
    }
    let moved = difference.into_iter().flat_map(|d| d.added.iter().chain(&d.changed));
    changed.extend(moved.cloned());
    mainline::affected(manifest, &changed)
}

impl Deciding<'_, '_> {
    /// Packages that a build of the set affects, in build order.
    pub(crate) fn affected(&self, set: &[SetMember]) -> Vec<Name> {
        affected(self.tracked, (self.manifest, self.difference), set)
    }

    /// Whether idle time may be spent on the set: not if a new one like it would be held.
    pub(crate) fn again<'d>(
        &'d self,
        id: &ChangeId,
        open: &Open<'_>,
        set: &'d ChangeSet,
        trusted: bool,
        facts: &Facts,
    ) -> Option<Again<'d>> {
        let subject = Subject::Change(id.clone());
        let released = trusted || self.approved(&subject, &set.members);
        let max_age = self.view.settings.changes.max_age;
        let stale = facts
            .now
            .get(id)
            .is_some_and(|facts| !self.view.until(last_moved(facts, open.dated) + max_age));
        let held = self.not_ready(id, open).is_some() || self.conflict(set).is_some();
        (released && !stale && !held).then(|| Again {
            all: self.base,
            of_the_set: Box::new(|| Base::of(self.mainline, &self.affected(&set.members))),
        })
    }
}
