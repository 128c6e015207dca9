//! Texts that are written to hurt: bounded answers, linear work.

use proptest::prelude::*;

use super::*;

/// What is repeated to fill a body.
const HOSTILE: &[&str] = &[
    "[",
    "]",
    "![",
    "[a](",
    "[a][",
    "[a]: b\n",
    "(",
    ")",
    "*",
    "**a ",
    "*a_ ",
    "_",
    "_a__",
    "~",
    "~~a ",
    "`",
    "`a``",
    "``` \n",
    "|",
    "|a|b|\n|-|-|\n",
    "a|b\n",
    "|-",
    ">",
    "> ",
    "> [!NOTE]\n",
    "- ",
    "- a\n",
    "  - a\n",
    "1. ",
    "<",
    "<a ",
    "<!--",
    "<!-- a",
    "</",
    "<?",
    "<![CDATA[",
    "<blockquote>\n\n",
    "<del>",
    "<del>\n\n",
    "<summary>",
    "<h1>",
    "</details>\n",
    "<br>",
    "<code>",
    "&",
    "&#1",
    "\\",
    "\n",
    "\r",
    "\t",
    " ",
    "\u{a0}",
    "#",
    "# a\n",
    "---\n",
    "a\n===\n",
    "https://",
    "http://a/pull/1 ",
    "https://github.com/a/b/pull/",
    "/pull/1",
    "a:",
    ":a:",
    "**Depends on:**",
    "depends on ",
    "depends on\n",
    "depends on:\n",
    "Depends on: #0 ",
    "Depends on: (",
    "Depends on: #1 (",
    "#1",
    "#1 ",
    "#1&",
    "#1+#2+",
    "!1 ",
    "a/b#",
    "Depends-On: https://a/pull/1\n",
    "- [ ] ",
    "-[]",
    "- [ ] #1\n",
    "- [ ]\n",
    "Depends on:\n- [ ] (\"#",
    "🔗",
    "1\u{fe0f}\u{20e3}",
    "\u{200b}",
    "## Depends on\n- ",
    "`Depends on: #1`\n\n",
    "| Depends on | #1 |\n",
];

fn filled(part: &str, length: usize) -> String {
    let mut body = String::from("Depends on: ");
    body.extend(std::iter::repeat_n(part, length / part.len()));
    body
}

fn steps(body: &str, grammar: Grammar) -> u64 {
    let (locator, of) = (locator(), own(On::GitHub));
    let forges = forges(&locator);
    let context = Context { grammar, ..Context::new(&of, &forges) };
    let mut scope = Scope::new(&context);
    match grammar {
        Grammar::Default => markdown::read(body, &mut scope),
        Grammar::Autoproj => autoproj::read(body, &mut scope),
        Grammar::Zuul => zuul::read(body, &mut scope),
    }
    scope.steps
}

#[test]
fn work_grows_with_the_text_and_not_faster() {
    let mut wrong = String::new();
    for part in HOSTILE {
        for grammar in [Grammar::Default, Grammar::Autoproj, Grammar::Zuul] {
            let (half, whole) = (filled(part, 4_000), filled(part, 8_000));
            let (first, second) = (steps(&half, grammar), steps(&whole, grammar));
            if second > first * 21 / 10 + 200 || second > 14 * 8_000 {
                wrong += &format!("{part:?} {grammar:?}: {first} then {second}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_found_in_large_bodies_is_bounded() {
    let large = ["[", "> ", "#1&", "<"].map(|part| (part, MAX_BODY));
    for (part, length) in HOSTILE.iter().map(|part| (*part, MAX_BODY / 32)).chain(large) {
        let found = read_on(On::GitHub, &filled(part, length));
        assert!(found.references.len() + found.short.len() <= MAX_REFERENCES, "{part:?}");
        assert!(found.findings.len().max(found.notes.len()) <= MAX_REFERENCES, "{part:?}");
    }
}

#[test]
fn beyond_its_limit_a_body_is_cut_with_a_note() {
    let line = "0123456789 and more of it\n";
    let mut body = String::from("Depends on: #2\n\n");
    body.extend(std::iter::repeat_n(line, MAX_BODY / line.len() - 2));
    let whole = format!("{body}\nDepends on: #3");
    assert!(whole.len() <= MAX_BODY);
    assert_eq!(written(&read_on(On::GitHub, &whole), On::GitHub), ["o/r#2", "o/r#3"]);
    let long = format!("{body}{body}\nDepends on: #3");
    let found = read_on(On::GitHub, &long);
    assert_eq!(written(&found, On::GitHub), ["o/r#2"]);
    assert_eq!(found.notes.len(), 1);
    assert!(found.notes[0].text.contains("first 256 kB"), "{found:?}");
    let line = long[..MAX_BODY].matches('\n').count() + 1;
    assert_eq!(usize::try_from(found.notes[0].line), Ok(line), "where it is cut");
    for grammar in [Grammar::Autoproj, Grammar::Zuul] {
        assert_eq!(read_by(grammar, On::GitHub, &long).notes.len(), 1);
    }
    // One line without an end, cut between two letters.
    let endless = format!("Depends on: #2 {}", "ü".repeat(MAX_BODY));
    assert_eq!(cut(&endless).len(), MAX_BODY - 1);
    let found = read_on(On::GitHub, &endless);
    assert_eq!(written(&found, On::GitHub), ["o/r#2"]);
    // References cut in two are not read.
    let found = read_on(On::GitHub, &format!("{body}{}\nDepends on: #345", "x".repeat(MAX_BODY)));
    assert_eq!(written(&found, On::GitHub), ["o/r#2"]);
}

#[test]
fn what_is_repeated_of_a_text_is_short() {
    let long = format!("Depends on: {}#1, x:{}#1", "a/".repeat(400), "b".repeat(900));
    let found = read_on(On::GitHub, &long);
    assert_eq!(found.findings.len(), 2, "{found:?}");
    for finding in &found.findings {
        assert!(finding.as_written.chars().count() <= 200, "{finding:?}");
        assert!(finding.text.len() <= 1200, "{finding:?}");
    }
    // What stands behind an `@` of the path is no host.
    let found = read_on(On::GitHub, "Depends on: https://x.org/a@b/pull/1");
    assert_eq!(found.findings[0].as_written, "https://x.org/a@b/pull/1");
    let longer = format!("Depends on: {}#1", "a".repeat(5000));
    assert_eq!(read_on(On::GitHub, &longer), References::default());
    let longest = "a".repeat(1020);
    let found = read_on(On::GitHub, &format!("Depends on: {longest}/b#2"));
    assert_eq!(written(&found, On::GitHub), [format!("{longest}/b#2")]);
    let found = read_on(On::GitHub, &format!("Depends on: {longest}a/b#2"));
    assert_eq!(found, References::default());
}

#[test]
fn work_is_counted_by_events_and_bytes() {
    let (locator, of) = (locator(), own(On::GitHub));
    let forges = forges(&locator);
    let context = Context::new(&of, &forges);
    let mut scope = Scope::new(&context);
    scope.worked(0);
    scope.worked(3);
    assert_eq!(scope.steps, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics(
        parts in prop::collection::vec(
            prop_oneof![
                3 => prop::sample::select(HOSTILE).prop_map(str::to_owned),
                1 => "\\PC{0,6}",
                1 => "Depends on:? ?(#|!|[a-z]/[a-z]#)?[0-9]{0,20}\n",
            ],
            0..60,
        ),
        on in prop::sample::select(&[On::GitHub, On::GitLab, On::Gitea][..]),
        grammar in prop::sample::select(&[Grammar::Default, Grammar::Autoproj, Grammar::Zuul][..]),
    ) {
        let body = parts.concat();
        let found = read_by(grammar, on, &body);
        prop_assert!(found.references.iter().all(|one| one.change != own(on)));
        let mut changes: Vec<&ChangeId> = found.references.iter().map(|one| &one.change).collect();
        changes.sort();
        changes.dedup();
        prop_assert_eq!(changes.len(), found.references.len());
        // A quote of the whole refers to nothing.
        if grammar == Grammar::Default && !body.contains('<') {
            let quoted: String = body.split(['\n', '\r']).map(|line| format!("> x{line}\n")).collect();
            let found = read_on(on, &quoted);
            prop_assert!(found.references.is_empty(), "{quoted:?}: {found:?}");
        }
    }
}
