//! What the daemon and a keeper say to each other: frames of a length and JSON.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::run::{Limits, Outcome};

/// The byte that asks the keeper to end the run.
pub(super) const CANCEL: u8 = b'c';

/// No specification, input or report is larger.
pub(super) const MAX_FRAME: usize = 32 * 1024 * 1024;

/// What the keeper has to run. The input follows as a frame of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) command: Vec<String>,
    pub(super) dir: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    pub(super) limits: Limits,
    pub(super) log: Option<PathBuf>,
    pub(super) capture: Option<Capture>,
    pub(super) lock: Option<PathBuf>,
}

/// Where captured output goes, and how much of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Capture {
    pub(super) file: PathBuf,
    pub(super) max: usize,
}

/// How it ended, in the keeper's eyes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    pub(super) tail: String,
    pub(super) stdout_truncated: bool,
    pub(super) log_error: Option<String>,
}

/// Puts a length before `body`.
pub(super) fn frame(body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= MAX_FRAME)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the frame is too large"))?;
    let mut framed = Vec::with_capacity(body.len().saturating_add(4));
    framed.write_all(&length.to_be_bytes())?;
    framed.write_all(body)?;
    Ok(framed)
}

/// Reads one frame.
pub(super) fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too large"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}
