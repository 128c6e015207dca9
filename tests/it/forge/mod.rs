//! Forges, against real servers.

mod asking;
mod git;
mod github;
mod mirror;
mod overlay;
