//! What the command line prints, and how it ends.

use std::process::Output;

use super::site;

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_get_plain_rows_programs_json_and_wrong_names_an_error() {
    let site = site("true", "");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;

    let (code, text, _) = said(&site.cli(&["changes", "one"]));
    assert_eq!(code, Some(0));
    assert!(
        text.starts_with("WORKSPACE\tCHANGE\tDECISION\tWHY\none\tmainline\tunchanged\t"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "no colours in a pipe: {text}");
    let (code, text, _) = said(&site.cli(&["forges"]));
    assert_eq!(code, Some(0));
    assert_eq!(text.lines().count(), 7, "a forge, two packages, the source and heads: {text}");
    let plan = site.ask(&["plan", "one"]).expect("a plan");
    assert_eq!(plan["workspaces"][0]["workspace"], "one");
    let (code, text, _) = said(&site.cli(&["explain", "one", "mainline"]));
    assert_eq!(code, Some(0));
    assert!(text.starts_with("mainline in workspace one, as of 2"), "{text}");
    let (code, text, _) = said(&site.cli(&["log", "one"]));
    assert_eq!(code, Some(0), "{text}");

    for arguments in [
        &["changes", "nine"][..],
        &["plan", "nine"],
        &["--json", "plan", "nine"],
        &["builds", "nine"],
        &["explain", "nine", "mainline"],
        &["explain", "one", "types#9"],
        &["overrides", "one", "types#9"],
        &["pause", "nine"],
        &["rebuild", "one", "types#9"],
        &["log", "nine"],
    ] {
        let (code, text, error) = said(&site.cli(arguments));
        assert_eq!((code, text.as_str()), (Some(1), ""), "{arguments:?}: {error}");
        assert!(error.starts_with("crosswatch: ") && !error.contains("panicked"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_last_known_answers_are_used_and_other_commands_say_so() {
    let site = site("true", "");
    let daemon = site.start().await;
    site.settled(&["one"]).await;
    daemon.kill();
    let (code, text, error) = said(&site.cli(&["plan", "one"]));
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("one\tmainline\t"), "{text}");
    assert_eq!(said(&site.cli(&["explain", "one", "mainline"])).0, Some(0));
    assert_eq!(said(&site.cli(&["plan", "nine"])).0, Some(1));
    let (code, _, error) = said(&site.cli(&["workspaces"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("no daemon answers at") && error.contains("api.sock"), "{error}");
    assert!(error.contains("crosswatch run"), "{error}");
}

#[test]
fn wrong_use_ends_with_2_and_what_needs_nothing_works_without_anything() {
    let site = site("true", "");
    for arguments in [
        &["frobnicate"][..],
        &["explain", "one"],
        &["overrides", "one", "types#1", "--format", "toml"],
        &["builds", "--limit", "many"],
        &["check", "/nonexistent/workspaces.yaml"],
    ] {
        assert_eq!(said(&site.cli(arguments)).0, Some(2), "{arguments:?}");
    }
    for arguments in
        [&["check"][..], &["check", "--resolved"], &["schema"], &["man"], &["completions", "bash"]]
    {
        let (code, text, error) = said(&site.cli(arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {error}");
        assert!(!text.is_empty(), "{arguments:?}");
    }
}
