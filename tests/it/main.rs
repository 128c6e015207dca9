//! The one integration test binary.

mod buildbot;
mod cli;
mod forge;
mod invariants;
mod ledger;
mod main_job;
mod supervise;
mod support;
