//! A ledger that cannot be written: nothing is triggered, `readyz` says so, and it goes on by itself.

use crosswatch::clock::Clock;
use crosswatch::http::{HttpClient, HttpRequest, Method};
use crosswatch::ledger::{LEASE, Ledger};
use crosswatch::store::Store;

use crate::support::eventually;
use crate::support::site::Site;

async fn readyz(site: &Site) -> (u16, String) {
    let http = HttpClient::new().expect("a client");
    let request = HttpRequest::new(Method::GET, format!("{}/readyz", site.pages()));
    match http.send(request).await {
        Ok(answer) => (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()),
        Err(error) => (0, error.to_string()),
    }
}

async fn site() -> Site {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &["one"]);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_ledger_triggers_nothing_and_goes_on_when_it_is_free() {
    let site = site().await;
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    let store = Store::sqlite(&site.state().join("crosswatch.sqlite")).await.expect("the ledger");
    let lock = store.begin().await.expect("the lock");
    site.change("types", 1, "types");
    eventually("readyz says that it is locked", async || {
        let (status, said) = readyz(&site).await;
        status == 503 && said.contains("locked")
    })
    .await;
    assert!(site.builds().is_empty());
    drop(lock);
    eventually("it is built", async || site.succeeded("one", "mirror/types#1") == 1).await;
    eventually("it is ready", async || readyz(&site).await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_lease_triggers_nothing_until_it_is_free() {
    let site = site().await;
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    let store = Store::sqlite(&site.state().join("crosswatch.sqlite")).await.expect("the ledger");
    // For a rival half a minute passes between two looks, so that it believes that the lease is over.
    let clock = Clock::manual(Clock::system().now());
    let rival = Ledger::open(store, clock.clone()).await.expect("the ledger");
    let term = loop {
        if let Ok(term) = rival.lead("a rival").await {
            break term;
        }
        clock.advance(LEASE);
    };
    site.change("types", 1, "types");
    eventually("readyz names the rival", async || {
        let (status, said) = readyz(&site).await;
        status == 503 && said.contains("a rival")
    })
    .await;
    assert!(site.builds().is_empty());
    rival.release(&term).await.expect("given back");
    eventually("it is built", async || site.succeeded("one", "mirror/types#1") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_triggers_nothing_and_goes_on_when_there_is_room() {
    let site = site().await;
    let daemon = site.start_on_a_small_disk().await;
    site.settled(&["one"]).await;
    let filler = daemon.inside(&site.state().join("filler"));
    let mut file = std::fs::File::create(&filler).expect("a file");
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    site.change("types", 1, "types");
    eventually("readyz says that the disk is full", async || {
        let (status, said) = readyz(&site).await;
        status == 503 && said.contains("full")
    })
    .await;
    assert!(site.builds().is_empty());
    drop(file);
    std::fs::remove_file(&filler).expect("it goes");
    eventually("it is built", async || site.succeeded("one", "mirror/types#1") == 1).await;
    eventually("it is ready", async || readyz(&site).await.0 == 200).await;
}
