//! Overrides for vcstool: a `.repos` file for `vcs import --shallow` over the workspace's checkouts.
//!
//! The heads of changes are on no branch, and with `--shallow` vcstool asks the server for the very
//! commit. The address is the one of the workspace's own file: another one would be refused.

use super::{Override, entries, quoted};

pub(super) fn spell(overrides: &[Override]) -> String {
    let entries = entries(overrides);
    if entries.is_empty() {
        return "repositories: {}\n".to_owned();
    }
    let mut text = "repositories:\n".to_owned();
    for entry in entries {
        text.push_str(&format!(
            "  # {}\n  {}:\n    type: git\n    url: {}\n    version: {}\n",
            entry.remark(),
            quoted(entry.key),
            quoted(entry.url()),
            quoted(&entry.over.head.to_string())
        ));
    }
    text
}
