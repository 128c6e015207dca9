//! When `run --once` has nothing left to do.

use crosswatch_core::control::lifecycle;
use crosswatch_core::model::build::{Stage, Verdict};
use crosswatch_core::model::observed::NOT_READ_YET;
use crosswatch_core::model::plan::{Decision, Held};

use tokio::sync::watch;

use super::DaemonError;
use crate::board::Board;
use crate::forge::Apis;
use crate::ledger::{BuildFilter, Ledger};
use crate::pass::Publications;
use crate::report;

/// The number of the last pass, when everything was looked at, nothing waits for time alone, and all
/// builds ended.
pub(super) async fn settled(
    publications: &Publications,
    board: &Board,
    ledger: &Ledger,
    apis: &watch::Sender<Apis>,
) -> Option<u64> {
    let published = publications.borrow().clone()?;
    let status = board.read();
    // What the plan was made from counts, not what was read since.
    let looked = published.watching.keys().all(|id| {
        let part = published.snapshot.repositories.get(id);
        let unknown = part.map(|part| part.listing.unknown());
        unknown.is_some_and(|unknown| unknown.is_none_or(|unknown| !unknown.is_unread()))
    });
    let lives = published.snapshot.settings.workspaces.iter().all(|workspace| {
        status.workspaces.get(&workspace.name).is_some_and(|workspace| {
            workspace.phase == lifecycle::Phase::Ready.word() || workspace.failure.is_some()
        })
    });
    let asked = published.plan.wanted.iter().all(|question| {
        let answer = published.snapshot.answers.get(question);
        answer.is_some_and(|answer| answer.unknown().is_some_and(|unknown| !unknown.is_unread()))
    });
    let quiet = published.plan.workspaces.iter().flat_map(|plan| plan.subjects()).all(|subject| {
        subject.triggers.is_empty()
            && !matches!(
                *subject.decision,
                // With nothing in the outbox a build that is still wanted is one that just ended.
                Decision::Build { .. }
                    | Decision::Held {
                        why: Held::Settling
                            | Held::Mainline
                            | Held::Retry
                            | Held::Mergeability
                            | Held::PartlyMerged,
                        ..
                    }
            )
            && !matches!(&*subject.decision, Decision::Unknown { reason } if reason.ends_with(NOT_READ_YET))
    });
    if !(looked && lives && asked && quiet) {
        return None;
    }
    let fresh =
        publications.borrow().as_ref().map(|newest| newest.number) == Some(published.number);
    if !fresh || !ledger.outbox().await.is_ok_and(|rows| rows.is_empty()) {
        return None;
    }
    // What a forge does not take now is waited for by no one.
    let apis = apis.borrow().clone();
    let waits = report::waits(ledger, &published, &apis, published.snapshot.at).await;
    let told = waits.is_ok_and(|waits| !waits)
        || status.forges.values().any(|forge| !forge.reports.is_empty());
    told.then_some(published.number)
}

/// The truth about the builds, for the exit code.
pub(super) async fn verdict(ledger: &Ledger) -> Result<(), DaemonError> {
    let builds =
        ledger.builds(&BuildFilter { limit: Some(1_000), ..BuildFilter::default() }).await?;
    let ended: Vec<Verdict> = builds
        .iter()
        .filter_map(|build| match build.stage {
            Stage::Ended(verdict) => Some(verdict),
            _ => None,
        })
        .collect();
    let failed = ended.iter().filter(|verdict| **verdict != Verdict::Success).count();
    if failed > 0 {
        return Err(DaemonError::Failed { failed, ended: ended.len() });
    }
    Ok(())
}
