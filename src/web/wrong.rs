//! What a person who was woken up must see first: everything that is wrong now, worst first.

use std::collections::BTreeSet;

use crosswatch_core::model::build::{Stage, Verdict};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::plan::Decision;
use crosswatch_core::model::time::Timestamp;

use crate::board::BoardContent;
use crate::ledger::BuildRow;
use crate::pass::Published;

/// More blocked subjects than these are only counted.
const MAX_BLOCKED: usize = 20;

/// Last lines of a failed run that are shown at once.
const TAIL: usize = 5;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What it is about.
    pub(super) what: String,
    /// What is wrong with it, and when it is tried again.
    pub(super) why: String,
    /// The workspace whose page says more.
    pub(super) workspace: Option<Name>,
    /// The end of the output that tells why.
    pub(super) tail: Vec<String>,
}

impl Wrong {
    fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), workspace: None, tail: Vec::new() }
    }

    fn of(mut self, workspace: &Name) -> Self {
        self.workspace = Some(workspace.clone());
        self
    }
}

/// What the daemon itself and the observers know to be wrong; needs no pass and no ledger.
pub(super) fn observed(board: &BoardContent, panicked: &[String]) -> Vec<Wrong> {
    let mut wrong: Vec<Wrong> = panicked
        .iter()
        .map(|task| Wrong::new(format!("task {task}"), "it panicked; restart the daemon"))
        .collect();
    wrong.extend(board.not_ready.iter().map(|(what, why)| Wrong::new(what, why)));
    wrong.extend(board.configuration.iter().map(|why| Wrong::new("configuration", why)));
    wrong.extend(board.ci.iter().map(|(name, why)| Wrong::new(format!("CI {name}"), why)));
    wrong.extend(board.sandbox.iter().map(|why| Wrong::new("sandbox", why)));
    wrong.extend(board.workspaces.iter().filter_map(|(name, status)| {
        let why = again(status.failure.as_ref()?, status.next_at);
        let wrong = Wrong::new(format!("workspace {name}"), why).of(name);
        let skip = status.tail.len().saturating_sub(TAIL);
        Some(Wrong { tail: status.tail.iter().skip(skip).cloned().collect(), ..wrong })
    }));
    wrong.extend(board.workspaces.iter().filter_map(|(name, status)| {
        let why = status.suspicion.as_ref().filter(|why| status.failure.as_ref() != Some(*why))?;
        Some(Wrong::new(format!("manifest of {name}"), why).of(name))
    }));
    wrong.extend(board.repositories.iter().filter_map(|(id, status)| {
        Some(Wrong::new(id.to_string(), again(status.failure.as_ref()?, status.next_at)))
    }));
    wrong
}

/// Subjects that somebody has to mend, and mainlines that fail.
pub(super) fn decided(published: &Published, builds: &[BuildRow]) -> Vec<Wrong> {
    let mut wrong = ended_badly(builds);
    let blocked: Vec<Wrong> = published
        .plan
        .workspaces
        .iter()
        .flat_map(|plan| plan.subjects().map(move |subject| (plan, subject)))
        .filter(|(_, subject)| matches!(*subject.decision, Decision::Blocked { .. }))
        .map(|(plan, subject)| {
            let what = format!("{} in {}", subject.subject, plan.workspace);
            Wrong::new(what, format!("blocked: {}", subject.decision.reason())).of(&plan.workspace)
        })
        .collect();
    let more = blocked.len().saturating_sub(MAX_BLOCKED);
    wrong.extend(blocked.into_iter().take(MAX_BLOCKED));
    if more > 0 {
        wrong.push(Wrong::new(format!("{more} more"), "blocked; the table has them"));
    }
    wrong
}

/// The newest build of each subject on each CI, where it ended so that a person has to look: a
/// failed change is its author's business and stands in the table.
fn ended_badly(builds: &[BuildRow]) -> Vec<Wrong> {
    let mut seen = BTreeSet::new();
    builds
        .iter()
        .filter(|build| seen.insert((&build.request.workspace, &build.request.subject, &build.ci)))
        .filter_map(|build| {
            let Stage::Ended(verdict) = build.stage else { return None };
            let mainline = build.request.subject == Subject::Mainline;
            let bad = match verdict {
                Verdict::Lost | Verdict::Refused => true,
                Verdict::Failure => mainline,
                Verdict::Success | Verdict::Cancelled => false,
            };
            bad.then(|| {
                let request = &build.request;
                let what = format!("{} in {}", request.subject, request.workspace);
                let note = build.note.as_deref().map(|note| format!(": {note}"));
                let note = note.unwrap_or_default();
                let why = format!("its last build on {} ended {}{note}", build.ci, verdict.word());
                Wrong::new(what, why).of(&request.workspace)
            })
        })
        .collect()
}

fn again(why: &str, next_at: Option<Timestamp>) -> String {
    match next_at {
        Some(at) => format!("{why}; tried again at {at}"),
        None => why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::WorkspaceStatus;

    #[test]
    fn what_stops_the_daemon_stands_above_what_stops_one_workspace() {
        let mut board = BoardContent::default();
        let status = WorkspaceStatus {
            failure: Some("the update ended with 1".to_owned()),
            next_at: Some(Timestamp(1_700_000_000_000)),
            ..WorkspaceStatus::default()
        };
        board.workspaces.insert(Name::from("one"), status);
        board.workspaces.insert(Name::from("two"), WorkspaceStatus::default());
        board.not_ready.insert("ledger".to_owned(), "disk full".to_owned());
        let wrong = observed(&board, &["pass".to_owned()]);
        let lines: Vec<String> =
            wrong.iter().map(|wrong| format!("{}: {}", wrong.what, wrong.why)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        task pass: it panicked; restart the daemon
        ledger: disk full
        workspace one: the update ended with 1; tried again at 2023-11-14T22:13:20Z
        ");
        assert_eq!(wrong.last().and_then(|wrong| wrong.workspace.clone()), Some("one".into()));
    }
}
