//! Whether a manifest may be believed that lost many of its packages at once.

use serde::{Deserialize, Serialize};

use crate::model::manifest::Manifest;

/// A manifest that was read and not believed. Another successful run with the same packages makes it
/// good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspected {
    /// Digest of the names of its packages.
    pub packages: String,
}

/// What is thought of a new manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is in force from now on.
    Believed,
    /// It is kept aside until a second run agrees.
    Suspected {
        /// What to remember.
        suspected: Suspected,
        /// Packages of the manifest in force that it lacks.
        lost: usize,
        /// Packages of the manifest in force.
        of: usize,
    },
}

/// Compares a new manifest with the one in force. `max_shrink` is in percent.
pub fn judge(
    in_force: Option<&Manifest>,
    before: Option<&Suspected>,
    new: &Manifest,
    max_shrink: u64,
) -> Judgement {
    let Some(in_force) = in_force else { return Judgement::Believed };
    let of = in_force.packages.len();
    let lost =
        in_force.packages.iter().filter(|package| new.package(&package.name).is_none()).count();
    let percent = |count: usize| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(100);
    let allowed = u64::try_from(of).unwrap_or(u64::MAX).saturating_mul(max_shrink);
    let suspected = Suspected { packages: digest(new) };
    if percent(lost) <= allowed || before == Some(&suspected) {
        return Judgement::Believed;
    }
    Judgement::Suspected { suspected, lost, of }
}

fn digest(manifest: &Manifest) -> String {
    let mut hasher = blake3::Hasher::new();
    for package in &manifest.packages {
        hasher.update(package.name.as_bytes());
        hasher.update(b"\0");
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::{Package, Vcs};

    fn manifest(names: &[&str]) -> Manifest {
        let package = |name: &&str| Package {
            name: (*name).into(),
            vcs: Vcs::Other { kind: "none".to_owned(), url: None },
            directory: None,
            path: None,
            depends_on: Vec::new(),
            override_key: (*name).into(),
            repeats: None,
        };
        Manifest::new(names.iter().map(package).collect(), Vec::new()).expect("a manifest")
    }

    #[test]
    fn who_loses_more_than_allowed_is_believed_only_when_a_second_run_agrees() {
        let four = manifest(&["a", "b", "c", "d"]);
        let judged = |names: &[&str], before: Option<&Suspected>, max| {
            judge(Some(&four), before, &manifest(names), max)
        };
        assert_eq!(judge(None, None, &manifest(&["a"]), 0), Judgement::Believed);
        for (names, max, believed) in [
            (&["a", "b"][..], 50, true),
            (&["a"][..], 50, false),
            (&["a", "x", "y", "z"][..], 50, false),
            (&["a", "b", "c"][..], 0, false),
            (&["a", "b", "c", "d", "e"][..], 0, true),
            (&["x"][..], 100, true),
        ] {
            assert_eq!(judged(names, None, max) == Judgement::Believed, believed, "{names:?}");
        }
        let Judgement::Suspected { suspected, lost, of } = judged(&["a"], None, 50) else {
            panic!("it is suspected")
        };
        assert_eq!((lost, of), (3, 4));
        assert_eq!(judged(&["a"], Some(&suspected), 50), Judgement::Believed);
        assert_ne!(judged(&["b"], Some(&suspected), 50), Judgement::Believed);
    }
}
