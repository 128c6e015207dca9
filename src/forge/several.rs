//! Several credentials of one forge: each question belongs to one of them.
//!
//! Which one is for `control::credentials` to say. A credential that is refused a repository leaves it
//! to the next; one that the forge does not know any more delays nobody. Only when all were refused is
//! a repository not found.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosswatch_core::control::credentials::{Refusal, State};
use crosswatch_core::model::change::{Fate, Files, Rights};
use crosswatch_core::model::identity::{Name, Oid, RepositoryId};
use crosswatch_core::model::time::Timestamp;
use futures_util::future::{BoxFuture, join_all};
use secrecy::SecretString;

use super::{Delivered, ForgeApi, ForgeError, Listed, Saying, Spoken, Sticky};
use crate::clock::Clock;
use crate::http::Toll;

/// A credential, with what reads by it.
#[derive(Clone)]
pub struct Member {
    /// As people know it; never a secret.
    pub name: String,
    /// What reads by it.
    pub api: Arc<dyn ForgeApi>,
    /// What gets its token, where that ends.
    pub renewal: Option<Arc<dyn Renewal>>,
}

/// Gets tokens that end.
pub trait Renewal: Send + Sync {
    /// Makes sure that there is a token that can be used; which one that is.
    fn ready(&self) -> BoxFuture<'static, Result<u64, ForgeError>>;

    /// That token was refused: makes sure that there is another one.
    fn refused(&self, token: u64) -> BoxFuture<'static, Result<(), ForgeError>>;
}

/// Credentials that are there for some owners of repositories.
pub trait Installations: Send + Sync {
    /// Those that may read repositories of this owner.
    fn of(&self, owner: &str) -> BoxFuture<'static, Result<Vec<Member>, ForgeError>>;

    /// The same as far as it is known without asking.
    fn known(&self, owner: &str) -> Vec<Member>;

    /// The forge's log of what the hook of all of them delivered.
    fn deliveries(
        &self,
        hook: u64,
        since: Timestamp,
    ) -> BoxFuture<'static, Result<Vec<Delivered>, ForgeError>>;

    /// Names of all that are known.
    fn names(&self) -> Vec<String>;
}

/// A forge with all its credentials.
#[derive(Clone)]
pub struct Several(Arc<Inner>);

struct Inner {
    clock: Clock,
    members: Vec<Member>,
    installations: Option<Arc<dyn Installations>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    state: State,
    /// Why credentials are of no use, by their names.
    broken: BTreeMap<String, String>,
}

impl Several {
    /// A forge that is asked by these.
    pub fn new(
        clock: Clock,
        members: Vec<Member>,
        installations: Option<Arc<dyn Installations>>,
    ) -> Self {
        Self(Arc::new(Inner { clock, members, installations, held: Mutex::default() }))
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All credentials that may read the repository.
    async fn members(&self, repository: &RepositoryId) -> Result<Vec<Member>, ForgeError> {
        let mut members = self.members.clone();
        if let Some(installations) = &self.installations {
            match installations.of(owner(repository)).await {
                Ok(installed) => members.extend(installed),
                Err(error) if members.is_empty() => return Err(error),
                Err(error) => tracing::warn!(%error, "an application is of no use now"),
            }
        }
        Ok(members)
    }

    /// Those of them that are to be asked, the first one first.
    fn order(&self, members: &[Member], repository: &RepositoryId) -> Vec<Member> {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let order = self.held().state.order(&names, repository, self.clock.now());
        let named = |name: &str| members.iter().find(|member| member.name == name);
        order.into_iter().filter_map(named).cloned().collect()
    }

    /// Asks one credential; a token that is refused is renewed, once.
    async fn ask<T>(
        &self,
        member: &Member,
        question: &(impl Fn(&dyn ForgeApi) -> BoxFuture<'static, Result<T, ForgeError>> + Sync),
    ) -> Result<T, ForgeError> {
        let answer = match &member.renewal {
            None => question(&*member.api).await,
            Some(renewal) => match renewal.ready().await {
                Err(error) => Err(error),
                Ok(token) => match question(&*member.api).await {
                    Err(ForgeError::Credential(_)) => match renewal.refused(token).await {
                        Ok(()) => question(&*member.api).await,
                        Err(error) => Err(error),
                    },
                    answer => answer,
                },
            },
        };
        let mut held = self.held();
        match &answer {
            Ok(_) => drop(held.broken.remove(&member.name)),
            Err(error @ ForgeError::Credential(_)) => {
                held.broken.insert(member.name.clone(), error.to_string());
            }
            Err(_) => {}
        }
        answer
    }

    /// Asks one credential after the other about a repository, until one is not refused.
    async fn about<T>(
        &self,
        repository: &RepositoryId,
        question: impl Fn(&dyn ForgeApi) -> BoxFuture<'static, Result<T, ForgeError>> + Sync,
    ) -> Result<T, ForgeError> {
        let members = self.members(repository).await?;
        let mut worst = None;
        for member in self.order(&members, repository) {
            let answer = self.ask(&member, &question).await;
            let (now, state) = (self.clock.now(), &mut self.held().state);
            match answer {
                Ok(answer) => {
                    state.read(&member.name, repository, now);
                    return Ok(answer);
                }
                Err(ForgeError::Credential(why)) => worst = Some(ForgeError::Credential(why)),
                Err(error) => {
                    let refusal = match &error {
                        ForgeError::NotFound(_) | ForgeError::Absent(_) => Refusal::NotFound,
                        ForgeError::Forbidden(_) => Refusal::Forbidden,
                        _ => return Err(error),
                    };
                    state.refused(&member.name, repository, refusal, now);
                    if !matches!(worst, Some(ForgeError::Credential(_))) {
                        worst = Some(error);
                    }
                }
            }
        }
        Err(self.refused(&members, repository, worst))
    }

    /// What it means that the last of them said `worst`.
    fn refused(
        &self,
        members: &[Member],
        repository: &RepositoryId,
        worst: Option<ForgeError>,
    ) -> ForgeError {
        let (now, state) = (self.clock.now(), &self.held().state);
        let why = match worst {
            Some(ForgeError::NotFound(why) | ForgeError::Absent(why)) => why,
            Some(other) => return other,
            None => {
                return ForgeError::NotFound(format!("{repository}: no credential may read it"));
            }
        };
        let refusal = |member: &&Member| state.refusal(&member.name, repository, now);
        if members.iter().any(|member| refusal(&member) == Some(Refusal::Forbidden)) {
            return ForgeError::Forbidden(why);
        }
        let reads = |member: &Member| state.reads_others(&member.name, repository, now);
        let all = members.iter().all(|member| refusal(&member).is_some());
        match all && members.iter().any(reads) {
            true => ForgeError::Absent(why),
            false => ForgeError::NotFound(why),
        }
    }

    /// Asks the credential that the repository belongs to, and no other: a write that one may not make is
    /// refused, whoever else might make it.
    async fn as_first<T>(
        &self,
        repository: &RepositoryId,
        write: impl Fn(&dyn ForgeApi) -> BoxFuture<'static, Result<T, ForgeError>> + Sync,
    ) -> Result<T, ForgeError> {
        let members = self.members(repository).await?;
        match self.order(&members, repository).first() {
            Some(member) => self.ask(member, &write).await,
            None => Err(ForgeError::Credential(format!("{repository}: no credential is there"))),
        }
    }

    /// Whom a question about the repository belongs to, as far as that is known without asking.
    fn first(&self, repository: &RepositoryId) -> Option<Member> {
        let mut members = self.members.clone();
        if let Some(installations) = &self.installations {
            members.extend(installations.known(owner(repository)));
        }
        self.order(&members, repository).into_iter().next()
    }
}

impl ForgeApi for Several {
    fn list(&self, repository: RepositoryId) -> BoxFuture<'static, Result<Listed, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.about(&repository, |api| api.list(repository.clone())).await })
    }

    fn fate(
        &self,
        repository: RepositoryId,
        number: u64,
    ) -> BoxFuture<'static, Result<Fate, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.about(&repository, |api| api.fate(repository.clone(), number)).await
        })
    }

    fn files(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Files, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.about(&repository, |api| api.files(repository.clone(), number, head)).await
        })
    }

    fn mergeable(
        &self,
        repository: RepositoryId,
        number: u64,
        head: Oid,
    ) -> BoxFuture<'static, Result<Option<bool>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.about(&repository, |api| api.mergeable(repository.clone(), number, head)).await
        })
    }

    fn rights(
        &self,
        repository: RepositoryId,
        login: Name,
    ) -> BoxFuture<'static, Result<Rights, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.about(&repository, |api| api.rights(repository.clone(), login.clone())).await
        })
    }

    fn deliveries(
        &self,
        place: String,
        hook: u64,
        since: Timestamp,
    ) -> BoxFuture<'static, Result<Vec<Delivered>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let of_app = inner.installations.as_ref().filter(|_| place == "app");
            if let Some(installations) = of_app {
                return installations.deliveries(hook, since).await;
            }
            let mut members = inner.members.clone();
            if let Some(installations) = &inner.installations {
                let owner = place.split('/').nth(1).unwrap_or_default();
                members.extend(installations.of(owner).await.unwrap_or_default());
            }
            let mut worst = ForgeError::Credential(format!("{place}: no credential is there"));
            for member in members {
                let log = |api: &dyn ForgeApi| api.deliveries(place.clone(), hook, since);
                match inner.ask(&member, &log).await {
                    Err(
                        error @ (ForgeError::Credential(_)
                        | ForgeError::Forbidden(_)
                        | ForgeError::NotFound(_)),
                    ) => worst = error,
                    answer => return answer,
                }
            }
            Err(worst)
        })
    }

    fn toll_of_writes(&self, repository: &RepositoryId) -> Option<Toll> {
        self.0.first(repository)?.api.toll_of_writes(repository)
    }

    fn say(&self, saying: Saying) -> BoxFuture<'static, Result<Spoken, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let repository = saying.key.repository.clone();
            inner.as_first(&repository, |api| api.say(saying.clone())).await
        })
    }

    fn comment(&self, sticky: Sticky) -> BoxFuture<'static, Result<Option<String>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let repository = sticky.change.repository.clone();
            inner.as_first(&repository, |api| api.comment(sticky.clone())).await
        })
    }

    fn marks(
        &self,
        repositories: Vec<RepositoryId>,
    ) -> BoxFuture<'static, Result<BTreeMap<RepositoryId, String>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let mut shares: BTreeMap<String, (Member, Vec<RepositoryId>)> = BTreeMap::new();
            for repository in repositories {
                let members = inner.members(&repository).await?;
                let Some(member) = inner.order(&members, &repository).into_iter().next() else {
                    continue;
                };
                let share = shares.entry(member.name.clone());
                share.or_insert_with(|| (member, Vec::new())).1.push(repository);
            }
            let asked = shares.into_values().map(|(member, share)| {
                let inner = Arc::clone(&inner);
                async move { inner.ask(&member, &|api| api.marks(share.clone())).await }
            });
            let (mut marks, mut failed, mut answered) = (BTreeMap::new(), None, false);
            for answer in join_all(asked).await {
                match answer {
                    Ok(some) => {
                        marks.extend(some);
                        answered = true;
                    }
                    Err(error) => failed = Some(error),
                }
            }
            // What one credential failed to tell is read, as if it had no mark.
            failed.filter(|_| !answered).map_or(Ok(marks), Err)
        })
    }

    fn asker(&self, repository: &RepositoryId) -> Option<String> {
        self.0.first(repository).map(|member| member.name).filter(|name| !name.is_empty())
    }

    fn token(
        &self,
        repository: RepositoryId,
    ) -> BoxFuture<'static, Result<Option<SecretString>, ForgeError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let members = inner.members(&repository).await?;
            match inner.order(&members, &repository).first() {
                Some(member) => inner.ask(member, &|api| api.token(repository.clone())).await,
                None => Ok(None),
            }
        })
    }

    fn credentials(&self) -> BTreeMap<String, Option<String>> {
        let fixed = self.0.members.iter().map(|member| member.name.clone());
        let installed = self.0.installations.iter().flat_map(|installations| installations.names());
        let broken = &self.0.held().broken;
        let named = fixed.chain(installed).filter(|name| !name.is_empty());
        named.map(|name| (name.clone(), broken.get(&name).cloned())).collect()
    }
}

/// Who a repository belongs to.
fn owner(repository: &RepositoryId) -> &str {
    repository.path.split('/').next().unwrap_or_default()
}

impl fmt::Debug for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.members.iter().map(|member| &member.name)).finish()
    }
}
