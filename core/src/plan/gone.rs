//! Subjects that were triggered and are there no more.

use thin_vec::ThinVec;

use crate::model::identity::{ChangeId, RepositoryId, Subject};
use crate::model::plan::{Decision, SubjectPlan};

use super::attempts;
use super::decide::{Deciding, bare};
use super::fate::{Fated, fated};
use super::openness::State;
use super::tracked::TrackedRepository;

/// What became of a repository.
pub(crate) enum Lost<'t> {
    /// Nothing of it is open any more, for this reason.
    Gone(String),
    /// It is there.
    No(&'t TrackedRepository),
}

impl Deciding<'_, '_> {
    /// A subject that was triggered once and is no open change any more.
    pub(crate) fn gone(&self, subject: &Subject, id: &ChangeId) -> Option<SubjectPlan> {
        if !attempts::of(self.view, subject).iter().any(|attempt| attempt.stage.open()) {
            return None;
        }
        let over = match self.lost(&id.repository) {
            Err(why) => Err(why),
            Ok(Lost::Gone(why)) => Ok(why),
            Ok(Lost::No(repository)) => match self.changes.states.get(id) {
                Some(State::Merged { .. }) => Ok("it is merged".to_owned()),
                Some(State::Open(_)) => Ok("its base is no longer tracked".to_owned()),
                Some(State::Unknown(why)) => Err(why.clone()),
                None if self.view.hosted(&id.repository) => {
                    match fated(self.view, repository, id) {
                        Fated::Merged { .. } => Ok("it is merged".to_owned()),
                        Fated::Closed | Fated::Missing => Ok("it is closed".to_owned()),
                        Fated::Unknown(why) => Err(why),
                    }
                }
                None => Ok("it is closed".to_owned()),
            },
        };
        Some(self.over(subject, id, over))
    }

    /// The plan of a subject that is over, or of which that is not known.
    pub(crate) fn over(
        &self,
        subject: &Subject,
        id: &ChangeId,
        over: Result<String, String>,
    ) -> SubjectPlan {
        let (decision, superseded) = match over {
            Err(reason) => (Decision::Unknown { reason }, ThinVec::new()),
            Ok(reason) => {
                let superseded = attempts::superseded(self.view, subject, None, &reason);
                (Decision::Superseded { reason }, superseded)
            }
        };
        SubjectPlan { subject: subject.clone(), superseded, ..bare(id, decision) }
    }

    /// What became of the repository of something that is there no more; an error where that is not
    /// known.
    pub(crate) fn lost(&self, id: &RepositoryId) -> Result<Lost<'_>, String> {
        if let Some(since) = self.view.gone(id) {
            let why =
                format!("its repository is gone: {} has answered 404 since {since}", id.forge);
            return Ok(Lost::Gone(why));
        }
        match self.tracked.repositories.get(id).or(self.beyond.get(id)) {
            Some(repository) => match self.changes.unread.get(id) {
                Some(why) => Err(why.clone()),
                None => Ok(Lost::No(repository)),
            },
            None if self.undecided.get() => {
                Err("a candidate that may have its repository is not known".to_owned())
            }
            None if self.view.part.and_then(|part| part.manifest.value()).is_none() => {
                Err("the manifest is not known".to_owned())
            }
            None => Ok(Lost::Gone("its repository is no longer part of the workspace".to_owned())),
        }
    }
}
