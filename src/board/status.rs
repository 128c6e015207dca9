//! What the observers did last, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::run::RunRecord;
use crosswatch_core::model::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::HooksStatus;

/// Last status of every observer; written by observers, read by people.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BoardContent>>);

/// What the board shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BoardContent {
    /// Workspaces by name.
    pub workspaces: BTreeMap<Name, WorkspaceStatus>,
    /// Watched repositories.
    pub repositories: BTreeMap<RepositoryId, RepositoryStatus>,
    /// Forges by name.
    #[serde(default)]
    pub forges: BTreeMap<Name, ForgeStatus>,
    /// Webhooks of forges by name.
    #[serde(default)]
    pub hooks: BTreeMap<Name, HooksStatus>,
    /// CIs that cannot be used, each with the reason.
    pub ci: BTreeMap<Name, String>,
    /// Why builds of changes on this machine are refused, if they are for want of a sandbox.
    pub sandbox: Option<String>,
    /// Why the newest configuration was not taken over, if it was not.
    pub configuration: Option<String>,
    /// Why the daemon is not ready, by what is wrong; empty when it is.
    pub not_ready: BTreeMap<String, String>,
}

/// Life of one workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkspaceStatus {
    /// absent, bootstrapping, ready, updating, rebootstrapping, failed, fenced.
    pub phase: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What failed last, with the end of its output.
    pub failure: Option<String>,
    /// Last lines of a failure's output.
    pub tail: Vec<String>,
    /// When the next run starts by itself.
    pub next_at: Option<Timestamp>,
    /// Log of the present or last run.
    pub log: Option<std::path::PathBuf>,
    /// Last success.
    pub updated_at: Option<Timestamp>,
    /// How long each step took when it was last carried out, by the phase in which it runs.
    pub took: BTreeMap<String, Span>,
    /// Why the newest manifest is not believed, and where it is kept.
    pub suspicion: Option<String>,
    /// What else is not as usual.
    pub notes: Vec<String>,
    /// The last runs, oldest first.
    pub runs: Arc<Vec<RunRecord>>,
}

/// Phases in which a command runs.
const RUNNING: [&str; 2] = ["bootstrapping", "updating"];

impl WorkspaceStatus {
    /// Takes over where the workspace's life is, and how long the phase took that is left.
    pub fn enter(&mut self, phase: &str, now: Timestamp) {
        if self.phase == phase {
            return;
        }
        let left = std::mem::replace(&mut self.phase, phase.to_owned());
        let since = self.since.replace(now);
        // A failed one says nothing of how long it takes.
        if RUNNING.contains(&left.as_str())
            && phase != "failed"
            && let Some(since) = since
        {
            self.took.insert(left, now.since(since));
        }
    }

    /// The step that runs, and since when.
    pub fn running(&self) -> Option<(&str, Timestamp)> {
        let running = RUNNING.contains(&self.phase.as_str());
        running.then_some(self.phase.as_str()).zip(self.since)
    }
}

/// Looks at one repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RepositoryStatus {
    /// Last whole answer.
    pub read_at: Option<Timestamp>,
    /// What went wrong last, if it did.
    pub failure: Option<String>,
    /// Next look.
    pub next_at: Option<Timestamp>,
    /// Looks since the start.
    pub looks: u64,
    /// Workspaces that share it.
    pub workspaces: Arc<BTreeSet<Name>>,
}

/// How changes at one forge are noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeStatus {
    /// What notices that something moved.
    pub detector: String,
    /// When it is used next.
    pub next_at: Option<Timestamp>,
    /// Why it does not work now.
    pub failure: Option<String>,
    /// Why it cannot be asked at all, by the configuration.
    pub broken: Option<String>,
    /// Percent of their usual length that its intervals have.
    pub stretch: u64,
    /// Why something is not said there, if something is not.
    #[serde(default)]
    pub reports: Vec<String>,
    /// How they are noticed by each credential, by its name, which is empty where it has none.
    #[serde(default)]
    pub credentials: BTreeMap<String, CredentialStatus>,
}

/// How changes are noticed by one credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialStatus {
    /// What notices that something moved.
    pub detector: String,
    /// When it is used next.
    pub next_at: Option<Timestamp>,
    /// Why it does not work now.
    pub failure: Option<String>,
    /// Why the forge does not know it, or gives it no token.
    pub broken: Option<String>,
    /// Percent of their usual length that its intervals have.
    pub stretch: u64,
}

impl ForgeStatus {
    /// Says of the whole what holds of its credentials.
    pub fn sum_up(&mut self) {
        let all = || self.credentials.values();
        let detectors: BTreeSet<&str> =
            all().map(|one| one.detector.as_str()).filter(|text| !text.is_empty()).collect();
        let detector = detectors.into_iter().collect::<Vec<_>>().join("; ");
        let next_at = all().filter_map(|one| one.next_at).min();
        let failure = all().find_map(|one| one.broken.clone().or_else(|| one.failure.clone()));
        let stretch = all().map(|one| one.stretch).max().unwrap_or(100);
        (self.detector, self.next_at, self.failure, self.stretch) =
            (detector, next_at, failure, stretch);
    }
}

impl Board {
    /// A copy of everything.
    pub fn read(&self) -> BoardContent {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at something without a copy; `look` must be quick.
    pub fn look<T>(&self, look: impl FnOnce(&BoardContent) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes something; `change` must be quick.
    pub fn update(&self, change: impl FnOnce(&mut BoardContent)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
