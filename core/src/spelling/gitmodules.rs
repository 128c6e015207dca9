//! Overrides for git submodules: lines for `git update-index --index-info`, which put the heads of
//! changes in the place of the recorded commits; `git submodule update` then checks them out.

use super::{Override, entries};

pub(super) fn spell(overrides: &[Override]) -> String {
    entries(overrides)
        .into_iter()
        .map(|entry| {
            let path = entry.repeated("path").unwrap_or(entry.key);
            format!("160000 {} 0\t{}\n", entry.over.head, quoted(path))
        })
        .collect()
}

/// As git quotes paths: only those with bytes that could be taken for something else.
fn quoted(path: &str) -> String {
    let safe = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    if path.bytes().all(safe) {
        return path.to_owned();
    }
    let mut out = "\"".to_owned();
    for byte in path.bytes() {
        if safe(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("\\{byte:03o}"));
        }
    }
    out.push('"');
    out
}
