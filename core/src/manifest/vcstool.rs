//! vcstool: a `.repos` file, or the older `.rosinstall`, and the `package.xml` files below the
//! checkouts that it names. A repository without such a file is one package by its path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_yaml::Value;

use super::text::{name, wrong};
use super::xml::Element;
use super::yaml::{self, Entry, found, untag};
use super::{Builder, Input, MAX_PACKAGES, ManifestError, ReadManifest, origin};
use crate::model::identity::Name;
use crate::model::manifest::{Package, Repeats, Vcs};

/// Elements of `package.xml` that name packages which must be there first.
const DEPENDS: [&str; 8] = [
    "depend",
    "build_depend",
    "build_export_depend",
    "buildtool_depend",
    "buildtool_export_depend",
    "exec_depend",
    "run_depend",
    "test_depend",
];
/// Files that tell ROS's build tools to look no further.
const IGNORED: [&str; 3] = ["COLCON_IGNORE", "AMENT_IGNORE", "CATKIN_IGNORE"];

pub(super) fn read(text: &str, input: &Input<'_>) -> Result<ReadManifest, ManifestError> {
    let value = yaml::document(text)?;
    let mut builder = Builder::default();
    let repositories = repositories(&mut builder, input, &value)?;
    let mut described = described(&mut builder, input, &repositories);
    let names: BTreeSet<Name> =
        described.values().flatten().map(|(_, described)| described.name.clone()).collect();
    for (path, repository) in repositories {
        let package = |name: Name, path: Option<String>, depends_on: Vec<Name>| Package {
            name,
            vcs: repository.vcs.clone(),
            directory: Some(repository.directory.clone()),
            path,
            depends_on,
            override_key: repository.key.clone(),
            repeats: repository.repeats.clone(),
        };
        match described.remove(&path) {
            Some(packages) => {
                for (folder, Described { name, depends_on }) in packages {
                    builder.packages.push(package(name, folder, depends_on));
                }
            }
            None if names.contains(&repository.key) => {
                let own = name(&path, &format!("{path} (repository)"))?;
                builder.packages.push(package(own, None, Vec::new()));
            }
            None => builder.packages.push(package(repository.key.clone(), None, Vec::new())),
        }
    }
    builder.finish()
}

/// One entry of the file.
struct Repository {
    key: Name,
    vcs: Vcs,
    directory: String,
    repeats: Option<Arc<Repeats>>,
}

/// By path below the folder that the tool imports into.
fn repositories(
    builder: &mut Builder,
    input: &Input<'_>,
    value: &Value,
) -> Result<BTreeMap<String, Repository>, ManifestError> {
    let mut all = BTreeMap::new();
    let mut add = |builder: &mut Builder, path: &str, kind: &str, entry: &Entry<'_>, url: &str| {
        let path = origin::folder(&entry.place, path)?;
        let repository = repository(builder, input, &path, kind, entry, url)?;
        if all.insert(path, repository).is_some() {
            return Err(wrong(&entry.place, "a path that stands there once", "a second".into()));
        }
        Ok(())
    };
    match untag(value) {
        Value::Sequence(list) => {
            for (at, item) in list.iter().enumerate() {
                let place = format!("entry {}", at + 1);
                let item = Entry::of(item, place.clone(), "one key such as `git`")?;
                for (kind, inner) in item.map {
                    let Value::String(kind) = untag(kind) else {
                        return Err(wrong(&place, "a text as key", found(kind)));
                    };
                    let entry =
                        Entry::of(inner, format!("{place}: {kind}"), "`local-name`, `uri`")?;
                    let Some(path) = entry.text("local-name")? else {
                        return Err(wrong(&entry.place, "a `local-name`", "none".to_owned()));
                    };
                    add(builder, &path, kind, &entry, "uri")?;
                }
            }
        }
        other => {
            let whole = Entry::whole(other, "`repositories`")?;
            for (path, entry) in whole.named("repositories")? {
                let Some(entry) = entry else {
                    let place = format!("the file: repositories: {path:?}");
                    return Err(wrong(&place, "`type` and `url`", "nothing".to_owned()));
                };
                let kind = entry.text("type")?.unwrap_or_else(|| "git".to_owned());
                add(builder, &path, &kind, &entry, "url")?;
            }
        }
    }
    if all.len() > MAX_PACKAGES {
        return Err(ManifestError::TooMany { what: "repositories".into(), most: MAX_PACKAGES });
    }
    Ok(all)
}

fn repository(
    builder: &mut Builder,
    input: &Input<'_>,
    path: &str,
    kind: &str,
    entry: &Entry<'_>,
    url: &str,
) -> Result<Repository, ManifestError> {
    let key = name(&entry.place, path)?;
    let directory = match input.checkouts {
        Some(folder) => format!("{folder}/{path}"),
        None => path.to_owned(),
    };
    let Some(url) = entry.line(url)? else {
        return Err(wrong(&entry.place, &format!("`{url}`"), "none".to_owned()));
    };
    if kind != "git" {
        builder.note(|| format!("{key:?} comes from {kind:?}, not from git: not watched"));
        let vcs = Vcs::Other { kind: kind.to_owned(), url: Some(url) };
        return Ok(Repository { key, vcs, directory, repeats: None });
    }
    let url = origin::absolute(&entry.place, &url, input.source)?;
    let version = entry.text("version")?;
    // vcstool's own way to say which of both a name is.
    let version = version.map(|text| match (text.strip_prefix("heads/"), &text) {
        (Some(branch), _) => format!("refs/heads/{branch}"),
        (None, text) if text.starts_with("tags/") => format!("refs/{text}"),
        (None, _) => text,
    });
    let vcs = origin::git(builder, &entry.place, &key, url.clone(), version.as_deref())?;
    let repeats = Repeats::from([("url".to_owned(), url.into())]);
    Ok(Repository { key, vcs, directory, repeats: Some(Arc::new(repeats)) })
}

/// What a `package.xml` says.
struct Described {
    name: Name,
    depends_on: Vec<Name>,
}

type Packages = Vec<(Option<String>, Described)>;

/// Packages by the repository that they lie in, with their folder in it.
fn described(
    builder: &mut Builder,
    input: &Input<'_>,
    repositories: &BTreeMap<String, Repository>,
) -> BTreeMap<String, Packages> {
    let file_name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let ignored: BTreeSet<String> = input
        .files
        .iter()
        .filter(|(path, _)| IGNORED.contains(&file_name(path).as_str()))
        .map(|(path, _)| folder(path))
        .collect();
    let mut files: Vec<&(String, Vec<u8>)> =
        input.files.iter().filter(|(path, _)| file_name(path) == "package.xml").collect();
    files.sort();
    let mut seen: BTreeMap<Name, &str> = BTreeMap::new();
    let mut all: BTreeMap<String, Packages> = BTreeMap::new();
    // A package inside a package is none of its own.
    let mut outer: Option<String> = None;
    for (path, bytes) in files {
        let inside = folder(path);
        if above(&inside).any(|folder| ignored.contains(folder)) {
            continue;
        }
        if outer.as_ref().is_some_and(|outer| inside.starts_with(outer.as_str())) {
            continue;
        }
        let below = match input.checkouts {
            Some(checkouts) => inside.strip_prefix(checkouts).and_then(|r| r.strip_prefix('/')),
            None => Some(inside.as_str()),
        };
        let Some(below) = below else { continue };
        let Some(repository) = above(below).find(|folder| repositories.contains_key(*folder))
        else {
            continue;
        };
        let described = match package_xml(bytes) {
            Ok(described) => described,
            Err(why) => {
                builder.note(|| format!("{path}: {why}; it is passed over"));
                continue;
            }
        };
        if let Some(first) = seen.get(&described.name) {
            let name = described.name.clone();
            builder.note(|| format!("{path}: package {name:?} stands in {first} already"));
            continue;
        }
        seen.insert(described.name.clone(), path);
        outer = Some(format!("{inside}/"));
        let own = below.strip_prefix(repository).unwrap_or_default().trim_matches('/');
        let own = (!own.is_empty()).then(|| own.to_owned());
        all.entry(repository.to_owned()).or_default().push((own, described));
    }
    all
}

/// The folder and those above it.
fn above(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| folder.rsplit_once('/').map(|(above, _)| above))
}

fn package_xml(bytes: &[u8]) -> Result<Described, ManifestError> {
    let root = Element::parse(super::text::checked(bytes)?)?;
    if root.name != "package" {
        return Err(wrong(&root.place(), "<package>", format!("<{}>", root.name)));
    }
    let mut own = None;
    let mut depends_on = Vec::new();
    for child in &root.children {
        if child.name == "name" {
            own = Some(name(&child.place(), child.text.trim())?);
        } else if DEPENDS.contains(&child.name.as_str()) {
            depends_on.push(name(&child.place(), child.text.trim())?);
        }
    }
    let Some(name) = own else {
        return Err(wrong(&root.place(), "a <name>", "none".to_owned()));
    };
    Ok(Described { name, depends_on })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::Pin;

    const REPOS: &str = "repositories:
  core/common: {type: git, url: 'https://h/common.git', version: jazzy}
  core/plain: {type: git, url: ../plain.git, version: tags/v1}
  nav: {type: git, url: 'https://h/nav.git'}
  old: {type: hg, url: 'https://h/old', version: x}
";

    fn package(name: &str, depends: &str) -> Vec<u8> {
        format!(
            "<?xml version=\"1.0\"?>\n<package format=\"3\"><name>{name}</name>{depends}</package>"
        )
        .into_bytes()
    }

    #[test]
    fn packages_of_a_workspace_are_found_below_their_repositories() {
        let files = [
            (
                "src/core/common/msgs/package.xml".to_owned(),
                package("msgs", "<buildtool_depend>cmake</buildtool_depend>"),
            ),
            (
                "src/core/common/lib/package.xml".to_owned(),
                package("lib", "<depend>msgs</depend><test_depend condition='x'>nav</test_depend>"),
            ),
            ("src/core/common/lib/test/package.xml".to_owned(), package("inner", "")),
            ("src/core/common/skip/COLCON_IGNORE".to_owned(), Vec::new()),
            ("src/core/common/skip/a/package.xml".to_owned(), package("skipped", "")),
            ("src/nav/package.xml".to_owned(), package("nav", "<exec_depend>lib</exec_depend>")),
            ("src/old/package.xml".to_owned(), b"<!DOCTYPE a>".to_vec()),
            ("src/elsewhere/package.xml".to_owned(), package("elsewhere", "")),
        ];
        let input = Input {
            files: &files,
            source: Some("https://h/conf.git"),
            checkouts: Some("src"),
            ..Input::default()
        };
        let read = read(REPOS, &input).expect("a manifest");
        let shown: Vec<String> = read
            .manifest
            .packages
            .iter()
            .map(|p| {
                format!(
                    "{} in {} {:?} from {} on {:?}",
                    p.name,
                    p.directory.as_deref().unwrap_or_default(),
                    p.path,
                    p.override_key,
                    p.depends_on
                )
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        core/plain in src/core/plain None from core/plain on []
        lib in src/core/common Some("lib") from core/common on ["msgs", "nav"]
        msgs in src/core/common Some("msgs") from core/common on []
        nav in src/nav None from nav on ["lib"]
        old in src/old None from old on []
        "#);
        let plain = read.manifest.package("core/plain").expect("plain");
        assert_eq!(plain.vcs.git_url(), Some("https://h/plain.git"));
        assert!(matches!(&plain.vcs, Vcs::Git { pin: Some(Pin::Tag(tag)), .. } if tag == "v1"));
        assert!(read.notes.iter().any(|note| note.contains("src/old/package.xml: it cannot")));
    }

    #[test]
    fn rosinstall_files_are_read_too() {
        let text = "- git: {local-name: a/b, uri: 'https://h/b.git', version: main}\n";
        let read = read(text, &Input::default()).expect("a manifest");
        assert_eq!(read.manifest.packages[0].name, "a/b".into());
    }

    #[test]
    fn errors_name_their_place() {
        for (text, said) in [
            ("repositories: {a: }", "repositories: \"a\": expected `type` and `url`"),
            ("repositories: {a: {type: git}}", "\"a\": expected `url`, found none"),
            ("repositories: {../a: {type: git, url: x}}", "a folder inside the workspace"),
            ("repositories: {a: {url: x}, a/: {url: y}}", "a path that stands there once"),
            ("repositories: []", "expected a mapping"),
            ("- git: {uri: x}", "entry 1: git: expected a `local-name`"),
            ("repositories: {}", "lists no packages"),
        ] {
            let error = read(text, &Input::default()).expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
