//! Where a run's output goes: a bounded log file, a bounded capture, a short tail in memory, all of
//! it in constant memory.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::record::{self, Stream};
use super::spool::{Spool, wall};
use super::wire::Capture;

/// Bytes of output that are kept in memory, for the end of a failure.
const TAIL: usize = 16 * 1024;
/// A line is stored in pieces of at most this length.
const LONGEST: usize = 64 * 1024;
/// A line that is not finished for so long is stored as far as it came.
const PATIENCE: Duration = Duration::from_secs(1);
/// Records are written together up to about this size.
const BATCH: usize = 256 * 1024;
/// No limit is smaller: the marks of the cut must have room.
const SMALLEST: u64 = 8 * 1024;

/// Takes the output of one run in constant memory.
pub(super) struct Sink {
    log: Option<Spool>,
    capture: Option<(File, usize)>,
    tail: VecDeque<u8>,
    output: Partial,
    error: Partial,
    batch: Vec<u8>,
    total: u64,
    log_max: u64,
    /// Whether captured output was more than is handed back.
    pub(super) truncated: bool,
    /// Why output was lost, if it was.
    pub(super) log_error: Option<String>,
}

/// A line that has no end yet.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    since: Option<Duration>,
}

impl Sink {
    pub(super) fn open(
        log: Option<&Path>,
        log_max: u64,
        capture: Option<&Capture>,
    ) -> io::Result<Self> {
        let log_max = log_max.max(SMALLEST);
        let log = log.map(|path| Spool::open(path, log_max)).transpose()?;
        let capture = match capture {
            Some(capture) => {
                Some((OpenOptions::new().append(true).open(&capture.file)?, capture.max))
            }
            None => None,
        };
        Ok(Self {
            log,
            capture,
            tail: VecDeque::new(),
            output: Partial::default(),
            error: Partial::default(),
            batch: Vec::new(),
            total: 0,
            log_max,
            truncated: false,
            log_error: None,
        })
    }

    /// Takes standard output: it is captured if that was asked for, else logged.
    pub(super) fn stdout(&mut self, bytes: &[u8]) {
        let Some((file, left)) = &mut self.capture else {
            return self.take(Stream::Output, bytes);
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

    /// Takes standard error.
    pub(super) fn stderr(&mut self, bytes: &[u8]) {
        self.take(Stream::Error, bytes);
    }

    /// Writes a line of the keeper's own into the log.
    pub(super) fn note(&mut self, text: &str) {
        self.store_partial(Stream::Output);
        self.store_partial(Stream::Error);
        for line in text.lines() {
            self.record(wall(), Stream::Note, false, line.as_bytes());
        }
        self.write();
    }

    /// Stores lines that wait for their end for too long. Returns when it wants to be called again,
    /// on the same clock as `now`; nothing is lost if that is later.
    pub(super) fn tick(&mut self, now: Duration) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        for stream in [Stream::Output, Stream::Error] {
            let partial = self.partial(stream);
            if partial.bytes.is_empty() {
                continue;
            }
            let due = partial.since.get_or_insert(now).saturating_add(PATIENCE);
            if due <= now {
                self.store_partial(stream);
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        self.write();
        next
    }

    /// Stores what waits and puts the log together. Nothing can be taken after that.
    pub(super) fn finish(&mut self) {
        self.store_partial(Stream::Output);
        self.store_partial(Stream::Error);
        self.write();
        if let Some(log) = self.log.take()
            && let Err(error) = log.finish()
        {
            self.log_error = Some(format!("the end of the log could not be written: {error}"));
        }
    }

    /// The last output, as it came.
    pub(super) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether there was more output than the log keeps.
    pub(super) fn full(&self) -> bool {
        self.total > self.log_max
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let keep = bytes.len().saturating_sub(TAIL);
        self.tail.extend(bytes.get(keep..).unwrap_or_default());
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        if self.log.is_none() {
            self.total = self.total.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            return;
        }
        let at = wall();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) if self.partial(stream).bytes.is_empty() && end.len() <= LONGEST => {
                    self.record(at, stream, false, end);
                }
                Some(end) => {
                    self.gather(at, stream, end);
                    let line = std::mem::take(self.partial(stream)).bytes;
                    self.record(at, stream, false, &line);
                }
                None => self.gather(at, stream, piece),
            }
        }
        self.write();
    }

    /// Adds to a line without an end; what gets too long is stored.
    fn gather(&mut self, at: u64, stream: Stream, bytes: &[u8]) {
        for piece in bytes.chunks(LONGEST) {
            let partial = self.partial(stream);
            if partial.bytes.len().saturating_add(piece.len()) > LONGEST {
                let line = std::mem::take(partial).bytes;
                self.record(at, stream, true, &line);
            }
            self.partial(stream).bytes.extend_from_slice(piece);
        }
    }

    fn store_partial(&mut self, stream: Stream) {
        let line = std::mem::take(self.partial(stream)).bytes;
        if !line.is_empty() {
            self.record(wall(), stream, true, &line);
        }
    }

    fn partial(&mut self, stream: Stream) -> &mut Partial {
        match stream {
            Stream::Output => &mut self.output,
            Stream::Error | Stream::Note => &mut self.error,
        }
    }

    fn record(&mut self, at: u64, stream: Stream, continues: bool, bytes: &[u8]) {
        let Some(log) = &mut self.log else { return };
        let before = self.batch.len();
        record::write(at, stream, continues, bytes, &mut self.batch);
        let length = self.batch.len().saturating_sub(before);
        self.total = self.total.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        let written = if log.has_room(self.batch.len()) {
            if self.batch.len() < BATCH {
                return;
            }
            log.write(&self.batch)
        } else {
            // A record is never divided between two files.
            let (first, last) = self.batch.split_at_checked(before).unwrap_or((&[], &self.batch));
            log.write(first).and_then(|()| log.turn(at)).and_then(|()| log.write(last))
        };
        self.batch.clear();
        self.check(written);
    }

    fn write(&mut self) {
        let Some(log) = &mut self.log else { return };
        if !self.batch.is_empty() {
            let written = log.write(&self.batch);
            self.batch.clear();
            self.check(written);
        }
    }

    /// A full disk must not end the run; the loss is reported instead.
    fn check(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.log_error = Some(format!("the log could not be written: {error}"));
            self.log = None;
            self.batch = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::record::Record;
    use super::*;

    /// What the log holds of each stream, joined, and how many records there are.
    fn stored(path: &Path) -> (BTreeMap<Stream, Vec<u8>>, usize) {
        let bytes = std::fs::read(path).unwrap();
        let mut streams: BTreeMap<Stream, Vec<u8>> = BTreeMap::new();
        let mut count = 0;
        for line in bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|byte| *byte == b'\n') {
            let record = Record::parse(line);
            let all = streams.entry(record.stream).or_default();
            all.extend_from_slice(&record.bytes);
            if !record.continues {
                all.push(b'\n');
            }
            count += 1;
        }
        (streams, count)
    }

    fn open(folder: &tempfile::TempDir, max: u64) -> (Sink, PathBuf) {
        let path = folder.path().join("run.log");
        (Sink::open(Some(&path), max, None).unwrap(), path)
    }

    proptest! {
        #[test]
        fn every_byte_of_any_chunks_is_stored(
            chunks in prop::collection::vec((any::<bool>(), any::<bool>(), any::<Vec<u8>>()), 1..20)
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (mut sink, path) = open(&folder, u64::MAX);
            let (mut output, mut error) = (Vec::new(), Vec::new());
            let mut now = Duration::ZERO;
            for (standard, late, chunk) in &chunks {
                if *standard {
                    sink.stdout(chunk);
                    output.extend_from_slice(chunk);
                } else {
                    sink.stderr(chunk);
                    error.extend_from_slice(chunk);
                }
                sink.tick(now);
                now += if *late { PATIENCE * 2 } else { Duration::ZERO };
                sink.tick(now);
            }
            sink.finish();
            if output.is_empty() && error.is_empty() {
                return Ok(());
            }
            let (streams, _) = stored(&path);
            prop_assert_eq!(streams.get(&Stream::Output).cloned().unwrap_or_default(), output);
            prop_assert_eq!(streams.get(&Stream::Error).cloned().unwrap_or_default(), error);
        }
    }

    #[test]
    fn an_unfinished_line_waits_a_second_or_until_it_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let (mut sink, path) = open(&folder, u64::MAX);
        sink.stdout(b"50 %");
        assert_eq!(sink.tick(Duration::from_secs(9)), Some(Duration::from_secs(10)));
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert_eq!(sink.tick(Duration::from_secs(10)), None);
        assert_eq!(stored(&path).0[&Stream::Output], b"50 %");
        sink.stdout(&vec![b'x'; 3 * LONGEST]);
        sink.stdout(b"\n");
        sink.finish();
        assert_eq!(stored(&path).0[&Stream::Output].len(), 4 + 3 * LONGEST + 1);
        assert_eq!(stored(&path).1, 4);
    }

    #[test]
    fn a_log_that_is_too_long_loses_its_middle() {
        let folder = tempfile::tempdir().unwrap();
        let (mut sink, path) = open(&folder, 40_000);
        for number in 0..10_000 {
            sink.stdout(format!("line {number}\n").as_bytes());
            assert_eq!(sink.full(), sink.total > 40_000);
        }
        assert!(sink.full());
        sink.finish();
        let length = std::fs::metadata(&path).unwrap().len();
        assert!((30_000..41_000).contains(&length), "{length}");
        let (streams, _) = stored(&path);
        let text = String::from_utf8(streams[&Stream::Output].clone()).unwrap();
        assert!(text.starts_with("line 0\nline 1\n"), "{text}");
        assert!(text.ends_with("line 9998\nline 9999\n"), "{text}");
        let notes = String::from_utf8(streams[&Stream::Note].clone()).unwrap();
        assert!(notes.contains("were cut out here"), "{notes}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn nothing_is_cut_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (mut sink, path) = open(&folder, 40_000);
        let mut number = 0;
        while sink.total < 38_000 {
            sink.stderr(format!("line {number}\n").as_bytes());
            number += 1;
        }
        sink.finish();
        assert!(!sink.full());
        let (streams, _) = stored(&path);
        let expected: String = (0..number).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(streams[&Stream::Error].clone()).unwrap(), expected);
    }
}
