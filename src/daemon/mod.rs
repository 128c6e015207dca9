//! The only place that wires the boxes together.

pub mod access;
mod error;
mod forges;
mod leader;
mod lock;
mod logs;
mod memory;
mod network;
mod progress;
mod run;
mod sandbox;
mod service;
mod settled;
mod workspaces;

pub use access::{Access, Order};
pub use error::DaemonError;
pub use progress::Progress;
pub use run::{RunOptions, offline, run};
