//! Which repositories git asked for in a sandbox, as its own trace of events has it.
//!
//! Foreign code can write anything into it. All that is taken from it are addresses of configured
//! forges, which the plan then has watched for a set that is trusted or approved.

use std::collections::BTreeSet;
use std::path::Path;

use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::locator::{Located, Locator};
use serde_json::Value;

use super::super::files::{inside, read_regular};
use crate::forge::git::local;

/// Largest trace that is read.
const MAX_BYTES: u64 = 32 << 20;
/// Repositories that one run may ask for.
const MOST: usize = 200;

/// Addresses in a trace, one for each repository that is none of `shown` and not on this machine.
pub(super) fn asked(
    copy: &Path,
    name: &str,
    locator: &Locator,
    shown: &BTreeSet<RepositoryId>,
) -> BTreeSet<String> {
    // Without a trace nothing was asked for that could be had.
    let file = inside(copy, Path::new(name));
    let bytes = file.and_then(|file| read_regular(&file, MAX_BYTES)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut known = BTreeSet::new();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let words = event.get("argv").and_then(Value::as_array).into_iter().flatten();
        for word in words.filter_map(Value::as_str).filter(|word| word.contains(['/', ':'])) {
            if let Located::Repository { id, url, .. } = locator.locate(word)
                && !shown.contains(&id)
                && local(&url).is_none()
                && found.len() < MOST
                && known.insert(id)
            {
                found.insert(url.to_string());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn addresses_of_configured_forges_are_found_and_nothing_else() {
        let text = "version: 1\nforges: {g: {kind: git, url: \"https://git.example.org\", authors: any}}\n\
                    workspaces: []\n";
        let settings = config::parse(text, Path::new("/x")).expect("right");
        let locator = Locator::new(&settings);
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("trace");
        let lines = [
            r#"{"event":"start","argv":["git","clone","-q","https://git.example.org/a/b.git","x"]}"#,
            r#"{"event":"child_start","argv":["git","remote-https","origin","https://git.example.org/a/b"]}"#,
            r#"{"event":"start","argv":["git","fetch","https://elsewhere.example.com/c.git"]}"#,
            r#"{"event":"start","argv":["git","fetch","https://git.example.org/shown.git"]}"#,
            r#"{"event":"start","argv":["git","fetch","origin","refs/heads/main:x"]}"#,
            "not json",
        ];
        std::fs::write(&file, lines.join("\n")).expect("a file");
        let shown = BTreeSet::from([RepositoryId::new("g", "shown")]);
        let found = asked(dir.path(), "trace", &locator, &shown);
        assert_eq!(found, BTreeSet::from(["https://git.example.org/a/b.git".to_owned()]));
        assert!(asked(dir.path(), "none", &locator, &shown).is_empty());
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).expect("a folder");
        std::os::unix::fs::symlink("../trace", inner.join("trace")).expect("a link");
        assert!(asked(&inner, "trace", &locator, &shown).is_empty(), "nothing outside is read");
    }
}
