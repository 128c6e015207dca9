//! What several integration tests share.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]

pub mod buildbot;
pub mod git_http;
pub mod git_repo;
pub mod ordinary;
pub mod passes;
pub mod postgres;
pub mod proxy;
pub mod site;

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crosswatch::clock::Clock;
use crosswatch::supervise::Supervisor;
use crosswatch_core::model::time::Span;

/// A supervisor whose keepers are the built program.
pub fn supervisor() -> Supervisor {
    Supervisor::with_exe(env!("CARGO_BIN_EXE_crosswatch"), Clock::system())
}

/// Asks until the answer is yes; fails the test after three minutes, which only a broken program or a very
/// busy machine needs.
pub async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let clock = Clock::system();
    let end = clock.now() + Span::minutes(3);
    while !ask().await {
        assert!(clock.now() < end, "not within three minutes: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port for this test alone. It is below those that the system gives to outgoing connections, which
/// would otherwise take it between this call and its use.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 80).expect("less than 80") * 200;
    loop {
        let port = 16_000 + own + NEXT.fetch_add(1, Ordering::SeqCst) % 200;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
