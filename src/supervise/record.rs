//! The lines of a log file: time, stream, and the text with everything that is not plain escaped.
//!
//! ```text
//! 1700000000000 o a line of standard output
//! 1700000000001 e+ the beginning of a long line of standard error
//! 1700000000002 - a note of the keeper
//! 1700000000003 e  and the end of that line
//! ```
//!
//! Control characters, marks that turn the direction of text, and bytes that are no text are written
//! as `\xHH`, a backslash as `\\`: nothing of the output is lost, and a terminal that shows the file
//! is not moved by it.

use std::io::Write;

use crosswatch_core::model::time::Timestamp;

/// Which way a line came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
    /// A word of the keeper itself.
    Note,
}

impl Stream {
    /// How it is written in a log.
    pub fn letter(self) -> char {
        match self {
            Self::Output => 'o',
            Self::Error => 'e',
            Self::Note => '-',
        }
    }
}

/// One line of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When its last byte came; unknown in a file that somebody else wrote.
    pub at: Option<Timestamp>,
    /// Which way it came.
    pub stream: Stream,
    /// Whether the next record of the stream goes on with the same line.
    pub continues: bool,
    /// What was written, byte for byte.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Reads a line of a log file, without its newline. What is no record is shown as it stands.
    pub fn parse(line: &[u8]) -> Self {
        let read = || {
            let mut parts = line.splitn(3, |byte| *byte == b' ');
            let at = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
            let (stream, continues) = match parts.next()? {
                b"o" => (Stream::Output, false),
                b"o+" => (Stream::Output, true),
                b"e" => (Stream::Error, false),
                b"e+" => (Stream::Error, true),
                b"-" => (Stream::Note, false),
                _ => return None,
            };
            let bytes = unescaped(parts.next()?);
            Some(Self { at: Some(Timestamp(at)), stream, continues, bytes })
        };
        read().unwrap_or_else(|| Self {
            at: None,
            stream: Stream::Output,
            continues: false,
            bytes: line.to_vec(),
        })
    }
}

/// Appends a record to `out`.
pub(super) fn write(at: u64, stream: Stream, continues: bool, bytes: &[u8], out: &mut Vec<u8>) {
    let goes_on = if continues { "+" } else { "" };
    // Writing to memory cannot fail.
    write!(out, "{at} {}{goes_on} ", stream.letter()).ok();
    escape(bytes, out);
    out.push(b'\n');
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    // Nearly all output is plain, and there may be very much of it.
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'[' | b']'..=b'~')) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        let mut from = 0;
        for (at, letter) in valid.char_indices().filter(|(_, letter)| is_harmful(*letter)) {
            let end = at.saturating_add(letter.len_utf8());
            out.extend_from_slice(valid.get(from..at).unwrap_or_default().as_bytes());
            match letter {
                '\\' => out.extend_from_slice(b"\\\\"),
                _ => hex(valid.get(at..end).unwrap_or_default().as_bytes(), out),
            }
            from = end;
        }
        out.extend_from_slice(valid.get(from..).unwrap_or_default().as_bytes());
        hex(chunk.invalid(), out);
    }
}

fn is_harmful(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter == '\\' || (letter.is_control() && letter != '\t') || turns
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0'.saturating_add(nibble),
        _ => b'a'.saturating_add(nibble).saturating_sub(10),
    };
    for byte in bytes {
        out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) if hex_byte(*high, *low).is_some() => {
                (hex_byte(*high, *low).unwrap_or_default(), after)
            }
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let value = |digit| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(high)? << 4 | value(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_readable_and_harmless() {
        let mut out = Vec::new();
        write(5, Stream::Error, true, b"a\\b \x1b[31m\xc3\xa4\xff\0\t", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "5 e+ a\\\\b \\x1b[31mä\\xff\\x00\t\n");
    }

    #[test]
    fn what_is_no_record_is_shown_as_it_stands() {
        for line in ["", "hello", "12", "12 o", "x o text", "12 q text", "99999999999999999999 o t"]
        {
            let record = Record::parse(line.as_bytes());
            assert_eq!((record.at, record.bytes.as_slice()), (None, line.as_bytes()), "{line}");
        }
        assert_eq!(Record::parse(b"12 o \\q\\xg0\\x4").bytes, b"\\q\\xg0\\x4");
    }

    proptest! {
        #[test]
        fn every_byte_comes_back(bytes: Vec<u8>, continues: bool) {
            let mut out = Vec::new();
            write(7, Stream::Output, continues, &bytes, &mut out);
            let line = out.strip_suffix(b"\n").unwrap();
            let text = std::str::from_utf8(line).unwrap();
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\t'));
            let record = Record { at: Some(Timestamp(7)), stream: Stream::Output, continues, bytes };
            prop_assert_eq!(Record::parse(line), record);
        }
    }
}
