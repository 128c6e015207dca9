//! Whose word lets what is queued be built.

use std::collections::BTreeSet;

use crate::model::build::SetMember;
use crate::model::identity::Subject;
use crate::model::plan::{Decision, Held};

use super::Queued;
use crate::plan::attempts;
use crate::plan::decide::Deciding;
use crate::plan::rights::Authors;
use crate::plan::sets::ChangeSet;

impl Deciding<'_, '_> {
    /// Whether the authors of everything in it are trusted.
    pub(super) fn authors_of(&self, queued: &Queued<'_>, set: &ChangeSet) -> Authors {
        let built = attempts::had(self.view, queued.subject, &set.members);
        self.writers(&set.members, built, &|| self.worth_asking_queued(queued, set))
    }

    /// Whether an entry was built, or would be if it were trusted.
    fn worth_asking_queued(&self, queued: &Queued<'_>, set: &ChangeSet) -> bool {
        let complete = set.unknown.is_none() && set.unpaid.is_none() && set.blocked.is_none();
        let wanted = || {
            !self.adopted(queued)
                || attempts::rebuild(self.view, queued.subject).is_some()
                || attempts::had(self.view, queued.subject, &set.members)
        };
        complete && self.view.settings.build_changes && wanted()
    }

    /// Why code of an entry must not run. What is queued is what was reviewed: an approval of each of its
    /// changes is one of it.
    pub(super) fn unapproved(&self, queued: &Queued<'_>, set: &ChangeSet) -> Option<Decision> {
        if self.approved(queued.subject, &set.members) {
            return None;
        }
        let why = match self.authors_of(queued, set) {
            Authors::Trusted => return None,
            Authors::No(why) => why.map(|why| format!(" ({why})")).unwrap_or_default(),
        };
        if self.approved_as(queued, set).is_some() {
            return None;
        }
        let reason = format!(
            "a head of its set is not trusted{why}; `crosswatch approve` releases exactly this set"
        );
        Some(Decision::Held { why: Held::Approval, reason, until: None })
    }

    /// The approvals of the changes in an entry, if all of those have one that need one, and nothing is in
    /// its set that is in none of theirs.
    pub(super) fn approved_as(
        &self,
        queued: &Queued<'_>,
        set: &ChangeSet,
    ) -> Option<Vec<(Subject, Vec<SetMember>)>> {
        let worth = || self.worth_asking_queued(queued, set);
        let mut all = Vec::new();
        let mut released: BTreeSet<SetMember> = BTreeSet::new();
        for id in &queued.entry.changes {
            let members = self.graph.set(self.view, id).members;
            let subject = Subject::Change(id.clone());
            if !matches!(self.writers(&members, false, &worth), Authors::Trusted) {
                if !self.approved(&subject, &members) {
                    return None;
                }
                all.push((subject, members.clone()));
            }
            released.extend(members);
        }
        let whole = set.members.iter().all(|member| released.contains(member));
        (whole && !all.is_empty()).then_some(all)
    }
}
