//! What each way of not answering means. The same table stands in `docs/github.md`.

use std::fmt;

use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::forge::ForgeError;
use crate::http::conditional::AskError;
use crate::http::{Bearer, HttpAnswer, HttpError, StatusCode};

/// What is repeated of a forge's words.
const SHOWN: usize = 300;

/// What is looked at of the body of a refusal.
const LOOKED_AT: usize = 64 * 1024;

/// Why GitHub did not answer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) why: String,
    pub(super) status: Option<StatusCode>,
    /// Whether asking for less at once may help.
    pub(super) heavy: bool,
}

/// The variants of [`ForgeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Credential,
    Forbidden,
    NotFound,
    Limited,
    Unavailable,
    Nonsense,
    Refused,
}

impl Failure {
    pub(super) fn new(reason: Reason, why: String) -> Self {
        Self { reason, why, status: None, heavy: false }
    }

    /// An answer with another status than 200.
    pub(super) fn status(about: impl fmt::Display, answer: &HttpAnswer) -> Self {
        let status = answer.status;
        let said = said(&answer.body);
        let reason = match status.as_u16() {
            401 => Reason::Credential,
            403 | 429 if limited(answer, said.as_deref()) => Reason::Limited,
            // Withheld by law is withheld.
            403 | 451 => Reason::Forbidden,
            404 | 410 => Reason::NotFound,
            408 | 500..=599 => Reason::Unavailable,
            _ => Reason::Nonsense,
        };
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let detour = if status.is_redirection() { ", which leads elsewhere" } else { "" };
        Self {
            reason,
            why: format!("{about}: status {}{detour}{said}", status.as_u16()),
            status: Some(status),
            heavy: matches!(status.as_u16(), 502 | 504),
        }
    }

    /// No answer, or one that cannot be used.
    pub(super) fn asking(about: impl fmt::Display, error: &AskError) -> Self {
        let reason = match error {
            AskError::Http(HttpError::TooLarge { .. } | HttpError::BadRequest { .. })
            | AskError::Unreadable { .. }
            | AskError::Unasked { .. }
            | AskError::Elsewhere { .. } => Reason::Nonsense,
            AskError::Http(_) | AskError::Endless { .. } | AskError::NotAsked { .. } => {
                Reason::Unavailable
            }
        };
        let heavy = matches!(error, AskError::Http(HttpError::Deadline { .. }));
        Self { heavy, ..Self::new(reason, format!("{about}: {error}")) }
    }

    /// The same, fit to be shown: a server may repeat what it was sent.
    #[must_use]
    pub(super) fn without(mut self, bearer: Option<&Bearer>) -> Self {
        if let Some(token) = bearer.map(Bearer::token) {
            let token = token.expose_secret();
            if !token.is_empty() {
                self.why = self.why.replace(token, "…");
            }
        }
        self.why = self.why.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        self
    }
}

impl From<Failure> for ForgeError {
    fn from(failure: Failure) -> Self {
        let why = failure.why;
        match failure.reason {
            Reason::Credential => Self::Credential(why),
            Reason::Forbidden => Self::Forbidden(why),
            Reason::NotFound => Self::NotFound(why),
            Reason::Limited => Self::Limited(why),
            Reason::Unavailable => Self::Unavailable(why),
            Reason::Nonsense => Self::Nonsense(why),
            Reason::Refused => Self::Refused(why),
        }
    }
}

#[derive(Deserialize)]
struct Said {
    message: String,
}

/// The forge's own words.
fn said(body: &[u8]) -> Option<String> {
    let body = body.get(..body.len().min(LOOKED_AT))?;
    serde_json::from_slice::<Said>(body).ok().map(|said| said.message)
}

/// Whether a refusal is for having asked too much, and not for having no right.
fn limited(answer: &HttpAnswer, said: Option<&str>) -> bool {
    let empty = answer.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    answer.status == StatusCode::TOO_MANY_REQUESTS
        || answer.header("retry-after").is_some()
        || empty
        || said.is_some_and(tells_of_limit)
}

pub(super) fn tells_of_limit(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.contains("rate limit") || said.contains("abuse detection")
}
