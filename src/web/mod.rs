//! Stub.
use crate::daemon::Access;
use crosswatch_core::model::settings::Settings;
use std::path::{Path, PathBuf};
/// Stub.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("api.sock")
}
/// Stub.
pub async fn start(_: &Access, _: &Settings, _: &Path) -> Result<(), String> {
    Ok(())
}
