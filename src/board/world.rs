//! The parts of the snapshot, replaced one by one by those who observe them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosswatch_core::model::build::SetMember;
use crosswatch_core::model::candidate::{Recipe, digest};
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::common::Common;
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::locator::Locator;
use crosswatch_core::model::manifest::{Manifest, Package};
use crosswatch_core::model::observed::{Observed, Purpose};
use crosswatch_core::model::question::{Answer, Question};
use crosswatch_core::model::settings::Settings;
use crosswatch_core::model::snapshot::{RepositoryPart, Snapshot, WorkspacePart};
use crosswatch_core::model::time::Timestamp;

use super::Wake;

/// The present parts. Writing a part that is equal to the present one changes nothing and wakes
/// nobody; anything else wakes the pass.
#[derive(Clone, Debug)]
pub struct World {
    parts: Arc<Mutex<Snapshot>>,
    packages: Arc<Mutex<Common<Name, Package>>>,
    wake: Wake,
}

impl World {
    /// A world of which nothing is known but the settings.
    pub fn new(settings: Arc<Settings>, wake: Wake) -> Self {
        let parts = Snapshot::unread(Timestamp(0), settings);
        Self { parts: Arc::new(Mutex::new(parts)), packages: Arc::default(), wake }
    }

    fn parts(&self) -> MutexGuard<'_, Snapshot> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world at `at`, immutable.
    pub fn freeze(&self, at: Timestamp) -> Snapshot {
        Snapshot { at, ..self.parts().clone() }
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.parts().settings)
    }

    /// Puts other settings in force.
    pub fn set_settings(&self, settings: Arc<Settings>) {
        let mut parts = self.parts();
        parts.locator = Arc::new(Locator::new(&settings));
        Arc::make_mut(&mut parts.workspaces).retain(|name, _| settings.workspace(name).is_some());
        parts.settings = settings;
        drop(parts);
        self.wake.wake();
    }

    /// What a look at a repository gave.
    pub fn listed(
        &self,
        id: &RepositoryId,
        (url, spelling): (&str, &str),
        listing: Result<Listing, String>,
        at: Timestamp,
    ) {
        self.looked(id, (url, spelling), listing.is_ok(), at, |observed| match listing {
            Ok(listing) => observed.replaced_by(Observed::known(listing)),
            Err(why) => observed.failed(why, at),
        });
    }

    /// A look at a repository was answered: it is not there, and that was the answer since `since`.
    pub fn absent(
        &self,
        id: &RepositoryId,
        place: (&str, &str),
        (why, since): (&str, Timestamp),
        at: Timestamp,
    ) {
        self.looked(id, place, false, at, |observed| observed.absent(why, since, at));
    }

    fn looked(
        &self,
        id: &RepositoryId,
        (url, spelling): (&str, &str),
        read: bool,
        at: Timestamp,
        now: impl FnOnce(Observed<Listing>) -> Observed<Listing>,
    ) {
        let mut parts = self.parts();
        if read {
            Arc::make_mut(&mut parts.times).entry(id.clone()).or_default().read_at = Some(at);
        }
        let before = parts.repositories.get(id).cloned();
        let observed =
            before.as_ref().map_or_else(|| Observed::not_read_yet(at), |part| part.listing.clone());
        let part = RepositoryPart {
            id: id.clone(),
            spelling: spelling.to_owned(),
            url: url.to_owned(),
            listing: now(observed),
        };
        if before.as_deref() != Some(&part) {
            Arc::make_mut(&mut parts.repositories).insert(id.clone(), Arc::new(part));
            drop(parts);
            self.wake.wake();
        }
    }

    /// What an earlier run of the daemon knew of a repository.
    pub fn remember_listing(&self, part: RepositoryPart) {
        Arc::make_mut(&mut self.parts().repositories)
            .entry(part.id.clone())
            .or_insert_with(|| Arc::new(part));
    }

    /// What is known of a repository.
    pub fn repository(&self, id: &RepositoryId) -> Option<Arc<RepositoryPart>> {
        self.parts().repositories.get(id).cloned()
    }

    /// What an earlier run knew of a repository still holds: whether there was something.
    pub fn confirmed(&self, id: &RepositoryId, at: Timestamp) -> bool {
        let part = self.repository(id);
        let last = part.as_ref().and_then(|part| part.listing.last_known(Purpose::Display));
        let (Some(part), Some(last)) = (&part, last) else { return false };
        self.listed(id, (&part.url, &part.spelling), Ok((**last).clone()), at);
        true
    }

    /// The answer to a question of the plan.
    pub fn answered(&self, question: Question, answer: Result<Answer, String>, at: Timestamp) {
        let mut parts = self.parts();
        let before =
            parts.answers.get(&question).cloned().unwrap_or_else(|| Observed::not_read_yet(at));
        let now = match answer {
            Ok(answer) => before.replaced_by(Observed::known(answer)),
            Err(why) => before.failed(why, at),
        };
        if before != now {
            Arc::make_mut(&mut parts.answers).insert(question, now);
            drop(parts);
            self.wake.wake();
        }
    }

    /// Whether the answer to a question is known.
    pub fn knows(&self, question: &Question) -> bool {
        self.parts().answers.get(question).is_some_and(|answer| answer.value().is_some())
    }

    /// Answers of an earlier run of the daemon. Those about immutable objects are as good as new; what
    /// became of a change is asked again unless it was merged.
    pub fn remember_answers(
        &self,
        answers: impl IntoIterator<Item = (Question, Answer)>,
        since: Timestamp,
    ) {
        let mut parts = self.parts();
        Arc::make_mut(&mut parts.answers).extend(answers.into_iter().map(|(question, answer)| {
            let answer = if answer.is_final() {
                Observed::known(answer)
            } else {
                Observed::remembered(answer, since)
            };
            (question, answer)
        }));
    }

    /// The same manifest, which has what is the same in those of other workspaces in common with them.
    pub fn shared(&self, mut manifest: Manifest) -> Arc<Manifest> {
        let mut packages = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
        manifest.share(&mut packages);
        Arc::new(manifest)
    }

    /// What is known of a workspace now.
    pub fn set_workspace(&self, part: WorkspacePart) {
        let mut parts = self.parts();
        if parts.workspaces.get(&part.name).is_none_or(|before| **before != part) {
            Arc::make_mut(&mut parts.workspaces).insert(part.name.clone(), Arc::new(part));
            drop(parts);
            self.wake.wake();
        }
    }

    /// The part of a workspace.
    pub fn workspace(&self, name: &Name) -> Option<Arc<WorkspacePart>> {
        self.parts().workspaces.get(name).cloned()
    }

    /// Drops repositories and answers that no plan consults any more. Answers about a repository that
    /// cannot be read now stay: its changes are not consulted, but they are not gone.
    pub fn keep(&self, watched: impl Fn(&RepositoryId) -> bool, questions: &BTreeSet<&Question>) {
        let mut parts = self.parts();
        forget(&mut parts.repositories, |id| watched(id));
        forget(&mut parts.times, |id| watched(id));
        let unread: BTreeSet<RepositoryId> = parts
            .repositories
            .values()
            .filter(|part| part.listing.value().is_none())
            .map(|part| part.id.clone())
            .collect();
        let repositories = Arc::clone(&parts.repositories);
        let workspaces = parts.workspaces.clone();
        forget(&mut parts.answers, |question| {
            questions.contains(question)
                || match question {
                    Question::Candidate(recipe) => {
                        may_be_wanted(recipe, &repositories, &workspaces)
                    }
                    other => other.repository().is_some_and(|id| unread.contains(id)),
                }
        });
    }
}

/// Whether a candidate that no plan consulted may be consulted by the next: the changes in it are open
/// as far as that is known, and the mainline's manifest is the one that it was compared with.
fn may_be_wanted(
    recipe: &Recipe,
    repositories: &BTreeMap<RepositoryId, Arc<RepositoryPart>>,
    workspaces: &BTreeMap<Name, Arc<WorkspacePart>>,
) -> bool {
    let open = |member: &SetMember| {
        let part = repositories.get(&member.change.repository);
        part.and_then(|part| part.listing.value())
            .is_none_or(|listing| listing.ref_of(member.change.number, member.head).is_some())
    };
    let part = workspaces.get(&recipe.workspace);
    let manifest = part.and_then(|part| part.manifest.last_known(Purpose::ManifestInForce));
    recipe.members.iter().all(open)
        && manifest.is_none_or(|manifest| digest(manifest) == recipe.mainline)
}

/// Drops what is not kept, without a copy where that is nothing.
fn forget<K: Ord + Clone, V: Clone>(map: &mut Arc<BTreeMap<K, V>>, keep: impl Fn(&K) -> bool) {
    if !map.keys().all(&keep) {
        Arc::make_mut(map).retain(|key, _| keep(key));
    }
}
