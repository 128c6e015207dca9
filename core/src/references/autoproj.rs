//! References as autoproj-daemon reads them, for moving over: the list of open boxes behind the last
//! line that ends in `depends on`. What it drops silently is a note here.
//!
//! It works on the text with regular expressions; what follows is each of them by hand, in linear
//! time, white space and letters being those of ASCII.

use super::context::Spelling;
use super::reference::{Reference, numbered};
use super::{Scope, Via};
use crate::model::identity::RepositoryId;
use crate::model::locator::Located;

/// Reads a body.
pub(super) fn read(body: &str, scope: &mut Scope<'_>) {
    scope.worked(body.len());
    let Some(start) = behind_heading(body) else { return };
    let first = body.get(..start).map_or(0, |above| above.matches('\n').count()) + 1;
    let mut list = String::new();
    // Line of the body for each line of the list.
    let mut places = Vec::new();
    for (number, line) in (first..).zip(body.get(start..).unwrap_or_default().split('\n')) {
        let line = line.trim_matches(is_white);
        if line.is_empty() {
            continue;
        }
        if !line.starts_with('-') {
            break;
        }
        list.push_str(line);
        list.push('\n');
        places.push(u32::try_from(number).unwrap_or(u32::MAX));
    }
    let mut row = 0;
    let mut at = 0;
    while let Some((start, end)) = next_task(&list, at) {
        row += list.get(at..start).map_or(0, |passed| passed.matches('\n').count());
        let text = list.get(start..end).unwrap_or_default();
        task(text, places.get(row).copied().unwrap_or_default(), scope);
        at = end;
    }
}

/// `(?:.*depends?(?:\s+on)?\s*:?\s*\n)`: what follows the last one.
fn behind_heading(body: &str) -> Option<usize> {
    let bytes = body.as_bytes();
    let mut end = bytes.len();
    loop {
        let at = (0..end).rev().find(|at| starts(bytes, *at, b"depend"))?;
        let mut rest = at + 6;
        if starts(bytes, rest, b"s") {
            rest += 1;
        }
        let space = skip_white(bytes, rest);
        let on = (space > rest && starts(bytes, space, b"on")).then_some(space + 2);
        for rest in on.into_iter().chain([rest]) {
            if let Some(found) = line_end(bytes, rest) {
                return Some(found);
            }
        }
        end = at;
    }
}

/// `\s*:?\s*\n`: where it ends.
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    let last_line = |from: usize, to: usize| {
        let white = bytes.get(from..to)?;
        white.iter().rposition(|byte| *byte == b'\n').map(|at| from + at + 1)
    };
    let white = skip_white(bytes, at);
    if starts(bytes, white, b":") {
        let behind = skip_white(bytes, white + 1);
        if let Some(found) = last_line(white + 1, behind) {
            return Some(found);
        }
    }
    last_line(at, white)
}

/// `(?:-\s*\[\s*\]\s*)(.*)`: where the group stands.
fn next_task(list: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = list.as_bytes();
    let mut at = from;
    while let Some(dash) = bytes.get(at..)?.iter().position(|byte| *byte == b'-') {
        let open = skip_white(bytes, at + dash + 1);
        at += dash + 1;
        if !starts(bytes, open, b"[") {
            continue;
        }
        let close = skip_white(bytes, open + 1);
        if !starts(bytes, close, b"]") {
            continue;
        }
        let start = skip_white(bytes, close + 1);
        let length = bytes.get(start..)?.iter().position(|byte| *byte == b'\n');
        return Some((start, length.map_or(bytes.len(), |length| start + length)));
    }
    None
}

/// One open box.
fn task(text: &str, line: u32, scope: &mut Scope<'_>) {
    let text = text.trim_matches(is_white);
    scope.worked(text.len());
    let own = &scope.context.of.repository;
    let forge = match service(text, scope) {
        Service::Own => own.forge.as_str().to_owned(),
        Service::Other(forge) => forge,
        Service::Unknown(why) => {
            let why = format!("autoproj-daemon has no such service: {why}");
            scope.note(text, line, why);
            return;
        }
    };
    let reference = match scope.context.forges.spelling(&forge) {
        Spelling::GitHub => github(text, scope),
        Spelling::GitLab => gitlab(text, scope),
        Spelling::Gitea | Spelling::Git => Reference::None,
    };
    let reference = match reference {
        Reference::Impossible(why) => Reference::Address(why),
        reference => reference,
    };
    scope.enter(reference, text, line, Via::Autoproj);
}

/// Which service reads an item: the one that a whole address names, else the change's own.
enum Service {
    Own,
    Other(String),
    Unknown(String),
}

fn service(text: &str, scope: &Scope<'_>) -> Service {
    if !text.contains("://") || text.contains(is_white) {
        return Service::Own;
    }
    let page = text.split(['?', '#']).next().unwrap_or(text);
    match scope.context.forges.locator().locate(page) {
        Located::Repository { id, .. } => Service::Other(id.forge.as_str().to_owned()),
        Located::Unwatched { reason } if page.starts_with("http") => Service::Unknown(reason),
        Located::Unwatched { .. } => Service::Own,
    }
}

/// The first that is anywhere in the text: an address, `owner/name#12`, `#12`.
fn github(text: &str, scope: &Scope<'_>) -> Reference {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("://")).map(|at| from + at) {
        let before = text.get(..at).unwrap_or_default();
        let http = ["http", "https"].iter().any(|scheme| {
            let tail = before.len().checked_sub(scheme.len()).and_then(|at| before.get(at..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(scheme))
        });
        from = at + 3;
        let behind = text.get(from..).unwrap_or_default();
        if let Some((owner, name, digits)) = http.then(|| github_page(behind)).flatten() {
            return on_github(owner, name, digits, scope);
        }
    }
    let mut own = None;
    for (at, _) in text.match_indices('#') {
        let (before, behind) = text.split_at(at);
        let digits = leading(behind.get(1..).unwrap_or_default(), |c| c.is_ascii_digit());
        if digits.is_empty() {
            continue;
        }
        let name = trailing(before);
        let owner = before
            .strip_suffix(name)
            .and_then(|rest| rest.strip_suffix('/'))
            .map(trailing)
            .unwrap_or_default();
        if !name.is_empty() && !owner.is_empty() {
            return on_github(owner, name, digits, scope);
        }
        own = own.or(Some(digits));
    }
    let Some(digits) = own else { return Reference::None };
    match scope.context.of.repository.path.split_once('/') {
        Some((owner, name)) => on_github(owner, name, digits, scope),
        None => Reference::None,
    }
}

/// `(?:\w+\.)?github.com/+OWNER/+NAME/+pull/+12`.
fn github_page(text: &str) -> Option<(&str, &str, &str)> {
    let word = leading(text, |c| c.is_ascii_alphanumeric() || c == '_');
    let below = text.strip_prefix(word).and_then(|rest| rest.strip_prefix('.'));
    let host = |text: &str| {
        let head = text.get(..10)?;
        head.eq_ignore_ascii_case("github.com").then_some(10)
    };
    let rest = match (host(text), below) {
        (Some(end), _) => text.get(end..)?,
        (None, Some(below)) => below.get(host(below)?..)?,
        _ => return None,
    };
    let (owner, rest) = part(rest)?;
    let (name, rest) = part(rest)?;
    let (pull, rest) = part(rest)?;
    let slashes = rest.strip_prefix('/')?.trim_start_matches('/');
    let digits = leading(slashes, |c| c.is_ascii_digit());
    (pull.eq_ignore_ascii_case("pull") && !digits.is_empty()).then_some((owner, name, digits))
}

/// `/+` and a name behind it.
fn part(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('/')?.trim_start_matches('/');
    let name = leading(text, in_a_name);
    Some((name, text.strip_prefix(name)?)).filter(|_| !name.is_empty())
}

/// It always means the public GitHub.
fn on_github(owner: &str, name: &str, digits: &str, scope: &Scope<'_>) -> Reference {
    let forges = scope.context.forges;
    match forges.locator().locate(&format!("https://github.com/{owner}/{name}")) {
        Located::Repository { id, .. } => numbered(forges.folded(id), digits),
        Located::Unwatched { reason } => Reference::Address(format!("not a change: {reason}")),
    }
}

/// The whole text: `!12`, `name!12`, `group/sub/name!12`, or an address.
fn gitlab(text: &str, scope: &Scope<'_>) -> Reference {
    let forges = scope.context.forges;
    let own = &scope.context.of.repository;
    if text.contains("://") {
        let page = text.split('#').next().unwrap_or(text);
        let Some((base, digits)) = page.rsplit_once("/merge_requests/") else {
            return Reference::None;
        };
        let digital = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        return match forges.locator().locate(base.strip_suffix("/-").unwrap_or(base)) {
            Located::Repository { id, .. } if digital => numbered(forges.folded(id), digits),
            _ => Reference::None,
        };
    }
    let Some((path, digits)) = text.split_once('!') else { return Reference::None };
    let digital = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let fits = |part: &str| part.chars().all(|c| in_a_name(c) && c != '+');
    if !digital || !path.split('/').all(fits) || path.starts_with('/') || path.contains("//") {
        return Reference::None;
    }
    let path = path.trim_end_matches('/').to_lowercase();
    let group = own.path.rsplit_once('/').map_or("", |(group, _)| group);
    let path = match path.as_str() {
        "" => own.path.as_str().to_owned(),
        name if !name.contains('/') => format!("{group}/{name}"),
        _ => path,
    };
    numbered(RepositoryId::new(own.forge.clone(), path), digits)
}

fn in_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+_-.".contains(c)
}

fn leading(text: &str, fits: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !fits(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn trailing(text: &str) -> &str {
    let start = text.rfind(|c| !in_a_name(c)).map_or(0, |at| {
        at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    text.get(start..).unwrap_or_default()
}

fn is_white(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

fn starts(bytes: &[u8], at: usize, text: &[u8]) -> bool {
    bytes.get(at..at.saturating_add(text.len())).is_some_and(|part| part.eq_ignore_ascii_case(text))
}

fn skip_white(bytes: &[u8], at: usize) -> usize {
    let white = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0xb;
    at + bytes.get(at..).map_or(0, |rest| rest.iter().take_while(|byte| white(byte)).count())
}
