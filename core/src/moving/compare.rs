//! What autoproj-daemon would have built and what we would, change by change.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::read::Cached;
use crate::model::identity::{ChangeId, Name};
use crate::model::locator::{Located, Locator};
use crate::model::plan::{Decision, Plan, SubjectPlan, WorkspacePlan};

/// One change in one workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The workspace.
    pub workspace: Name,
    /// The change, or its address where no configured forge has it.
    pub change: String,
    /// What autoproj-daemon would do.
    pub theirs: String,
    /// What we would do.
    pub ours: String,
    /// Why these differ; empty where they do not.
    pub why: String,
}

/// Compares its cache with a plan. It builds each pull request of its list for itself, whenever head,
/// base, draft or what it depends on is otherwise than in its cache.
pub fn compare(cached: &[Cached], locator: &Locator, plan: &Plan) -> Vec<Compared> {
    let mut known: BTreeMap<ChangeId, &Cached> = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for entry in cached {
        match located(locator, &entry.url, entry.number) {
            Ok(change) => drop(known.insert(change, entry)),
            Err(why) => elsewhere.push((entry, why)),
        }
    }
    let mut rows = Vec::new();
    for workspace in &plan.workspaces {
        let subjects =
            workspace.subjects().filter_map(|planned| Some((planned.subject.change()?, planned)));
        let subjects: BTreeMap<&ChangeId, &SubjectPlan> = subjects.collect();
        let all: BTreeSet<&ChangeId> = known.keys().chain(subjects.keys().copied()).collect();
        for change in all {
            let (entry, planned) = (known.get(change).copied(), subjects.get(change).copied());
            rows.push(row(locator, workspace, change, entry, planned));
        }
        for (entry, why) in &elsewhere {
            rows.push(Compared {
                workspace: workspace.workspace.clone(),
                change: format!("{}#{}", entry.url, entry.number),
                theirs: "built".to_owned(),
                ours: "-".to_owned(),
                why: format!("{why}: add its server under `forges`"),
            });
        }
    }
    rows
}

fn located(locator: &Locator, url: &str, number: u64) -> Result<ChangeId, String> {
    match locator.locate(url) {
        Located::Repository { id, .. } => Ok(id.change(number)),
        Located::Unwatched { reason } => Err(reason),
    }
}

fn row(
    locator: &Locator,
    workspace: &WorkspacePlan,
    change: &ChangeId,
    entry: Option<&Cached>,
    planned: Option<&SubjectPlan>,
) -> Compared {
    let built_with = entry.map(|entry| dependencies(locator, entry));
    let theirs = match (entry, &built_with) {
        (None, _) | (_, None) => "builds it: it is not in its cache".to_owned(),
        (Some(entry), Some(set)) => {
            let moved = planned.and_then(|planned| moved(change, entry, set, planned));
            let head = entry.head.get(..10).unwrap_or(&entry.head);
            match moved {
                Some(moved) => format!("builds it again: {moved}"),
                None if set.is_empty() => format!("has built it at {head}"),
                None => format!("has built it at {head} with {}", listed(set)),
            }
        }
    };
    let ours = planned.map_or_else(
        || "-".to_owned(),
        |planned| format!("{}: {}", planned.decision.word(), planned.decision.reason()),
    );
    Compared {
        workspace: workspace.workspace.clone(),
        change: change.to_string(),
        theirs,
        ours,
        why: why(workspace, change, built_with.as_ref(), planned),
    }
}

/// What it depends on there, by our names; what we do not know keeps its own.
fn dependencies(locator: &Locator, entry: &Cached) -> BTreeSet<String> {
    let named = entry.dependencies.iter().map(|dependency| {
        let url = format!("https://{}", dependency.repository);
        match located(locator, &url, dependency.number) {
            Ok(change) => change.to_string(),
            Err(_) => format!("{}#{}", dependency.repository, dependency.number),
        }
    });
    named.collect()
}

/// Our set without the change itself.
fn others(change: &ChangeId, planned: &SubjectPlan) -> BTreeSet<String> {
    let members = planned.set.iter().map(|member| &member.change);
    members.filter(|member| *member != change).map(ChangeId::to_string).collect()
}

/// What of a pull request is otherwise than in the cache.
fn moved(
    change: &ChangeId,
    entry: &Cached,
    set: &BTreeSet<String>,
    planned: &SubjectPlan,
) -> Option<String> {
    let own = planned.set.iter().find(|member| member.change == *change)?;
    if own.head.to_string() != entry.head {
        return Some(format!("its head is {} now", own.head.short()));
    }
    if *own.base != *entry.base {
        return Some(format!("its base is {} now", own.base));
    }
    for dependency in &entry.dependencies {
        let heads = planned.set.iter().filter(|member| {
            let name = member.change.to_string();
            set.contains(&name) && name.ends_with(&format!("#{}", dependency.number))
        });
        let mut heads = heads.map(|member| member.head.to_string()).peekable();
        if heads.peek().is_some() && heads.all(|head| head != dependency.head) {
            return Some(format!("{}#{} moved", dependency.repository, dependency.number));
        }
    }
    None
}

fn why(
    workspace: &WorkspacePlan,
    change: &ChangeId,
    built_with: Option<&BTreeSet<String>>,
    planned: Option<&SubjectPlan>,
) -> String {
    let Some(planned) = planned else {
        return if workspace.watched.contains_key(&change.repository) {
            "it is not open any more against a branch that the workspace tracks".to_owned()
        } else {
            "no package of this workspace comes from its repository".to_owned()
        };
    };
    let mut reasons = Vec::new();
    match &*planned.decision {
        Decision::Build { .. } | Decision::Unchanged { .. } => {}
        Decision::Covered { by, .. } => {
            reasons.push(format!(
                "we build it once, with {by}; autoproj-daemon builds it for itself as well"
            ));
        }
        other => reasons.push(format!("autoproj-daemon has no \"{}\" and builds it", other.word())),
    }
    let ours = others(change, planned);
    if let Some(theirs) =
        built_with.filter(|_| !matches!(*planned.decision, Decision::Unknown { .. }))
    {
        let more: BTreeSet<String> = ours.difference(theirs).cloned().collect();
        let less: BTreeSet<String> = theirs.difference(&ours).cloned().collect();
        if !more.is_empty() {
            reasons
                .push(format!("we also take in {}, which autoproj-daemon does not", listed(&more)));
        }
        if !less.is_empty() {
            reasons.push(format!(
                "autoproj-daemon also takes in {}, which is not open here, not watched, or no reference by our rules",
                listed(&less)
            ));
        }
    }
    reasons.join("; ")
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}
