//! Runs foreign code so that it can neither hang the daemon nor outlive its run.
//!
//! Each run has a *keeper*: this same program, started again with [`KEEPER`] as its only argument.
//! The keeper is the subreaper of everything that the command starts, so that no descendant can
//! leave it, and it ends them all when the command exits, when a deadline or a limit is passed,
//! when the daemon asks, and when the daemon's end of the control channel closes, which is how it
//! learns that the daemon died. The specification travels over that channel: neither the keeper's
//! arguments nor its environment show it. What a killed keeper leaves goes to the [`parent`].
//!
//! ```text
//!        ──Start, Cancel──────────► keeper ──session, group──► command ─► descendants
//! daemon                              │  ◄───stdout, stderr───
//!        ◄─Started, Progress, Ended──  └──► log, result
//! ```
//!
//! `docs/supervision.md` says what holds against whom.

pub mod archive;
pub mod bubblewrap;
mod cgroup;
pub mod descendants;
pub mod environment;
mod guard;
pub mod keeper;
mod launch;
pub mod log;
pub mod parent;
mod record;
mod run;
pub mod sandbox;
mod sanitise;
mod sink;
mod spool;
mod supervisor;
mod usage;
mod wire;

pub use cgroup::{CgroupError, Cgroups};
pub use run::{Ended, Exceeded, Limits, Outcome, Resource, Run, RunResult};
pub use sandbox::SandboxSpec;
pub use sanitise::Sanitiser;
pub use supervisor::{Running, Supervisor};
pub use wire::Usage;

/// The first argument that makes this program a keeper.
pub const KEEPER: &str = "__keeper";

/// Name of the variable that every process of a run inherits, with a value of its own each run.
pub const RUN_MARKER: &str = "CROSSWATCH_RUN";
