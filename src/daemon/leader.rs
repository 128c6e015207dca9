//! Keeps the lease, and takes it again when it was lost.

use std::path::Path;

use crosswatch_core::model::time::{Span, Timestamp};
use tokio::sync::watch;

use crate::board::{Board, Wake};
use crate::clock::Clock;
use crate::ledger::{LEASE, Ledger, LedgerError, Term};
use crate::task::Tasks;

/// Ended attempts and the history of decisions are kept for this time at least.
const KEEP_HISTORY: Span = Span::days(90);

/// The lease is asked for again after this time while it is lost.
const AGAIN: Span = Span::seconds(1);

/// Takes the lease and keeps it by a task. Whoever holds the state directory's lock is the same
/// holder as before, so a restart waits for nobody.
pub(super) async fn lead(
    tasks: &Tasks,
    ledger: &Ledger,
    state_dir: &Path,
    sender: watch::Sender<Option<Term>>,
    board: Board,
    pass: Wake,
    clock: Clock,
) -> Result<(), LedgerError> {
    let host = nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|_| "this machine".to_owned());
    let path = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
    let holder = format!("{host}:{}", path.display());
    let term = first(ledger, &holder).await?;
    sender.send_replace(Some(term));
    // In a task of its own: with much that is old it takes longer than a lease lasts.
    tasks.spawn("history", forget(ledger.clone(), sender.subscribe(), clock));
    let ledger = ledger.clone();
    tasks.spawn("lease", async move {
        let mut held = true;
        loop {
            let period = if held { Span(LEASE.0 / 3) } else { AGAIN };
            tokio::time::sleep(period.to_std()).await;
            let term = sender.borrow().clone();
            let renewed = match &term {
                Some(term) => ledger.renew(term).await.map(|()| None),
                None => ledger.lead(&holder).await.map(Some),
            };
            let lost = match renewed {
                Ok(None) => None,
                Ok(Some(term)) => {
                    tracing::info!(term = term.number(), "this daemon leads again");
                    sender.send_replace(Some(term));
                    pass.wake();
                    None
                }
                Err(error) => {
                    tracing::error!(%error, "the lease was not renewed");
                    if matches!(error, LedgerError::NotLeader { .. }) {
                        sender.send_replace(None);
                    }
                    Some(error.to_string())
                }
            };
            held = lost.is_none();
            board.update(|board| match lost {
                Some(why) => {
                    board.not_ready.insert("lease".to_owned(), why);
                }
                None => {
                    board.not_ready.remove("lease");
                }
            });
        }
    });
    Ok(())
}

/// Deletes what is too old, once a day while this daemon leads.
async fn forget(ledger: Ledger, term: watch::Receiver<Option<Term>>, clock: Clock) {
    let mut pruned_at: Option<Timestamp> = None;
    loop {
        tokio::time::sleep(Span(LEASE.0 / 3).to_std()).await;
        let (now, held) = (clock.now(), term.borrow().clone());
        let Some(term) = held.filter(|_| pruned_at.is_none_or(|at| at + Span::days(1) <= now))
        else {
            continue;
        };
        pruned_at = Some(now);
        if let Err(error) = ledger.prune(&term, now - KEEP_HISTORY).await {
            tracing::warn!(%error, "the history was not shortened");
        }
    }
}

/// Takes the lease, once it is seen whether another daemon that had it is still there.
async fn first(ledger: &Ledger, holder: &str) -> Result<Term, LedgerError> {
    let mut told = false;
    loop {
        match ledger.lead(holder).await {
            Err(error @ LedgerError::LeaseAwaited { .. }) => {
                if !told {
                    tracing::info!(%error, "waiting for the lease");
                    told = true;
                }
                tokio::time::sleep(AGAIN.to_std()).await;
            }
            led => return led,
        }
    }
}
