//! The way from autoproj-daemon: a configuration made of its own, and what both would build.

use std::process::{Command, Output};

use super::site;
use crate::support::eventually;

const CONFIG: &str = include_str!("../../../core/src/moving/fixtures/daemon-config.yml");

#[expect(clippy::disallowed_methods, reason = "the command line itself is what is tested")]
fn crosswatch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crosswatch"))
        .args(arguments)
        .env_clear()
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_made_of_the_daemons_configuration_is_accepted_and_has_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = folder.path().join("rock");
    std::fs::create_dir_all(workspace.join(".autoproj")).expect("a folder");
    std::fs::write(workspace.join(".autoproj/config.yml"), CONFIG).expect("a file");
    let made = crosswatch(&["import", "autoproj-daemon", &workspace.display().to_string()]);
    let (said, errors) = (text(&made.stdout), text(&made.stderr));
    assert!(made.status.success(), "{errors}");
    assert!(!said.contains("canary") && !errors.contains("canary"), "{said}{errors}");
    let file = folder.path().join("workspaces.yaml");
    std::fs::write(&file, &said).expect("a file");
    // As its comments say.
    for name in ["github-token", "forge-git-example-org-token"] {
        let token = folder.path().join(name);
        std::fs::write(&token, "canary").expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&token, mode).expect("a mode");
    }
    let checked = crosswatch(&["check", &file.display().to_string()]);
    assert!(checked.status.success(), "{said}{}", text(&checked.stderr));

    let none = crosswatch(&["import", "autoproj-daemon", &folder.path().display().to_string()]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("config.yml cannot be read"), "{}", text(&none.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_stands_beside_the_cache_of_the_other_daemon() {
    let site = site("true", "");
    let daemon = site.start().await;
    site.settled(&["one"]).await;
    site.together("one", &["mirror/types#1", "mirror/drivers#1"], || {
        site.change("types", 1, "types");
        site.change("drivers", 1, "drivers\n\nDepends-On: types#1");
    })
    .await;
    eventually("it is built", async || site.succeeded("one", "mirror/drivers#1") == 1).await;
    drop(daemon);
    let url = site.file_url();
    let cache = site.path().join("cache.yml");
    let entry = |path: &str| {
        format!(
            "- !ruby/struct:Autoproj::Daemon::PullRequestCache::CachedPullRequest\n  \
             repo_url: {url}/{path}\n  number: 1\n  base_branch: master\n  \
             head_sha: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n  draft?: false\n  dependencies: []\n"
        )
    };
    std::fs::write(&cache, format!("---\n{}", entry("types"))).expect("a file");
    let compared = site.cli(&["plan", "--compare", &cache.display().to_string()]);
    let said = text(&compared.stdout);
    assert!(compared.status.success(), "{}", text(&compared.stderr));
    let line = |change: &str| said.lines().find(|line| line.contains(change)).expect("a line");
    let types = line("mirror/types#1");
    assert!(types.contains("builds it again"), "{types}");
    assert!(types.contains("we build it once, with mirror/drivers#1"), "{types}");
    let drivers = line("mirror/drivers#1");
    assert!(drivers.contains("it is not in its cache"), "{drivers}");
}
