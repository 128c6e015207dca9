//! When it is asked again what became of changes: when that may be another answer by now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::model::change::Listing;
use crosswatch_core::model::question::Question;
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::model::time::{Span, Timestamp};

/// When each fate was asked, and what was known of its repository then.
#[derive(Debug, Default)]
pub(super) struct Fates(BTreeMap<Question, (Timestamp, Option<Arc<Listing>>)>);

impl Fates {
    /// Fates that are being asked now.
    pub(super) fn asked(&mut self, snapshot: &Snapshot, questions: &BTreeSet<Question>) {
        for question in questions.iter().filter(|q| matches!(q, Question::Fate { .. })) {
            let listing = listing(snapshot, question).cloned();
            self.0.insert(question.clone(), (snapshot.at, listing));
        }
    }

    /// Fates that may have become other ones: their repository moved, or they are old.
    pub(super) fn due(&mut self, snapshot: &Snapshot) -> Vec<Question> {
        self.0.retain(|question, _| snapshot.answers.contains_key(question));
        let alive = open(snapshot).filter(|question| {
            let Some((at, before)) = self.0.get(question) else { return true };
            let now = listing(snapshot, question);
            let moved = match (before, now) {
                (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
                (None, Some(_)) => true,
                (_, None) => false,
            };
            moved || snapshot.at >= *at + reconcile(snapshot, question)
        });
        alive.cloned().collect()
    }

    /// When the next one is old.
    pub(super) fn next_at(&self, snapshot: &Snapshot) -> Option<Timestamp> {
        let asked = open(snapshot).filter_map(|question| {
            self.0.get(question).map(|(at, _)| *at + reconcile(snapshot, question))
        });
        asked.min()
    }
}

/// Answered fates that are not final.
fn open(snapshot: &Snapshot) -> impl Iterator<Item = &Question> {
    let fates =
        snapshot.answers.iter().filter(|(question, _)| matches!(question, Question::Fate { .. }));
    fates
        .filter(|(_, answer)| answer.value().is_some_and(|answer| !answer.is_final()))
        .map(|(question, _)| question)
}

fn listing<'a>(snapshot: &'a Snapshot, of: &Question) -> Option<&'a Arc<Listing>> {
    snapshot.repositories.get(of.repository()?)?.listing.value()
}

fn reconcile(snapshot: &Snapshot, question: &Question) -> Span {
    let forge = question.repository().and_then(|id| snapshot.settings.forge(&id.forge));
    forge.map_or(Span::minutes(15), |forge| forge.reconcile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Wake, World};
    use crate::config;
    use crosswatch_core::model::change::Fate;
    use crosswatch_core::model::identity::RepositoryId;
    use crosswatch_core::model::question::Answer;

    #[test]
    fn a_fate_is_asked_again_when_its_repository_moved_or_it_is_old_unless_it_is_merged() {
        let text = "version: 1\nforges: {g: {kind: github}}\nworkspaces: []\n";
        let settings = config::parse(text, std::path::Path::new("/x")).expect("right");
        let world = World::new(Arc::new(settings), Wake::new());
        let id = RepositoryId::new("github.com", "a/b");
        let at = |minutes: i64| Timestamp(minutes * 60_000);
        let list = |main: &str, now| {
            let default_branch = Some(main.into());
            let listing = Listing { default_branch, ..Listing::default() };
            world.listed(&id, ("https://github.com/a/b", "a/b"), Ok(listing), now);
        };
        list("main", at(0));
        let fate = |number| Question::Fate { repository: id.clone(), number };
        let merged = Fate::Merged { commit: None, base: None };
        let both = BTreeSet::from([fate(1), fate(2)]);
        let mut fates = Fates::default();
        fates.asked(&world.freeze(at(0)), &both);
        world.answered(fate(1), Ok(Answer::Fate(Fate::Missing)), at(0));
        world.answered(fate(2), Ok(Answer::Fate(merged)), at(0));
        list("main", at(1));
        assert!(fates.due(&world.freeze(at(1))).is_empty(), "nothing moved");
        assert_eq!(fates.next_at(&world.freeze(at(1))), Some(at(15)));
        assert_eq!(fates.due(&world.freeze(at(15))), vec![fate(1)], "old");
        list("other", at(2));
        assert_eq!(fates.due(&world.freeze(at(2))), vec![fate(1)], "its repository moved");
        fates.asked(&world.freeze(at(2)), &both);
        assert!(fates.due(&world.freeze(at(3))).is_empty());
    }
}
