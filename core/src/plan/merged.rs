//! Whether a merged dependency is in what a build of its dependents would check out.

use crate::model::identity::{ChangeId, Name, Oid};
use crate::model::ledger_view::Look;
use crate::model::manifest::Pin;
use crate::model::settings::UpdateOn;
use crate::model::time::Span;

use super::look::View;
use super::tracked::{TrackedRepository, Use};

/// How long dependents wait for a merged dependency.
pub(crate) const WAIT: Span = Span::hours(1);

/// Where a merged dependency is.
pub(crate) enum Arrival {
    /// In the mainline.
    There,
    /// Merged into a branch that this workspace does not track.
    Elsewhere(Name),
    /// Not in the mainline yet, with what is missing.
    Waiting(&'static str),
    /// It cannot be told now.
    Unknown(String),
}

/// Looks for the commit that stands for a merged change in the tracked heads and pins. A change of
/// which no such commit is known has nothing that could be waited for.
pub(crate) fn arrival(
    view: &View<'_>,
    repository: &TrackedRepository,
    change: &ChangeId,
    commit: Option<Oid>,
    base: Option<&Name>,
) -> Arrival {
    let elsewhere = || {
        let base = base.filter(|base| repository.overridden(base).next().is_none())?;
        Some(Arrival::Elsewhere(base.clone()))
    };
    let Some(commit) = commit else { return elsewhere().unwrap_or(Arrival::There) };
    let (mut there, mut waiting, mut unknown) = (false, false, None);
    for used in &repository.uses {
        match holds(view, change, used, commit) {
            Ok(false) => {}
            Ok(true) => match updated(view, change, used, commit) {
                Ok(true) => there = true,
                Ok(false) => waiting = true,
                Err(why) => unknown = unknown.or(Some(why)),
            },
            Err(why) => unknown = unknown.or(Some(why)),
        }
    }
    match unknown {
        Some(why) => Arrival::Unknown(why),
        None if waiting => Arrival::Waiting("no update of the workspace with it succeeded yet"),
        None if there => Arrival::There,
        None => elsewhere().unwrap_or(Arrival::Waiting("no tracked head contains it yet")),
    }
}

/// Whether the branch or the pin of a package contains the commit. What a tag stands for is not read.
fn holds(view: &View<'_>, change: &ChangeId, used: &Use, commit: Oid) -> Result<bool, String> {
    let id = &change.repository;
    let tip = match &used.pin {
        Some(Pin::Commit(pin)) => pin.parse::<Oid>().ok(),
        Some(Pin::Tag(_)) => None,
        None => {
            let listing = view.repository(id).and_then(|part| part.listing.value());
            let branch = used.branch.as_ref();
            branch.and_then(|branch| listing?.branches.get(branch)).copied()
        }
    };
    tip.map_or(Ok(false), |tip| view.contains(id, commit, tip))
}

/// Whether the last update had the commit, where a build gets it by an update alone.
fn updated(view: &View<'_>, change: &ChangeId, used: &Use, commit: Oid) -> Result<bool, String> {
    let by_update = used.definition || view.settings.update_on == UpdateOn::Any;
    let (true, None, Some(branch)) = (by_update, &used.pin, &used.branch) else { return Ok(true) };
    let look = Look { repository: change.repository.clone(), branch: branch.clone() };
    view.own();
    let inputs = view.part.and_then(|part| part.updated.as_ref()).map(|updated| &updated.inputs);
    let input = inputs.into_iter().flatten().find(|(input, _)| *input == look);
    input.map_or(Ok(false), |(_, head)| view.contains(&change.repository, commit, *head))
}
