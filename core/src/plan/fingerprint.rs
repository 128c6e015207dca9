//! What makes a build worth running again, as one digest and as parts in words.
//!
//! The digest is a Merkle hash: each member is hashed once, then the list of hashes. Whatever is not
//! named here is no reason to build: ref kinds, package names, settings, times, spellings.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::model::build::{PackageHead, SetMember};
use crate::model::identity::{Fingerprint, Name, Oid, RepositoryId};
use crate::model::made_of;
use crate::model::plan::FingerprintPart;
use crate::model::settings::WorkspaceSettings;

use super::look::View;

/// Version of the encoding; a new one must read what older ones recorded.
const ENCODING: &str = "crosswatch fingerprint 1";
/// What the part of a queue's head begins with.
pub(crate) const QUEUE: &str = "merge queue of ";

/// Of a set: workspace id, epoch, and the members in order, each with repository, number, base, head;
/// with a candidate also how its manifest differs from the mainline's, unless it does not.
pub(crate) fn of_set(
    view: &View<'_>,
    set: &[SetMember],
    difference: Option<Fingerprint>,
) -> Fingerprint {
    let hashes = with_difference(set.iter().map(member), difference);
    root(view.settings, b"set", view.settings.epoch, &hashes)
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

/// One member, hashed.
pub(crate) type Leaf = [u8; 32];

/// The members of a set, each hashed: the same in every workspace.
pub(crate) fn members(set: &[SetMember]) -> Vec<Leaf> {
    set.iter().map(member).collect()
}

/// Of a set without a candidate in some epoch, by its members.
pub(crate) fn of_members(
    settings: &WorkspaceSettings,
    members: &[Leaf],
    epoch: u64,
) -> Fingerprint {
    root(settings, b"set", epoch, members)
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
    let hashes = with_difference(hashes, difference);
    root(view.settings, b"queue", view.settings.epoch, &hashes)
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

fn with_difference(
    hashes: impl Iterator<Item = Leaf>,
    difference: Option<Fingerprint>,
) -> Vec<Leaf> {
    hashes.chain(difference.map(|difference| leaf(&[b"manifest", &difference.0]))).collect()
}

fn difference_part(difference: Fingerprint) -> FingerprintPart {
    let what = "difference between its manifest and the mainline's".to_owned();
    FingerprintPart { what, value: difference.to_string() }
}

/// Of the mainline: workspace id, epoch, and (package, repository, commit) in package order.
pub(crate) fn of_mainline(
    view: &View<'_>,
    heads: &[PackageHead],
    pins: &[(Name, String)],
) -> Fingerprint {
    let mut hashes = Vec::with_capacity(heads.len() + pins.len());
    for head in heads {
        hashes.push(leaf(&[
            head.package.as_bytes(),
            head.repository.forge.as_bytes(),
            head.repository.path.as_bytes(),
            head.head.as_bytes(),
        ]));
    }
    for (package, pin) in pins {
        hashes.push(leaf(&[b"pin", package.as_bytes(), pin.as_bytes()]));
    }
    root(view.settings, b"mainline", view.settings.epoch, &hashes)
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

fn leaf(fields: &[&[u8]]) -> Leaf {
    /// The same for all, and as much work as a leaf itself.
    static KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(ENCODING));
    let mut hasher = blake3::Hasher::new_from_context_key(&KEY);
    for field in fields {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    *hasher.finalize().as_bytes()
}

fn root(settings: &WorkspaceSettings, kind: &[u8], epoch: u64, leaves: &[Leaf]) -> Fingerprint {
    let epoch = epoch.to_le_bytes();
    let mut fields: Vec<&[u8]> = vec![kind, settings.id.as_bytes(), &epoch];
    fields.extend(leaves.iter().map(Leaf::as_slice));
    Fingerprint(leaf(&fields))
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
