//! Plain git: listings by protocol v2, and commits by a supervised git.

pub mod commits;
mod error;
pub mod listing;
pub mod ls_refs;
pub mod pktline;
pub mod remote;
mod url;

pub use commits::{CommitFacts, Mirrors};
pub use error::GitError;
pub use listing::{ListingRules, listing};
pub use ls_refs::RefList;
pub use remote::GitRemote;
