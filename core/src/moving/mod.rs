//! Moving over from autoproj-daemon: its configuration and its cache of pull requests, read as they
//! are, a configuration of ours made of them, and what both would build.

mod compare;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use compare::{Compared, compare};
pub use read::{Cached, Daemon, Dependency, MAX_BYTES, MAX_CACHED, Service, cache, configuration};
pub use write::{workspace_name, written};
