//! Tables of messages.

use proptest::prelude::*;

use super::*;
use crate::model::locator::tests::locator;

fn read(message: &str) -> References {
    from_trailers(message, &"local/a#1".parse().expect("a change"), &locator())
}

fn changes(message: &str) -> Vec<String> {
    read(message).references.iter().map(|written| written.change.to_string()).collect()
}

fn value(value: &str) -> References {
    read(&format!("Title\n\nDepends-On: {value}\n"))
}

#[test]
fn values_are_read_by_the_rules() {
    let table: &[(&str, &[&str])] = &[
        ("#2", &["local/a#2"]),
        ("#2.", &["local/a#2"]),
        ("b#3", &["local/b#3"]),
        ("group/b.git#3", &["local/group/b#3"]),
        ("web:x/y#4", &["web/x/y#4"]),
        (
            "#2, b#3; #4 and c#5 & #6 + #7",
            &["local/a#2", "local/b#3", "local/a#4", "local/c#5", "local/a#6", "local/a#7"],
        ),
        ("#2\u{a0}#3", &["local/a#2", "local/a#3"]),
        ("#2 #2 a#2", &["local/a#2"]),
        ("#2 (supersedes #9)", &["local/a#2"]),
        ("#2 once it is merged, #3", &["local/a#2"]),
        ("the weather", &[]),
        ("libfoo >= 2", &[]),
        ("#2abc", &[]),
        ("#-2", &[]),
        ("none", &[]),
        ("", &[]),
        ("https://git.example.org/x/y/pull/7", &["web/x/y#7"]),
        ("<https://git.example.org/x/y/pull/7/files?a=b#c>", &["web/x/y#7"]),
        ("[this](https://git.example.org/x/-/merge_requests/7#note_1)", &["web/x#7"]),
        ("https://git.example.org/x/y.git#7", &["web/x/y#7"]),
        ("file:///srv/git/b#8", &["local/b#8"]),
        ("#007", &["local/a#7"]),
        ("#9223372036854775807", &["local/a#9223372036854775807"]),
    ];
    for (text, expected) in table {
        let found = value(text);
        let ids: Vec<String> = found.references.iter().map(|w| w.change.to_string()).collect();
        assert_eq!(ids, *expected, "{text}: {found:?}");
        assert_eq!(found.findings, [], "{text}");
    }
}

#[test]
fn clear_references_that_fail_are_findings() {
    let table = [
        ("#0", "from 1"),
        ("#9223372036854775808", "too large"),
        ("#99999999999999999999999", "too large"),
        ("nowhere:b#2", "no configured forge"),
        ("web:#2", "names no repository"),
        ("../b#2", "`..`"),
        ("!2", "written with #"),
        ("https://elsewhere.example.org/x/y/pull/7", "elsewhere.example.org"),
        ("https://me@git.example.org/x/y/pull/7", "user"),
        ("https://me:hunter2@git.example.org/x/y#7", "user"),
    ];
    for (text, why) in table {
        let found = value(&format!("{text}, #5"));
        let finding = found.findings.first().unwrap_or_else(|| panic!("{text}: {found:?}"));
        assert!(finding.text.contains(why), "{text}: {}", finding.text);
        // What may be a password is not repeated.
        let shown = text.replace("//me:hunter2@", "//…@").replace("//me@", "//…@");
        assert_eq!((&finding.as_written, finding.line), (&shown, 3));
        assert_eq!(found.references.len(), 1, "{text}: reading goes on");
    }
}

#[test]
fn only_the_last_paragraph_counts() {
    let all = ["local/a#2".to_owned()];
    for message in [
        "Title\n\nDepends-On: #2",
        "Title\r\n\r\ndepends-on : #2\r\nSigned-off-by: A <a@b>\r\n\r\n",
        "Title\n\nText\n\nSigned-off-by: A <a@b>\nDEPENDS-ON: #2\n",
        "Title\n\nDepends-On:\n #2\nOther: x\n",
        "Title\n\nsome text\nthat stands above\nDepends-On: #2\n",
        "Title\n\n1\n2\n3\nDepends-On: #2\n",
        "Title\n\nDepends-On: #2\n(cherry picked from commit 0123)\n",
    ] {
        assert_eq!(changes(message), all, "{message:?}");
    }
    for message in [
        "Depends-On: #2",
        "\nDepends-On: #2\n",
        "Title\nDepends-On: #2\n",
        "Title\n\nDepends-On: #2\n\nMore text\n",
        "Title\n\n1\n2\n3\n4\n5\nDepends-On: #2\n",
        "Title\n\n1\n2\n3\n4\nDepends-On: #2\n",
        "Title\n\nDepends-On: #2\n1\n2\n3\n4\n",
        "Title\n\nno key: 1\nno key: 2\nno key: 3\nno key: 4\nDepends-On: #2\n",
        "Title\n\nOther: x\n Depends-On: #2\n",
        "Title\n\n> Depends-On: #2\n",
    ] {
        assert_eq!(changes(message), [""; 0], "{message:?}");
    }
    let misplaced = read("Title\n\nDepends-On: #2\n\nMore text\n");
    assert_eq!(misplaced.notes.first().map(|note| note.line), Some(3));
}

#[test]
fn several_trailers_add_up_and_the_own_number_is_a_note() {
    let found = read("T\n\nDepends-On: #1 #2\nDepends-On: b#2,\n  b#3\nFixes: #9\n");
    let written: Vec<(&str, u32)> =
        found.references.iter().map(|w| (w.as_written.as_str(), w.line)).collect();
    assert_eq!(written, [("#2", 3), ("b#2", 4), ("b#3", 5)]);
    assert_eq!(found.notes.len(), 1);
    let json = serde_json::to_string(&found).expect("json");
    assert_eq!(serde_json::from_str::<References>(&json).expect("back"), found);
}

#[test]
fn a_hundred_references_are_read() {
    let many: Vec<String> = (2..5000).map(|number| format!("#{number}")).collect();
    let found = value(&many.join(" "));
    assert_eq!((found.references.len(), found.findings.len()), (100, 1));
}

proptest! {
    #[test]
    fn hostile_messages_never_panic(text in "(\\PC|\n|Depends-On: |#|!|:|/|\u{a0}){0,80}") {
        let found = read(&format!("T\n\nDepends-On: {text}"));
        prop_assert!(found.references.len() <= 100);
    }
}
