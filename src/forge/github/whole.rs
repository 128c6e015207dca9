//! Repositories that are to be read at the same time, read by one question.
//!
//! What does not fit into such an answer is read by REST.

use crosswatch_core::model::change::{ForgeChange, Listing, OpenRef, SourceBranch};
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::time::{Span, Timestamp};
use serde::Deserialize;

use super::failure::Failure;
use super::gather::{Gathering, Together};
use super::graphql::{Commit, List, Named};
use super::{BodyReader, Inner, graphql, rest};
use crate::forge::Listed;

/// Whether a change can be merged is not asked: REST does not say it in lists.
const FIELDS: &str = "{databaseId nameWithOwner isArchived isPrivate defaultBranchRef{name} \
    refs(refPrefix:\"refs/heads/\",first:100){pageInfo{hasNextPage} nodes{name target{oid}}} \
    pullRequests(states:OPEN,first:15){pageInfo{hasNextPage} nodes{number headRefOid baseRefName \
    headRefName body isDraft createdAt authorAssociation author{login __typename} \
    headRepository{nameWithOwner} labels(first:20){pageInfo{hasNextPage} nodes{name}}}}}";

impl Together for RepositoryId {
    type Seen = Seen;
    type Answer = Listed;
    const MOST: usize = crosswatch_core::control::polling::READ_TOGETHER;
    /// Whoever hears of a push wants to know soon.
    const GATHER: Span = Span(20);
    /// Its branches, its changes, and the labels of each of those.
    const LISTS: usize = 2 + 15;

    fn gathering(inner: &Inner) -> &Gathering<Self> {
        &inner.whole
    }

    fn question(&self) -> Option<String> {
        graphql::of(self, FIELDS)
    }

    fn read(&self, seen: Seen, inner: &Inner) -> Option<Listed> {
        seen.listed(self, &inner.reader)
    }

    async fn alone(&self, inner: &Inner) -> Result<Listed, Failure> {
        inner.list(self.clone()).await
    }
}

/// A repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen {
    database_id: u64,
    name_with_owner: String,
    is_archived: bool,
    is_private: bool,
    default_branch_ref: Option<Named>,
    refs: Option<List<Ref>>,
    pull_requests: List<Pull>,
}

#[derive(Deserialize)]
struct Ref {
    name: String,
    target: Commit,
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
    use std::sync::Arc;

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
