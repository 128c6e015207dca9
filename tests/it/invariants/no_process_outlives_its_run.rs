//! Invariant 5: no process of a supervised run outlives its deadline, its run, or the daemon.

use std::path::Path;

use crosswatch::clock::Clock;
use crosswatch_core::model::time::Span;

use crate::support::eventually;
use crate::support::site::Site;

/// Whether some process has `marker` among its arguments.
fn lives(marker: &str) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes.flatten().any(|process| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let name = process.file_name();
        let own = name.to_string_lossy() == std::process::id().to_string();
        !own && String::from_utf8_lossy(&arguments).contains(marker)
    })
}

/// A script that starts processes which resist: one ignores TERM and holds the output, one leaves
/// the session.
fn stubborn(folder: &Path, marker: &str) -> String {
    let child = folder.join(marker);
    std::fs::write(&child, "trap '' TERM HUP INT\nwhile :; do sleep 0.1; done\n").expect("a file");
    format!("sh {0} & setsid sh {0} & sleep 1000", child.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_resists_ends_with_its_deadline_and_leaves_nothing() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &[]);
    let marker = format!("resists-{}", std::process::id());
    let script = stubborn(site.path(), &marker);
    let path = site.path().join("workspaces.yaml");
    let mut text = std::fs::read_to_string(&path).expect("the configuration");
    text.push_str(&format!(
        "  - {{name: one, update: {{run: [sh, -c, {script:?}], timeout: 1s, grace: 300ms}}}}\n"
    ));
    site.write_config(&text);
    let _daemon = site.start().await;
    eventually("the update runs", async || lives(&marker)).await;
    eventually("its end is said", async || {
        site.ask(&["workspaces"]).is_some_and(|rows| {
            rows.to_string().contains("took longer than its timeout")
                && rows[0]["next_at"].is_number()
        })
    })
    .await;
    assert!(!lives(&marker), "a process outlived its run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_leaves_no_process_of_its_builds() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    let marker = format!("orphan-{}", std::process::id());
    let script = stubborn(site.path(), &marker);
    site.configure(&url, &site.local_ci(&script), &["one"]);
    let daemon = site.start().await;
    site.settled(&["one"]).await;
    site.change("types", 1, "types");
    eventually("the build runs", async || lives(&marker)).await;
    daemon.kill();
    eventually("nothing is left", async || !lives(&marker)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_in_the_middle_of_twenty_runs_leaves_nothing_within_two_seconds() {
    const RUNS: usize = 20;
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &[]);
    let markers: Vec<String> =
        (0..RUNS).map(|run| format!("twenty-{}-{run}-", std::process::id())).collect();
    let path = site.path().join("workspaces.yaml");
    let mut text = std::fs::read_to_string(&path).expect("the configuration");
    text = text.replace("version: 1\n", &format!("version: 1\nmax_updates: {RUNS}\n"));
    for (run, marker) in markers.iter().enumerate() {
        let script = stubborn(site.path(), marker);
        text.push_str(&format!(
            "  - {{name: w{run}, update: {{run: [sh, -c, {script:?}], timeout: 5m, grace: 1m}}}}\n"
        ));
    }
    site.write_config(&text);
    let daemon = site.start().await;
    eventually("twenty runs go on", async || markers.iter().all(|marker| lives(marker))).await;
    let clock = Clock::system();
    let killed_at = clock.now();
    daemon.kill();
    eventually("nothing is left", async || {
        let left = markers.iter().filter(|marker| lives(marker)).count();
        let late = clock.now().since(killed_at) > Span::seconds(2);
        assert!(left == 0 || !late, "{left} runs have processes after two seconds");
        left == 0
    })
    .await;
}
