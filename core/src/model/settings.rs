//! The configuration after it was read and checked: every default filled in, every name resolved.
//!
//! The configuration's own keys and their defaults are documented in `docs/configuration.md`.
//! Secrets are only named here; their values never enter this crate.

mod changes;
mod ci;
mod service;
mod tool;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::ci::{
    BuildbotCi, CiKind, CiSettings, CommandCi, HeaderValue, HttpCall, HttpCi, HttpPoll, LocalCi,
    Sandbox,
};
pub use self::tool::{
    ManifestFormat, ManifestFrom, ManifestSource, Spelling, Tool, UnknownSpelling,
};
use super::identity::{Name, RepositoryId};
use super::paths::PathPatterns;
use super::size::Size;
use super::time::Span;
use crate::references::Reading;

pub use changes::{
    Adopt, Dependencies, Drafts, OnClosed, OnConflict, RebuildOnBase, RefKind, SameRepository,
};
pub use service::{AppSettings, LogRules, ProxySettings};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where workspaces, logs and the embedded database live.
    pub state_dir: PathBuf,
    /// Where the ledger is kept.
    pub database: Database,
    /// Address and port of the pages.
    pub listen: String,
    /// The address under which people reach the pages, without a trailing `/`.
    pub public_url: Option<String>,
    /// Forges by their configured name.
    pub forges: BTreeMap<Name, Arc<ForgeSettings>>,
    /// CIs by their configured name.
    pub ci: BTreeMap<Name, Arc<CiSettings>>,
    /// Workspaces, in name order.
    pub workspaces: Vec<Arc<WorkspaceSettings>>,
    /// Updates and bootstraps that may run at once.
    pub max_updates: usize,
    /// Copies of workspaces in which candidates are made at once.
    pub max_candidates: usize,
    /// While the 1-minute load average is above it, no further update is started.
    pub max_load: Option<u32>,
    /// How long logs are kept.
    pub logs: LogRules,
    /// Through which forges and CIs are reached; the one of the environment when left out.
    pub proxy: Option<ProxySettings>,
}

impl Settings {
    /// How the workspaces want bodies to be read.
    pub fn readings(&self) -> BTreeSet<Reading> {
        self.workspaces.iter().map(|workspace| workspace.changes.reading.clone()).collect()
    }

    /// The workspace of that name.
    pub fn workspace(&self, name: &str) -> Option<&Arc<WorkspaceSettings>> {
        self.workspaces.iter().find(|workspace| &*workspace.name == name)
    }

    /// The forge with that identity (see [`RepositoryId::forge`]).
    pub fn forge(&self, identity: &str) -> Option<&Arc<ForgeSettings>> {
        self.forges.values().find(|forge| &*forge.identity == identity)
    }
}

/// Where the ledger is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    /// A file in the state directory.
    Sqlite,
    /// A PostgreSQL server; the URL may carry a password and is therefore a secret.
    Postgres(SecretRef),
}

/// Where a secret is read from. Its value is never part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// A file that only its owner may read.
    File(PathBuf),
    /// A variable of the daemon's environment.
    Env(String),
    /// A file of that name in `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`).
    Credential(String),
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

/// A server with repositories and changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeSettings {
    /// The name in the configuration.
    pub name: Name,
    /// First part of the identity of its repositories: the host, or the name for plain git.
    pub identity: Name,
    /// What kind of server it is, with what only that kind has.
    pub kind: ForgeKind,
    /// What manifests' URLs are matched against, without a trailing `/`.
    pub url: String,
    /// Other prefixes of the same server.
    pub also: Vec<String>,
    /// Tokens; none where it is asked as anybody.
    pub tokens: Vec<SecretRef>,
    /// The application that it is asked as, beside the tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppSettings>,
    /// Time between two looks at one repository.
    pub interval: Span,
    /// Time within which everything is read whole again.
    pub reconcile: Span,
}

/// Kinds of forges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForgeKind {
    /// Any git server; changes are refs.
    Git(GitForge),
    /// GitHub, or a GitHub Enterprise Server; changes are pull requests.
    #[serde(rename = "github")]
    GitHub(GitHubForge),
}

impl ForgeKind {
    /// What only plain git has.
    pub fn git(&self) -> Option<&GitForge> {
        match self {
            Self::Git(git) => Some(git),
            Self::GitHub(_) => None,
        }
    }

    /// Whether the server compares paths without case.
    pub fn folds(&self) -> bool {
        match self {
            Self::Git(_) => false,
            Self::GitHub(_) => true,
        }
    }
}

/// What only GitHub has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitHubForge {
    /// Address of the API, without a trailing `/`: `https://api.github.com`, or `…/api/v3` of an
    /// Enterprise Server.
    pub api_url: String,
    /// Secrets of webhooks; several while one is replaced by another. None: no webhook is taken.
    pub webhook_secrets: Vec<SecretRef>,
}

/// What a plain git forge must be told, since the protocol cannot tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitForge {
    /// Ref patterns with one `*` for the number, such as `refs/pull/*/head`.
    pub changes: Vec<String>,
    /// Base branch of changes whose sibling refs name none; the default branch when left out.
    pub base: Option<Name>,
    /// Whether every head there is trusted, or none.
    pub authors: Authors,
}

/// Whose heads are trusted on a forge without authors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authors {
    /// Everybody who can push a change ref is trusted.
    Any,
    /// Nobody is; each set wants an approval.
    None,
}

/// Deadlines of a supervised run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From start to end.
    pub timeout: Span,
    /// Without any output.
    pub silence: Span,
    /// From TERM to KILL.
    pub grace: Span,
    /// How much it may write.
    pub output: OutputLimit,
    /// What it may use.
    pub bounds: Bounds,
}

/// What a supervised run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Memory of all its processes together.
    pub memory: Option<Size>,
    /// Processes at once.
    pub processes: u64,
    /// Open files of each of its processes.
    pub open_files: Option<u64>,
    /// What the folder that it runs in may take on the disk.
    pub disk: Option<Size>,
}

impl Bounds {
    /// What holds when nothing is said: enough processes for a build on a large machine, and far
    /// from what makes a machine unusable. The others depend on the machine.
    pub const DEFAULT: Self = Self { memory: None, processes: 4096, open_files: None, disk: None };
}

/// How much a supervised run may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLimit {
    /// What its log keeps.
    pub max: Size,
    /// What happens when it writes more.
    pub over: Over,
}

impl OutputLimit {
    /// What holds when nothing is said.
    pub const DEFAULT: Self = Self { max: Size::mebibytes(64), over: Over::Cut };
}

/// What happens when a run writes more than its log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The log loses its middle, the run goes on.
    Cut,
    /// The run is ended.
    End,
}

/// One build configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceSettings {
    /// The name in the configuration: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64 characters.
    pub name: Name,
    /// What fingerprints call it; survives a rename. The first name by default.
    pub id: Name,
    /// Which preset filled in what was left out.
    pub tool: Tool,
    /// The repository that the workspace is made from.
    pub source: Option<Source>,
    /// Command that makes the workspace in an empty directory.
    pub bootstrap: Option<Step>,
    /// Command that brings it up to date.
    pub update: Option<Step>,
    /// When the update runs.
    pub update_on: UpdateOn,
    /// Where the manifest comes from.
    pub manifest: ManifestSource,
    /// Files that decide the manifest, in any of its repositories: `west.yml`, `*.repos`, `dir/*.xml`.
    pub defining: PathPatterns,
    /// How CIs are given the overrides, beside JSON.
    pub spellings: Vec<Spelling>,
    /// Names of the CIs that build it.
    pub ci: Vec<Name>,
    /// Whether changes are built.
    pub build_changes: bool,
    /// Whether the mainline is built.
    pub build_mainline: bool,
    /// Rules for changes.
    pub changes: ChangeRules,
    /// Settling of the mainline.
    pub mainline: MainlineRules,
    /// Raising it builds everything again.
    pub epoch: u64,
    /// Builds of this workspace that may be between sending and ending at once.
    pub max_in_flight: usize,
    /// Repositories that may be written to.
    pub report_to: Vec<RepositoryId>,
    /// Variables of the environment of its commands, beside the allowed ones.
    pub env: BTreeMap<String, String>,
    /// Whether git in its commands reads shared mirrors.
    pub mirror: Mirror,
    /// How candidates of it are made.
    pub candidates: CandidateRules,
    /// Switched off by the configuration.
    pub paused: bool,
    /// After so many failed updates in a row it is bootstrapped into a fresh directory; 0 for never.
    pub rebootstrap_after: u32,
    /// Packages in percent that a manifest may lose at once and still be believed.
    pub max_shrink: u64,
}

/// How the manifest is found out that a workspace would have with some changes in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateRules {
    /// Whether that is done at all; else every change is judged by the mainline's manifest.
    pub make: bool,
    /// Whether the workspace's commands reach the network then.
    pub network: bool,
    /// Paths that they may read besides the system's own.
    pub read_only: Vec<PathBuf>,
    /// Largest copy of the workspace.
    pub max_size: Size,
}

impl CandidateRules {
    /// What holds when nothing is said.
    pub const DEFAULT: Self =
        Self { make: true, network: false, read_only: Vec::new(), max_size: Size(20 << 30) };
}

/// Whether a workspace's git reads the daemon's mirrors instead of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mirror {
    /// It does: its commands fetch branches and tags alone.
    On,
    /// It asks the servers.
    Off,
}

/// The repository that a workspace is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// As written in the configuration.
    pub url: String,
    /// The branch; the default branch when left out.
    pub branch: Option<Name>,
}

/// A command with its deadlines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Program and arguments, run in the workspace's directory without a shell.
    pub run: Vec<String>,
    /// Deadlines.
    pub limits: Limits,
}

/// When the update command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOn {
    /// When a definition repository moved; package heads are taken over without a run.
    Definitions,
    /// After every push to the mainline.
    Any,
}

/// Rules for the changes of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRules {
    /// Quiet time after a change was first seen.
    pub settle_new: Span,
    /// Quiet time after its head or references moved.
    pub settle_push: Span,
    /// Quiet time for bots.
    pub settle_bots: Span,
    /// Build drafts, or hold them.
    pub drafts: Drafts,
    /// After this time without a move a change is stale.
    pub max_age: Span,
    /// Which members of a set are built.
    pub dependencies: Dependencies,
    /// More names of trusted authors.
    pub trusted: Vec<String>,
    /// Labels that make a closed change count as merged.
    pub merged_labels: Vec<String>,
    /// What happens to a change that conflicts with its base.
    pub on_conflict: OnConflict,
    /// More names of bots.
    pub bots: Vec<String>,
    /// What is done with changes that were open before we watched.
    pub adopt: Adopt,
    /// Members that a set may have beside its change.
    pub max_dependencies: usize,
    /// What a closed dependency means.
    pub on_closed: OnClosed,
    /// Which ref a build checks out.
    pub ref_kind: RefKind,
    /// What two changes of one repository, of which none contains the other, mean.
    pub same_repository: SameRepository,
    /// Whether changes of pinned packages against the default branch are roots.
    pub pinned_roots: bool,
    /// Whether changes of other repositories with the same branch name are joined.
    pub branch_matching: bool,
    /// How bodies are read.
    #[serde(default)]
    pub reading: Reading,
    /// Paths that count for packages that live in a folder of their repository, beside that folder.
    #[serde(default)]
    pub paths: PathPatterns,
    /// Paths that count for no package.
    #[serde(default)]
    pub ignore_paths: PathPatterns,
    /// When a change is built again because the mainline moved.
    #[serde(default)]
    pub rebuild_on_base: RebuildOnBase,
}

/// Settling of the mainline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainlineRules {
    /// Quiet time after the last push.
    pub settle: Span,
    /// Longest time that pushes are gathered.
    pub settle_at_most: Span,
}
