//! The board between observers and passes: observers write what they saw, a pass freezes it.

mod status;
mod wake;
mod world;

pub use status::{
    Board, BoardContent, ForgeStatus, HookStatus, HooksStatus, RepositoryStatus, WorkspaceStatus,
};
pub use wake::Wake;
pub use world::World;
