//! What a build of a set checks out instead of the mainline.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::build::Override;
use crate::model::identity::{ChangeId, Name};
use crate::model::ledger_view::RefChoice;
use crate::model::settings::{ForgeKind, RefKind};

use super::look::View;
use super::openness::Open;
use super::sets::{ChangeSet, Graph};
use super::tracked::Tracked;

/// One override for each member that no other member contains.
pub(crate) fn overrides(
    view: &View<'_>,
    tracked: &Tracked,
    graph: &Graph<'_>,
    set: &ChangeSet,
) -> Vec<Override> {
    let mut overrides = Vec::new();
    for member in set.members.iter().filter(|member| !set.contained.contains(&member.change)) {
        let Some(repository) = tracked.repositories.get(&member.change.repository) else {
            continue;
        };
        let Some(open) = graph.open.get(&member.change) else { continue };
        let mut packages: Vec<Name> = Vec::new();
        let mut unpin = false;
        let mut repeats = BTreeMap::new();
        for used in repository.overridden(&member.base) {
            packages.push(used.override_key.clone());
            unpin |= used.pin.is_some();
            if let Some(repeated) = &used.repeats {
                repeats.insert(used.override_key.clone(), Arc::clone(repeated));
            }
        }
        packages.sort();
        packages.dedup();
        overrides.push(Override {
            change: member.change.clone(),
            change_url: change_url(view, &repository.spelling, &member.change),
            packages,
            repository_url: repository.url.to_string(),
            ref_name: ref_name(view.settings.changes.ref_kind, open),
            head: member.head,
            base: view.present(&member.change.repository, &member.base),
            unpin,
            repeats,
        });
    }
    overrides
}

/// The ref to fetch. A plain git server shows a merge ref only where it could make one; of a pull
/// request that was never said to be mergeable the head is taken.
fn ref_name(kind: RefKind, open: &Open<'_>) -> String {
    let listed = open.listed;
    let merge = match kind {
        RefKind::Auto if listed.forge.is_some() => open.choice == Some(RefChoice::Merge),
        RefKind::Auto => listed.merge,
        RefKind::Merge => true,
        RefKind::Head => false,
    };
    match listed.ref_name.strip_suffix("/head") {
        Some(stem) if merge => format!("{stem}/merge"),
        _ => listed.ref_name.to_string(),
    }
}

/// The page of a change, on a forge that has pages.
fn change_url(view: &View<'_>, spelling: &str, change: &ChangeId) -> Option<String> {
    let forge = view.snapshot.settings.forge(&change.repository.forge)?;
    match &forge.kind {
        ForgeKind::Git(_) => None,
        ForgeKind::GitHub(_) => Some(format!("{}/{spelling}/pull/{}", forge.url, change.number)),
    }
}
