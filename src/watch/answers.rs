//! Answers the plan's questions, one repository at a time each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosswatch_core::control::backoff::delay;
use crosswatch_core::model::change::CommitFacts;
use crosswatch_core::model::identity::{Oid, RepositoryId};
use crosswatch_core::model::question::{Answer, Question};
use crosswatch_core::model::snapshot::Snapshot;
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::references;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::again::Again;
use super::looking::chain;
use super::{Memory, Readers, by_api};
use crate::board::World;
use crate::clock::Clock;
use crate::forge::git::commits::Source;
use crate::pass::Publications;

/// Longest time for one git command.
const DEADLINE: Span = Span::minutes(2);
/// Wait after the first failure, and the longest.
const RETRY: (Span, Span) = (Span::seconds(10), Span::minutes(5));
/// Repositories that git reads at once.
const AT_ONCE: usize = 8;
/// Repositories that an API is asked about at once. Those who ask at the same moment share a question,
/// and the governor says when it goes.
const AT_ONCE_BY_API: usize = 200;

/// The observer that answers questions.
pub struct Answers {
    /// Where answers go.
    pub world: World,
    /// Where plans come from: they say what is wanted.
    pub publications: Publications,
    /// What is asked with.
    pub readers: Readers,
    /// Where answers are kept over restarts.
    pub memory: Memory,
    /// The time.
    pub clock: Clock,
}

#[derive(Default)]
struct Failing {
    failures: u32,
    not_before: Timestamp,
}

type Answered = (RepositoryId, Vec<(Question, Result<Answer, String>)>);

impl Answers {
    /// Answers until it is dropped.
    pub async fn run(mut self) {
        let mut wanted: BTreeMap<RepositoryId, BTreeSet<Question>> = BTreeMap::new();
        let mut failing: BTreeMap<RepositoryId, Failing> = BTreeMap::new();
        // With whether git reads it.
        let mut busy: BTreeMap<RepositoryId, bool> = BTreeMap::new();
        let mut again = Again::default();
        let mut asks: FuturesUnordered<_> = FuturesUnordered::new();
        loop {
            let now = self.clock.now();
            let snapshot = self.world.freeze(now);
            for question in again.due(&snapshot) {
                let Some(id) = question.repository() else { continue };
                if !busy.contains_key(id) {
                    wanted.entry(id.clone()).or_default().insert(question);
                }
            }
            let mut by_git = busy.values().filter(|by_git| **by_git).count();
            let mut by_api = busy.len() - by_git;
            for (id, questions) in &wanted {
                let waits = failing.get(id).is_some_and(|failing| now < failing.not_before);
                let has_api = has_api(&snapshot, id);
                let git = questions.iter().any(|question| !by_api::answers(question, has_api));
                let (count, most) =
                    if git { (&mut by_git, AT_ONCE) } else { (&mut by_api, AT_ONCE_BY_API) };
                if *count < most && !waits && !busy.contains_key(id) {
                    *count += 1;
                    busy.insert(id.clone(), git);
                    again.asked(&snapshot, questions);
                    asks.push(self.ask(id.clone(), questions.clone()));
                }
            }
            wanted.retain(|id, _| !busy.contains_key(id));
            let wait = wanted
                .keys()
                .filter_map(|id| failing.get(id))
                .map(|failing| failing.not_before.since(now))
                .chain(again.next_at(&snapshot).map(|next| next.since(now)))
                .min()
                .unwrap_or(Span::hours(1));
            tokio::select! {
                changed = self.publications.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    wanted.clear();
                    if let Some(published) = self.publications.borrow_and_update().as_ref() {
                        let known = self.world.freeze(now).answers;
                        for question in &published.plan.wanted {
                            // Candidates are made elsewhere.
                            let Some(id) = question.repository() else { continue };
                            // A plan that is older than an answer still asks for it.
                            let answered = known.get(question).is_some_and(|a| a.value().is_some());
                            if !busy.contains_key(id) && !answered {
                                wanted.entry(id.clone()).or_default().insert(question.clone());
                            }
                        }
                    }
                }
                Some((id, answers)) = asks.next(), if !asks.is_empty() => {
                    busy.remove(&id);
                    self.answered(&id, answers, &mut failing);
                    // What was wanted meanwhile is in the newest plan.
                    self.publications.mark_changed();
                }
                () = tokio::time::sleep(wait.to_std().max(Duration::from_millis(20))) => {}
            }
        }
    }

    fn answered(
        &self,
        id: &RepositoryId,
        answers: Vec<(Question, Result<Answer, String>)>,
        failing: &mut BTreeMap<RepositoryId, Failing>,
    ) {
        let at = self.clock.now();
        let mut failed = false;
        for (question, answer) in answers {
            match &answer {
                Ok(answer) => self.memory.keep("answer", &question, answer, at),
                Err(why) => {
                    failed = true;
                    tracing::warn!(repository = %id, why, "a question was not answered");
                }
            }
            self.world.answered(question, answer, at);
        }
        if failed {
            let entry = failing.entry(id.clone()).or_default();
            entry.failures = entry.failures.saturating_add(1);
            entry.not_before = at + delay(RETRY.0, RETRY.1, entry.failures, &id.to_string());
        } else {
            failing.remove(id);
        }
    }

    fn ask(
        &self,
        id: RepositoryId,
        questions: BTreeSet<Question>,
    ) -> impl Future<Output = Answered> + use<> {
        let snapshot = self.world.freeze(self.clock.now());
        let readers = self.readers.clone();
        async move {
            let settings = snapshot.settings.forge(&id.forge).cloned();
            let has_api = has_api(&snapshot, &id);
            let (of_api, questions): (BTreeSet<_>, BTreeSet<_>) =
                questions.into_iter().partition(|question| by_api::answers(question, has_api));
            let mut answers = by_api::ask(&readers, &id, of_api).await;
            if questions.is_empty() {
                return (id, answers);
            }
            let part = snapshot.repositories.get(&id);
            let url = part.map(|part| part.url.clone());
            let token = match &settings {
                Some(settings) => readers.token.token(settings, &id).await,
                None => Err("no forge is configured for it".to_owned()),
            };
            let (url, token) = match (url, token) {
                (Some(url), Ok(token)) => (url, token),
                (_, Err(why)) => {
                    answers.extend(questions.into_iter().map(|q| (q, Err(why.clone()))));
                    return (id, answers);
                }
                // It is not watched yet; the next plan asks again.
                (None, Ok(_)) => return (id, answers),
            };
            let never = CancellationToken::new();
            let source =
                Source { url: &url, auth: token.as_ref(), deadline: DEADLINE, cancel: &never };
            let mut commits: Vec<Oid> = Vec::new();
            let mut ancestors: BTreeMap<Oid, Vec<Oid>> = BTreeMap::new();
            for question in &questions {
                match question {
                    // Those were asked of the API, or are asked of no repository.
                    Question::Fate { .. }
                    | Question::Mergeable { .. }
                    | Question::Rights { .. }
                    | Question::Candidate(_) => {}
                    Question::Files { head, base, .. } => {
                        let listing = part.and_then(|part| part.listing.value());
                        let present = listing.and_then(|listing| listing.present(base));
                        let tip = listing
                            .and_then(|listing| listing.branches.get(present.unwrap_or(base)));
                        let found = match tip {
                            Some(tip) => readers.mirrors.files(source, *tip, *head).await,
                            None => {
                                let why = format!("its base branch {base} is not there");
                                answers.push((question.clone(), Err(why)));
                                continue;
                            }
                        };
                        let found = found.map(Answer::Files).map_err(|error| chain(&error));
                        answers.push((question.clone(), found));
                    }
                    Question::Commit { oid, .. } => commits.push(*oid),
                    Question::Contains { ancestor, descendant, .. } => {
                        ancestors.entry(*descendant).or_default().push(*ancestor);
                    }
                }
            }
            commits.dedup();
            if !commits.is_empty() {
                answers
                    .extend(read_commits(&readers, source, &id, &commits, &snapshot.locator).await);
            }
            for (descendant, ancestors) in ancestors {
                let found = readers.mirrors.contained(source, &ancestors, descendant).await;
                for ancestor in ancestors {
                    let repository = id.clone();
                    let question = Question::Contains { repository, ancestor, descendant };
                    let answer = match &found {
                        Ok(contained) => Ok(Answer::Contains(contained.contains(&ancestor))),
                        Err(error) => Err(chain(error)),
                    };
                    answers.push((question, answer));
                }
            }
            (id, answers)
        }
    }
}

/// Whether the forge of a repository has an API.
fn has_api(snapshot: &Snapshot, id: &RepositoryId) -> bool {
    let forge = snapshot.settings.forge(&id.forge);
    forge.is_some_and(|forge| forge.kind.git().is_none())
}

async fn read_commits(
    readers: &Readers,
    source: Source<'_>,
    id: &RepositoryId,
    commits: &[Oid],
    locator: &crosswatch_core::model::locator::Locator,
) -> Vec<(Question, Result<Answer, String>)> {
    let question = |oid| Question::Commit { repository: id.clone(), oid };
    let found = match readers.mirrors.read_commits(source, commits).await {
        Ok(found) => found,
        // One commit that is gone must not hide the others.
        Err(_) if commits.len() > 1 => {
            let mut found = Vec::new();
            for oid in commits {
                match readers.mirrors.read_commits(source, std::slice::from_ref(oid)).await {
                    Ok(one) => found.extend(one.into_iter().map(Ok)),
                    Err(error) => found.push(Err((*oid, chain(&error)))),
                }
            }
            return found
                .into_iter()
                .map(|one| match one {
                    Ok((oid, facts)) => (question(oid), Ok(answer(facts, id, locator))),
                    Err((oid, why)) => (question(oid), Err(why)),
                })
                .collect();
        }
        Err(error) => {
            let why = chain(&error);
            return commits.iter().map(|oid| (question(*oid), Err(why.clone()))).collect();
        }
    };
    found.into_iter().map(|(oid, facts)| (question(oid), Ok(answer(facts, id, locator)))).collect()
}

fn answer(
    facts: crate::forge::git::CommitFacts,
    id: &RepositoryId,
    locator: &crosswatch_core::model::locator::Locator,
) -> Answer {
    // Which change the commit is the head of does not matter to its trailers, only its repository.
    let of = id.change(0);
    let references = references::from_trailers(&facts.message, &of, locator);
    Answer::Commit(CommitFacts { committed_at: facts.committed_at, references })
}
