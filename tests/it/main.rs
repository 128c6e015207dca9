//! The one integration test binary.

mod buildbot;
mod forge;
mod ledger;
mod supervise;
mod support;
