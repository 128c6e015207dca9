//! A clock that runs ahead while passes are run.

use crosswatch::clock::Clock;
use crosswatch::task::Tasks;
use crosswatch_core::model::time::{Span, Timestamp};

use super::plans::{AT, build, change, plan};
use crate::support::eventually;
use crate::support::passes::{ledger, runner};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_noted_is_carried_along_with_a_clock_that_is_put_forward_or_slept() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Clock::manual(AT);
    let (ledger, term) = ledger(dir.path(), clock.clone()).await;
    ledger.commit(&term, &plan(vec![build(ledger.id(), 1)])).await.expect("committed");
    let (runner, publications) = runner(dir.path(), &ledger, &term, clock.clone());
    let wake = runner.wake.clone();
    let tasks = Tasks::new();
    tasks.spawn("pass", runner.run());
    let first_seen = || ledger.view().workspaces["w"].changes[&change(1)].first_seen;
    let at = || publications.borrow().as_ref().map(|published| published.plan.at);
    let pass_at = async |now: Timestamp| {
        wake.wake();
        eventually("a pass", async || at() == Some(now)).await;
    };
    pass_at(AT).await;
    clock.advance(Span::minutes(1));
    pass_at(AT + Span::minutes(1)).await;
    assert_eq!(first_seen(), AT, "time passed");
    let day = Span::days(1);
    clock.set(AT + Span::minutes(1) + day);
    pass_at(AT + Span::minutes(1) + day).await;
    assert_eq!(first_seen(), AT + day);
    tasks.stop().await;
}
