//! Invariant 8: code of a change runs only where every head in its set is trusted or approved, never
//! with the daemon's secrets.

use crate::support::eventually;
use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_set_waits_for_an_approval_of_exactly_its_heads() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    let ci = site.local_ci("env").replace("sandbox: none", "sandbox: bubblewrap");
    let ci = ci.replace(
        "sandbox: bubblewrap",
        &format!("read_only: [\"{}\"], sandbox: bubblewrap", site.path().display()),
    );
    site.configure(&url, &ci, &["one"]);
    let path = site.path().join("workspaces.yaml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    site.write_config(&text.replace("authors: any", "authors: none"));
    let _daemon = site.start_with(&[("CROSSWATCH_CANARY", "environment-canary")]).await;
    site.settled(&["one"]).await;
    site.change("types", 1, "types");
    eventually("it is held", async || {
        site.decision("one", "mirror/types#1").contains("not trusted")
    })
    .await;
    assert!(site.builds().is_empty(), "nothing runs before somebody said so");
    let other = site.cli(&["approve", "one", "types#1", "--fingerprint", "0123"]);
    assert!(!other.status.success(), "another set than the one that was looked at");
    let approved = site.cli(&["approve", "one", "types#1"]);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    eventually("it is built", async || site.succeeded("one", "mirror/types#1") == 1).await;
    let id = site.builds()[0]["request"]["request_id"].as_str().expect("an id").to_owned();
    let log = site.cli(&["log", &id]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("CROSSWATCH_OVERRIDES"), "{log}");
    assert!(!log.contains("environment-canary"), "{log}");

    site.change("types", 1, "types, with something else in it");
    eventually("another head is held again", async || {
        site.decision("one", "mirror/types#1").contains("not trusted")
    })
    .await;
    assert_eq!(site.builds().len(), 1);
}
