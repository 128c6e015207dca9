//! Last known answers and workspaces' states, between the ledger and the board.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crosswatch_core::control::absence::Absence;
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::question::{Answer, Question};
use crosswatch_core::model::snapshot::RepositoryPart;
use crosswatch_core::model::time::Timestamp;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use super::run::KEEP_ANSWERS;
use crate::board::World;
use crate::clock::Clock;
use crate::ledger::{Ledger, LedgerError, Term};
use crate::watch::{Kept, Memory, Remembered, SeenAs};
use crate::workspace::{Keep, Saved};

/// Under which candidates are kept.
const CANDIDATE: &str = "candidate";

type Place = (RepositoryId, String, String);

/// Puts what an earlier run knew on the board: listings as last known, answers as known.
///
/// Gives what was seen beside the listings by forges that show such things.
pub(super) async fn recall(
    ledger: &Ledger,
    world: &World,
    clock: &Clock,
) -> Result<Recalled, LedgerError> {
    let mut seen = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (place, kept) in parsed::<Place, Kept>(ledger, "listing").await? {
        // The newest one counts, with what belongs to it.
        if known.insert(place.0.clone()) {
            if let Some(as_seen) = &kept.seen {
                seen.insert(place.0.clone(), as_seen.clone());
            }
            world.remember_listing(part(place, kept, |listing| {
                Observed::remembered(listing, clock.now())
            }));
        }
    }
    world.remember_answers(parsed::<Question, Answer>(ledger, "answer").await?, clock.now());
    world.remember_answers(candidates(ledger).await?, clock.now());
    let absences = parsed::<RepositoryId, Option<Absence>>(ledger, "absence").await?;
    let absences = absences.into_iter().filter_map(|(id, absence)| Some((id, absence?))).collect();
    Ok(Recalled { seen, absences })
}

/// What an earlier run knew and is not on the board.
pub(super) struct Recalled {
    /// What forges showed beside listings.
    pub(super) seen: BTreeMap<RepositoryId, SeenAs>,
    /// Repositories that are not there.
    pub(super) absences: BTreeMap<RepositoryId, Absence>,
}

/// The same for a look without a daemon, which has nothing newer: listings count as known.
pub(super) async fn recall_as_known(ledger: &Ledger, world: &World) -> Result<(), LedgerError> {
    for (place, kept) in parsed::<Place, Kept>(ledger, "listing").await? {
        world.remember_listing(part(place, kept, Observed::known));
    }
    let answers = parsed::<Question, Answer>(ledger, "answer").await?;
    for (question, answer) in answers.into_iter().chain(candidates(ledger).await?) {
        world.answered(question, Ok(answer), Timestamp(0));
    }
    Ok(())
}

/// A repository by the name that its forge had for it last.
fn part(
    (id, url, spelling): Place,
    kept: Kept,
    observed: impl FnOnce(Listing) -> Observed<Listing>,
) -> RepositoryPart {
    let spelling = kept.seen.map_or(spelling, |seen| seen.spelling);
    RepositoryPart { id, spelling, url, listing: observed(kept.listing) }
}

/// What came of candidates. The key is a digest, since what one is made from has no bound that a key of
/// a database has.
async fn candidates(ledger: &Ledger) -> Result<Vec<(Question, Answer)>, LedgerError> {
    let kept = parsed::<String, (Question, Answer)>(ledger, CANDIDATE).await?;
    Ok(kept.into_iter().map(|(_, both)| both).collect())
}

/// Keeps what came of candidates.
pub(super) fn keep_candidates(memory: Memory) -> Keep {
    Arc::new(move |question, answer, at| {
        let text = serde_json::to_vec(question).unwrap_or_default();
        let key = blake3::hash(&text).to_hex().to_string();
        memory.keep(CANDIDATE, &key, &(question, answer), at);
    })
}

/// The kept state of a workspace, or a fresh one.
pub(super) async fn saved(ledger: &Ledger, workspace: &Name) -> Result<Saved, LedgerError> {
    let Some(text) = ledger.saved_workspace(workspace).await? else { return Ok(Saved::default()) };
    // There may be many, and large ones.
    let read = move || serde_json::from_str(&text).ok();
    Ok(tokio::task::spawn_blocking(read).await.ok().flatten().unwrap_or_default())
}

/// A value that an older version wrote and this one cannot read is only a cache miss.
async fn parsed<K: DeserializeOwned, V: DeserializeOwned>(
    ledger: &Ledger,
    kind: &str,
) -> Result<Vec<(K, V)>, LedgerError> {
    let mut rows = ledger.recall(kind).await?;
    rows.sort_by_key(|(_, _, read_at)| std::cmp::Reverse(*read_at));
    Ok(rows
        .into_iter()
        .filter_map(|(key, value, _)| {
            Some((serde_json::from_str(&key).ok()?, serde_json::from_str(&value).ok()?))
        })
        .collect())
}

/// Keeps what observers send, many in one transaction.
pub(super) async fn keep(
    ledger: Ledger,
    world: World,
    term: watch::Receiver<Option<Term>>,
    mut receiver: mpsc::Receiver<Remembered>,
) {
    let mut batch = Vec::new();
    let mut forgotten_at: Option<Timestamp> = None;
    while receiver.recv_many(&mut batch, 500).await > 0 {
        let mut by_kind: BTreeMap<&'static str, Vec<(String, String, Timestamp)>> = BTreeMap::new();
        let newest = batch.iter().map(|value| value.read_at).max().unwrap_or_default();
        for Remembered { kind, key, json, read_at } in batch.drain(..) {
            by_kind.entry(kind).or_default().push((key, json, read_at));
        }
        let Some(term) = term.borrow().clone() else { continue };
        for (kind, values) in by_kind {
            if let Err(error) = ledger.remember(&term, kind, &values).await {
                tracing::warn!(%error, kind, "last known answers were not kept");
            }
        }
        if forgotten_at.is_none_or(|at| {
            at + KEEP_ANSWERS.min(crosswatch_core::model::time::Span::days(1)) < newest
        }) {
            forgotten_at = Some(newest);
            let before = newest - KEEP_ANSWERS;
            for kind in ["answer", CANDIDATE] {
                if let Err(error) = ledger.forget(&term, kind, before).await {
                    tracing::warn!(%error, kind, "old answers were not forgotten");
                }
            }
            // A listing is kept when it moves: of what is watched it is as old as that.
            let watched = |key: &str| {
                let place: Result<Place, _> = serde_json::from_str(key);
                place.is_ok_and(|(id, ..)| world.repository(&id).is_some())
            };
            if let Err(error) = ledger.forget_unless(&term, "listing", before, watched).await {
                tracing::warn!(%error, "listings of what nobody watches were not forgotten");
            }
        }
        // Answers come in bursts; a moment later there are more of them for one transaction.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
