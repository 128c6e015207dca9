//! The plan of one workspace: the whole, or what moved of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thin_vec::ThinVec;

use crate::model::build::{PackageHead, Priority};
use crate::model::fingerprint::Print;
use crate::model::identity::{ChangeId, RepositoryId, Subject};
use crate::model::ledger_view::{LedgerView, Look, MainlineFacts, WorkspaceLedger};
use crate::model::part::Part;
use crate::model::parts::Parts;
use crate::model::plan::{
    Decision, Held, SetPlan, SubjectPlan, Trigger, Unwatched, Watched, WorkspacePlan,
};
use crate::model::report::Reports;
use crate::model::settings::WorkspaceSettings;
use crate::model::snapshot::Snapshot;
use crate::model::time::Timestamp;
use crate::references::Finding;

use super::alike::{Pass, Taken};
use super::decide::{self, Deciding};
use super::look::{self, View};
use super::mainline::{self, Mainline};
use super::scope::{self, Earlier};
use super::shared::Shared;
use super::tracked::{self, Tracked, TrackedRepository};
use super::{
    adoption, again, alias, attempts, cover, mergeable, openness, partly, queue, report, request,
    sets,
};

/// How often candidates may bring more repositories within one plan; later ones wait for the next.
const TURNS: usize = 16;

/// A plan, and what the next one may take over from it.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) plan: Arc<WorkspacePlan>,
    pub(crate) tracked: Arc<Tracked>,
    mainline: Arc<Result<Mainline, String>>,
    /// Whether every decision follows from its own set, and no set is merged in part.
    pub(crate) plain: bool,
    /// Whether the ledger has all that it says.
    pub(crate) settled: bool,
    /// Whether it asks something, and when it stops to hold: beside the plan, since all of these are looked
    /// at in each pass.
    pub(crate) wants: bool,
    pub(crate) next_at: Option<Timestamp>,
}

/// Plans one workspace wholly; with a pass it takes over what others decided alike.
pub(crate) fn planned(
    snapshot: &Snapshot,
    settings: &WorkspaceSettings,
    ledger: &LedgerView,
    shared: &Shared,
    pass: Option<&Pass<'_>>,
) -> Planned {
    let own = own(settings, ledger);
    let mut view = View::new(snapshot, settings, own, &ledger.ledger_id);
    let once = pass.map(|pass| &pass.once);
    let tracked = Arc::new(tracked::shared(&view, shared, once));
    let mainline = Arc::new(mainline::mainline(&view, &tracked, once));
    let heads = heads(&mainline);
    let taken = pass.map(|pass| pass.take(&mut view, &tracked, &heads));
    let (taken, missed) = taken.unwrap_or_default();
    let mut beyond = BTreeMap::new();
    let mut turn = turn(&view, &tracked, (*mainline).as_ref(), &beyond, shared);
    let candidates = turn.has_candidates();
    if candidates && view.scope().is_some() {
        // Those may have any change in their sets.
        return planned(snapshot, settings, ledger, shared, None);
    }
    // What candidates have beyond the mainline's manifest takes part from the start.
    for _ in 0..TURNS {
        if turn.discovered.is_empty() {
            break;
        }
        beyond.append(&mut turn.discovered);
        turn = self::turn(&view, &tracked, (*mainline).as_ref(), &beyond, shared);
    }
    let repositories = tracked.repositories.iter();
    let watched = repositories.chain(&beyond).chain(&turn.discovered).map(|(id, repository)| {
        let (url, spelling) = (repository.url.clone(), repository.spelling.clone());
        (id.clone(), Watched { url, spelling })
    });
    let watched = Watching {
        watched: Arc::new(watched.collect()),
        unwatched: Arc::clone(&tracked.unwatched),
    };
    let parts = (Arc::clone(&tracked), mainline);
    let planned = finish(&view, parts, turn, (watched, shared), None, taken, !beyond.is_empty());
    if let Some(pass) = pass.filter(|_| !candidates) {
        pass.keep(settings, missed, &planned.plan);
    }
    planned
}

/// The last plan with what came of the move in another workspace; nothing where none was the same where that
/// matters.
pub(crate) fn repeated(
    earlier: &Earlier<'_>,
    snapshot: &Snapshot,
    settings: &WorkspaceSettings,
    ledger: &LedgerView,
    pass: &Pass<'_>,
) -> Option<Planned> {
    let last = earlier.planned;
    let own = own(settings, ledger);
    let repeat = pass.repeat(settings, own, earlier)?;
    let view = || View::new(snapshot, settings, own, &ledger.ledger_id);
    let taken = repeat.taken(&view, &last.tracked, &heads(&last.mainline));
    Some(kept(last, &repeat.scope, taken))
}

/// The same plan with less work: of the changes that a move can matter to, with those of before where
/// it cannot. Nothing where all of them may.
pub(crate) fn revised(
    earlier: &Earlier<'_>,
    snapshot: &Snapshot,
    settings: &WorkspaceSettings,
    ledger: &LedgerView,
    shared: &Shared,
    pass: &Pass<'_>,
) -> Option<Planned> {
    let own = own(settings, ledger);
    let mut view = View::new(snapshot, settings, own, &ledger.ledger_id);
    let last = earlier.planned;
    let scope = scope::scope(&view, earlier)?;
    let mainline = if scope.heads {
        Arc::new(mainline::mainline(&view, &last.tracked, Some(&pass.once)))
    } else {
        Arc::clone(&last.mainline)
    };
    if mainline.is_err() {
        return None;
    }
    let scope = scope.repositories;
    view.limit(scope.clone());
    let tracked = Arc::clone(&last.tracked);
    let (taken, missed) = pass.take(&mut view, &tracked, &heads(&mainline));
    // Whether all that it matters to may be decided as in another workspace.
    let missing: BTreeSet<_> = missed.iter().flat_map(|all| &all.0).map(|seen| seen.id).collect();
    let alike = view.scope().is_some_and(|rest| rest.iter().all(|id| missing.contains(id)));
    if view.scope().is_some_and(BTreeSet::is_empty) && same_mainline(&view, earlier, &mainline) {
        let planned = kept(last, &scope, taken);
        if alike {
            pass.learn(&view, earlier, &scope, &planned);
        }
        return Some(planned);
    }
    let turn = turn(&view, &tracked, (*mainline).as_ref(), &BTreeMap::new(), shared);
    if turn.has_candidates() {
        return None;
    }
    let watched = Watching {
        watched: Arc::clone(&last.plan.watched),
        unwatched: Arc::clone(&last.plan.unwatched),
    };
    let parts = (Arc::clone(&tracked), mainline);
    let last = Some((last, scope.clone()));
    let planned = finish(&view, parts, turn, (watched, shared), last, taken, false);
    if pass.keep(settings, missed, &planned.plan) && alike {
        pass.learn(&view, earlier, &scope, &planned);
    }
    Some(planned)
}

fn own<'a>(settings: &WorkspaceSettings, ledger: &'a LedgerView) -> &'a WorkspaceLedger {
    static EMPTY: WorkspaceLedger = WorkspaceLedger::EMPTY;
    ledger.workspaces.get(&settings.id).map_or(&EMPTY, |ledger| ledger)
}

/// Heads of a mainline, none where it is not known.
fn heads(mainline: &Result<Mainline, String>) -> Arc<[PackageHead]> {
    mainline.as_ref().map(|mainline| Arc::clone(&mainline.heads)).unwrap_or_default()
}

/// What a workspace watches.
struct Watching {
    watched: Arc<BTreeMap<RepositoryId, Watched>>,
    unwatched: Arc<Vec<Unwatched>>,
}

/// Whether the mainline would be decided as it is, with nothing of it to record.
fn same_mainline(
    view: &View<'_>,
    earlier: &Earlier<'_>,
    mainline: &Arc<Result<Mainline, String>>,
) -> bool {
    let last = earlier.planned;
    let part = last.plan.parts.find(None);
    let holds = |part: &Arc<Part>| part.asked.next_at.is_none_or(|next| view.at() < next);
    Arc::ptr_eq(mainline, &last.mainline)
        && std::ptr::eq(own(view.settings, earlier.ledger), view.ledger)
        && last.plan.mainline.is_none()
        && part.is_some_and(|part| holds(part) && !part.acts())
}

/// The last plan with what others decided alike in the place of all that is decided again.
fn kept(last: &Planned, scope: &BTreeSet<RepositoryId>, mut taken: Taken) -> Planned {
    taken.facts.sort_by(|(one, _), (other, _)| one.cmp(other));
    // What was to be done elsewhere would be in the scope.
    let triggers = taken.parts.iter().any(|part| part.triggers());
    let parts = last.plan.parts.replaced(scope, taken.parts);
    let plan = &last.plan;
    let plan = WorkspacePlan {
        workspace: plan.workspace.clone(),
        id: plan.id.clone(),
        epoch: plan.epoch,
        inputs: plan.inputs.clone(),
        watched: Arc::clone(&plan.watched),
        unwatched: Arc::clone(&plan.unwatched),
        looks: Vec::new(),
        facts: taken.facts,
        mainline: None,
        reports: Reports::default(),
        parts,
    };
    let settled = plan.facts.is_empty() && !triggers;
    let (wants, next_at) = (plan.parts.ask(), plan.next_at());
    let (tracked, mainline) = (Arc::clone(&last.tracked), Arc::clone(&last.mainline));
    Planned { plan: Arc::new(plan), tracked, mainline, plain: last.plain, settled, wants, next_at }
}

/// Joins what a turn decided with what others decided alike, and with what is taken over from the last plan
/// outside of a scope.
fn finish(
    view: &View<'_>,
    (tracked, mainline): (Arc<Tracked>, Arc<Result<Mainline, String>>),
    turn: Turn,
    (watching, shared): (Watching, &Shared),
    last: Option<(&Planned, BTreeSet<RepositoryId>)>,
    taken: Taken,
    beyond: bool,
) -> Planned {
    let ledger = view.ledger;
    let reports = report::reports(view, &turn.findings, &turn.subjects);
    let same_heads = last.as_ref().filter(|(last, _)| Arc::ptr_eq(&last.mainline, &mainline));
    let inputs = match same_heads {
        Some((last, _)) => last.plan.inputs.clone(),
        None => tracked::inputs(view, &tracked).map(Arc::new),
    };
    let settings = view.settings;
    let mut parts = Part::all(turn.subjects, view.noted());
    let mut mainlines = ledger.mainline.iter().chain(&turn.mainline_facts);
    let partly = mainlines.any(|facts| !facts.partly.is_empty());
    // Facts and triggers of a plan name its time; these and reports are made again until the ledger
    // has them.
    let plain = !beyond && !partly && parts.iter().flat_map(|part| &part.subjects).all(self::plain);
    parts.extend(taken.parts);
    let parts = match &last {
        Some((last, scope)) => last.plan.parts.replaced(scope, parts),
        None => Parts::from(parts),
    };
    let mut facts = turn.facts.moved(ledger, shared);
    facts.extend(taken.facts);
    facts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let plan = WorkspacePlan {
        workspace: settings.name.clone(),
        id: settings.id.clone(),
        epoch: settings.epoch,
        inputs,
        watched: watching.watched,
        unwatched: watching.unwatched,
        looks: turn.looks,
        facts,
        mainline: turn.mainline_facts.filter(|facts| ledger.mainline.as_ref() != Some(facts)),
        reports,
        parts,
    };
    let settled = plan.facts.is_empty()
        && !plan.parts.iter().any(|part| part.triggers())
        && plan.looks.is_empty()
        && plan.mainline.is_none()
        && plan.reports.is_empty();
    let (wants, next_at) = (plan.parts.ask(), plan.next_at());
    Planned { plan: Arc::new(plan), tracked, mainline, plain, settled, wants, next_at }
}

/// Whether what was decided of a subject follows from its own set.
pub(crate) fn plain(subject: &SubjectPlan) -> bool {
    let together = match &*subject.decision {
        // What it may depend on waits for it.
        Decision::Unknown { .. } => true,
        // What others of its author ask for counts too.
        Decision::Held { why, .. } => *why == Held::ReferenceBudget,
        _ => false,
    };
    !together && subject.candidate.is_none()
}

impl Turn {
    fn has_candidates(&self) -> bool {
        self.subjects.iter().any(|subject| subject.candidate.is_some())
    }
}

/// Mainline and changes of a workspace, decided with some repositories beyond those of its manifest.
struct Turn {
    mainline_facts: Option<MainlineFacts>,
    subjects: Vec<SubjectPlan>,
    looks: Vec<Look>,
    facts: look::Facts,
    /// Clear references that fail, of each change itself.
    findings: BTreeMap<ChangeId, Vec<Finding>>,
    discovered: BTreeMap<RepositoryId, Arc<TrackedRepository>>,
}

fn turn(
    view: &View<'_>,
    tracked: &Tracked,
    mainline: Result<&Mainline, &String>,
    beyond: &BTreeMap<RepositoryId, Arc<TrackedRepository>>,
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
    let none = Arc::default();
    let heads = mainline.map_or(&none, |mainline| &mainline.heads);
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
    let mut subjects = vec![mainline_plan];
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
    mainline: Result<&Mainline, &String>,
    partly: partly::Partly,
) -> (SubjectPlan, Option<MainlineFacts>) {
    let mut plan = SubjectPlan {
        subject: Subject::Mainline,
        decision: Arc::new(Decision::Unknown { reason: String::new() }),
        of: Arc::default(),
        trusted: true,
        candidate: None,
        print: None,
        triggers: ThinVec::new(),
        superseded: ThinVec::new(),
    };
    let mainline = match mainline {
        Ok(mainline) => mainline,
        Err(reason) => {
            plan.decision = Arc::new(Decision::Unknown { reason: reason.clone() });
            return (plan, None);
        }
    };
    let mut facts = mainline::facts(view, mainline);
    facts.partly = partly.since;
    let standing = mainline::decide(view, mainline, &facts, partly.waiting);
    plan.decision = Arc::new(standing.decision);
    if !view.settings.build_mainline {
        plan.decision = Arc::new(Decision::Held {
            why: Held::Paused,
            reason: "this workspace does not build its mainline (`build`)".to_owned(),
            until: None,
        });
    } else {
        for due in standing.due {
            let priority = request::priority(due.cause, Priority::Mainline);
            let request = request::of_mainline(view, mainline, &due);
            let parts = mainline.parts(view);
            plan.triggers.push(Trigger {
                ci: due.ci,
                priority,
                request,
                parts,
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
    plan.print = Some(Print::Own(mainline.fingerprint));
    (plan, Some(facts))
}
