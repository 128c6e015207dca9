//! What the daemon and a keeper say to each other: frames of a length and JSON.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crosswatch_core::model::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::run::{Limits, Outcome};

/// No frame is larger.
pub(super) const MAX_FRAME: usize = 64 * 1024 * 1024;

/// What the daemon tells a keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The first word, and the only one of its kind.
    Start(Box<Spec>),
    /// End the run.
    Cancel,
}

/// What a keeper tells the daemon. Output never goes this way: a daemon that does not listen must
/// not hold up a run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// The command runs.
    Started {
        /// Its process id.
        pid: i32,
    },
    /// The keeper is well; at least once a second, at most five times.
    Progress(Usage),
    /// Every process is gone, the result is written.
    Ended(Box<Report>),
}

/// What a run uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of output so far.
    pub output: u64,
    /// Processes at the last look.
    pub processes: u64,
    /// Bytes of memory at the last look.
    pub memory: u64,
}

/// What the keeper has to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) command: Vec<String>,
    pub(super) dir: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    pub(super) limits: Limits,
    pub(super) log: Option<PathBuf>,
    pub(super) capture: Option<Capture>,
    pub(super) lock: Option<PathBuf>,
    /// A cgroup to make for it.
    pub(super) cgroup: Option<PathBuf>,
    /// What the command reads; nothing means `/dev/null`.
    pub(super) stdin: Vec<u8>,
    pub(super) started_at: Timestamp,
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
    /// What went wrong beside the run: a log or a result that could not be written.
    pub(super) trouble: Vec<String>,
}

/// A word with its length before it.
pub(super) fn frame(word: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut framed = vec![0; 4];
    serde_json::to_writer(&mut framed, word)?;
    let length = framed.len().saturating_sub(4);
    let length = u32::try_from(length)
        .ok()
        .filter(|_| length <= MAX_FRAME)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the frame is too large"))?;
    if let Some(head) = framed.get_mut(..4) {
        head.copy_from_slice(&length.to_be_bytes());
    }
    Ok(framed)
}

/// Puts words together from what arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Takes a piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The next whole word, if it is there.
    pub(super) fn pop<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too large"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let word = serde_json::from_slice(body)?;
        self.bytes.drain(..length.saturating_add(4));
        Ok(Some(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_whole_however_they_are_cut() {
        let usage = Usage { output: 7, processes: 2, memory: 1 };
        let mut bytes = frame(&Word::Started { pid: 4 }).expect("framed");
        bytes.extend(frame(&Word::Progress(usage)).expect("framed"));
        for size in 1..bytes.len() {
            let (mut inbox, mut seen) = (Inbox::default(), Vec::new());
            for piece in bytes.chunks(size) {
                inbox.push(piece);
                while let Some(word) = inbox.pop::<Word>().expect("readable") {
                    seen.push(word);
                }
            }
            assert!(
                matches!(*seen, [Word::Started { pid: 4 }, Word::Progress(same)] if same == usage)
            );
        }
        let mut inbox = Inbox::default();
        inbox.push(&u32::MAX.to_be_bytes());
        assert!(inbox.pop::<Word>().is_err());
    }
}
