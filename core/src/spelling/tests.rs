//! What each spelling gives.

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
        repeats: std::collections::BTreeMap::new(),
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

#[test]
fn spellings_are_stable() {
    insta::assert_snapshot!("json", spell(Spelling::Json, &overrides()));
    insta::assert_snapshot!("autoproj", spell(Spelling::Autoproj, &overrides()));
    assert_eq!(spell(Spelling::Autoproj, &[]), "--- []\n");
    assert_eq!(spell(Spelling::Json, &[]), "{\n  \"version\": 1,\n  \"overrides\": []\n}\n");
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
        "\"yaml\" is no spelling of overrides; there are json, autoproj"
    );
}
