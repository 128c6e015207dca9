//! git submodules, as `git config -f .gitmodules --list -z` prints them: git's own parser read the
//! file, so only `KEY newline VALUE NUL` is left to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{name, quoted, wrong};
use super::{Builder, Input, MAX_PACKAGES, ManifestError, ReadManifest, origin};
use crate::model::identity::Name;
use crate::model::manifest::{Package, Repeats, Vcs};

pub(super) fn read(text: &str, input: &Input<'_>) -> Result<ReadManifest, ManifestError> {
    if !text.contains('\0') {
        let expected = "what `git config -f .gitmodules --list -z` prints";
        return Err(wrong("the text", expected, quoted(text)));
    }
    let mut modules: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for entry in text.split('\0').filter(|entry| !entry.is_empty()) {
        // A key alone means "true"; none of those that count here is of that kind.
        let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
        let Some(rest) = key.strip_prefix("submodule.") else { continue };
        let Some((module, field)) = rest.rsplit_once('.') else { continue };
        // git takes the last one of several.
        modules.entry(module).or_default().insert(field, value);
        if modules.len() > MAX_PACKAGES {
            return Err(ManifestError::TooMany { what: "submodules".into(), most: MAX_PACKAGES });
        }
    }
    let mut builder = Builder::default();
    for (module, fields) in modules {
        let place = format!("submodule {}", quoted(module));
        let get = |field: &str| fields.get(field).copied().filter(|value| !value.is_empty());
        let Some(path) = get("path") else {
            builder.note(|| format!("{place} has no path, so git ignores it"));
            continue;
        };
        let path = origin::folder(&format!("{place}: path"), path)?;
        let own = name(&format!("{place}: path"), &path)?;
        let vcs = vcs(&mut builder, input, &place, &own, &get)?;
        let repeats = Repeats::from([("path".to_owned(), path.clone().into())]);
        builder.packages.push(Package {
            repeats: vcs.git_url().is_some().then(|| Arc::new(repeats)),
            vcs,
            directory: Some(path),
            path: None,
            depends_on: Vec::new(),
            override_key: own.clone(),
            name: own,
        });
    }
    builder.finish()
}

fn vcs<'a>(
    builder: &mut Builder,
    input: &Input<'_>,
    place: &str,
    own: &Name,
    get: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Vcs, ManifestError> {
    let Some(url) = get("url") else {
        builder.note(|| format!("{place} has no url: not watched"));
        return Ok(Vcs::Other { kind: "none".to_owned(), url: None });
    };
    let url = origin::absolute(&format!("{place}: url"), url, input.source)?;
    if get("update") == Some("none") {
        builder.note(|| format!("{place} says `update = none`: not watched"));
        return Ok(Vcs::Other { kind: "none".to_owned(), url: Some(url) });
    }
    // A dot means the branch that the repository around it is on.
    let branch = match get("branch") {
        Some(".") => input.source_branch,
        branch => branch,
    };
    origin::git(builder, place, own, url, branch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::Pin;

    fn input(source: &str) -> Input<'_> {
        Input { source: Some(source), source_branch: Some("release"), ..Input::default() }
    }

    #[test]
    fn submodules_are_packages_by_their_path() {
        let text = "submodule.a.b.path\nlibs/a\0submodule.a.b.url\n../a.git\0submodule.a.b.branch\n.\0\
                    submodule.c.path\nold\0submodule.c.path\nc\0submodule.c.url\nhttps://o/c\0\
                    submodule.c.branch\nrefs/tags/v1\0core.bare\nfalse\0submodule.d.path\nd\0\
                    submodule.d.url\nhttps://o/d\0submodule.d.update\nnone\0submodule.e.url\nx\0";
        let read = read(text, &input("https://h/g/super.git")).expect("a manifest");
        let [c, d, a] = read.manifest.packages.as_slice() else { panic!("three: {read:?}") };
        assert_eq!((a.name.as_str(), a.directory.as_deref()), ("libs/a", Some("libs/a")));
        assert_eq!(
            a.vcs,
            Vcs::Git {
                url: "https://h/g/a.git".to_owned(),
                branch: Some("release".into()),
                pin: None
            }
        );
        assert!(matches!(&c.vcs, Vcs::Git { pin: Some(Pin::Tag(tag)), .. } if tag == "v1"));
        assert_eq!(c.name, "c".into());
        assert!(matches!(d.vcs, Vcs::Other { .. }) && d.repeats.is_none());
        assert_eq!(read.notes.len(), 2, "{:?}", read.notes);
    }

    #[test]
    fn errors_name_their_place() {
        for (text, said) in [
            ("[submodule \"a\"]\n", "git config -f .gitmodules"),
            ("submodule.a.path\n../up\0", "submodule \"a\": path: expected a folder inside"),
            ("submodule.a.path\na\0submodule.a.url\n../../../../x\0", "below its server"),
            ("core.bare\ntrue\0", "lists no packages"),
        ] {
            let error = read(text, &input("https://h/g/s")).expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
