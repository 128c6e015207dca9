//! What the forge says of a change when it is asked about that change: what became of it, and whether
//! it can be merged. Asking makes the forge try. Several are asked about at once.

use crosswatch_core::model::change::Fate;
use crosswatch_core::model::identity::{ChangeId, Name, Oid};
use crosswatch_core::model::time::Span;
use serde::Deserialize;

use super::failure::{Failure, Reason};
use super::gather::{Gathering, Together};
use super::graphql::{Commit, List, Named};
use super::{Inner, graphql, name, rest};

/// Longest number that GraphQL takes.
const GREATEST: u64 = i32::MAX as u64;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Its head, where it has one.
    pub(super) head: Option<Oid>,
    /// Nothing while the forge tries.
    pub(super) mergeable: Option<bool>,
    /// What became of it.
    pub(super) fate: Fate,
}

/// Nothing where there is no such change.
impl Together for ChangeId {
    type Seen = Seen;
    type Answer = Option<Told>;
    const MOST: usize = 50;
    /// Plans ask for some after each repository that was read; nothing hurries.
    const GATHER: Span = Span(200);
    const LISTS: usize = 1;

    fn gathering(inner: &Inner) -> &Gathering<Self> {
        &inner.changes
    }

    fn question(&self) -> Option<String> {
        let number = Some(self.number).filter(|number| *number <= GREATEST)?;
        let fields = "state headRefOid baseRefName mergeable mergeCommit{oid} \
            labels(first:100){pageInfo{hasNextPage} nodes{name}}";
        graphql::of(&self.repository, &format!("{{pullRequest(number:{number}){{{fields}}}}}"))
    }

    fn read(&self, seen: Seen, _: &Inner) -> Option<Option<Told>> {
        seen.pull_request?.told().map(Some)
    }

    async fn alone(&self, inner: &Inner) -> Result<Option<Told>, Failure> {
        let at = format!("repos/{}/pulls/{}", name::of(&self.repository)?, self.number);
        match inner.value(&self.repository, &at, rest::told).await {
            Ok(told) => Ok(Some((*told).clone())),
            Err(failure) if matches!(failure.reason, Reason::NotFound) => {
                // Only who sees the repository can say that something is not in it.
                inner.about(&self.repository).await?;
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen {
    pull_request: Option<Pull>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    state: String,
    head_ref_oid: String,
    base_ref_name: String,
    mergeable: String,
    merge_commit: Option<Commit>,
    labels: Option<List<Named>>,
}

impl Pull {
    fn told(self) -> Option<Told> {
        let head: Oid = self.head_ref_oid.parse().ok()?;
        let fate = match self.state.as_str() {
            "OPEN" => Fate::Open,
            "MERGED" => {
                let commit = self.merge_commit.map(|commit| commit.oid.parse()).transpose().ok()?;
                Fate::Merged { commit, base: Some(Name::from(self.base_ref_name)) }
            }
            "CLOSED" => {
                let labels = self.labels.map_or_else(|| Some(Vec::new()), List::whole)?;
                let labels = labels.into_iter().map(|label| Name::from(label.name)).collect();
                Fate::Closed { head: Some(head), labels }
            }
            _ => return None,
        };
        let mergeable = match self.mergeable.as_str() {
            "MERGEABLE" => Some(true),
            "CONFLICTING" => Some(false),
            "UNKNOWN" => None,
            _ => return None,
        };
        Some(Told { head: Some(head), mergeable, fate })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::target;
    use super::*;

    const ANSWER: &str = r#"{"data":{"r0":{"pullRequest":{"state":"OPEN","headRefOid":"6dcb09b5b57875f334f61aebed695e2e4193db5e","baseRefName":"main","mergeable":"CONFLICTING","mergeCommit":null,"labels":{"pageInfo":{"hasNextPage":false},"nodes":[{"name":"bug"}]}}},"r1":{"pullRequest":{"state":"MERGED","headRefOid":"6dcb09b5b57875f334f61aebed695e2e4193db5e","baseRefName":"main","mergeable":"UNKNOWN","mergeCommit":{"oid":"e5bd3914e2e596debea16f433f57875b5b90bcd6"},"labels":null}},"r2":{"pullRequest":null}},"errors":[{"type":"NOT_FOUND","path":["r2","pullRequest"],"message":"Could not resolve to a PullRequest with the number of 9."}]}"#;

    fn read(body: &str, alias: &str) -> Option<Told> {
        let mut seen = graphql::each::<Seen>(graphql::read(body.as_bytes()).ok()?).ok()?;
        seen.remove(alias)?.pull_request?.told()
    }

    #[test]
    fn what_is_odd_or_missing_is_left_to_rest() {
        let open = read(ANSWER, "r0").expect("a change");
        assert_eq!((open.mergeable, open.fate), (Some(false), Fate::Open));
        let merged = read(ANSWER, "r1").expect("a change");
        let commit = "e5bd3914e2e596debea16f433f57875b5b90bcd6".parse().ok();
        assert_eq!(merged.mergeable, None);
        assert_eq!(merged.fate, Fate::Merged { commit, base: Some("main".into()) });
        assert_eq!(read(ANSWER, "r2"), None);
        let closed = ANSWER.replacen("OPEN", "CLOSED", 1);
        let told = read(&closed, "r0").expect("a change");
        let labels = ["bug".into()].into();
        assert_eq!(told.fate, Fate::Closed { head: told.head, labels });
        for (what, other) in [
            ("CONFLICTING", "PERHAPS"),
            ("OPEN", "PONDERING"),
            ("6dcb09b5b57875f334f61aebed695e2e4193db5e", "main"),
        ] {
            assert_eq!(read(&ANSWER.replacen(what, other, 1), "r0"), None, "{other}");
        }
        let more = closed.replacen("\"hasNextPage\":false", "\"hasNextPage\":true", 1);
        assert_eq!(read(&more, "r0"), None, "there are more labels");
        let of =
            |number| crosswatch_core::model::identity::RepositoryId::new("f", "a/b").change(number);
        assert!(of(GREATEST).question().is_some());
        assert!(of(GREATEST + 1).question().is_none(), "it would spoil the whole query");
    }

    #[test]
    fn no_answer_makes_a_reader_fall() {
        let read = target("changes", &[ANSWER.as_bytes()], |body| {
            let seen = graphql::read(body).and_then(graphql::each::<Seen>);
            let pulls = seen.into_iter().flatten().filter_map(|(_, seen)| seen.pull_request);
            pulls.filter_map(Pull::told).count() > 0
        });
        assert!(read > 500, "{read}");
    }
}
