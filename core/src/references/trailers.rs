//! `Depends-On:` trailers of a commit message: all that a plain git server has for references.

use super::context::{Context, Forges};
use super::reference::Reference;
use super::{References, Scope, Via};
use crate::model::identity::ChangeId;
use crate::model::locator::Locator;

/// What the trailers of `message`, the message of the head of `of`, refer to.
///
/// Trailers stand in the last paragraph, which must not be the only one, as git has it: every line
/// of it is a trailer or the continuation of one, or at least a quarter is.
pub fn from_trailers(message: &str, of: &ChangeId, locator: &Locator) -> References {
    let forges = Forges::new(locator);
    let context = Context::new(of, &forges);
    let mut scope = Scope::new(&context);
    read(message, &mut scope);
    scope.found
}

/// The same, into what is gathered already.
pub(super) fn read(message: &str, scope: &mut Scope<'_>) {
    let lines: Vec<&str> = message.lines().collect();
    let block = trailer_block(&lines);
    let mut inside = false;
    for (index, line) in lines.iter().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let in_block = index >= block.0 && index < block.1;
        if in_block && inside && continues(line) {
            values(line, number, scope);
            continue;
        }
        let Some((key, value)) = trailer(line) else {
            inside = false;
            continue;
        };
        inside = in_block && key.eq_ignore_ascii_case("depends-on");
        if inside {
            values(value, number, scope);
        } else if key.eq_ignore_ascii_case("depends-on") {
            let text = "not read: `Depends-On:` belongs in the last paragraph of the message, \
                        with the other trailers, after an empty line";
            scope.note(line.trim(), number, text);
        }
    }
}

/// First line and end of the trailers; empty where there are none.
fn trailer_block(lines: &[&str]) -> (usize, usize) {
    let none = (0, 0);
    let blank = |line: &&str| line.trim().is_empty();
    let Some(last) = lines.iter().rposition(|line| !blank(line)) else { return none };
    let before = lines.iter().take(last).rposition(blank);
    let Some(before) = before else { return none };
    // A message of one paragraph has a title and no trailers.
    if lines.iter().take(before).all(blank) {
        return none;
    }
    let start = before + 1;
    let (mut trailers, mut others, mut ours) = (0usize, 0usize, false);
    let mut after_trailer = false;
    for line in lines.iter().take(last + 1).skip(start) {
        if continues(line) && after_trailer {
            continue;
        }
        let cherry = line.starts_with("(cherry picked from commit ");
        let key = trailer(line).map(|(key, _)| key);
        after_trailer = key.is_some();
        if key.is_some() || cherry {
            trailers += 1;
            ours |= cherry
                || key.is_some_and(|key| {
                    key.eq_ignore_ascii_case("depends-on")
                        || key.eq_ignore_ascii_case("signed-off-by")
                });
        } else {
            others += 1;
        }
    }
    let counts = others == 0 || (ours && trailers * 3 >= others);
    if counts { (start, last + 1) } else { none }
}

fn continues(line: &str) -> bool {
    line.starts_with([' ', '\t']) && !line.trim().is_empty()
}

/// Key and value of a trailer line.
fn trailer(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim_end_matches([' ', '\t']);
    let fits = !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    fits.then_some((key, value))
}

/// Reads references until the first word that is neither one nor a separator.
fn values(text: &str, line: u32, scope: &mut Scope<'_>) {
    for token in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '，' | '；')) {
        if token.is_empty() || token == "&" || token == "+" || token.eq_ignore_ascii_case("and") {
            continue;
        }
        match scope.parse(token) {
            Reference::None => return,
            reference => scope.enter(reference, token, line, Via::Trailer),
        };
    }
}

#[cfg(test)]
mod tests;
