//! The main job, end to end: the built program, real git, real builds.

mod builds;
mod command_line;
mod credentials;
mod frozen_git;
mod github;
mod ledger_faults;
mod mirrors;
mod outages;
mod wakes;
