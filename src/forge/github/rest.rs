//! What REST says of repositories, branches and changes, with no more than is needed of it.
//!
//! Deleted accounts and forks, and words that we do not know, are data. Anything else that is not as
//! GitHub describes it is an error of the whole answer: nothing is left out of a list.

use std::collections::BTreeSet;

use crosswatch_core::model::change::{
    Association, Author, Fate, ForgeChange, OpenRef, SourceBranch,
};
use crosswatch_core::model::identity::{Name, Oid, RepositoryId};
use crosswatch_core::model::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::BodyReader;
use super::change::Told;

/// The account that stands for all that are gone.
const GHOST: &str = "ghost";

/// A repository.
#[derive(Debug, Deserialize)]
pub(super) struct About {
    pub(super) id: u64,
    pub(super) full_name: String,
    pub(super) default_branch: Option<String>,
    #[serde(default)]
    pub(super) archived: bool,
    /// Of a server that does not say it, nobody knows.
    pub(super) private: Option<bool>,
}

/// Heads of branches, as one page has them.
pub(super) type Branches = Vec<(Name, Oid)>;

/// Open changes, as one page has them.
pub(super) type Changes = Vec<OpenRef>;

pub(super) fn about(body: &[u8]) -> Result<About, String> {
    let about: About = read(body)?;
    let parts = about.full_name.split('/').filter(|part| !part.is_empty()).count();
    if parts == 2 { Ok(about) } else { Err("`full_name` is not OWNER/NAME".to_owned()) }
}

pub(super) fn branches(body: &[u8]) -> Result<Branches, String> {
    let refs: Vec<Ref> = read(body)?;
    let mut branches = Vec::with_capacity(refs.len());
    for Ref { name, object } in refs {
        // Whatever else begins with these letters is no branch.
        if let Some(branch) = name.strip_prefix("refs/heads/").filter(|name| !name.is_empty()) {
            branches.push((Name::from(branch), object.sha.parse()?));
        }
    }
    Ok(branches)
}

pub(super) fn changes(
    body: &[u8],
    of: &RepositoryId,
    reader: &BodyReader,
) -> Result<Changes, String> {
    let pulls: Vec<Pull> = read(body)?;
    pulls.into_iter().map(|pull| pull.open(of, reader)).collect()
}

/// What is said of a change alone.
pub(super) fn told(body: &[u8]) -> Result<Told, String> {
    let pull: Alone = read(body)?;
    let merged = pull.merged.unwrap_or(false) || pull.merged_at.is_some();
    let head = pull.head.and_then(|head| head.sha);
    let head = head.as_deref().map(str::parse).transpose()?;
    let fate = match pull.state.as_str() {
        _ if merged => {
            let commit = pull.merge_commit_sha.as_deref().map(str::parse).transpose()?;
            Fate::Merged { commit, base: pull.base.branch.map(Name::from) }
        }
        "open" => Fate::Open,
        "closed" => Fate::Closed { head, labels: names(pull.labels) },
        // To guess would be to cancel, or to wait for ever.
        other => return Err(format!("a change is neither open nor closed but {other:?}")),
    };
    Ok(Told { head, mergeable: pull.mergeable, fate })
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct Ref {
    #[serde(rename = "ref")]
    name: String,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    #[serde(default)]
    draft: Option<bool>,
    body: Option<String>,
    user: Option<User>,
    #[serde(default)]
    author_association: Option<String>,
    created_at: String,
    #[serde(default)]
    labels: Vec<Label>,
    head: Head,
    base: Base,
    #[serde(default)]
    mergeable: Option<bool>,
}

#[derive(Deserialize)]
struct Alone {
    state: String,
    #[serde(default)]
    mergeable: Option<bool>,
    #[serde(default)]
    merged: Option<bool>,
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
    #[serde(default)]
    labels: Vec<Label>,
    head: Option<LastHead>,
    base: LastBase,
}

#[derive(Deserialize)]
struct LastHead {
    sha: Option<String>,
}

#[derive(Deserialize)]
struct LastBase {
    #[serde(rename = "ref")]
    branch: Option<String>,
}

#[derive(Deserialize)]
struct User {
    login: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Label {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
    #[serde(rename = "ref")]
    branch: String,
    repo: Option<Source>,
}

#[derive(Deserialize)]
struct Source {
    full_name: String,
}

#[derive(Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    branch: String,
}

impl Pull {
    fn open(self, of: &RepositoryId, reader: &BodyReader) -> Result<OpenRef, String> {
        let number = self.number;
        if number == 0 {
            return Err("a change has the number 0".to_owned());
        }
        let references = reader(&of.change(number), self.body.as_deref().unwrap_or_default());
        let branch = self.head.branch;
        let source = self.head.repo.map(|source| {
            let owner = source.full_name.split('/').next().unwrap_or_default();
            SourceBranch {
                owner: Name::from(owner),
                repository: RepositoryId::new(of.forge.clone(), source.full_name.to_lowercase()),
                branch: Name::from(branch),
            }
        });
        let association = association(self.author_association.as_deref());
        let by = self.user.and_then(|user| {
            let bot = user.kind.as_deref() == Some("Bot");
            author(user.login, bot, association)
        });
        let forge = ForgeChange {
            draft: self.draft.unwrap_or(false),
            author: by,
            source,
            created_at: self.created_at.parse::<Timestamp>().map_err(|error| error.to_string())?,
            labels: names(self.labels),
            mergeable: self.mergeable,
            references,
        };
        Ok(OpenRef {
            number,
            head: self.head.sha.parse()?,
            base: Some(Name::from(self.base.branch)),
            ref_name: Name::from(format!("refs/pull/{number}/head")),
            merge: self.mergeable != Some(false),
            forge: Some(Box::new(forge)),
        })
    }
}

/// Nobody, where the account is gone.
pub(super) fn author(login: String, bot: bool, association: Association) -> Option<Author> {
    let bot = bot || login.ends_with("[bot]");
    let gone = login.is_empty() || login == GHOST;
    (!gone).then(|| Author { login: Name::from(login), bot, association })
}

pub(super) fn association(word: Option<&str>) -> Association {
    match word {
        Some("OWNER") => Association::Owner,
        Some("MEMBER") => Association::Member,
        Some("COLLABORATOR") => Association::Collaborator,
        _ => Association::None,
    }
}

fn names(labels: Vec<Label>) -> BTreeSet<Name> {
    labels.into_iter().filter_map(|label| label.name).map(Name::from).collect()
}

#[cfg(test)]
mod tests;
