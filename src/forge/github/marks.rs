//! One cheap question for many repositories: whether anything happened there.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::Ordering;

use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Reason, tells_of_limit};
use super::{BATCH, Inner, name};
use crate::http::conditional::AskError;
use crate::http::{Method, StatusCode, Urgency};

/// Below this many repositories a question is not made smaller: then it is not its weight.
const LEAST: usize = 12;

/// How slowly a question grows again that was too heavy.
const GROWTH: usize = 5;

/// What is younger than this may be followed by something else within the same second.
const YOUNG: Span = Span::seconds(3);

/// What differs after whatever we want to know of. A push to a change of a fork moves `pushedAt` too.
/// One list only: each costs.
const FIELDS: &str = "{databaseId nameWithOwner isArchived pushedAt defaultBranchRef{name} \
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
            // Others did answer, so it is something of these; whoever asks will read them.
            Err(failure) if failure.heavy && answered => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

async fn sentinel(
    inner: &Inner,
    repositories: &[RepositoryId],
) -> Result<BTreeMap<RepositoryId, String>, Failure> {
    let mut query = String::from("query{");
    let mut asked = BTreeMap::new();
    for (at, repository) in repositories.iter().enumerate() {
        // What GitHub cannot have is left out, so that reading it tells why.
        let Ok((owner, name)) = name::parts(repository) else { continue };
        let alias = format!("r{at}");
        // These have no character that would need an escape.
        let field = write!(query, "{alias}:repository(owner:\"{owner}\",name:\"{name}\"){FIELDS} ");
        if field.is_ok() {
            asked.insert(alias, repository);
        }
    }
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    query.push('}');
    let (data, now) = ask(inner, &query).await?;
    let mut marks = BTreeMap::new();
    for (alias, seen) in data {
        if let Some(repository) = asked.get(&alias) {
            marks.insert((*repository).clone(), seen.mark(now));
        }
    }
    Ok(marks)
}

async fn ask(
    inner: &Inner,
    query: &str,
) -> Result<(BTreeMap<String, Seen>, Option<Timestamp>), Failure> {
    let about = format!("{}: GraphQL", inner.identity);
    let body = serde_json::json!({ "query": query }).to_string();
    let sent = async {
        let request = inner.graphql.request(Method::POST, "graphql")?;
        let request = request.header("content-type", "application/json".to_owned());
        let toll = inner.graphql.toll("graphql", points(query), Urgency::Poll);
        inner.ask.send(toll, request.body(body).deadline(inner.deadline)).await
    };
    let answer = sent
        .await
        .map_err(|error: AskError| Failure::asking(&about, &error).without(&inner.token))?;
    if answer.status != StatusCode::OK {
        return Err(Failure::status(&about, &answer).without(&inner.token));
    }
    let data = read(&answer.body).map_err(|mut failure| {
        failure.why = format!("{about}: {}", failure.why);
        failure.without(&inner.token)
    })?;
    // Young by the forge's own clock.
    let date = answer.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    Ok((data, date.map(|date| Timestamp(date.timestamp().as_millisecond()))))
}

/// What the forge will charge: a hundredth of the lists that are asked for.
fn points(query: &str) -> u32 {
    let lists = query.matches("pullRequests(").count();
    u32::try_from(lists.div_ceil(100).max(1)).unwrap_or(u32::MAX)
}

/// What was answered, without the repositories that an error is about.
fn read(body: &[u8]) -> Result<BTreeMap<String, Seen>, Failure> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| Failure::new(Reason::Nonsense, error.to_string()))?;
    let mut data = answer.data;
    for error in answer.errors {
        let of = error.path.as_ref().and_then(|path| path.first()).and_then(|first| first.as_str());
        let one = of.zip(data.as_mut()).filter(|_| !error.limits());
        match one {
            Some((alias, data)) => drop(data.remove(alias)),
            None => return Err(error.failure()),
        }
    }
    let data =
        data.ok_or_else(|| Failure::new(Reason::Nonsense, "neither data nor an error".to_owned()))?;
    let mut seen = BTreeMap::new();
    let mut odd = None;
    for (alias, value) in data {
        match serde_json::from_value(value) {
            Ok(Some(one)) => drop(seen.insert(alias, one)),
            Ok(None) => {}
            Err(error) => odd = Some(error.to_string()),
        }
    }
    // One odd repository is left out as well; where all are, it is the forge that changed.
    match odd {
        Some(why) if seen.is_empty() => Err(Failure::new(Reason::Nonsense, why)),
        _ => Ok(seen),
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    path: Option<Vec<serde_json::Value>>,
}

impl Complaint {
    fn limits(&self) -> bool {
        self.kind.as_deref() == Some("RATE_LIMITED") || tells_of_limit(&self.message)
    }

    fn failure(self) -> Failure {
        const HEAVY: [&str; 3] = ["RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED", "TIMEOUT"];
        let said = self.message.to_ascii_lowercase();
        let slow = ["something went wrong", "timeout", "timed out", "timedout"];
        let heavy = self.kind.as_deref().is_some_and(|kind| HEAVY.contains(&kind))
            || slow.iter().any(|words| said.contains(words));
        let reason = match self.kind.as_deref() {
            _ if self.limits() => Reason::Limited,
            _ if heavy => Reason::Unavailable,
            Some("FORBIDDEN" | "INSUFFICIENT_SCOPES") => Reason::Forbidden,
            Some("NOT_FOUND") => Reason::NotFound,
            _ => Reason::Nonsense,
        };
        Failure { heavy, ..Failure::new(reason, self.message) }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    database_id: Option<u64>,
    name_with_owner: String,
    is_archived: bool,
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
