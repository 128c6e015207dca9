//! The sentences of an explanation.

use crate::model::build::Override;
use crate::model::change::OpenRef;
use crate::model::identity::Fingerprint;
use crate::model::ledger_view::RefChoice;
use crate::model::manifest::Pin;
use crate::model::plan::CandidatePlan;
use crate::model::settings::{Authors, ForgeKind, ForgeSettings, RefKind, WorkspaceSettings};
use crate::references::Via;

use super::explain::{Explanation, Member, Part};
use super::tracked::Use;

/// Parts that did not move, and tracked branches, are only counted where there are more of them.
const MAX_PARTS: usize = 12;
/// Attempts that are shown, the last ones.
const MAX_ATTEMPTS: usize = 10;

impl Explanation {
    /// What people read, on a terminal and in a pipe: one fact a line, its kind in front.
    pub fn text(&self) -> String {
        let mut page =
            Page(format!("{} in workspace {}, as of {}", self.subject, self.workspace, self.at));
        page.say("decision", self.decision.word());
        page.say("reason", self.decision.reason());
        page.say("rule", &self.rule);
        page.say("released", &self.released);
        if let Some(why) = &self.manifest {
            page.say("manifest", &format!("{why}; the last good one stays in force"));
        }
        for tracking in self.tracked.iter().take(MAX_PARTS) {
            let branch = tracking.branch.as_ref().map_or("a branch that is not known", |b| b);
            let because = tracking.because.join(", ");
            page.say("tracked", &format!("{branch} of {}: {because}", tracking.repository));
        }
        let more = self.tracked.len().saturating_sub(MAX_PARTS);
        if more > 0 {
            page.say("tracked", &format!("{more} more; `--json` has them all"));
        }
        for reference in &self.references {
            let written = &reference.written;
            let of = match self.subject.change() {
                Some(own) if *own == reference.of => String::new(),
                _ => format!(" of {}", reference.of),
            };
            let text = format!(
                "{} (line {}{of}: {}, {}): {}",
                written.change,
                written.line,
                written.as_written,
                via(written.via),
                reference.became
            );
            page.say("depends on", &text);
        }
        for member in &self.set {
            page.member(member);
        }
        if let Some(candidate) = &self.candidate {
            page.candidate(candidate);
        }
        if let Some(approved) = &self.approved {
            page.say("approved", &format!("{approved}, exactly this set"));
        }
        self.fingerprint(&mut page);
        for ci in &self.triggers {
            page.say("triggers", &format!("a build on {ci}"));
        }
        let hidden = self.attempts.len().saturating_sub(MAX_ATTEMPTS);
        if hidden > 0 {
            page.say("build", &format!("and {hidden} earlier ones"));
        }
        for attempt in self.attempts.iter().skip(hidden) {
            let note = attempt.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            let text = format!(
                "{} attempt {} of {}, decided at {}: {}{note}",
                attempt.ci,
                attempt.attempt,
                short(&attempt.fingerprint),
                attempt.decided_at,
                attempt.stage.word(),
            );
            page.say("build", &text);
        }
        for finding in &self.findings {
            page.say("finding", &finding.text);
        }
        for note in &self.notes {
            page.say("note", &note.text);
        }
        page.0.push('\n');
        page.0
    }

    fn fingerprint(&self, page: &mut Page) {
        let Some(fingerprint) = &self.fingerprint else {
            page.say("fingerprint", "none while something in it is not known");
            return;
        };
        page.say("fingerprint", &fingerprint.to_string());
        let moved = |part: &Part| match (&part.before, part.moved) {
            (_, false) => String::new(),
            (None, true) => " (joined)".to_owned(),
            (Some(before), true) => format!(" (moved, was {})", cut(before)),
        };
        let few = self.parts.len() <= MAX_PARTS;
        let shown = self.parts.iter().filter(|part| few || part.moved);
        let mut others = self.parts.len();
        for part in shown {
            others = others.saturating_sub(1);
            page.say("", &format!("{} = {}{}", part.part.what, part.part.value, moved(part)));
        }
        for gone in &self.left {
            page.say("", &format!("{} left (was {})", gone.what, cut(&gone.value)));
        }
        if others > 0 {
            page.say("", &format!("{others} more parts; `--json` has them all"));
        }
        match &self.compared_with {
            Some(before) => page.say("moved since", before),
            None => page.say("moved since", "nothing: there is no other fingerprint of it yet"),
        }
    }
}

struct Page(String);

impl Page {
    /// One line, whatever foreign text is in it.
    fn say(&mut self, label: &str, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push_str(format!("\n  {label:<12} {text}").trim_end());
    }

    fn candidate(&mut self, candidate: &CandidatePlan) {
        let rounds = match candidate.rounds {
            0 => "no manifest yet".to_owned(),
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds"),
        };
        self.say("candidate", &format!("{}; {rounds}", candidate.because));
        let Some(difference) = &candidate.difference else {
            return self.say("  manifest", "not settled");
        };
        let lists = [
            ("adds", &difference.added),
            ("removes", &difference.removed),
            ("changes", &difference.changed),
        ];
        for (what, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
            let shown: Vec<&str> = names.iter().take(MAX_PARTS).map(|name| name.as_str()).collect();
            let more = names.len().saturating_sub(MAX_PARTS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.say("  manifest", &format!("{what} {}{more}", shown.join(", ")));
        }
        if difference.digest.is_none() {
            self.say("  manifest", "as the mainline's");
        }
    }

    fn member(&mut self, member: &Member) {
        let what = &member.member;
        self.say("member", &format!("{} at {} on {}", what.change, what.head.short(), what.base));
        self.say("  trust", &member.trust);
        let name = member.ref_name.as_deref().unwrap_or("none");
        let packages: Vec<&str> = member.packages.iter().map(|name| name.as_str()).collect();
        let of = if packages.is_empty() {
            String::new()
        } else {
            format!(" for {}", packages.join(", "))
        };
        self.say("  ref", &format!("{name}{of}: {}", member.ref_choice));
    }
}

/// The first ten digits, for lines.
pub(super) fn short(fingerprint: &Fingerprint) -> String {
    cut(&fingerprint.to_string())
}

fn cut(value: &str) -> String {
    value.chars().take(10).collect()
}

fn via(via: Via) -> &'static str {
    match via {
        Via::Trailer => "a Depends-On: trailer",
        Via::Line => "a line that begins with the phrase",
        Via::Row => "a row of a table",
        Via::Section => "a list below a heading",
        Via::List => "a list behind the phrase",
        Via::Autoproj => "a list that autoproj-daemon reads",
        Via::Zuul => "a line that Zuul reads",
    }
}

/// Why a use makes its repository tracked.
pub(super) fn tracked_because(used: &Use, settings: &WorkspaceSettings) -> String {
    let pinned = match &used.pin {
        Some(Pin::Commit(pin)) => format!(", pinned at commit {}", cut(pin)),
        Some(Pin::Tag(tag)) => format!(", pinned at tag {tag}"),
        None => String::new(),
    };
    let is_source = used.definition && settings.source.is_some() && &*used.package == "source";
    match (is_source, used.definition) {
        (true, _) => format!("the source of workspace {}", settings.name),
        (_, true) => format!("definition repository {} of the manifest{pinned}", used.package),
        _ => format!("package {} of the manifest of {}{pinned}", used.package, settings.name),
    }
}

/// Why a head is trusted or not.
pub(super) fn trust(trusted: bool, forge: Option<&ForgeSettings>) -> String {
    let Some(forge) = forge else {
        return "not trusted: its forge is not in the configuration".to_owned();
    };
    let word = if trusted { "trusted" } else { "not trusted" };
    match &forge.kind {
        ForgeKind::Git(git) => {
            let authors = match git.authors {
                Authors::Any => "any",
                Authors::None => "none",
            };
            format!("{word}: `authors: {authors}` of forge {}, which shows no authors", forge.name)
        }
        ForgeKind::GitHub(_) => format!("{word}: forge {} does not show it any more", forge.name),
    }
}

/// Why that ref of a change is checked out.
pub(super) fn ref_choice(
    kind: RefKind,
    chosen: Option<&Override>,
    listed: Option<&OpenRef>,
    last: Option<RefChoice>,
) -> String {
    if chosen.is_none() {
        return "another member of its repository contains it".to_owned();
    }
    let pull = listed.and_then(|listed| listed.forge.as_deref());
    if let (RefKind::Auto, Some(pull)) = (kind, pull) {
        let known = pull.mergeable.or(match last {
            Some(RefChoice::Merge) => Some(true),
            Some(RefChoice::Conflict) => Some(false),
            Some(RefChoice::Head) | None => None,
        });
        let why = match (known, pull.draft, last) {
            (Some(false), ..) => "it conflicts with its base",
            (_, true, _) => "it is a draft",
            (Some(true), ..) => "the forge can merge it; a stacked change is built at its head",
            (None, _, Some(_)) => "it is stacked, or was a draft when that was chosen",
            (None, _, None) => "the forge has not said whether it can be merged",
        };
        return format!("`ref: auto`, and {why}");
    }
    match (kind, listed.map(|listed| listed.merge)) {
        (RefKind::Head, _) => "`ref: head`".to_owned(),
        (RefKind::Merge, _) => "`ref: merge`".to_owned(),
        (RefKind::Auto, Some(true)) => "`ref: auto`, and the server shows a merge ref".to_owned(),
        (RefKind::Auto, Some(false)) => "`ref: auto`, and the server shows no merge ref".to_owned(),
        (RefKind::Auto, None) => "`ref: auto`".to_owned(),
    }
}

/// The same of what is queued.
pub(super) fn queued(chosen: Option<&Override>) -> String {
    let why = match chosen {
        Some(_) => "the branch of the merge queue, with everything that is queued up to it",
        None => "the branch of the merge queue has it",
    };
    why.to_owned()
}
