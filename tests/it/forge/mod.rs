//! Forges, against real servers.

mod asking;
mod credentials;
mod git;
mod github;
mod mirror;
mod overlay;
