//! The only place that wires the boxes together.

pub mod access;
mod error;
mod leader;
mod lock;
mod memory;
mod network;
mod run;
mod service;
mod settled;
mod workspaces;

pub use access::{Access, Order};
pub use error::DaemonError;
pub use run::{RunOptions, offline, run};
