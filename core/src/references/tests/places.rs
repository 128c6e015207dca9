//! Rules 1, 2 and 4: where references count, and where they do not.

use super::On::{GitHub, GitLab};
use super::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // 1: the phrase.
    ("1 phrase", GitHub, "Depends on: #2", "o/r#2", "", ""),
    ("1 phrase", GitHub, "Depends-On: #2", "o/r#2", "", ""),
    ("1 phrase", GitHub, "depend on: #2", "o/r#2", "", ""),
    ("1 phrase in any case", GitHub, "DEPENDS ON: #2", "o/r#2", "", ""),
    ("1 phrase in any case", GitHub, "dEpEnDs-oN: #2", "o/r#2", "", ""),
    ("1 phrase with a NBSP", GitHub, "Depends\u{a0}on: #2", "o/r#2", "", ""),
    ("1 phrase with &nbsp;", GitHub, "Depends&nbsp;on:&nbsp;#2", "o/r#2", "", ""),
    ("1 phrase with wide spaces", GitHub, "Depends   on  :  #2", "o/r#2", "", ""),
    ("1 phrase with a hyphen that does not break", GitHub, "Depends\u{2011}on: #2", "o/r#2", "", ""),
    ("1 full-width colon", GitHub, "Depends on：#2", "o/r#2", "", ""),
    ("1 full-width colon, emphasis", GitHub, "**Depends on：**#2", "o/r#2", "", ""),
    ("1 no space behind the colon", GitHub, "Depends on:#2", "o/r#2", "", ""),
    ("1 emphasis", GitHub, "**Depends on:** #2", "o/r#2", "", ""),
    ("1 emphasis", GitHub, "**Depends on**: #2", "o/r#2", "", ""),
    ("1 emphasis", GitHub, "_Depends on_: **#2**, *#3*", "o/r#2 | o/r#3", "", ""),
    ("1 emphasis", GitHub, "***Depends*** __on__: #2", "o/r#2", "", ""),
    ("1 emphasis that Markdown leaves", GitHub, "**Depends on:**a/b#2", "a/b#2", "", ""),
    ("1 leading emoji", GitHub, "🔗 Depends on: #2", "o/r#2", "", ""),
    ("1 leading emoji", GitHub, "⚠️ Depends on: #2", "o/r#2", "", ""),
    ("1 leading emoji", GitHub, "ℹ️ **Depends on:** #2", "o/r#2", "", ""),
    ("1 leading emoji", GitHub, "1️⃣ Depends on: #2", "o/r#2", "", ""),
    ("1 leading emoji", GitHub, "👩🏽‍💻🇩🇪 Depends on: #2", "o/r#2", "", ""),
    ("1 leading emoji by name", GitHub, ":link: Depends on: #2", "o/r#2", "", ""),
    ("1 leading emoji by name", GitHub, ":+1: :first_place_medal: :100: Depends on: #2", "o/r#2", "", ""),
    ("1 leading emoji by no name", GitHub, ":: Depends on: #2", "", "", ""),
    ("1 leading emoji", GitHub, "#️⃣ Depends on: #2", "o/r#2", "", ""),
    ("1 leading image", GitHub, "![](https://x.org/i.png) Depends on: #2", "o/r#2", "", ""),
    ("1 leading emoji and image", GitHub, "🔗 ![](https://x.org/i.png) Depends on: #2", "o/r#2", "", ""),
    ("1 text of an image", GitHub, "![Depends on: #2](https://x.org/i.png)", "", "", ""),
    ("1 text of an image, a link in it", GitHub, "![[b](#x) Depends on: #2](https://x.org/i.png)", "", "", ""),
    ("1 image in a link", GitHub, "Depends on: [![x](https://x.org/i.png)](https://github.com/a/b/pull/2) #3", "a/b#2 | o/r#3", "", ""),
    ("1 other beginning", GitHub, "This depends on: #2", "", "", ""),
    ("1 other beginning", GitHub, "Note: depends on #2", "", "", ""),
    ("1 other beginning", GitHub, "(Depends on: #2)", "", "", ""),
    ("1 other beginning", GitHub, "“Depends on: #2”", "", "", ""),
    ("1 other phrase", GitHub, "Depends upon: #2", "", "", ""),
    ("1 other phrase", GitHub, "Depend: #2", "", "", ""),
    ("1 other phrase", GitHub, "Dependson: #2", "", "", ""),
    ("1 other phrase", GitHub, "Depends ones: #2", "", "", ""),
    ("1 other phrase", GitHub, "Blocked by: #2", "", "", ""),
    ("1 other phrase", GitHub, "Fixes #2", "", "", ""),
    ("1 lines of a paragraph", GitHub, "Text\nDepends on: #2\nMore\nDepends-On: #3", "o/r#2 | o/r#3", "", ""),
    ("1 lines by <br>", GitHub, "Text<br>Depends on: #2<br/>Depends on: #3", "o/r#2 | o/r#3", "", ""),
    ("1 lines with CRLF", GitHub, "Text\r\nDepends on: #2\r\n\r\nDepends on: #3\r\n", "o/r#2 | o/r#3", "", ""),
    ("1 list marker", GitHub, "- Depends on: #2\n* Depends on #3\n\n1. Depends on: #4", "o/r#2 | o/r#3 | o/r#4", "", ""),
    ("1 box", GitHub, "- [ ] Depends on: #2", "o/r#2", "", ""),
    ("1 ticked box", GitHub, "- [x] Depends on: #2", "", "", ""),
    ("1 heading", GitHub, "## Depends on: #2", "o/r#2", "", ""),
    ("1 heading", GitHub, "### Depends on #2, #3", "o/r#2 | o/r#3", "", ""),
    ("1 next line does not belong to it", GitHub, "Depends on: #2,\n#3", "o/r#2", "", ""),

    // 1: without a colon.
    ("1 no colon", GitHub, "Depends on #2", "o/r#2", "", ""),
    ("1 no colon", GitHub, "Depends on a/b#2 and #3.", "a/b#2 | o/r#3", "", ""),
    ("1 no colon", GitHub, "Depends-on https://github.com/a/b/pull/2", "a/b#2", "", ""),
    ("1 no colon", GitHub, "**Depends on** #2 & #3", "o/r#2 | o/r#3", "", ""),
    ("1 no colon", GitHub, "Depends on [x](https://github.com/a/b/pull/2)", "a/b#2", "", ""),
    ("1 no colon, one parenthesis", GitHub, "Depends on #2 (the parser)", "o/r#2", "", ""),
    ("1 no colon, one parenthesis", GitHub, "Depends on #2 (the parser, see #9).", "o/r#2", "", ""),
    ("1 no colon, one parenthesis", GitHub, "Depends on #2 (the parser), #3", "o/r#2 | o/r#3", "", ""),
    ("1 no colon, one parenthesis", GitHub, "Depends on #2 (the [parser](https://x.org) (new))", "o/r#2", "", ""),
    ("1 no colon, two parentheses", GitHub, "Depends on #2 (a) (b)", "", "", "a colon belongs"),
    ("1 no colon, open parenthesis", GitHub, "Depends on #2 (a", "", "", "a colon belongs"),
    ("1 no colon, other words", GitHub, "Depends on #2 being merged first", "", "", "a colon belongs"),
    ("1 no colon, other words", GitHub, "Depends on the fix in #2", "", "", "a colon belongs"),
    ("1 no colon, other words", GitHub, "Depends on the weather", "", "", ""),
    ("1 no colon, impossible", GitHub, "Depends on #0", "", "from 1", ""),
    ("1 no colon, GitLab", GitLab, "Depends on #2", "", "for a merge request write !2", ""),
    ("1 no colon, other URL", GitHub, "Depends on https://example.org/x", "", "", "not a change's"),

    // 1: with a colon, nothing read.
    ("1 words first", GitHub, "Depends on: the fix in #2", "", "", "behind the colon only"),
    ("1 words first", GitHub, "Depends on: (#2)", "", "", "behind the colon only"),
    ("4 no reference-like token", GitHub, "Depends on: the weather", "", "", ""),
    ("4 no reference-like token", GitHub, "Depends on: none", "", "", ""),
    ("4 no reference-like token", GitHub, "Depends on: n/a", "", "", ""),
    ("4 no reference-like token", GitHub, "Depends on: libfoo >= 2", "", "", ""),
    ("4 no reference-like token", GitHub, "Depends on: @somebody and C++", "", "", ""),
    ("4 no reference-like token", GitHub, "Depends on: #<number>", "", "", ""),
    ("4 no reference-like token", GitHub, "Depends on:", "", "", ""),
    ("4 no reference-like token", GitHub, "", "", "", ""),

    // 1: tables.
    ("1 row", GitHub, "| Key | Value |\n|---|---|\n| Depends on | #2, #3 |", "o/r#2 | o/r#3", "", ""),
    ("1 row with a colon", GitHub, "| Key | Value |\n|---|---|\n| **Depends on:** | #2 |", "o/r#2", "", ""),
    ("1 header row", GitHub, "| Depends on | a/b#2 |\n|---|---|\n| Fixes | #3 |", "a/b#2", "", ""),
    ("1 row with words behind", GitHub, "| K | V |\n|---|---|\n| Depends on | #2 (see #3) |", "o/r#2", "", ""),
    ("1 row with other words behind", GitHub, "| K | V |\n|---|---|\n| Depends on | #2 for the parser |", "o/r#2", "", ""),
    ("1 row in the first cell", GitHub, "| K | V |\n|---|---|\n| Depends on: #2 | open |", "o/r#2", "", ""),
    ("1 row of three cells", GitHub, "| K | V | W |\n|---|---|---|\n| Depends on | #2 | open |", "", "", ""),
    ("1 row of one cell", GitHub, "| K |\n|---|\n| Depends on: #2 |", "", "", ""),
    ("1 row with another key", GitHub, "| K | V |\n|---|---|\n| Blocks | #2 |", "", "", ""),
    ("1 row without a table", GitHub, "| Depends on | #2 |", "", "", ""),
    ("4 row with struck text", GitHub, "| K | V |\n|---|---|\n| Depends on | ~~#2~~ #3 |", "o/r#3", "", ""),
    ("4 row with code", GitHub, "| K | V |\n|---|---|\n| Depends on | `#2` |", "", "", "it is code"),

    // 2: headings and summaries.
    ("2 heading", GitHub, "## Depends on\n\n- #2\n- a/b#3", "o/r#2 | a/b#3", "", ""),
    ("2 heading with a colon", GitHub, "# Depends on:\n* #2", "o/r#2", "", ""),
    ("2 heading, underlined", GitHub, "Depends on\n----------\n\n- #2", "o/r#2", "", ""),
    ("2 heading with emoji and emphasis", GitHub, "### 🔗 **Depends on** ###\n- #2", "o/r#2", "", ""),
    ("2 heading, first list", GitHub, "## Depends on\n\nSome words.\n\n- #2\n\nMore.\n\n- #3", "o/r#2", "", ""),
    ("2 heading, next heading", GitHub, "## Depends on\n\n## Notes\n\n- #2", "", "", ""),
    ("2 heading, next heading", GitHub, "## Depends on\nNone.\n### Details\n\n- #2", "", "", ""),
    ("2 two headings", GitHub, "## Depends on\n- #2\n## Notes\n- #3\n## Depends on\n- #4", "o/r#2 | o/r#4", "", ""),
    ("2 heading that is more", GitHub, "## Depends on libraries\n\n- #2", "", "", ""),
    ("2 heading that is another", GitHub, "## Related\n\n- #2", "", "", ""),
    ("2 heading without a list", GitHub, "## Depends on\n\na/b#2, #3", "", "", "stand in a list"),
    ("2 heading without a list", GitHub, "## Depends on\n\nNothing.", "", "", ""),
    ("2 heading over code", GitHub, "## Depends on\n```\na/b#2\n```", "", "", "it is code"),
    ("2 heading over another marker", GitHub, "## Depends on\n- #2\n* #3", "o/r#2", "", ""),
    ("2 HTML heading", GitHub, "<h2>Depends on</h2>\n\n- #2", "o/r#2", "", ""),
    ("2 summary", GitHub, "<details>\n<summary>Depends on</summary>\n\n- #2\n\n</details>", "o/r#2", "", ""),
    ("2 summary with marks", GitHub, "<details><summary><b>🔗 Depends&nbsp;on:</b></summary>\n\n- #2\n</details>", "o/r#2", "", ""),
    ("2 summary over lines", GitHub, "<details>\n  <summary>\n    Depends on\n  </summary>\n\n- #2\n</details>", "o/r#2", "", ""),
    ("2 summary behind a comment", GitHub, "<details><!-- one --><summary>Depends on</summary>\n\n- #2\n</details>", "o/r#2", "", ""),
    ("2 summary, </details>", GitHub, "<details>\n<summary>Depends on</summary>\n\nNone\n\n</details>\n\n- #2", "", "", ""),
    ("2 summary that is another", GitHub, "<details>\n<summary>Notes</summary>\n\n- #2\n\n</details>", "", "", ""),
    ("2 summary over HTML", GitHub, "<details>\n<summary>Depends on</summary>\n- #2\n</details>", "", "", "empty line above"),
    ("1 summary is a line", GitHub, "<details>\n<summary>Depends on: #2</summary>\n\n- #3\n</details>", "o/r#2", "", ""),

    // 2: a list at once.
    ("2 list at once", GitHub, "Depends on:\n- #2\n- #3", "o/r#2 | o/r#3", "", ""),
    ("2 list at once, no colon", GitHub, "Depends on\n\n- #2", "o/r#2", "", ""),
    ("2 list at once, emphasis", GitHub, "**Depends on:**\n\n1. #2\n2. #3", "o/r#2 | o/r#3", "", ""),
    ("2 list at once, last line", GitHub, "Some words\ndepends-on:\n* #2", "o/r#2", "", ""),
    ("2 list at once, comment between", GitHub, "Depends on:\n<!-- one a line -->\n- #2", "o/r#2", "", ""),
    ("2 list at once, all of them", GitHub, "Depends on:\n- #2\n\nDepends on:\n- #3", "o/r#2 | o/r#3", "", ""),
    ("2 list not at once", GitHub, "Depends on:\n\nthese\n\n- #2", "", "", ""),
    ("2 list not at once", GitHub, "Depends on:\nthese\n- #2", "", "", ""),
    ("2 list not at once", GitHub, "Depends on:\n\n---\n\n- #2", "", "", ""),
    ("2 list behind more than the phrase", GitHub, "Depends on: #2\n- #3", "o/r#2", "", ""),
    ("2 list behind more than the phrase", GitHub, "Depends on these:\n- #3", "", "", ""),
    ("2 no list", GitHub, "Depends on:\n#2", "", "", "stand in a list"),
    ("2 list in an item", GitHub, "- Depends on:\n  - #2\n  - #3\n- #4", "o/r#2 | o/r#3", "", ""),
    ("2 next item", GitHub, "- Depends on:\n- #2", "", "", ""),

    // 2: items.
    ("2 open box", GitHub, "Depends on:\n- [ ] #2\n- [ ] a/b#3", "o/r#2 | a/b#3", "", ""),
    ("2 ticked box", GitHub, "Depends on:\n- [x] #2\n- [ ] #3", "o/r#3", "", ""),
    ("2 ticked box", GitHub, "Depends on:\n- [X] #2\n- [~] #3\n- [ ] #4", "o/r#4", "", ""),
    ("2 ticked box cancels itself alone", GitHub, "Depends on:\n- [x] #2\n  - [ ] #3\n  - #4", "o/r#3 | o/r#4", "", ""),
    ("2 open box with a NBSP", GitHub, "Depends on:\n- [\u{a0}] fix: #2", "o/r#2", "", ""),
    ("2 open box with nothing in it", GitHub, "Depends on:\n- [] the fix #2", "o/r#2", "", ""),
    ("2 box without a space behind it", GitHub, "Depends on:\n- []#2\n- #3", "o/r#3", "", ""),
    ("2 box ticked by hand", GitHub, "Depends on:\n- [~] the old one\n  Depends on: #2\n- #3", "o/r#3", "", ""),
    ("2 open box, words first", GitHub, "Depends on:\n- [ ] the parser: a/b#2", "a/b#2", "", ""),
    ("2 open box, words first", GitHub, "Depends on:\n- [ ] the parser (a/b#2)", "a/b#2", "", ""),
    ("2 open box, words first", GitHub, "Depends on:\n* [ ] see https://x.org/d and a/b#2", "a/b#2", "", "not a change's"),
    ("2 open box, no reference", GitHub, "Depends on:\n- [ ] I have read the rules\n- [ ] tests", "", "", ""),
    ("2 open box, first run", GitHub, "Depends on:\n- [ ] #2 (supersedes #9)", "o/r#2", "", ""),
    ("2 open box, first run", GitHub, "Depends on:\n- [ ] #2, #3 instead of #9", "o/r#2 | o/r#3", "", ""),
    ("2 open box with a line in it", GitHub, "Depends on:\n- [ ] see #9\n  Depends on: #2", "o/r#2", "", ""),
    ("2 ordered box", GitHub, "Depends on:\n1. [ ] #2\n2. [x] #3\n3. [ ] the fix #4", "o/r#2", "", ""),
    ("2 no box", GitHub, "Depends on:\n- #2 the parser\n- a/b#3: the printer", "o/r#2 | a/b#3", "", ""),
    ("2 no box", GitHub, "Depends on:\n- #2 (supersedes #9)", "o/r#2", "", ""),
    ("2 no box", GitHub, "Depends on:\n+ **#2**, #3", "o/r#2 | o/r#3", "", ""),
    ("2 no box, words first", GitHub, "Depends on:\n- the parser #2", "", "", ""),
    ("2 no box, words first", GitHub, "Depends on:\n- see #2\n- #3", "o/r#3", "", ""),
    ("2 no box, parenthesis first", GitHub, "Depends on:\n- (#2)", "", "", ""),
    ("2 ordered", GitHub, "Depends on:\n1. #2\n2) #3", "o/r#2", "", ""),
    ("2 ordered, words first", GitHub, "Depends on:\n1. the parser #2", "", "", ""),
    ("2 phrase in a ticked item", GitHub, "- [x] Depends on:\n  - #2", "o/r#2", "", ""),
    ("2 nested", GitHub, "Depends on:\n- first\n  - #2\n    1. #3\n- [ ] #4", "o/r#2 | o/r#3 | o/r#4", "", ""),
    ("2 nested under a heading", GitHub, "## Depends on\n\n- libs\n\n  - [ ] a/b#2\n\n- tools", "a/b#2", "", ""),
    ("2 item over lines", GitHub, "Depends on:\n- #2,\n  #3", "o/r#2 | o/r#3", "", ""),
    ("2 item, second paragraph", GitHub, "Depends on:\n- #2\n\n  #3 is older", "o/r#2", "", ""),
    ("2 item with a link", GitHub, "Depends on:\n- [the parser](https://github.com/a/b/pull/2)", "a/b#2", "", ""),
    ("2 item with an emoji", GitHub, "Depends on:\n- 🔗 #2", "o/r#2", "", ""),
    ("2 item that is a line", GitHub, "Depends on:\n- Depends on: #2", "o/r#2", "", ""),
    ("2 item, impossible", GitLab, "Depends on:\n- #2\n- !3", "g/s/p#3", "for a merge request write !2", ""),
    ("2 item, other URL", GitHub, "Depends on:\n- https://example.org/x", "", "", "not a change's"),
    ("2 list elsewhere", GitHub, "Changes:\n- #2\n- [ ] #3", "", "", ""),

    // 4: struck text, quotes, alerts.
    ("4 struck", GitHub, "Depends on: ~~#2~~ #3", "o/r#3", "", ""),
    ("4 struck", GitHub, "~~Depends on: #2~~", "", "", ""),
    ("4 struck", GitHub, "Depends on: <del>#2</del> <s>#3</s> #4", "o/r#4", "", ""),
    ("4 struck", GitHub, "Depends on:\n- ~~#2~~\n- ~#3~\n- #4", "o/r#4", "", ""),
    ("4 struck link", GitHub, "Depends on: ~~[a](https://github.com/a/b/pull/2)~~ #3", "o/r#3", "", ""),
    ("4 struck over lines", GitHub, "Depends on: #2 ~~x\ny~~ #3", "o/r#2", "", ""),
    ("4 struck over blocks", GitHub, "<del>\n\nDepends on: #2\n\n</del>\n\nDepends on: #3", "o/r#3", "", ""),
    ("4 struck list under a heading", GitHub, "## Depends on\n\n<del>\n\n- #2\n\n</del>\n\n- #3", "o/r#3", "", ""),
    ("4 struck code", GitHub, "<del>\n\n```\nDepends on: #2\n```\n\n</del>\n\nDepends on: #3", "o/r#3", "", ""),
    ("4 quote", GitHub, "> Depends on: #2", "", "", ""),
    ("4 quote", GitHub, "> Depends on:\n> - #2\n\nDepends on: #3", "o/r#3", "", ""),
    ("4 quote in a list", GitHub, "Depends on:\n- > #2\n- #3", "o/r#3", "", ""),
    ("4 quote under a heading", GitHub, "## Depends on\n\n> - #2\n\n- #3", "o/r#3", "", ""),
    ("4 quote by HTML", GitHub, "<blockquote>\n\nDepends on: #2\n\n</blockquote>\n\nDepends on: #3", "o/r#3", "", ""),
    ("4 alert", GitHub, "> [!NOTE]\n> Depends on: #2", "o/r#2", "", ""),
    ("4 alert", GitHub, "> [!IMPORTANT]\n> Depends on:\n> - #2", "o/r#2", "", ""),
    ("4 quote in an alert", GitHub, "> [!WARNING]\n> > Depends on: #2\n>\n> Depends on: #3", "o/r#3", "", ""),
    ("4 no alert", GitHub, "> [!OTHER]\n> Depends on: #2", "", "", ""),

    // 4: code.
    ("4 item of code", GitHub, "Depends on:\n- `#2`\n- [ ] `a/b#3`", "o/r#2 | a/b#3", "", ""),
    ("4 item of code", GitHub, "Depends on:\n- ` https://github.com/a/b/pull/2 `", "a/b#2", "", ""),
    ("4 item of code, a space and a break", GitHub, "Depends on:\n- `#2` <br>", "o/r#2", "", ""),
    ("4 item of two codes", GitHub, "Depends on:\n- `#2` `#3`", "", "", "it is code | it is code"),
    ("4 item of code with two", GitHub, "Depends on:\n- `#2 #3`", "", "", "it is code"),
    ("4 item of code and more", GitHub, "Depends on:\n- `#2` the parser", "", "", "it is code"),
    ("4 item of code without one", GitHub, "Depends on:\n- `make`", "", "", ""),
    ("4 code", GitHub, "Depends on: `#2`", "", "", "it is code"),
    ("4 code", GitHub, "Depends on: #2 `#3` #4", "o/r#2 | o/r#4", "", "it is code"),
    ("4 code, no colon", GitHub, "Depends on #2 `#3`", "o/r#2", "", "it is code"),
    ("4 code", GitHub, "Depends on: <code>#2</code>", "", "", "it is code"),
    ("4 code", GitHub, "Depends on: `make` #2", "", "", "behind the colon only"),
    ("4 code line", GitHub, "`Depends on: #2`", "", "", "it is code"),
    ("4 code block", GitHub, "```\nDepends on: #2\n```", "", "", "it is code"),
    ("4 code block", GitHub, "    Depends on: #2", "", "", "it is code"),
    ("4 code block without one", GitHub, "```\nDepends on: libfoo\nx = y#2\n```", "", "", ""),
    ("4 code elsewhere", GitHub, "Run `x #2` and see\n\n```\n- #2\n```", "", "", ""),

    // 4: HTML and comments.
    ("4 comment", GitHub, "<!-- Depends on: #2 -->", "", "", ""),
    ("4 comment", GitHub, "<!--\nDepends on:\n\n- [ ] #2\n-->\nDepends on: #3", "o/r#3", "", ""),
    ("4 comment", GitHub, "Depends on: <!-- such as a/b#2 --> #3", "o/r#3", "", ""),
    ("4 comment", GitHub, "Depends on:\n- #3 <!-- not #4 -->\n- <!-- #5 -->", "o/r#3", "", ""),
    ("4 comment without an end", GitHub, "<!-- Depends on: #2\n\n- #3", "", "", ""),
    ("4 line in HTML", GitHub, "<div>\nDepends on: #2\n</div>", "", "", "empty line above"),
    ("4 line in HTML, by <br>", GitHub, "<p>Text<br>Depends on: #2</p>", "", "", "empty line above"),
    ("4 line in HTML, no tag above", GitHub, "<div>\n<3 these\nDepends on: #2", "", "", "empty line above"),
    ("4 comment without an end, in HTML", GitHub, "<div>\n<!--\nDepends on: #2", "", "", ""),
    ("4 line behind HTML", GitHub, "<div>\n\nDepends on: #2\n\n</div>", "o/r#2", "", ""),
    ("4 tags in a line", GitHub, "<b>Depends on:</b> <a href=\"https://x.org\">#2</a>", "o/r#2", "", ""),
    ("4 escape", GitHub, "Depends on: o/r\\#2", "o/r#2", "", ""),
    ("4 image", GitHub, "Depends on: ![#2](https://github.com/a/b/pull/2) #3", "", "", "behind the colon only"),
    ("4 elsewhere", GitHub, "See #2, a/b#3 and https://github.com/a/b/pull/4", "", "", ""),
];

#[test]
fn places_that_count() {
    check(Grammar::Default, ROWS);
}

#[test]
fn each_has_its_line_and_rule() {
    let body = "Depends on: #2\n\n> [!NOTE]\n> Depends on:\n> - #3,\n>   #4\n\n## Depends on\r\n\r\n- `#5`\n\n\
                | Depends on | #6 |\n|---|---|\n\n```\nDepends on: #7\n```\n<div\nid=\"x\">\nDepends on: #8\n";
    let found = read_on(On::GitHub, body);
    let places: Vec<String> = found
        .references
        .iter()
        .map(|written| format!("{} {} {:?}", written.as_written, written.line, written.via))
        .chain(found.notes.iter().map(|note| format!("{} {}", note.as_written, note.line)))
        .collect();
    assert_eq!(
        places,
        ["#2 1 Line", "#3 5 List", "#4 6 List", "#5 10 Section", "#6 12 Row", "#7 16", "#8 20"]
    );
    let json = serde_json::to_string(&found).expect("json");
    assert_eq!(serde_json::from_str::<References>(&json).expect("back"), found);
}

#[test]
fn phrases_of_the_configuration_add_to_the_built_in_ones() {
    let (locator, of) = (locator(), own(On::GitHub));
    let forges = forges(&locator);
    let phrases = ["Needs".to_owned(), "hängt ab von".to_owned(), "depends on the".to_owned()];
    let context = Context { phrases: &phrases, ..Context::new(&of, &forges) };
    let body =
        "needs: #2\nHÄNGT\u{a0}AB VON: #3\nDepends on: #4\nneedsmore: #5\nDepends on the: #6";
    assert_eq!(written(&read(body, &context), On::GitHub), ["o/r#2", "o/r#3", "o/r#4", "o/r#6"]);
    let empty = [String::new(), " ".to_owned()];
    let context = Context { phrases: &empty, ..context };
    assert_eq!(read("#2\n: #3", &context), References::default());
}

#[test]
fn each_reading_of_a_body_is_found_by_itself() {
    let (locator, of) = (locator(), own(On::GitHub));
    let forges = forges(&locator);
    let reading = |grammar, phrases: &[&str]| Reading {
        grammar,
        phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
    };
    let needs = reading(Grammar::Default, &["needs"]);
    let zuul = reading(Grammar::Zuul, &[]);
    let readings = [Reading::default(), needs.clone(), zuul.clone()].into();
    let body = "Depends on: #2\nneeds: #3\nDepends-On: https://github.com/a/b/pull/4";
    let found = read_for(body, &of, &forges, &readings);
    assert_eq!(found.otherwise.len(), 2, "the default reading is not kept twice");
    let by = |reading: &Reading| found.by(reading).map(|found| written(found, On::GitHub));
    assert_eq!(by(&Reading::default()), Some(vec!["o/r#2".to_owned(), "a/b#4".to_owned()]));
    assert_eq!(by(&needs), Some(vec!["o/r#2".to_owned(), "o/r#3".to_owned(), "a/b#4".to_owned()]));
    assert_eq!(by(&zuul), Some(vec!["a/b#4".to_owned()]));
    assert_eq!(by(&reading(Grammar::Autoproj, &[])), None, "it was not read for them");
}

#[test]
fn plain_git_has_no_body() {
    let (locator, of) = (locator(), "mirror/a/b#1".parse().expect("a change"));
    let forges = forges(&locator);
    let context = Context::new(&of, &forges);
    let message = "Title\n\nDepends on: #2\n\nDepends-On: #3, github:a/b#4 gitlab:x/q!5\n";
    let found = read(message, &context);
    let changes: Vec<String> = found.references.iter().map(|w| w.change.to_string()).collect();
    assert_eq!(changes, ["mirror/a/b#3", "github.com/a/b#4", "gitlab.com/x/q#5"]);
}
