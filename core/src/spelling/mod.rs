//! Overrides as the tools of workspaces read them, one file a spelling.

mod autoproj;
mod gitmodules;
mod json;
mod kas;
mod repo;
mod vcstool;
mod west;

use std::collections::BTreeMap;

use crate::model::build::{BuildRequest, Override};
use crate::model::identity::Name;
use crate::model::manifest::Repeats;
pub use crate::model::settings::{Spelling, UnknownSpelling};

/// Writes overrides.
pub fn spell(format: Spelling, overrides: &[Override]) -> String {
    match format {
        Spelling::Json => json::spell(overrides),
        Spelling::Autoproj => autoproj::spell(overrides),
        Spelling::West => west::spell(overrides),
        Spelling::Repo => repo::spell(overrides),
        Spelling::Vcstool => vcstool::spell(overrides),
        Spelling::Kas => kas::spell(overrides),
        Spelling::Gitmodules => gitmodules::spell(overrides),
    }
}

/// Writes the overrides of a build; where the spelling has room for it, with what they are for.
pub fn spell_request(format: Spelling, request: &BuildRequest) -> String {
    match format {
        Spelling::Json => json::spell_request(request),
        _ => spell(format, &request.overrides),
    }
}

/// The entries that a spelling writes: what the workspace's own tool described, by override key in
/// the order of the set. Of two changes of one repository the later counts, since such a tool checks
/// out one commit. The workspace's own source is none of them: its build checks it out itself.
fn entries(overrides: &[Override]) -> Vec<Entry<'_>> {
    let mut places: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for over in overrides {
        for key in &over.packages {
            let Some(repeats) = over.repeats.get(key) else { continue };
            let entry = Entry { key, over, repeats };
            match places.get(key).and_then(|at| entries.get_mut(*at)) {
                Some(before) => *before = entry,
                None => {
                    places.insert(key, entries.len());
                    entries.push(entry);
                }
            }
        }
    }
    entries
}

/// One thing that is checked out otherwise.
struct Entry<'a> {
    key: &'a Name,
    over: &'a Override,
    repeats: &'a Repeats,
}

impl Entry<'_> {
    /// A text that must be said again.
    fn repeated(&self, key: &str) -> Option<&str> {
        self.repeats.get(key).and_then(serde_json::Value::as_str)
    }

    /// The address as the workspace's tool knows it, else the one that is watched.
    fn url(&self) -> &str {
        self.repeated("url").unwrap_or(&self.over.repository_url)
    }

    /// Which change it is, for a comment: on one line for every reader.
    fn remark(&self) -> String {
        let text = format!("{}, {} at {}", self.over.change, self.over.ref_name, self.over.head);
        text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
    }
}

/// A text as YAML readers of every version take it: JSON in ASCII.
fn quoted(text: &str) -> String {
    plain(&serde_json::Value::from(text))
}

/// A value in the same way, on one line.
fn plain(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        // Outside of the basic plane JSON has surrogates, which YAML does not; it has \U for them.
        match u32::from(c) {
            0x20..=0x7e => out.push(c),
            code if code <= 0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
