//! `grammar: autoproj | zuul`: what those tools read, strange as it may be.

use super::On::{Enterprise, GitHub, GitLab, Gitea};
use super::*;

#[rustfmt::skip]
pub(super) const AUTOPROJ: &[Row] = &[
    ("boxes", GitHub, "Depends on:\n- [ ] a/b#2\n- [x] #3\n- [ ] #4", "a/b#2 | o/r#4", "", ""),
    ("heading", GitHub, "Depends on\n- [ ] #2", "o/r#2", "", ""),
    ("heading", GitHub, "depend\n- [ ] #2", "o/r#2", "", ""),
    ("heading", GitHub, "DEPENDS ON :\n- [ ] #2", "o/r#2", "", ""),
    ("heading", GitHub, "## Depends on\n- [ ] #2", "o/r#2", "", ""),
    ("heading", GitHub, "This depends on\n- [ ] #2", "o/r#2", "", ""),
    ("heading over lines", GitHub, "depends\non\n- [ ] #2", "o/r#2", "", ""),
    ("no heading", GitHub, "**Depends on:**\n- [ ] #2", "", "", ""),
    ("no heading", GitHub, "Depends upon:\n- [ ] #2", "", "", ""),
    ("no heading", GitHub, "Dependson:\n- [ ] #2", "", "", ""),
    ("no heading", GitHub, "Depends on #12\n- [ ] #2", "", "", ""),
    ("no heading", GitHub, "Depends on: o/r#12\n- [ ] #2", "", "", ""),
    ("blank lines and CRLF", GitHub, "Depends on:\r\n\r\n- [ ] #2\r\n\r\n- [ ] #3\r\n", "o/r#2 | o/r#3", "", ""),
    ("nested", GitHub, "Depends on:\n- [ ] Feature 2:\n  - [ ] #2\n    - [ ] #3", "o/r#2 | o/r#3", "", ""),
    ("other marker", GitHub, "Depends on:\n* [ ] #2", "", "", ""),
    ("other marker", GitHub, "Depends on:\n1. [ ] #2", "", "", ""),
    ("no box", GitHub, "Depends on:\n- #2\n- [ ] #3", "o/r#3", "", ""),
    ("words before the list", GitHub, "Depends on:\nthese\n- [ ] #2", "", "", ""),
    ("words in the list", GitHub, "Depends on:\n- [ ] #2\nand\n- [ ] #3", "o/r#2", "", ""),
    ("two headings", GitHub, "Depends on:\n- [ ] #2\n\nDepends on:\n- [ ] #3", "o/r#3", "", ""),
    ("later words", GitHub, "Depends on:\n- [ ] #2\n\nNothing that it depends on\nis here", "", "", ""),
    ("narrow box", GitHub, "Depends on:\n-[]#2", "o/r#2", "", ""),
    ("empty box", GitHub, "Depends on:\n- [ ]\n- [ ] #2", "o/r#2", "", ""),
    ("no body", GitHub, "", "", "", ""),
    ("code and comments", GitHub, "<!-- Depends on:\n- [ ] #2\n-->", "o/r#2", "", ""),
    ("URL", GitHub, "Depends on:\n- [ ] https://github.com/a/b/pull/2/files#r1", "a/b#2", "", ""),
    ("URL in words", GitHub, "Depends on:\n- [ ] see [x](https://www.github.com/a/b/pull/2) there", "a/b#2", "", ""),
    ("URL with #", GitHub, "Depends on:\n- [ ] https://github.com/a/b#2", "a/b#2", "", ""),
    ("URL first", GitHub, "Depends on:\n- [ ] #9 a/b#8 https://github.com/a/b/pull/2", "a/b#2", "", ""),
    ("named before number", GitHub, "Depends on:\n- [ ] #9 or a/b#2", "a/b#2", "", ""),
    ("backticks", GitHub, "Depends on:\n- [ ] `a/b#2`", "a/b#2", "", ""),
    ("no owner means the own repository", GitHub, "Depends on:\n- [ ] b#2", "o/r#2", "", ""),
    ("other forms", GitHub, "Depends on:\n- [ ] https://github.com/a/b/issues/2\n- [ ] GH-3\n- [ ] !4", "", "", ""),
    ("Enterprise", Enterprise, "Depends on:\n- [ ] a/b#2", "github.com/a/b#2", "", ""),
    ("other service by URL", GitHub, "Depends on:\n- [ ] https://gitlab.com/x/q/-/merge_requests/2", "gitlab.com/x/q#2", "", ""),
    ("other service by URL alone", GitLab, "Depends on:\n- [ ] a/b#2\n- [ ] https://github.com/a/b/pull/3", "github.com/a/b#3", "", ""),
    ("unknown service", GitHub, "Depends on:\n- [ ] https://x.org/a/b/pull/2\n- [ ] #3", "o/r#3", "", "no such service"),
    ("unknown service, words behind", GitHub, "Depends on:\n- [ ] https://x.org/a/b/pull/2 there", "", "", ""),
    ("unknown service, no page", GitHub, "Depends on:\n- [ ] ftp://x.org/a/b/pull/2", "", "", ""),
    ("GitLab, slashes", GitLab, "Depends on:\n- [ ] /x/q!2\n- [ ] x//q!3", "", "", ""),
    ("GitLab", GitLab, "Depends on:\n- [ ] !2\n- [ ] q!3\n- [ ] x/y/q!4", "g/s/p#2 | g/s/q#3 | x/y/q#4", "", ""),
    ("GitLab, words", GitLab, "Depends on:\n- [ ] see !2\n- [ ] !3 there\n- [ ] #4", "", "", ""),
    ("GitLab, URL", GitLab, "Depends on:\n- [ ] https://gitlab.com/x/q/-/merge_requests/2#note_1", "x/q#2", "", ""),
    ("GitLab, URL with a suffix", GitLab, "Depends on:\n- [ ] https://gitlab.com/x/q/-/merge_requests/2/diffs", "", "", ""),
    ("Gitea", Gitea, "Depends on:\n- [ ] #2", "", "", ""),
    ("itself, twice", GitHub, "Depends on:\n- [ ] #1\n- [ ] #2\n- [ ] #2", "o/r#2", "", "refers to itself"),
];

#[rustfmt::skip]
pub(super) const ZUUL: &[Row] = &[
    ("line", GitHub, "Depends-On: https://github.com/a/b/pull/2", "a/b#2", "", ""),
    ("line", GitHub, "text\ndepends-on:https://github.com/a/b/pull/2\r\nDEPENDS-ON:\thttps://github.com/a/b/pull/3", "a/b#2 | a/b#3", "", ""),
    ("in code and comments", GitHub, "```\nDepends-On: https://github.com/a/b/pull/2\n```\n<!--\nDepends-On: https://github.com/a/b/pull/3\n-->", "a/b#2 | a/b#3", "", ""),
    ("not at the beginning", GitHub, "- Depends-On: https://github.com/a/b/pull/2\n> Depends-On: https://github.com/a/b/pull/3\n  Depends-On: https://github.com/a/b/pull/4", "", "", ""),
    ("other phrase", GitHub, "Depends on: https://github.com/a/b/pull/2\nDepends-On : https://github.com/a/b/pull/3", "", "", ""),
    ("short forms", GitHub, "Depends-On: #2\nDepends-On: a/b#3", "", "", "addresses alone | addresses alone"),
    ("marks", GitHub, "Depends-On: <https://github.com/a/b/pull/2>\nDepends-On: [x](https://github.com/a/b/pull/3)", "", "", "addresses alone | addresses alone"),
    ("two in a line", GitHub, "Depends-On: https://github.com/a/b/pull/2 https://github.com/a/b/pull/3", "a/b#2", "", ""),
    ("suffix", GitHub, "Depends-On: https://github.com/a/b/pull/2/files\nDepends-On: https://github.com/a/b/pull/3#issuecomment-2\nDepends-On: https://github.com/a/b/pull/4 (because)", "a/b#2 | a/b#3 | a/b#4", "", ""),
    ("suffix", GitHub, "Depends-On: https://github.com/a/b/pull/2abc", "a/b#2", "", ""),
    ("twice", GitHub, "Depends-On: https://github.com/a/b/pull/2\nDepends-On: https://github.com/a/b/pull/2", "a/b#2", "", ""),
    ("empty", GitHub, "Depends-On:\nDepends-On:  \nhttps://github.com/a/b/pull/2", "", "", ""),
    ("unknown host", GitHub, "Depends-On: https://x.org/a/b/pull/2", "", "", "no configured forge"),
    ("issue", GitHub, "Depends-On: https://github.com/a/b/issues/2", "", "", "not a change's"),
    ("other URL", GitHub, "Depends-On: https://github.com/a/b#2", "", "", "not a change's"),
    ("no number", GitHub, "Depends-On: https://github.com/a/b/pull/new", "", "", "Zuul drops it: an address that"),
    ("GitLab", GitHub, "Depends-On: https://gitlab.com/x/q/-/merge_requests/2/diffs", "gitlab.com/x/q#2", "", ""),
    ("itself", GitHub, "Depends-On: https://github.com/o/r/pull/1", "", "", "refers to itself"),
];

#[test]
fn autoproj_is_read_as_its_daemon_does() {
    check(Grammar::Autoproj, AUTOPROJ);
}

#[test]
fn zuul_is_read_as_it_does() {
    check(Grammar::Zuul, ZUUL);
}

#[test]
fn boxes_keep_their_lines() {
    let body = "Depends on:\n\n- [x] #2\n\n- [ ]\n- [ ] #3\n  - [ ] #4\n";
    let found = read_by(Grammar::Autoproj, On::GitHub, body);
    let lines: Vec<(&str, u32)> =
        found.references.iter().map(|w| (w.as_written.as_str(), w.line)).collect();
    assert_eq!(lines, [("- [ ] #3", 6), ("#4", 7)]);
}
