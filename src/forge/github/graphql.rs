//! One question about many things: how it is sent, and what its errors are about.

use std::collections::BTreeMap;

use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::{Failure, Reason, tells_of_limit};
use super::{Inner, name};
use crate::http::conditional::AskError;
use crate::http::{Method, StatusCode, Urgency};

/// What was asked for, by its alias in the query.
pub(super) type Data = BTreeMap<String, serde_json::Value>;

/// What is asked for of a repository; nothing where GitHub cannot have it, so that reading it tells why.
pub(super) fn of(repository: &RepositoryId, fields: &str) -> Option<String> {
    let (owner, name) = name::parts(repository).ok()?;
    // These have no character that would need an escape.
    Some(format!("repository(owner:\"{owner}\",name:\"{name}\"){fields}"))
}

/// Asks all of these at once, each with `lists` lists. With the forge's own time.
pub(super) async fn ask<K: Ord, T: DeserializeOwned>(
    inner: &Inner,
    questions: Vec<(K, String)>,
    lists: usize,
) -> Result<(BTreeMap<K, T>, Option<Timestamp>), Failure> {
    if questions.is_empty() {
        return Ok((BTreeMap::new(), None));
    }
    let mut query = String::from("query{");
    let mut asked = BTreeMap::new();
    for (at, (of, question)) in questions.into_iter().enumerate() {
        let alias = format!("r{at}");
        query.extend([&alias, ":", &question, " "]);
        asked.insert(alias, of);
    }
    query.push('}');
    // A point for a hundred lists.
    let points = (lists * asked.len()).div_ceil(100).max(1);
    let (data, now) = send(inner, &query, u32::try_from(points).unwrap_or(u32::MAX)).await?;
    let found = each(data).map_err(|mut failure| {
        failure.why = format!("{}: GraphQL: {}", inner.identity, failure.why);
        failure.without(inner.token.as_ref())
    })?;
    let found = found.into_iter().filter_map(|(alias, one)| Some((asked.remove(&alias)?, one)));
    Ok((found.collect(), now))
}

async fn send(
    inner: &Inner,
    query: &str,
    points: u32,
) -> Result<(Data, Option<Timestamp>), Failure> {
    let about = format!("{}: GraphQL", inner.identity);
    let body = serde_json::json!({ "query": query }).to_string();
    let sent = async {
        let request = inner.graphql.request(Method::POST, "graphql")?;
        let request = request.header("content-type", "application/json".to_owned());
        let toll = inner.graphql.toll("graphql", points, Urgency::Poll);
        inner.ask.send(toll, request.body(body).deadline(inner.deadline)).await
    };
    let answer = sent
        .await
        .map_err(|error: AskError| Failure::asking(&about, &error).without(inner.token.as_ref()))?;
    if answer.status != StatusCode::OK {
        return Err(Failure::status(&about, &answer).without(inner.token.as_ref()));
    }
    let data = read(&answer.body).map_err(|mut failure| {
        failure.why = format!("{about}: {}", failure.why);
        failure.without(inner.token.as_ref())
    })?;
    // Young by the forge's own clock.
    let date = answer.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    Ok((data, date.map(|date| Timestamp(date.timestamp().as_millisecond()))))
}

/// What was answered, without what an error is about.
pub(super) fn read(body: &[u8]) -> Result<Data, Failure> {
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
    data.ok_or_else(|| Failure::new(Reason::Nonsense, "neither data nor an error".to_owned()))
}

/// Each as `T`, by its alias.
///
/// One that is odd is left out, as those are that an error is about; where all are odd, it is the
/// forge that changed.
pub(super) fn each<T: DeserializeOwned>(data: Data) -> Result<BTreeMap<String, T>, Failure> {
    let mut seen = BTreeMap::new();
    let mut odd = None;
    for (alias, value) in data {
        match serde_json::from_value(value) {
            Ok(Some(one)) => drop(seen.insert(alias, one)),
            Ok(None) => {}
            Err(error) => odd = Some(error.to_string()),
        }
    }
    // One that is odd is left out as well; where all are, it is the forge that changed.
    match odd {
        Some(why) if seen.is_empty() => Err(Failure::new(Reason::Nonsense, why)),
        _ => Ok(seen),
    }
}

/// Something that only its name is asked of.
#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// A commit.
#[derive(Deserialize)]
pub(super) struct Commit {
    pub(super) oid: String,
}

/// The first page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    page_info: PageInfo,
    nodes: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
}

impl<T> List<T> {
    /// All of it, if it is all.
    pub(super) fn whole(self) -> Option<Vec<T>> {
        (!self.page_info.has_next_page).then_some(self.nodes)
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
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
