//! Fingerprints of an anonymous snapshot: they are made of names, and decisions compare them.

use std::collections::BTreeMap;

use super::{Kind, Names};
use crate::model::fingerprint::mark;
use crate::model::identity::{ChangeId, Fingerprint, Name};
use crate::model::ledger_view::{Adopted, ChangeFacts};
use crate::model::plan::Plan;
use crate::model::saved::Saved;
use crate::plan::fingerprint::members;
use crate::plan::openness;
use crate::references::References;

/// Fingerprints under names for fingerprints under pseudonyms.
pub(super) struct Exchange<'a> {
    pub(super) names: &'a Names,
    pub(super) real: &'a Plan,
    pub(super) other: &'a Plan,
    pub(super) key: [u8; 32],
}

impl Exchange<'_> {
    pub(super) fn exchange(&self, hidden: &mut Saved, saved: &Saved) {
        for (id, before) in &*saved.ledger.workspaces {
            let name = self.names.of(Kind::Workspace, id);
            let part = hidden.ledger.part_mut(&name);
            let known = self.known(id, &name);
            let fingerprint = |old: Fingerprint| {
                known.get(&old).copied().unwrap_or_else(|| {
                    Fingerprint(*blake3::keyed_hash(&self.key, &old.0).as_bytes())
                })
            };
            for attempt in part.attempts.values_mut().flatten() {
                attempt.fingerprint = fingerprint(attempt.fingerprint);
            }
            if let Some(facts) = &mut part.mainline {
                facts.recorded = fingerprint(facts.recorded);
                facts.fingerprint = fingerprint(facts.fingerprint);
                let partly = std::mem::take(&mut facts.partly);
                facts.partly = partly.into_iter().map(|(old, at)| (fingerprint(old), at)).collect();
            }
            for (change, facts) in &before.changes {
                let Some(hidden) = part.changes.get_mut(&self.names.change(change)) else {
                    continue;
                };
                if let Adopted::Held(adopted) = facts.adopted {
                    hidden.adopted = Adopted::Held(fingerprint(adopted));
                }
                hidden.seen_mut().references = facts.references.map(|old| {
                    let moved =
                        self.references((id, change), Some(facts)).is_some_and(|now| now != old);
                    let now = self.hidden_references(&name, &self.names.change(change), old);
                    match now.filter(|_| !moved) {
                        Some(now) => now,
                        None => fingerprint(old),
                    }
                });
            }
        }
    }

    /// The fingerprints that hold now, and as what sets are held.
    fn known(&self, id: &Name, hidden: &Name) -> BTreeMap<Fingerprint, Fingerprint> {
        let real = self.real.workspaces.iter().find(|plan| plan.id == *id);
        let other = self.other.workspaces.iter().find(|plan| plan.id == *hidden);
        let (Some(real), Some(other)) = (real, other) else { return BTreeMap::new() };
        real.subjects()
            .filter_map(|subject| {
                let same = other.subject(&self.names.subject(&subject.subject))?;
                let [held, as_other] = [subject, same].map(|plan| mark(&members(&plan.set)));
                let fingerprints = real.fingerprint(subject).zip(other.fingerprint(same));
                Some(fingerprints.into_iter().chain([(held, as_other)]))
            })
            .flatten()
            .collect()
    }

    /// The digest of a change's references now, by the plan with names.
    fn references(
        &self,
        (id, change): (&Name, &ChangeId),
        recorded: Option<&ChangeFacts>,
    ) -> Option<Fingerprint> {
        let plan = self.real.workspaces.iter().find(|plan| plan.id == *id)?;
        let moved = plan.facts.iter().find(|(of, _)| of == change).map(|(_, facts)| facts);
        moved.or(recorded)?.references
    }

    /// The same by the plan with pseudonyms, to which every digest of a name has moved.
    fn hidden_references(
        &self,
        id: &Name,
        change: &ChangeId,
        recorded: Fingerprint,
    ) -> Option<Fingerprint> {
        if recorded == openness::digest(&References::default()) {
            return Some(recorded);
        }
        let plan = self.other.workspaces.iter().find(|plan| plan.id == *id)?;
        plan.facts.iter().find(|(of, _)| of == change)?.1.references
    }
}
