//! Makes foreign output harmless: valid UTF-8 without control sequences.

/// Takes bytes as they come, also when a character or a sequence is cut between two pieces.
#[derive(Debug, Default)]
pub struct Sanitiser {
    pending: Vec<u8>,
    state: State,
    after_return: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    /// `ESC [` up to its final byte.
    Control,
    /// `ESC ]` and its like, up to BEL or `ESC \`.
    String,
    StringEscape,
}

impl Sanitiser {
    /// Appends what is fit to be shown of `bytes` to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut chunks = pending.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|c| self.take(c, out));
            if chunk.invalid().is_empty() {
                continue;
            }
            // What ends in the middle of a character may be completed by the next piece.
            let unfinished = std::str::from_utf8(chunk.invalid())
                .is_err_and(|error| error.error_len().is_none());
            if chunks.peek().is_none() && unfinished {
                self.pending = chunk.invalid().to_vec();
            } else {
                self.take(char::REPLACEMENT_CHARACTER, out);
            }
        }
    }

    fn take(&mut self, c: char, out: &mut String) {
        self.state = match (self.state, c) {
            (State::Text, '\u{1b}') => State::Escape,
            (State::Text, '\u{9b}') => State::Control,
            (State::Text, c) => {
                self.text(c, out);
                State::Text
            }
            (State::Escape, '[') => State::Control,
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::String,
            (State::Escape, ' '..='/') => State::Escape,
            (State::Escape, '\u{1b}') => State::Escape,
            (State::Control, '\u{40}'..='\u{7e}') => State::Text,
            (State::String, '\u{1b}') => State::StringEscape,
            (State::String, '\u{7}' | '\u{9c}') => State::Text,
            (State::StringEscape, '\\') => State::Text,
            // A sequence that never ends must not swallow the rest of the log.
            (_, '\n') => {
                self.text('\n', out);
                State::Text
            }
            (State::Escape, _) => State::Text,
            (State::StringEscape, _) => State::String,
            (state, _) => state,
        };
    }

    fn text(&mut self, c: char, out: &mut String) {
        let after_return = std::mem::replace(&mut self.after_return, c == '\r');
        match c {
            '\n' if after_return => {}
            '\r' | '\n' => out.push('\n'),
            '\t' => out.push('\t'),
            // Marks that turn the direction of text can hide what a line says.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(pieces: &[&[u8]]) -> String {
        let (mut sanitiser, mut out) = (Sanitiser::default(), String::new());
        pieces.iter().for_each(|piece| sanitiser.push(piece, &mut out));
        out
    }

    #[test]
    fn sequences_and_broken_text_are_made_harmless() {
        assert_eq!(clean(&[b"a\x1b[31", b"mred\x1b[0m\r", b"\nb\rc"]), "ared\nb\nc");
        assert_eq!(clean(&[b"\x1b]0;title\x07x\x1b]8;;u\x1b\\y"]), "xy");
        assert_eq!(clean(&[b"\xc3", b"\xa4 \xff \xe2\x82"]), "\u{e4} \u{fffd} ");
        assert_eq!(clean(&[b"\x1b]never ends\nnext"]), "\nnext");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_is_left(bytes: Vec<u8>) {
            let out = clean(&[&bytes]);
            prop_assert!(!out.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
