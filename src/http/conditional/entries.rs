//! What is kept: bounded in number and bytes, the least recently used goes first.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crosswatch_core::model::time::{Span, Timestamp};

use super::Bounds;
use super::shelf::Kept;

/// A parsed value of any type.
pub(super) type Parsed = Arc<dyn Any + Send + Sync>;

/// One answer that may be revalidated.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) kept: Kept,
    /// The parsed body, with its type; after a restart it is read from the shelf.
    pub(super) value: Option<(TypeId, Parsed)>,
    pub(super) shelved: bool,
}

impl Entry {
    /// The value, if it is of that type.
    pub(super) fn value(&self, of: TypeId) -> Option<Parsed> {
        self.value.as_ref().filter(|(kind, _)| *kind == of).map(|(_, value)| Arc::clone(value))
    }

    /// Whether it may be revalidated once more. Ages differ by the entry, so that what was read
    /// together is not read together again.
    pub(super) fn is_fresh(&self, max_age: Span, now: Timestamp) -> bool {
        let byte = self.kept.id.get(..2).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let fifth = Span(max_age.0 / 5 * byte.unwrap_or(0) / 255);
        let age = now.since(self.kept.read_at);
        age.0 < max_age.0.saturating_sub(fifth.0) && self.kept.read_at <= now + Span::minutes(1)
    }
}

/// All entries.
#[derive(Default)]
pub(super) struct Entries {
    by_id: HashMap<String, (u64, Entry)>,
    by_use: BTreeMap<u64, String>,
    uses: u64,
    bytes: usize,
}

impl Entries {
    /// The entry, which thereby becomes the most recently used.
    pub(super) fn get(&mut self, id: &str) -> Option<Entry> {
        self.uses += 1;
        let uses = self.uses;
        let (used, entry) = self.by_id.get_mut(id)?;
        self.by_use.remove(used);
        *used = uses;
        self.by_use.insert(uses, id.to_owned());
        Some(entry.clone())
    }

    /// Puts an entry in; gives the ids of those that had to go.
    #[must_use]
    pub(super) fn put(&mut self, entry: Entry, bounds: &Bounds) -> Vec<String> {
        let id = entry.kept.id.clone();
        self.remove(&id);
        self.uses += 1;
        self.bytes = self.bytes.saturating_add(entry.kept.size);
        self.by_use.insert(self.uses, id.clone());
        self.by_id.insert(id, (self.uses, entry));
        let mut gone = Vec::new();
        while self.by_id.len() > bounds.entries || self.bytes > bounds.bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(&oldest);
            gone.push(oldest);
        }
        gone
    }

    /// The body is on the shelf, unless the entry was replaced meanwhile.
    pub(super) fn shelved(&mut self, kept: &Kept) {
        if let Some((_, entry)) = self.by_id.get_mut(&kept.id)
            && entry.kept == *kept
        {
            entry.shelved = true;
        }
    }

    /// The entry was what is true now, and its value is known.
    pub(super) fn revalidated(&mut self, kept: &Kept, of: TypeId, value: &Parsed) {
        if let Some((_, entry)) = self.by_id.get_mut(&kept.id)
            && entry.kept.etag == kept.etag
        {
            entry.kept.headers.clone_from(&kept.headers);
            entry.value = Some((of, Arc::clone(value)));
        }
    }

    /// Takes an entry out; true when there was one.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some((used, entry)) = self.by_id.remove(id) else { return false };
        self.by_use.remove(&used);
        self.bytes = self.bytes.saturating_sub(entry.kept.size);
        true
    }

    /// Whether any body is not on the shelf yet.
    #[cfg(test)]
    pub(super) fn any_unshelved(&self) -> bool {
        self.by_id.values().any(|(_, entry)| !entry.shelved)
    }

    /// Number and bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.by_id.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, size: usize) -> Entry {
        let kept = Kept {
            id: id.to_owned(),
            etag: "\"x\"".to_owned(),
            headers: Vec::new(),
            read_at: Timestamp(0),
            digest: String::new(),
            size,
        };
        Entry { kept, value: None, shelved: false }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let bounds = Bounds { entries: 3, bytes: 100, ..Bounds::default() };
        let mut entries = Entries::default();
        for id in ["a", "b", "c"] {
            assert!(entries.put(entry(id, 10), &bounds).is_empty());
        }
        assert!(entries.get("a").is_some());
        assert_eq!(entries.put(entry("d", 10), &bounds), ["b"]);
        assert_eq!(entries.put(entry("e", 85), &bounds), ["c", "a"]);
        assert_eq!(entries.size(), (2, 95));
        // Another body under the same key counts once.
        assert!(entries.put(entry("e", 50), &bounds).is_empty());
        assert_eq!(entries.size(), (2, 60));
        assert_eq!(entries.put(entry("f", 101), &bounds), ["d", "e", "f"]);
        assert_eq!(entries.size(), (0, 0));
        assert_eq!(entries.by_use.len(), 0);
    }

    #[test]
    fn ages_end_at_different_times_but_never_too_late() {
        let hour = Span::hours(1);
        let fresh = |id: &str, at| entry(id, 1).is_fresh(hour, at);
        for id in ["00", "7f", "ff"] {
            assert!(fresh(id, Timestamp(0) + Span::minutes(47)), "{id}");
            assert!(!fresh(id, Timestamp(0) + hour), "{id}");
        }
        assert!(fresh("00", Timestamp(0) + Span::minutes(55)));
        assert!(!fresh("ff", Timestamp(0) + Span::minutes(55)));
        // A clock that was set back far does not make an entry immortal.
        assert!(!fresh("00", Timestamp(0) - Span::hours(5)));
    }
}
