//! Reads the logs of runs, the finished and those that still grow.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::sanitise::Sanitiser;

/// No more than this is looked at for a tail, and read at once when following.
const WINDOW: u64 = 1024 * 1024;

/// The last `lines` lines of a log, fit to be shown; at most the last megabyte is looked at.
pub fn tail(path: &Path, lines: usize) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    let mut text = String::new();
    Sanitiser::default().push(&bytes, &mut text);
    let mut all: Vec<&str> = text.lines().collect();
    if from > 0 && all.len() > 1 {
        all.remove(0);
    }
    let skip = all.len().saturating_sub(lines);
    Ok(all.into_iter().skip(skip).map(str::to_owned).collect())
}

/// Reads a log from its beginning and then whatever is appended.
#[derive(Debug)]
pub struct Follower {
    file: File,
    sanitiser: Sanitiser,
}

impl Follower {
    /// Opens a log at its beginning.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, sanitiser: Sanitiser::default() })
    }

    /// What came since the last call, at most a megabyte; empty when nothing did.
    pub fn read(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        (&mut self.file).take(WINDOW).read_to_end(&mut bytes)?;
        let mut text = String::new();
        self.sanitiser.push(&bytes, &mut text);
        Ok(text)
    }
}
