//! Questions that are asked again, since another answer may be true by now: what became of a change,
//! whether a forge has finished trying to merge one, and what an account may do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::model::change::Listing;
use crosswatch_core::model::question::Question;
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::model::time::{Span, Timestamp};

/// Waits for a forge that tries to merge; the last one repeats for as long as somebody waits.
const TRYING: [Span; 4] = [Span::seconds(1), Span::seconds(2), Span::seconds(5), Span::seconds(15)];

/// By how much one may be asked earlier together with others.
const TOGETHER: Span = Span(500);

/// How long what an account may do is believed.
const RIGHTS: Span = Span::hours(1);

/// When each was asked last.
#[derive(Debug, Default)]
pub(super) struct Again(BTreeMap<Question, Asked>);

#[derive(Debug)]
struct Asked {
    at: Timestamp,
    times: usize,
    /// What was known of the repository then.
    listing: Option<Arc<Listing>>,
}

impl Again {
    /// Questions that are being asked now.
    pub(super) fn asked(&mut self, snapshot: &Snapshot, questions: &BTreeSet<Question>) {
        for question in questions.iter().filter(|question| repeats(question)) {
            let listing = listing(snapshot, question).cloned();
            let times = self.0.get(question).map_or(0, |asked| asked.times) + 1;
            self.0.insert(question.clone(), Asked { at: snapshot.at, times, listing });
        }
    }

    /// Questions whose answer may have become another one: it is old, or their repository moved.
    pub(super) fn due(&mut self, snapshot: &Snapshot) -> Vec<Question> {
        self.0.retain(|question, _| snapshot.answers.contains_key(question));
        let alive = open(snapshot).filter(|question| {
            let Some(asked) = self.0.get(question) else { return true };
            let now = listing(snapshot, question);
            let moved = match (&asked.listing, now) {
                (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let moved = moved && matches!(question, Question::Fate { .. });
            // A clock that was put back makes no answer younger.
            moved || snapshot.at < asked.at || snapshot.at >= old(snapshot, question, asked)
        });
        let mut due: Vec<Question> = alive.cloned().collect();
        // Those that are asked together were answered at about the same time.
        if due.iter().any(is_tried) {
            let soon = open(snapshot).filter(|question| is_tried(question)).filter(|question| {
                let asked = self.0.get(question);
                asked.is_some_and(|asked| snapshot.at + TOGETHER >= old(snapshot, question, asked))
            });
            due.extend(soon.cloned());
            due.sort();
            due.dedup();
        }
        due
    }

    /// When the next one is old.
    pub(super) fn next_at(&self, snapshot: &Snapshot) -> Option<Timestamp> {
        let asked = open(snapshot).filter_map(|question| {
            self.0.get(question).map(|asked| old(snapshot, question, asked))
        });
        asked.min()
    }
}

/// Whether it makes the forge try.
fn is_tried(question: &Question) -> bool {
    matches!(question, Question::Mergeable { .. })
}

/// Whether it may have another answer later.
fn repeats(question: &Question) -> bool {
    match question {
        Question::Fate { .. } | Question::Mergeable { .. } | Question::Rights { .. } => true,
        Question::Commit { .. }
        | Question::Contains { .. }
        | Question::Files { .. }
        | Question::Candidate(_) => false,
    }
}

/// Answered ones that may become others.
fn open(snapshot: &Snapshot) -> impl Iterator<Item = &Question> {
    let answered = snapshot.answers.iter().filter(|(question, _)| repeats(question));
    answered
        .filter(|(_, answer)| answer.value().is_some_and(|answer| !answer.is_final()))
        .map(|(question, _)| question)
}

fn old(snapshot: &Snapshot, question: &Question, asked: &Asked) -> Timestamp {
    let wait = match question {
        Question::Mergeable { .. } => {
            let last = TRYING.len() - 1;
            TRYING.get(asked.times.saturating_sub(1).min(last)).copied().unwrap_or(RIGHTS)
        }
        Question::Rights { .. } => RIGHTS,
        _ => reconcile(snapshot, question),
    };
    asked.at.min(snapshot.at) + wait
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
    use crosswatch_core::model::change::{Fate, Rights};
    use crosswatch_core::model::identity::{Oid, RepositoryId};
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
        let mut again = Again::default();
        again.asked(&world.freeze(at(0)), &both);
        world.answered(fate(1), Ok(Answer::Fate(Fate::Missing)), at(0));
        world.answered(fate(2), Ok(Answer::Fate(merged)), at(0));
        list("main", at(1));
        assert!(again.due(&world.freeze(at(1))).is_empty(), "nothing moved");
        assert_eq!(again.next_at(&world.freeze(at(1))), Some(at(15)));
        assert_eq!(again.due(&world.freeze(at(15))), vec![fate(1)], "old");
        list("other", at(2));
        assert_eq!(again.due(&world.freeze(at(2))), vec![fate(1)], "its repository moved");
        again.asked(&world.freeze(at(2)), &both);
        assert!(again.due(&world.freeze(at(3))).is_empty());
        assert_eq!(again.due(&world.freeze(at(0))), vec![fate(1)], "the clock went back");
    }

    #[test]
    fn a_forge_that_tries_is_asked_soon_and_rights_hourly() {
        let text = "version: 1\nforges: {g: {kind: github}}\nworkspaces: []\n";
        let settings = config::parse(text, std::path::Path::new("/x")).expect("right");
        let world = World::new(Arc::new(settings), Wake::new());
        let repository = RepositoryId::new("github.com", "a/b");
        let head: Oid = "0123456789abcdef0123456789abcdef01234567".parse().expect("an oid");
        let trying =
            Question::Mergeable { repository: repository.clone(), number: 1, head, base: head };
        let rights = Question::Rights { repository, login: "eve".into() };
        let both = BTreeSet::from([trying.clone(), rights.clone()]);
        let at = |seconds: i64| Timestamp(seconds * 1000);
        let mut again = Again::default();
        again.asked(&world.freeze(at(0)), &both);
        world.answered(trying.clone(), Ok(Answer::Mergeable(None)), at(0));
        world.answered(rights.clone(), Ok(Answer::Rights(Rights::Less)), at(0));
        let mut now = 0;
        for wait in [1, 2, 5, 15, 15] {
            assert!(again.due(&world.freeze(at(now + wait - 1))).is_empty(), "{now}");
            now += wait;
            assert_eq!(again.next_at(&world.freeze(at(now))), Some(at(now)));
            assert_eq!(again.due(&world.freeze(at(now))), std::slice::from_ref(&trying), "{now}");
            again.asked(&world.freeze(at(now)), &BTreeSet::from([trying.clone()]));
        }
        world.answered(trying, Ok(Answer::Mergeable(Some(true))), at(now));
        assert_eq!(again.next_at(&world.freeze(at(now))), Some(at(3600)));
        assert_eq!(again.due(&world.freeze(at(3600))), [rights]);
    }
}
