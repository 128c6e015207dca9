//! The rule that each decision follows, and what would change it, for explanations.

use crate::model::identity::Subject;
use crate::model::plan::{Blocked, Decision, Held, SubjectPlan};
use crate::model::settings::{Adopt, Dependencies, WorkspaceSettings};

use super::budget;

/// The rule that a decision follows, with the configuration's keys.
pub(super) fn rule(subject: &SubjectPlan, settings: &WorkspaceSettings) -> String {
    let rules = &settings.changes;
    let mainline = subject.subject == Subject::Mainline;
    match &*subject.decision {
        Decision::Build { .. } => "a fingerprint without a verdict is built, on every CI once; a lost build is tried again, and a failure that the mainline may have caused once that is green; `rebuild_on_base` builds more".to_owned(),
        Decision::Unchanged { .. } if mainline => "a fingerprint is built once; what was there when the watch began is not built".to_owned(),
        Decision::Unchanged { .. } => "a fingerprint with a verdict is not built again".to_owned(),
        Decision::Covered { .. } => {
            let word = match rules.dependencies {
                Dependencies::Tops => "tops",
                Dependencies::Each => "each",
                Dependencies::Both => "both",
            };
            format!("a change that another one's build has is not built for itself (`dependencies: {word}`)")
        }
        Decision::Held { why, .. } => match why {
            Held::Settling if mainline => format!(
                "pushes to the mainline are gathered until none came for {}, at most {} (`mainline`)",
                settings.mainline.settle, settings.mainline.settle_at_most
            ),
            Held::Settling => format!(
                "every member is left alone for {} after it was first seen and {} after it moved (`changes: settle`)",
                rules.settle_new, rules.settle_push
            ),
            Held::Draft => "drafts are held (`changes: drafts`)".to_owned(),
            Held::Stale => format!(
                "a change of which nothing moved for {} is not built (`changes: max_age`)",
                rules.max_age
            ),
            Held::Approval => "a set with a head that is not trusted wants an approval of exactly its heads (`authors`)".to_owned(),
            Held::Adopted if subject.subject.queue().is_some() => "what was queued before the watch began is built as its last change would be (`adopt`)".to_owned(),
            Held::Adopted => {
                let word = match rules.adopt {
                    Adopt::Recent => "recent",
                    Adopt::All => "all",
                    Adopt::None => "none",
                };
                format!("of what was open before the watch began only some is built (`adopt: {word}`)")
            }
            Held::Paused => "nothing is triggered while it is paused or switched off (`paused`, `build`)".to_owned(),
            Held::NoWatchedPath => "a change counts for a package that lives in a folder if it touches that folder or one of `paths`, and what `ignore_paths` names never counts".to_owned(),
            Held::PartlyMerged => "while a set that was green together is merged in part the mainline waits for the rest, at most 15 minutes".to_owned(),
            Held::ReferenceBudget => format!(
                "references to changes that are not open are looked up for an author {} times an hour, {} times where the author is trusted",
                budget::LOOK_UPS.0, budget::LOOK_UPS.1
            ),
            Held::Retry => "a build that the CI lost is tried again after 2 and after 20 minutes, then not any more".to_owned(),
            Held::Archived => "nothing of a repository that its forge keeps read-only is built".to_owned(),
            Held::Mergeability => "a new change waits a minute for its forge to say whether it can be merged (`ref: auto`, `on_conflict`)".to_owned(),
            Held::Mainline if mainline => "the mainline is built after the update that is under way".to_owned(),
            Held::Mainline => "what is merged is waited for until the mainline has it, at most an hour".to_owned(),
        },
        Decision::Blocked { why, .. } => match why {
            Blocked::DependencyClosed => "a set with a closed member cannot be built (`on_closed: block`)".to_owned(),
            Blocked::TooMany => format!("a set has at most {} dependencies (`max_dependencies`)", rules.max_dependencies),
            Blocked::TwoChanges => "of two changes of one repository and base one contains the other (`same_repository: block`)".to_owned(),
            Blocked::CandidateFailed => "a set that touches what decides the manifest is judged by the manifest that it gives; where the tool gives none it blocks this set alone".to_owned(),
            Blocked::CandidateUnsettled => "members and manifest of a set have to agree within 4 rounds".to_owned(),
            Blocked::UpdateFailed => "the mainline of a workspace whose update fails is not built; changes are".to_owned(),
            Blocked::Conflict => "a set with a member that conflicts with its base is not built (`on_conflict: block`)".to_owned(),
            Blocked::Ci => "a build that the CI refused, or lost three times, is not sent again by itself".to_owned(),
        },
        Decision::Superseded { .. } => "builds of what is no longer wanted are dropped, and cancelled where the CI has them".to_owned(),
        Decision::Unknown { .. } => "what is not known is never taken for empty: nothing is triggered, closed or cancelled because of it".to_owned(),
    }
}

/// What releases a decision, or what would change it.
pub(super) fn released(subject: &SubjectPlan, settings: &WorkspaceSettings) -> String {
    let (name, id) = (&settings.name, &subject.subject);
    match &*subject.decision {
        Decision::Build { .. } => "nothing holds it; a push to a member takes its place".to_owned(),
        Decision::Unchanged { .. } if *id == Subject::Mainline => {
            format!("by a push to what it tracks, or `crosswatch rebuild {name} mainline`")
        }
        Decision::Unchanged { .. } if id.queue().is_some() => format!(
            "by a push to a change elsewhere that belongs to it, or `crosswatch rebuild {name} {id}`"
        ),
        Decision::Unchanged { .. } => format!(
            "by a push to a member, another base or other references, or `crosswatch rebuild {name} {id}`"
        ),
        Decision::Covered { by, .. } => format!(
            "when {by} no longer depends on it, or by `crosswatch rebuild --alone {name} {id}`"
        ),
        Decision::Held { why: Held::PartlyMerged, until: Some(until), .. } => {
            format!("when the rest is merged, closed or pushed to, or by itself at {until}")
        }
        Decision::Held { until: Some(until), .. } => format!("by itself at {until}"),
        Decision::Held { why, .. } => match why {
            Held::Draft => "when it is marked ready for review".to_owned(),
            Held::Adopted if id.queue().is_some() => {
                format!("by `crosswatch rebuild {name} {id}`, or queueing it again")
            }
            Held::Stale | Held::Adopted | Held::NoWatchedPath => {
                format!("by a push, or `crosswatch rebuild {name} {id}`")
            }
            Held::Approval => format!("by `crosswatch approve {name} {id}`"),
            Held::Paused => format!("by `crosswatch resume {name}`, or by the configuration"),
            Held::Archived => "when its repository is no longer archived".to_owned(),
            Held::Mainline if *id == Subject::Mainline => "when the update is done".to_owned(),
            // These end at a time.
            Held::Settling
            | Held::Mainline
            | Held::Retry
            | Held::Mergeability
            | Held::PartlyMerged
            | Held::ReferenceBudget => "when that is over".to_owned(),
        },
        Decision::Blocked { why, .. } => match why {
            Blocked::DependencyClosed => {
                "when the dependency is opened again or the reference is removed".to_owned()
            }
            Blocked::TooMany => "when it depends on fewer, or by `max_dependencies`".to_owned(),
            Blocked::TwoChanges => "when one is rebased on the other or leaves the set".to_owned(),
            Blocked::CandidateFailed => {
                format!("by a push to a member, or `crosswatch rebuild {name} {id}`")
            }
            Blocked::CandidateUnsettled => {
                "when a push or other references end the circle".to_owned()
            }
            Blocked::UpdateFailed => {
                format!(
                    "by the next update that succeeds (`crosswatch update {name}` runs one now)"
                )
            }
            Blocked::Conflict => "by a push that merges or rebases it".to_owned(),
            Blocked::Ci => format!("by `crosswatch rebuild {name} {id}` once the CI is mended"),
        },
        Decision::Superseded { .. } => "by nothing: it is over".to_owned(),
        Decision::Unknown { .. } => "by itself, when it can be read again".to_owned(),
    }
}
