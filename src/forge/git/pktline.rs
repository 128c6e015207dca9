//! Git's packet lines: four hexadecimal digits of length, then the content.

use thiserror::Error;

/// The longest packet with its four digits.
pub const MAX_PACKET: usize = 65520;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Content, with its line feed if it has one.
    Data(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a part.
    Delimiter,
    /// `0002`: the end of a stateless answer.
    ResponseEnd,
}

/// Why bytes are not packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The bytes end within a packet.
    #[error("the answer is cut off")]
    Truncated,
    /// The length is not one.
    #[error("the answer is not made of packet lines")]
    BadLength,
}

/// Takes packets from the front of a slice.
#[derive(Clone, Debug)]
pub struct Packets<'a>(&'a [u8]);

impl<'a> Packets<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next packet; its absence is [`PacketError::Truncated`].
    pub fn expect(&mut self) -> Result<Packet<'a>, PacketError> {
        self.next().unwrap_or(Err(PacketError::Truncated))
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let packet = split(self.0).map(|(packet, rest)| {
            self.0 = rest;
            packet
        });
        if packet.is_err() {
            self.0 = &[];
        }
        Some(packet)
    }
}

fn split(bytes: &[u8]) -> Result<(Packet<'_>, &[u8]), PacketError> {
    let digits = bytes.get(..4).ok_or(PacketError::Truncated)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(PacketError::BadLength);
    }
    let text = std::str::from_utf8(digits).map_err(|_| PacketError::BadLength)?;
    let length = usize::from_str_radix(text, 16).map_err(|_| PacketError::BadLength)?;
    let rest = |from: usize| bytes.get(from..).ok_or(PacketError::Truncated);
    match length {
        0 => Ok((Packet::Flush, rest(4)?)),
        1 => Ok((Packet::Delimiter, rest(4)?)),
        2 => Ok((Packet::ResponseEnd, rest(4)?)),
        3 => Err(PacketError::BadLength),
        length if length > MAX_PACKET => Err(PacketError::BadLength),
        length => {
            let data = bytes.get(4..length).ok_or(PacketError::Truncated)?;
            Ok((Packet::Data(data), rest(length)?))
        }
    }
}

/// Appends one packet of text. Text that is too long for one is refused.
pub fn data(out: &mut Vec<u8>, text: &str) -> Result<(), PacketError> {
    let length = text.len().saturating_add(4);
    if length > MAX_PACKET {
        return Err(PacketError::BadLength);
    }
    out.extend_from_slice(format!("{length:04x}").as_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// A flush packet.
pub const FLUSH: &[u8] = b"0000";
/// A delimiter packet.
pub const DELIMITER: &[u8] = b"0001";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn garbage_and_cut_packets_are_told_apart() {
        let all = |bytes| Packets::new(bytes).collect::<Result<Vec<_>, _>>();
        assert_eq!(all(b"0006a\n0000"), Ok(vec![Packet::Data(b"a\n"), Packet::Flush]));
        assert_eq!(all(b"0004"), Ok(vec![Packet::Data(b"")]));
        for cut in [&b"0"[..], b"000", b"0006a"] {
            assert_eq!(all(cut), Err(PacketError::Truncated));
        }
        for wrong in [&b"<htm"[..], b"0003", b"+006a\n", b"fff1"] {
            assert_eq!(all(wrong), Err(PacketError::BadLength));
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(texts in proptest::collection::vec(".{0,40}", 0..20)) {
            let mut bytes = Vec::new();
            for text in &texts {
                data(&mut bytes, text).expect("short");
            }
            let read: Vec<_> = Packets::new(&bytes).collect::<Result<_, _>>().expect("packets");
            let wanted: Vec<_> = texts.iter().map(|text| Packet::Data(text.as_bytes())).collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            prop_assert!(Packets::new(&bytes).count() <= bytes.len() / 4 + 1);
        }
    }
}
