//! Tries the sandbox at the start and once a minute, where builds of changes need it.

use crosswatch_core::model::settings::{CiKind, Sandbox, Settings};

use crate::board::{Board, World};
use crate::supervise::Supervisor;

const PERIOD: std::time::Duration = std::time::Duration::from_secs(60);

/// Keeps on the board why builds of changes are refused here, until they are not any more.
pub(super) async fn watch(supervisor: Supervisor, world: World, board: Board) {
    loop {
        let why = match wanted(&world.settings()) {
            true => supervisor.sandbox().available(&supervisor).await.err(),
            false => None,
        };
        let said = why.map(|why| {
            format!("builds of changes on this machine are refused: {why}; see `crosswatch doctor`")
        });
        if said != board.read().sandbox {
            match &said {
                Some(said) => tracing::error!("{said}"),
                None => tracing::info!("the sandbox works again, or nothing needs it any more"),
            }
            board.update(|board| board.sandbox = said);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn wanted(settings: &Settings) -> bool {
    settings
        .ci
        .values()
        .any(|ci| matches!(&ci.kind, CiKind::Local(local) if local.sandbox == Sandbox::Bubblewrap))
}
