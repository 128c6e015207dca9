//! What a block of Markdown says, without its marks, cut into words.

use super::phrase::is_space;

/// A piece of a block's text, in order.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) atom: Atom,
    /// Line of the body on which it begins, from 1.
    pub(super) line: u32,
}

/// What a piece is.
#[derive(Clone, Debug)]
pub(super) enum Atom {
    Text(String),
    /// The target of a link to an address; its text means nothing.
    Link(String),
    Code(String),
    /// An image.
    Other,
    /// The end of a line.
    Break,
}

/// A word with its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) line: u32,
}

/// What a word is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    Word(&'a str),
    Link(&'a str),
    Code(&'a str),
    Other,
}

impl<'a> Token<'a> {
    /// As the text spells it.
    pub(super) fn text(&self) -> &'a str {
        match self.kind {
            Kind::Word(text) | Kind::Link(text) | Kind::Code(text) => text,
            Kind::Other => "",
        }
    }
}

/// The words of some pieces, without separators.
pub(super) fn tokens(pieces: &[Piece]) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for piece in pieces {
        let kind = match &piece.atom {
            Atom::Text(text) => {
                add_words(text, piece.line, &mut found);
                continue;
            }
            Atom::Link(target) => Kind::Link(target),
            Atom::Code(text) => Kind::Code(text),
            Atom::Other => Kind::Other,
            Atom::Break => continue,
        };
        found.push(Token { kind, line: piece.line });
    }
    found
}

/// The words of a text, without separators.
pub(super) fn add_words<'a>(text: &'a str, line: u32, into: &mut Vec<Token<'a>>) {
    for word in text.split(is_separator) {
        let mut rest = word;
        // In an address these signs mean something else. Asked once: the word may be long.
        let address = word.contains("://");
        while let Some((first, behind)) = joined(rest).filter(|_| !address) {
            into.push(Token { kind: Kind::Word(first), line });
            rest = behind;
        }
        let separator = matches!(rest, "" | "&" | "+") || rest.eq_ignore_ascii_case("and");
        if !separator {
            into.push(Token { kind: Kind::Word(rest), line });
        }
    }
}

fn is_separator(c: char) -> bool {
    is_space(c) || matches!(c, ',' | ';' | '，' | '；' | '、')
}

/// `#12` and `#13` of `#12&#13`.
fn joined(word: &str) -> Option<(&str, &str)> {
    let sign = word.find(['#', '!'])?;
    let digits = word.get(sign + 1..)?;
    let behind = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if behind.len() == digits.len() || !behind.starts_with(['&', '+']) {
        return None;
    }
    Some((word.get(..word.len() - behind.len())?, behind.get(1..)?))
}
