//! What a CI answers, with what it does not know kept apart from what it does.

use std::fmt;

use crosswatch_core::model::build::Verdict;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest id that is taken over from a CI.
const LONGEST_ID: usize = 200;

/// Longest address of a page that is taken over from a CI.
const LONGEST_LINK: usize = 2048;

/// Longest sentence that is taken over from a CI.
const LONGEST_TEXT: usize = 400;

/// What a CI calls a build: bounded, printable, and meaningful to that CI alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteId(String);

impl RemoteId {
    /// Takes an id over, unless it is empty, too long or not plain text.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = !text.is_empty()
            && text.len() <= LONGEST_ID
            && !text.chars().any(char::is_control)
            && !text.starts_with('-');
        plain.then(|| Self(text.to_owned()))
    }

    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The CI surely took the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// What the CI calls the build, if it said so already.
    pub remote: Option<RemoteId>,
    /// The build's page.
    pub link: Option<String>,
}

/// Why a request is not known to be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The CI surely did not take it, and may take it later.
    #[error("{why}")]
    NotTaken {
        /// What happened.
        why: String,
        /// Whether the same request may be sent again by itself.
        retry: bool,
    },
    /// The CI will not take it until a person mends something.
    #[error("{why}")]
    Refused {
        /// What the CI said and what can be done.
        why: String,
    },
    /// It may have been taken.
    #[error("{why}")]
    Uncertain {
        /// What happened.
        why: String,
    },
}

/// Why a CI gave no usable answer to a question. It says nothing about the build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The CI could not be reached, or broke while it answered.
    #[error("{why}")]
    Away {
        /// What happened.
        why: String,
    },
    /// The CI refuses the question until a person mends something.
    #[error("{why}")]
    Refused {
        /// What the CI said and what can be done.
        why: String,
    },
    /// The answer was not what this kind of CI answers.
    #[error("{why}")]
    Odd {
        /// What was expected and what came.
        why: String,
    },
    /// This CI has no way to be asked that.
    #[error("{why}")]
    Unable {
        /// What would have to be configured.
        why: String,
    },
}

/// What a CI knows of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The CI was asked, answered wholly, and never saw the request.
    Never,
    /// The CI took the request, but nothing in it made a build of it so far.
    Unscheduled {
        /// What the CI would need.
        why: String,
    },
    /// A build waits for its turn.
    Queued {
        /// What the CI calls it.
        remote: Option<RemoteId>,
        /// Its page.
        link: Option<String>,
    },
    /// It is being built.
    Running {
        /// What the CI calls it.
        remote: Option<RemoteId>,
        /// Its page.
        link: Option<String>,
        /// When it began, if the CI says so.
        since: Option<Timestamp>,
    },
    /// It ended.
    Ended {
        /// How.
        verdict: Verdict,
        /// What the CI calls it.
        remote: Option<RemoteId>,
        /// Its page.
        link: Option<String>,
        /// When, if the CI says so.
        ended_at: Option<Timestamp>,
        /// One line of the CI's own about it.
        summary: Option<String>,
    },
}

/// Takes the address of a page over, unless it is not one that a browser should follow.
pub(super) fn link(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > LONGEST_LINK {
        return None;
    }
    let url = url::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.password().is_none()).then(|| url.into())
}

/// Takes one line of a CI's text over, cut and without control characters.
pub(super) fn line(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST_TEXT + 1)
        .collect();
    if clean.chars().count() > LONGEST_TEXT {
        let mut cut: String = clean.chars().take(LONGEST_TEXT).collect();
        cut.push('…');
        return cut;
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ci_says_is_bounded() {
        assert_eq!(RemoteId::new(" 12\n").map(|id| id.to_string()), Some("12".to_owned()));
        for wrong in ["", " ", "a\nb", "--help", &"9".repeat(201)] {
            assert_eq!(RemoteId::new(wrong), None, "{wrong:?}");
        }
        assert_eq!(link("https://ci.example/b/1"), Some("https://ci.example/b/1".to_owned()));
        for wrong in ["javascript:alert(1)", "https://a:b@ci.example/", "b/1", ""] {
            assert_eq!(link(wrong), None, "{wrong:?}");
        }
        assert_eq!(line("a\x1b[31m\nb"), "a [31m b");
        assert_eq!(line(&"x".repeat(5000)).chars().count(), LONGEST_TEXT + 1);
    }
}
