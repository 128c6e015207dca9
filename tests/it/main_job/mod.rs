//! The main job, end to end: the built program, real git, real builds.

mod asked;
mod builds;
mod command_line;
mod credentials;
mod frozen_git;
pub(crate) mod github;
mod ledger_faults;
mod mirrors;
mod outages;
mod queues;
mod renames;
mod reports;
mod restarts;
mod wakes;
pub(crate) mod webhooks;
