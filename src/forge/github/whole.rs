//! Repositories that are to be read at the same time, read by one question.
//!
//! One alone is read by REST, where what did not change costs nothing. Several are gathered for a
//! moment and asked of GraphQL; what does not fit into such an answer is read by REST as well. Both
//! must give the same of the same, or the way of asking would look like a change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::change::{ForgeChange, Listing, OpenRef, SourceBranch};
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::time::{Span, Timestamp};
use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared};
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use super::failure::Reason;
use super::{BodyReader, Inner, graphql, rest};
use crate::forge::{ForgeError, Listed};

/// How long others are waited for.
const GATHER: Span = Span(20);

/// Repositories in one question.
const MOST: usize = crosswatch_core::control::polling::READ_TOGETHER;

/// Repositories that are read by REST at once after a question that did not answer for them.
const AT_ONCE: usize = 4;

/// Lists of a repository: its branches, its changes, and the labels of each of those.
const LISTS: usize = 2 + 15;

/// Whether a change can be merged is not asked: REST does not say it in lists.
const FIELDS: &str = "{databaseId nameWithOwner isArchived isPrivate defaultBranchRef{name} \
    refs(refPrefix:\"refs/heads/\",first:100){pageInfo{hasNextPage} nodes{name target{oid}}} \
    pullRequests(states:OPEN,first:15){pageInfo{hasNextPage} nodes{number headRefOid baseRefName \
    headRefName body isDraft createdAt authorAssociation author{login __typename} \
    headRepository{nameWithOwner} labels(first:20){pageInfo{hasNextPage} nodes{name}}}}}";

type Read = Arc<BTreeMap<RepositoryId, Result<Listed, ForgeError>>>;

/// Those who wait for the next question.
#[derive(Default)]
pub(super) struct Gathering(Mutex<Option<Batch>>);

struct Batch {
    of: Arc<Mutex<BTreeSet<RepositoryId>>>,
    /// Those who wait hold it; when all of them are gone, so is the question.
    read: WeakShared<BoxFuture<'static, Read>>,
}

pub(super) async fn list(
    inner: Arc<Inner>,
    repository: RepositoryId,
) -> Result<Listed, ForgeError> {
    if inner.token.is_none() {
        return Ok(inner.list(repository).await?);
    }
    let read = join(&inner, &repository).await;
    let none = || ForgeError::Unavailable(format!("{repository}: it was not read"));
    read.get(&repository).cloned().unwrap_or_else(|| Err(none()))
}

/// The batch that is being gathered, with this repository in it. Whoever waits for it drives it, so it
/// goes on when the first of them gives up.
fn join(inner: &Arc<Inner>, repository: &RepositoryId) -> Shared<BoxFuture<'static, Read>> {
    let mut gathering = inner.gathering.0.lock().unwrap_or_else(PoisonError::into_inner);
    let open = gathering.as_ref().and_then(|batch| Some((&batch.of, batch.read.upgrade()?)));
    if let Some((of, read)) = open {
        let mut of = of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() < MOST && !of.is_empty() {
            of.insert(repository.clone());
            return read;
        }
    }
    let of = Arc::new(Mutex::new(BTreeSet::from([repository.clone()])));
    let (members, reader) = (Arc::clone(&of), Arc::clone(inner));
    let read = async move {
        tokio::time::sleep(GATHER.to_std()).await;
        // An empty batch takes nobody any more.
        let members = std::mem::take(&mut *members.lock().unwrap_or_else(PoisonError::into_inner));
        Arc::new(many(&reader, members.into_iter().collect()).await)
    };
    let read = read.boxed().shared();
    *gathering = read.downgrade().map(|read| Batch { of, read });
    read
}

async fn many(
    inner: &Inner,
    repositories: Vec<RepositoryId>,
) -> BTreeMap<RepositoryId, Result<Listed, ForgeError>> {
    let mut read = BTreeMap::new();
    let mut alone = Vec::new();
    let mut waiting = VecDeque::from([repositories]);
    while let Some(mut some) = waiting.pop_front() {
        if some.len() < 2 {
            alone.extend(some);
            continue;
        }
        match graphql::ask::<Seen>(inner, &some, FIELDS, LISTS).await {
            Ok((mut found, _)) => {
                for repository in some {
                    let seen = found.remove(&repository);
                    match seen.and_then(|seen| seen.listed(&repository, &inner.reader)) {
                        Some(listed) => drop(read.insert(repository, Ok(listed))),
                        None => alone.push(repository),
                    }
                }
            }
            Err(failure) if failure.heavy => {
                let second = some.split_off(some.len().div_ceil(2));
                waiting.push_front(second);
                waiting.push_front(some);
            }
            // REST would fail too, once for each.
            Err(failure) if matches!(failure.reason, Reason::Unavailable | Reason::Credential) => {
                let failed = |repository| (repository, Err(ForgeError::from(failure.clone())));
                read.extend(some.into_iter().map(failed));
            }
            Err(_) => alone.extend(some),
        }
    }
    let rest = stream::iter(alone).map(|repository| async move {
        let listed = inner.list(repository.clone()).await;
        (repository, listed.map_err(ForgeError::from))
    });
    let rest: Vec<_> = rest.buffer_unordered(AT_ONCE).collect().await;
    read.extend(rest);
    read
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    database_id: u64,
    name_with_owner: String,
    is_archived: bool,
    is_private: bool,
    default_branch_ref: Option<Named>,
    refs: Option<List<Ref>>,
    pull_requests: List<Pull>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    page_info: PageInfo,
    nodes: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
}

#[derive(Deserialize)]
struct Ref {
    name: String,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    oid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    number: u64,
    head_ref_oid: String,
    head_ref_name: String,
    base_ref_name: String,
    body: Option<String>,
    is_draft: bool,
    created_at: String,
    author_association: Option<String>,
    author: Option<Actor>,
    head_repository: Option<Source>,
    labels: Option<List<Named>>,
}

#[derive(Deserialize)]
struct Actor {
    login: String,
    #[serde(rename = "__typename")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    name_with_owner: String,
}

impl<T> List<T> {
    /// All of it, if it is all.
    fn whole(self) -> Option<Vec<T>> {
        (!self.page_info.has_next_page).then_some(self.nodes)
    }
}

impl Seen {
    /// Nothing where anything is missing or odd: then REST has to say it.
    fn listed(self, of: &RepositoryId, reader: &BodyReader) -> Option<Listed> {
        let mut listing =
            Listing { archived: self.is_archived, public: !self.is_private, ..Listing::default() };
        for branch in self.refs.map_or_else(|| Some(Vec::new()), List::whole)? {
            listing.branches.insert(Name::from(branch.name), branch.target.oid.parse().ok()?);
        }
        let default = self.default_branch_ref.map(|branch| Name::from(branch.name));
        listing.default_branch = default.filter(|name| listing.branches.contains_key(name));
        let pulls = self.pull_requests.whole()?;
        let pulls = pulls.into_iter().map(|pull| pull.open(of, reader));
        listing.changes = pulls.collect::<Option<_>>()?;
        listing.changes.sort_by_key(|change| change.number);
        listing.changes.dedup_by_key(|change| change.number);
        let forge_id = self.database_id.to_string();
        Some(Listed { forge_id, spelling: self.name_with_owner, listing })
    }
}

impl Pull {
    fn open(self, of: &RepositoryId, reader: &BodyReader) -> Option<OpenRef> {
        let number = Some(self.number).filter(|number| *number > 0)?;
        let association = rest::association(self.author_association.as_deref());
        let author = self.author.and_then(|actor| {
            let bot = actor.kind == "Bot";
            // Of a bot's login GraphQL leaves out what REST writes.
            let plain = bot && !actor.login.ends_with("[bot]");
            let login = if plain { format!("{}[bot]", actor.login) } else { actor.login };
            rest::author(login, bot, association)
        });
        let branch = Name::from(self.head_ref_name);
        let source = self.head_repository.map(|source| {
            let name = source.name_with_owner;
            let owner = Name::from(name.split('/').next().unwrap_or_default());
            let repository = RepositoryId::new(of.forge.clone(), name.to_lowercase());
            SourceBranch { repository, owner, branch }
        });
        let labels = self.labels.map_or_else(|| Some(Vec::new()), List::whole)?;
        let forge = ForgeChange {
            draft: self.is_draft,
            author,
            source,
            created_at: self.created_at.parse::<Timestamp>().ok()?,
            labels: labels.into_iter().map(|label| Name::from(label.name)).collect(),
            mergeable: None,
            references: reader(&of.change(number), self.body.as_deref().unwrap_or_default()),
        };
        Some(OpenRef {
            number,
            head: self.head_ref_oid.parse().ok()?,
            base: Some(Name::from(self.base_ref_name)),
            ref_name: Name::from(format!("refs/pull/{number}/head")),
            merge: true,
            forge: Some(Box::new(forge)),
        })
    }
}

#[cfg(test)]
mod tests {
    use crosswatch_core::references::References;

    use super::super::fuzz::target;
    use super::*;

    const ANSWER: &str = include_str!("examples/whole.json");

    fn read(body: &[u8]) -> Option<Listed> {
        let reader: BodyReader = Arc::new(|_, _| References::default());
        let mut seen = graphql::each::<Seen>(graphql::read(body).ok()?).ok()?;
        let of = RepositoryId::new("github.com", "octocat/hello-world");
        seen.remove("r0").and_then(|seen| seen.listed(&of, &reader))
    }

    #[test]
    fn what_is_not_whole_is_left_to_rest() {
        let listed = read(ANSWER.as_bytes()).expect("a list");
        assert_eq!((listed.forge_id.as_str(), listed.listing.changes.len()), ("1296269", 2));
        let change = listed.listing.change(1348).expect("a change");
        let forge = change.forge.as_ref().expect("a pull request");
        let author = forge.author.as_ref().expect("a bot");
        assert_eq!((author.login.as_str(), author.bot), ("dependabot[bot]", true));
        for (at, _) in ANSWER.match_indices("\"hasNextPage\":false") {
            let (before, after) = ANSWER.split_at(at);
            let more = after.replacen("false", "true", 1);
            assert_eq!(read(format!("{before}{more}").as_bytes()), None, "{at}");
        }
    }

    #[test]
    fn no_answer_makes_a_reader_fall() {
        let read = target("whole", &[ANSWER.as_bytes()], |body| read(body).is_some());
        assert!(read > 500, "{read}");
    }
}
