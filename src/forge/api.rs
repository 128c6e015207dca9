//! What a forge with pull requests is asked, whatever forge it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::model::change::{Fate, Files, Listing};
use crosswatch_core::model::identity::{Oid, RepositoryId};
use futures_util::future::BoxFuture;

/// A forge that answers by an API. It is the reader of the registry: it decides nothing, keeps no
/// state of the world, and gives what it read whole or an error.
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

    /// A mark of each of these repositories (at most [`BATCH`] at once) that differs after a
    /// push, and after a change was opened, closed or edited: one cheap question for all of them. A
    /// repository that is missing in the answer has to be read.
    fn marks(
        &self,
        repositories: Vec<RepositoryId>,
    ) -> BoxFuture<'static, Result<BTreeMap<RepositoryId, String>, ForgeError>>;
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
    /// A limit of the forge; when it is over is known to the governor.
    #[error("the forge's limit is reached: {0}")]
    Limited(String),
    /// Anything that may pass: 5xx, a time-out, a broken connection.
    #[error("{0}")]
    Unavailable(String),
    /// An answer that is no answer: HTML, torn JSON, another shape.
    #[error("its answer cannot be used: {0}")]
    Nonsense(String),
}
