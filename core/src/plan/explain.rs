//! Why a subject is decided as it is, in lines that people read.

use crate::model::identity::Subject;
use crate::model::ledger_view::WorkspaceLedger;
use crate::model::plan::{Decision, SubjectPlan, WorkspacePlan};

use super::fingerprint::moved;

/// The chain from the manifest to the decision.
pub fn explain(plan: &WorkspacePlan, subject: &SubjectPlan, ledger: &WorkspaceLedger) -> String {
    let mut lines = vec![format!("{} in workspace {}", subject.subject, plan.workspace)];
    let mut say = |label: &str, text: String| lines.push(format!("  {label:<12} {text}"));
    say("decision", subject.decision.word().to_owned());
    say("reason", subject.decision.reason().to_owned());
    if let Some(release) = release(&subject.decision) {
        say("released", release);
    }
    if !subject.packages.is_empty() {
        let packages: Vec<&str> = subject.packages.iter().map(|name| name.as_str()).collect();
        say("matters for", packages.join(", "));
    }
    for reference in &subject.references {
        say(
            "depends on",
            format!("{} (line {}: {})", reference.change, reference.line, reference.as_written),
        );
    }
    for member in &subject.set {
        say("member", format!("{} at {} on {}", member.change, member.head.short(), member.base));
    }
    for entry in &subject.overrides {
        let packages: Vec<&str> = entry.packages.iter().map(|name| name.as_str()).collect();
        let text =
            format!("{}: {} of {}", packages.join(", "), entry.ref_name, entry.repository_url);
        say("override", text);
    }
    if subject.subject != Subject::Mainline {
        let trust =
            if subject.trusted { "every head is trusted" } else { "some head is not trusted" };
        say("trust", trust.to_owned());
    }
    if let Some(fingerprint) = &subject.fingerprint {
        say("fingerprint", fingerprint.to_string());
        for part in &subject.parts {
            say("", format!("{} = {}", part.what, part.value));
        }
    }
    let attempts = ledger.attempts.get(&subject.subject).map_or(&[][..], Vec::as_slice);
    if let Some(last) = attempts.last()
        && Some(last.fingerprint) != subject.fingerprint
        && subject.fingerprint.is_some()
    {
        for text in moved(&last.parts, &subject.parts) {
            say("moved", text);
        }
    }
    for attempt in attempts {
        let note = attempt.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
        let text = format!(
            "{} attempt {} of {}: {}{note}",
            attempt.ci,
            attempt.attempt,
            attempt.fingerprint.to_string().chars().take(10).collect::<String>(),
            attempt.stage.word(),
        );
        say("build", text);
    }
    for finding in &subject.findings {
        say("finding", finding.text.clone());
    }
    for note in &subject.notes {
        say("note", note.text.clone());
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn release(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Held { until: Some(until), .. } => Some(format!("by itself at {until}")),
        Decision::Unknown { .. } => Some("when it can be read again".to_owned()),
        Decision::Covered { by, .. } => Some(format!("when {by} no longer depends on it")),
        _ => None,
    }
}
