//! What answers for repositories: forges and plain git servers.

mod api;
pub mod git;
pub mod github;
pub mod governor;
pub mod several;

pub use api::{Apis, BATCH, Delivered, ForgeApi, ForgeError, Listed, Saying, Spoken, Sticky};
