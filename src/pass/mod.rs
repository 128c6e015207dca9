//! The pass: freeze, plan, commit, publish. The only scheduler of decisions.

mod published;
mod runner;

pub use crate::board::Wake;
pub use published::{Publications, Published};
pub use runner::Runner;
