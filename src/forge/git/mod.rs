//! Plain git: listings by protocol v2, commits and shared mirrors by a supervised git.

mod bare;
pub mod commits;
mod error;
mod files;
mod instead;
pub mod listing;
pub mod ls_refs;
pub mod mirror;
mod overlay;
pub mod pktline;
pub mod remote;
mod url;

pub use commits::{CommitFacts, Mirrors};
pub use error::GitError;
pub use instead::Lent;
pub use listing::{ListingRules, listing};
pub use ls_refs::RefList;
pub use mirror::SharedMirrors;
pub use overlay::local;
pub use remote::GitRemote;
