//! Changes whose builds say the same wherever they are: every CI has the fingerprint, and only a person can make
//! it build that again. How they ended is each workspace's own, and decides nothing else.

use crate::model::build::{SetMember, Stage, Verdict};
use crate::model::identity::{Fingerprint, Name};
use crate::model::ledger_view::AttemptView;
use crate::model::settings::WorkspaceSettings;

use super::partly;

/// Whether that is so of a change with this set and these attempts.
pub(crate) fn answered(
    settings: &WorkspaceSettings,
    attempts: &[AttemptView],
    fingerprint: Fingerprint,
    set: &[SetMember],
) -> bool {
    let same = |attempt: &&AttemptView| attempt.fingerprint == fingerprint;
    let alike = |attempt: &AttemptView| match attempt.stage {
        Stage::Dropped => false,
        Stage::Ended(_) => true,
        // One of another fingerprint is to be ended.
        _ => same(&attempt),
    };
    let has = |ci: &Name| {
        let of = attempts.iter().filter(same).filter(|attempt| attempt.ci == *ci);
        of.max_by_key(|attempt| attempt.attempt).is_some_and(stands)
    };
    // A set that was green together and is another one now may be merged in part, for which the mainline
    // waits.
    let whole = partly::last_together(attempts).is_none_or(|last| *last.set == *set);
    whole && attempts.iter().all(alike) && !settings.ci.is_empty() && settings.ci.iter().all(has)
}

/// Whether nothing but a person has it built again, however the mainline stands.
fn stands(attempt: &AttemptView) -> bool {
    match attempt.stage {
        Stage::Ended(Verdict::Failure) => attempt.mainline != Some(Verdict::Failure),
        Stage::Ended(verdict) => verdict.spends(),
        stage => stage.open(),
    }
}
