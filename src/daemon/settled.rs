//! When `run --once` has nothing left to do.

use crosswatch_core::control::lifecycle;
use crosswatch_core::model::build::{Stage, Verdict};
use crosswatch_core::model::plan::{Decision, Held};

use super::DaemonError;
use tokio::sync::watch;

use crate::board::Board;
use crate::forge::Apis;
use crate::ledger::{BuildFilter, Ledger};
use crate::pass::Publications;
use crate::report;

/// Whether everything was looked at, nothing waits for time alone, and all builds ended.
pub(super) async fn settled(
    publications: &Publications,
    board: &Board,
    ledger: &Ledger,
    apis: &watch::Sender<Apis>,
) -> bool {
    let Some(published) = publications.borrow().clone() else { return false };
    let status = board.read();
    let looked = published.plan.workspaces.iter().all(|plan| {
        plan.watched.keys().all(|id| {
            let seen = status.repositories.get(id);
            seen.is_some_and(|seen| seen.read_at.is_some() || seen.failure.is_some())
        })
    });
    let lives = published.snapshot.settings.workspaces.iter().all(|workspace| {
        status.workspaces.get(&workspace.name).is_some_and(|workspace| {
            workspace.phase == lifecycle::Phase::Ready.word() || workspace.failure.is_some()
        })
    });
    let asked = published.plan.wanted.iter().all(|question| {
        let answer = published.snapshot.answers.get(question);
        answer.is_some_and(|answer| answer.unknown().is_some_and(|u| u.why != "not read yet"))
    });
    let quiet = published.plan.workspaces.iter().flat_map(|plan| &plan.subjects).all(|subject| {
        subject.triggers.is_empty()
            && !matches!(
                subject.decision,
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
            && !matches!(&subject.decision, Decision::Unknown { reason } if reason.ends_with("not read yet"))
    });
    if !(looked && lives && asked && quiet) {
        return false;
    }
    let fresh =
        publications.borrow().as_ref().map(|newest| newest.number) == Some(published.number);
    if !fresh || !ledger.outbox().await.is_ok_and(|rows| rows.is_empty()) {
        return false;
    }
    // What a forge does not take now is waited for by no one.
    let apis = apis.borrow().clone();
    let waits = report::waits(ledger, &published, &apis, published.snapshot.at).await;
    waits.is_ok_and(|waits| !waits) || status.forges.values().any(|forge| !forge.reports.is_empty())
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
