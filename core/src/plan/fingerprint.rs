//! What makes a build worth running again, as one digest and as parts in words.
//!
//! The digest is a Merkle hash: each member is hashed once, then the list of hashes. Whatever is not
//! named here is no reason to build: ref kinds, package names, settings, times, spellings.

use std::sync::Arc;

use super::look::View;
use crate::model::build::{PackageHead, SetMember};
use crate::model::fingerprint::{Leaf, leaf, root};
use crate::model::identity::{Fingerprint, Name, Oid, RepositoryId};
use crate::model::made_of;
use crate::model::plan::FingerprintPart;

/// What the part of a queue's head begins with.
pub(crate) const QUEUE: &str = "merge queue of ";

/// Of a set, beside workspace id and epoch: the members in order, each with repository, number, base, head.
pub(crate) fn members(set: &[SetMember]) -> Arc<[Leaf]> {
    set.iter().map(member).collect()
}

/// With a candidate also how its manifest differs from the mainline's.
pub(crate) fn with_difference(set: &[SetMember], difference: Fingerprint) -> Arc<[Leaf]> {
    differing(set.iter().map(member), Some(difference)).collect()
}

/// What that is made of, in words.
pub(crate) fn parts_of_set(
    view: &View<'_>,
    set: &[SetMember],
    difference: Option<Fingerprint>,
) -> Vec<FingerprintPart> {
    let mut parts = workspace_parts(view);
    parts.extend(set.iter().map(made_of::member));
    parts.extend(difference.map(difference_part));
    parts
}

/// Of an entry of a merge queue: workspace id, epoch, where and for which branch the queue is, the head
/// that would be merged, and the members that are elsewhere. Which changes are in it is in its head.
pub(crate) fn of_queue(
    view: &View<'_>,
    (repository, base, head): (&RepositoryId, &Name, Oid),
    elsewhere: &[SetMember],
    difference: Option<Fingerprint>,
) -> Fingerprint {
    let own = leaf(&[
        repository.forge.as_bytes(),
        repository.path.as_bytes(),
        base.as_bytes(),
        head.as_bytes(),
    ]);
    let hashes = [own].into_iter().chain(elsewhere.iter().map(member));
    let hashes: Vec<Leaf> = differing(hashes, difference).collect();
    root(&view.settings.id, b"queue", view.settings.epoch, &hashes)
}

/// What that is made of, in words.
pub(crate) fn parts_of_queue(
    view: &View<'_>,
    (repository, base, head): (&RepositoryId, &Name, Oid),
    elsewhere: &[SetMember],
    difference: Option<Fingerprint>,
) -> Vec<FingerprintPart> {
    let mut parts = workspace_parts(view);
    let what = format!("{QUEUE}{repository} on {base}");
    parts.push(FingerprintPart { what, value: head.to_string() });
    parts.extend(elsewhere.iter().map(made_of::member));
    parts.extend(difference.map(difference_part));
    parts
}

fn member(member: &SetMember) -> Leaf {
    let repository = &member.change.repository;
    let number = member.change.number.to_string();
    leaf(&[
        repository.forge.as_bytes(),
        repository.path.as_bytes(),
        number.as_bytes(),
        member.base.as_bytes(),
        member.head.as_bytes(),
    ])
}

fn differing(
    hashes: impl Iterator<Item = Leaf>,
    difference: Option<Fingerprint>,
) -> impl Iterator<Item = Leaf> {
    hashes.chain(difference.map(|difference| leaf(&[b"manifest", &difference.0])))
}

fn difference_part(difference: Fingerprint) -> FingerprintPart {
    let what = "difference between its manifest and the mainline's".to_owned();
    FingerprintPart { what, value: difference.to_string() }
}

/// A head of the mainline: package, repository, commit.
pub(crate) fn head(head: &PackageHead) -> Leaf {
    leaf(&[
        head.package.as_bytes(),
        head.repository.forge.as_bytes(),
        head.repository.path.as_bytes(),
        head.head.as_bytes(),
    ])
}

/// Of the mainline: workspace id, epoch, its heads in package order, and what is pinned.
pub(crate) fn of_mainline(
    view: &View<'_>,
    heads: impl IntoIterator<Item = Leaf>,
    pins: &[(Name, String)],
) -> Fingerprint {
    let pin = |(package, pin): &(Name, String)| leaf(&[b"pin", package.as_bytes(), pin.as_bytes()]);
    let hashes: Vec<Leaf> = heads.into_iter().chain(pins.iter().map(pin)).collect();
    root(&view.settings.id, b"mainline", view.settings.epoch, &hashes)
}

/// What that is made of, in words.
pub(crate) fn parts_of_mainline(
    view: &View<'_>,
    heads: &[PackageHead],
    pins: &[(Name, String)],
) -> Vec<FingerprintPart> {
    let mut parts = workspace_parts(view);
    parts.extend(heads.iter().map(|head| FingerprintPart {
        what: format!("{} from {}", head.package, head.repository),
        value: head.head.to_string(),
    }));
    parts.extend(pins.iter().map(|(package, pin)| FingerprintPart {
        what: format!("{package} pinned"),
        value: pin.clone(),
    }));
    parts
}

fn workspace_parts(view: &View<'_>) -> Vec<FingerprintPart> {
    made_of::workspace(&view.settings.id, view.settings.epoch).to_vec()
}

/// Whether the epoch moved and nothing else.
pub(crate) fn only_epoch(before: &[FingerprintPart], now: &[FingerprintPart]) -> bool {
    let others = |parts: &[FingerprintPart]| -> Vec<FingerprintPart> {
        parts.iter().filter(|part| part.what != made_of::EPOCH).cloned().collect()
    };
    before != now && others(before) == others(now)
}

/// What differs between the parts of an earlier attempt and those of now, in words.
pub fn moved(before: &[FingerprintPart], now: &[FingerprintPart]) -> Vec<String> {
    let short = |value: &str| value.chars().take(10).collect::<String>();
    let mut moved = Vec::new();
    for part in now {
        match before.iter().find(|old| old.what == part.what) {
            None => moved.push(format!("{} joined", part.what)),
            Some(old) if old.value != part.value => moved.push(format!(
                "{} moved from {} to {}",
                part.what,
                short(&old.value),
                short(&part.value)
            )),
            Some(_) => {}
        }
    }
    for old in before {
        if !now.iter().any(|part| part.what == old.what) {
            moved.push(format!("{} left", old.what));
        }
    }
    moved
}
