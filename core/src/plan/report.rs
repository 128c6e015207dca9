//! What should be said on forges: rules under "Who sees and hears what".
//!
//! A status begins with a trigger, so what was adopted or decided before reporting was switched on stays
//! unsaid. From then on it follows the decision, also back to an old result. What cannot be read now
//! leaves what is said as it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::build::{SetMember, Stage, Verdict};
use crate::model::change::Listing;
use crate::model::identity::{ChangeId, Name, RepositoryId};
use crate::model::ledger_view::AttemptView;
use crate::model::plan::{Blocked, Decision, Held, SubjectPlan};
use crate::model::report::{DESCRIPTION, Reports, Status, StatusKey, StatusState};
use crate::model::settings::WorkspaceSettings;
use crate::references::Finding;

use super::attempts;
use super::look::View;
use super::request::page;

/// Remarks on one change.
const REMARKS: usize = 20;

/// Longest remark, in characters.
const REMARK: usize = 300;

/// Longest address that is passed on.
const TARGET: usize = 2_000;

/// What these plans should say and the ledger does not have; `findings` are those of each change itself,
/// by the manifest that it is judged by.
pub(crate) fn reports(
    view: &View<'_>,
    findings: &BTreeMap<ChangeId, Vec<Finding>>,
    subjects: &[SubjectPlan],
) -> Reports {
    let mut reports = Reports::default();
    if view.settings.report_to.is_empty() {
        return reports;
    }
    let by_change: BTreeMap<&ChangeId, &SubjectPlan> =
        subjects.iter().filter_map(|plan| Some((plan.subject.change()?, plan))).collect();
    let context = Name::from(format!("crosswatch/{}", view.settings.name));
    let mut statuses: BTreeMap<StatusKey, (Status, bool)> = BTreeMap::new();
    let say = |statuses: &mut BTreeMap<_, _>, id: &ChangeId, head, said: Option<(Status, bool)>| {
        let Some((status, begins)) = said else { return };
        let key = StatusKey { repository: id.repository.clone(), head, context: context.clone() };
        // Two changes with one head share its status: the worse word counts for both.
        let other = statuses.get(&key).map(|(other, _): &(Status, bool)| worst(other.state));
        if other.is_none_or(|other| other < worst(status.state)) {
            statuses.insert(key, (status, begins));
        }
    };
    for (id, plan) in &by_change {
        let Some(listed) = written_to(view, id).and_then(|listing| listing.change(id.number))
        else {
            continue;
        };
        let saying = Saying { view, id, plan };
        say(&mut statuses, id, listed.head, saying.status(&by_change));
        if let Some(remarks) = saying.remarks(findings.get(*id).map_or(&[], Vec::as_slice)) {
            let known = view.ledger.said.remarks.get(id);
            if known.map_or(&[][..], Vec::as_slice) != remarks {
                reports.remarks.push(((*id).clone(), remarks));
            }
        }
    }
    // Of what is queued the forge asks the head of the queue's branch, and nobody reads a comment.
    for (queue, plan) in subjects.iter().filter_map(|plan| Some((plan.subject.queue()?, plan))) {
        let id = queue.change();
        let Some(listing) = written_to(view, &id) else { continue };
        if let Some(head) = listing.branches.get(queue.branch().as_str()) {
            let saying = Saying { view, id: &id, plan };
            say(&mut statuses, &id, *head, saying.status(&by_change));
        }
    }
    let moved = |(key, (status, begins)): (StatusKey, (Status, bool))| {
        let known = view.ledger.said.statuses.get(&key);
        known.map_or(begins, |known| *known != status).then_some((key, status))
    };
    reports.statuses = statuses.into_iter().filter_map(moved).collect();
    reports
}

/// The list of a change's repository, if that may be written to.
fn written_to<'a>(view: &View<'a>, id: &ChangeId) -> Option<&'a Listing> {
    let named = view.settings.report_to.contains(&id.repository) && view.hosted(&id.repository);
    let listing = view.repository(&id.repository).filter(|_| named)?.listing.value()?;
    (!listing.archived).then_some(&**listing)
}

fn worst(state: StatusState) -> u8 {
    match state {
        StatusState::Success => 0,
        StatusState::Inconclusive => 1,
        StatusState::Pending => 2,
        StatusState::Error => 3,
        StatusState::Failure => 4,
    }
}

/// One change, or the last one of what is queued, about which something is said.
struct Saying<'s, 'a> {
    view: &'s View<'a>,
    id: &'s ChangeId,
    plan: &'s SubjectPlan,
}

impl Saying<'_, '_> {
    /// The status, and whether one may begin with it; nothing leaves what is said as it is.
    fn status(&self, all: &BTreeMap<&ChangeId, &SubjectPlan>) -> Option<(Status, bool)> {
        let cis = self.view.settings.ci.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        let with = || self.with(&self.plan.set);
        match &*self.plan.decision {
            Decision::Build { .. } => {
                let text = format!("building on {cis}{}", with()?);
                Some((self.told(StatusState::Pending, &text, None), true))
            }
            // A pause keeps back builds, not the verdicts of those that were under way.
            Decision::Unchanged { .. }
            | Decision::Blocked { why: Blocked::Ci, .. }
            | Decision::Held { why: Held::Paused, .. } => {
                let ended = self.ended(self.plan)?;
                if ended.is_empty() {
                    return None;
                }
                let (state, words) = verdict(&ended);
                let link = ended.iter().find_map(|attempt| attempt.link.as_deref());
                Some((self.told(state, &format!("{words}{}", with()?), link), false))
            }
            Decision::Covered { by, .. } => {
                let above = all.get(by)?;
                let name = self.name(by)?;
                match *above.decision {
                    Decision::Build { .. } => {
                        let text = format!("is built together with {name}");
                        Some((self.told(StatusState::Pending, &text, None), true))
                    }
                    Decision::Unchanged { .. } => {
                        let ended = self.ended(above)?;
                        let (state, text) = match verdict(&ended).0 {
                            _ if ended.is_empty() => return None,
                            StatusState::Success => {
                                (StatusState::Success, format!("passed, only together with {name}"))
                            }
                            _ => (
                                StatusState::Inconclusive,
                                format!(
                                    "no verdict on it alone: it was built together with {name}, \
                                     which did not pass"
                                ),
                            ),
                        };
                        Some((self.told(state, &text, None), false))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn told(&self, state: StatusState, text: &str, link: Option<&str>) -> Status {
        let target = page(self.view, &self.plan.subject).or_else(|| link.map(str::to_owned));
        Status { state, description: plain(text, DESCRIPTION), target: target.filter(|to| web(to)) }
    }

    /// The last attempt with this fingerprint on each CI; none while one is under way.
    fn ended(&self, plan: &SubjectPlan) -> Option<Vec<&AttemptView>> {
        let WorkspaceSettings { id, epoch, .. } = self.view.settings;
        let fingerprint = plan.print.as_ref()?.of(id, *epoch);
        let of = attempts::of(self.view, &plan.subject).iter();
        let same = of.filter(|attempt| attempt.fingerprint == fingerprint);
        let mut last: BTreeMap<&Name, &AttemptView> = BTreeMap::new();
        for attempt in same.filter(|attempt| attempt.stage != Stage::Dropped) {
            last.insert(&attempt.ci, attempt);
        }
        if last.values().any(|attempt| attempt.stage.open()) {
            return Some(Vec::new());
        }
        let judges = |last: &&AttemptView| self.view.settings.ci.contains(&last.ci);
        Some(last.into_values().filter(judges).collect())
    }

    /// Whether everybody who reads the change may read of that repository; nothing while that is not
    /// known.
    fn shown(&self, repository: &RepositoryId) -> Option<bool> {
        if *repository == self.id.repository {
            return Some(true);
        }
        match self.view.repository(repository) {
            Some(part) => part.listing.value().map(|listing| listing.public),
            None => Some(false),
        }
    }

    /// A change as the readers of this one may be told of it.
    fn name(&self, other: &ChangeId) -> Option<String> {
        Some(if !self.shown(&other.repository)? {
            "a change not shown here".to_owned()
        } else if other.repository == self.id.repository {
            format!("#{}", other.number)
        } else {
            let part = self.view.repository(&other.repository);
            let path = part.map_or(other.repository.path.as_str(), |part| &part.spelling);
            let near = other.repository.forge == self.id.repository.forge;
            let host = if near { String::new() } else { format!("{}/", other.repository.forge) };
            format!("{host}{path}#{}", other.number)
        })
    }

    /// The others of a set in as many words as fit.
    fn with(&self, set: &[SetMember]) -> Option<String> {
        let others = set.iter().map(|member| &member.change).filter(|change| *change != self.id);
        let (mut names, mut hidden) = (Vec::new(), 0_usize);
        for other in others {
            let fits = names.iter().map(String::len).sum::<usize>() < DESCRIPTION / 3;
            if self.shown(&other.repository)? && fits {
                names.push(self.name(other)?);
            } else {
                hidden += 1;
            }
        }
        if hidden > 0 {
            let changes = if hidden == 1 { "change" } else { "changes" };
            names.push(format!("{hidden} {changes} not shown here"));
        }
        let last = names.pop();
        Some(match (last, names.is_empty()) {
            (None, _) => String::new(),
            (Some(last), true) => format!(", together with {last}"),
            (Some(last), false) => format!(", together with {} and {last}", names.join(", ")),
        })
    }

    /// What somebody has to mend; nothing leaves what is said as it is.
    fn remarks(&self, findings: &[Finding]) -> Option<Vec<String>> {
        let stands = match &*self.plan.decision {
            Decision::Unknown { .. } | Decision::Superseded { .. } => return None,
            Decision::Held { why: Held::Approval, .. } => {
                Some("not built yet: it waits for somebody to approve that its code is run")
            }
            // What is being written is not corrected, and nothing is said of what was open before.
            Decision::Held {
                why: Held::Settling | Held::Adopted | Held::Paused | Held::Mergeability,
                ..
            } => return None,
            Decision::Blocked { why, .. } => blocked(*why),
            _ => None,
        };
        let mut remarks: BTreeSet<String> = BTreeSet::new();
        for finding in findings {
            let of = self.plan.references.iter().find(|written| {
                (&written.as_written, written.line) == (&finding.as_written, finding.line)
            });
            // Of what readers may not know exists, the words are the same as if it did not.
            let text = match of {
                Some(written) if !self.shown(&written.change.repository)? => {
                    super::edges::unwatched(&written.as_written)
                }
                _ => finding.text.clone(),
            };
            remarks.insert(plain(&text, REMARK));
        }
        let mut remarks: Vec<String> =
            stands.map(str::to_owned).into_iter().chain(remarks).collect();
        if remarks.len() > REMARKS {
            let more = remarks.len() - REMARKS;
            remarks.truncate(REMARKS);
            remarks.push(format!("and {more} more"));
        }
        Some(remarks)
    }
}

/// Words without names, for everybody.
fn blocked(why: Blocked) -> Option<&'static str> {
    match why {
        Blocked::DependencyClosed => Some(
            "not built: a change that it depends on was closed; reopen that, or remove the reference",
        ),
        Blocked::TooMany => Some("not built: it depends on too many changes; split it"),
        Blocked::TwoChanges => Some(
            "not built: two changes that belong to it are of one repository; rebase one on the other",
        ),
        Blocked::Conflict => Some("not built: a change that belongs to it conflicts with its base"),
        Blocked::CandidateFailed => Some(
            "not built: with it the workspace's tool gives no list of packages; mend it with a push",
        ),
        Blocked::CandidateUnsettled => Some(
            "not built: with each list of packages that it gives other changes belong to it; remove \
             the reference that goes round in circles",
        ),
        Blocked::UpdateFailed | Blocked::Ci => None,
    }
}

/// State and words for how the last attempts ended.
fn verdict(ended: &[&AttemptView]) -> (StatusState, String) {
    let on = |which: &dyn Fn(Verdict) -> bool| {
        let of = |attempt: &&&AttemptView| match attempt.stage {
            Stage::Ended(verdict) => which(verdict),
            _ => false,
        };
        ended.iter().filter(of).map(|attempt| attempt.ci.as_str()).collect::<Vec<_>>().join(", ")
    };
    let failed = on(&|verdict| verdict == Verdict::Failure);
    let cancelled = on(&|verdict| verdict == Verdict::Cancelled);
    let lost = on(&|verdict| !verdict.spends());
    if !failed.is_empty() {
        (StatusState::Failure, format!("failed on {failed}"))
    } else if !lost.is_empty() {
        (StatusState::Error, format!("{lost} did not build it"))
    } else if !cancelled.is_empty() {
        (StatusState::Error, format!("cancelled on {cancelled}"))
    } else {
        (StatusState::Success, format!("passed on {}", on(&|_| true)))
    }
}

/// At most so many characters, none of which moves anything.
fn plain(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let whole: String = text.chars().map(clean).take(most + 1).collect();
    if whole.chars().count() <= most {
        return whole;
    }
    whole.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Whether it is an address that a forge shows as one. What a CI names is not believed.
fn web(address: &str) -> bool {
    let http = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    let odd = |c: char| c.is_control() || c.is_whitespace();
    http && address.len() <= TARGET && !address.contains(odd)
}
