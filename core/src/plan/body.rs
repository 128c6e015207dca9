//! What counts of the references of a pull request's body in one workspace.

use std::borrow::Cow;

use crate::model::change::ForgeChange;
use crate::model::identity::{ChangeId, Name, RepositoryId};
use crate::references::{Finding, References, Short, Written, no_owner};

use super::look::View;
use super::tracked::Tracked;
use super::trust::{bot, by_author};

/// Changes that somebody without rights may name.
const UNTRUSTED: usize = 10;

/// The references that count: none of a bot, few of somebody without rights, and those without an
/// owner where exactly one tracked repository has that name.
pub(crate) fn references<'a>(
    view: &View<'_>,
    tracked: &Tracked,
    change: &ChangeId,
    forge: &'a ForgeChange,
) -> Cow<'a, References> {
    let rules = &view.settings.changes;
    let written = forge.references.by(&rules.reading).unwrap_or(&forge.references);
    if *written == References::default() {
        return Cow::Borrowed(written);
    }
    if bot(rules, forge) {
        let text = "references of bots are not read".to_owned();
        let note = Finding { as_written: String::new(), line: 0, text };
        return Cow::Owned(References { notes: vec![note], ..References::default() });
    }
    let mut counted = Cow::Borrowed(written);
    for short in &written.short {
        if let Some(found) = resolved(tracked, short) {
            join(counted.to_mut(), change, short, found);
        }
    }
    let first = counted.references.get(UNTRUSTED);
    if let Some(first) = first.filter(|_| !by_author(rules, change, forge)) {
        let text = format!(
            "only the first {UNTRUSTED} references count of an author without rights in this \
             repository"
        );
        let finding = Finding { as_written: first.as_written.clone(), line: first.line, text };
        let counted = counted.to_mut();
        counted.findings.push(finding);
        counted.references.truncate(UNTRUSTED);
    }
    counted
}

/// The change that a reference without an owner means, if exactly one repository fits.
fn resolved(tracked: &Tracked, short: &Short) -> Option<ChangeId> {
    repository(tracked, short).map(|found| found.change(short.number))
}

/// The repository that a reference without an owner means, if exactly one fits.
pub(crate) fn repository<'t>(tracked: &'t Tracked, short: &Short) -> Option<&'t RepositoryId> {
    let mut fitting = tracked.repositories.keys().filter(|id| {
        let last: &str = id.path.rsplit('/').next().unwrap_or_default();
        id.forge == short.forge && *last == *short.name
    });
    let found = fitting.next()?;
    fitting.next().is_none().then_some(found)
}

/// Enters it in the order of the text, without its finding.
fn join(counted: &mut References, of: &ChangeId, short: &Short, change: ChangeId) {
    let name: &Name = &short.name;
    let text = no_owner(name, short.number);
    counted.findings.retain(|finding| finding.text != text);
    if counted.references.iter().any(|known| known.change == change) {
        return;
    }
    if change == *of {
        let text = "the change refers to itself".to_owned();
        let as_written = short.as_written.clone();
        counted.notes.push(Finding { as_written, line: short.line, text });
        return;
    }
    let place = counted.references.partition_point(|known| known.line <= short.line);
    let as_written = short.as_written.clone();
    let written = Written { change, as_written, line: short.line, via: short.via };
    counted.references.insert(place, written);
}
