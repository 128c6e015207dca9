//! The pass: freeze, plan, commit, publish. The only scheduler of decisions.

mod published;
mod runner;
mod watching;

pub use crate::board::Wake;
pub use published::{Publications, Published};
pub use runner::Runner;
pub use watching::{WatchList, Watching, before_the_first_pass};
