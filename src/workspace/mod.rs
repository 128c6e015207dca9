//! Workspaces: bootstrap and update as supervised subprocesses, and the manifest that they export.

mod checkouts;
mod files;
mod life;
mod run;
mod slots;

pub use life::{Life, Orders, Saved, Store};
pub use slots::Slots;
