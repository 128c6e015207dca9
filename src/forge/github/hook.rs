//! Webhooks of GitHub: whether one is signed, and what it announces. What it says is never believed: it
//! tells which repository to read, and which head to wait for there.

use std::borrow::Cow;

use crosswatch_core::control::hints::{Expected, HeadOf};
use crosswatch_core::model::identity::{Name, Oid};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::name::is_part;

/// Longest name of a branch or a repository.
const LONGEST: usize = 1024;

/// Actions on a change that alter nothing of what is read of it.
const IDLE: [&str; 12] = [
    "assigned",
    "unassigned",
    "review_requested",
    "review_request_removed",
    "milestoned",
    "demilestoned",
    "locked",
    "unlocked",
    "auto_merge_enabled",
    "auto_merge_disabled",
    "enqueued",
    "dequeued",
];

/// Events after which a repository may be another than it was.
const MOVES: [&str; 9] = [
    "push",
    "create",
    "delete",
    "pull_request",
    "repository",
    "member",
    "public",
    "team_add",
    "merge_group",
];

/// What a delivery says, as far as it is of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// The repository that may have moved; nothing where nothing of it that we read can have.
    pub moved: Option<Moved>,
    /// The repository's full name, whether it moved or not.
    pub repository: Option<String>,
    /// The organisation, or else the owner of the repository.
    pub owner: Option<String>,
}

/// A repository that may have moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The forge's own id.
    pub id: u64,
    /// Its path in lower case, and the one that it had before.
    pub paths: Vec<Name>,
    /// The head that is to be seen there.
    pub expected: Option<Expected>,
}

/// Whether events of this name can move a repository.
pub fn moves(event: &str) -> bool {
    MOVES.contains(&event)
}

/// The digest in a signature of the form `sha256=…`.
pub fn signature(header: &[u8]) -> Option<[u8; 32]> {
    let digits = std::str::from_utf8(header).ok()?.strip_prefix("sha256=")?;
    let digest: Oid = digits.parse().ok()?;
    digest.as_bytes().try_into().ok()
}

/// Whether one of the secrets signed the body. How long that takes tells nothing about which, or how
/// nearly.
pub fn is_signed(body: &[u8], signature: &[u8; 32], secrets: &[SecretString]) -> bool {
    let mut right = subtle::Choice::from(0);
    for secret in secrets {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
            continue;
        };
        mac.update(body);
        right |= mac.finalize().into_bytes().as_slice().ct_eq(signature);
    }
    right.into()
}

/// Reads the body of a delivery, which is JSON or a form with JSON in the field `payload`.
pub fn announced(event: &str, is_form: bool, body: &[u8]) -> Result<Announced, String> {
    if !is_form {
        return read(event, body);
    }
    let payload = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
    let (_, json) = payload.ok_or_else(|| "the form has no field `payload`".to_owned())?;
    read(event, json.as_bytes())
}

fn read(event: &str, body: &[u8]) -> Result<Announced, String> {
    if !moves(event) {
        let about: About<'_> = parse(body)?;
        return Ok(announced_of(about.repository.as_ref(), about.organization, None));
    }
    let payload: Payload<'_> = parse(body)?;
    let moved = match &payload.repository {
        Some(repository) => payload.moved(event, repository)?,
        None => None,
    };
    Ok(announced_of(payload.repository.as_ref(), payload.organization, moved))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    // A list would be read as the values of the object's first keys.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not a JSON object".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn announced_of(
    repository: Option<&Repository<'_>>,
    organization: Option<Account<'_>>,
    moved: Option<Moved>,
) -> Announced {
    let full_name = repository.map(|repository| &repository.full_name);
    let full_name = full_name.filter(|name| parts(name).is_some()).map(|name| name.to_string());
    let owner = organization.map(|account| account.login.into_owned()).filter(|name| is_part(name));
    let of_name = || full_name.as_deref().and_then(parts).map(|(owner, _)| owner.to_owned());
    Announced { moved, owner: owner.or_else(of_name), repository: full_name }
}

/// Owner and name.
fn parts(full_name: &str) -> Option<(&str, &str)> {
    let (owner, name) = full_name.split_once('/')?;
    let fits = full_name.len() <= LONGEST && is_part(owner) && is_part(name);
    fits.then_some((owner, name))
}

#[derive(Deserialize)]
struct About<'a> {
    #[serde(borrow, default)]
    repository: Option<Repository<'a>>,
    #[serde(borrow, default)]
    organization: Option<Account<'a>>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    repository: Option<Repository<'a>>,
    #[serde(borrow, default)]
    organization: Option<Account<'a>>,
    #[serde(borrow, default)]
    pull_request: Option<Pull<'a>>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ref_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    after: Option<Cow<'a, str>>,
    #[serde(default)]
    deleted: Option<bool>,
    #[serde(borrow, default)]
    changes: Option<Changes<'a>>,
}

#[derive(Deserialize)]
struct Repository<'a> {
    id: u64,
    #[serde(borrow)]
    full_name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Account<'a> {
    #[serde(borrow)]
    login: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Pull<'a> {
    number: u64,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow)]
    head: Head<'a>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    sha: Cow<'a, str>,
}

/// What was before.
#[derive(Deserialize)]
struct Changes<'a> {
    #[serde(borrow, default)]
    repository: Option<Renamed<'a>>,
    #[serde(borrow, default)]
    owner: Option<Transferred<'a>>,
}

#[derive(Deserialize)]
struct Renamed<'a> {
    #[serde(borrow, default)]
    name: Option<From<'a>>,
}

#[derive(Deserialize)]
struct From<'a> {
    #[serde(borrow)]
    from: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Transferred<'a> {
    #[serde(borrow)]
    from: Owner<'a>,
}

#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow, default)]
    user: Option<Account<'a>>,
    #[serde(borrow, default)]
    organization: Option<Account<'a>>,
}

impl Payload<'_> {
    fn moved(&self, event: &str, repository: &Repository<'_>) -> Result<Option<Moved>, String> {
        let (owner, name) = parts(&repository.full_name)
            .ok_or_else(|| "`repository.full_name` is not OWNER/NAME".to_owned())?;
        let expected = match event {
            "push" => match self.branch("refs/heads/") {
                Some(branch) => Some(Expected { of: HeadOf::Branch(branch), head: self.after()? }),
                None => return Ok(None),
            },
            "delete" => match self.branch("").filter(|_| self.is_branch()) {
                Some(branch) => Some(Expected { of: HeadOf::Branch(branch), head: None }),
                None => return Ok(None),
            },
            "create" if !self.is_branch() => return Ok(None),
            "pull_request" if self.action.as_ref().is_some_and(|word| IDLE.contains(&&**word)) => {
                return Ok(None);
            }
            "pull_request" => self.change()?,
            _ => None,
        };
        let mut paths = vec![format!("{owner}/{name}")];
        let changes = self.changes.as_ref();
        if let Some(from) = changes.and_then(|all| all.repository.as_ref()?.name.as_ref()) {
            paths.push(format!("{owner}/{}", from.from));
        }
        if let Some(from) = changes.and_then(|all| all.owner.as_ref()) {
            let from = from.from.user.as_ref().or(from.from.organization.as_ref());
            paths.extend(from.map(|from| format!("{}/{name}", from.login)));
        }
        paths.retain(|path| parts(path).is_some());
        let paths = paths.into_iter().map(|path| Name::from(path.to_lowercase())).collect();
        Ok(Some(Moved { id: repository.id, paths, expected }))
    }

    fn is_branch(&self) -> bool {
        self.ref_type.as_deref() == Some("branch")
    }

    fn branch(&self, prefix: &str) -> Option<Name> {
        let branch = self.reference.as_deref()?.strip_prefix(prefix)?;
        (!branch.is_empty() && branch.len() <= LONGEST).then(|| Name::from(branch))
    }

    /// Where the branch is after a push.
    fn after(&self) -> Result<Option<Oid>, String> {
        match &self.after {
            Some(_) if self.deleted == Some(true) => Ok(None),
            Some(after) if after.bytes().all(|digit| digit == b'0') => Ok(None),
            Some(after) => after.parse().map(Some),
            None => Err("a push has no `after`".to_owned()),
        }
    }

    fn change(&self) -> Result<Option<Expected>, String> {
        let Some(pull) = &self.pull_request else { return Ok(None) };
        let head = pull.head.sha.parse()?;
        let head = (pull.state != "closed").then_some(head);
        Ok(Some(Expected { of: HeadOf::Change(pull.number), head }))
    }
}

#[cfg(test)]
mod tests;
