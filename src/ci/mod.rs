//! CIs: what starts, finds, follows and cancels builds, behind one small trait.
//!
//! A backend never decides and never retries: the outbox and the followers do, from what a backend
//! answers here. The one thing that each backend owes them is honesty about what it does not know.

mod adapters;
mod answer;
mod buildbot;
mod buildbot_reading;
mod command;
mod driver;
mod http_call;
mod local;
mod local_folder;
mod payload;
mod ports;
mod push;
mod template;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crosswatch_core::model::build::BuildRequest;
use crosswatch_core::model::settings::{CiKind, CiSettings, SecretRef};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

pub use answer::{AskError, Found, RemoteId, SendError, Sent};
pub use driver::{Backends, Driver};
pub use ports::{Answer, Cage, Call, CallError, HeaderText, Job, JobEnd, Outcome, Runner, Web};
pub use push::pushed;

use crate::clock::Clock;
use crate::task::Tasks;

/// A future that owns all it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A CI.
///
/// Every method ends by itself within the CI's deadline, or sooner when `cancel` is cancelled.
/// Dropping a future is allowed at any time and means the same as an uncertain answer.
pub trait Backend: Send + Sync {
    /// Asks for a build. It is the caller's part to have stored the intent before.
    fn send(
        &self,
        request: Arc<BuildRequest>,
        cancel: CancellationToken,
    ) -> BoxFuture<Result<Sent, SendError>>;

    /// Asks what became of a request, before it is sent again and while it is followed.
    ///
    /// `remote` is what [`Backend::send`] or an earlier answer gave; without it the request id
    /// alone is looked for.
    fn find(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<Found, AskError>>;

    /// Asks the CI to end a build. The verdict still comes from [`Backend::find`].
    fn cancel(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<(), AskError>>;

    /// Whether [`Backend::find`] can prove that a request was never taken.
    fn can_be_asked(&self) -> bool;
}

/// What backends are made with.
#[derive(Clone)]
pub struct Parts {
    /// Sends requests.
    pub web: Arc<dyn Web>,
    /// Runs processes.
    pub runner: Arc<dyn Runner>,
    /// Runs local builds.
    pub tasks: Tasks,
    /// When local builds started and ended.
    pub clock: Clock,
    /// Local builds have their folders in `builds` of this folder.
    pub state_dir: PathBuf,
    /// What relative programs are relative to.
    pub config_dir: PathBuf,
}

/// Why a CI of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CiError {
    /// A secret could not be read.
    #[error("CI {ci}: {what}: {why}; mend the secret or the configuration and reload")]
    Secret {
        /// Name of the CI.
        ci: String,
        /// Key of the configuration.
        what: &'static str,
        /// What the reading said.
        why: String,
    },
    /// A value of the configuration cannot work.
    #[error("CI {ci}: {key}: {why}")]
    Setting {
        /// Name of the CI.
        ci: String,
        /// Key of the configuration.
        key: String,
        /// What was expected.
        why: String,
    },
}

/// Reads a secret; the error says what is wrong without saying the secret.
pub type Resolve<'a> = &'a dyn Fn(&SecretRef) -> Result<SecretString, String>;

/// The backend for a CI of the configuration.
pub fn build_backend(
    settings: &CiSettings,
    parts: &Parts,
    secrets: Resolve<'_>,
) -> Result<Arc<dyn Backend>, CiError> {
    Ok(match &settings.kind {
        CiKind::Buildbot(kind) => {
            Arc::new(buildbot::Buildbot::new(settings, kind, parts, secrets)?)
        }
        CiKind::Http(kind) => {
            Arc::new(http_call::HttpBackend::new(settings, kind, parts, secrets)?)
        }
        CiKind::Command(kind) => Arc::new(command::CommandBackend::new(settings, kind, parts)?),
        CiKind::Local(kind) => Arc::new(local::LocalBackend::new(settings, kind, parts)?),
    })
}

/// Reads a secret of a CI, naming its key when that fails.
fn secret(
    settings: &CiSettings,
    what: &'static str,
    reference: &SecretRef,
    secrets: Resolve<'_>,
) -> Result<SecretString, CiError> {
    secrets(reference).map_err(|why| CiError::Secret { ci: settings.name.to_string(), what, why })
}

/// Program and arguments with a relative program made absolute; a bare name is left to `PATH`.
fn argv(
    settings: &CiSettings,
    key: &str,
    run: &[String],
    parts: &Parts,
) -> Result<Vec<String>, CiError> {
    let mut argv = run.to_vec();
    match argv.first_mut() {
        Some(program) if !program.is_empty() => {
            if program.contains('/') && !program.starts_with('/') {
                *program = parts.config_dir.join(&*program).to_string_lossy().into_owned();
            }
            Ok(argv)
        }
        _ => Err(CiError::Setting {
            ci: settings.name.to_string(),
            key: key.to_owned(),
            why: "a list of a program and its arguments is expected".to_owned(),
        }),
    }
}
