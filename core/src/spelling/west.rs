//! Overrides for west: a manifest that the workspace's own imports before everything else.
//!
//! Of several definitions of a project west takes the first whole, and imports below `self` come
//! first; so each project is said again with all that the workspace's manifest says of it.

use super::{Override, entries, plain, quoted};

pub(super) fn spell(overrides: &[Override]) -> String {
    let entries = entries(overrides);
    if entries.is_empty() {
        return "manifest:\n  projects: []\n".to_owned();
    }
    let mut text = "manifest:\n  projects:\n".to_owned();
    for entry in entries {
        text.push_str(&format!(
            "    # {}\n    - name: {}\n      url: {}\n      revision: {}\n",
            entry.remark(),
            quoted(entry.key),
            quoted(entry.url()),
            // west fetches a ref by its name; a commit only from branches.
            quoted(&entry.over.ref_name)
        ));
        for (key, value) in entry.repeats.iter().filter(|(key, _)| *key != "url") {
            text.push_str(&format!("      {key}: {}\n", plain(value)));
        }
    }
    text
}
