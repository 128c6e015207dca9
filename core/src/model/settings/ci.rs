//! CI backends, as they are configured.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Limits, SecretRef};
use crate::model::build::Verdict;
use crate::model::identity::Name;
use crate::model::time::Span;

/// A CI backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiSettings {
    /// The name in the configuration.
    pub name: Name,
    /// What kind it is, with what only that kind has.
    pub kind: CiKind,
    /// Builds that may be between sending and ending at once.
    pub max_in_flight: usize,
    /// Deadline of one request to it.
    pub deadline: Span,
    /// Time between two questions after a build.
    pub poll: Span,
    /// After this time without a sign of a build that the CI took, it is `lost`.
    pub lost_after: Span,
    /// Secret of results that this CI pushes to `/ci/NAME`.
    pub push_secret: Option<SecretRef>,
}

/// Kinds of CI backends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CiKind {
    /// A command on this machine for each build.
    Local(LocalCi),
    /// A Buildbot master's change hook and REST interface.
    Buildbot(BuildbotCi),
    /// Any HTTP interface.
    Http(Box<HttpCi>),
    /// An executable that gets the request as JSON and prints an id.
    Command(CommandCi),
}

impl CiKind {
    /// The word for it in the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Buildbot(_) => "buildbot",
            Self::Http(_) => "http",
            Self::Command(_) => "command",
        }
    }
}

/// Builds as supervised commands of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCi {
    /// Program and arguments; a relative program is relative to the configuration's folder.
    pub run: Vec<String>,
    /// Builds at once.
    pub slots: usize,
    /// Deadlines of one build.
    pub limits: Limits,
    /// How code of changes is kept from the machine.
    pub sandbox: Sandbox,
    /// Paths that builds in the sandbox may read besides the system's own.
    pub read_only: Vec<PathBuf>,
    /// Whether builds in the sandbox reach the network.
    pub network: bool,
}

/// What surrounds the code of a change on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// bubblewrap; without it builds of changes are refused.
    Bubblewrap,
    /// Nothing. Only for forges where every head is trusted.
    None,
}

/// A Buildbot master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildbotCi {
    /// Address of the master's pages, without a trailing `/`.
    pub url: String,
    /// User of the change hook.
    pub user: Option<String>,
    /// Password of the change hook.
    pub password: Option<SecretRef>,
    /// `project` of the changes; the workspace's name when left out.
    pub project: Option<String>,
}

/// A CI that is called by HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCi {
    /// The request that starts a build.
    pub send: HttpCall,
    /// JSON pointer to the build's id in the answer.
    pub id: Option<String>,
    /// JSON pointer to the build's page in the answer.
    pub link: Option<String>,
    /// The request that asks how a build is.
    pub poll: Option<HttpPoll>,
    /// The request that cancels a build.
    pub cancel: Option<HttpCall>,
    /// Key of an HMAC-SHA-256 over the body, sent as `X-Crosswatch-Signature: sha256=HEX`.
    pub sign: Option<SecretRef>,
}

/// One HTTP request with templates (minijinja) in URL and body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// Method, in upper case.
    pub method: String,
    /// Address, a template.
    pub url: String,
    /// Header fields; the values are plain or secret.
    pub headers: BTreeMap<String, HeaderValue>,
    /// Body, a template; the whole build request as JSON when left out.
    pub body: Option<String>,
}

/// A header's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderValue {
    /// Written in the configuration.
    Plain(String),
    /// Read from a secret.
    Secret(SecretRef),
}

/// How the state of a build is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpPoll {
    /// The request.
    pub call: HttpCall,
    /// JSON pointer to the state in the answer.
    pub state: String,
    /// JSON pointer to the build's page in the answer.
    pub link: Option<String>,
    /// What the CI's own words for states mean; other words mean "still running".
    pub states: BTreeMap<String, Verdict>,
}

/// A CI behind executables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCi {
    /// Gets the request as JSON on standard input, prints the build's id.
    pub send: Vec<String>,
    /// Gets the id as last argument, prints a state word and optionally a link.
    pub poll: Option<Vec<String>>,
    /// Gets the id as last argument.
    pub cancel: Option<Vec<String>>,
    /// Deadlines of one run of these.
    pub limits: Limits,
}
