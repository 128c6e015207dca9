//! The ledger: one conformance suite on both databases, and what only a file can go through.

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let folder = tempfile::tempdir().expect("a folder");
                let store = Store::sqlite(&folder.path().join("l.sqlite")).await.expect("a store");
                let clock = Clock::manual(AT);
                let ledger = Ledger::open(store.clone(), clock.clone()).await.expect("a ledger");
                super::$name(ledger, store, clock).await;
            })*
        }

        mod postgres {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let server = Server::shared();
                let store = Store::postgres(&server.database().into()).await.expect("a store");
                let clock = Clock::manual(AT);
                let ledger = Ledger::open(store.clone(), clock.clone()).await.expect("a ledger");
                super::$name(ledger, store.clone(), clock).await;
                store.close().await;
            })*
        }
    };
}

mod conformance;
mod file;
mod leap;
mod many;
mod migration;
mod plans;
mod simulation;
