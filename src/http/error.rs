//! Why there is no answer.

use std::error::Error;

use crosswatch_core::model::time::Span;
use thiserror::Error as ThisError;

/// Why there is no answer. No message holds a header, a user part or a query of a URL.
#[derive(Clone, Debug, ThisError)]
pub enum HttpError {
    /// The request is not one.
    #[error("{to} cannot be asked: {why}")]
    BadRequest {
        /// Where it was to go.
        to: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing was sent: the peer was not reached.
    #[error("{to} cannot be reached: {why}")]
    NotSent {
        /// Where it was to go.
        to: String,
        /// Of all causes the innermost.
        why: String,
    },
    /// The peer did not answer in time; whether it acted is unknown.
    #[error("{to} did not answer within {deadline}")]
    Deadline {
        /// Where it went.
        to: String,
        /// The time it had.
        deadline: Span,
    },
    /// The connection broke after something was sent; whether the peer acted is unknown.
    #[error("{to} broke off: {why}")]
    Broken {
        /// Where it went.
        to: String,
        /// Of all causes the innermost.
        why: String,
    },
    /// The peer answered with more than is taken; it may have acted.
    #[error("{to} answered with more than {max} bytes")]
    TooLarge {
        /// Where it went.
        to: String,
        /// What is taken at most.
        max: usize,
    },
}

impl HttpError {
    /// Whether the peer may have acted on the request.
    pub fn may_have_acted(&self) -> bool {
        !matches!(self, Self::BadRequest { .. } | Self::NotSent { .. })
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "bad-request",
            Self::NotSent { .. } => "not-sent",
            Self::Deadline { .. } => "deadline",
            Self::Broken { .. } => "broken",
            Self::TooLarge { .. } => "too-large",
        }
    }
}

pub(super) fn failed(error: &reqwest::Error, to: &str, deadline: Span) -> HttpError {
    if error.is_connect() {
        HttpError::NotSent { to: to.to_owned(), why: innermost(error) }
    } else if error.is_builder() {
        HttpError::BadRequest { to: to.to_owned(), why: innermost(error) }
    } else {
        broken(error, to, deadline)
    }
}

pub(super) fn broken(error: &reqwest::Error, to: &str, deadline: Span) -> HttpError {
    if error.is_timeout() {
        return HttpError::Deadline { to: to.to_owned(), deadline };
    }
    HttpError::Broken { to: to.to_owned(), why: innermost(error) }
}

/// The cause itself: the outer ones repeat the URL.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, error) {
        return "the request failed".to_owned();
    }
    cause.to_string().chars().filter(|c| !c.is_control()).take(300).collect()
}
