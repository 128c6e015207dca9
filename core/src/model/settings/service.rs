//! What holds for the daemon as a whole: its proxy, its logs.

use serde::{Deserialize, Serialize};

use super::SecretRef;
use crate::model::size::Size;
use crate::model::time::Span;

/// A proxy for requests over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxySettings {
    /// Its address.
    pub url: String,
    /// Hosts, domains and networks that are reached without it.
    pub except: Vec<String>,
    /// User at the proxy.
    pub user: Option<String>,
    /// Where the user's password is.
    pub password: Option<SecretRef>,
}

/// How long logs of finished runs are kept; the last one of each workspace always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRules {
    /// The oldest.
    pub keep: Span,
    /// All of them together.
    pub max_size: Size,
}

impl LogRules {
    /// What holds when nothing is said.
    pub const DEFAULT: Self = Self { keep: Span::days(30), max_size: Size::gibibytes(2) };
}

/// An application of a forge, which reads what its installations were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSettings {
    /// Its number.
    pub id: u64,
    /// The installation that reads everything; where none is named, that of each repository's owner.
    pub installation: Option<u64>,
    /// Its private key.
    pub key: SecretRef,
}
