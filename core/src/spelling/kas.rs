//! Overrides for kas: a configuration file that stands behind the workspace's own on its command
//! line, as in `kas build kas.yml:overrides.kas.yml`.

use super::{Override, entries, quoted};

pub(super) fn spell(overrides: &[Override]) -> String {
    let entries = entries(overrides);
    let mut text = "header:\n  version: 14\n".to_owned();
    if entries.is_empty() {
        return text;
    }
    // A tag is not among what `overrides` can take away, and stands in the way of a branch.
    let pinned: Vec<_> = entries.iter().filter(|entry| entry.over.unpin).collect();
    if !pinned.is_empty() {
        text.push_str("repos:\n");
        for entry in pinned {
            text.push_str(&format!("  {}:\n    tag: null\n", quoted(entry.key)));
        }
    }
    text.push_str("overrides:\n  repos:\n");
    for entry in entries {
        text.push_str(&format!(
            "    # {}\n    {}:\n      branch: {}\n      commit: null\n",
            entry.remark(),
            quoted(entry.key),
            quoted(&entry.over.ref_name)
        ));
    }
    text
}
