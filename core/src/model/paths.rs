//! Patterns of paths in a repository.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

/// Patterns such as `docs/**` or `*.md`: `*` stays within a folder, `**` does not, and a pattern without
/// `/` is compared with the name alone, in whatever folder the file is.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct PathPatterns {
    texts: Vec<String>,
    set: GlobSet,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a pattern of paths: {why}; write it like docs/** or *.md")]
pub struct InvalidPattern {
    /// Its place in the list.
    pub index: usize,
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl PathPatterns {
    /// Reads patterns.
    pub fn new(texts: Vec<String>) -> Result<Self, InvalidPattern> {
        let mut set = GlobSetBuilder::new();
        let wrong =
            |index, text: &String, why: String| InvalidPattern { index, text: text.clone(), why };
        for (index, text) in texts.iter().enumerate() {
            if text.is_empty() || text.starts_with('/') {
                let why = "it has to begin at the repository's root, without `/`".to_owned();
                return Err(wrong(index, text, why));
            }
            let anywhere = if text.contains('/') { text.clone() } else { format!("**/{text}") };
            let glob = GlobBuilder::new(&anywhere).literal_separator(true).build();
            set.add(glob.map_err(|error| wrong(index, text, error.kind().to_string()))?);
        }
        let built = set.build();
        let set = built.map_err(|error| wrong(0, &texts.concat(), error.kind().to_string()))?;
        Ok(Self { texts, set })
    }

    /// As they are written.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether one of them fits.
    pub fn fit(&self, path: &str) -> bool {
        self.set.is_match(path)
    }
}

impl PartialEq for PathPatterns {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Eq for PathPatterns {}

impl fmt::Debug for PathPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.texts).finish()
    }
}

impl TryFrom<Vec<String>> for PathPatterns {
    type Error = InvalidPattern;

    fn try_from(texts: Vec<String>) -> Result<Self, InvalidPattern> {
        Self::new(texts)
    }
}

impl From<PathPatterns> for Vec<String> {
    fn from(patterns: PathPatterns) -> Self {
        patterns.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_they_say() {
        for (pattern, path, fits) in [
            ("docs/**", "docs/a/b.md", true),
            ("docs/**", "lib/docs/a", false),
            ("docs/*", "docs/a/b.md", false),
            ("*.md", "README.md", true),
            ("*.md", "a/b/README.md", true),
            ("*.md", "a.md/b", false),
            ("**/docs/**", "a/docs/b", true),
            ("a/{b,c}/x", "a/c/x", true),
            ("a/[xy]", "a/z", false),
            ("LICENSE", "lib/LICENSE", true),
            ("./a", "a", false),
        ] {
            let patterns = PathPatterns::new(vec![pattern.to_owned()]).expect("a pattern");
            assert_eq!(patterns.fit(path), fits, "{pattern} {path}");
        }
        for wrong in ["", "/docs", "a[", "{a"] {
            let error = PathPatterns::new(vec!["a".to_owned(), wrong.to_owned()]);
            assert_eq!(error.expect_err(wrong).index, 1, "{wrong}");
        }
    }
}
