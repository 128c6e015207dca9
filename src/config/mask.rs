//! What of a configuration's text must never be shown, and the rest made fit for a message.

use super::error::Place;
use super::keys;
use super::tree::{Node, Text, Value};

/// What is shown in place of a secret.
pub const MASK: &str = "***";
const SHOWN_AT_MOST: usize = 60;

/// Parts of the text that are hidden, by their places.
#[derive(Debug, Default)]
pub struct Masks {
    hidden: Vec<(Place, Place)>,
    /// Whether the text could be understood; if not, everything but keys is hidden.
    understood: bool,
}

impl Masks {
    /// The masks for a tree; without one everything but keys is hidden.
    pub fn of(text: &Text) -> Self {
        let mut masks = Self { hidden: Vec::new(), understood: text.root.is_some() };
        if let Some(root) = &text.root {
            masks.collect(root, None);
            for entry in &text.dropped {
                masks.collect(&entry.node, Some(&entry.key));
            }
            masks.hidden.sort_unstable();
            masks.hidden.dedup();
        }
        masks
    }

    fn collect(&mut self, node: &Node, key: Option<&str>) {
        match &node.value {
            Value::Scalar { text, .. } => {
                // A key that we do not know may be a secret's key written wrongly.
                let hide = key.is_some_and(|key| is_secret_key(key) || !keys::is_known(key));
                if hide || looks_secret(text) {
                    self.hidden.push((node.place, node.end));
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.collect(item, key)),
            Value::Map(entries) => {
                for entry in entries {
                    if looks_secret(&entry.key) {
                        self.hidden.push((entry.place, entry.end));
                    }
                    self.collect(&entry.node, Some(&entry.key));
                }
            }
        }
    }

    /// A line of the text as it may be shown, and the column of `column` in it (from 0).
    pub fn line(&self, text: &str, place: Place) -> (String, usize) {
        let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
        if !self.understood {
            return not_understood(line);
        }
        let mut out = String::new();
        let mut caret = None;
        let mut masking = false;
        let mut before = ' ';
        for (index, c) in line.chars().enumerate() {
            let here = Place { line: place.line, column: index + 1 };
            if here.column == place.column {
                caret = Some(out.chars().count());
            }
            let comment = c == '#' && before.is_whitespace();
            let hidden = self.hidden.iter().any(|(start, end)| *start <= here && here < *end);
            if comment && !hidden {
                break;
            }
            if hidden {
                if !masking {
                    out.push_str(MASK);
                }
            } else {
                out.push(if c.is_control() { ' ' } else { c });
            }
            masking = hidden;
            before = c;
        }
        window(out.trim_end(), caret)
    }
}

/// Nothing but a known key: what the rest of the line means is not known.
fn not_understood(line: &str) -> (String, usize) {
    let key = line.split_once(':').map(|(key, _)| key.trim_start_matches([' ', '\t', '-']));
    match key.filter(|key| keys::is_known(key)) {
        Some(key) => (format!("{key}: …"), key.chars().count() + 2),
        None => (String::new(), 0),
    }
}

/// At most 120 characters around the caret.
fn window(line: &str, caret: Option<usize>) -> (String, usize) {
    let length = line.chars().count();
    let caret = caret.unwrap_or(length).min(length);
    let indent = line.chars().take_while(|c| *c == ' ').count().min(caret);
    let from = if caret > 100 { caret - 60 } else { indent };
    let mut shown: String = line.chars().skip(from).take(120).collect();
    if from + 120 < length {
        shown.push('…');
    }
    (shown, caret - from)
}

/// A value for a message: quoted, escaped, short, and never a secret.
pub fn shown(text: &str) -> String {
    if looks_secret(text) {
        return "a text that is not shown".into();
    }
    let short: String = text.chars().take(SHOWN_AT_MOST).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// Whether a key names something that should be secret.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "token",
        "password",
        "passwd",
        "secret",
        "authorization",
        "cookie",
        "api-key",
        "api_key",
        "apikey",
        "private",
    ]
    .iter()
    .any(|part| key.contains(part))
        || key == "sign"
        || key == "key"
}

/// Whether a text has the form of a well-known kind of secret.
pub fn looks_secret(text: &str) -> bool {
    const BEGINNINGS: [&str; 15] = [
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "gldt-",
        "glrt-",
        "xoxb-",
        "xoxp-",
        "AKIA",
        "-----BEGIN",
        "Bearer ",
        "Basic ",
    ];
    let long = |beginning: &&&str| text.len() > beginning.len() + 3;
    let at_word = |beginning: &str| {
        text.match_indices(beginning).any(|(index, _)| {
            let before = text.get(..index).and_then(|t| t.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric())
        })
    };
    BEGINNINGS.iter().filter(|beginning| long(beginning)).any(|beginning| at_word(beginning))
        || has_url_password(text)
}

/// Whether a URL in the text carries a password, or an HTTP one a user (which may be a token).
fn has_url_password(text: &str) -> bool {
    text.match_indices("://").any(|(index, separator)| {
        let scheme = text.get(..index).unwrap_or_default();
        let http = scheme.ends_with("http") || scheme.ends_with("https");
        let rest = text.get(index + separator.len()..).unwrap_or_default();
        let authority = rest.split(['/', '?', '#', ' ', '"', '\'']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| http || user.contains(':'))
    })
}
