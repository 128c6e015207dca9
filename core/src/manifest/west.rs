//! west: what `west manifest --resolve` prints. It no longer says which projects are imported from,
//! so the manifest files of the projects themselves are looked into beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use serde_yaml::Value;

use super::text::name;
use super::yaml::{self, Entry};
use super::{Builder, Input, MAX_PACKAGES, ManifestError, ReadManifest, origin};
use crate::model::identity::Name;
use crate::model::manifest::{DefinitionRepository, Package, Repeats, Vcs};

/// What an override must say again, since west takes the first definition of a project whole.
const REPEATED: [&str; 7] =
    ["path", "submodules", "west-commands", "clone-depth", "groups", "description", "userdata"];

pub(super) fn read(text: &str, input: &Input<'_>) -> Result<ReadManifest, ManifestError> {
    let value = yaml::document(text)?;
    let whole = Entry::whole(&value, "a west manifest with `manifest`")?;
    let Some(manifest) = whole.inner("manifest")? else {
        return Err(super::text::wrong("the file", "`manifest`", "other keys".to_owned()));
    };
    let bases = Bases::of(&manifest)?;
    let disabled = disabled_groups(&manifest, input)?;
    let projects = manifest.list("projects")?;
    if projects.len() > MAX_PACKAGES {
        return Err(ManifestError::TooMany { what: "projects".into(), most: MAX_PACKAGES });
    }
    let beside = Beside::of(input);
    let mut builder = Builder::default();
    let mut unresolved = manifest.inner("self")?.is_some_and(|own| own.get("import").is_some());
    for entry in projects {
        unresolved |= entry.get("import").is_some();
        project(&mut builder, input, entry, &bases, &disabled, &beside)?;
    }
    if unresolved {
        builder.note(|| {
            "it has imports, which are not followed; export it with `west manifest --resolve`"
                .to_owned()
        });
    }
    builder.finish()
}

fn project(
    builder: &mut Builder,
    input: &Input<'_>,
    mut entry: Entry<'_>,
    bases: &Bases,
    disabled: &BTreeSet<String>,
    beside: &Beside,
) -> Result<(), ManifestError> {
    let expected = || super::text::wrong(&entry.place, "a project with `name`", "none".to_owned());
    let text = entry.text("name")?.ok_or_else(expected)?;
    let own = name(&format!("{}: name", entry.place), &text)?;
    entry.place = format!("{} ({own:?})", entry.place);
    let groups = entry.texts("groups")?;
    if !groups.is_empty() && groups.iter().all(|group| disabled.contains(group)) {
        builder.note(|| format!("project {own:?} is in disabled groups, so it is left out"));
        return Ok(());
    }
    let url = origin::absolute(&entry.place, &bases.url(&entry, &text)?, input.source)?;
    let revision = entry.text("revision")?.or_else(|| bases.revision.clone());
    let revision = revision.as_deref().unwrap_or("master");
    let vcs = origin::git(builder, &entry.place, &own, url.clone(), Some(revision))?;
    let path = entry.text("path")?.unwrap_or_else(|| text.clone());
    let path = origin::folder(&format!("{}: path", entry.place), &path)?;
    let import = entry.get("import").and_then(json).filter(|import| *import != Json::Bool(false));
    let import = import.or_else(|| beside.imports.get(&text).cloned());
    let mut repeats = Repeats::from([("url".to_owned(), url.into())]);
    for key in REPEATED {
        if let Some(value) = entry.get(key).and_then(json) {
            repeats.insert(key.to_owned(), value);
        }
    }
    repeats.insert("path".to_owned(), path.clone().into());
    repeats.extend(import.iter().map(|import| ("import".to_owned(), import.clone())));
    let repeats = Some(Arc::new(repeats));
    if import.is_some() {
        builder.definitions.push(definition(&own, &vcs, &path, repeats.clone()));
    }
    builder.packages.push(Package {
        depends_on: beside.imported_by(&path, import.as_ref(), &own),
        vcs,
        directory: Some(path),
        path: None,
        override_key: own.clone(),
        name: own,
        repeats,
    });
    Ok(())
}

fn definition(
    own: &Name,
    vcs: &Vcs,
    path: &str,
    repeats: Option<Arc<Repeats>>,
) -> DefinitionRepository {
    DefinitionRepository {
        name: own.clone(),
        vcs: vcs.clone(),
        directory: Some(path.to_owned()),
        override_key: own.clone(),
        repeats,
    }
}

/// What projects leave out.
struct Bases {
    remotes: BTreeMap<String, String>,
    remote: Option<String>,
    revision: Option<String>,
}

impl Bases {
    fn of(manifest: &Entry<'_>) -> Result<Self, ManifestError> {
        let mut remotes = BTreeMap::new();
        for remote in manifest.list("remotes")? {
            if let (Some(name), Some(base)) = (remote.text("name")?, remote.text("url-base")?) {
                remotes.insert(name, base);
            }
        }
        let defaults = manifest.inner("defaults")?;
        let default = |key| defaults.as_ref().map_or(Ok(None), |defaults| defaults.text(key));
        Ok(Self { remotes, remote: default("remote")?, revision: default("revision")? })
    }

    fn url(&self, entry: &Entry<'_>, name: &str) -> Result<String, ManifestError> {
        if let Some(url) = entry.text("url")? {
            return Ok(url);
        }
        let remote = entry.text("remote")?.or_else(|| self.remote.clone());
        let base = remote.as_ref().and_then(|remote| self.remotes.get(remote));
        let Some(base) = base else {
            let found = remote.unwrap_or_else(|| "none".to_owned());
            let expected = "a `url`, or a `remote` of the manifest";
            return Err(super::text::wrong(&entry.place, expected, found));
        };
        let path = entry.text("repo-path")?.unwrap_or_else(|| name.to_owned());
        Ok(format!("{}/{path}", base.trim_end_matches('/')))
    }
}

/// Groups that the manifest's filter disables, and the workspace's own in `.west/config`.
fn disabled_groups(
    manifest: &Entry<'_>,
    input: &Input<'_>,
) -> Result<BTreeSet<String>, ManifestError> {
    let mut filter = manifest.texts("group-filter")?;
    let config = input.files.iter().find(|(path, _)| path == ".west/config");
    let config = config.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    let mut section = String::new();
    for line in config.unwrap_or_default().lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.to_owned();
        } else if let Some((key, value)) = line.split_once('=')
            && section == "[manifest]"
            && key.trim() == "group-filter"
        {
            filter.extend(value.split(',').map(|group| group.trim().to_owned()));
        }
    }
    let mut disabled = BTreeSet::new();
    for item in &filter {
        if let Some(group) = item.strip_prefix('-') {
            disabled.insert(group.to_owned());
        } else {
            disabled.remove(item.strip_prefix('+').unwrap_or(item));
        }
    }
    Ok(disabled)
}

/// What manifest files beside the resolved one say.
#[derive(Default)]
struct Beside {
    /// `import` of a project that has one.
    imports: BTreeMap<String, Json>,
    /// Projects that each file lists, by its path in the workspace.
    lists: BTreeMap<String, Vec<Name>>,
}

impl Beside {
    /// Files that are no manifests are passed over: they belong to the projects.
    fn of(input: &Input<'_>) -> Self {
        let mut beside = Self::default();
        for (path, bytes) in input.files {
            let Ok(Ok(value)) = std::str::from_utf8(bytes).map(yaml::document) else { continue };
            let Ok(Ok(Some(manifest))) =
                Entry::whole(&value, "").map(|whole| whole.inner("manifest"))
            else {
                continue;
            };
            let mut names = Vec::new();
            for entry in manifest.list("projects").unwrap_or_default() {
                let Ok(Some(text)) = entry.text("name") else { continue };
                let import = entry.get("import").and_then(json);
                if let Some(import) = import.filter(|import| *import != Json::Bool(false)) {
                    beside.imports.entry(text.clone()).or_insert(import);
                }
                names.extend(name("", &text).ok());
            }
            beside.lists.insert(path.clone(), names);
        }
        beside
    }

    /// What the project in `path` brings in by `import`: it is built on those.
    fn imported_by(&self, path: &str, import: Option<&Json>, own: &Name) -> Vec<Name> {
        let text = |file: &Json| file.as_str().map(str::to_owned);
        let files: Vec<String> = match import {
            None => return Vec::new(),
            Some(Json::String(file)) => vec![file.clone()],
            Some(Json::Array(files)) => files.iter().filter_map(text).collect(),
            Some(Json::Object(map)) => {
                vec![map.get("file").and_then(text).unwrap_or_else(|| "west.yml".to_owned())]
            }
            Some(_) => vec!["west.yml".to_owned()],
        };
        let mut names: Vec<Name> = files
            .iter()
            .filter_map(|file| self.lists.get(&format!("{path}/{file}")))
            .flatten()
            .filter(|name| *name != own)
            .cloned()
            .collect();
        // Others of the resolved manifest may leave some of them out.
        names.sort();
        names.dedup();
        names
    }
}

fn json(value: &Value) -> Option<Json> {
    serde_json::to_value(value).ok().filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::Pin;

    const RESOLVED: &str = "
manifest:
  group-filter: [-optional]
  projects:
  - name: zephyr
    url: https://h/zephyr
    revision: main
    west-commands: scripts/west-commands.yml
  - name: hal
    url: https://h/hal
    revision: 0123456789abcdef0123456789abcdef01234567
    path: modules/hal
    submodules: true
    groups: [hal]
  - name: tagged
    url: https://h/tagged
    revision: refs/tags/v1
  - name: leaked
    url: https://h/leaked
    revision: pull/12/head
  - name: off
    url: https://h/off
    revision: main
    groups: [optional]
  - name: local
    url: https://h/local
    revision: main
    groups: [mine]
  self: {path: conf}
";

    fn files() -> Vec<(String, Vec<u8>)> {
        let west = |text: &str| format!("manifest: {{projects: [{text}]}}").into_bytes();
        vec![
            (
                ".west/config".to_owned(),
                b"[manifest]\npath = conf\ngroup-filter = -mine\n".to_vec(),
            ),
            (
                "conf/west.yml".to_owned(),
                west("{name: zephyr, remote: r, import: {name-allowlist: [hal]}}"),
            ),
            ("zephyr/west.yml".to_owned(), west("{name: hal}, {name: gone}")),
            ("other/west.yml".to_owned(), b"\xff".to_vec()),
        ]
    }

    #[test]
    fn a_resolved_manifest_is_read_with_what_the_tool_left_out() {
        let files = files();
        let input = Input { files: &files, ..Input::default() };
        let read = read(RESOLVED, &input).expect("a manifest");
        let names: Vec<&str> = read.manifest.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["hal", "leaked", "tagged", "zephyr"]);
        let hal = read.manifest.package("hal").expect("hal");
        assert_eq!(hal.directory.as_deref(), Some("modules/hal"));
        assert!(hal.vcs.pinned());
        assert_eq!(hal.repeats.as_ref().expect("some")["submodules"], Json::Bool(true));
        let zephyr = read.manifest.package("zephyr").expect("zephyr");
        assert_eq!(zephyr.depends_on, [Name::from("hal")]);
        let repeated = serde_json::to_string(zephyr.repeats.as_ref().expect("some"));
        insta::assert_snapshot!(repeated.expect("JSON"), @r#"{"import":{"name-allowlist":["hal"]},"path":"zephyr","url":"https://h/zephyr","west-commands":"scripts/west-commands.yml"}"#);
        assert_eq!(read.manifest.definitions.len(), 1);
        assert_eq!(read.manifest.definitions[0].name, "zephyr".into());
        let tagged = &read.manifest.package("tagged").expect("tagged").vcs;
        assert!(matches!(tagged, Vcs::Git { pin: Some(Pin::Tag(tag)), .. } if tag == "v1"));
        assert_eq!(read.change_refs, [("leaked".into(), "pull/12/head".to_owned())]);
    }

    #[test]
    fn an_unresolved_manifest_is_read_as_far_as_it_goes() {
        let text = "manifest:
  remotes: [{name: up, url-base: ../}]
  defaults: {remote: up, revision: dev}
  projects: [{name: a, repo-path: a.git}, {name: b, url: '../b', revision: 1, import: true}]
";
        let input = Input { source: Some("https://h/g/conf.git"), ..Input::default() };
        let read = read(text, &input).expect("a manifest");
        let a = read.manifest.package("a").expect("a");
        assert_eq!(a.vcs.git_url(), Some("https://h/g/a.git"));
        assert!(read.notes.iter().any(|note| note.contains("--resolve")), "{:?}", read.notes);
        assert_eq!(read.manifest.definitions.len(), 1);
    }

    #[test]
    fn errors_name_their_place() {
        for (text, said) in [
            ("a: b", "the file: expected `manifest`"),
            ("manifest: {projects: {}}", "the file: manifest: projects: expected a list"),
            ("manifest: {projects: [{url: x}]}", "projects[0]: expected a project with `name`"),
            ("manifest: {projects: [{name: a}]}", "projects[0] (\"a\"): expected a `url`"),
            ("manifest: {projects: [{name: a, url: x, path: ../b}]}", "a folder inside"),
            ("manifest: {projects: [{name: a, url: x, revision: 1.10}]}", "so in quotes"),
            ("manifest: {projects: []}", "lists no packages"),
            ("manifest:\n\tx", "line 2 column 1"),
        ] {
            let error = read(text, &Input::default()).expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
