//! Invariant 9: every decision can be explained: inputs, rule, what moved, what would release it.

use crate::support::eventually;
use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn each_subject_says_why_it_is_decided_so() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[]), ("drivers", &["types"]), ("gui", &["types"])]);
    site.configure(&url, &site.local_ci("true"), &["one"]);
    let daemon = site.start().await;
    site.settled(&["one"]).await;
    let mut first = String::new();
    let subjects = ["mirror/types#1", "mirror/drivers#1", "mirror/gui#1", "mirror/gui#2"];
    site.together("one", &subjects, || {
        first = site.change("types", 1, "types");
        site.change("drivers", 1, "drivers\n\nDepends-On: types#1\nDepends-On: nowhere#7");
        site.change("gui", 1, "gui\n\nDepends-On: gui#2");
        site.change("gui", 2, "gui, otherwise");
    })
    .await;
    eventually("it is built", async || site.succeeded("one", "mirror/drivers#1") == 1).await;
    eventually("two changes of one repository are blocked", async || {
        site.decision("one", "mirror/gui#1").starts_with("blocked: two changes")
    })
    .await;
    let explain = |change: &str| {
        let output = site.cli(&["explain", "one", change]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = explain("drivers#1");
    for part in [
        "decision",
        "tracked      main of mirror/drivers: package drivers of the manifest of one",
        "depends on   mirror/types#1",
        "is not a change that this workspace watches",
        "fingerprint",
        first.as_str(),
        "attempt 1",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(explain("types#1").contains("released"), "what would release a covered change");
    assert!(explain("gui#1").contains("rebase #"));

    let moved = site.change("types", 1, "types, better");
    eventually("it is built again", async || site.succeeded("one", "mirror/drivers#1") == 2).await;
    let builds = site.builds();
    let reason = builds[0]["request"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("moved from") && reason.contains(&moved[..10]), "{reason}");

    drop(daemon);
    let offline = site.cli(&["explain", "one", "drivers#1"]);
    assert!(offline.status.success(), "{}", String::from_utf8_lossy(&offline.stderr));
    assert!(String::from_utf8_lossy(&offline.stdout).contains("here ended with success"));
}
