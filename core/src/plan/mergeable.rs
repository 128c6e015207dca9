//! Whether the forge can merge a change, where its list of changes does not say that.

use std::collections::BTreeSet;

use crate::model::identity::ChangeId;
use crate::model::ledger_view::{Adopted, ChangeFacts};
use crate::model::settings::{OnConflict, RefKind};

use super::choice::choose;
use super::holds::{MERGEABILITY, moved_at};
use super::look::View;
use super::openness::{Changes, Open, State, base};

/// Asks about changes that are new or moved, and about those which these depend on, once for each of
/// their heads: what a base branch does later is no reason to ask. The answers choose the refs.
pub(crate) fn learn(view: &View<'_>, changes: &mut Changes<'_>) {
    let rules = &view.settings.changes;
    let matters = rules.ref_kind == RefKind::Auto || rules.on_conflict == OnConflict::Block;
    if !matters || !view.settings.build_changes {
        return;
    }
    let mut queue: Vec<ChangeId> = changes
        .facts
        .now
        .iter()
        .filter(|(id, facts)| {
            view.about(Some(&id.repository));
            facts.forge.is_some() && moving(view, facts)
        })
        .map(|(id, _)| id.clone())
        .collect();
    let mut seen: BTreeSet<ChangeId> = queue.iter().cloned().collect();
    while let Some(id) = queue.pop() {
        view.about(Some(&id.repository));
        let Some(State::Open(open)) = changes.states.get(&id) else { continue };
        let below = open.below.map(|number| id.repository.change(number));
        let named = open.references.references.iter().map(|reference| reference.change.clone());
        queue.extend(below.into_iter().chain(named).filter(|other| seen.insert(other.clone())));
        let facts = changes.facts.now.get(&id).and_then(|facts| facts.forge.as_ref());
        let tried = facts.is_some_and(|facts| facts.tried == Some(open.listed.head));
        let Some(mergeable) = (!tried).then(|| ask(view, &id, open)).flatten() else { continue };
        let head = open.listed.head;
        if let Some(State::Open(open)) = changes.states.get_mut(&id)
            && let Some(forge) = &open.listed.forge
        {
            open.choice = choose(forge, Some(mergeable), open.below.is_some(), open.choice);
            if let Some(facts) = changes.facts.now.get_mut(&id)
                && let Some(facts) = &mut facts.seen_mut().forge
            {
                (facts.choice, facts.tried) = (open.choice, Some(head));
            }
        }
    }
    view.about(None);
}

/// Whether a change moved so lately that it may be about to be built. What was open before we watched
/// is not, unless it is to be built.
fn moving(view: &View<'_>, facts: &ChangeFacts) -> bool {
    let rules = &view.settings.changes;
    let moved = moved_at(facts);
    let built = matches!(facts.adopted, Adopted::No | Adopted::Recent);
    let settle = rules.settle_new.max(rules.settle_push).max(rules.settle_bots);
    (built || moved > facts.first_seen) && view.until(moved + settle + MERGEABILITY)
}

fn ask(view: &View<'_>, id: &ChangeId, open: &Open<'_>) -> Option<bool> {
    let rules = &view.settings.changes;
    let forge = open.listed.forge.as_deref().filter(|forge| forge.mergeable.is_none())?;
    // Of these the head is built in any case.
    if rules.on_conflict == OnConflict::Head && (forge.draft || open.below.is_some()) {
        return None;
    }
    let listing = view.repository(&id.repository)?.listing.value()?;
    let tip = listing.branches.get(base(listing, open.listed)?)?;
    view.mergeable(id, open.listed.head, *tip).ok().flatten()
}
