//! What a change waits for before its first build: that it is quiet, ready, and has what it needs.

use crate::model::identity::ChangeId;
use crate::model::ledger_view::{Adopted, ChangeFacts, RefChoice};
use crate::model::plan::{Blocked, Decision, Held};
use crate::model::settings::{Drafts, OnConflict, RefKind};
use crate::model::time::{Span, Timestamp};

use super::decide::Deciding;
use super::look::Facts;
use super::openness::Open;
use super::sets::ChangeSet;
use super::trust::bot;

/// How long a new change waits for the forge to say whether it can be merged.
pub(super) const MERGEABILITY: Span = Span::seconds(60);

impl Deciding<'_, '_> {
    /// Until when the set is quiet enough, and why.
    pub(crate) fn settling(&self, set: &ChangeSet, facts: &Facts) -> Option<(Timestamp, String)> {
        let rules = &self.view.settings.changes;
        let mut latest: Option<(Timestamp, String)> = None;
        let mut wait = |until: Timestamp, reason: String| {
            if latest.as_ref().is_none_or(|(known, _)| *known < until) {
                latest = Some((until, reason));
            }
        };
        for member in &set.members {
            let Some(facts) = facts.now.get(&member.change) else { continue };
            let change = &member.change;
            let by_bot = self.graph.open.get(change).is_some_and(|open| self.by_bot(open));
            let (new, push) = if by_bot {
                (rules.settle_bots, rules.settle_bots)
            } else {
                (rules.settle_new, rules.settle_push)
            };
            if facts.adopted == Adopted::No {
                let reason = format!("{change} is new; new changes{} settle for {new}", of(by_bot));
                wait(facts.first_seen + new, reason);
            }
            let moved = moved_at(facts);
            if moved > facts.first_seen {
                let reason = format!("{change} moved; pushes{} settle for {push}", of(by_bot));
                wait(moved + push, reason);
            }
        }
        latest.filter(|(until, _)| self.view.until(*until))
    }

    /// Whether a change comes from a bot.
    pub(crate) fn by_bot(&self, open: &Open<'_>) -> bool {
        let forge = open.listed.forge.as_deref();
        forge.is_some_and(|forge| bot(&self.view.settings.changes, forge))
    }

    /// A set that is not built while one of its members conflicts with its base.
    pub(crate) fn conflict(&self, set: &ChangeSet) -> Option<Decision> {
        if self.view.settings.changes.on_conflict == OnConflict::Head {
            return None;
        }
        let member = set.members.iter().find(|member| {
            let open = self.graph.open.get(&member.change);
            open.is_some_and(|open| open.choice == Some(RefChoice::Conflict))
        })?;
        let reason = format!(
            "{} conflicts with {}; its author merges or rebases it",
            member.change, member.base
        );
        Some(Decision::Blocked { why: Blocked::Conflict, reason })
    }

    /// A change that is not meant to be built as it is.
    pub(crate) fn not_ready(&self, id: &ChangeId, open: &Open<'_>) -> Option<Decision> {
        let part = self.view.repository(&id.repository);
        let listing = part.and_then(|part| part.listing.value());
        let archived = listing.is_some_and(|listing| listing.archived);
        let draft = open.listed.forge.as_ref().is_some_and(|forge| forge.draft);
        let (why, reason) = if archived {
            let reason = format!("{} is archived; its owner releases it", id.repository);
            (Held::Archived, reason)
        } else if draft && self.view.settings.changes.drafts == Drafts::Hold {
            let reason = "it is a draft; it is built when its author says it is ready".to_owned();
            (Held::Draft, reason)
        } else {
            return None;
        };
        Some(Decision::Held { why, reason, until: None })
    }

    /// A set for which something is still to come by itself: a merged dependency, or the forge's word
    /// on what it can merge.
    pub(crate) fn not_arrived(&self, set: &ChangeSet, facts: &Facts) -> Option<Decision> {
        if let Some((until, reason)) = &set.waiting {
            let (why, reason, until) = (Held::Mainline, reason.clone(), Some(*until));
            return Some(Decision::Held { why, reason, until });
        }
        let rules = &self.view.settings.changes;
        if rules.ref_kind != RefKind::Auto && rules.on_conflict == OnConflict::Head {
            return None;
        }
        let unknown = |id: &ChangeId| {
            let open = self.graph.open.get(id)?;
            let new = open.listed.forge.is_some() && open.choice.is_none();
            new.then(|| facts.now.get(id).map(|facts| facts.first_seen + MERGEABILITY))?
        };
        let waits = set.members.iter().filter_map(|m| Some((unknown(&m.change)?, &m.change)));
        let (until, id) = waits.max()?;
        self.view.until(until).then(|| Decision::Held {
            why: Held::Mergeability,
            reason: format!(
                "the forge has not said yet whether {id} can be merged; without that its head is built"
            ),
            until: Some(until),
        })
    }
}

fn of(by_bot: bool) -> &'static str {
    if by_bot { " of bots" } else { "" }
}

/// When head, references, base or draft last moved while we watched.
pub(super) fn moved_at(facts: &ChangeFacts) -> Timestamp {
    let seen = facts.head_moved_at.max(facts.references_moved_at);
    facts.forge.as_ref().map_or(seen, |forge| seen.max(forge.moved_at))
}

/// When a change last moved: by its own date until we saw it move ourselves.
pub(crate) fn last_moved(facts: &ChangeFacts, dated: Timestamp) -> Timestamp {
    let seen = moved_at(facts);
    if seen > facts.first_seen || facts.adopted == Adopted::No {
        seen
    } else {
        dated.min(facts.first_seen)
    }
}
