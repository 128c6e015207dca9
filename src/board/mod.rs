//! The board between observers and passes: observers write what they saw, a pass freezes it.

mod hooks;
mod status;
mod wake;
mod world;

pub use hooks::{HookCounts, HookStatus, HooksStatus};
pub use status::{Board, BoardContent, ForgeStatus, RepositoryStatus, WorkspaceStatus};
pub use wake::Wake;
pub use world::World;
