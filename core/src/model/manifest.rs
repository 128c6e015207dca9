//! What a workspace is made of, as its own tool exported it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::common::Common;
use super::identity::Name;

/// Packages and definition repositories of a workspace.
///
/// The workspace's own source is not among the definitions; it stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Manifest {
    /// In name order, each name once. Manifests of several workspaces share what is the same in them, see
    /// [`Self::share`].
    pub packages: Vec<Arc<Package>>,
    /// In name order, each name once.
    pub definitions: Vec<DefinitionRepository>,
}

impl Manifest {
    /// Puts packages that are known already in the place of equal ones.
    pub fn share(&mut self, packages: &mut Common<Name, Package>) {
        for package in &mut self.packages {
            *package = packages.share(&package.name, Arc::clone(package));
        }
    }
}

/// Something that is built, with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The tool's name of it.
    pub name: Name,
    /// Where its code comes from.
    pub vcs: Vcs,
    /// Where the tool checked it out: absolute, or relative to the workspace's directory.
    pub directory: Option<String>,
    /// The folder of the repository that it lives in, when it shares the repository with others.
    pub path: Option<String>,
    /// Packages that must be built before it, in name order; each is in the manifest.
    pub depends_on: Vec<Name>,
    /// What the tool calls it in overrides.
    pub override_key: Name,
    /// What an override must say again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Arc<Repeats>>,
}

/// What overrides of a package must say again in its tool's own spelling, by the tool's words, since
/// such an override replaces the tool's whole entry: `url`, `path`, west's `submodules` and the like.
/// Packages of tools whose overrides change single values have none.
pub type Repeats = BTreeMap<String, serde_json::Value>;

/// A repository whose content decides the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionRepository {
    /// The tool's name of it.
    pub name: Name,
    /// Where it comes from.
    pub vcs: Vcs,
    /// Where the tool checked it out: absolute, or relative to the workspace's directory.
    pub directory: Option<String>,
    /// What the tool calls it in overrides, such as `pkg_set:github:/rock-core/package_set.git`.
    pub override_key: Name,
    /// What an override must say again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Arc<Repeats>>,
}

/// Where code comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vcs {
    /// A git repository.
    Git {
        /// As the manifest spells it.
        url: String,
        /// The branch that is tracked, without `refs/heads/`; the default branch when left out.
        /// Never the ref of a change.
        branch: Option<Name>,
        /// What holds it at one commit, so that pushes do not move it.
        pin: Option<Pin>,
    },
    /// Something that is listed and not watched.
    Other {
        /// The tool's word for it, such as `svn`, `archive` or `none`.
        kind: String,
        /// Its address, if it has one.
        url: Option<String>,
    },
}

/// What holds a package at one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// A commit, as the manifest spells it.
    Commit(String),
    /// A tag.
    Tag(String),
}

/// Why packages and definitions are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// Two of the same name.
    #[error("{what} {name:?} is listed twice; every {what} may stand in a manifest once")]
    Duplicate {
        /// `package` or `definition repository`.
        what: &'static str,
        /// The name.
        name: Name,
    },
}

impl Manifest {
    /// Sorts both lists and the dependencies; refuses names that occur twice in one list.
    /// Dependencies on the package itself or on packages that are not listed are dropped.
    pub fn new(
        mut packages: Vec<Package>,
        mut definitions: Vec<DefinitionRepository>,
    ) -> Result<Self, InvalidManifest> {
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        definitions.sort_by(|a, b| a.name.cmp(&b.name));
        twice("package", packages.iter().map(|package| &package.name))?;
        twice("definition repository", definitions.iter().map(|definition| &definition.name))?;
        let known: Vec<Name> = packages.iter().map(|package| package.name.clone()).collect();
        for package in &mut packages {
            let own = package.name.clone();
            package.depends_on.retain(|name| *name != own && known.binary_search(name).is_ok());
            package.depends_on.sort();
            package.depends_on.dedup();
        }
        let mut packages: Vec<Arc<Package>> = packages.into_iter().map(Arc::new).collect();
        // It took over the room of a list whose entries were many times larger.
        packages.shrink_to_fit();
        Ok(Self { packages, definitions })
    }

    /// This manifest with what `newer` has besides. An update that ended with a failure may have
    /// learned of more packages; that it does not name others says nothing.
    pub fn with_added(&self, newer: &Self) -> Self {
        let mut all = self.clone();
        let absent = |name: &Name| self.package(name).is_none();
        all.packages.extend(newer.packages.iter().filter(|package| absent(&package.name)).cloned());
        let known = |name: &Name| self.definitions.iter().any(|known| known.name == *name);
        all.definitions.extend(
            newer.definitions.iter().filter(|definition| !known(&definition.name)).cloned(),
        );
        all.packages.sort_by(|a, b| a.name.cmp(&b.name));
        all.definitions.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The package of that name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        let index =
            self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        self.packages.get(index).map(AsRef::as_ref)
    }
}

impl Vcs {
    /// Whether it is held at one commit.
    pub fn pinned(&self) -> bool {
        matches!(self, Self::Git { pin: Some(_), .. })
    }

    /// The address, whatever kind it is.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Git { url, .. } => Some(url),
            Self::Other { url, .. } => url.as_deref(),
        }
    }

    /// The address of a git repository.
    pub fn git_url(&self) -> Option<&str> {
        match self {
            Self::Git { url, .. } => Some(url),
            Self::Other { .. } => None,
        }
    }
}

/// Whether `name` is a ref of a change (`refs/pull/12/head`, `merge-requests/3/merge`) instead of a
/// branch. A workspace that was updated with overrides in force exports such names.
pub fn is_change_ref(name: &str) -> bool {
    if let Some(full) = name.strip_prefix("refs/") {
        return !full.starts_with("heads/") && !full.starts_with("tags/");
    }
    let mut parts = name.split('/');
    matches!(parts.next(), Some("pull" | "merge-requests"))
        && parts.next().is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
        && matches!(parts.next(), Some("head" | "merge"))
        && parts.next().is_none()
}

fn twice<'a>(
    what: &'static str,
    sorted: impl Iterator<Item = &'a Name>,
) -> Result<(), InvalidManifest> {
    let mut last: Option<&Name> = None;
    for name in sorted {
        if last == Some(name) {
            return Err(InvalidManifest::Duplicate { what, name: name.clone() });
        }
        last = Some(name);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Unchecked {
    packages: Vec<Package>,
    definitions: Vec<DefinitionRepository>,
}

impl TryFrom<Unchecked> for Manifest {
    type Error = InvalidManifest;

    fn try_from(raw: Unchecked) -> Result<Self, InvalidManifest> {
        Self::new(raw.packages, raw.definitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, depends_on: &[&str]) -> Package {
        Package {
            name: name.into(),
            vcs: Vcs::Git {
                url: format!("https://example.org/{name}"),
                branch: Some("main".into()),
                pin: Some(Pin::Tag("v1".to_owned())),
            },
            directory: None,
            path: None,
            depends_on: depends_on.iter().map(|name| Name::from(*name)).collect(),
            override_key: name.into(),
            repeats: None,
        }
    }

    #[test]
    fn a_manifest_is_sorted_unique_and_closed() {
        let manifest = Manifest::new(
            vec![package("b", &["c", "a", "a", "b", "gone"]), package("a", &[]), package("c", &[])],
            vec![],
        )
        .expect("valid");
        let names: Vec<&str> = manifest.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let b = manifest.package("b").expect("b");
        assert_eq!(b.depends_on, [Name::from("a"), Name::from("c")]);
        assert!(b.vcs.pinned());
        let json = serde_json::to_string(&manifest).expect("json");
        assert_eq!(serde_json::from_str::<Manifest>(&json).expect("back"), manifest);
        let twice = Manifest::new(vec![package("a", &[]), package("a", &[])], vec![]);
        assert_eq!(
            twice.expect_err("twice").to_string(),
            "package \"a\" is listed twice; every package may stand in a manifest once"
        );
    }

    #[test]
    fn a_failed_run_adds_and_never_removes() {
        let manifest = |packages| Manifest::new(packages, vec![]).expect("valid");
        let before = manifest(vec![package("b", &[]), package("d", &[])]);
        let mut moved = package("b", &["a"]);
        moved.directory = Some("elsewhere".to_owned());
        let after = before.with_added(&manifest(vec![package("a", &[]), moved, package("c", &[])]));
        let names: Vec<&str> = after.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(after.package("b"), before.package("b"));
    }

    #[test]
    fn equal_packages_of_several_manifests_are_kept_once() {
        let mut packages = Common::default();
        let mut manifest = |listed| {
            let mut manifest = Manifest::new(listed, vec![]).expect("valid");
            manifest.share(&mut packages);
            manifest
        };
        let one = manifest(vec![package("a", &[]), package("b", &["a"])]);
        let other = manifest(vec![package("a", &[]), package("b", &[])]);
        assert!(Arc::ptr_eq(&one.packages[0], &other.packages[0]));
        assert!(!Arc::ptr_eq(&one.packages[1], &other.packages[1]), "it needs something else");
        assert_eq!(other.packages[1].depends_on, []);
    }

    #[test]
    fn refs_of_changes_are_told_from_branches() {
        for change in ["refs/pull/12/head", "refs/merge-requests/1/merge", "pull/12/head"] {
            assert!(is_change_ref(change), "{change}");
        }
        for branch in ["main", "refs/heads/main", "pull/request", "pull/12/head/x", "pull//head"] {
            assert!(!is_change_ref(branch), "{branch}");
        }
    }
}
