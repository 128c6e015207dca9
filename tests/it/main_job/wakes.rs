//! Wakes only bring looks forward.

use std::sync::Arc;

use crosswatch::board::{Board, Wake, World};
use crosswatch::clock::Clock;
use crosswatch::ledger::Ledger;
use crosswatch::pass::Runner;
use crosswatch::store::Store;
use crosswatch::task::Tasks;
use crosswatch_core::model::time::Span;

use crate::support::eventually;
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
    let store = Store::sqlite(&dir.path().join("ledger.sqlite")).await.expect("a store");
    let ledger = Ledger::open(store, clock.clone()).await.expect("a ledger");
    let term = ledger.lead("test").await.expect("the lease");
    let text = format!(
        "version: 1\nstate_dir: {}\nforges: {{}}\nci: {{}}\nworkspaces: []\n",
        dir.path().display()
    );
    let path = dir.path().join("workspaces.yaml");
    let settings = crosswatch::config::parse(&text, &path).expect("a configuration");
    let wake = Wake::new();
    let (publish, publications) = tokio::sync::watch::channel(None);
    let (_keep, term) = tokio::sync::watch::channel(Some(term));
    let runner = Runner {
        world: World::new(Arc::new(settings), wake.clone()),
        ledger,
        term,
        wake: wake.clone(),
        outbox: Wake::new(),
        reporter: Wake::new(),
        publish,
        board: Board::default(),
        first: Arc::default(),
        clock: clock.clone(),
        alive: Box::new(|| {}),
        longest: None,
    };
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
