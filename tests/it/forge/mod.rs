//! Forges, against real servers.

mod git;
mod mirror;
