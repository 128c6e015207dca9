//! Lines and items: where in a text references stand, once Markdown is out of the way.

use super::phrase::{begin, decorated};
use super::reference::Reference;
use super::tokens::{Atom, Kind, Piece, Token, add_words, tokens};
use super::{Scope, Via};

const CODE: &str = "not read: it is code; write it without the backticks";

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing to us.
    Nothing,
    /// The phrase, with or without a colon, and no more.
    Phrase,
    /// The phrase and something behind it.
    More,
}

/// Reads a line if it begins with the phrase.
pub(super) fn line(pieces: &[Piece], via: Via, scope: &mut Scope<'_>) -> Said {
    let Some((colon, rest)) = behind_phrase(pieces, scope) else { return Said::Nothing };
    let tokens = rest.tokens();
    if tokens.is_empty() {
        return Said::Phrase;
    }
    if colon {
        value(&tokens, via, scope);
    } else if let Some(clean) = without_parenthesis(&tokens, scope) {
        run(&clean, via, scope);
    } else if let Some(like) = first_like(&tokens, scope) {
        let why = "not read: with other words on its line, a colon belongs behind the phrase";
        scope.note(like.text(), like.line, why);
    }
    Said::More
}

/// Whether a line is the phrase and no more; reads nothing.
pub(super) fn is_phrase(pieces: &[Piece], scope: &mut Scope<'_>) -> bool {
    behind_phrase(pieces, scope).is_some_and(|(_, rest)| rest.tokens().is_empty())
}

/// Reads what stands behind phrase and colon.
pub(super) fn value(tokens: &[Token<'_>], via: Via, scope: &mut Scope<'_>) {
    if run(tokens, via, scope) {
        return;
    }
    if let Some(like) = first_like(tokens, scope) {
        let why = "not read: behind the colon only references may stand before this one";
        scope.note(like.text(), like.line, why);
    }
}

/// Reads an item of a list that counts. One with a box may have words before its references.
pub(super) fn item(pieces: &[Piece], boxed: bool, via: Via, scope: &mut Scope<'_>) {
    if let Some((code, line)) = only_code(pieces) {
        return code_item(code, line, via, scope);
    }
    let all = tokens(pieces);
    let mut words = all.as_slice();
    while let Some((first, rest)) = words.split_first() {
        let first = match first.kind {
            Kind::Word(word) if decorated(word).is_empty() => {
                words = rest;
                continue;
            }
            Kind::Word(word) if boxed => {
                Token { kind: Kind::Word(word.trim_start_matches(['(', '[', '"', '\''])), ..*first }
            }
            _ => *first,
        };
        let (like, address) = match first.kind {
            Kind::Code(_) => (false, note_code(first, scope)),
            _ => {
                let (reference, _) = classify(first, scope);
                (reference.is_like(), matches!(reference, Reference::Address(_)))
            }
        };
        if like {
            let mut found = vec![first];
            found.extend_from_slice(rest);
            run(&found, via, scope);
            return;
        }
        if address {
            read_one(first, via, scope);
        }
        if !boxed && !address {
            return;
        }
        words = rest;
    }
}

/// The word that would be a reference, were the line not code or HTML.
pub(super) fn buried(text: &str, listed: bool, scope: &mut Scope<'_>) -> Option<String> {
    scope.worked(text.len());
    let text = text.trim_start();
    let marker = text.strip_prefix(['-', '*', '+']).map(str::trim_start);
    let text = marker.unwrap_or(text);
    let text = text.strip_prefix("[ ]").map(str::trim_start).unwrap_or(text);
    let mut words = Vec::new();
    if let Some(begin) = begin(text, scope.context.phrases) {
        add_words(begin.rest, 0, &mut words);
        return first_like(&words, scope).map(|token| token.text().to_owned());
    }
    if !listed {
        return None;
    }
    add_words(text, 0, &mut words);
    let first = words.first()?;
    classify(*first, scope).0.is_like().then(|| first.text().to_owned())
}

/// The first word of a text, if it looks like a reference.
pub(super) fn begins_with_reference<'a>(
    pieces: &'a [Piece],
    scope: &mut Scope<'_>,
) -> Option<Token<'a>> {
    let first = *tokens(pieces).first()?;
    classify(first, scope).0.is_like().then_some(first)
}

/// What stands behind the phrase: the end of one piece, and the pieces after it.
struct Rest<'a> {
    text: &'a str,
    line: u32,
    pieces: &'a [Piece],
}

impl<'a> Rest<'a> {
    fn tokens(&self) -> Vec<Token<'a>> {
        let mut found = Vec::new();
        add_words(self.text, self.line, &mut found);
        found.extend(tokens(self.pieces));
        found
    }
}

/// Whether a colon stands behind the phrase, and what comes then.
fn behind_phrase<'a>(pieces: &'a [Piece], scope: &mut Scope<'_>) -> Option<(bool, Rest<'a>)> {
    for (index, piece) in pieces.iter().enumerate() {
        match &piece.atom {
            Atom::Other | Atom::Break => {}
            Atom::Text(text) if decorated(text).is_empty() => {}
            Atom::Text(text) => {
                scope.worked(text.len());
                let begin = begin(text, scope.context.phrases)?;
                let pieces = pieces.get(index + 1..).unwrap_or_default();
                return Some((begin.colon, Rest { text: begin.rest, line: piece.line, pieces }));
            }
            Atom::Code(text) => {
                if let Some(word) = buried(text, false, scope) {
                    scope.note(&word, piece.line, CODE);
                }
                return None;
            }
            Atom::Link(_) => return None,
        }
    }
    None
}

/// Reads references until the first other word; whether there was one.
fn run(tokens: &[Token<'_>], via: Via, scope: &mut Scope<'_>) -> bool {
    let mut any = false;
    for token in tokens {
        match read_one(*token, via, scope) {
            Next::Other => return any,
            Next::ReadAndStop => return true,
            Next::Read => any = true,
        }
    }
    any
}

/// What comes of one word.
enum Next {
    Read,
    ReadAndStop,
    Other,
}

fn read_one(token: Token<'_>, via: Via, scope: &mut Scope<'_>) -> Next {
    if matches!(token.kind, Kind::Code(_)) {
        return if note_code(token, scope) { Next::Read } else { Next::Other };
    }
    let (reference, tail) = classify(token, scope);
    if !scope.enter(reference, token.text(), token.line, via) {
        return Next::Other;
    }
    if tail { Next::ReadAndStop } else { Next::Read }
}

/// What a word is, and whether punctuation ends the run behind it.
fn classify(token: Token<'_>, scope: &mut Scope<'_>) -> (Reference, bool) {
    let word = match token.kind {
        Kind::Word(word) | Kind::Link(word) => word,
        Kind::Code(_) | Kind::Other => return (Reference::None, false),
    };
    let whole = scope.parse(word);
    if whole.is_like() || matches!(token.kind, Kind::Link(_)) {
        return (whole, false);
    }
    let core = word.trim_end_matches([':', '.', '!', '?', ')', ']', '"', '\'', '*', '_']);
    if core.len() == word.len() {
        return (whole, false);
    }
    match scope.parse(core) {
        Reference::None => (whole, false),
        reference => (reference, true),
    }
}

/// Notes a reference in code; false if there is none.
fn note_code(token: Token<'_>, scope: &mut Scope<'_>) -> bool {
    let Kind::Code(text) = token.kind else { return false };
    let mut words = Vec::new();
    add_words(text, token.line, &mut words);
    let like = first_like(&words, scope);
    if let Some(like) = like {
        scope.note(like.text(), token.line, CODE);
    }
    like.is_some()
}

/// Without the one parenthesis that may stand there; none if anything else does.
fn without_parenthesis<'a>(tokens: &[Token<'a>], scope: &mut Scope<'_>) -> Option<Vec<Token<'a>>> {
    let mut clean = Vec::new();
    let mut depth = 0usize;
    let mut used = false;
    for token in tokens {
        let opens = matches!(token.kind, Kind::Word(word) if word.starts_with(['(', '（']));
        if depth > 0 || (opens && !used) {
            used = true;
            if let Kind::Word(word) = token.kind {
                depth = depth_behind(word, depth)?;
            }
            continue;
        }
        let fits = match token.kind {
            Kind::Code(_) => note_code(*token, scope),
            _ => {
                let (reference, tail) = classify(*token, scope);
                !tail && reference != Reference::None
            }
        };
        if !fits {
            return None;
        }
        clean.push(*token);
    }
    (depth == 0).then_some(clean)
}

/// Open parentheses behind a word; none if something else follows the last one.
fn depth_behind(word: &str, before: usize) -> Option<usize> {
    let mut depth = before;
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        match c {
            '(' | '（' => depth += 1,
            ')' | '）' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return matches!(rest.as_str(), "" | ".").then_some(0);
        }
    }
    Some(depth)
}

fn first_like<'a>(tokens: &[Token<'a>], scope: &mut Scope<'_>) -> Option<Token<'a>> {
    tokens.iter().copied().find(|token| {
        let token = match token.kind {
            Kind::Word(word) => {
                let word = word.trim_start_matches(['(', '[', '"', '\'']);
                Token { kind: Kind::Word(word), ..*token }
            }
            _ => *token,
        };
        classify(token, scope).0.is_like()
    })
}

/// The code, if there is nothing else.
fn only_code(pieces: &[Piece]) -> Option<(&str, u32)> {
    let mut only = None;
    for piece in pieces {
        match &piece.atom {
            Atom::Text(text) if text.chars().all(super::phrase::is_space) => {}
            Atom::Break => {}
            Atom::Code(text) if only.is_none() => only = Some((text.as_str(), piece.line)),
            _ => return None,
        }
    }
    only
}

/// An item that is only a code span.
fn code_item(code: &str, line: u32, via: Via, scope: &mut Scope<'_>) {
    let mut words = Vec::new();
    add_words(code, line, &mut words);
    let token = Token { kind: Kind::Code(code), line };
    match words.as_slice() {
        [one] => {
            let reference = scope.parse(one.text());
            scope.enter(reference, one.text(), line, via);
        }
        _ => {
            note_code(token, scope);
        }
    }
}
