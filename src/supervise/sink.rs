//! Where a run's output goes: a bounded log file, a bounded capture, a short tail in memory.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::wire::Capture;

const TAIL: usize = 16 * 1024;
const CUT: &[u8] = b"\n[crosswatch: the log is cut here, the run goes on]\n";

/// Takes the output of one run in constant memory.
pub(super) struct Sink {
    log: Option<(File, u64)>,
    capture: Option<(File, usize)>,
    tail: VecDeque<u8>,
    pub(super) truncated: bool,
    pub(super) log_error: Option<String>,
}

impl Sink {
    pub(super) fn open(
        log: Option<&Path>,
        log_max: u64,
        capture: Option<&Capture>,
    ) -> io::Result<Self> {
        let log = match log {
            Some(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
                Some((file, log_max))
            }
            None => None,
        };
        let capture = match capture {
            Some(capture) => {
                Some((OpenOptions::new().append(true).open(&capture.file)?, capture.max))
            }
            None => None,
        };
        Ok(Self { log, capture, tail: VecDeque::new(), truncated: false, log_error: None })
    }

    pub(super) fn stdout(&mut self, bytes: &[u8]) {
        let Some((file, left)) = &mut self.capture else {
            return self.output(bytes);
        };
        let kept = bytes.get(..*left).unwrap_or(bytes);
        self.truncated |= kept.len() < bytes.len();
        *left = left.saturating_sub(kept.len());
        if let Err(error) = file.write_all(kept) {
            self.truncated = true;
            *left = 0;
            self.log_error = Some(format!("captured output could not be kept: {error}"));
        }
    }

    pub(super) fn output(&mut self, bytes: &[u8]) {
        let keep = bytes.len().saturating_sub(TAIL);
        self.tail.extend(bytes.get(keep..).unwrap_or_default());
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        let Some((file, left)) = &mut self.log else { return };
        if *left == 0 {
            return;
        }
        let room = usize::try_from(*left).unwrap_or(usize::MAX);
        let kept = bytes.get(..room).unwrap_or(bytes);
        let mut written = file.write_all(kept);
        *left = left.saturating_sub(u64::try_from(kept.len()).unwrap_or(u64::MAX));
        if *left == 0 && written.is_ok() {
            written = file.write_all(CUT);
        }
        if let Err(error) = written {
            // A full disk must not end the run; the loss is reported instead.
            self.log_error = Some(format!("the log could not be written: {error}"));
            self.log = None;
        }
    }

    pub(super) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
