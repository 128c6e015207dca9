//! `branch_matching`: changes of several repositories that one author made from branches of one name.

use std::collections::BTreeMap;

use crate::model::change::{ForgeChange, Listing};
use crate::model::identity::{ChangeId, Name, RepositoryId};
use crate::model::observed::Purpose;
use crate::model::queue::made_by_queue;

use super::look::View;
use super::openness::{Changes, State, base};
use super::stack::Stack;
use super::tracked::{Tracked, TrackedRepository};
use super::trust::{bot, trusted};

/// Names that many branches have whatever they are for.
const COMMON: [&str; 5] = ["main", "master", "develop", "development", "trunk"];
/// What bots begin the names of their branches with.
const BOTS: [&str; 7] = [
    "dependabot/",
    "renovate/",
    "pre-commit-ci-",
    "snyk-",
    "greenkeeper/",
    "github-actions/",
    "imgbot",
];

/// Changes that belong together by the name of their branch.
#[derive(Default)]
pub(crate) struct Joined {
    /// The next one of its group, in a ring: together they are one component.
    pub(crate) next: BTreeMap<ChangeId, ChangeId>,
    /// Why it is not known what a change belongs together with.
    pub(crate) unknown: BTreeMap<ChangeId, String>,
}

/// Looks for them, if the workspace wants it. A change that cannot be read now counts as it was, so
/// that an outage takes nothing out of a set.
pub(crate) fn joined(view: &View<'_>, tracked: &Tracked, changes: &Changes<'_>) -> Joined {
    let mut joined = Joined::default();
    if !view.settings.changes.branch_matching {
        return joined;
    }
    // By forge, author and branch: the change of each repository with the least number.
    let mut groups: BTreeMap<(&Name, String, &Name), BTreeMap<&RepositoryId, ChangeId>> =
        BTreeMap::new();
    for (id, repository) in &tracked.repositories {
        let Some(part) = view.repository(id) else { continue };
        let Some(listing) = part.listing.last_known(Purpose::Hiding) else { continue };
        let stack = Stack::of(id, repository, listing);
        for listed in &listing.changes {
            let change = id.change(listed.number);
            let base = match changes.states.get(&change) {
                Some(State::Open(open)) => Some(open.base),
                Some(State::Unknown(_)) => {
                    let bottom = stack.below(listed).map_or(listed, |(_, bottom)| bottom);
                    base(listing, bottom)
                }
                Some(State::Merged { .. }) | None => None,
            };
            if base.is_none_or(|base| repository.overridden(base).next().is_none()) {
                continue;
            }
            let Some(forge) = &listed.forge else { continue };
            let (Some(author), Some(source)) = (&forge.author, &forge.source) else { continue };
            if fits(view, repository, listing, forge, &source.branch) && trusted(view, &change) {
                let key = (&id.forge, author.login.to_ascii_lowercase(), &source.branch);
                groups.entry(key).or_default().entry(id).or_insert(change);
            }
        }
    }
    for group in groups.into_values() {
        let why = group.values().find_map(|change| match changes.states.get(change) {
            Some(State::Unknown(why)) => Some(why.clone()),
            _ => None,
        });
        let open: Vec<&ChangeId> = group
            .values()
            .filter(|change| matches!(changes.states.get(*change), Some(State::Open(_))))
            .collect();
        for (change, next) in open.iter().zip(open.iter().cycle().skip(1)) {
            if change != next {
                joined.next.insert((*change).clone(), (*next).clone());
            }
            if let Some(why) = &why {
                joined.unknown.insert((*change).clone(), why.clone());
            }
        }
    }
    joined
}

/// Whether a branch of that name says anything about what it is for.
fn fits(
    view: &View<'_>,
    repository: &TrackedRepository,
    listing: &Listing,
    forge: &ForgeChange,
    branch: &Name,
) -> bool {
    let numbered = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let by_the_forge = branch.rsplit_once("patch-").is_some_and(|(before, rest)| {
        (before.is_empty() || before.ends_with('-')) && numbered(rest)
    });
    !(bot(&view.settings.changes, forge)
        || listing.default_branch.as_ref() == Some(branch)
        || repository.tracks(branch)
        || COMMON.contains(&branch.as_str())
        || made_by_queue(branch)
        || BOTS.iter().any(|prefix| branch.starts_with(prefix))
        || by_the_forge)
}
