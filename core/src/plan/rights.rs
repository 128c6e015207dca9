//! Whether authors whose standing says nothing may write to the repository: asked of the forge, and only
//! where a set would be held for an approval otherwise.

use crate::model::build::SetMember;
use crate::model::change::Rights;
use crate::model::identity::{ChangeId, Subject};
use crate::model::ledger_view::Adopted;

use super::attempts;
use super::decide::{Deciding, Plain};
use super::look::Facts;
use super::openness::Open;
use super::sets::ChangeSet;
use super::trust::{asked_for, trusted};

/// What a subject is, as far as it matters to whom is asked about.
pub(crate) struct Asking<'s> {
    pub(crate) id: &'s ChangeId,
    pub(crate) open: &'s Open<'s>,
    pub(crate) set: &'s ChangeSet,
    /// Whether it was built already.
    pub(crate) built: bool,
    /// What it would be held as if it was open before we watched.
    pub(crate) plain: &'s Plain,
}

/// Whether the authors of a set are trusted.
pub(crate) enum Authors {
    /// All are, by themselves or since the forge says that they may write.
    Trusted,
    /// Some may not, or that is not known; why, where somebody was asked about.
    No(Option<String>),
}

impl Deciding<'_, '_> {
    /// Whether everybody in a set whose head is not trusted may write to their repository.
    pub(crate) fn authors(&self, asking: &Asking<'_>, facts: &Facts) -> Authors {
        self.writers(&asking.set.members, asking.built, &|| self.worth_asking(asking, facts))
    }

    /// The same of some members; whether they were built already, and whether it is worth to ask.
    pub(crate) fn writers(
        &self,
        members: &[SetMember],
        built: bool,
        worth_asking: &dyn Fn() -> bool,
    ) -> Authors {
        let members = members.iter().map(|member| &member.change);
        let strangers: Vec<_> = members.filter(|change| !trusted(self.view, change)).collect();
        if strangers.is_empty() {
            return Authors::Trusted;
        }
        if !worth_asking() {
            return Authors::No(None);
        }
        let mut wanted = Vec::new();
        for change in strangers {
            match asked_for(self.view, change) {
                Some(login) => wanted.push((&change.repository, login)),
                None => return Authors::No(None),
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
                Err((_, Some(Rights::Write))) if built => continue,
                Err((error, _)) => {
                    format!("what {login} may do in {repository} is not known: {error}")
                }
            };
            why.get_or_insert(no);
        }
        why.map_or(Authors::Trusted, |why| Authors::No(Some(why)))
    }

    /// Whether a set was built, or would be if it were trusted.
    fn worth_asking(&self, asking: &Asking<'_>, facts: &Facts) -> bool {
        let set = asking.set;
        let complete = set.unknown.is_none() && set.unpaid.is_none() && set.blocked.is_none();
        if !complete || !self.view.settings.build_changes {
            return false;
        }
        if asking.built {
            return true;
        }
        let subject = Subject::Change(asking.id.clone());
        let rebuilt = attempts::rebuild(self.view, &subject).is_some();
        let adopted = facts.now.get(asking.id).is_none_or(|facts| match facts.adopted {
            Adopted::Undecided => true,
            Adopted::Held(held) => asking.plain.is(held),
            Adopted::No | Adopted::Recent => false,
        });
        let ready = !adopted && self.not_ready(asking.id, asking.open).is_none();
        rebuilt || ready
    }
}
