//! kas: what `kas dump` prints, YAML or JSON, with the repositories of all included files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::text::{line, name};
use super::yaml::{self, Entry};
use super::{Builder, Input, ManifestError, ReadManifest, origin};
use crate::model::identity::Name;
use crate::model::manifest::{DefinitionRepository, Package, Pin, Repeats, Vcs, is_change_ref};

pub(super) fn read(text: &str, input: &Input<'_>) -> Result<ReadManifest, ManifestError> {
    let value = yaml::document(text)?;
    let whole = Entry::whole(&value, "a kas configuration with `repos`")?;
    let defaults = match whole.inner("defaults")? {
        Some(defaults) => defaults.inner("repos")?,
        None => None,
    };
    let overridden: BTreeMap<String, Option<Entry<'_>>> = match whole.inner("overrides")? {
        Some(overrides) => overrides.named("repos")?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    let including = including(input);
    let mut builder = Builder::default();
    for (key, entry) in whole.named("repos")? {
        // Without an entry or an address it is the repository that the file itself lies in.
        let Some(entry) = entry else { continue };
        let Some(url) = entry.line("url")? else { continue };
        let own = name(&format!("{}: name", entry.place), &key)?;
        let url = origin::absolute(&format!("{}: url", entry.place), &url, input.source)?;
        let path = entry.line("path")?.unwrap_or_else(|| key.clone());
        let over = overridden.get(&key).and_then(Option::as_ref);
        let vcs = vcs(&mut builder, &own, &entry, defaults.as_ref(), over, &url)?;
        let repeats = vcs
            .git_url()
            .map(|_| Arc::new(Repeats::from([("url".to_owned(), url.clone().into())])));
        if including.contains(&key) {
            builder.definitions.push(DefinitionRepository {
                name: own.clone(),
                vcs: vcs.clone(),
                directory: Some(path.clone()),
                override_key: own.clone(),
                repeats: repeats.clone(),
            });
        }
        builder.packages.push(Package {
            vcs,
            directory: Some(path),
            path: None,
            depends_on: Vec::new(),
            override_key: own.clone(),
            name: own,
            repeats,
        });
    }
    builder.finish()
}

fn vcs(
    builder: &mut Builder,
    own: &Name,
    entry: &Entry<'_>,
    defaults: Option<&Entry<'_>>,
    over: Option<&Entry<'_>>,
    url: &str,
) -> Result<Vcs, ManifestError> {
    if let Some(kind) = entry.line("type")?.filter(|kind| kind != "git") {
        builder.note(|| format!("{own:?} comes from {kind:?}, not from git: not watched"));
        return Ok(Vcs::Other { kind, url: Some(url.to_owned()) });
    }
    // An explicit null takes a default away.
    let inherited = |key: &str| match (entry.map.contains_key(key), defaults) {
        (false, Some(defaults)) => defaults.line(key),
        _ => entry.line(key),
    };
    let (mut commit, tag) = (entry.line("commit")?, inherited("tag")?);
    let mut branch = inherited("branch")?;
    if let (None, None, None) = (&branch, &commit, &tag)
        && let Some(text) = inherited("refspec")?
    {
        return origin::git(builder, &entry.place, own, url.to_owned(), Some(&text));
    }
    if let Some(over) = over {
        if over.map.contains_key("commit") {
            commit = over.line("commit")?;
        }
        match over.line("branch")? {
            // The configuration's own branch is still known.
            Some(text) if is_change_ref(&text) => {
                origin::leaked(builder, own, text);
                let pin = commit.map(Pin::Commit).or(tag.map(Pin::Tag));
                let branch = branch.map(|text| short(&entry.place, &text)).transpose()?;
                return Ok(Vcs::Git { url: url.to_owned(), branch, pin });
            }
            Some(text) => branch = Some(text),
            None => {}
        }
    }
    let vcs = origin::git(builder, &entry.place, own, url.to_owned(), branch.as_deref())?;
    Ok(match (vcs, commit.map(Pin::Commit).or(tag.map(Pin::Tag))) {
        (Vcs::Git { url, branch, .. }, Some(pin)) => Vcs::Git { url, branch, pin: Some(pin) },
        (vcs, _) => vcs,
    })
}

fn short(place: &str, branch: &str) -> Result<Name, ManifestError> {
    let branch = line(&format!("{place}: branch"), branch)?;
    name(&format!("{place}: branch"), branch.strip_prefix("refs/heads/").unwrap_or(&branch))
}

/// Repositories that some configuration includes a file from: they decide what there is. The dump
/// itself no longer says it.
fn including(input: &Input<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, bytes) in input.files {
        let Ok(Ok(value)) = std::str::from_utf8(bytes).map(yaml::document) else { continue };
        let header = Entry::whole(&value, "").and_then(|whole| whole.inner("header"));
        let Ok(Some(header)) = header else { continue };
        let Some(serde_yaml::Value::Sequence(includes)) = header.get("includes") else { continue };
        for include in includes {
            let Ok(include) = Entry::of(include, String::new(), "") else { continue };
            if let Ok(Some(repository)) = include.text("repo") {
                names.insert(repository);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "
header: {version: 14}
machine: qemu
defaults: {repos: {branch: kirkstone}}
repos:
  product:
  here: {path: meta}
  core: {url: 'https://h/core.git', path: layers/core, layers: {meta: }}
  pinned: {url: 'https://h/pinned.git', commit: 0123456789abcdef0123456789abcdef01234567}
  tagged: {url: 'https://h/tagged.git', branch: , tag: v1.0}
  over: {url: 'https://h/over.git', branch: main, commit: 0123456789abcdef0123456789abcdef01234567}
  hg: {url: 'https://h/hg', type: hg}
overrides: {repos: {over: {branch: refs/pull/3/head, commit: }}}
";

    #[test]
    fn a_dump_is_read_with_its_defaults_and_overrides() {
        let include =
            b"header: {version: 14, includes: [a.yml, {repo: core, file: b.yml}]}".to_vec();
        let files = [("x.yml".to_owned(), include), ("broken.yml".to_owned(), b"{".to_vec())];
        let input = Input { files: &files, ..Input::default() };
        let read = read(DUMP, &input).expect("a manifest");
        let shown: Vec<String> = read
            .manifest
            .packages
            .iter()
            .map(|package| match &package.vcs {
                Vcs::Git { branch, pin, .. } => format!("{} {branch:?} {pin:?}", package.name),
                Vcs::Other { kind, .. } => format!("{} {kind}", package.name),
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        core Some("kirkstone") None
        hg hg
        over Some("main") None
        pinned Some("kirkstone") Some(Commit("0123456789abcdef0123456789abcdef01234567"))
        tagged None Some(Tag("v1.0"))
        "#);
        assert_eq!(read.manifest.definitions.len(), 1);
        assert_eq!(read.manifest.definitions[0].directory.as_deref(), Some("layers/core"));
        assert_eq!(read.change_refs, [("over".into(), "refs/pull/3/head".to_owned())]);
        let json = r#"{"repos": {"a": {"url": "../a.git", "branch": "main"}}}"#;
        let input = Input { source: Some("https://h/g/conf"), ..Input::default() };
        let a = &super::read(json, &input).expect("JSON").manifest.packages[0];
        assert_eq!(a.vcs.git_url(), Some("https://h/g/a.git"));
    }

    #[test]
    fn errors_name_their_place() {
        for (text, said) in [
            ("repos: [a]", "the file: repos: expected a mapping"),
            ("repos: {a: x}", "the file: repos: \"a\": expected a mapping, found \"x\""),
            ("repos: {a: {url: [b]}}", "repos: \"a\": url: expected a text"),
            ("repos: {a: }", "lists no packages"),
            ("a: *b", "line 1 column 4"),
        ] {
            let error = read(text, &Input::default()).expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
