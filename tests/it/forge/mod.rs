//! Forges, against real servers.

mod git;
