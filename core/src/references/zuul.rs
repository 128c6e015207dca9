//! `Depends-On:` lines as Zuul reads them, for moving over: anywhere in the body at the beginning of
//! a line, code and comments included, one address each. What it drops silently is a note here.

use super::reference::Reference;
use super::{Scope, Via};

const KEY: &str = "depends-on:";

/// Reads a body.
pub(super) fn read(body: &str, scope: &mut Scope<'_>) {
    scope.worked(body.len());
    for (number, line) in (1..).zip(body.split('\n')) {
        let Some((key, value)) = line.split_at_checked(KEY.len()) else { continue };
        if !key.eq_ignore_ascii_case(KEY) {
            continue;
        }
        // Only the first word is looked at, and of an address only what it begins with.
        let Some(word) = value.split_whitespace().next() else { continue };
        let reference = match address(word) {
            _ if !is_http(word) => dropped("Zuul reads addresses alone: write the change's"),
            None => dropped("Zuul drops it: an address that is not a change's"),
            Some(address) => match scope.parse(address) {
                Reference::Impossible(why) => dropped(&format!("Zuul drops it: {why}")),
                reference => reference,
            },
        };
        scope.enter(reference, word, number, Via::Zuul);
    }
}

fn dropped(why: &str) -> Reference {
    Reference::Address(why.to_owned())
}

fn is_http(word: &str) -> bool {
    let scheme = word.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
    })
}

/// The page of the change: digits may be followed by anything.
fn address(word: &str) -> Option<&str> {
    for marker in ["/pull/", "/merge_requests/", "/pulls/"] {
        let Some(digits) = word.find(marker).and_then(|at| word.get(at + marker.len()..)) else {
            continue;
        };
        let behind = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        if behind.len() < digits.len() {
            return word.get(..word.len() - behind.len());
        }
    }
    None
}
