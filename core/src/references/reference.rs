//! One reference, as one word of a text.

use super::address;
use super::context::{Context, Spelling};
use crate::model::identity::{ChangeId, Name, RepositoryId};

/// The largest number that a ledger can keep.
const MAX_NUMBER: u64 = i64::MAX as u64;
const MAX_WORD: usize = 1024;

/// What a word is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A reference to that change.
    Change(ChangeId),
    /// A change of a repository of that last name, whoever owns it.
    Short {
        /// Forge of the repository.
        forge: Name,
        /// Last part of its path.
        name: Name,
        /// Number of the change.
        number: u64,
    },
    /// It looks like a reference and can name no change, for this reason.
    Impossible(String),
    /// An address of something else.
    Address(String),
    /// No reference.
    None,
}

impl Reference {
    /// Whether it looks like a reference to a change, be it possible or not.
    pub fn is_like(&self) -> bool {
        matches!(self, Self::Change(_) | Self::Short { .. } | Self::Impossible(_))
    }
}

/// Reads one word of a text: `#N`, `!N`, `PATH#N`, `FORGE:PATH#N`, or an address.
pub fn parse(word: &str, context: &Context<'_>) -> Reference {
    let word = bare(word);
    // Longer than any address that is fetched from: findings and identities stay small.
    if word.len() > MAX_WORD {
        return Reference::None;
    }
    if word.contains("://") {
        return address::parse(word, context);
    }
    let Some((place, sign, digits)) = sign_and_digits(word) else { return Reference::None };
    let (forge, path) = match forge_and_path(place, context) {
        Ok(split) => split,
        Err(other) => return other,
    };
    let spelling = context.forges.spelling(&forge);
    if spelling != Spelling::Git && !place.chars().all(in_a_name) {
        return Reference::None;
    }
    if let Some(why) = wrong_sign(spelling, place, sign, digits) {
        return Reference::Impossible(why);
    }
    if place.is_empty() {
        return numbered(context.of.repository.clone(), digits);
    }
    let repository = match context.forges.locator().on_forge(&forge, path) {
        Some(Ok(repository)) => context.forges.folded(repository),
        Some(Err(why)) => return Reference::Impossible(format!("it names no repository: {why}")),
        None => return Reference::Impossible(unknown_forge(&forge)),
    };
    named(repository, digits, context)
}

/// The change of a repository that was named by its path, where the path has the forge's form.
fn named(repository: RepositoryId, digits: &str, context: &Context<'_>) -> Reference {
    let short = !repository.path.contains('/');
    match context.forges.spelling(&repository.forge) {
        Spelling::Git => numbered(repository, digits),
        Spelling::GitHub | Spelling::Gitea if short => match number(digits) {
            Ok(number) => {
                Reference::Short { forge: repository.forge, name: repository.path, number }
            }
            Err(why) => Reference::Impossible(why),
        },
        // A project beside the change's own, as GitLab itself reads it.
        Spelling::GitLab if short && repository.forge == context.of.repository.forge => {
            let group = context.of.repository.path.rsplit_once('/').map_or("", |(group, _)| group);
            let path = format!("{group}/{}", repository.path);
            numbered(RepositoryId::new(repository.forge, path), digits)
        }
        spelling => match wrong_form(spelling, &repository) {
            Some(why) => Reference::Impossible(why),
            None => numbered(repository, digits),
        },
    }
}

/// Why a path can be no repository's on such a forge. Neither this nor any other reason names the
/// forge's host, which the author need not know.
pub(super) fn wrong_form(spelling: Spelling, repository: &RepositoryId) -> Option<String> {
    let parts = repository.path.split('/').count();
    match spelling {
        Spelling::GitHub | Spelling::Gitea if parts != 2 => {
            Some("it names no repository: those there are written OWNER/NAME".to_owned())
        }
        Spelling::GitLab if parts < 2 => {
            Some("it names no repository: those there are written GROUP/NAME".to_owned())
        }
        _ => None,
    }
}

/// Why that sign names no change there.
pub(super) fn wrong_sign(
    spelling: Spelling,
    place: &str,
    sign: char,
    digits: &str,
) -> Option<String> {
    match (spelling, sign) {
        (Spelling::GitLab, '#') => {
            Some(format!("an issue, not a change: for a merge request write {place}!{digits}"))
        }
        (Spelling::GitHub, '!') => Some(format!("for a pull request write {place}#{digits}")),
        (Spelling::Git, '!') => Some(format!("changes there are written with #: {place}#{digits}")),
        _ => None,
    }
}

/// The forge that is meant, and the path behind it.
fn forge_and_path<'a>(place: &'a str, context: &Context<'_>) -> Result<(Name, &'a str), Reference> {
    let locator = context.forges.locator();
    let own = &context.of.repository.forge;
    let Some((first, rest)) = place.split_once(':') else { return Ok((own.clone(), place)) };
    // An identity may have a port in it.
    let longer = rest.find(':').and_then(|at| {
        let end = first.len() + 1 + at;
        Some((place.get(..end)?, place.get(end + 1..)?))
    });
    for (forge, path) in std::iter::once((first, rest)).chain(longer) {
        for forge in [forge, &forge.to_lowercase()] {
            // A path that is certainly one: only the forge is asked for.
            if let Some(Ok(id)) = locator.on_forge(forge, "x") {
                return Ok((id.forge, path));
            }
        }
    }
    if !first.chars().all(|c| in_a_name(c) || c == '@') {
        return Err(Reference::None);
    }
    Err(Reference::Impossible(unknown_forge(first)))
}

/// Which forges there are is not said: a stranger may be reading.
fn unknown_forge(forge: &str) -> String {
    let forge: String = forge.chars().take(60).collect();
    format!("{forge:?} is no configured forge")
}

pub(super) fn numbered(repository: RepositoryId, digits: &str) -> Reference {
    match number(digits) {
        Ok(number) => Reference::Change(repository.change(number)),
        Err(why) => Reference::Impossible(why),
    }
}

fn number(digits: &str) -> Result<u64, String> {
    match digits.parse::<u64>() {
        Ok(0) => Err("changes are numbered from 1".to_owned()),
        Ok(number) if number <= MAX_NUMBER => Ok(number),
        _ => Err("the number is too large for a change".to_owned()),
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

fn in_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-/~+:".contains(c)
}

pub(super) fn is_number(digits: &str) -> bool {
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
