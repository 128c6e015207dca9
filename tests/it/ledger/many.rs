//! More than one statement, one text or one transaction takes, on SQLite and on PostgreSQL.

use std::collections::BTreeSet;

use crosswatch::clock::Clock;
use crosswatch::ledger::Ledger;
use crosswatch::store::Store;
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::time::Span;

use super::plans::{AT, build, change, plan};
use crate::support::postgres::Server;

async fn many_rows_are_all_written(ledger: Ledger, store: Store, clock: Clock) {
    // More than one statement and one transaction write, more than are read as one text, and no multiple.
    const MANY: u64 = 1_075;
    let term = ledger.lead("a").await.expect("leads");
    let wanted = plan((1..=MANY).map(|number| build(ledger.id(), number)).collect());
    let committed = ledger.commit(&term, &wanted).await.expect("committed");
    assert_eq!((committed.queued.len(), committed.transactions.len()), (1_075, 2));
    let other = Ledger::open(store, clock).await.expect("opened");
    other.look().await.expect("read");
    let (ours, theirs) = (ledger.view(), other.view());
    assert_eq!(ours, theirs, "the view that took over is the one that is read");
    let part = &ours.workspaces["w"];
    assert_eq!((part.changes.len(), part.attempts.len()), (1_075, 1_075));
    for number in [1, 64, 65, 1_072, MANY] {
        let subject = change(number).to_string();
        let audit = ledger.audit(&Name::from("w"), &subject, 10).await.expect("audit");
        assert_eq!(audit.len(), 1, "{subject}");
    }
}

/// A daemon that ends between two transactions of one workspace.
async fn what_was_broken_off_goes_on_and_what_is_old_goes_in_pieces(
    ledger: Ledger,
    store: Store,
    clock: Clock,
) {
    const MANY: u64 = 2_500;
    let term = ledger.lead("a").await.expect("leads");
    let wanted = plan((1..=MANY).map(|number| build(ledger.id(), number)).collect());
    tokio::select! {
        biased;
        _ = ledger.commit(&term, &wanted) => panic!("it was not broken off"),
        () = async {
            while ledger.view().workspaces.is_empty() {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let after = Ledger::open(store.clone(), clock.clone()).await.expect("opened");
    after.look().await.expect("read");
    let part = after.view().workspaces["w"].clone();
    assert!(!part.changes.is_empty(), "facts come first");
    assert!(part.looks.is_empty(), "the first look is not over");
    let known = |subject: &_| matches!(subject, Some(id) if part.changes.contains_key(id));
    assert!(part.attempts.keys().all(|subject| known(&subject.change().cloned())));
    // The same pass again, by who leads next.
    let before = part.attempts.len();
    let committed = ledger.commit(&term, &wanted).await.expect("committed");
    assert_eq!(committed.queued.len(), 2_500 - before);
    assert!((3..=4).contains(&committed.transactions.len()), "{committed:?}");
    let sent: BTreeSet<_> =
        ledger.outbox().await.expect("rows").iter().map(|row| row.request.request_id).collect();
    assert_eq!(sent.len(), 2_500);
    after.look().await.expect("read");
    assert_eq!(after.view(), ledger.view());
    assert_eq!(after.view().workspaces["w"].looks.len(), 1);
    // Reports, stops, remarks, comments and commits are looked for once each, what was decided in pieces.
    let rows = || async {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM audit").fetch_one(store.reader());
        count.await.expect("a number")
    };
    let old: i64 = rows().await;
    assert!(old >= 2_500);
    assert_eq!(ledger.prune(&term, AT).await.expect("pruned").len(), 6, "nothing is old");
    clock.advance(Span::seconds(1));
    let pruned = ledger.prune(&term, clock.now()).await.expect("pruned");
    assert!(pruned.len() >= 3 + 5, "{pruned:?}");
    let left: i64 = rows().await;
    assert_eq!((left, ledger.outbox().await.expect("rows").len()), (0, 2_500));
}

on_both!(many_rows_are_all_written, what_was_broken_off_goes_on_and_what_is_old_goes_in_pieces,);
