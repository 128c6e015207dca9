//! The one integration test binary.

mod buildbot;
mod forge;
mod supervise;
mod support;
