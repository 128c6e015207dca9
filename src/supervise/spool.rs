//! The log file of one run, which never grows beyond its limit.
//!
//! A log that gets too long loses its middle: the first half of the limit is written as it comes,
//! then two pieces beside the file take turns, so that the newest part is always there; at the end
//! they are put after the first half.

use std::cmp::Reverse;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::time::{ClockId, clock_gettime};

use super::record::{self, Stream};
use super::run::RunResult;

/// The log file, and the two pieces that take turns after the first half of the limit.
pub(super) struct Spool {
    path: PathBuf,
    head: File,
    /// The piece that is written to now, and which of the two it is.
    piece: Option<(File, usize)>,
    written: u64,
    max: u64,
    before: u64,
    dropped: u64,
}

impl Spool {
    pub(super) fn open(path: &Path, max: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // What an interrupted run left belongs to what it wrote.
        splice(path)?;
        // So does its result, which would tell readers that this run is over.
        match std::fs::remove_file(RunResult::path(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut head = options().append(true).create(true).open(path)?;
        if head.metadata()?.len() > 0 {
            head.write_all(&noted(wall(), "crosswatch: here begins another run"))?;
        }
        Ok(Self {
            path: path.to_owned(),
            head,
            piece: None,
            written: 0,
            max,
            before: 0,
            dropped: 0,
        })
    }

    fn room(&self) -> u64 {
        if self.piece.is_none() { self.max / 2 } else { self.max / 4 }
    }

    pub(super) fn has_room(&self, length: usize) -> bool {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.written.saturating_add(length) <= self.room()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written = self.written.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        match &mut self.piece {
            Some((file, _)) => file.write_all(bytes),
            None => self.head.write_all(bytes),
        }
    }

    /// Goes on in the next piece, over what stands there.
    pub(super) fn turn(&mut self, at: u64) -> io::Result<()> {
        let number = match &self.piece {
            Some((_, number)) => {
                self.dropped = self.dropped.saturating_add(self.before);
                self.before = self.written;
                1_usize.saturating_sub(*number)
            }
            None => {
                let text = format!(
                    "crosswatch: half of {} bytes is used; of what follows, the end is kept and \
                     shown when the run is over",
                    self.max
                );
                self.head.write_all(&noted(at, &text))?;
                0
            }
        };
        let path = pieces(&self.path).get(number).cloned().unwrap_or_default();
        let file = options().write(true).create(true).truncate(true).open(path)?;
        self.piece = Some((file, number));
        self.written = 0;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let Some((_, newest)) = self.piece else { return Ok(()) };
        if self.dropped > 0 {
            let text = format!("crosswatch: {} bytes of the log were cut out here", self.dropped);
            self.head.write_all(&noted(wall(), &text))?;
        }
        let mut order = pieces(&self.path);
        if newest == 0 {
            order.reverse();
        }
        append(&mut self.head, &order)
    }
}

/// Puts the pieces of an interrupted run after its log, if there are any.
pub(super) fn splice(path: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    for piece in pieces(path) {
        match std::fs::symlink_metadata(&piece) {
            Ok(about) if about.is_file() => {
                found.push((about.modified()?, Reverse(about.len()), piece))
            }
            _ => {}
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    // Of two that were written within one tick of the kernel, the older one is full.
    found.sort();
    let order: Vec<PathBuf> = found.into_iter().map(|(.., piece)| piece).collect();
    let mut head = options().append(true).create(true).open(path)?;
    let text = "crosswatch: the run was interrupted; parts of the log may be missing here";
    head.write_all(&noted(wall(), text))?;
    append(&mut head, &order)
}

fn append(head: &mut File, pieces: &[PathBuf]) -> io::Result<()> {
    for piece in pieces {
        match options().read(true).open(piece) {
            Ok(mut file) => {
                io::copy(&mut file, head)?;
                std::fs::remove_file(piece)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where the newest output is kept while the run goes on.
pub(super) fn pieces(log: &Path) -> [PathBuf; 2] {
    ["end1", "end2"].map(|end| {
        let mut name = log.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        PathBuf::from(name)
    })
}

/// Logs are never written through a link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o640).custom_flags(OFlag::O_NOFOLLOW.bits());
    options
}

fn noted(at: u64, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    record::write(at, Stream::Note, false, text.as_bytes(), &mut out);
    out
}

/// The time of day in milliseconds; the keeper has no other clock.
pub(super) fn wall() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spool: &mut Spool, text: &str) {
        let mut bytes = Vec::new();
        record::write(1, Stream::Output, false, text.as_bytes(), &mut bytes);
        if !spool.has_room(bytes.len()) {
            spool.turn(1).unwrap();
        }
        spool.write(&bytes).unwrap();
    }

    #[test]
    fn what_a_lost_keeper_left_is_put_together_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let mut spool = Spool::open(&path, 40_000).unwrap();
        for number in 0..3_000 {
            line(&mut spool, &format!("line {number}"));
        }
        drop(spool);
        splice(&path).unwrap();
        splice(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("1 o line 0\n") && text.ends_with(" o line 2999\n"), "{text}");
        assert_eq!(text.matches("the run was interrupted").count(), 1);
        assert!(pieces(&path).iter().all(|piece| !piece.exists()));
    }

    #[test]
    fn another_run_under_the_same_name_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let mut spool = Spool::open(&path, 40_000).unwrap();
        line(&mut spool, "first");
        spool.finish().unwrap();
        std::fs::write(RunResult::path(&path), "{}").unwrap();
        let mut spool = Spool::open(&path, 40_000).unwrap();
        assert!(!RunResult::path(&path).exists());
        line(&mut spool, "second");
        spool.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let notes = text.matches(" - crosswatch: here begins another run\n").count();
        assert_eq!((text.lines().count(), notes), (3, 1), "{text}");
    }

    #[test]
    fn a_log_is_not_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(Spool::open(&path, 1).is_err());
    }
}
