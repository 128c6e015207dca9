//! The one comment on a change: its text, and the mark by which it is found again.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::identity::{ChangeId, Name};

/// Workspaces that are named beside a remark.
const NAMED: usize = 5;

/// Remarks in a comment.
const SHOWN: usize = 50;

/// What our comment on a change begins with: a mark that pages do not show. Nobody can know it before it
/// was written once, so nobody can put a comment of their own in its place.
pub fn marker(ledger: &str, change: &ChangeId) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("crosswatch comment 1");
    for part in [ledger, &change.to_string()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize().to_hex();
    format!("<!-- crosswatch {} -->", digest.get(..32).unwrap_or_default())
}

/// The comment with what workspaces remark on a change. No part of a remark becomes markup, a link or a
/// mention.
pub fn text(marker: &str, remarks: &BTreeMap<Name, Vec<String>>) -> String {
    let mut by_remark: BTreeMap<&str, BTreeSet<&Name>> = BTreeMap::new();
    for (workspace, remarks) in remarks {
        for remark in remarks {
            by_remark.entry(remark).or_default().insert(workspace);
        }
    }
    if by_remark.is_empty() {
        return format!("{marker}\nCrosswatch: all clear, nothing is left to mend here.\n");
    }
    let mut text = format!("{marker}\nCrosswatch has something to say about this change:\n\n");
    for (remark, workspaces) in by_remark.iter().take(SHOWN) {
        let mut names: Vec<String> = workspaces.iter().take(NAMED).map(|name| code(name)).collect();
        if workspaces.len() > NAMED {
            names.push(format!("{} more", workspaces.len() - NAMED));
        }
        text.push_str(&format!("- {} ({})\n", code(remark), names.join(", ")));
    }
    if by_remark.len() > SHOWN {
        text.push_str(&format!("- and {} more\n", by_remark.len() - SHOWN));
    }
    text.push_str(
        "\nNone of this makes a check fail. This comment follows the change; it is edited, never repeated.\n",
    );
    text
}

/// A span of code, in which nothing is markup: its fence is longer than any run of backticks in it.
pub fn code(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let longest = flat.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // Without the spaces a backtick at an end would join the fence; a page strips one at each end.
    format!("{fence} {flat} {fence}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulldown_cmark::{Event, Options, Parser};

    fn change() -> ChangeId {
        "github.com/o/a#1".parse().expect("a change")
    }

    fn comment(remarks: &[(&str, &[&str])]) -> String {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let remarks = remarks.iter().map(|(name, words)| (Name::from(*name), own(words)));
        text(&marker("ledger", &change()), &remarks.collect())
    }

    #[test]
    fn what_several_workspaces_remark_is_said_once() {
        let text = comment(&[("a", &["one", "two"]), ("b", &["two"])]);
        assert_eq!(text.matches("` two `").count(), 1, "{text}");
        assert!(text.contains("- ` two ` (` a `, ` b `)\n"), "{text}");
        assert!(comment(&[("a", &[])]).contains("all clear"));
        let many: Vec<String> = (0..60).map(|n| format!("remark {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(comment(&[("a", &many)]).contains("- and 10 more\n"));
    }

    #[test]
    fn marks_differ_and_tell_nothing_of_the_ledger() {
        let own = marker("ledger", &change());
        assert!(!own.contains("ledger"));
        assert_ne!(own, marker("other", &change()));
        assert_ne!(own, marker("ledger", &change().repository.change(2)));
    }

    #[test]
    fn hostile_words_become_nothing_but_text() {
        let hostile = [
            "@everyone #1 o/a#2 https://evil.example www.evil.example",
            "`` ` @x ``` ![i](http://e/x.png)",
            "<img src=x onerror=alert(1)>\n\n# head\n- [x](javascript:1)",
            "--> <script>",
            "`",
            "\\` @x",
            "| a | b |\r\n|---|---|",
        ];
        for words in hostile {
            let text = comment(&[("w", &[words])]);
            let mut spans = 0;
            for event in Parser::new_ext(&text, Options::all()) {
                match event {
                    Event::Code(_) => spans += 1,
                    Event::Text(text) => {
                        assert!(!text.contains(['@', '#', '`', '<', '[']), "{words}: {text}");
                    }
                    Event::Html(html) => {
                        assert_eq!(html.trim_end(), marker("ledger", &change()), "{words}");
                    }
                    Event::InlineHtml(html) => panic!("{words}: {html}"),
                    Event::Start(tag) => {
                        let tag = format!("{tag:?}");
                        let plain = ["HtmlBlock", "Paragraph", "List", "Item"];
                        assert!(plain.iter().any(|known| tag.starts_with(known)), "{words}: {tag}");
                    }
                    _ => {}
                }
            }
            assert_eq!(spans, 2, "{text}");
        }
    }
}
