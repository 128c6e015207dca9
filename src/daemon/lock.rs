//! One daemon for one state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::DaemonError;

/// Held while the daemon runs; the system gives it back however the daemon ends.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock, or names the process that has it.
    pub(super) fn take(state_dir: &Path) -> Result<Self, DaemonError> {
        let failed = |error: std::io::Error| DaemonError::StateDir {
            path: state_dir.to_owned(),
            why: error.to_string(),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(state_dir.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut rival = String::new();
                (&mut file).take(20).read_to_string(&mut rival).map_err(failed)?;
                let rival = rival.trim().to_owned();
                return Err(DaemonError::Rival { path: state_dir.to_owned(), rival });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
