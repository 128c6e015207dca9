//! From a pushed ref to a finished build.

use crate::support::eventually;
use crate::support::site::Site;

fn site(ci: &str) -> Site {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[]), ("drivers", &["types"])]);
    site.configure(&url, &site.local_ci(ci), &["one"]);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_that_belong_together_are_built_as_one_and_again_when_the_lower_moves() {
    let site = site("cat \"$CROSSWATCH_OVERRIDES\"");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    let mut head = String::new();
    site.together("one", &["mirror/types#1", "mirror/drivers#1"], || {
        head = site.change("types", 1, "types");
        site.change("drivers", 1, "drivers\n\nDepends-On: types#1");
    })
    .await;
    eventually("the top is built", async || site.succeeded("one", "mirror/drivers#1") == 1).await;
    assert_eq!(site.succeeded("one", "mirror/types#1"), 0, "the lower change is covered");
    assert!(site.decision("one", "mirror/types#1").starts_with("covered"));
    let overrides = site.cli(&["overrides", "one", "drivers#1"]);
    assert!(String::from_utf8_lossy(&overrides.stdout).contains(&head));

    let moved = site.change("types", 1, "types, better");
    eventually("its set is built again", async || site.succeeded("one", "mirror/drivers#1") == 2)
        .await;
    let explained = site.cli(&["explain", "one", "drivers#1"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains(&moved), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_the_mainline_is_built_with_all_that_depends_on_it() {
    let site = site("cat \"$CROSSWATCH_REQUEST\"");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    site.push("types", "second");
    eventually("the mainline is built", async || site.succeeded("one", "mainline") == 1).await;
    let builds = site.builds();
    assert_eq!(builds[0]["request"]["affected"], serde_json::json!(["types", "drivers"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_a_verdict_and_a_person_may_ask_again() {
    let site = site("exit 3");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    site.change("gui", 1, "nobody tracks gui");
    site.change("types", 1, "types");
    let failed = |site: &Site| {
        let ended = serde_json::json!({ "ended": "failure" });
        site.builds().iter().filter(|build| build["stage"] == ended).count()
    };
    eventually("it fails", async || failed(&site) == 1).await;
    eventually("it is spent", async || {
        site.decision("one", "mirror/types#1").starts_with("unchanged: here ended with failure")
    })
    .await;
    assert!(site.cli(&["rebuild", "one", "types#1"]).status.success());
    eventually("it fails again", async || failed(&site) == 2).await;
    assert_eq!(site.decision("one", "mirror/gui#1"), "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_workspace_triggers_nothing_until_it_is_resumed() {
    let site = site("true");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    assert!(site.cli(&["pause", "one"]).status.success());
    site.change("types", 1, "types");
    eventually("it is held", async || {
        site.decision("one", "mirror/types#1").starts_with("held: root paused")
            || site.decision("one", "mirror/types#1").contains("paused the workspace")
    })
    .await;
    assert!(site.builds().is_empty());
    assert!(site.cli(&["resume", "one"]).status.success());
    eventually("it is built", async || site.succeeded("one", "mirror/types#1") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_over_a_right_file_and_keeps_the_last_good_one_otherwise() {
    let site = site("true");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    let ci = site.local_ci("true");
    site.configure(&site.file_url(), &ci, &["one", "two"]);
    eventually("the new workspace is there", async || {
        site.decision("two", "mainline").starts_with("unchanged")
    })
    .await;
    site.write_config("version: 1\nworkspaces: 12\n");
    let reload =
        site.cli(&["--socket", &site.state().join("api.sock").display().to_string(), "reload"]);
    assert_eq!(reload.status.code(), Some(1));
    let said = String::from_utf8_lossy(&reload.stderr).into_owned();
    assert!(said.contains("workspaces.yaml:2:"), "{said}");
    site.configure(&site.file_url(), &ci, &["one", "two"]);
    assert!(site.decision("two", "mainline").starts_with("unchanged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_would_trigger_many_builds_waits_for_a_word() {
    let site = site("true");
    let text = std::fs::read_to_string(site.path().join("workspaces.yaml")).expect("a file");
    // With nothing to settle all of them are due as soon as they are seen.
    let text = text.replace("{new: 300ms, push: 300ms}", "{new: 0s, push: 0s}");
    let builds = |what: &str| {
        site.write_config(&text.replace("name: one\n", &format!("name: one\n    build: {what}\n")));
    };
    builds("[mainline]");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    for number in 1..=21 {
        site.change("types", number, "types");
    }
    eventually("they are seen", async || {
        let seen = |number: &u32| {
            let subject = format!("mirror/types#{number}");
            site.decision("one", &subject).contains("builds no changes")
        };
        (1..=21).all(|number| seen(&number))
    })
    .await;
    builds("[changes, mainline]");
    eventually("it says what it would build", async || {
        let reload = site.cli(&["reload"]);
        let said = String::from_utf8_lossy(&reload.stderr).into_owned();
        reload.status.code() == Some(1)
            && said.contains("it would trigger 21 builds: mirror/types#1 in one on here, ")
            && said.contains(" and 16 more; `crosswatch reload --yes` confirms that")
    })
    .await;
    assert!(site.builds().is_empty());
    assert!(site.decision("one", "mirror/types#1").contains("builds no changes"));
    assert!(site.cli(&["reload", "--yes"]).status.success());
    eventually("all are built", async || site.succeeded("one", "mirror/types#21") == 1).await;
}
