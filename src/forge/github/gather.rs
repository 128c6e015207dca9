//! Questions of one kind that are asked at the same moment, made one question of GraphQL.
//!
//! One alone is asked of REST, where what did not change costs nothing. What GraphQL did not answer for
//! is asked of REST as well. Both must give the same of the same, or the way of asking would look like
//! news.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::time::Span;
use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared};
use futures_util::stream::{self, StreamExt};
use serde::de::DeserializeOwned;

use super::failure::{Failure, Reason};
use super::{Inner, graphql};

/// Questions that are asked of REST at once, after one that did not answer for them.
const AT_ONCE: usize = 4;

/// What is asked about, whose answers can be had together.
pub(super) trait Together: Ord + Clone + Send + Sync + 'static {
    /// What GraphQL says of one.
    type Seen: DeserializeOwned + Send;
    /// The answer about one.
    type Answer: Clone + Send + Sync + 'static;
    /// In one question.
    const MOST: usize;
    /// How long others are waited for.
    const GATHER: Span;
    /// Lists that GraphQL is asked for of each.
    const LISTS: usize;

    /// Where those who ask meet.
    fn gathering(inner: &Inner) -> &Gathering<Self>;

    /// How GraphQL is asked; nothing where it cannot be.
    fn question(&self) -> Option<String>;

    /// The answer; nothing where anything is missing or odd: then REST has to say it.
    fn read(&self, seen: Self::Seen, inner: &Inner) -> Option<Self::Answer>;

    /// Asks REST.
    fn alone(&self, inner: &Inner) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

type Read<K> = Arc<BTreeMap<K, Result<<K as Together>::Answer, Failure>>>;

/// Those who wait for the next question.
pub(super) struct Gathering<K: Together>(Mutex<Option<Batch<K>>>);

struct Batch<K: Together> {
    of: Arc<Mutex<BTreeSet<K>>>,
    /// Those who wait hold it; when all of them are gone, so is the question.
    read: WeakShared<BoxFuture<'static, Read<K>>>,
}

impl<K: Together> Default for Gathering<K> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// Asks about one, together with whoever asks about others now.
pub(super) async fn ask<K: Together>(inner: &Arc<Inner>, of: &K) -> Result<K::Answer, Failure> {
    // GraphQL answers nobody without a token.
    if inner.token.is_none() {
        return of.alone(inner).await;
    }
    let read = join(inner, of).await;
    let none = || Failure::new(Reason::Unavailable, "it was not read".to_owned());
    read.get(of).cloned().unwrap_or_else(|| Err(none()))
}

/// The batch that is being gathered, with this one in it. Whoever waits for it drives it, so it goes on
/// when the first of them gives up.
fn join<K: Together>(inner: &Arc<Inner>, one: &K) -> Shared<BoxFuture<'static, Read<K>>> {
    let gathering = &K::gathering(inner).0;
    let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
    let open = gathering.as_ref().and_then(|batch| Some((&batch.of, batch.read.upgrade()?)));
    if let Some((of, read)) = open {
        let mut of = of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() < K::MOST && !of.is_empty() {
            of.insert(one.clone());
            return read;
        }
    }
    let of = Arc::new(Mutex::new(BTreeSet::from([one.clone()])));
    let (members, reader) = (Arc::clone(&of), Arc::clone(inner));
    let read = async move {
        tokio::time::sleep(K::GATHER.to_std()).await;
        // An empty batch takes nobody any more.
        let members = std::mem::take(&mut *members.lock().unwrap_or_else(PoisonError::into_inner));
        Arc::new(together(&reader, members.into_iter().collect()).await)
    };
    let read = read.boxed().shared();
    *gathering = read.downgrade().map(|read| Batch { of, read });
    read
}

async fn together<K: Together>(
    inner: &Inner,
    all: Vec<K>,
) -> BTreeMap<K, Result<K::Answer, Failure>> {
    let mut read = BTreeMap::new();
    let mut alone = Vec::new();
    let mut waiting = VecDeque::from([all]);
    while let Some(mut some) = waiting.pop_front() {
        if some.len() < 2 {
            alone.extend(some);
            continue;
        }
        let asked = some.iter().filter_map(|of| Some((of.clone(), of.question()?))).collect();
        match graphql::ask::<K, K::Seen>(inner, asked, K::LISTS).await {
            Ok((mut found, _)) => {
                for of in some {
                    match found.remove(&of).and_then(|seen| of.read(seen, inner)) {
                        Some(answer) => drop(read.insert(of, Ok(answer))),
                        None => alone.push(of),
                    }
                }
            }
            Err(failure) if failure.heavy => {
                let second = some.split_off(some.len().div_ceil(2));
                waiting.push_front(second);
                waiting.push_front(some);
            }
            // REST would fail too, once for each.
            Err(failure) if matches!(failure.reason, Reason::Unavailable | Reason::Credential) => {
                read.extend(some.into_iter().map(|of| (of, Err(failure.clone()))));
            }
            Err(_) => alone.extend(some),
        }
    }
    let rest = stream::iter(alone).map(|of| async move {
        let answer = of.alone(inner).await;
        (of, answer)
    });
    let rest: Vec<_> = rest.buffer_unordered(AT_ONCE).collect().await;
    read.extend(rest);
    read
}
