//! Wakes only bring looks forward.

use crosswatch::clock::Clock;
use crosswatch::task::Tasks;
use crosswatch_core::model::time::Span;

use crate::support::eventually;
use crate::support::passes::{ledger, runner};
use crate::support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn without_any_wake_everything_is_still_built() {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &["one"]);
    // Passes then come by time alone, every 500 ms here instead of every minute.
    let _daemon = site.start_with(&[("CROSSWATCH_TEST_WITHOUT_WAKES", "500ms")]).await;
    site.settled(&["one"]).await;
    site.change("types", 1, "types");
    eventually("it is built", async || site.succeeded("one", "mirror/types#1") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_wakes_a_second_make_at_most_twenty_passes() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Clock::system();
    let (ledger, term) = ledger(dir.path(), clock.clone()).await;
    let (runner, publications) = runner(dir.path(), &ledger, &term, clock.clone());
    let wake = runner.wake.clone();
    let tasks = Tasks::new();
    tasks.spawn("pass", runner.run());
    let number = || publications.borrow().as_ref().map_or(0, |published| published.number);
    eventually("the first pass", async || number() > 0).await;
    let (begun, first) = (clock.now(), number());
    while clock.now().since(begun) < Span::seconds(1) {
        for _ in 0..10 {
            wake.wake();
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let (passes, elapsed) = (number() - first, clock.now().since(begun));
    assert!(passes >= 2, "wakes are heard: {passes}");
    assert!(passes <= elapsed.0 / 50 + 1, "{passes} passes in {elapsed}");
    tasks.stop().await;
}
