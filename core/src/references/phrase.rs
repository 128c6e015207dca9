//! The phrase at the beginning of a line, and what may stand before it.

const PHRASES: [&str; 3] = ["depends on", "depends-on", "depend on"];
const COLONS: [char; 3] = [':', '：', '﹕'];
/// Other signs than these, outside ASCII, are read as decoration.
const NO_DECORATION: &str = "“”„«»‹›‘’‚「」『』《》〈〉（）＃！";

/// A line that begins with the phrase.
pub(super) struct Begin<'a> {
    /// A colon stands behind it.
    pub(super) colon: bool,
    /// What follows the phrase and the colon.
    pub(super) rest: &'a str,
}

/// Takes the phrase off the beginning of `text`, if it is there.
pub(super) fn begin<'a>(text: &'a str, more: &[String]) -> Option<Begin<'a>> {
    let text = decorated(text);
    let phrases = PHRASES.into_iter().chain(more.iter().map(String::as_str));
    // Of two phrases that fit, the longer one is meant.
    let rest = phrases.filter_map(|phrase| after(text, phrase)).min_by_key(|rest| rest.len())?;
    if rest.chars().next().is_some_and(char::is_alphanumeric) {
        return None;
    }
    let behind = rest.trim_start_matches(|c: char| is_space(c) || is_emphasis(c));
    match behind.strip_prefix(COLONS) {
        Some(rest) => Some(Begin { colon: true, rest: rest.trim_start_matches(is_emphasis) }),
        None => Some(Begin { colon: false, rest }),
    }
}

/// The text without spaces, emoji and left-over emphasis before it.
pub(super) fn decorated(text: &str) -> &str {
    let mut rest = text;
    loop {
        let before = rest;
        rest = rest.trim_start_matches(is_decoration);
        rest = without_shortcode(rest);
        rest = without_keycap(rest);
        if rest.len() == before.len() {
            return rest;
        }
    }
}

/// White space as people see it: NBSP and what has no width are some.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
}

fn is_emphasis(c: char) -> bool {
    matches!(c, '*' | '_')
}

fn is_decoration(c: char) -> bool {
    let picture = matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2139}' | '\u{24c2}');
    let sign = !c.is_ascii() && !c.is_alphanumeric() && !NO_DECORATION.contains(c);
    picture || sign || is_space(c) || is_emphasis(c)
}

/// `:link:`, which forges show as an emoji.
fn without_shortcode(text: &str) -> &str {
    let code = text.strip_prefix(':').and_then(|rest| {
        let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-".contains(c);
        let behind = rest.trim_start_matches(inside);
        if behind.len() < rest.len() { behind.strip_prefix(':') } else { None }
    });
    code.unwrap_or(text)
}

/// `1️⃣`: the one kind of emoji that begins with an ordinary sign.
fn without_keycap(text: &str) -> &str {
    let rest = text.strip_prefix(|c: char| c.is_ascii_digit() || c == '#');
    rest.and_then(|rest| rest.trim_start_matches('\u{fe0f}').strip_prefix('\u{20e3}'))
        .unwrap_or(text)
}

/// What follows `phrase`, if `text` begins with it in any case and with any white space.
fn after<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    let mut rest = text;
    let mut words = phrase.split_whitespace().peekable();
    words.peek()?;
    for (index, word) in words.enumerate() {
        if index > 0 {
            let next = rest.trim_start_matches(is_space);
            if next.len() == rest.len() {
                return None;
            }
            rest = next;
        }
        for wanted in word.chars() {
            let c = rest.chars().next()?;
            rest = rest.get(c.len_utf8()..)?;
            let c = if matches!(c, '\u{2010}' | '\u{2011}') { '-' } else { c };
            if !c.to_lowercase().eq(wanted.to_lowercase()) {
                return None;
            }
        }
    }
    Some(rest)
}
