//! Which credential of a forge a question belongs to.
//!
//! Questions are spread over the credentials by rendezvous hash, so that a credential that comes or goes
//! moves only the repositories that it had or gets. One that was refused a repository is passed over
//! for it, and tried again now and then.

use std::collections::BTreeMap;

use crate::model::identity::RepositoryId;
use crate::model::time::{Span, Timestamp};

/// For so long a credential that was refused a repository is not asked for it, unless none is left.
pub const REFUSED_FOR: Span = Span::hours(1);

/// What a credential read within this time tells that it works.
const WORKS_FOR: Span = Span::days(1);

/// How a credential was refused a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none, or none that it may see.
    NotFound,
    /// It may not read it.
    Forbidden,
}

/// What is known of the credentials of one forge.
#[derive(Clone, Debug, Default)]
pub struct State {
    refused: BTreeMap<(String, RepositoryId), (Refusal, Timestamp)>,
    /// The last two repositories that each credential read.
    read: BTreeMap<String, Vec<(RepositoryId, Timestamp)>>,
}

impl State {
    /// The credential read the repository.
    pub fn read(&mut self, credential: &str, repository: &RepositoryId, now: Timestamp) {
        self.refused.remove(&(credential.to_owned(), repository.clone()));
        let read = self.read.entry(credential.to_owned()).or_default();
        read.retain(|(other, _)| other != repository);
        read.push((repository.clone(), now));
        if read.len() > 2 {
            read.remove(0);
        }
    }

    /// The credential was told that the repository is not there, or that it may not read it.
    pub fn refused(
        &mut self,
        credential: &str,
        repository: &RepositoryId,
        refusal: Refusal,
        now: Timestamp,
    ) {
        self.refused.insert((credential.to_owned(), repository.clone()), (refusal, now));
    }

    /// What it was told, if that holds still.
    pub fn refusal(
        &self,
        credential: &str,
        repository: &RepositoryId,
        now: Timestamp,
    ) -> Option<Refusal> {
        let refused = self.refused.get(&(credential.to_owned(), repository.clone()));
        refused.filter(|(_, at)| now < *at + REFUSED_FOR).map(|(refusal, _)| *refusal)
    }

    /// Whether the credential lately read another repository, so that it is not the credential that fails.
    pub fn reads_others(&self, credential: &str, than: &RepositoryId, now: Timestamp) -> bool {
        let read = self.read.get(credential).into_iter().flatten();
        read.into_iter().any(|(other, at)| other != than && now < *at + WORKS_FOR)
    }

    /// The credentials that are to be asked about the repository, one after the other until one is not
    /// refused. Never none of some: where all were refused, the first is asked again.
    pub fn order<'a>(
        &self,
        credentials: &[&'a str],
        repository: &RepositoryId,
        now: Timestamp,
    ) -> Vec<&'a str> {
        let mut order = credentials.to_vec();
        order.sort_by_cached_key(|credential| std::cmp::Reverse(weight(credential, repository)));
        let may = |credential: &&str| self.refusal(credential, repository, now).is_none();
        let open: Vec<&str> = order.iter().copied().filter(may).collect();
        if open.is_empty() {
            order.truncate(1);
            return order;
        }
        open
    }
}

fn weight(credential: &str, repository: &RepositoryId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("crosswatch credential of a question 1");
    for part in [credential, &*repository.forge, &*repository.path.to_lowercase()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: [&str; 3] = ["a", "b", "c"];

    fn id(n: usize) -> RepositoryId {
        RepositoryId::new("github.com", format!("o/r{n}"))
    }

    fn first(state: &State, credentials: &[&'static str], n: usize) -> &'static str {
        state.order(credentials, &id(n), Timestamp(0))[0]
    }

    #[test]
    fn questions_are_spread_evenly_and_few_move_when_a_credential_goes() {
        let state = State::default();
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for n in 0..3000 {
            let chosen = first(&state, &THREE, n);
            *count.entry(chosen).or_default() += 1;
            if chosen != "c" {
                assert_eq!(first(&state, &["b", "a"], n), chosen, "what it did not have stays");
            }
        }
        assert!(count.values().all(|count| (900..1100).contains(count)), "{count:?}");
    }

    #[test]
    fn one_that_was_refused_is_passed_over_for_that_repository_and_tried_again() {
        let mut state = State::default();
        let order = state.order(&THREE, &id(1), Timestamp(0));
        assert_eq!(order.len(), 3);
        state.refused(order[0], &id(1), Refusal::NotFound, Timestamp(0));
        assert_eq!(state.order(&THREE, &id(1), Timestamp(1)), order[1..]);
        assert_eq!(state.order(&THREE, &id(2), Timestamp(1)).len(), 3, "other repositories");
        let later = Timestamp(0) + REFUSED_FOR;
        assert_eq!(state.order(&THREE, &id(1), later), order, "now and then");
        for credential in &order {
            state.refused(credential, &id(1), Refusal::Forbidden, later);
        }
        assert_eq!(state.order(&THREE, &id(1), later), order[..1], "somebody has to be asked");
        state.read(order[0], &id(1), later);
        assert_eq!(state.order(&THREE, &id(1), later), order[..1]);
        assert_eq!(state.refusal(order[0], &id(1), later), None);
        assert_eq!(state.refusal(order[1], &id(1), later), Some(Refusal::Forbidden));
    }

    #[test]
    fn a_credential_works_when_it_lately_read_something_else() {
        let mut state = State::default();
        let reads = |state: &State, n, at| state.reads_others("a", &id(n), at);
        assert!(!reads(&state, 1, Timestamp(0)));
        state.read("a", &id(1), Timestamp(0));
        state.read("b", &id(2), Timestamp(0));
        assert!(!reads(&state, 1, Timestamp(0)), "only the one that is in question");
        assert!(reads(&state, 2, Timestamp(0)));
        for n in [1, 3, 3, 3] {
            state.read("a", &id(n), Timestamp(5));
        }
        assert!(reads(&state, 3, Timestamp(5)) && reads(&state, 1, Timestamp(5)));
        assert!(!reads(&state, 1, Timestamp(5) + WORKS_FOR), "long ago");
    }
}
