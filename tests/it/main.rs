//! The one integration test binary.

mod architecture;
mod buildbot;
mod forge;
mod invariants;
mod ledger;
mod main_job;
mod supervise;
mod support;
