//! What the fingerprint of an attempt is made of. Attempts are many, and most of it is the same in all
//! workspaces, so that is kept apart, where they can share it.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::build::SetMember;
use super::identity::Name;
use super::plan::FingerprintPart;

/// What the part that says the epoch is called.
pub const EPOCH: &str = "epoch";

/// Parts that are a workspace's own, which come first.
const OWN: usize = 2;

/// Parts of a fingerprint, in words and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeOf {
    own: Arc<[FingerprintPart]>,
    rest: Arc<[FingerprintPart]>,
}

impl MadeOf {
    /// Of what is a workspace's own, see [`workspace`], and of what is the same in all of them.
    pub fn new(own: Arc<[FingerprintPart]>, rest: Arc<[FingerprintPart]>) -> Self {
        Self { own, rest }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &FingerprintPart> {
        self.own.iter().chain(&*self.rest)
    }

    /// All of them.
    pub fn parts(&self) -> Vec<FingerprintPart> {
        self.iter().cloned().collect()
    }
}

impl FromIterator<FingerprintPart> for MadeOf {
    fn from_iter<T: IntoIterator<Item = FingerprintPart>>(parts: T) -> Self {
        let mut parts = parts.into_iter();
        Self { own: parts.by_ref().take(OWN).collect(), rest: parts.collect() }
    }
}

impl Serialize for MadeOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for MadeOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from_iter)
    }
}

/// What is a workspace's own in each of its fingerprints.
pub fn workspace(id: &Name, epoch: u64) -> [FingerprintPart; OWN] {
    [
        FingerprintPart { what: "workspace id".to_owned(), value: id.to_string() },
        FingerprintPart { what: EPOCH.to_owned(), value: epoch.to_string() },
    ]
}

/// A member of a set, which is the same in all workspaces.
pub fn member(member: &SetMember) -> FingerprintPart {
    FingerprintPart {
        what: format!("{} on {}", member.change, member.base),
        value: member.head.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_they_were_however_many() {
        let workspace = workspace(&Name::from("w"), 3).to_vec();
        let other = FingerprintPart { what: "a".to_owned(), value: "b".to_owned() };
        for many in 0..4 {
            let mut parts = workspace.clone();
            parts.push(other.clone());
            parts.push(other.clone());
            parts.truncate(many);
            let made_of: MadeOf = parts.iter().cloned().collect();
            assert_eq!(made_of.parts(), parts);
            let text = serde_json::to_string(&made_of).expect("JSON");
            assert_eq!(text, serde_json::to_string(&parts).expect("JSON"));
            assert_eq!(serde_json::from_str::<MadeOf>(&text).expect("parts"), made_of);
        }
        let joined = MadeOf::new(workspace.clone().into(), vec![other.clone()].into());
        assert_eq!(joined, workspace.into_iter().chain([other]).collect());
    }
}
