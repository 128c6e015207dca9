//! What should be triggered: a pure function of a snapshot and the ledger's view.
//!
//! [`incremental::Planner`] is what the daemon calls; [`plan`] is the same from scratch.

mod adoption;
mod again;
mod alias;
pub mod anonymous;
mod attempts;
mod body;
mod budget;
mod candidate;
mod choice;
mod cover;
mod decide;
mod decided;
mod edges;
pub mod explain;
mod explain_text;
mod fate;
pub mod fingerprint;
mod holds;
pub mod incremental;
mod look;
mod mainline;
mod matching;
mod mergeable;
mod merged;
mod openness;
mod overrides;
mod partly;
mod queue;
mod report;
mod request;
mod rights;
mod sets;
mod shared;
mod stack;
mod tracked;
mod trust;
mod watched_paths;
pub mod what_if;

#[cfg(test)]
pub(crate) mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::build::Priority;
use crate::model::identity::{ChangeId, RepositoryId, Subject};
use crate::model::ledger_view::{LedgerView, Look, MainlineFacts, WorkspaceLedger};
use crate::model::plan::{Decision, Plan, SetPlan, SubjectPlan, Trigger, Watched, WorkspacePlan};
use crate::model::question::Question;
use crate::model::settings::WorkspaceSettings;
use crate::model::snapshot::Snapshot;
use crate::references::Finding;

pub use alias::by_first_names;
pub use tracked::update_inputs;

use decide::Deciding;
use look::View;
use shared::Shared;
use tracked::{Tracked, TrackedRepository};

/// Questions that one plan may ask; the others are asked by the next.
pub const MAX_WANTED: usize = 2_000;

/// How often candidates may bring more repositories within one plan; later ones wait for the next.
const TURNS: usize = 16;

/// Plans everything from scratch.
pub fn plan(snapshot: &Snapshot, ledger: &LedgerView) -> Plan {
    let shared = Shared::default();
    let named = by_first_names(snapshot);
    let workspaces = snapshot
        .settings
        .workspaces
        .iter()
        .map(|settings| Arc::new(workspace(&named, settings, ledger, &shared)))
        .collect();
    assemble(snapshot, workspaces)
}

/// Joins the plans of all workspaces.
fn assemble(snapshot: &Snapshot, workspaces: Vec<Arc<WorkspacePlan>>) -> Plan {
    let wanted: BTreeSet<Question> =
        workspaces.iter().flat_map(|plan| plan.wanted.iter().cloned()).take(MAX_WANTED).collect();
    let next_at = workspaces.iter().filter_map(|plan| plan.next_at).min();
    Plan { at: snapshot.at, workspaces, wanted, next_at }
}

/// Plans one workspace.
fn workspace(
    snapshot: &Snapshot,
    settings: &WorkspaceSettings,
    ledger: &LedgerView,
    shared: &Shared,
) -> WorkspacePlan {
    let empty = WorkspaceLedger::default();
    let workspace_ledger = ledger.workspaces.get(&settings.id).map_or(&empty, |ledger| ledger);
    let view = View::new(snapshot, settings, workspace_ledger, &ledger.ledger_id);
    let tracked = tracked::tracked(&view);
    let mainline = mainline::mainline(&view, &tracked);
    let mut beyond = BTreeMap::new();
    let mut turn = turn(&view, &tracked, mainline.as_ref(), &beyond, shared);
    // What candidates have beyond the mainline's manifest takes part from the start.
    for _ in 0..TURNS {
        if turn.discovered.is_empty() {
            break;
        }
        beyond.append(&mut turn.discovered);
        turn = self::turn(&view, &tracked, mainline.as_ref(), &beyond, shared);
    }
    let mainline_facts = turn.mainline_facts.take();
    let subjects = std::mem::take(&mut turn.subjects);
    let reports = report::reports(&view, &turn.findings, &subjects);
    let repositories = tracked.repositories.iter();
    let watched = repositories
        .chain(&beyond)
        .chain(&turn.discovered)
        .map(|(id, repository)| {
            let (url, spelling) = (repository.url.clone(), repository.spelling.clone());
            (id.clone(), Watched { url, spelling })
        })
        .collect();
    let inputs = tracked::inputs(&view, &tracked);
    let noted = view.finish();
    WorkspacePlan {
        workspace: settings.name.clone(),
        id: settings.id.clone(),
        subjects,
        inputs,
        watched,
        unwatched: tracked.unwatched,
        looks: turn.looks,
        facts: turn.facts.moved(workspace_ledger),
        mainline: mainline_facts.filter(|facts| workspace_ledger.mainline.as_ref() != Some(facts)),
        reports,
        wanted: noted.wanted,
        consulted: noted.consulted,
        next_at: noted.next_at,
    }
}

/// Mainline and changes of a workspace, decided with some repositories beyond those of its manifest.
struct Turn {
    mainline_facts: Option<MainlineFacts>,
    subjects: Vec<Arc<SubjectPlan>>,
    looks: Vec<Look>,
    facts: look::Facts,
    /// Clear references that fail, of each change itself.
    findings: BTreeMap<ChangeId, Vec<Finding>>,
    discovered: BTreeMap<RepositoryId, TrackedRepository>,
}

fn turn(
    view: &View<'_>,
    tracked: &Tracked,
    mainline: Result<&mainline::Mainline, &String>,
    beyond: &BTreeMap<RepositoryId, TrackedRepository>,
    shared: &Shared,
) -> Turn {
    let mut changes = openness::changes(view, tracked, beyond);
    let to_hold = adoption::adopt(view, &mut changes);
    mergeable::learn(view, &mut changes);
    let graph = sets::graph(view, tracked, &changes);
    // While the mainline is not known nothing of it is kept, so nothing of it may wait either.
    let partly = match mainline {
        Ok(_) => partly::partly(view, tracked, &changes),
        Err(_) => partly::Partly::default(),
    };
    let (mut mainline_plan, mainline_facts) = mainline_subject(view, mainline, partly);
    let notes: Vec<Finding> = tracked.renamed.iter().map(alias::note).collect();
    if !notes.is_empty() {
        mainline_plan.of = Arc::new(SetPlan { notes, ..SetPlan::default() });
    }
    let heads = mainline.map_or(&[][..], |mainline| &mainline.heads);
    let mut facts = std::mem::take(&mut changes.facts);
    graph.remember(&mut facts);
    let below = cover::below(view, &changes, &graph);
    let (discovered, undecided) = (RefCell::default(), Cell::new(false));
    let findings = RefCell::new(graph.findings_of_all());
    let deciding = Deciding {
        view,
        tracked,
        changes: &changes,
        graph: &graph,
        mainline: heads,
        manifest: tracked::manifest(view),
        difference: None,
        base: again::base(view, heads, mainline_facts.as_ref()),
        beyond,
        discovered: &discovered,
        undecided: &undecided,
        findings: &findings,
        to_hold: &to_hold,
        shared,
        below: &below,
    };
    let mut subjects = vec![Arc::new(mainline_plan)];
    subjects.extend(decide::decide(&deciding, &mut facts));
    let (queues, queued_before) = queue::decide(&deciding, &facts);
    subjects.extend(queues);
    let mut looks = changes.looks;
    looks.extend(queued_before);
    Turn {
        mainline_facts,
        subjects,
        looks,
        facts,
        findings: findings.into_inner(),
        discovered: discovered.into_inner(),
    }
}

fn mainline_subject(
    view: &View<'_>,
    mainline: Result<&mainline::Mainline, &String>,
    partly: partly::Partly,
) -> (SubjectPlan, Option<MainlineFacts>) {
    let mut plan = SubjectPlan {
        subject: Subject::Mainline,
        decision: Decision::Unknown { reason: String::new() },
        of: Arc::default(),
        trusted: true,
        candidate: None,
        fingerprint: None,
        triggers: Vec::new(),
        superseded: Vec::new(),
    };
    let mainline = match mainline {
        Ok(mainline) => mainline,
        Err(reason) => {
            plan.decision = Decision::Unknown { reason: reason.clone() };
            return (plan, None);
        }
    };
    let mut facts = mainline::facts(view, mainline);
    facts.partly = partly.since;
    let standing = mainline::decide(view, mainline, &facts, partly.waiting);
    plan.decision = standing.decision;
    if !view.settings.build_mainline {
        plan.decision = Decision::Held {
            why: crate::model::plan::Held::Paused,
            reason: "this workspace does not build its mainline (`build`)".to_owned(),
            until: None,
        };
    } else {
        for due in standing.due {
            let priority = request::priority(due.cause, Priority::Mainline);
            let request = request::of_mainline(view, mainline, &due);
            plan.triggers.push(Trigger {
                ci: due.ci,
                priority,
                request,
                parts: mainline.parts(view),
                needs_approval: false,
                approved_as: Vec::new(),
            });
            facts.heads.clone_from(&mainline.heads);
        }
    }
    plan.superseded = attempts::superseded(
        view,
        &Subject::Mainline,
        Some(mainline.fingerprint),
        "the mainline moved on",
    );
    plan.fingerprint = Some(mainline.fingerprint);
    (plan, Some(facts))
}
