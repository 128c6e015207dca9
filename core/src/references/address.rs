//! A reference that is written as an address.

use super::context::{Context, Spelling};
use super::reference::{Reference, is_number, numbered, wrong_form, wrong_sign};
use crate::model::locator::Located;

/// An address that may be a change's: of the page of one, or of a repository with `#N` behind it.
struct Shape<'a> {
    base: &'a str,
    kind: Kind,
    digits: &'a str,
}

/// How the address says that it is one of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pull,
    MergeRequest,
    Issue,
    Sign(char),
}

/// What an address means.
pub(super) fn parse(word: &str, context: &Context<'_>) -> Reference {
    let Some(shape) = page(word).or_else(|| signed(word)) else {
        return Reference::Address("an address that is not a change's".to_owned());
    };
    let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
    let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if http && authority.contains('@') {
        return Reference::Impossible("the address has a user in it; write it without".to_owned());
    }
    let id = match context.forges.locator().locate(shape.base) {
        Located::Repository { id, .. } => context.forges.folded(id),
        Located::Unwatched { reason } => {
            let clear = http && matches!(shape.kind, Kind::Pull | Kind::MergeRequest);
            let text = format!("not a change: {reason}");
            return if clear { Reference::Impossible(text) } else { Reference::Address(text) };
        }
    };
    let spelling = context.forges.spelling(&id.forge);
    if !http && spelling != Spelling::Git {
        let text = "not a change's address: those begin with https://";
        return Reference::Address(text.to_owned());
    }
    if let Some(why) = wrong_form(spelling, &id) {
        return Reference::Impossible(why);
    }
    if let Some(why) = wrong_kind(spelling, &shape) {
        return why;
    }
    numbered(id, shape.digits)
}

/// Why such an address is none of a change on such a forge.
fn wrong_kind(spelling: Spelling, shape: &Shape<'_>) -> Option<Reference> {
    let digits = shape.digits;
    let text = match (spelling, shape.kind) {
        (_, Kind::Sign(sign)) => wrong_sign(spelling, "", sign, digits)?,
        (Spelling::GitHub, Kind::MergeRequest) => {
            format!("addresses of changes there end in /pull/{digits}")
        }
        (Spelling::Gitea, Kind::MergeRequest) => {
            format!("addresses of changes there end in /pulls/{digits}")
        }
        (Spelling::GitLab, Kind::Pull) => {
            format!("addresses of changes there end in /-/merge_requests/{digits}")
        }
        (Spelling::GitLab, Kind::Issue) => wrong_sign(spelling, "", '#', digits)?,
        (Spelling::Git, Kind::Issue) => {
            return Some(Reference::Address("an address that is not a change's".to_owned()));
        }
        _ => return None,
    };
    Some(Reference::Impossible(text))
}

/// The page of a change: `…/pull/12`, with whatever behind it.
fn page(word: &str) -> Option<Shape<'_>> {
    let page = word.find(['?', '#']).and_then(|end| word.get(..end)).unwrap_or(word);
    let mut at = page.find("://")? + 3;
    while let Some(slash) = page.get(at..)?.find('/').map(|slash| at + slash) {
        let rest = page.get(slash + 1..)?;
        let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
        let kind = match part {
            "pull" | "pulls" => Some(Kind::Pull),
            "merge_requests" => Some(Kind::MergeRequest),
            "issues" => Some(Kind::Issue),
            _ => None,
        };
        let number = after.split('/').next().unwrap_or_default();
        let digits = [".diff", ".patch"].iter().find_map(|end| number.strip_suffix(end));
        let digits = digits.unwrap_or(number);
        if let (Some(kind), true) = (kind, is_number(digits)) {
            let base = page.get(..slash)?;
            let base = base.strip_suffix("/-").unwrap_or(base);
            return Some(Shape { base, kind, digits });
        }
        at = slash + 1;
    }
    None
}

/// A repository's address with `#12` behind it.
fn signed(word: &str) -> Option<Shape<'_>> {
    let at = word.rfind(['#', '!'])?;
    let digits = word.get(at + 1..)?;
    let sign = word.get(at..)?.chars().next()?;
    is_number(digits).then_some(Shape { base: word.get(..at)?, kind: Kind::Sign(sign), digits })
}
