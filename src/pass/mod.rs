//! The pass: freeze, plan, commit, publish. The only scheduler of decisions.

mod published;
mod wake;

pub use published::{Publications, Published};
pub use wake::Wake;
