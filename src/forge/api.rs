//! What a forge with pull requests is asked, whatever forge it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::model::change::{Fate, Files, Listing, Rights};
use crosswatch_core::model::identity::{ChangeId, Name, Oid, RepositoryId};
use crosswatch_core::model::report::{Status, StatusKey};
use crosswatch_core::model::time::Timestamp;
use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::http::Toll;

/// A forge that answers by an API. It is the reader of the registry and the pen of the reporter: it
/// decides nothing, keeps no state of the world, and gives what it read whole or an error.
pub trait ForgeApi: Send + Sync {
    /// Branches and open changes of one repository, whole, with bodies parsed.
    fn list(&self, repository: RepositoryId) -> BoxFuture<'static, Result<Listed, ForgeError>>;

    /// What became of a change that is not among the open ones.
    fn fate(
        &self,
        repository: RepositoryId,
        number: u64,
    ) -> BoxFuture<'static, Result<Fate, ForgeError>>;

    /// Which files an open change touches while this is its head; an error when it has another one.
    fn files(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Files, ForgeError>>;

    /// Whether an open change can be merged while this is its head; nothing while the forge tries, an
    /// error when it has another head.
    fn mergeable(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Option<bool>, ForgeError>>;

    /// What an account may do in a repository.
    fn rights(
        &self,
        repository: RepositoryId,
        login: Name,
    ) -> BoxFuture<'static, Result<Rights, ForgeError>>;

    /// A mark of each of these repositories (at most [`BATCH`] at once) that differs after a
    /// push, and after a change was opened, closed or edited: one cheap question for all of them. A
    /// repository that is missing in the answer has to be read.
    fn marks(
        &self,
        repositories: Vec<RepositoryId>,
    ) -> BoxFuture<'static, Result<BTreeMap<RepositoryId, String>, ForgeError>>;

    /// The forge's own log of what a hook delivered, or should have, back to a time. `place` is what
    /// the hook belongs to: `repos/OWNER/NAME`, `orgs/NAME` or `app`.
    fn deliveries(
        &self,
        place: String,
        hook: u64,
        since: Timestamp,
    ) -> BoxFuture<'static, Result<Vec<Delivered>, ForgeError>>;

    /// What a write to this repository is paid from; nothing while it is not known who would write.
    fn toll_of_writes(&self, repository: &RepositoryId) -> Option<Toll>;

    /// Writes a status in place of the one that was there.
    fn say(&self, saying: Saying) -> BoxFuture<'static, Result<Spoken, ForgeError>>;

    /// Writes the one comment on a change; what the forge calls it, if there is one now.
    fn comment(&self, sticky: Sticky) -> BoxFuture<'static, Result<Option<String>, ForgeError>>;

    /// Which credential a question about this repository belongs to; nothing where it is asked as anybody.
    fn asker(&self, repository: &RepositoryId) -> Option<String>;

    /// The token that git is given for this repository.
    fn token(
        &self,
        repository: RepositoryId,
    ) -> BoxFuture<'static, Result<Option<SecretString>, ForgeError>>;

    /// Names of the credentials, each with why it is of no use, if it is not.
    fn credentials(&self) -> BTreeMap<String, Option<String>>;
}

/// A delivery in a forge's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The same each time that it is delivered.
    pub guid: String,
    /// Such as `push`.
    pub event: String,
    /// The forge's own id of the repository.
    pub repository_id: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// What was answered; 0 without an answer, or while there is none yet.
    pub status: u16,
}

/// A status to write. An application writes it as a check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// Where.
    pub key: StatusKey,
    /// What.
    pub status: Status,
    /// What the forge calls the check run that can still become it, if there is one.
    pub run: Option<String>,
    /// Whether check runs may be tried there.
    pub checks: bool,
}

/// How a status was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// What the forge calls the check run.
    pub run: Option<String>,
    /// Why it was no check run, although it should have been one.
    pub refused: Option<String>,
}

/// A comment that is edited in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// The change.
    pub change: ChangeId,
    /// What it begins with and is found again by.
    pub marker: String,
    /// All of it.
    pub text: String,
    /// What the forge calls it, if that is known.
    pub id: Option<String>,
    /// Whether it is made where there is none.
    pub create: bool,
}

/// Repositories that one question of [`ForgeApi::marks`] may be about.
pub const BATCH: usize = 100;

/// Forges with an API, by their identity.
pub type Apis = BTreeMap<String, Arc<dyn ForgeApi>>;

/// One repository as its forge showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The forge's own id of the repository, which survives a rename.
    pub forge_id: String,
    /// Its path as the forge spells it now; another one than was asked for after a rename.
    pub spelling: String,
    /// What is there.
    pub listing: Listing,
}

/// Why a forge did not answer. None of these is an empty answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// 401, or a token that cannot be read.
    #[error("the credential is refused: {0}; renew the token")]
    Credential(String),
    /// 403 without a limit.
    #[error(
        "the credential may not read it: {0}; give it the right to read, or remove the repository"
    )]
    Forbidden(String),
    /// 404 or 410.
    #[error("not found, or not visible to the credential: {0}")]
    NotFound(String),
    /// The same, to a credential that lately read others there: so it is not the credential's fault.
    #[error("not found, by a credential that reads others there: {0}")]
    Absent(String),
    /// A limit of the forge; when it is over is known to the governor.
    #[error("the forge's limit is reached: {0}")]
    Limited(String),
    /// Anything that may pass: 5xx, a time-out, a broken connection.
    #[error("{0}")]
    Unavailable(String),
    /// An answer that is no answer: HTML, torn JSON, another shape.
    #[error("its answer cannot be used: {0}")]
    Nonsense(String),
    /// What should be written is no such thing to the forge: 422.
    #[error("the forge does not take it: {0}")]
    Refused(String),
}
