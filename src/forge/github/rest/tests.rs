use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::fuzz::target;
use super::*;
use crosswatch_core::references::References;

const PULLS: &str = include_str!("../examples/pulls.json");
const PULL: &str = include_str!("../examples/pull.json");
const REPOSITORY: &str = include_str!("../examples/repo.json");
const REFS: &str = include_str!("../examples/refs.json");

fn reader() -> BodyReader {
    Arc::new(|_, _| References::default())
}

fn of() -> RepositoryId {
    RepositoryId::new("github.com", "octocat/hello-world")
}

/// The example of a list, with one value replaced.
fn pull(at: &str, value: serde_json::Value) -> Result<OpenRef, String> {
    let mut list: serde_json::Value = serde_json::from_str(PULLS).expect("an example");
    *list.pointer_mut(at).expect("a place") = value;
    let read = changes(list.to_string().as_bytes(), &of(), &reader());
    read.map(|mut all| all.pop().expect("one"))
}

#[test]
fn the_forges_own_examples_are_read() {
    let seen = about(REPOSITORY.as_bytes()).expect("a repository");
    assert_eq!((seen.id, seen.full_name.as_str()), (1_296_269, "octocat/Hello-World"));
    assert_eq!(seen.default_branch.as_deref(), Some("master"));
    let heads: BTreeMap<Name, Oid> =
        branches(REFS.as_bytes()).expect("branches").into_iter().collect();
    assert_eq!(heads.keys().map(Name::as_str).collect::<Vec<_>>(), ["feature-a", "feature-b"]);
    let all = changes(PULLS.as_bytes(), &of(), &reader()).expect("changes");
    let [change] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((change.number, change.base.as_deref()), (1347, Some("master")));
    assert_eq!(change.ref_name.as_str(), "refs/pull/1347/head");
    let forge = change.forge.as_ref().expect("a pull request");
    let author = forge.author.as_ref().expect("an author");
    assert_eq!((author.login.as_str(), author.bot), ("octocat", false));
    assert_eq!(author.association, Association::Owner);
    let source = forge.source.as_ref().expect("a source");
    assert_eq!(source.repository, of());
    assert_eq!((source.owner.as_str(), source.branch.as_str()), ("octocat", "new-topic"));
    assert!(forge.labels.contains("bug"));
    let commit = "e5bd3914e2e596debea16f433f57875b5b90bcd6".parse().expect("a commit");
    let base = Some(Name::from("master"));
    let told = told(PULL.as_bytes()).expect("a change");
    assert_eq!(told.fate, Fate::Merged { commit: Some(commit), base });
}

#[test]
fn what_is_gone_or_unknown_is_data_and_what_is_wrong_is_an_error() {
    use serde_json::{Value, json};
    let forge = |at: &str, value: Value| pull(at, value).expect(at).forge.expect("a pull request");
    assert_eq!(forge("/0/user", Value::Null).author, None);
    assert_eq!(forge("/0/user/login", json!("ghost")).author, None);
    assert_eq!(forge("/0/head/repo", Value::Null).source, None);
    assert_eq!(forge("/0/body", Value::Null).references, References::default());
    let author = |at: &str, value: Value| forge(at, value).author.expect("an author");
    assert!(author("/0/user/type", json!("Bot")).bot);
    assert!(author("/0/user/login", json!("renovate[bot]")).bot);
    assert!(!author("/0/user/type", json!("Martian")).bot);
    for word in ["FIRST_TIMER", "CONTRIBUTOR", "MANNEQUIN", "SOMETHING_NEW", ""] {
        let author = author("/0/author_association", json!(word));
        assert_eq!(author.association, Association::None, "{word}");
    }
    for (at, wrong) in [
        ("/0/number", json!(0)),
        ("/0/number", json!(-1)),
        ("/0/number", json!("1")),
        ("/0/head/sha", json!("main")),
        ("/0/head", Value::Null),
        ("/0/base", Value::Null),
        ("/0/created_at", json!("yesterday")),
        ("/0/draft", json!("yes")),
        ("/0/labels", json!({})),
    ] {
        assert!(pull(at, wrong.clone()).is_err(), "{at} {wrong}");
    }
    for body in ["", "{}", "null", "[{}]", "[", "<html>", "[null]", "{\"message\": \"x\"}"] {
        assert!(changes(body.as_bytes(), &of(), &reader()).is_err(), "{body}");
        assert!(branches(body.as_bytes()).is_err(), "{body}");
        assert!(about(body.as_bytes()).is_err(), "{body}");
        assert!(told(body.as_bytes()).is_err(), "{body}");
    }
    assert_eq!(changes(b"[]", &of(), &reader()), Ok(Vec::new()));
    let odd = r#"{"state": "pondering", "base": {"ref": "main"}}"#;
    assert!(told(odd.as_bytes()).is_err());
}

#[test]
fn no_answer_makes_a_reader_fall() {
    let (reader, of) = (reader(), of());
    let examples = [PULLS, PULL, REPOSITORY, REFS].map(str::as_bytes);
    let read = target("REST", &examples, |body| {
        let changes = changes(body, &of, &reader).is_ok();
        let branches = branches(body).is_ok();
        changes || branches || about(body).is_ok() | told(body).is_ok()
    });
    // Not all of them were torn at the first byte.
    assert!(read > 1_000, "{read}");
}
