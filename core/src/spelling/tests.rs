//! What each spelling gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;

fn overrides() -> Vec<Override> {
    let one = |change: &str, packages: &[&str], ref_name: &str, unpin: bool| Override {
        change: change.parse().expect("a change"),
        change_url: None,
        packages: packages.iter().map(|name| (*name).into()).collect(),
        repository_url: "https://git.example.org/x.git".to_owned(),
        ref_name: ref_name.to_owned(),
        head: "0123456789abcdef0123456789abcdef01234567".parse().expect("an object name"),
        base: "main".into(),
        unpin,
        repeats: BTreeMap::new(),
    };
    vec![
        one("web/a#43", &["drivers/iodrivers_base"], "refs/pull/43/merge", false),
        one(
            "web/set#170",
            &["pkg_set:github:/rock-core/package_set.git"],
            "refs/pull/170/head",
            false,
        ),
        one("web/b#2", &["no", "tools/orocos.rb"], "refs/pull/2/head", true),
    ]
}

/// The same as a tool's reader describes them, and the workspace's source, which it does not.
fn described(repeats: impl Fn(&str) -> serde_json::Value) -> Vec<Override> {
    let mut all = overrides();
    for over in &mut all {
        for key in &over.packages {
            let serde_json::Value::Object(map) = repeats(key) else { panic!("an object") };
            over.repeats.insert(key.clone(), Arc::new(map.into_iter().collect()));
        }
    }
    let mut source = all[0].clone();
    source.packages = vec!["source".into()];
    source.repeats.clear();
    all.push(source);
    all
}

#[test]
fn spellings_are_stable() {
    insta::assert_snapshot!("json", spell(Spelling::Json, &overrides()));
    insta::assert_snapshot!("autoproj", spell(Spelling::Autoproj, &overrides()));
    assert_eq!(spell(Spelling::Autoproj, &[]), "--- []\n");
    assert_eq!(spell(Spelling::Json, &[]), "{\n  \"version\": 1,\n  \"overrides\": []\n}\n");
}

#[test]
fn spellings_of_tools_are_stable() {
    let west = described(|key| json!({"url": "ssh://h/ü", "path": key, "groups": ["a: b", "#"]}));
    insta::assert_snapshot!("west", spell(Spelling::West, &west));
    let repo = described(|key| json!({"name": format!("<{key}&\">"), "path": key}));
    insta::assert_snapshot!("repo", spell(Spelling::Repo, &repo));
    let url = described(|_| json!({"url": "https://h/a"}));
    insta::assert_snapshot!("vcstool", spell(Spelling::Vcstool, &url));
    insta::assert_snapshot!("kas", spell(Spelling::Kas, &url));
    let path = described(|key| json!({"path": format!("ü\"/{key}")}));
    insta::assert_snapshot!("gitmodules", spell(Spelling::Gitmodules, &path));
}

#[test]
fn of_two_changes_of_one_repository_the_later_counts_where_a_tool_takes_one() {
    let mut all = described(|_| json!({"url": "https://h/a"}));
    let mut second = all[0].clone();
    second.ref_name = "refs/pull/99/head".to_owned();
    all.push(second);
    for spelling in [Spelling::West, Spelling::Kas] {
        let text = spell(spelling, &all);
        assert!(text.contains("refs/pull/99/head") && !text.contains("refs/pull/43/"), "{text}");
        let value: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
        assert!(value.is_mapping());
    }
}

#[test]
fn autoproj_reads_a_list_of_single_keys() {
    let text = spell(Spelling::Autoproj, &overrides());
    let value: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
    let list = value.as_sequence().expect("a list");
    assert_eq!(list.len(), 4);
    assert!(list.iter().all(|entry| entry.as_mapping().is_some_and(|map| map.len() == 1)));
    let pinned = value[2]["no"].as_mapping().expect("options");
    assert!(pinned.get("commit").is_some_and(serde_yaml::Value::is_null));
}

#[test]
fn words_are_known() {
    for spelling in Spelling::ALL {
        assert_eq!(spelling.word().parse(), Ok(spelling));
    }
    assert_eq!(
        "yaml".parse::<Spelling>().expect_err("unknown").to_string(),
        "\"yaml\" is no spelling of overrides; there are json, autoproj, west, repo, vcstool, kas, \
         gitmodules"
    );
}

proptest::proptest! {
    #[test]
    fn quoted_texts_are_read_back(text in "\\PC{0,20}|\\PC(\n|\t|\u{85}|\u{2028}|\u{7f}|🦀){0,5}") {
        let yaml = format!("{}: {}\n", quoted(&text), quoted(&text));
        let value: serde_yaml::Value = serde_yaml::from_str(&yaml).expect("YAML");
        let read = value.get(text.as_str()).and_then(serde_yaml::Value::as_str);
        proptest::prop_assert_eq!(read, Some(text.as_str()));
    }
}
