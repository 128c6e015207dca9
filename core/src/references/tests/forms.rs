//! Rule 3: what a reference is, how several are separated, and what can be none.

use super::On::{Enterprise, GitHub, GitLab, Gitea};
use super::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // Short forms, each on each kind of forge.
    ("3 own number", GitHub, "Depends on: #12", "o/r#12", "", ""),
    ("3 own number", Gitea, "Depends on: #12", "o/r#12", "", ""),
    ("3 own number", GitLab, "Depends on: !12", "g/s/p#12", "", ""),
    ("3 own number, Gitea takes both", Gitea, "Depends on: !12", "o/r#12", "", ""),
    ("3 own number, an issue", GitLab, "Depends on: #12", "", "for a merge request write !12", ""),
    ("3 own number, an issue", GitLab, "Depends on: #12, !13", "g/s/p#13", "for a merge request write !12", ""),
    ("3 own number, other sign", GitHub, "Depends on: !12", "", "for a pull request write #12", ""),
    ("3 own number, other sign", GitHub, "Depends on: !12, #13", "o/r#13", "for a pull request write #12", ""),
    ("3 leading zeros", GitHub, "Depends on: #012", "o/r#12", "", ""),
    ("3 named", GitHub, "Depends on: a/b#12", "a/b#12", "", ""),
    ("3 named", Gitea, "Depends on: a/b#12", "a/b#12", "", ""),
    ("3 named, Gitea takes both", Gitea, "Depends on: a/b!12", "a/b#12", "", ""),
    ("3 named, case folded", GitHub, "Depends on: Rock-Core/Base-Types#12", "rock-core/base-types#12", "", ""),
    ("3 named, signs", GitHub, "Depends on: a.b-c/d_e.f#12", "a.b-c/d_e.f#12", "", ""),
    ("3 named, .git", GitHub, "Depends on: a/b.git#12", "a/b#12", "", ""),
    ("3 named, other sign", GitHub, "Depends on: a/b!12", "", "for a pull request write a/b#12", ""),
    ("3 named, three parts", GitHub, "Depends on: a/b/c#12", "", "written OWNER/NAME", ""),
    ("3 named, three parts", Gitea, "Depends on: a/b/c#12", "", "written OWNER/NAME", ""),
    ("3 named, leading out", GitHub, "Depends on: ../b#12", "", "`..`", ""),
    ("3 named, sibling", GitLab, "Depends on: q!12", "g/s/q#12", "", ""),
    ("3 named, group", GitLab, "Depends on: x/q!12", "x/q#12", "", ""),
    ("3 named, groups", GitLab, "Depends on: x/y/z/q!12", "x/y/z/q#12", "", ""),
    ("3 named, an issue", GitLab, "Depends on: q#12", "", "for a merge request write q!12", ""),
    ("3 named, an issue", GitLab, "Depends on: x/q#12", "", "for a merge request write x/q!12", ""),
    ("3 no owner", GitHub, "Depends on: b#12", "?b#12", "write OWNER/b#12", ""),
    ("3 no owner", Gitea, "Depends on: B!12", "?b#12", "write OWNER/b#12", ""),
    ("3 no owner, once", GitHub, "Depends on: b#12 B#12", "?b#12", "write OWNER/b#12 | write OWNER/b#12", ""),
    ("3 no owner, number 0", GitHub, "Depends on: b#0", "", "from 1", ""),
    ("3 forge", GitHub, "Depends on: gitlab:x/q!12", "gitlab.com/x/q#12", "", ""),
    ("3 forge, by host", GitHub, "Depends on: gitlab.com:x/y/q!12", "gitlab.com/x/y/q#12", "", ""),
    ("3 forge, host in any case", GitHub, "Depends on: GitLab.com:x/q!12", "gitlab.com/x/q#12", "", ""),
    ("3 forge, host with a port", GitHub, "Depends on: code.example.org:8443:a/b#12", "code.example.org:8443/a/b#12", "", ""),
    ("3 forge", GitLab, "Depends on: github:a/b#12", "github.com/a/b#12", "", ""),
    ("3 forge", GitLab, "Depends on: mirror:deep/path/b#12", "mirror/deep/path/b#12", "", ""),
    ("3 forge, its own spelling", GitHub, "Depends on: gitlab:x/q#12", "", "for a merge request write gitlab:x/q!12", ""),
    ("3 forge, its own spelling", GitLab, "Depends on: github:a/b!12", "", "for a pull request write github:a/b#12", ""),
    ("3 forge, its own spelling", GitLab, "Depends on: mirror:b!12", "", "written with #", ""),
    ("3 forge, plain git keeps case", GitHub, "Depends on: mirror:B#12", "mirror/B#12", "", ""),
    ("3 forge, plain git has any letter", GitHub, "Depends on: mirror:gruß/b#12", "mirror/gruß/b#12", "", ""),
    ("3 forge, plain git has no marks", GitHub, "Depends on: mirror:a(b#12", "", "", ""),
    ("3 named, no such letter", GitHub, "Depends on: a/gruß#12", "", "", ""),
    ("3 named, no such letter", GitHub, "Depends on: a/b=c#12", "", "", ""),
    ("3 forge, no repository", GitHub, "Depends on: gitlab:!12", "", "names no repository", ""),
    ("3 forge, no group", GitHub, "Depends on: gitlab:q!12", "", "written GROUP/NAME", ""),
    ("3 forge, no owner", GitLab, "Depends on: github:b#12", "?b#12", "write OWNER/b#12", ""),
    ("3 forge, own one", GitLab, "Depends on: gitlab:q!12", "g/s/q#12", "", ""),
    ("3 forge, unconfigured", GitHub, "Depends on: bitbucket:a/b#12, #13", "o/r#13", "no configured forge", ""),
    ("3 forge, scp form", GitHub, "Depends on: git@github.com:a/b#12", "", "no configured forge", ""),

    // Addresses.
    ("3 URL", GitHub, "Depends on: https://github.com/a/b/pull/12", "a/b#12", "", ""),
    ("3 URL, http", GitHub, "Depends on: http://github.com/a/b/pull/12", "a/b#12", "", ""),
    ("3 URL, scheme and host in any case", GitHub, "Depends on: HTTPS://GitHub.COM/a/b/pull/12", "a/b#12", "", ""),
    ("3 URL, www", GitHub, "Depends on: https://www.github.com/a/b/pull/12", "a/b#12", "", ""),
    ("3 URL, port", GitHub, "Depends on: https://github.com:443/a/b/pull/12", "a/b#12", "", ""),
    ("3 URL, other port", GitHub, "Depends on: https://github.com:444/a/b/pull/12", "", "no configured forge", ""),
    ("3 URL, doubled and final slashes", GitHub, "Depends on: https://github.com//a/b/pull/12/", "a/b#12", "", ""),
    ("3 URL, suffix", GitHub, "Depends on: https://github.com/a/b/pull/12/files", "a/b#12", "", ""),
    ("3 URL, suffix", GitHub, "Depends on: https://github.com/a/b/pull/12/commits/0123456789", "a/b#12", "", ""),
    ("3 URL, suffix", GitHub, "Depends on: https://github.com/a/b/pull/12.diff https://github.com/a/b/pull/13.patch", "a/b#12 | a/b#13", "", ""),
    ("3 URL, query", GitHub, "Depends on: https://github.com/a/b/pull/12?w=1&diff=split", "a/b#12", "", ""),
    ("3 URL, fragment", GitHub, "Depends on: https://github.com/a/b/pull/12#issuecomment-99", "a/b#12", "", ""),
    ("3 URL, fragment that looks like a number", GitHub, "Depends on: https://github.com/a/b/pull/12#99", "a/b#12", "", ""),
    ("3 URL, all three", GitHub, "Depends on: https://github.com/a/b/pull/12/files?w=1#r5", "a/b#12", "", ""),
    ("3 URL, percent escapes", GitHub, "Depends on: https://github.com/a/%62/pull/12", "a/b#12", "", ""),
    ("3 URL, hidden slash", GitHub, "Depends on: https://github.com/a/b%2Fc/pull/12", "", "not a change", ""),
    ("3 URL in <…>", GitHub, "Depends on: <https://github.com/a/b/pull/12>", "a/b#12", "", ""),
    ("3 URL of a link", GitHub, "Depends on: [the parser](https://github.com/a/b/pull/12)", "a/b#12", "", ""),
    ("3 URL of a link with a title", GitHub, "Depends on: [the *parser*](https://github.com/a/b/pull/12 \"x\") and [y](<https://github.com/a/b/pull/13>)", "a/b#12 | a/b#13", "", ""),
    ("3 URL of a link, not its text", GitHub, "Depends on: [a/b#7](https://github.com/a/b/pull/12)", "a/b#12", "", ""),
    ("3 URL of a link by reference", GitHub, "Depends on: [the parser][p]\n\n[p]: https://github.com/a/b/pull/12", "a/b#12", "", ""),
    ("3 link inside the page", GitHub, "Depends on: [the parser](#12)", "", "", ""),
    ("3 link elsewhere", GitHub, "Depends on: [the parser](https://example.org/x)", "", "", "not a change's"),
    ("3 text beside a relative link", GitHub, "Depends on: [a/b#12](../../b/pull/12)", "a/b#12", "", ""),
    ("3 URL with _", GitHub, "Depends on: https://github.com/a/_b_/pull/12", "a/_b_#12", "", ""),
    ("3 URL with __", GitHub, "Depends on: https://github.com/__a__/b_c/pull/12", "__a__/b_c#12", "", ""),
    ("3 URL of an issue", GitHub, "Depends on: https://github.com/a/b/issues/12", "a/b#12", "", ""),
    ("3 URL of an issue", Gitea, "Depends on: https://gitea.example.org/a/b/issues/12", "a/b#12", "", ""),
    ("3 URL of an issue", GitLab, "Depends on: https://gitlab.com/x/q/-/issues/12", "", "for a merge request write !12", ""),
    ("3 URL", Gitea, "Depends on: https://gitea.example.org/a/b/pulls/12/files", "a/b#12", "", ""),
    ("3 URL", GitLab, "Depends on: https://gitlab.com/x/y/q/-/merge_requests/12/diffs", "x/y/q#12", "", ""),
    ("3 URL, older form", GitLab, "Depends on: https://gitlab.com/x/q/merge_requests/12#note_1", "x/q#12", "", ""),
    ("3 URL, prefix of the forge", GitHub, "Depends on: https://git.example.org/lab/x/q/-/merge_requests/12", "git.example.org/x/q#12", "", ""),
    ("3 URL, beside the prefix", GitHub, "Depends on: https://git.example.org/x/q/-/merge_requests/12", "", "no configured forge", ""),
    ("3 URL, port of the forge", GitHub, "Depends on: https://code.example.org:8443/a/b/pull/12", "code.example.org:8443/a/b#12", "", ""),
    ("3 URL, another forge", GitLab, "Depends on: https://github.com/a/b/pull/12", "github.com/a/b#12", "", ""),
    ("3 URL, plain git", GitHub, "Depends on: https://mirror.example.org/git/a/b#12", "mirror/a/b#12", "", ""),
    ("3 URL, plain git", GitHub, "Depends on: https://mirror.example.org/git/a/B.git/pull/12", "mirror/a/B#12", "", ""),
    ("3 URL, plain git knows no issues", GitHub, "Depends on: https://mirror.example.org/git/a/b/issues/12", "", "", "not a change's"),
    ("3 URL of a repository with #", GitHub, "Depends on: https://github.com/a/b#12", "a/b#12", "", ""),
    ("3 URL of a repository with !", GitLab, "Depends on: https://gitlab.com/x/q!12", "x/q#12", "", ""),
    ("3 URL of a repository, other sign", GitLab, "Depends on: https://gitlab.com/x/q#12", "", "for a merge request write !12", ""),
    ("3 URL, form of another forge", GitHub, "Depends on: https://github.com/a/b/-/merge_requests/12", "", "/pull/12", ""),
    ("3 URL, form of another forge", Gitea, "Depends on: https://gitea.example.org/a/b/merge_requests/12", "", "/pulls/12", ""),
    ("3 URL, form of another forge", GitLab, "Depends on: https://gitlab.com/x/q/pull/12", "", "/-/merge_requests/12", ""),
    ("3 URL, a name like the form", GitHub, "Depends on: https://github.com/pull/pull/pull/12", "pull/pull#12", "", ""),
    ("3 URL, no repository", GitHub, "Depends on: https://github.com/a/pull/12", "", "written OWNER/NAME", ""),
    ("3 URL, no repository", GitHub, "Depends on: https://x.org/pull/12", "", "x.org", ""),
    ("3 URL, too deep", GitHub, "Depends on: https://github.com/x/a/b/pull/12", "", "written OWNER/NAME", ""),
    ("3 URL, user", GitHub, "Depends on: https://me@github.com/a/b/pull/12", "", "user in it", ""),
    ("3 URL, password", GitHub, "Depends on: https://me:hunter2@github.com/a/b/pull/12", "", "user in it", ""),
    ("3 URL, user on an unknown host", GitHub, "Depends on: https://me@evil.example.org/a/b/pull/12", "", "user in it", ""),
    ("3 URL, host that hides one", GitHub, "Depends on: https://github.com\\@evil.example.org/a/b/pull/12", "", "user in it", ""),
    ("3 URL, host that ends like one", GitHub, "Depends on: https://evilgithub.com/a/b/pull/12", "", "no configured forge", ""),
    ("3 URL, host that begins like one", GitHub, "Depends on: https://github.com.evil.org/a/b/pull/12", "", "no configured forge", ""),
    ("3 URL, unconfigured host", GitHub, "Depends on: https://elsewhere.org/a/b/pull/12, #13", "o/r#13", "elsewhere.org", ""),
    ("3 URL, unconfigured host", GitLab, "Depends on: https://elsewhere.org/x/q/-/merge_requests/12", "", "elsewhere.org", ""),
    ("3 URL, unconfigured host, an issue", GitHub, "Depends on: https://elsewhere.org/a/b/issues/12", "", "", "elsewhere.org"),
    ("3 URL, ssh", GitHub, "Depends on: ssh://git@github.com/a/b/pull/12", "", "", "begin with https"),
    ("3 URL, another scheme", GitHub, "Depends on: ftp://github.com/a/b/pull/12", "", "", "scheme"),
    ("3 other URL", GitHub, "Depends on: https://example.org/design.html, #12", "o/r#12", "", "not a change's"),
    ("3 other URL", GitHub, "Depends on: https://github.com/a/b", "", "", "not a change's"),
    ("3 other URL", GitHub, "Depends on: https://github.com/a/b/commit/0123456789", "", "", "not a change's"),
    ("3 other URL", GitLab, "Depends on: https://gitlab.com/x/q/-/work_items/12", "", "", "not a change's"),

    // Numbers.
    ("3 number 0", GitHub, "Depends on: #0", "", "from 1", ""),
    ("3 number 0, told once", GitHub, "Depends on: #0 #0", "", "from 1", ""),
    ("3 number 0, told as each is written", GitHub, "Depends on: #0 o/r#0", "", "from 1 | from 1", ""),
    ("3 number 0", GitLab, "Depends on: !0", "", "from 1", ""),
    ("3 number 0", GitHub, "Depends on: https://github.com/a/b/pull/0", "", "from 1", ""),
    ("3 largest number", GitHub, "Depends on: #9223372036854775807", "o/r#9223372036854775807", "", ""),
    ("3 too large a number", GitHub, "Depends on: #9223372036854775808", "", "too large", ""),
    ("3 too large a number", GitHub, "Depends on: a/b#99999999999999999999999999", "", "too large", ""),
    ("3 too large a number", GitLab, "Depends on: https://gitlab.com/x/q/-/merge_requests/99999999999999999999", "", "too large", ""),
    ("3 no number", GitHub, "Depends on: #-2", "", "", ""),
    ("3 no number", GitHub, "Depends on: #12abc", "", "", ""),
    ("3 no number", GitHub, "Depends on: #", "", "", ""),
    ("3 no number", GitHub, "Depends on: a/b#", "", "", ""),
    ("3 no number", GitHub, "Depends on: https://github.com/a/b/pull/new", "", "", "not a change's"),
    ("3 no ASCII digit", GitHub, "Depends on: #１２", "", "", ""),
    ("3 other spelling", GitHub, "Depends on: GH-12", "", "", ""),

    // Separators.
    ("3 commas", GitHub, "Depends on: #2, #3,#4", "o/r#2 | o/r#3 | o/r#4", "", ""),
    ("3 semicolons", GitHub, "Depends on: #2; #3;#4", "o/r#2 | o/r#3 | o/r#4", "", ""),
    ("3 spaces", GitHub, "Depends on: #2 #3\t#4\u{a0}#5", "o/r#2 | o/r#3 | o/r#4 | o/r#5", "", ""),
    ("3 and", GitHub, "Depends on: #2 and #3 AND #4", "o/r#2 | o/r#3 | o/r#4", "", ""),
    ("3 &", GitHub, "Depends on: #2 & #3&#4 &amp; #5", "o/r#2 | o/r#3 | o/r#4 | o/r#5", "", ""),
    ("3 +", GitHub, "Depends on: #2 + #3+#4", "o/r#2 | o/r#3 | o/r#4", "", ""),
    ("3 wide separators", GitHub, "Depends on: #2，#3；#4、#5\u{3000}#6", "o/r#2 | o/r#3 | o/r#4 | o/r#5 | o/r#6", "", ""),
    ("3 several at once", GitHub, "Depends on: #2, and #3;; & #4", "o/r#2 | o/r#3 | o/r#4", "", ""),
    ("3 links", GitHub, "Depends on: [a](https://github.com/a/b/pull/2),[b](https://github.com/a/b/pull/3)", "a/b#2 | a/b#3", "", ""),
    ("3 no separator", GitHub, "Depends on: #2/#3", "", "", ""),
    ("3 no separator", GitHub, "Depends on: #2 or #3", "o/r#2", "", ""),
    ("3 no separator", GitHub, "Depends on: #2 - #3", "o/r#2", "", ""),
    ("3 stops at another word", GitHub, "Depends on: #2 once it is merged, #3", "o/r#2", "", ""),
    ("3 stops at a parenthesis", GitHub, "Depends on: #2 (supersedes #9), #3", "o/r#2", "", ""),
    ("3 stops behind a colon", GitHub, "Depends on: #2: the parser, #3", "o/r#2", "", ""),
    ("3 stops behind a question", GitHub, "Depends on: #2? #3", "o/r#2", "", ""),
    ("3 goes on behind an impossible one", GitHub, "Depends on: #0 #2", "o/r#2", "from 1", ""),
    ("3 final .", GitHub, "Depends on: #2.", "o/r#2", "", ""),
    ("3 final .", GitHub, "Depends on: a/b#2, https://github.com/a/b/pull/3.", "a/b#2 | a/b#3", "", ""),
    ("3 final .", GitHub, "Depends on: [a](https://github.com/a/b/pull/2).", "a/b#2", "", ""),
    ("3 two of them", GitHub, "Depends on: #2..", "o/r#2", "", ""),
    ("3 address with punctuation behind it", GitHub, "Depends on: https://github.com/a/b/pull/2)", "a/b#2", "", ""),

    // Counting.
    ("3 once", GitHub, "Depends on: #2, #2, o/r#2, O/R#2, https://github.com/o/r/pull/2/files", "o/r#2", "", ""),
    ("4 itself", GitHub, "Depends on: #1", "", "", "refers to itself"),
    ("4 itself", GitHub, "Depends on: https://github.com/O/R/pull/1, #2", "o/r#2", "", "refers to itself"),
    ("4 itself", GitLab, "Depends on: !1 p!1", "", "", "refers to itself | refers to itself"),
    ("4 another's number", GitHub, "Depends on: a/b#1", "a/b#1", "", ""),
    ("3 Enterprise", Enterprise, "Depends on: #2 a/b#3 github:a/b#4", "o/r#2 | a/b#3 | github.com/a/b#4", "", ""),
];

#[test]
fn forms_of_references() {
    check(Grammar::Default, ROWS);
}

#[test]
fn a_password_is_not_repeated() {
    let found = read_on(On::GitHub, "Depends on: https://me:hunter2@github.com/a/b/pull/12");
    assert_eq!(found.findings[0].as_written, "https://…@github.com/a/b/pull/12");
    let found = read_on(On::GitHub, "Depends on: https://me:hunter2@example.org/x");
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[test]
fn which_forges_there_are_is_not_said() {
    let found = read_on(On::GitHub, "Depends on: x:a/b#1 https://x.org/a/b/pull/1 !3 a/b/c#2");
    assert_eq!(found.findings.len(), 4);
    for name in ["mirror", "inner", "enterprise", "code.example.org", "git.example.org"] {
        assert!(!format!("{found:?}").contains(name), "{name}: {found:?}");
    }
}

#[test]
fn a_hundred_references_count() {
    let many: Vec<String> = (2..5000).map(|number| format!("#{number}")).collect();
    let found = read_on(On::GitHub, &format!("Depends on: {}", many.join(" ")));
    assert_eq!(found.references.len(), MAX_REFERENCES);
    assert_eq!(found.findings.len(), 1);
    assert!(found.findings[0].text.contains("only the first 100"));

    let short: Vec<String> = (2..5000).map(|number| format!("r#{number}")).collect();
    let found = read_on(On::GitHub, &format!("Depends on: {}", short.join(" ")));
    assert_eq!((found.short.len(), found.findings.len()), (MAX_REFERENCES, MAX_REFERENCES));
    assert!(found.findings.iter().any(|finding| finding.text.contains("only the first 100")));

    let wrong: Vec<String> = (2..5000).map(|number| format!("!{number}")).collect();
    let found = read_on(On::GitHub, &format!("Depends on: {}", wrong.join(" ")));
    assert_eq!((found.references.len(), found.findings.len()), (0, MAX_REFERENCES));
}
