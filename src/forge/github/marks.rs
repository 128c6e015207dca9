//! One cheap question for many repositories: whether anything happened there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;

use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Reason};
use super::{BATCH, Inner, graphql};
use crate::http::StatusCode;

/// Below this many repositories a question is not made smaller: then it is not its weight.
const LEAST: usize = 12;

/// How slowly a question grows again that was too heavy.
const GROWTH: usize = 5;

/// What is younger than this may be followed by something else within the same second.
const YOUNG: Span = Span::seconds(3);

/// What differs after whatever we want to know of. A push to a change of a fork moves `pushedAt` too.
/// One list only: each costs.
const FIELDS: &str = "{databaseId nameWithOwner isArchived isPrivate pushedAt defaultBranchRef{name} \
    pullRequests(first:1,orderBy:{field:UPDATED_AT,direction:DESC}){nodes{number updatedAt}}}";

pub(super) async fn marks(
    inner: &Inner,
    repositories: Vec<RepositoryId>,
) -> Result<BTreeMap<RepositoryId, String>, Failure> {
    if inner.token.is_none() {
        let why = "GraphQL answers nobody without a token".to_owned();
        return Err(Failure::new(Reason::Credential, why));
    }
    let size = inner.batch.load(Ordering::Relaxed).clamp(LEAST, BATCH);
    let mut waiting: VecDeque<&[RepositoryId]> = repositories.chunks(size).collect();
    let mut found = BTreeMap::new();
    let mut answered = false;
    while let Some(some) = waiting.pop_front() {
        match sentinel(inner, some).await {
            Ok(marks) => {
                found.extend(marks);
                answered = true;
                if some.len() >= size {
                    inner.batch.store(BATCH.min(size + GROWTH), Ordering::Relaxed);
                }
            }
            Err(failure) if failure.heavy && some.len() > LEAST => {
                let (first, second) = some.split_at(some.len().div_ceil(2));
                inner.batch.store(first.len().max(LEAST), Ordering::Relaxed);
                waiting.push_front(second);
                waiting.push_front(first);
            }
            // A server that has no GraphQL has no marks: then everything is read at each interval.
            Err(failure) if missing(&failure) => return Ok(BTreeMap::new()),
            // Others did answer, so it is something of these; whoever asks will read them.
            Err(failure) if failure.heavy && answered => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

/// Whether there is nothing at that address.
fn missing(failure: &Failure) -> bool {
    let gone = [StatusCode::NOT_FOUND, StatusCode::GONE, StatusCode::METHOD_NOT_ALLOWED];
    failure.status.is_some_and(|status| gone.contains(&status))
}

async fn sentinel(
    inner: &Inner,
    repositories: &[RepositoryId],
) -> Result<BTreeMap<RepositoryId, String>, Failure> {
    let question = |of: &RepositoryId| Some((of.clone(), graphql::of(of, FIELDS)?));
    let questions = repositories.iter().filter_map(question).collect();
    let (found, now) = graphql::ask::<RepositoryId, Seen>(inner, questions, 1).await?;
    Ok(found.into_iter().map(|(repository, seen)| (repository, seen.mark(now))).collect())
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    database_id: Option<u64>,
    name_with_owner: String,
    is_archived: bool,
    is_private: bool,
    pushed_at: Option<String>,
    default_branch_ref: Option<Branch>,
    pull_requests: Nodes,
}

#[derive(Deserialize, Serialize)]
struct Branch {
    name: String,
}

#[derive(Deserialize, Serialize)]
struct Nodes {
    nodes: Vec<Option<Newest>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Newest {
    number: u64,
    updated_at: String,
}

impl Seen {
    /// A digest of everything that was seen: what it says is of no use, only whether it differs.
    ///
    /// The forge's times are whole seconds. The mark of something young differs from that of the same
    /// when it is older, so that what follows within the second is read too.
    fn mark(&self, now: Option<Timestamp>) -> String {
        let newest = self.pull_requests.nodes.iter().flatten().map(|newest| &newest.updated_at);
        let times = newest.chain(&self.pushed_at).filter_map(|time| time.parse::<Timestamp>().ok());
        let young = now.is_some_and(|now| times.max().is_some_and(|last| now.since(last) < YOUNG));
        let text = serde_json::to_vec(self).unwrap_or_default();
        let digest = blake3::hash(&text).to_hex();
        format!("{digest}{}", if young { "~" } else { "" })
    }
}

#[cfg(test)]
mod tests;
