//! Runs foreign code so that it can neither hang the daemon nor outlive its run.
//!
//! Each run has a *keeper*: this same program, started again with [`KEEPER`] as its only argument.
//! The keeper is the subreaper of everything that the command starts, so that no descendant can
//! leave it, and it ends them all when the command exits, when a deadline passes, when the daemon
//! asks, and when the daemon's end of the control channel closes, which is how it learns that the
//! daemon died. The specification travels over that channel: neither the keeper's arguments nor
//! its environment show it.
//!
//! ```text
//! daemon ──spec, stdin, 'c'──► keeper ──own process group──► command ─► descendants
//!        ◄──────report──────          ◄──stdout, stderr────
//! ```

pub mod archive;
pub mod descendants;
pub mod keeper;
pub mod log;
mod record;
mod run;
pub mod sandbox;
mod sanitise;
mod sink;
mod supervisor;
mod wire;

pub use run::{Ended, Exceeded, Limits, Outcome, Run};
pub use sandbox::SandboxSpec;
pub use sanitise::Sanitiser;
pub use supervisor::Supervisor;

/// The first argument that makes this program a keeper.
pub const KEEPER: &str = "__keeper";

/// Name of the variable that every process of a run inherits, with a value of its own each run.
pub const RUN_MARKER: &str = "CROSSWATCH_RUN";
