//! Checks that every format shares: of the text as a whole, and of the texts in it.

use super::ManifestError;
use crate::model::identity::Name;

const MAX_NAME: usize = 512;
const MAX_TEXT: usize = 4096;
const MAX_DEPTH: usize = 100;

/// The bytes as text that a parser may be given.
pub(super) fn checked(bytes: &[u8]) -> Result<&str, ManifestError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ManifestError::NotText { at: error.valid_up_to() })?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(ManifestError::Empty);
    }
    Ok(text)
}

/// Refuses brackets that open too deep, before a parser works on them for a time that grows with
/// the square of the depth. Brackets in quotes count too, which is why the count starts again with
/// every entry of the outermost list.
pub(super) fn shallow(text: &str) -> Result<(), ManifestError> {
    let mut depth = 0usize;
    let mut line_start = true;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'-' if line_start && bytes.get(at + 1) == Some(&b' ') => depth = 0,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        line_start = *byte == b'\n';
        if depth > MAX_DEPTH {
            let line = bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            return Err(ManifestError::Syntax {
                message: format!("line {line}: nested deeper than {MAX_DEPTH}"),
            });
        }
    }
    Ok(())
}

/// A name: short, not empty, without control characters.
pub(super) fn name(place: &str, text: &str) -> Result<Name, ManifestError> {
    let limited = limited(place, text, MAX_NAME)?;
    if limited.trim() != limited {
        return Err(wrong(place, "a name without white space around it", quoted(text)));
    }
    Ok(limited.into())
}

/// A path, URL or other text: not too long, not empty, without control characters.
pub(super) fn line(place: &str, text: &str) -> Result<String, ManifestError> {
    limited(place, text, MAX_TEXT).map(str::to_owned)
}

/// A folder in a repository: relative, `/` between its parts, no part `..`. `None` is its root.
pub(super) fn sub_path(place: &str, text: &str) -> Result<Option<String>, ManifestError> {
    let text = line(place, text)?;
    let parts: Vec<&str> =
        text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if text.starts_with('/') || parts.contains(&"..") {
        return Err(wrong(place, "a folder relative to the repository's root", quoted(&text)));
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// An address without its password, and without an HTTP user that is long enough to be a token:
/// manifests are kept and shown. Nothing is fetched from an address with a password anyway.
pub(super) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, host)) = place.rsplit_once('@') else { return url.to_owned() };
    let user = match user.split_once(':') {
        Some((user, _)) => format!("{user}:***"),
        None if scheme.to_ascii_lowercase().contains("http") && user.len() >= 20 => {
            "***".to_owned()
        }
        None => user.to_owned(),
    };
    format!("{scheme}://{user}@{host}{path}")
}

/// An error about one place.
pub(super) fn wrong(place: &str, expected: &str, found: String) -> ManifestError {
    ManifestError::Wrong { place: place.to_owned(), expected: expected.to_owned(), found }
}

/// A text for an error message: quoted, escaped, and cut.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

fn limited<'a>(place: &str, text: &'a str, most: usize) -> Result<&'a str, ManifestError> {
    if text.is_empty() {
        return Err(wrong(place, "a text that is not empty", "\"\"".to_owned()));
    }
    if text.len() > most {
        let expected = format!("at most {most} bytes");
        return Err(wrong(place, &expected, format!("{} bytes", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(place, "a text without control characters", quoted(text)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded() {
        assert!(name("p", "drivers/iodrivers_base").is_ok());
        for text in ["", " a", "a\n", "a\u{7}"] {
            assert!(name("p", text).is_err(), "{text:?}");
        }
        assert!(name("p", &"x".repeat(513)).is_err());
        assert_eq!(sub_path("p", "./a//b/"), Ok(Some("a/b".to_owned())));
        assert_eq!(sub_path("p", "."), Ok(None));
        assert!(sub_path("p", "a/../../b").is_err());
        assert!(sub_path("p", "/etc").is_err());
    }

    #[test]
    fn passwords_are_not_kept() {
        for (written, kept) in [
            ("https://me:hunter2@h/a", "https://me:***@h/a"),
            ("git:https://me:hunter2@h/a", "git:https://me:***@h/a"),
            ("https://me:hun@ter2@h", "https://me:***@h"),
            ("https://ghp_0123456789abcdef0123@h/a", "https://***@h/a"),
            ("https://me@h/a", "https://me@h/a"),
            ("ssh://git@h:22/a", "ssh://git@h:22/a"),
            ("git@h:a/b", "git@h:a/b"),
            ("/srv/a@b", "/srv/a@b"),
        ] {
            assert_eq!(masked(written), kept);
        }
    }

    #[test]
    fn brackets_in_many_texts_do_not_add_up() {
        let text = "- description: \"[[[\"\n".repeat(1000);
        assert_eq!(shallow(&text), Ok(()));
        assert!(shallow(&"[".repeat(101)).is_err());
    }
}
