//! Our own format: JSON by the schema in `docs/manifest.schema.json`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::text::{line, masked, name, quoted, sub_path, wrong};
use super::{Builder, MAX_PACKAGES, ManifestError, ReadManifest};
use crate::model::identity::Name;
use crate::model::manifest::{DefinitionRepository, Package, Pin, Vcs, is_change_ref};

pub(super) fn read(text: &str) -> Result<ReadManifest, ManifestError> {
    // serde reads structures from lists too; the schema does not.
    if !text.trim_start().starts_with('{') {
        let expected = "an object with `version` and `packages`";
        return Err(wrong("the file", expected, quoted(text)));
    }
    let file: File = serde_json::from_str(text)
        .map_err(|error| ManifestError::Syntax { message: error.to_string() })?;
    if file.version != 1 {
        return Err(ManifestError::Version { found: file.version });
    }
    for (what, count) in
        [("packages", file.packages.len()), ("definitions", file.definitions.len())]
    {
        if count > MAX_PACKAGES {
            return Err(ManifestError::TooMany { what: what.to_owned(), most: MAX_PACKAGES });
        }
    }
    let mut builder = Builder::default();
    for (index, entry) in file.packages.into_iter().enumerate() {
        let package = package(&mut builder, &format!("packages[{index}]"), entry)?;
        builder.packages.push(package);
    }
    let taken: BTreeSet<Name> =
        builder.packages.iter().map(|package| package.name.clone()).collect();
    for (index, entry) in file.definitions.into_iter().enumerate() {
        let definition = definition(&mut builder, &taken, &format!("definitions[{index}]"), entry)?;
        builder.definitions.push(definition);
    }
    builder.finish()
}

fn package(
    builder: &mut Builder,
    place: &str,
    entry: PackageEntry,
) -> Result<Package, ManifestError> {
    let own = name(&format!("{place}.name"), &entry.name)?;
    let place = format!("{place} ({own:?})");
    let mut depends_on = Vec::with_capacity(entry.depends_on.len());
    for (index, other) in entry.depends_on.iter().enumerate() {
        depends_on.push(name(&format!("{place}: depends_on[{index}]"), other)?);
    }
    Ok(Package {
        vcs: vcs(builder, &place, &own, entry.git)?,
        directory: optional(&format!("{place}: directory"), entry.directory)?,
        path: match entry.path {
            Some(path) => sub_path(&format!("{place}: path"), &path)?,
            None => None,
        },
        depends_on,
        override_key: own.clone(),
        name: own,
        repeats: None,
    })
}

fn definition(
    builder: &mut Builder,
    taken: &BTreeSet<Name>,
    place: &str,
    entry: DefinitionEntry,
) -> Result<DefinitionRepository, ManifestError> {
    let own = name(&format!("{place}.name"), &entry.name)?;
    let place = format!("{place} ({own:?})");
    if taken.contains(&own) {
        let expected = "a name that no package has, since overrides go by name";
        return Err(wrong(&place, expected, format!("{own:?}")));
    }
    Ok(DefinitionRepository {
        vcs: vcs(builder, &place, &own, entry.git)?,
        directory: optional(&format!("{place}: directory"), entry.directory)?,
        override_key: own.clone(),
        name: own,
        repeats: None,
    })
}

fn vcs(
    builder: &mut Builder,
    place: &str,
    own: &Name,
    git: Option<GitEntry>,
) -> Result<Vcs, ManifestError> {
    let Some(git) = git else {
        builder.note(|| format!("{own:?} has no `git`, so it is listed and not watched"));
        return Ok(Vcs::Other { kind: "none".to_owned(), url: None });
    };
    let url = line(&format!("{place}: git.url"), &masked(&git.url))?;
    let mut branch = match git.branch {
        Some(branch) => Some(name(&format!("{place}: git.branch"), &branch)?),
        None => None,
    };
    if let Some(change) = branch.take_if(|branch| is_change_ref(branch)) {
        builder.note(|| {
            format!("{own:?} is on {change}, the ref of a change; its default branch is tracked")
        });
        builder.change_refs.push((own.clone(), change.to_string()));
    }
    let commit = optional(&format!("{place}: git.commit"), git.commit)?;
    let tag = optional(&format!("{place}: git.tag"), git.tag)?;
    if commit.is_some() && tag.is_some() {
        builder.note(|| format!("{own:?} has a commit and a tag; the commit counts"));
    }
    Ok(Vcs::Git {
        url,
        branch: branch
            .map(|branch| branch.strip_prefix("refs/heads/").map_or(branch.clone(), Name::from)),
        pin: commit.map(Pin::Commit).or(tag.map(Pin::Tag)),
    })
}

fn optional(place: &str, text: Option<String>) -> Result<Option<String>, ManifestError> {
    text.map(|text| line(place, &text)).transpose()
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "$schema", default)]
    schema: Option<String>,
    version: u64,
    packages: Vec<PackageEntry>,
    #[serde(default)]
    definitions: Vec<DefinitionEntry>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PackageEntry {
    name: String,
    git: Option<GitEntry>,
    directory: Option<String>,
    path: Option<String>,
    #[serde(default)]
    depends_on: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DefinitionEntry {
    name: String,
    git: Option<GitEntry>,
    directory: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GitEntry {
    url: String,
    branch: Option<String>,
    commit: Option<String>,
    tag: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refused(value: Value) -> String {
        read(&value.to_string()).expect_err("refused").to_string()
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let text = json!({
            "version": 1,
            "packages": [
                {"name": "app", "git": {"url": "https://git.example.org/app.git",
                 "branch": "refs/heads/main"}, "depends_on": ["lib", "gone"], "directory": "src/app"},
                {"name": "lib", "git": {"url": "git@git.example.org:mono.git", "tag": "v1"},
                 "path": "libs/lib/"},
                {"name": "odd", "git": {"url": "/srv/odd", "branch": "refs/pull/3/head"}},
                {"name": "zip"}
            ],
            "definitions": [{"name": "defs", "git": {"url": "/srv/defs", "commit": "abc"}}]
        });
        let read = read(&text.to_string()).expect("a manifest");
        insta::assert_snapshot!("crosswatch_manifest", format!("{:#}", json!(read)));
    }

    #[test]
    fn errors_name_their_place() {
        let one = |package: Value| refused(json!({"version": 1, "packages": [package]}));
        insta::assert_snapshot!(
            "crosswatch_errors",
            [
                refused(json!({"version": 2, "packages": []})),
                refused(json!({"version": 1, "packages": []})),
                refused(json!({"version": 1, "packages": [], "definitions": [{"name": "a"}]})),
                refused(json!([])),
                one(json!({"name": ""})),
                one(json!({"name": "a", "nam": 1})),
                one(json!({"name": "a", "path": "../b"})),
                one(json!({"name": "a", "git": {"url": "a\nb"}})),
                one(json!({"name": "a", "git": {"branch": "main"}})),
                one(json!({"name": "a", "depends_on": ["b", ""]})),
                refused(json!({"version": 1, "packages": [{"name": "a"}, {"name": "a"}]})),
                refused(json!({"version": 1, "packages": [{"name": "a"}],
                    "definitions": [{"name": "a"}]})),
                super::read(r#"{"version":1,"version":1,"packages":[]}"#)
                    .expect_err("twice")
                    .to_string(),
            ]
            .join("\n")
        );
    }

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let schema: Value =
            serde_json::from_str(include_str!("../../../docs/manifest.schema.json")).expect("JSON");
        let git = || GitEntry { url: String::new(), branch: None, commit: None, tag: None };
        let file = serde_json::to_value(File {
            schema: None,
            version: 1,
            packages: vec![PackageEntry {
                name: String::new(),
                git: Some(git()),
                directory: None,
                path: None,
                depends_on: vec![],
            }],
            definitions: vec![DefinitionEntry {
                name: String::new(),
                git: Some(git()),
                directory: None,
            }],
        })
        .expect("JSON");
        let keys = |value: &Value| -> Vec<String> {
            let mut keys: Vec<String> =
                value.as_object().expect("an object").keys().cloned().collect();
            keys.sort();
            keys
        };
        for (ours, theirs) in [
            ("", "/properties"),
            ("/packages/0", "/$defs/package/properties"),
            ("/packages/0/git", "/$defs/git/properties"),
            ("/definitions/0", "/$defs/definition/properties"),
        ] {
            let ours_at = file.pointer(ours).expect("in the file");
            assert_eq!(
                keys(ours_at),
                keys(schema.pointer(theirs).expect("in the schema")),
                "{ours}"
            );
        }
    }
}
