//! The pass: freeze, plan, commit, publish. The only scheduler of decisions.

mod published;

pub use published::{Publications, Published};
pub use crate::board::Wake;
