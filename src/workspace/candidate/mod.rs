//! The observer that makes candidates: it answers which manifest a workspace would have with some
//! changes in it, by running the workspace's own tool in a copy.
//!
//! ```text
//! state_dir/candidates/ID/copy     the copy; the sandbox has it in the place of the workspace
//!                         git      repositories with the changes in the place of their branches
//!                         given    what CROSSWATCH_CANDIDATE names
//! ```
//!
//! All of it is removed when the answer is there, and at the start what a crash left.

mod making;
mod place;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::backoff::delay;
use crosswatch_core::model::candidate::{Candidate, Recipe};
use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::question::{Answer, Question};
use crosswatch_core::model::settings::WorkspaceSettings;
use crosswatch_core::model::time::{Span, Timestamp};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::Slots;
use crate::board::World;
use crate::clock::Clock;
use crate::forge::git::Lent;
use crate::pass::Publications;
use crate::supervise::Supervisor;

/// Wait after the first failure to make one at all, and the longest.
const RETRY: (Span, Span) = (Span::seconds(10), Span::minutes(10));
/// One that no plan wants any more is given up after this; a look that failed does not end it.
const UNWANTED: Span = Span::minutes(2);

/// What the commands of a candidate read.
#[derive(Debug)]
pub struct Loan {
    /// The git configuration and the repositories behind it.
    pub lent: Lent,
    /// What these are.
    pub shown: BTreeSet<RepositoryId>,
}

/// The port to whoever lends repositories with the changes in them, made below a folder.
pub type CandidateLender = Arc<
    dyn Fn(Arc<WorkspaceSettings>, Recipe, PathBuf) -> BoxFuture<'static, Result<Loan, String>>
        + Send
        + Sync,
>;

/// The port to wherever answers are kept over restarts.
pub type Keep = Arc<dyn Fn(&Question, &Answer, Timestamp) + Send + Sync>;

/// Makes candidates.
pub struct Candidates {
    /// Where answers go.
    pub world: World,
    /// Where plans come from: they say what is wanted.
    pub publications: Publications,
    /// Shared with updates, which go first.
    pub slots: Slots,
    /// Runs commands.
    pub supervisor: Supervisor,
    /// Lends repositories.
    pub lender: CandidateLender,
    /// Keeps answers.
    pub keep: Keep,
    /// The time.
    pub clock: Clock,
}

struct Making {
    cancel: CancellationToken,
    unwanted_since: Option<Timestamp>,
}

struct Failing {
    failures: u32,
    not_before: Timestamp,
}

impl Candidates {
    /// Makes what is wanted until it is dropped.
    pub async fn run(mut self) {
        self.clear().await;
        let mut making: BTreeMap<Recipe, Making> = BTreeMap::new();
        let mut failing: BTreeMap<Recipe, Failing> = BTreeMap::new();
        let mut makes: FuturesUnordered<_> = FuturesUnordered::new();
        loop {
            let now = self.clock.now();
            let wanted = self.wanted();
            failing.retain(|recipe, _| wanted.contains(recipe));
            for (recipe, made) in &mut making {
                let since = made.unwanted_since.unwrap_or(now);
                made.unwanted_since = (!wanted.contains(recipe)).then_some(since);
                if made.unwanted_since.is_some_and(|since| now.since(since) >= UNWANTED) {
                    made.cancel.cancel();
                }
            }
            let most = self.world.settings().max_candidates;
            for recipe in &wanted {
                let waits = failing.get(recipe).is_some_and(|failing| now < failing.not_before);
                if making.len() < most && !waits && !making.contains_key(recipe) {
                    let cancel = CancellationToken::new();
                    let one = Making { cancel: cancel.clone(), unwanted_since: None };
                    making.insert(recipe.clone(), one);
                    let maker = self.maker();
                    let recipe = recipe.clone();
                    makes.push(async move {
                        let made = maker.make(&recipe, &cancel).await;
                        (recipe, made)
                    });
                }
            }
            let next = failing.values().map(|failing| failing.not_before.since(now)).min();
            let wait = next.unwrap_or(Span::seconds(30)).min(Span::seconds(30));
            tokio::select! {
                changed = self.publications.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                Some((recipe, made)) = makes.next(), if !makes.is_empty() => {
                    making.remove(&recipe);
                    self.made(recipe, made, &mut failing);
                    // What is wanted next is in a plan that comes.
                }
                () = tokio::time::sleep(wait.to_std().max(Duration::from_millis(100))) => {}
            }
        }
    }

    /// What the last plan wants, in its order.
    fn wanted(&mut self) -> Vec<Recipe> {
        let published = self.publications.borrow_and_update().clone();
        let wanted = published.iter().flat_map(|published| &published.plan.wanted);
        let wanted = wanted.filter_map(|question| match question {
            Question::Candidate(recipe) => Some((question, (**recipe).clone())),
            _ => None,
        });
        // The plan may be older than the answer.
        wanted
            .filter(|(question, _)| !self.world.knows(question))
            .map(|(_, recipe)| recipe)
            .collect()
    }

    fn made(
        &self,
        recipe: Recipe,
        made: Result<Candidate, String>,
        failing: &mut BTreeMap<Recipe, Failing>,
    ) {
        let at = self.clock.now();
        let workspace = recipe.workspace.clone();
        metrics::counter!("crosswatch_candidates_total", "made" => match &made {
            Ok(Candidate::Made(_)) => "made",
            Ok(Candidate::Needs(_)) => "needs",
            Ok(Candidate::Failed { .. }) => "failed",
            Err(_) => "unknown",
        })
        .increment(1);
        let answer = match made {
            Ok(candidate) => {
                failing.remove(&recipe);
                Ok(Answer::Candidate(candidate))
            }
            Err(why) => {
                tracing::warn!(%workspace, why, "a candidate could not be made; it is tried again");
                let failures = failing.get(&recipe).map_or(1, |f| f.failures.saturating_add(1));
                let not_before = at + delay(RETRY.0, RETRY.1, failures, &workspace);
                failing.insert(recipe.clone(), Failing { failures, not_before });
                Err(why)
            }
        };
        let question = Question::Candidate(Box::new(recipe));
        if let Ok(answer) = &answer {
            (self.keep)(&question, answer, at);
        }
        self.world.answered(question, answer, at);
    }

    fn maker(&self) -> making::Maker {
        making::Maker {
            world: self.world.clone(),
            slots: self.slots.clone(),
            supervisor: self.supervisor.clone(),
            lender: Arc::clone(&self.lender),
            clock: self.clock.clone(),
        }
    }

    /// Removes what an earlier daemon left.
    async fn clear(&self) {
        let folder = place::all(&self.world.settings().state_dir);
        let shown = folder.display().to_string();
        let removed = tokio::task::spawn_blocking(move || super::files::remove(&folder)).await;
        if let Ok(Err(error)) = removed {
            tracing::error!(%error, "{shown} was not removed");
        }
    }
}
