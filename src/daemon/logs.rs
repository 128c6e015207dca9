//! Compresses the logs of finished runs and removes old ones.

use std::time::Duration;

use crate::board::World;
use crate::clock::Clock;
use crate::pass::Publications;
use crate::supervise::archive::Care;

/// A run that ended changes the world, which makes a pass: that is when there is something to do.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// Time alone makes logs old.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// Cares for the logs until it is dropped.
pub(super) async fn keep(world: World, mut publications: Publications, clock: Clock) {
    let since = clock.now();
    loop {
        let settings = world.settings();
        let care = Care {
            state_dir: settings.state_dir.clone(),
            rules: settings.logs,
            workspaces: settings.workspaces.iter().map(|one| one.name.to_string()).collect(),
            since,
            now: clock.now(),
        };
        match tokio::task::spawn_blocking(move || care.run()).await {
            Ok(cared) => {
                for failure in &cared.failures {
                    tracing::warn!("a log was neither compressed nor removed: {failure}");
                }
                if cared.removed > 0 {
                    tracing::info!("{} old logs were removed", cared.removed);
                }
            }
            Err(error) => tracing::error!(%error, "the care for old logs broke"),
        }
        tokio::time::sleep(AT_MOST_EVERY).await;
        tokio::select! {
            changed = publications.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(AT_LEAST_EVERY) => {}
        }
    }
}
