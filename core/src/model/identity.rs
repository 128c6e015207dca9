//! What makes two spellings the same repository, change, commit or workspace.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

use arcstr::ArcStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::queue::QueueId;

/// A short immutable text that is cheap to clone: names of forges, workspaces, CIs, branches. One pointer
/// wide, since most of what is kept for each of many workspaces is names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(ArcStr);

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The same text is mostly the same allocation, so that is looked at first.
impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        if ArcStr::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl Name {
    /// A name that many have, wherever they have it from: all of them share one allocation, which is what
    /// makes comparing them cheap.
    pub fn shared(text: &str) -> Self {
        static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);
        SHARED.lock().unwrap_or_else(PoisonError::into_inner).of(text)
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names that are shared. Those that nobody has any more go as soon as there are twice as many as somebody
/// had when that was looked at last.
#[derive(Default)]
struct Shared {
    #[expect(clippy::disallowed_types, reason = "nothing depends on their order")]
    names: std::collections::HashSet<Name>,
    most: usize,
}

impl Shared {
    /// So few are not looked at.
    const FEW: usize = 1_000;

    fn of(&mut self, text: &str) -> Name {
        if let Some(known) = self.names.get(text) {
            return known.clone();
        }
        if self.names.len() >= self.most.max(Self::FEW) {
            self.names.retain(|name| ArcStr::strong_count(&name.0) != Some(1));
            self.most = 2 * self.names.len();
        }
        let name = Name::from(text);
        self.names.insert(name.clone());
        name
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(ArcStr::from(text))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(ArcStr::from(text))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A repository: the forge and the path in it, both in canonical spelling.
///
/// `forge` is the host of a hosted forge (`github.com`) or the configured name of a plain `git`
/// forge. `path` is folded to lower case where the forge compares without case, and has no leading
/// or trailing `/` and no `.git` ending. The spelling for people is kept in
/// [`super::snapshot::RepositoryPart::spelling`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId {
    /// Host of a hosted forge, or the name of a plain git forge.
    pub forge: Name,
    /// Canonical path, such as `rock-core/base-types`.
    pub path: Name,
}

impl RepositoryId {
    /// From parts that are canonical already; the same parts are the same allocations everywhere.
    pub fn new(forge: impl Into<Name>, path: impl Into<Name>) -> Self {
        Self { forge: Name::shared(&forge.into()), path: Name::shared(&path.into()) }
    }

    /// The change of this repository with `number`.
    pub fn change(&self, number: u64) -> ChangeId {
        ChangeId { repository: self.clone(), number }
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.forge, self.path)
    }
}

impl FromStr for RepositoryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((forge, path)) if !forge.is_empty() && !path.is_empty() => {
                Ok(Self { forge: Name::shared(forge), path: Name::shared(path) })
            }
            _ => Err(format!("{text:?} is not a repository such as FORGE/owner/name")),
        }
    }
}

/// A change: a repository and the number of a pull or merge request in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId {
    /// Where the change wants to be merged.
    pub repository: RepositoryId,
    /// Its number there, from 1.
    pub number: u64,
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repository, self.number)
    }
}

impl FromStr for ChangeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a change such as FORGE/owner/name#12");
        let (repository, number) = text.rsplit_once('#').ok_or_else(wrong)?;
        let number = number.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
        Ok(Self { repository: repository.parse().map_err(|_| wrong())?, number })
    }
}

/// A git object name: 20 (SHA-1) or 32 (SHA-256) bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid {
    bytes: [u8; 32],
    len: u8,
}

impl Oid {
    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }

    /// The first ten hexadecimal digits, for tables.
    pub fn short(&self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

impl FromStr for Oid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a git object name of 40 or 64 hexadecimal digits");
        if !matches!(text.len(), 40 | 64) || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self { bytes, len: if text.len() == 40 { 20 } else { 32 } })
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A subject of decisions in a workspace: its mainline, one change, or an entry of a merge queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The heads that the workspace tracks.
    Mainline,
    /// A change, with the set that it stands for.
    Change(ChangeId),
    /// What a forge is about to merge, as it would be merged.
    Queue(Box<QueueId>),
}

impl Subject {
    /// The change, if this is one.
    pub fn change(&self) -> Option<&ChangeId> {
        match self {
            Self::Change(change) => Some(change),
            Self::Mainline | Self::Queue(_) => None,
        }
    }

    /// The entry of a merge queue, if this is one.
    pub fn queue(&self) -> Option<&QueueId> {
        match self {
            Self::Queue(queue) => Some(queue),
            Self::Mainline | Self::Change(_) => None,
        }
    }

    /// Where it would be merged; nothing for the mainline, which is everywhere.
    pub fn repository(&self) -> Option<&RepositoryId> {
        match self {
            Self::Mainline => None,
            Self::Change(change) => Some(&change.repository),
            Self::Queue(queue) => Some(&queue.repository),
        }
    }
}

impl fmt::Display for Subject {
    /// `mainline`, or the own writing of a change or an entry; what the ledger stores.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mainline => f.write_str("mainline"),
            Self::Change(change) => change.fmt(f),
            Self::Queue(queue) => queue.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "mainline" => Ok(Self::Mainline),
            Ok(queue) => Ok(Self::Queue(Box::new(queue))),
            Err(_) => text.parse().map(Self::Change),
        }
    }
}

/// BLAKE3 over the canonical encoding of what makes a build worth running again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| format!("{text:?} is not a fingerprint of 64 hexadecimal digits"))
    }
}

macro_rules! text_serde {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_serde!(RepositoryId, ChangeId, Oid, Subject, Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_one_allocation_as_long_as_somebody_has_it() {
        let mut shared = Shared::default();
        let name = shared.of("kept");
        assert!(ArcStr::ptr_eq(&name.0, &shared.of("kept").0));
        for number in 0..3 * Shared::FEW {
            shared.of(&number.to_string());
        }
        assert!(shared.names.len() <= Shared::FEW && shared.names.contains("kept"));
        assert!(ArcStr::ptr_eq(&name.0, &shared.of("kept").0));
        let id: RepositoryId = "forge/a/b".parse().expect("an id");
        let same = RepositoryId::new("forge".to_owned(), Name::from("a/b"));
        assert!(
            ArcStr::ptr_eq(&id.path.0, &same.path.0) && ArcStr::ptr_eq(&id.forge.0, &same.forge.0)
        );
    }

    #[test]
    fn identities_survive_their_own_writing() {
        let change: ChangeId = "mirror/rock/base types#12".parse().expect("a change");
        assert_eq!(change.to_string(), "mirror/rock/base types#12");
        assert_eq!("mainline".parse(), Ok(Subject::Mainline));
        let oid = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(oid.parse::<Oid>().map(|oid| oid.to_string()), Ok(oid.to_owned()));
        for wrong in ["", "12", "a#0", "a/b#", "a/b#x", "/b#1", "a/#1", "a/b#-1"] {
            assert!(wrong.parse::<ChangeId>().is_err(), "{wrong}");
        }
        assert!("+123456789abcdef0123456789abcdef01234567".parse::<Oid>().is_err());
    }
}
