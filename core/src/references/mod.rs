//! References from a change to other changes, read once when the text arrives: no text is kept.

mod reference;
mod trailers;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::model::identity::ChangeId;

pub use reference::{Reference, parse};
pub use trailers::from_trailers;

/// References that one text may make; findings and notes are bounded alike.
pub const MAX_REFERENCES: usize = 100;
const MAX_SHOWN: usize = 200;

/// What one text refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// In the order of the text, each change once.
    pub references: Vec<Written>,
    /// Clear references that can name no change; shown on the change.
    pub findings: Vec<Finding>,
    /// Things that only our own page shows.
    pub notes: Vec<Finding>,
}

/// A reference and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The change that is meant.
    pub change: ChangeId,
    /// As the text spells it.
    pub as_written: String,
    /// Line in the text, from 1.
    pub line: u32,
}

/// Something to tell about one place of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// As the text spells it, cut after 200 characters.
    pub as_written: String,
    /// Line in the text, from 1.
    pub line: u32,
    /// A sentence: what is wrong, and what would be right.
    pub text: String,
}

/// Gathers references under the limits.
struct Collector<'a> {
    of: &'a ChangeId,
    seen: BTreeSet<ChangeId>,
    found: References,
    full: bool,
}

impl<'a> Collector<'a> {
    fn new(of: &'a ChangeId) -> Self {
        Self { of, seen: BTreeSet::new(), found: References::default(), full: false }
    }

    fn reference(&mut self, change: ChangeId, written: &str, line: u32) {
        if change == *self.of {
            self.note(written, line, "the change refers to itself".to_owned());
        } else if self.seen.contains(&change) {
            // Counts once.
        } else if self.seen.len() >= MAX_REFERENCES {
            if !std::mem::replace(&mut self.full, true) {
                let text = format!("only the first {MAX_REFERENCES} references are read");
                self.finding(written, line, text);
            }
        } else {
            self.seen.insert(change.clone());
            self.found.references.push(Written { change, as_written: shown(written), line });
        }
    }

    fn finding(&mut self, written: &str, line: u32, text: String) {
        push(&mut self.found.findings, written, line, text);
    }

    fn note(&mut self, written: &str, line: u32, text: String) {
        push(&mut self.found.notes, written, line, text);
    }
}

fn push(list: &mut Vec<Finding>, written: &str, line: u32, text: String) {
    let as_written = shown(written);
    let known = |old: &Finding| old.as_written == as_written && old.text == text;
    if list.len() < MAX_REFERENCES && !list.iter().any(known) {
        list.push(Finding { as_written, line, text });
    }
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}
