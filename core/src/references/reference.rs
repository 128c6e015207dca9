//! One reference, as one word of a text.

use crate::model::identity::{ChangeId, RepositoryId};
use crate::model::locator::{Located, Locator};

/// The largest number that a ledger can keep.
const MAX_NUMBER: u64 = i64::MAX as u64;
const MAX_WORD: usize = 1024;

/// What a word is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A reference to that change.
    Change(ChangeId),
    /// It looks like a reference and can name no change, for this reason.
    Impossible(String),
    /// An address of something else.
    Address(String),
    /// No reference.
    None,
}

/// Reads one word of a text of the change `of`: `#N`, `PATH#N`, `FORGE:PATH#N`, or an address.
pub fn parse(word: &str, of: &ChangeId, locator: &Locator) -> Reference {
    let word = bare(word);
    // Longer than any address that is fetched from: findings and identities stay small.
    if word.len() > MAX_WORD {
        return Reference::None;
    }
    if word.contains("://") {
        return address(word, locator);
    }
    let Some((place, sign, digits)) = sign_and_digits(word) else { return Reference::None };
    let repository = match repository(place, of, locator) {
        Ok(repository) => repository,
        Err(other) => return other,
    };
    if sign == '!' {
        return Reference::Impossible(format!(
            "changes of {} are written with #: {place}#{digits}",
            repository.forge
        ));
    }
    numbered(repository, digits)
}

fn repository(place: &str, of: &ChangeId, locator: &Locator) -> Result<RepositoryId, Reference> {
    if place.is_empty() {
        return Ok(of.repository.clone());
    }
    let (forge, path) = match place.split_once(':') {
        Some((forge, path)) => (forge, path),
        None => (of.repository.forge.as_str(), place),
    };
    match locator.on_forge(forge, path) {
        Some(Ok(repository)) => Ok(repository),
        Some(Err(why)) => Err(Reference::Impossible(format!("it names no repository: {why}"))),
        None => Err(Reference::Impossible(unknown_forge(forge, locator))),
    }
}

fn unknown_forge(forge: &str, locator: &Locator) -> String {
    let known: Vec<&str> = locator.forges().into_iter().take(10).collect();
    let forge: String = forge.chars().take(60).collect();
    format!("{forge:?} is no configured forge; there are {}", known.join(", "))
}

/// An address of a change: of a repository with `#N` behind it, or in the shape of a page of a change.
fn address(word: &str, locator: &Locator) -> Reference {
    let Some((base, digits)) = change_shape(word) else {
        return Reference::Address("an address that is not a change's".to_owned());
    };
    let authority = base.split_once("://").map_or("", |(_, rest)| rest);
    if authority.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Reference::Impossible("the address has a user in it; write it without".to_owned());
    }
    match locator.locate(base) {
        Located::Repository { id, .. } => numbered(id, digits),
        Located::Unwatched { reason } => Reference::Impossible(format!("not a change: {reason}")),
    }
}

/// The repository's address and the number.
fn change_shape(word: &str) -> Option<(&str, &str)> {
    let page = word.find(['?', '#']).and_then(|end| word.get(..end)).unwrap_or(word);
    for marker in ["/-/merge_requests/", "/merge_requests/", "/pull/", "/pulls/"] {
        let Some((base, rest)) = page.split_once(marker) else { continue };
        let digits = rest.split('/').next().unwrap_or_default();
        if is_number(digits) {
            return Some((base, digits));
        }
    }
    let (base, digits) = word.rsplit_once('#')?;
    is_number(digits).then_some((base, digits))
}

fn numbered(repository: RepositoryId, digits: &str) -> Reference {
    match digits.parse::<u64>() {
        Ok(0) => Reference::Impossible("changes are numbered from 1".to_owned()),
        Ok(number) if number <= MAX_NUMBER => Reference::Change(repository.change(number)),
        _ => Reference::Impossible("the number is too large for a change".to_owned()),
    }
}

/// What stands before the sign, the sign, and the digits after it.
fn sign_and_digits(word: &str) -> Option<(&str, char, &str)> {
    let at = word.rfind(['#', '!'])?;
    let (place, rest) = word.split_at_checked(at)?;
    let sign = rest.chars().next()?;
    let digits = rest.get(1..)?;
    let name = place.chars().all(|c| !c.is_control() && !"#!<>()[]\"'`".contains(c));
    (name && is_number(digits)).then_some((place, sign, digits))
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The word without `<…>`, a Markdown link around it, or a final `.`.
fn bare(word: &str) -> &str {
    let word = word.strip_suffix('.').unwrap_or(word);
    let link = word.strip_prefix('[').and_then(|rest| rest.split_once("]("));
    if let Some(target) = link.and_then(|(_, target)| target.strip_suffix(')')) {
        return target;
    }
    word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(word)
}
