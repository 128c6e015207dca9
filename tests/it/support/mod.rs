//! What several integration tests share.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]

pub mod buildbot;
pub mod git_http;
pub mod git_repo;
pub mod proxy;
pub mod site;

use std::time::Duration;

use crosswatch::clock::Clock;
use crosswatch::supervise::Supervisor;
use crosswatch_core::model::time::Span;

/// A supervisor whose keepers are the built program.
pub fn supervisor() -> Supervisor {
    Supervisor::with_exe(env!("CARGO_BIN_EXE_crosswatch"), Clock::system())
}

/// Asks until the answer is yes; fails the test after 20 s.
pub async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let clock = Clock::system();
    let end = clock.now() + Span::seconds(20);
    while !ask().await {
        assert!(clock.now() < end, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
