//! What pages, API and command line show, made from the last pass and the board.

use crosswatch_core::model::identity::{Name, RepositoryId, Subject};
use crosswatch_core::model::observed::Purpose;
use crosswatch_core::model::plan::{Decision, SubjectPlan, WorkspacePlan};
use crosswatch_core::model::run::RunRecord;
use crosswatch_core::model::settings::{ForgeSettings, Settings};
use crosswatch_core::model::time::Timestamp;
use crosswatch_core::plan::by_first_names;
use crosswatch_core::plan::explain::{Explainer, Explanation};
use crosswatch_core::spelling::{self, Spelling};
use serde::{Deserialize, Serialize};

use super::hook_rows;
use crate::board::BoardContent;
use crate::daemon::access::{Governor, api_host};
use crate::pass::Published;

/// A workspace in a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceRow {
    /// Name.
    pub name: Name,
    /// absent, bootstrapping, ready, updating, rebootstrapping, failed, fenced.
    pub phase: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Packages of the manifest in force.
    pub packages: usize,
    /// Open changes that matter to it.
    pub changes: usize,
    /// Decision on the mainline, with its reason.
    pub mainline: String,
    /// What failed last.
    pub failure: Option<String>,
    /// The end of the failed run's output.
    pub tail: Vec<String>,
    /// When it is tried again by itself.
    pub next_at: Option<Timestamp>,
    /// Why the newest manifest is not believed, and where it is kept.
    #[serde(default)]
    pub suspicion: Option<String>,
    /// What else is not as usual.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Packages that cannot be watched, each with the reason.
    pub unwatched: Vec<String>,
    /// The last runs of its commands, newest first; only where one workspace is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
}

/// A change in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// Workspace.
    pub workspace: Name,
    /// The change, or `mainline`.
    pub change: Subject,
    /// One of the seven words.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// When time alone releases it.
    pub until: Option<Timestamp>,
    /// Members of its set, dependencies first, with their heads.
    pub set: Vec<String>,
    /// Fingerprint, if it is known.
    pub fingerprint: Option<String>,
    /// Clear references that fail.
    pub findings: Vec<String>,
    /// Things that only our page shows.
    pub notes: Vec<String>,
}

/// A watched repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRow {
    /// Which one.
    pub repository: RepositoryId,
    /// Last whole answer.
    pub read_at: Option<Timestamp>,
    /// What went wrong last.
    pub failure: Option<String>,
    /// Next look.
    pub next_at: Option<Timestamp>,
    /// Looks since the start.
    pub looks: u64,
    /// Workspaces that share it.
    pub workspaces: Vec<Name>,
}

/// One workspace, with its last runs.
pub fn workspace(
    published: &Published,
    board: &BoardContent,
    name: &str,
) -> Result<WorkspaceRow, String> {
    let rows = workspaces(published, board);
    let mut row = rows.into_iter().find(|row| *row.name == *name).ok_or_else(|| {
        format!("there is no workspace {name}; `crosswatch workspaces` lists them")
    })?;
    let status = board.workspaces.get(name);
    row.runs = status.map(|status| status.runs.iter().rev().cloned().collect()).unwrap_or_default();
    Ok(row)
}

/// All workspaces.
pub fn workspaces(published: &Published, board: &BoardContent) -> Vec<WorkspaceRow> {
    published
        .plan
        .workspaces
        .iter()
        .map(|plan| {
            let status = board.workspaces.get(&plan.workspace).cloned().unwrap_or_default();
            let part = published.snapshot.workspaces.get(&plan.workspace);
            let packages = part
                .and_then(|part| part.manifest.last_known(Purpose::Display))
                .map_or(0, |manifest| manifest.packages.len());
            let mainline = plan.subject(&Subject::Mainline).map_or_else(String::new, |subject| {
                format!("{}: {}", subject.decision.word(), subject.decision.reason())
            });
            WorkspaceRow {
                name: plan.workspace.clone(),
                phase: status.phase,
                since: status.since,
                packages,
                changes: plan.subjects().filter(|plan| plan.subject.change().is_some()).count(),
                mainline,
                failure: status.failure,
                tail: status.tail,
                next_at: status.next_at,
                suspicion: status.suspicion,
                notes: status.notes,
                runs: Vec::new(),
                unwatched: plan
                    .unwatched
                    .iter()
                    .map(|unwatched| format!("{}: {}", unwatched.package, unwatched.reason))
                    .collect(),
            }
        })
        .collect()
}

/// Mainlines and changes, of one workspace or of all.
pub fn changes(published: &Published, workspace: Option<&str>) -> Vec<ChangeRow> {
    published
        .plan
        .workspaces
        .iter()
        .filter(|plan| workspace.is_none_or(|name| &*plan.workspace == name))
        .flat_map(|plan| plan.subjects().map(|subject| change(plan, subject)))
        .collect()
}

fn change(plan: &WorkspacePlan, subject: &SubjectPlan) -> ChangeRow {
    let until = match &*subject.decision {
        Decision::Held { until, .. } => *until,
        _ => None,
    };
    ChangeRow {
        workspace: plan.workspace.clone(),
        change: subject.subject.clone(),
        decision: subject.decision.word().to_owned(),
        reason: subject.decision.reason().to_owned(),
        until,
        set: subject
            .set
            .iter()
            .map(|member| format!("{} at {}", member.change, member.head.short()))
            .collect(),
        fingerprint: plan.fingerprint(subject).map(|fingerprint| fingerprint.to_string()),
        findings: subject.findings.iter().map(|finding| finding.text.clone()).collect(),
        notes: subject.notes.iter().map(|note| note.text.clone()).collect(),
    }
}

/// What `forges` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgesView {
    /// The forges.
    pub forges: Vec<ForgeRow>,
    /// Their watched repositories.
    pub repositories: Vec<RepositoryRow>,
}

/// A forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeRow {
    /// Name in the configuration.
    pub name: Name,
    /// What its repositories are called by.
    pub identity: Name,
    /// `github` or `git`.
    pub kind: String,
    /// Watched repositories.
    pub repositories: usize,
    /// How it is noticed that something moved.
    pub detector: String,
    /// When it is asked next.
    pub next_at: Option<Timestamp>,
    /// Percent of their usual length that its intervals have.
    pub stretch: u64,
    /// Budgets.
    pub budgets: Vec<BudgetRow>,
    /// Credentials, where there are several.
    #[serde(default)]
    pub credentials: Vec<CredentialRow>,
    /// What waits, and for what.
    pub waits: Vec<String>,
    /// Why it cannot be asked.
    pub failure: Option<String>,
    /// Why something is not said there, if something is not.
    #[serde(default)]
    pub reports: Vec<String>,
}

/// One of several credentials of a forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRow {
    /// Its name; never a secret.
    pub name: String,
    /// How it is noticed that something moved in what is read by it.
    pub detector: String,
    /// What is left of its budgets.
    pub budget: String,
    /// Why it is of no use, if it is not.
    pub failure: Option<String>,
}

/// What is left of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRow {
    /// Name of the credential; empty without one.
    pub credential: String,
    /// As the forge names it.
    pub pool: String,
    /// What is left.
    pub left: u32,
    /// Of how much.
    pub of: u32,
}

impl ForgeRow {
    /// The budgets in one line.
    pub fn budget(&self) -> String {
        if self.credentials.is_empty() { in_words(self.budgets.iter()) } else { String::new() }
    }

    /// How it is, in one line.
    pub fn state(&self) -> String {
        let stretched = (self.stretch > 100).then(|| {
            format!("intervals are {} % of their length, to spare the budget", self.stretch)
        });
        let said: Vec<String> = self
            .failure
            .iter()
            .chain(&self.waits)
            .chain(&self.reports)
            .cloned()
            .chain(stretched)
            .collect();
        if said.is_empty() { "ok".to_owned() } else { said.join("; ") }
    }
}

/// Budgets in one line.
fn in_words<'b>(budgets: impl Iterator<Item = &'b BudgetRow>) -> String {
    let one = |budget: &BudgetRow| format!("{} {} of {}", budget.pool, budget.left, budget.of);
    budgets.map(one).collect::<Vec<_>>().join(", ")
}

/// All forges of a configuration.
pub fn forges(settings: &Settings, board: &BoardContent, governor: &Governor) -> Vec<ForgeRow> {
    let waits = governor.waits();
    let row = |forge: &ForgeSettings| {
        let host = api_host(forge);
        let status = board.forges.get(&forge.name).cloned().unwrap_or_default();
        let keys = host.as_ref().map(|host| governor.keys(host)).unwrap_or_default();
        let budgets = keys.into_iter().filter_map(|key| {
            let (left, of) = governor.budget(&key)?;
            Some(BudgetRow { credential: key.credential, pool: key.pool, left, of })
        });
        let budgets: Vec<BudgetRow> = budgets.collect();
        let credentials = status.credentials.iter().filter(|_| status.credentials.len() > 1);
        let credentials = credentials.map(|(name, one)| CredentialRow {
            name: name.clone(),
            detector: one.detector.clone(),
            budget: in_words(budgets.iter().filter(|budget| budget.credential == *name)),
            failure: one.broken.clone().or_else(|| one.failure.clone()),
        });
        let credentials = credentials.collect();
        let waits = waits.iter().filter(|waiting| Some(&waiting.key.host) == host.as_ref());
        let of = |id: &&RepositoryId| id.forge == forge.identity;
        ForgeRow {
            name: forge.name.clone(),
            identity: forge.identity.clone(),
            kind: if host.is_some() { "github" } else { "git" }.to_owned(),
            repositories: board.repositories.keys().filter(of).count(),
            detector: detector(status.detector, hook_rows::serves(board, &forge.name)),
            next_at: status.next_at,
            stretch: status.stretch,
            budgets,
            credentials,
            waits: waits.map(ToString::to_string).collect(),
            failure: status.broken.or(status.failure),
            reports: status.reports,
        }
    };
    settings.forges.values().map(|forge| row(forge)).collect()
}

/// How changes are noticed, with webhooks where they arrive.
fn detector(asked: String, webhooks: bool) -> String {
    if webhooks { format!("webhooks, and {asked}") } else { asked }
}

/// All watched repositories.
pub fn repositories(board: &BoardContent) -> Vec<RepositoryRow> {
    board
        .repositories
        .iter()
        .map(|(id, status)| RepositoryRow {
            repository: id.clone(),
            read_at: status.read_at,
            failure: status.failure.clone(),
            next_at: status.next_at,
            looks: status.looks,
            workspaces: status.workspaces.iter().cloned().collect(),
        })
        .collect()
}

/// The subject that a person means: as it is written, or by an end of it that only one has.
pub fn subject<'p>(
    published: &'p Published,
    workspace: &str,
    change: &str,
) -> Result<(&'p WorkspacePlan, &'p SubjectPlan), String> {
    let plan = published.plan.workspace(workspace).ok_or_else(|| {
        format!("there is no workspace {workspace}; `crosswatch workspaces` lists them")
    })?;
    let exact = plan.subjects().find(|subject| subject.subject.to_string() == change);
    if let Some(subject) = exact {
        return Ok((plan, subject));
    }
    let ends: Vec<&SubjectPlan> = plan
        .subjects()
        .filter(|subject| {
            let name = subject.subject.to_string();
            name.strip_suffix(change).is_some_and(|before| before.ends_with('/'))
        })
        .collect();
    match ends.as_slice() {
        [subject] => Ok((plan, subject)),
        [] => Err(format!(
            "{workspace} has no change {change}; `crosswatch changes {workspace}` lists them"
        )),
        [one, other, ..] => {
            Err(format!("{change} may be {} or {}; write it whole", one.subject, other.subject))
        }
    }
}

/// Why a subject is decided as it is.
pub fn explain(
    published: &Published,
    workspace: &str,
    change: &str,
) -> Result<Explanation, String> {
    let (plan, subject) = subject(published, workspace, change)?;
    Explainer::new(&by_first_names(&published.snapshot), &published.ledger, plan)
        .map(|explainer| explainer.explain(subject))
        .ok_or_else(|| format!("workspace {workspace} left the configuration"))
}

/// The same of all subjects of a workspace, in the order of [`changes`].
pub fn explanations(published: &Published, workspace: &str) -> Vec<String> {
    let Some(plan) = published.plan.workspace(workspace) else { return Vec::new() };
    let snapshot = by_first_names(&published.snapshot);
    let explainer = Explainer::new(&snapshot, &published.ledger, plan);
    explainer.map_or_else(Vec::new, |explainer| {
        plan.subjects().map(|subject| explainer.explain(subject).text()).collect()
    })
}

/// An explanation with the last lines of the run whose failure it rests on.
pub fn with_end(mut explanation: String, end: &[String]) -> String {
    if !end.is_empty() {
        explanation.push_str("\nthe end of the workspace's failed run:\n");
        for line in end {
            explanation.push_str("    ");
            explanation.push_str(line);
            explanation.push('\n');
        }
    }
    explanation
}

/// What a build of a subject checks out, in a tool's spelling.
pub fn overrides(
    published: &Published,
    workspace: &str,
    change: &str,
    format: &str,
    fingerprint: Option<&str>,
) -> Result<String, String> {
    let (plan, subject) = subject(published, workspace, change)?;
    let format: Spelling =
        format.parse().map_err(|error: spelling::UnknownSpelling| error.to_string())?;
    let present = plan.fingerprint(subject).map(|present| present.to_string());
    match (fingerprint, present) {
        (Some(wanted), Some(present)) if wanted != present => Err(format!(
            "{change} has the fingerprint {present} now, not {wanted}; use --latest for the present one"
        )),
        (_, None) => Err(format!("{change} is not wholly known: {}", subject.decision.reason())),
        _ => Ok(spelling::spell(format, &subject.overrides)),
    }
}
