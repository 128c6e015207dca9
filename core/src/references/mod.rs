//! References from a change to other changes, read once when the text arrives: no text is kept.
//!
//! [`read`] takes a change's body (on plain git the message of its head) and gives references,
//! findings and notes. Every grammar ends in one parser of single references, [`parse`].

mod address;
mod autoproj;
mod context;
mod html;
mod lines;
mod markdown;
mod phrase;
mod reference;
mod tokens;
mod trailers;
mod zuul;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::model::identity::{ChangeId, Name};

pub use context::{Context, Forges, Grammar, Reading, Spelling};
pub use reference::{Reference, parse};
pub use trailers::from_trailers;

/// References that one text may make; findings and notes are bounded alike.
pub const MAX_REFERENCES: usize = 100;
/// What is read of a body; more than any forge takes.
pub const MAX_BODY: usize = 256 * 1024;
const MAX_SHOWN: usize = 200;

/// Reads the references of a body by the grammar that the context names.
pub fn read(body: &str, context: &Context<'_>) -> References {
    let mut scope = Scope::new(context);
    let kept = cut(body);
    match context.grammar {
        _ if context.spelling() == Spelling::Git => trailers::read(kept, &mut scope),
        Grammar::Default => markdown::read(kept, &mut scope),
        Grammar::Autoproj => autoproj::read(kept, &mut scope),
        Grammar::Zuul => zuul::read(kept, &mut scope),
    }
    if kept.len() < body.len() {
        let line = u32::try_from(kept.matches('\n').count() + 1).unwrap_or(u32::MAX);
        let text = format!("the text is not read beyond its first {} kB", MAX_BODY / 1024);
        // The first of the notes, since those are bounded too.
        scope.found.notes.insert(0, Finding { as_written: String::new(), line, text });
        scope.found.notes.truncate(MAX_REFERENCES);
    }
    scope.found
}

/// The part that is read: whole lines, if there are any.
fn cut(body: &str) -> &str {
    if body.len() <= MAX_BODY {
        return body;
    }
    let mut end = MAX_BODY;
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let head = body.get(..end).unwrap_or_default();
    head.rfind('\n').and_then(|last| head.get(..=last)).unwrap_or(head)
}

/// What one text refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// In the order of the text, each change once.
    pub references: Vec<Written>,
    /// `name#12` without an owner: a reference only where exactly one tracked repository has that
    /// name, which is different from workspace to workspace. Each has its finding already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<Short>,
    /// Clear references that can name no change; shown on the change.
    pub findings: Vec<Finding>,
    /// Things that only our own page shows.
    pub notes: Vec<Finding>,
    /// What the same body says to workspaces that read it otherwise; in order, none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<(Reading, References)>,
}

impl References {
    /// What workspaces of that reading see; nothing if the body was not read for them.
    pub fn by(&self, reading: &Reading) -> Option<&Self> {
        if *reading == Reading::default() {
            return Some(self);
        }
        let at = self.otherwise.binary_search_by(|(known, _)| known.cmp(reading)).ok()?;
        self.otherwise.get(at).map(|(_, references)| references)
    }
}

/// The same body by the default reading and by each of `readings`.
pub fn read_for(
    body: &str,
    of: &ChangeId,
    forges: &Forges<'_>,
    readings: &BTreeSet<Reading>,
) -> References {
    let context = Context::new(of, forges);
    let mut references = read(body, &context);
    let others = readings.iter().filter(|reading| **reading != Reading::default());
    let otherwise = others.map(|reading| {
        let Reading { grammar, phrases } = reading;
        (reading.clone(), read(body, &Context { grammar: *grammar, phrases, ..context }))
    });
    references.otherwise = otherwise.collect();
    references
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
    /// The rule by which it is one.
    #[serde(default)]
    pub via: Via,
}

/// A reference to a repository by its last name alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Short {
    /// Forge of the repository.
    pub forge: Name,
    /// The last part of its path, folded as the forge compares.
    pub name: Name,
    /// Number of the change.
    pub number: u64,
    /// As the text spells it.
    pub as_written: String,
    /// Line in the text, from 1.
    pub line: u32,
    /// The rule by which it is one.
    pub via: Via,
}

/// The rule by which a text is a reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// `Depends-On:` at the end of a commit message.
    #[default]
    Trailer,
    /// A line that begins with the phrase.
    Line,
    /// A row of a table with two cells.
    Row,
    /// The first list below a heading or `<summary>` that is the phrase.
    Section,
    /// A list right behind a line that is the phrase.
    List,
    /// The list that autoproj-daemon reads.
    Autoproj,
    /// The lines that Zuul reads.
    Zuul,
}

/// Something to tell about one place of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// As the text spells it, cut after 200 characters, without the user part of an address.
    pub as_written: String,
    /// Line in the text, from 1.
    pub line: u32,
    /// A sentence: what is wrong, and what would be right.
    pub text: String,
}

/// The finding of a [`Short`] reference, which goes once that turns out to name a repository.
pub(crate) fn no_owner(name: &str, number: u64) -> String {
    format!(
        "no owner is named: write OWNER/{name}#{number}; without one it counts only if exactly one \
         watched repository has that name"
    )
}

/// Gathers what one text refers to, under the limits.
struct Scope<'c> {
    context: &'c Context<'c>,
    seen: BTreeSet<ChangeId>,
    found: References,
    full: bool,
    /// Work done, in bytes and events: proves that it grows with the text and not faster.
    steps: u64,
}

impl<'c> Scope<'c> {
    fn new(context: &'c Context<'c>) -> Self {
        Self { context, seen: BTreeSet::new(), found: References::default(), full: false, steps: 0 }
    }

    /// What one word is.
    fn parse(&mut self, word: &str) -> Reference {
        self.worked(word.len());
        parse(word, self.context)
    }

    fn worked(&mut self, bytes: usize) {
        self.steps += 1 + u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Enters what a word turned out to be; false if it is no reference at all.
    fn enter(&mut self, reference: Reference, written: &str, line: u32, via: Via) -> bool {
        match reference {
            Reference::Change(change) => self.change(change, written, line, via),
            Reference::Short { forge, name, number } => {
                let text = no_owner(&name, number);
                self.finding(written, line, text);
                let known =
                    |old: &Short| (&old.forge, &old.name, old.number) == (&forge, &name, number);
                if !self.found.short.iter().any(known) && self.room(written, line) {
                    let as_written = shown(written);
                    let short = Short { forge, name, number, as_written, line, via };
                    self.found.short.push(short);
                }
            }
            Reference::Impossible(why) => self.finding(written, line, why),
            Reference::Address(why) => self.note(written, line, why),
            Reference::None => return false,
        }
        true
    }

    fn change(&mut self, change: ChangeId, written: &str, line: u32, via: Via) {
        if change == *self.context.of {
            self.note(written, line, "the change refers to itself".to_owned());
        } else if !self.seen.contains(&change) && self.room(written, line) {
            self.seen.insert(change.clone());
            let as_written = shown(written);
            self.found.references.push(Written { change, as_written, line, via });
        }
    }

    /// Whether another reference may be taken; the first that may not is told of.
    fn room(&mut self, written: &str, line: u32) -> bool {
        let room = self.found.references.len() + self.found.short.len() < MAX_REFERENCES;
        if !room && !std::mem::replace(&mut self.full, true) {
            // Findings are bounded too, and this one matters more than the last of them.
            self.found.findings.truncate(MAX_REFERENCES - 1);
            let text = format!("only the first {MAX_REFERENCES} references are read");
            self.finding(written, line, text);
        }
        room
    }

    fn finding(&mut self, written: &str, line: u32, text: String) {
        push(&mut self.found.findings, written, line, text);
    }

    fn note(&mut self, written: &str, line: u32, text: impl Into<String>) {
        push(&mut self.found.notes, written, line, text.into());
    }
}

fn push(list: &mut Vec<Finding>, written: &str, line: u32, text: String) {
    if list.len() >= MAX_REFERENCES {
        return;
    }
    let as_written = shown(written);
    if !list.iter().any(|old| old.as_written == as_written && old.text == text) {
        list.push(Finding { as_written, line, text });
    }
}

/// What is repeated of a text: bounded, and without what may be a password.
fn shown(text: &str) -> String {
    let mut text = text.trim();
    let mut shown = String::new();
    if let Some((scheme, rest)) = text.split_once("://") {
        let end = rest.find(|c: char| c.is_whitespace() || "/?#".contains(c)).unwrap_or(rest.len());
        if let Some(host) = rest.get(..end).and_then(|place| place.rfind('@')) {
            shown = format!("{scheme}://…");
            text = rest.get(host..).unwrap_or_default();
        }
    }
    shown.extend(text.chars().take(MAX_SHOWN));
    shown.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests;
