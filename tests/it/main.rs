//! The integration tests, in one program; the gallery has its own.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod architecture;
mod buildbot;
mod cli;
mod doctor;
mod forge;
mod invariants;
mod ledger;
mod lifecycle;
mod main_job;
mod planted;
mod supervise;
mod support;
mod tools;
