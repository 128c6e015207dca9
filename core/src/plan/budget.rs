//! What single look-ups cost: questions about changes that no list of open ones shows are paid from
//! a budget of the author in whose text they stand. The spending is a fact of the ledger.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::ForgeChange;
use crate::model::identity::{ChangeId, Name};
use crate::model::ledger_view::Asked;
use crate::model::time::{Span, Timestamp};

use super::look::{Facts, View};
use super::trust::by_author;

/// Look-ups of an author in an hour, and of one whose change is trusted.
pub(crate) const LOOK_UPS: (usize, usize) = (60, 600);
/// How long one counts.
pub(crate) const HOUR: Span = Span::hours(1);

/// An account on a forge.
type Author = (Name, Name);
/// Look-ups by when they were paid: of which change, and what they asked for.
type Spent = BTreeSet<(Timestamp, ChangeId, ChangeId)>;

/// What was spent in the last hour, and what this look adds.
#[derive(Default)]
pub(crate) struct Budget {
    /// Read when somebody has to pay.
    spent: RefCell<Option<BTreeMap<Author, Spent>>>,
    asked: RefCell<BTreeMap<ChangeId, Asked>>,
}

impl Budget {
    /// Whether what became of `other` may be asked for a reference of `id`; if not, from when on. What
    /// was answered once costs nothing, and what was paid for may be asked until the hour is over.
    pub(crate) fn pay(
        &self,
        view: &View<'_>,
        (id, forge): (&ChangeId, &ForgeChange),
        other: &ChangeId,
    ) -> Result<(), Timestamp> {
        // What others of the author spent counts too.
        view.own();
        if view.fate_was_known(other) {
            return Ok(());
        }
        let before = view.ledger.changes.get(id).and_then(|facts| facts.asked.as_deref());
        if let Some(at) = before.and_then(|asked| asked.at.get(other))
            && counts(view, *at)
        {
            view.until(*at + HOUR);
            return Ok(());
        }
        let by = forge.author.as_ref().map_or(Name::from(""), |author| author.login.clone());
        let trusted = by_author(&view.settings.changes, id, forge);
        let limit = if trusted { LOOK_UPS.1 } else { LOOK_UPS.0 };
        let mut spent = self.spent.borrow_mut();
        let spent = spent.get_or_insert_with(|| known(view));
        let spent = spent.entry((id.repository.forge.clone(), by.clone())).or_default();
        let full = spent.len().checked_sub(limit);
        if let Some((at, ..)) = full.and_then(|over| spent.iter().nth(over)) {
            let from = *at + HOUR;
            view.until(from);
            return Err(from);
        }
        spent.insert((view.at(), id.clone(), other.clone()));
        let mut asked = self.asked.borrow_mut();
        let asked = asked.entry(id.clone()).or_insert_with(|| {
            let at = before.map(|before| &before.at).into_iter().flatten();
            let kept = at.filter(|(_, at)| counts(view, **at));
            Asked { by, at: kept.map(|(other, at)| (other.clone(), *at)).collect() }
        });
        asked.at.insert(other.clone(), view.at());
        Ok(())
    }

    /// Keeps what was spent now.
    pub(crate) fn remember(&self, facts: &mut Facts) {
        for (id, asked) in &*self.asked.borrow() {
            if let Some(facts) = facts.now.get_mut(id) {
                facts.seen_mut().asked = Some(Box::new(asked.clone()));
            }
        }
    }
}

/// What the ledger knows to be spent, of changes that are closed by now too.
fn known(view: &View<'_>) -> BTreeMap<Author, Spent> {
    let mut spent: BTreeMap<Author, Spent> = BTreeMap::new();
    for (id, facts) in &view.ledger.changes {
        let Some(asked) = &facts.asked else { continue };
        let author = (id.repository.forge.clone(), asked.by.clone());
        let counts = asked.at.iter().filter(|(_, at)| counts(view, **at));
        let counts = counts.map(|(other, at)| (*at, id.clone(), other.clone()));
        spent.entry(author).or_default().extend(counts);
    }
    spent
}

/// Whether something that was spent at that time still counts. One in the future was written by a clock
/// that was put back since.
fn counts(view: &View<'_>, at: Timestamp) -> bool {
    !view.until(at) && at + HOUR > view.at()
}
