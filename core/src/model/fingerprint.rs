//! How a fingerprint is hashed: a Merkle hash, of which only the root is a workspace's own.

use std::sync::{Arc, LazyLock};

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use super::identity::{Fingerprint, Name};

/// Version of the encoding; a new one must read what older ones recorded.
const ENCODING: &str = "crosswatch fingerprint 1";

/// One thing that a fingerprint is made of, hashed: the same in every workspace.
pub type Leaf = [u8; 32];

/// Hashes the fields of a leaf.
pub fn leaf(fields: &[&[u8]]) -> Leaf {
    hash(fields.iter().copied())
}

fn hash<'f>(fields: impl Iterator<Item = &'f [u8]>) -> Leaf {
    /// The same for all, and as much work as a leaf itself.
    static KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(ENCODING));
    let mut hasher = blake3::Hasher::new_from_context_key(&KEY);
    // Many small updates cost more than the hash.
    let (mut block, mut used) = ([0_u8; 256], 0);
    for field in fields {
        for bytes in [&(field.len() as u64).to_le_bytes()[..], field] {
            if used + bytes.len() > block.len() {
                hasher.update(block.get(..used).unwrap_or_default());
                used = 0;
            }
            match block.get_mut(used..used + bytes.len()) {
                Some(room) => {
                    room.copy_from_slice(bytes);
                    used += bytes.len();
                }
                None => drop(hasher.update(bytes)),
            }
        }
    }
    hasher.update(block.get(..used).unwrap_or_default());
    *hasher.finalize().as_bytes()
}

/// The fingerprint of a workspace's leaves in an epoch; `kind` keeps apart what has the same leaves.
pub fn root(workspace: &Name, kind: &[u8], epoch: u64, leaves: &[Leaf]) -> Fingerprint {
    let epoch = epoch.to_le_bytes();
    let own = [kind, workspace.as_bytes(), &epoch];
    Fingerprint(hash(own.into_iter().chain(leaves.iter().map(Leaf::as_slice))))
}

/// The fingerprint of a set with these leaves.
pub fn of_set(workspace: &Name, epoch: u64, leaves: &[Leaf]) -> Fingerprint {
    root(workspace, b"set", epoch, leaves)
}

/// What a set with these leaves is in every workspace and epoch: as this it is held if it was open before
/// the watch began.
pub fn mark(leaves: &[Leaf]) -> Fingerprint {
    Fingerprint(hash([&b"adopted"[..]].into_iter().chain(leaves.iter().map(Leaf::as_slice))))
}

/// A fingerprint, or what it is made of where that is all that workspaces have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Print {
    /// The fingerprint itself.
    Own(Fingerprint),
    /// The leaves of a set.
    Set(Arc<[Leaf]>),
}

impl Print {
    /// The fingerprint in a workspace, by its id and its epoch.
    pub fn of(&self, workspace: &Name, epoch: u64) -> Fingerprint {
        match self {
            Self::Own(fingerprint) => *fingerprint,
            Self::Set(leaves) => of_set(workspace, epoch, leaves),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_hashed_one_after_the_other_each_after_its_length() {
        let (long, longer) = ([7_u8; 250], [9_u8; 300]);
        for fields in [&[&b""[..]][..], &[b"a", b"bc", &long, b"d", &longer, b"", b"e"]] {
            let mut hasher = blake3::Hasher::new_derive_key("crosswatch fingerprint 1");
            for field in fields {
                hasher.update(&(field.len() as u64).to_le_bytes()).update(field);
            }
            assert_eq!(leaf(fields), *hasher.finalize().as_bytes());
        }
        let [one, other] = ["w", "v"].map(|id| of_set(&id.into(), 0, &[leaf(&[b"a"])]));
        assert_ne!(one, other, "a fingerprint is its workspace's own");
        assert_ne!(one, of_set(&"w".into(), 1, &[leaf(&[b"a"])]), "and its epoch's");
    }
}
