//! Why a git server's answer is not known.

use crosswatch_core::model::time::Span;
use thiserror::Error;

use crate::http::HttpError;
use crate::supervise::Outcome;

/// Why a question to a git server has no answer. None of these means that something is absent.
#[derive(Clone, Debug, Error)]
pub enum GitError {
    /// The URL is of no kind that can be asked.
    #[error("{url} is not a git URL that can be asked: {why}")]
    BadUrl {
        /// The URL, without secrets.
        url: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The request did not come through.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server answered with a status that is no answer.
    #[error("{url} answered {status}{}", hint(*.status))]
    Status {
        /// The URL, without secrets.
        url: String,
        /// The HTTP status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Span>,
    },
    /// The server said something that is not git's protocol.
    #[error("{url} does not speak git: {why}")]
    Protocol {
        /// The URL, without secrets.
        url: String,
        /// What was wrong.
        why: String,
    },
    /// The git or ssh process failed.
    #[error("{what} for {url} {outcome}: {detail}")]
    Process {
        /// Which command.
        what: String,
        /// The URL, without secrets.
        url: String,
        /// How the process ended.
        outcome: Outcome,
        /// The end of what it said.
        detail: String,
    },
    /// A file of the mirror cannot be handled.
    #[error("{path} cannot be used as a mirror: {why}")]
    Mirror {
        /// The mirror's folder.
        path: String,
        /// What failed.
        why: String,
    },
    /// The daemon is stopping.
    #[error("the look was cancelled")]
    Cancelled,
}

impl GitError {
    /// Whether the credential was refused or is missing.
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Status { status: 401 | 403, .. })
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "; check the forge's token and its rights",
        404 => "; the repository does not exist or the token may not see it",
        429 => "; it asks for fewer requests",
        _ => "",
    }
}
