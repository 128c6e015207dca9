//! What answers for repositories: forges and plain git servers.

pub mod git;
pub mod governor;
