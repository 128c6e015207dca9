//! Overrides for repo: a file for `.repo/local_manifests`, which changes revisions and nothing else.

use super::{Override, entries};

pub(super) fn spell(overrides: &[Override]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<manifest>\n".to_owned();
    for entry in entries(overrides) {
        // Two hyphens end a comment.
        let remark = entry.remark().replace("--", "- -");
        let name = entry.repeated("name").unwrap_or(entry.key);
        let path = entry.repeated("path").unwrap_or(name);
        text.push_str(&format!(
            "  <!-- {remark} -->\n  <extend-project name=\"{}\" path=\"{}\" revision=\"{}\"/>\n",
            escaped(name),
            escaped(path),
            escaped(&entry.over.ref_name)
        ));
    }
    text.push_str("</manifest>\n");
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write most of these; names with them are refused before.
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
