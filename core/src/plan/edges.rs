//! What one open change depends on directly, and what stands in its way.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::identity::{ChangeId, Name, Oid};
use crate::model::ledger_view::RefChoice;
use crate::model::settings::RefKind;
use crate::model::time::Timestamp;
use crate::references::{Finding, Written};

use super::budget::Budget;
use super::fate::{Fated, fated};
use super::look::View;
use super::matching::Joined;
use super::merged::{Arrival, WAIT, arrival};
use super::openness::{Changes, Open, State};
use super::tracked::{Tracked, TrackedRepository};

/// Where the references of one change lead.
#[derive(Default)]
pub(crate) struct Edges {
    pub(crate) members: BTreeSet<ChangeId>,
    pub(crate) closed: BTreeSet<ChangeId>,
    pub(crate) unknown: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<Finding>,
    /// Merged dependencies that are not in the mainline, with since when that is so.
    pub(crate) awaited: BTreeMap<ChangeId, Timestamp>,
    /// Until when they are waited for, and why.
    pub(crate) waiting: Option<(Timestamp, String)>,
    /// From when on references may be looked up for which the author's budget is spent, and why.
    pub(crate) unpaid: Option<(Timestamp, String)>,
}

/// What the edges of all changes are drawn from.
pub(crate) struct Drawing<'v, 'a> {
    pub(crate) view: &'v View<'a>,
    pub(crate) tracked: &'v Tracked,
    pub(crate) changes: &'v Changes<'a>,
    pub(crate) joined: Joined,
    pub(crate) budget: Budget,
}

impl Drawing<'_, '_> {
    /// Of an open change.
    pub(crate) fn edges(&self, id: &ChangeId, open: &Open<'_>) -> Edges {
        let written = &open.references;
        let mut edges = Edges {
            findings: written.findings.clone(),
            notes: written.notes.clone(),
            ..Edges::default()
        };
        if let Some(below) = open.below {
            edges.members.insert(id.repository.change(below));
        }
        if let Some(next) = self.joined.next.get(id) {
            edges.members.insert(next.clone());
            let text = format!("{next} belongs to it: its branch has the same name");
            edges.notes.push(Finding { as_written: String::new(), line: 0, text });
        }
        edges.unknown.extend(self.joined.unknown.get(id).cloned());
        let kind = self.view.settings.changes.ref_kind;
        if open.choice == Some(RefChoice::Conflict) && kind != RefKind::Merge {
            let base = open.listed.base.as_ref().unwrap_or(open.base);
            let text = format!("{id} conflicts with {base}");
            edges.findings.push(Finding { as_written: String::new(), line: 0, text });
        }
        for reference in &written.references {
            if reference.change != *id {
                self.follow(id, open, reference, &mut edges);
            }
        }
        edges
    }

    fn follow(&self, id: &ChangeId, open: &Open<'_>, reference: &Written, edges: &mut Edges) {
        let other = &reference.change;
        let Some(repository) = self.tracked.repositories.get(&other.repository) else {
            edges.findings.push(not_watched(reference));
            return;
        };
        match self.changes.states.get(other) {
            Some(State::Open(member)) => {
                if repository.fits(member.base) {
                    edges.members.insert(other.clone());
                } else {
                    edges.findings.push(at(
                        reference,
                        format!(
                            "{} is left out: its base {} is not the branch that this workspace tracks",
                            reference.as_written, member.base
                        ),
                    ));
                }
            }
            // Of a repository that nothing tracks yet only what is open can matter.
            Some(State::Unknown(why)) if repository.open && !self.unread(other) => {
                self.unknown(id, reference, why.clone(), edges);
            }
            _ if repository.open => edges.findings.push(not_watched(reference)),
            Some(State::Merged { head, base }) => {
                self.merged(id, reference, repository, (Some(*head), Some(base)), edges);
            }
            Some(State::Unknown(why)) => self.unknown(id, reference, why.clone(), edges),
            None => match self.changes.unread.get(&other.repository) {
                Some(why) => self.unknown(id, reference, why.clone(), edges),
                None if !self.paid(id, open, reference, edges) => {}
                None => match fated(self.view, repository, other) {
                    Fated::Merged { commit, base } => {
                        self.merged(id, reference, repository, (commit, base.as_ref()), edges);
                    }
                    Fated::Closed => {
                        if let Some(since) = self.view.gone(&other.repository) {
                            let gone = format!(
                                "{} counts as closed: its repository is gone, {} has answered 404 since {since}",
                                reference.as_written, other.repository.forge
                            );
                            edges.notes.push(at(reference, gone));
                        }
                        edges.closed.insert(other.clone());
                    }
                    Fated::Missing => edges.findings.push(not_watched(reference)),
                    Fated::Unknown(why) => self.unknown(id, reference, why, edges),
                },
            },
        }
    }

    /// Whether the author's budget allows to look up a change that is not among the open ones. Where
    /// the lists show all there is, that is no look-up.
    fn paid(&self, id: &ChangeId, open: &Open<'_>, reference: &Written, edges: &mut Edges) -> bool {
        let Some(forge) = open.listed.forge.as_deref() else { return true };
        if !self.view.hosted(&reference.change.repository) {
            return true;
        }
        match self.budget.pay(self.view, (id, forge), &reference.change) {
            Ok(()) => true,
            Err(from) => {
                if edges.unpaid.as_ref().is_none_or(|(known, _)| *known < from) {
                    let whose = match &forge.author {
                        Some(author) => author.login.as_str(),
                        None => "its author",
                    };
                    let reason = format!(
                        "reference budget: {} of {id} is not looked up before {from}, {whose} named \
                         too many changes within an hour that are not open",
                        reference.as_written
                    );
                    edges.unpaid = Some((from, reason));
                }
                false
            }
        }
    }

    fn merged(
        &self,
        id: &ChangeId,
        reference: &Written,
        repository: &TrackedRepository,
        (commit, base): (Option<Oid>, Option<&Name>),
        edges: &mut Edges,
    ) {
        let (view, other, name) = (self.view, &reference.change, &reference.as_written);
        match arrival(view, repository, other, commit, base) {
            Arrival::There => edges.notes.push(at(reference, format!("{name} is merged"))),
            Arrival::Elsewhere(base) => match self.owner(other, &base) {
                Some(owner) if owner == *id => {
                    edges.notes.push(at(reference, format!("{name} is merged into it")));
                }
                Some(owner) => {
                    let text = format!("{name} is merged into {owner}, which takes its place");
                    edges.notes.push(at(reference, text));
                    edges.members.insert(owner);
                }
                None => {
                    let text = format!(
                        "{name} is left out: it was merged into {base}, which is not the branch \
                         that this workspace tracks"
                    );
                    edges.findings.push(at(reference, text));
                }
            },
            Arrival::Waiting(missing) => {
                let since = self.since(id, other).unwrap_or_else(|| view.at());
                edges.awaited.insert(other.clone(), since);
                let until = since + WAIT;
                if view.until(until) {
                    let reason =
                        format!("waiting for the mainline: {name} is merged, but {missing}");
                    if edges.waiting.as_ref().is_none_or(|(known, _)| *known < until) {
                        edges.waiting = Some((until, reason));
                    }
                } else {
                    let text =
                        format!("{name} is merged, but for {WAIT} {missing}; built without it");
                    edges.findings.push(at(reference, text));
                }
            }
            Arrival::Unknown(why) => self.unknown(id, reference, why, edges),
        }
    }

    fn unread(&self, other: &ChangeId) -> bool {
        self.changes.unread.contains_key(&other.repository)
    }

    /// That something cannot be read must not begin the waiting anew. Once it lasts it is said on the
    /// change, without the reason, which may name what not everybody there may know.
    fn unknown(&self, id: &ChangeId, reference: &Written, why: String, edges: &mut Edges) {
        let other = &reference.change;
        edges.unknown.push(why);
        let listing = self.view.repository(&other.repository).map(|part| &part.listing);
        let unread = listing.and_then(|listing| listing.unknown()).map(|unknown| unknown.since);
        if let Some(since) = unread.or_else(|| self.view.fate_unknown_since(other))
            && !self.view.until(since + WAIT)
        {
            let name = &reference.as_written;
            let text = format!("{name} could not be read for {WAIT}; it is built when it can be");
            edges.findings.push(at(reference, text));
        }
        if let Some(since) = self.since(id, other) {
            edges.awaited.insert(other.clone(), since);
        }
    }

    fn since(&self, id: &ChangeId, other: &ChangeId) -> Option<Timestamp> {
        let since = self.view.ledger.changes.get(id)?.awaited.get(other)?;
        Some((*since).min(self.view.at()))
    }

    /// The open change of the same repository that has `branch` as its source.
    fn owner(&self, other: &ChangeId, branch: &Name) -> Option<ChangeId> {
        let owner = self.changes.stacks.get(&other.repository)?.owner(branch)?;
        let owner = other.repository.change(owner.number);
        let Some(State::Open(open)) = self.changes.states.get(&owner) else { return None };
        let repository = self.tracked.repositories.get(&other.repository)?;
        repository.fits(open.base).then_some(owner)
    }
}

fn not_watched(reference: &Written) -> Finding {
    at(reference, unwatched(&reference.as_written))
}

/// One wording whatever the truth is, so that nobody learns what exists where.
pub(crate) fn unwatched(name: &str) -> String {
    format!("{name} is not a change that this workspace watches")
}

fn at(reference: &Written, text: String) -> Finding {
    Finding { as_written: reference.as_written.clone(), line: reference.line, text }
}
