//! The one integration test binary.

mod buildbot;
mod forge;
mod main_job;
mod supervise;
mod support;
