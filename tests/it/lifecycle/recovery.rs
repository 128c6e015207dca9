//! What killed runs and killed daemons leave behind.

use super::Farm;
use crate::support::eventually;

const BOOTSTRAP: &str = "cp $FARM/export manifest.json";

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_git_that_a_killed_run_left_does_not_stop_the_next_one() {
    let farm = Farm::new();
    let update = "if test -e $FARM/hang; then touch .git/index.lock; exec sleep 1000; fi; \
                  git add manifest.json";
    let bootstrap = format!("git init -q . && {BOOTSTRAP}");
    let one = farm.define("one", &bootstrap, update, "");
    farm.configure("", &[one.replace("timeout: 30s", "timeout: 2s")]);
    let _daemon = farm.site.start().await;
    farm.ready("one").await;
    farm.mark("hang", true);
    assert_eq!(farm.update("one").await, "failed");
    assert_eq!(farm.runs("one")[0], "update: took longer than its timeout");
    let lock = farm.workspace("one/.git/index.lock");
    assert!(lock.exists());
    farm.mark("hang", false);
    assert_eq!(farm.update("one").await, "ready");
    let log = farm.site.log();
    let line = log.lines().find(|line| line.contains("stale lock")).unwrap_or_default();
    assert!(line.contains(&lock.display().to_string()), "the log names it: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_git_that_belongs_to_a_run_that_ended_by_itself_is_left_alone() {
    let farm = Farm::new();
    let bootstrap = format!("git init -q . && {BOOTSTRAP}");
    let update = "git add manifest.json";
    farm.configure("", &[farm.define("one", &bootstrap, update, "")]);
    let _daemon = farm.site.start().await;
    farm.ready("one").await;
    let lock = farm.workspace("one/.git/index.lock");
    std::fs::write(&lock, "a person works here").expect("a file");
    assert_eq!(farm.update("one").await, "failed");
    assert_eq!(farm.update("one").await, "failed");
    assert!(lock.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_was_silent_twice_in_a_row_gets_double_and_a_restart_knows() {
    let farm = Farm::new();
    let update = "if test -e $FARM/hang; then exec sleep 1000; fi";
    let one = farm.define("one", BOOTSTRAP, update, "    rebootstrap_after: 0\n");
    farm.configure("", &[one.replace("timeout: 30s", "timeout: 30s, silence: 300ms")]);
    let daemon = farm.site.start().await;
    farm.ready("one").await;
    farm.mark("hang", true);
    let notes = || farm.row("one")["notes"].to_string();
    assert_eq!(farm.update("one").await, "failed");
    assert_eq!(notes(), "[]");
    assert_eq!(farm.update("one").await, "failed");
    assert_eq!(farm.runs("one")[0], "update: wrote nothing for longer than its silence limit");
    assert!(notes().contains("silent for 600ms next time, not 300ms"), "{}", notes());
    daemon.kill();
    let _daemon = farm.site.start().await;
    eventually("it is remembered", async || notes().contains("600ms next time")).await;
    assert_eq!(farm.update("one").await, "failed");
    let row = farm.row("one");
    let time = |key: &str| row["runs"][0][key].as_i64().unwrap_or_default();
    assert!(time("ended_at") - time("started_at") >= 600, "{row}");
    assert!(notes().contains("1s next time"), "{}", notes());
    farm.mark("hang", false);
    assert_eq!(farm.update("one").await, "ready");
    assert_eq!(notes(), "[]", "as usual after a success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_daemon_says_what_happened_to_each_of_twenty_runs() {
    let farm = Farm::new();
    let update = "if test -e $FARM/hang; then exec sleep 1000; fi";
    let names: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
    let all: Vec<String> =
        names.iter().map(|name| farm.define(name, BOOTSTRAP, update, "")).collect();
    farm.configure("max_updates: 20\n", &all);
    farm.mark("hang", true);
    let daemon = farm.site.start().await;
    for name in &names {
        eventually("it runs", async || {
            farm.runs(name).first().is_some_and(|r| r == "update: runs")
        })
        .await;
    }
    daemon.kill();
    farm.mark("hang", false);
    let _daemon = farm.site.start().await;
    for name in &names {
        farm.ready(name).await;
        // Newest first: the update of now, and those of the daemon that was killed.
        let runs = farm.runs(name);
        assert_eq!(runs.len(), 3, "{runs:?}");
        assert_eq!(runs[0], "update: exited with code 0");
        let told = runs[1].strip_prefix("update: ").expect("an update");
        assert_eq!(told, "was cancelled", "its keeper wrote it down");
        assert_eq!(runs[2], "bootstrap: exited with code 0");
    }
    let table = farm.site.cli(&["workspaces", "w7"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("was cancelled"), "{table}");
}
