//! autoproj's installation manifest: a YAML list of package sets and packages, as every version
//! since 2.0 writes it.

use serde_yaml::Value;

use super::text::{name, wrong};
use super::yaml::{self, Entry, found, untag};
use super::{Builder, MAX_PACKAGES, ManifestError, ReadManifest};
use crate::model::identity::Name;
use crate::model::manifest::{DefinitionRepository, Package, Pin, Vcs, is_change_ref};

pub(super) fn read(text: &str) -> Result<ReadManifest, ManifestError> {
    if looks_like_csv(text) {
        return Err(ManifestError::Csv);
    }
    let value = yaml::document(text)?;
    let entries = match untag(&value) {
        Value::Sequence(entries) => entries,
        Value::Null => return Err(ManifestError::Empty),
        other => return Err(wrong("the file", "a list of packages", found(other))),
    };
    if entries.len() > 2 * MAX_PACKAGES {
        return Err(ManifestError::TooMany { what: "packages".to_owned(), most: MAX_PACKAGES });
    }
    let mut builder = Builder::default();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("entry {}", index + 1);
        let Value::Mapping(map) = untag(entry) else {
            return Err(wrong(&place, "a package with `name` and `vcs`", found(entry)));
        };
        let entry = Entry { map, place };
        if entry.get("package_set").is_some() {
            entry.package_set(&mut builder)?;
        } else {
            entry.package(&mut builder)?;
        }
    }
    builder.finish()
}

impl<'a> Entry<'a> {
    fn package(mut self, builder: &mut Builder) -> Result<(), ManifestError> {
        let text = self
            .text("name")?
            .ok_or_else(|| wrong(&self.place, "a package with `name`", "none".to_owned()))?;
        let own = name(&format!("{}: name", self.place), &text)?;
        self.place = format!("{} ({own:?})", self.place);
        let source = self.line("srcdir")?;
        let import = self.line("importdir")?;
        let path = match (&source, &import) {
            (Some(source), Some(import)) => source
                .strip_prefix(import.trim_end_matches('/'))
                .and_then(|rest| rest.strip_prefix('/'))
                .map(|rest| rest.trim_matches('/').to_owned())
                .filter(|rest| !rest.is_empty() && !rest.split('/').any(|part| part == "..")),
            _ => None,
        };
        let (vcs, _) = self.vcs(builder, &own, &own)?;
        let package = Package {
            vcs,
            directory: import.or(source),
            path,
            depends_on: self.names("dependencies")?,
            override_key: own.clone(),
            name: own,
            repeats: None,
        };
        builder.packages.push(package);
        Ok(())
    }

    fn package_set(mut self, builder: &mut Builder) -> Result<(), ManifestError> {
        // Older files name the set only in `package_set`.
        let text = match self.text("name")? {
            Some(text) => text,
            None => self.text("package_set")?.ok_or_else(|| {
                wrong(&self.place, "a package set with `name`", "none".to_owned())
            })?,
        };
        let own = name(&format!("{}: name", self.place), &text)?;
        self.place = format!("{} ({own:?})", self.place);
        let key = self.override_key(&own)?;
        let (vcs, local) = self.vcs(builder, &own, &key)?;
        let directory = match self.line("raw_local_dir")? {
            Some(directory) => Some(directory),
            None if local => vcs.url().map(str::to_owned),
            None => self.line("user_local_dir")?,
        };
        let definition =
            DefinitionRepository { name: own, vcs, directory, override_key: key, repeats: None };
        builder.definitions.push(definition);
        Ok(())
    }

    /// `pkg_set:` and the importer's repository id.
    fn override_key(&self, own: &Name) -> Result<Name, ManifestError> {
        let Some(vcs) = self.vcs_entry()? else {
            return Ok(format!("pkg_set:{own}").into());
        };
        let id = match (vcs.line("repository_id")?, vcs.line("url")?) {
            (Some(id), _) => id,
            (None, Some(url)) => {
                let kind = vcs.line("type")?.unwrap_or_else(|| "git".to_owned());
                let kind = if kind == "none" { "local" } else { kind.trim_start_matches(':') };
                format!("{kind}:{url}")
            }
            (None, None) => own.to_string(),
        };
        Ok(format!("pkg_set:{id}").into())
    }

    /// Where it comes from, and whether that is a folder of the workspace itself.
    fn vcs(
        &self,
        builder: &mut Builder,
        own: &Name,
        key: &Name,
    ) -> Result<(Vcs, bool), ManifestError> {
        let Some(vcs) = self.vcs_entry()? else {
            builder.note(|| format!("{own:?} has no version control, so it is not watched"));
            return Ok((Vcs::Other { kind: "none".to_owned(), url: None }, false));
        };
        let kind = vcs.line("type")?;
        let kind = kind.as_deref().map_or("none", |kind| kind.trim_start_matches(':'));
        let url = vcs.line("url")?;
        let (true, Some(url)) = (kind == "git", url.clone()) else {
            builder.note(|| format!("{own:?} comes from {kind:?}, not from git: not watched"));
            return Ok((Vcs::Other { kind: kind.to_owned(), url }, kind == "local"));
        };
        let mut branch = None;
        let mut change = None;
        for field in ["remote_branch", "branch"] {
            let Some(text) = vcs.line(field)? else { continue };
            if is_change_ref(&text) {
                change = change.or(Some(text));
            } else {
                let text = text.strip_prefix("refs/heads/").unwrap_or(&text);
                branch = Some(name(&format!("{}: {field}", vcs.place), text)?);
                break;
            }
        }
        if let Some(change) = change {
            let tracked = branch.as_deref().unwrap_or("the default branch");
            builder.note(|| format!(
                "{own:?} is on {change}, the ref of a change, as after an update with overrides; \
                 {tracked} is tracked"
            ));
            builder.change_refs.push((key.clone(), change));
        }
        let (commit, tag) = (vcs.line("commit")?, vcs.line("tag")?);
        if commit.is_some() && tag.is_some() {
            builder.note(|| format!("{own:?} has a commit and a tag; the commit counts"));
        }
        let pin = commit.map(Pin::Commit).or(tag.map(Pin::Tag));
        Ok((Vcs::Git { url, branch, pin }, false))
    }

    fn vcs_entry(&self) -> Result<Option<Entry<'a>>, ManifestError> {
        match self.get("vcs") {
            None => Ok(None),
            Some(Value::Mapping(map)) => {
                Ok(Some(Entry { map, place: format!("{}: vcs", self.place) }))
            }
            Some(other) => {
                Err(wrong(&format!("{}: vcs", self.place), "`type`, `url` and more", found(other)))
            }
        }
    }
}

/// Lines of `name,srcdir,prefix,builddir`.
fn looks_like_csv(text: &str) -> bool {
    text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let first = fields.first().copied().unwrap_or_default();
        (3..=5).contains(&fields.len())
            && fields.get(1).is_some_and(|path| path.starts_with('/'))
            && !first.is_empty()
            && !first.contains([':', '[', '{', ' ', '"', '#'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read(text).expect_err("refused").to_string()
    }

    #[test]
    fn real_files_are_read() {
        let github = read(include_str!("fixtures/autoproj-2.18-github.yml")).expect("a manifest");
        insta::assert_snapshot!("autoproj_github", format!("{:#}", serde_json::json!(github)));
        let local = read(include_str!("fixtures/autoproj-2.18-local.yml")).expect("a manifest");
        insta::assert_snapshot!("autoproj_local", format!("{:#}", serde_json::json!(local)));
    }

    #[test]
    fn older_and_hand_written_files_are_read() {
        let old = read(
            "---
- package_set: old.set
  vcs: {type: git, url: 'https://gitlab.com/a/b.git'}
  raw_local_dir: /ws/remotes/b
- package_set: here
  vcs: {':type': local, ':url': /ws/autoproj/here}
- name: plain
  prefix: /ws/install
- name: overridden
  vcs:
    :type: :git
    :url: /srv/x
    :branch: master
    :remote_branch: refs/pull/4/merge
  srcdir: /ws/x/sub/dir
  importdir: /ws/x
  dependencies: [plain, absent]
- name: follows
  vcs: {type: git, url: /srv/y, branch: refs/heads/7, tag: 12, commit: ~}
- name: both
  vcs: {type: git, url: /srv/y, remote_branch: new, branch: old, tag: t, commit: c}
- name: archived
  vcs: {type: archive, url: 'https://example.org/a.tar.gz'}
",
        )
        .expect("a manifest");
        insta::assert_snapshot!("autoproj_old", format!("{:#}", serde_json::json!(old)));
    }

    #[test]
    fn errors_name_their_place() {
        assert_eq!(read("--- []\n"), Err(ManifestError::NoPackages));
        assert_eq!(read("---\n"), Err(ManifestError::Empty));
        assert_eq!(
            read("base/cmake,/ws/base/cmake,/ws/install,/ws/base/cmake/build\n"),
            Err(ManifestError::Csv)
        );
        insta::assert_snapshot!(
            "autoproj_errors",
            [
                refused("a: b"),
                refused("- package_set: x\n  vcs: {type: git, url: /x}"),
                refused("- 1"),
                refused("- name: [a]"),
                refused("- srcdir: /x"),
                refused("- name: a\n  vcs: git"),
                refused("- name: a\n  vcs: {type: git, url: {}}"),
                refused("- name: a\n  vcs: {type: git, url: /x, branch: 1.10}"),
                refused("- name: a\n  name: b"),
                refused("- name: a\n- name: a"),
                refused("- name: a\n  dependencies: x"),
                refused("- name: \"a\\nb\""),
                refused("- name: a\n   vcs: x: y"),
                refused("--- []\n--- []\n"),
            ]
            .join("\n")
        );
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut bomb = "- &a0 {name: x}\n".to_owned();
        for level in 1..30 {
            let before = level - 1;
            bomb.push_str(&format!(
                "- &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n"
            ));
        }
        assert!(read(&bomb).is_err());
    }
}
