//! Which ref of a pull request a build checks out.

use crate::model::change::ForgeChange;
use crate::model::ledger_view::RefChoice;

/// The choice under `ref: auto`; nothing for a change of which the forge has never said whether it
/// can be merged. A forge that is trying again changes nothing.
pub(crate) fn choose(
    forge: &ForgeChange,
    mergeable: Option<bool>,
    stacked: bool,
    last: Option<RefChoice>,
) -> Option<RefChoice> {
    match (mergeable, last) {
        (Some(false), _) | (None, Some(RefChoice::Conflict)) => Some(RefChoice::Conflict),
        _ if forge.draft || stacked => Some(RefChoice::Head),
        (Some(true), _) => Some(RefChoice::Merge),
        (None, last) => last,
    }
}
