//! Reads the logs of runs, the finished and those that still grow.
//!
//! A log is named by the path that it was written to. Whether it was compressed since, or is being
//! compressed while somebody reads it, makes no difference to its readers.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crosswatch_core::model::time::Timestamp;
use flate2::read::MultiGzDecoder;

pub use super::record::Stream;

use super::archive::packed;
use super::record::Record;
use super::run::RunResult;
use super::sanitise::Sanitiser;
use super::spool::pieces;

/// No more than this is looked at for a tail, and read at once when following.
const WINDOW: usize = 1024 * 1024;

/// A line that is fit to be shown: valid text without anything that moves a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was written, if that is known.
    pub at: Option<Timestamp>,
    /// Which way it came.
    pub stream: Stream,
    /// What it says.
    pub text: String,
}

/// The last `lines` lines of a log; at most the last megabyte is looked at.
pub fn tail(path: &Path, lines: usize) -> io::Result<Vec<Line>> {
    let (bytes, cut) = match open(path)? {
        Source::Packed(mut source) => last_of(&mut source)?,
        Source::Plain(file) => last_of_growing(path, file)?,
    };
    let from = if cut { bytes.iter().position(|byte| *byte == b'\n') } else { None };
    let whole = bytes.get(from.map_or(0, |from| from.saturating_add(1))..).unwrap_or_default();
    let mut all = Vec::new();
    let mut assembler = Assembler::default();
    assembler.push(whole, &mut all);
    assembler.finish(&mut all);
    let skip = all.len().saturating_sub(lines);
    Ok(all.split_off(skip))
}

/// Whether there is a log of that name.
pub fn exists(path: &Path) -> bool {
    path.is_file() || packed(path).is_file()
}

/// Whether the run with that log is over: its result stands beside it, or it was compressed.
pub fn is_over(path: &Path) -> bool {
    RunResult::path(path).is_file() || packed(path).is_file()
}

/// The newest log in the folder of a workspace's logs.
pub fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        name.ends_with(".log").then(|| name.to_owned())
    });
    names.max().map(|name| folder.join(name))
}

/// Reads a log from its beginning and then whatever is appended, until its run is over.
pub struct Follower {
    path: PathBuf,
    source: Source,
    assembler: Assembler,
    at_end: bool,
    over: bool,
}

impl Follower {
    /// Opens a log at its beginning.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            source: open(path)?,
            assembler: Assembler::default(),
            at_end: false,
            over: false,
        })
    }

    /// What came since the last call, of at most a megabyte; may be empty while nothing comes.
    pub fn read(&mut self) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        if self.over {
            return Ok(lines);
        }
        // Asked before reading: what was written before the end is then read as well.
        let ended = matches!(self.source, Source::Packed(_)) || is_over(&self.path);
        let mut bytes = Vec::new();
        let most = u64::try_from(WINDOW).unwrap_or(u64::MAX);
        match &mut self.source {
            Source::Plain(file) => file.take(most).read_to_end(&mut bytes)?,
            Source::Packed(decoder) => decoder.take(most).read_to_end(&mut bytes)?,
        };
        self.assembler.push(&bytes, &mut lines);
        self.at_end = bytes.len() < WINDOW;
        if ended && self.at_end {
            self.assembler.finish(&mut lines);
            self.over = true;
        }
        Ok(lines)
    }

    /// What is there of a line that is not finished, for a reader that does not wait for its end.
    pub fn rest(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.assembler.finish(&mut lines);
        lines
    }

    /// Whether the last call read all that was there.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Whether everything was read and nothing more will come.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

enum Source {
    Plain(File),
    Packed(Box<MultiGzDecoder<File>>),
}

fn open(path: &Path) -> io::Result<Source> {
    let packed = || Ok(Source::Packed(Box::new(MultiGzDecoder::new(File::open(packed(path))?))));
    match File::open(path) {
        Ok(file) => Ok(Source::Plain(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            packed().map_err(|_: io::Error| error)
        }
        Err(error) => Err(error),
    }
}

/// The last window of a source that can only be read from its beginning; whether there was more.
fn last_of(source: &mut impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut kept = Vec::new();
    let mut cut = false;
    let most = u64::try_from(WINDOW).unwrap_or(u64::MAX);
    while source.take(most).read_to_end(&mut kept)? > 0 {
        let over = kept.len().saturating_sub(WINDOW);
        kept.drain(..over);
        cut |= over > 0;
    }
    Ok((kept, cut))
}

/// The same of a log that may still grow, and then may have its newest part in pieces beside it.
fn last_of_growing(path: &Path, head: File) -> io::Result<(Vec<u8>, bool)> {
    let mut files: Vec<_> = pieces(path)
        .iter()
        .filter_map(|piece| {
            let file = File::open(piece).ok()?;
            Some((file.metadata().ok()?.modified().ok()?, file))
        })
        .collect();
    files.sort_by_key(|(at, _)| *at);
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut room = WINDOW;
    let mut cut = false;
    let newest_first = files.into_iter().rev().map(|(_, file)| file).chain([head]);
    for mut file in newest_first {
        let most = u64::try_from(room).unwrap_or(u64::MAX);
        let from = file.metadata()?.len().saturating_sub(most);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        room = room.saturating_sub(bytes.len());
        cut = from > 0;
        parts.push(bytes);
        if cut {
            break;
        }
    }
    parts.reverse();
    Ok((parts.concat(), cut))
}

/// Makes lines of a log file's bytes, joining what was stored in parts.
#[derive(Default)]
struct Assembler {
    rest: Vec<u8>,
    output: Partial,
    error: Partial,
}

#[derive(Default)]
struct Partial {
    at: Option<Timestamp>,
    bytes: Vec<u8>,
}

impl Assembler {
    fn push(&mut self, bytes: &[u8], lines: &mut Vec<Line>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.rest.len() > WINDOW {
                let mut line = std::mem::take(&mut self.rest);
                line.pop_if(|byte| *byte == b'\n');
                self.record(Record::parse(&line), lines);
            }
        }
    }

    fn finish(&mut self, lines: &mut Vec<Line>) {
        let line = std::mem::take(&mut self.rest);
        if !line.is_empty() {
            self.record(Record::parse(&line), lines);
        }
        self.show_partials(lines);
    }

    fn record(&mut self, record: Record, lines: &mut Vec<Line>) {
        let partial = match record.stream {
            Stream::Output => &mut self.output,
            Stream::Error => &mut self.error,
            Stream::Note => {
                // A note stands where the log was cut, or at its end: nothing goes on behind it.
                self.show_partials(lines);
                return show(record.at, Stream::Note, &record.bytes, lines);
            }
        };
        partial.at = record.at;
        partial.bytes.extend_from_slice(&record.bytes);
        if !record.continues || partial.bytes.len() > WINDOW {
            let Partial { at, bytes } = std::mem::take(partial);
            show(at, record.stream, &bytes, lines);
        }
    }

    fn show_partials(&mut self, lines: &mut Vec<Line>) {
        for (stream, partial) in
            [(Stream::Output, &mut self.output), (Stream::Error, &mut self.error)]
        {
            let Partial { at, bytes } = std::mem::take(partial);
            if !bytes.is_empty() {
                show(at, stream, &bytes, lines);
            }
        }
    }
}

/// A carriage return ends a line as well: a progress bar becomes one line for each step.
fn show(at: Option<Timestamp>, stream: Stream, bytes: &[u8], lines: &mut Vec<Line>) {
    let mut text = String::new();
    Sanitiser::default().push(bytes, &mut text);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    for part in text.split('\n') {
        lines.push(Line { at, stream, text: part.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[&[u8]]) -> Vec<(char, String)> {
        let (mut assembler, mut lines) = (Assembler::default(), Vec::new());
        bytes.iter().for_each(|piece| assembler.push(piece, &mut lines));
        assembler.finish(&mut lines);
        lines.into_iter().map(|line| (line.stream.letter(), line.text)).collect()
    }

    #[test]
    fn parts_are_joined_whatever_comes_between_them() {
        let log =
            b"1 o+ one \n2 e wrong\n3 o+ \\xc3\n4 o \\xa4\n5 o\n5 o \n6 e+ half\n7 - note\n8 o x";
        let expected = [
            ('e', "wrong"),
            ('o', "one \u{e4}"),
            ('o', "5 o"),
            ('o', ""),
            ('e', "half"),
            ('-', "note"),
            ('o', "x"),
        ];
        let expected = expected.map(|(stream, text)| (stream, text.to_owned()));
        assert_eq!(shown(&[log]), expected);
        let bytes: Vec<&[u8]> = log.chunks(1).collect();
        assert_eq!(shown(&bytes), expected);
    }

    #[test]
    fn a_progress_bar_becomes_lines_and_colours_go() {
        let expected = ["10 %", "20 %", "done"].map(|text| ('o', text.to_owned()));
        assert_eq!(shown(&[b"1 o 10 %\\x0d20 %\\x0d\\x1b[32mdone\\x1b[0m\\x0d\n"]), expected);
    }

    #[test]
    fn a_tail_looks_at_the_end_of_a_large_log_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let text: String =
            (0..200_000).map(|number| format!("{number} o line {number}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        let expected: Vec<String> = (199_990..200_000).map(|n| format!("line {n}")).collect();
        for _ in 0..2 {
            let lines: Vec<String> =
                tail(&path, 10).unwrap().into_iter().map(|line| line.text).collect();
            assert_eq!(lines, expected);
            let all = tail(&path, usize::MAX).unwrap();
            assert!(all.len() > 10_000 && all.iter().all(|line| line.at.is_some()));
            if path.exists() {
                super::super::archive::compress(&path).unwrap();
            }
        }
        assert!(!path.exists() && exists(&path) && is_over(&path));
        assert_eq!(newest(folder.path()), Some(path));
    }

    #[test]
    fn the_newest_output_of_a_run_that_floods_is_shown_while_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        std::fs::write(&path, "1 o first\n2 - half is used\n").unwrap();
        let [one, two] = pieces(&path);
        std::fs::write(two, "3 o middle\n").unwrap();
        std::fs::write(&one, "4 o last\n").unwrap();
        let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
        File::options().write(true).open(one).unwrap().set_modified(later).unwrap();
        let lines: Vec<String> =
            tail(&path, 10).unwrap().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["first", "half is used", "middle", "last"]);
    }

    proptest! {
        #[test]
        fn what_is_shown_controls_nothing(bytes: Vec<u8>, more: Vec<u8>) {
            for (_, text) in shown(&[&bytes, b"\n5 o ", &more]) {
                prop_assert!(!text.chars().any(|c| c.is_control() && c != '\t'), "{text:?}");
            }
        }
    }
}
