//! Whether authors whose standing says nothing may write to the repository: asked of the forge, and only
//! where a set would be held for an approval otherwise.

use crate::model::change::Rights;
use crate::model::identity::{ChangeId, Fingerprint, Subject};
use crate::model::ledger_view::Adopted;

use super::attempts;
use super::decide::Deciding;
use super::look::Facts;
use super::openness::Open;
use super::sets::ChangeSet;
use super::trust::{asked_for, trusted};

/// What a subject is, as far as it matters to whom is asked about.
pub(crate) struct Asking<'s> {
    pub(crate) id: &'s ChangeId,
    pub(crate) open: &'s Open<'s>,
    pub(crate) set: &'s ChangeSet,
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// What the forge says of the authors of a set.
pub(crate) enum Authors {
    /// All who are not trusted by themselves may write.
    Write,
    /// Some may not, or that is not known; why, where somebody was asked about.
    No(Option<String>),
}

impl Deciding<'_, '_> {
    /// Whether everybody in a set whose head is not trusted may write to their repository.
    pub(crate) fn rights(&self, asking: &Asking<'_>, facts: &Facts) -> Authors {
        let Some(known) = self.worth_asking(asking, facts) else { return Authors::No(None) };
        let mut wanted = Vec::new();
        for member in &asking.set.members {
            if !trusted(self.view, &member.change) {
                match asked_for(self.view, &member.change) {
                    Some(login) => wanted.push((&member.change.repository, login)),
                    None => return Authors::No(None),
                }
            }
        }
        let mut why = None;
        for (repository, login) in wanted {
            let no = match self.view.rights(repository, &login) {
                Ok(Rights::Write) => continue,
                Ok(Rights::Less) => format!("{login} may not write to {repository}"),
                Ok(Rights::Untold) => {
                    format!(
                        "the forge does not tell our credential what {login} may do in {repository}"
                    )
                }
                // What was built already keeps what it covers while that cannot be read.
                Err((_, Some(Rights::Write))) if known => continue,
                Err((error, _)) => {
                    format!("what {login} may do in {repository} is not known: {error}")
                }
            };
            why.get_or_insert(no);
        }
        why.map_or(Authors::Write, |why| Authors::No(Some(why)))
    }

    /// Whether the set was built already, of a set that would be built if it were trusted.
    fn worth_asking(&self, asking: &Asking<'_>, facts: &Facts) -> Option<bool> {
        let fingerprint = asking.fingerprint?;
        let subject = Subject::Change(asking.id.clone());
        if !self.view.settings.build_changes || asking.set.blocked.is_some() {
            return None;
        }
        if attempts::known(self.view, &subject, fingerprint) {
            return Some(true);
        }
        let rebuilt = attempts::rebuild(self.view, &subject).is_some();
        let adopted = facts.now.get(asking.id).is_none_or(|facts| match facts.adopted {
            Adopted::Undecided => true,
            Adopted::Held(held) => held == fingerprint,
            Adopted::No | Adopted::Recent => false,
        });
        let ready = !adopted && self.not_ready(asking.id, asking.open).is_none();
        (rebuilt || ready).then_some(false)
    }
}
