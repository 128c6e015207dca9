//! The manifest that a workspace would have with a change set in it: what it is made from, what came
//! of it, and how it differs from the mainline's.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::build::SetMember;
use super::identity::{Fingerprint, Name, RepositoryId};
use super::manifest::{Manifest, Pin, Vcs};
use super::saved::without_secret;
use super::time::Timestamp;

/// What a candidate is made from. The same gives the same manifest, so an answer is kept under it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Recipe {
    /// The workspace, by its present name.
    pub workspace: Name,
    /// Digest of the manifest that the mainline has.
    pub mainline: Fingerprint,
    /// The changes that are in it: each in the place of its base branch, in the order of the set.
    pub members: Vec<SetMember>,
    /// Repositories that its tool reads besides those of the mainline's manifest.
    pub readable: BTreeSet<RepositoryId>,
    /// When a person wanted it made again after it had failed.
    pub again: Option<Timestamp>,
}

/// What came of making a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Candidate {
    /// Its tool exported this.
    Made(Manifest),
    /// Its tool wants to read repositories at these addresses, which were not shown to it.
    Needs(BTreeSet<String>),
    /// Its tool failed. That what could not be had (a mirror, a sandbox) is no such failure.
    Failed {
        /// Why, with where its log is.
        why: String,
        /// The last lines of its log.
        tail: Vec<String>,
    },
}

/// How a candidate's manifest differs from the mainline's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What only the candidate has.
    pub added: Vec<Name>,
    /// What only the mainline has.
    pub removed: Vec<Name>,
    /// What both have, from elsewhere or with other dependencies.
    pub changed: Vec<Name>,
    /// Digest of all that; nothing where the manifests are the same.
    pub digest: Option<Fingerprint>,
}

impl Difference {
    /// Between the mainline's manifest and a candidate's.
    pub fn between(mainline: &Manifest, candidate: &Manifest) -> Self {
        let (before, now) = (entries(mainline), entries(candidate));
        let mut difference = Self::default();
        let mut hasher = blake3::Hasher::new_derive_key("crosswatch manifest difference 1");
        let keys: BTreeSet<&(bool, Name)> = before.keys().chain(now.keys()).collect();
        for key in keys {
            let (old, new) = (before.get(key), now.get(key));
            if old == new {
                continue;
            }
            let list = match (old, new) {
                (None, _) => &mut difference.added,
                (_, None) => &mut difference.removed,
                _ => &mut difference.changed,
            };
            list.push(key.1.clone());
            field(&mut hasher, if key.0 { "definition" } else { "package" });
            field(&mut hasher, &key.1);
            fields(&mut hasher, old.map_or(&[], Vec::as_slice));
            fields(&mut hasher, new.map_or(&[], Vec::as_slice));
            difference.digest = Some(Fingerprint([0; 32]));
        }
        if let Some(digest) = &mut difference.digest {
            *digest = Fingerprint(*hasher.finalize().as_bytes());
        }
        difference
    }
}

/// Digest of what a manifest says, without where its tool put it on this machine.
pub fn digest(manifest: &Manifest) -> Fingerprint {
    let mut hasher = blake3::Hasher::new_derive_key("crosswatch manifest 1");
    for ((definition, name), texts) in entries(manifest) {
        field(&mut hasher, if definition { "definition" } else { "package" });
        field(&mut hasher, &name);
        fields(&mut hasher, &texts);
    }
    Fingerprint(*hasher.finalize().as_bytes())
}

/// Packages and definition repositories, each with all that is said of it, in one order for ever.
fn entries(manifest: &Manifest) -> BTreeMap<(bool, Name), Vec<String>> {
    let packages = manifest.packages.iter().map(|package| {
        let mut texts = said(&package.vcs);
        texts.push(package.path.clone().unwrap_or_default());
        texts.extend(package.depends_on.iter().map(ToString::to_string));
        ((false, package.name.clone()), texts)
    });
    let definitions = manifest.definitions.iter();
    let definitions = definitions.map(|one| ((true, one.name.clone()), said(&one.vcs)));
    packages.chain(definitions).collect()
}

fn said(vcs: &Vcs) -> Vec<String> {
    match vcs {
        Vcs::Git { url, branch, pin } => {
            let (kind, pin) = match pin {
                None => ("branch", ""),
                Some(Pin::Commit(pin)) => ("commit", pin.as_str()),
                Some(Pin::Tag(pin)) => ("tag", pin.as_str()),
            };
            let branch = branch.as_ref().map(ToString::to_string).unwrap_or_default();
            vec!["git".to_owned(), without_secret(url), branch, kind.to_owned(), pin.to_owned()]
        }
        Vcs::Other { kind, url } => {
            vec![kind.clone(), url.as_deref().map(without_secret).unwrap_or_default()]
        }
    }
}

fn fields(hasher: &mut blake3::Hasher, texts: &[String]) {
    hasher.update(&(texts.len() as u64).to_le_bytes());
    texts.iter().for_each(|text| field(hasher, text));
}

fn field(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::manifest::Package;

    fn manifest(packages: &[(&str, &str, &[&str])]) -> Manifest {
        let package = |(name, branch, needs): &(&str, &str, &[&str])| Package {
            name: (*name).into(),
            vcs: Vcs::Git {
                url: format!("https://example.org/{name}"),
                branch: Some((*branch).into()),
                pin: None,
            },
            directory: Some("somewhere".to_owned()),
            path: None,
            depends_on: needs.iter().map(|need| (*need).into()).collect(),
            override_key: (*name).into(),
            repeats: None,
        };
        Manifest::new(packages.iter().map(package).collect(), Vec::new()).expect("valid")
    }

    #[test]
    fn a_difference_is_what_moved_and_nothing_else() {
        let before = manifest(&[("a", "main", &[]), ("b", "main", &["a"]), ("c", "main", &[])]);
        assert_eq!(Difference::between(&before, &before), Difference::default());
        let mut elsewhere = before.clone();
        for package in &mut elsewhere.packages {
            Arc::make_mut(package).directory = None;
        }
        assert_eq!(digest(&elsewhere), digest(&before), "where it is checked out says nothing");
        let after = manifest(&[("a", "next", &[]), ("b", "main", &["a"]), ("d", "main", &[])]);
        let difference = Difference::between(&before, &after);
        let names = |names: &[&str]| names.iter().map(|name| Name::from(*name)).collect::<Vec<_>>();
        assert_eq!(difference.added, names(&["d"]));
        assert_eq!(difference.removed, names(&["c"]));
        assert_eq!(difference.changed, names(&["a"]));
        assert!(difference.digest.is_some() && digest(&after) != digest(&before));
        let with = |more: (&'static str, &'static str, &'static [&'static str])| {
            let all = [("a", "main", &[][..]), ("b", "main", &["a"]), ("c", "main", &[]), more];
            manifest(&all)
        };
        let (one, other) = (("d", "main", &[][..]), ("d", "next", &[][..]));
        let digests = [one, other].map(|d| Difference::between(&before, &with(d)).digest);
        assert_ne!(digests[0], digests[1], "the same package, added differently");
        let moved = manifest(&[("a", "new", &[]), ("b", "main", &["a"]), ("c", "main", &[])]);
        let mut added: Vec<Package> = moved.packages.iter().map(|one| (**one).clone()).collect();
        added.extend(with(one).package("d").cloned());
        let added = Manifest::new(added, Vec::new()).expect("valid");
        let again = Difference::between(&moved, &added);
        assert_eq!(again.digest, digests[0], "what else the mainline has is no part of it");
    }
}
