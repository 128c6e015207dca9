//! repo: its XML, as `repo manifest` prints it or as it lies in the manifest repository.
//!
//! Included files are looked up among the further files; local manifests among them are read last,
//! as repo itself does. `remove-project` and `extend-project` act on what stands before them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::text::{line, name, quoted, wrong};
use super::xml::Element;
use super::{Builder, Input, MAX_PACKAGES, ManifestError, ReadManifest, origin};
use crate::model::identity::Name;
use crate::model::manifest::{Package, Repeats, Vcs};

/// Files that one manifest may include, and how deep.
const MAX_FILES: usize = 200;
const MAX_INCLUDES: usize = 16;

pub(super) fn read(text: &str, input: &Input<'_>) -> Result<ReadManifest, ManifestError> {
    let mut nodes = Vec::new();
    let mut gathering = Gathering { input, nodes: &mut nodes, files: 0 };
    gathering.file("", text, &Inherited::default(), 0)?;
    let mut local: Vec<&(String, Vec<u8>)> = input
        .files
        .iter()
        .filter(|(path, _)| path.starts_with(".repo/local_manifests/") && path.ends_with(".xml"))
        .collect();
    local.sort();
    for (path, bytes) in local {
        gathering.file(path, super::text::checked(bytes)?, &Inherited::default(), 0)?;
    }
    let mut manifest = Read::default();
    let mut builder = Builder::default();
    for node in &nodes {
        manifest.remote(node)?;
    }
    for node in &nodes {
        manifest.project_like(&mut builder, node)?;
    }
    manifest.finish(builder, input)
}

/// What an include gives to all projects of the file that it includes.
#[derive(Clone, Default)]
struct Inherited {
    groups: Vec<String>,
    revision: Option<String>,
}

/// One element, with its file for errors.
struct Node {
    file: String,
    element: Element,
    inherited: Inherited,
}

impl Node {
    fn place(&self) -> String {
        format!("{}{}", self.file, self.element.place())
    }

    fn needed(&self, attribute: &str) -> Result<String, ManifestError> {
        needed(&self.element, &self.place(), attribute)
    }
}

fn needed(element: &Element, place: &str, attribute: &str) -> Result<String, ManifestError> {
    let value = element
        .attribute(attribute)
        .ok_or_else(|| wrong(place, &format!("the attribute `{attribute}`"), "none".to_owned()))?;
    line(&format!("{place} {attribute}"), value)
}

/// Puts the elements of a file and of those that it includes in their order.
struct Gathering<'a, 'n> {
    input: &'a Input<'a>,
    nodes: &'n mut Vec<Node>,
    files: usize,
}

impl Gathering<'_, '_> {
    fn file(
        &mut self,
        file: &str,
        text: &str,
        inherited: &Inherited,
        depth: usize,
    ) -> Result<(), ManifestError> {
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(ManifestError::TooMany { what: "included files".into(), most: MAX_FILES });
        }
        let prefix = if file.is_empty() { String::new() } else { format!("{file}: ") };
        let root = Element::parse(text).map_err(|error| match error {
            ManifestError::Syntax { message } => {
                ManifestError::Syntax { message: format!("{prefix}{message}") }
            }
            other => other,
        })?;
        if root.name != "manifest" {
            let place = format!("{prefix}{}", root.place());
            return Err(wrong(&place, "<manifest>", format!("<{}>", root.name)));
        }
        for element in root.children {
            if element.name != "include" {
                let inherited = inherited.clone();
                self.nodes.push(Node { file: prefix.clone(), element, inherited });
                continue;
            }
            let place = format!("{prefix}{}", element.place());
            let name = needed(&element, &place, "name")?;
            if depth >= MAX_INCLUDES {
                let expected = format!("at most {MAX_INCLUDES} includes inside each other");
                return Err(wrong(&place, &expected, quoted(&name)));
            }
            let path = [format!(".repo/manifests/{name}"), name.clone()];
            let Some((path, bytes)) = self.input.files.iter().find(|(file, _)| path.contains(file))
            else {
                let expected = "a file that `manifest.files` names; or export with `repo manifest`";
                return Err(wrong(&place, expected, quoted(&name)));
            };
            let mut inner = inherited.clone();
            inner.groups.extend(groups(element.attribute("groups")));
            if let Some(revision) = element.attribute("revision") {
                inner.revision = Some(revision.to_owned());
            }
            let text = super::text::checked(bytes)?;
            self.file(&path.clone(), text, &inner, depth + 1)?;
        }
        Ok(())
    }
}

fn groups(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default()
        .split([',', ' ', '\t', '\n'])
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A project as far as it is known.
#[derive(Debug)]
struct Project {
    name: String,
    path: String,
    remote: Option<String>,
    revision: Option<String>,
    upstream: Option<String>,
    groups: Vec<String>,
    place: String,
}

/// A remote.
struct Remote {
    fetch: String,
    revision: Option<String>,
}

#[derive(Default)]
struct Read {
    remotes: BTreeMap<String, Remote>,
    default_remote: Option<String>,
    default_revision: Option<String>,
    /// By path.
    projects: BTreeMap<String, Project>,
    /// Paths by name.
    paths: BTreeMap<String, BTreeSet<String>>,
}

impl Read {
    fn remote(&mut self, node: &Node) -> Result<(), ManifestError> {
        let element = &node.element;
        let text = |attribute: &str| element.attribute(attribute).map(str::to_owned);
        match element.name.as_str() {
            "remote" => {
                let remote = Remote { fetch: node.needed("fetch")?, revision: text("revision") };
                self.remotes.insert(node.needed("name")?, remote);
            }
            "default" => {
                self.default_remote = text("remote").or_else(|| self.default_remote.take());
                self.default_revision = text("revision").or_else(|| self.default_revision.take());
            }
            _ => {}
        }
        Ok(())
    }

    fn project_like(&mut self, builder: &mut Builder, node: &Node) -> Result<(), ManifestError> {
        match node.element.name.as_str() {
            "project" => self.project(&node.element, node, None),
            "extend-project" => self.extend(node),
            "remove-project" => self.remove(node),
            "submanifest" => {
                builder.note(|| format!("{}: it is not read", node.place()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn project(
        &mut self,
        element: &Element,
        node: &Node,
        parent: Option<(&str, &str)>,
    ) -> Result<(), ManifestError> {
        let place = format!("{}{}", node.file, element.place());
        let own = needed(element, &place, "name")?;
        let path = element.attribute("path").unwrap_or(&own).to_owned();
        let (own, path) = match parent {
            Some((name, folder)) => (format!("{name}/{own}"), format!("{folder}/{path}")),
            None => (own, path),
        };
        let path = origin::folder(&format!("{place} path"), &path)?;
        let text = |attribute: &str| element.attribute(attribute).map(str::to_owned);
        let mut all = groups(element.attribute("groups"));
        all.extend(node.inherited.groups.iter().cloned());
        for child in element.children.iter().filter(|child| child.name == "project") {
            self.project(child, node, Some((&own, &path)))?;
        }
        let project = Project {
            remote: text("remote"),
            revision: text("revision").or_else(|| node.inherited.revision.clone()),
            upstream: text("upstream"),
            groups: all,
            place: place.clone(),
            name: own.clone(),
            path: path.clone(),
        };
        if self.projects.insert(path.clone(), project).is_some() {
            return Err(wrong(&place, "a path that no other project has", quoted(&path)));
        }
        if self.projects.len() > MAX_PACKAGES {
            return Err(ManifestError::TooMany { what: "projects".into(), most: MAX_PACKAGES });
        }
        self.paths.entry(own).or_default().insert(path);
        Ok(())
    }

    /// Paths of the projects of a name, or of the one at `path`.
    fn named(&self, own: Option<&str>, path: Option<&str>) -> Vec<String> {
        match own {
            Some(own) => {
                let all = self.paths.get(own).into_iter().flatten();
                all.filter(|at| path.is_none_or(|path| path == *at)).cloned().collect()
            }
            None => path
                .filter(|at| self.projects.contains_key(*at))
                .map(str::to_owned)
                .into_iter()
                .collect(),
        }
    }

    fn extend(&mut self, node: &Node) -> Result<(), ManifestError> {
        let element = &node.element;
        let own = node.needed("name")?;
        let paths = self.named(Some(&own), element.attribute("path"));
        if paths.is_empty() && !self.paths.contains_key(&own) {
            return Err(wrong(&node.place(), "the name of a project before it", quoted(&own)));
        }
        let moved = element.attribute("dest-path").map(str::to_owned);
        if moved.is_some() && paths.len() > 1 {
            let expected = "one project for `dest-path`; say `path` too";
            return Err(wrong(&node.place(), expected, quoted(&own)));
        }
        for path in paths {
            let Some(mut project) = self.projects.remove(&path) else { continue };
            project.groups.extend(groups(element.attribute("groups")));
            let set = |value: &mut Option<String>, attribute: &str| {
                if let Some(text) = element.attribute(attribute) {
                    *value = Some(text.to_owned());
                }
            };
            set(&mut project.revision, "revision");
            set(&mut project.remote, "remote");
            set(&mut project.upstream, "upstream");
            if let Some(to) = &moved {
                let to = origin::folder(&format!("{} dest-path", node.place()), to)?;
                let paths = self.paths.entry(own.clone()).or_default();
                paths.remove(&path);
                paths.insert(to.clone());
                project.path = to;
            }
            if self.projects.contains_key(&project.path) {
                let expected = "a path that no other project has";
                return Err(wrong(&node.place(), expected, quoted(&project.path)));
            }
            self.projects.insert(project.path.clone(), project);
        }
        Ok(())
    }

    fn remove(&mut self, node: &Node) -> Result<(), ManifestError> {
        let (own, path) = (node.element.attribute("name"), node.element.attribute("path"));
        let paths = self.named(own, path);
        let optional = node.element.attribute("optional").is_some_and(|text| text == "true");
        if paths.is_empty() && !optional {
            let found = quoted(own.or(path).unwrap_or_default());
            return Err(wrong(&node.place(), "the name or path of a project before it", found));
        }
        for path in paths {
            if let Some(project) = self.projects.remove(&path)
                && let Some(paths) = self.paths.get_mut(&project.name)
            {
                paths.remove(&path);
            }
        }
        self.paths.retain(|_, paths| !paths.is_empty());
        Ok(())
    }

    fn finish(
        self,
        mut builder: Builder,
        input: &Input<'_>,
    ) -> Result<ReadManifest, ManifestError> {
        let wanted = wanted_groups(input);
        let mut left_out = 0usize;
        for project in self.projects.values() {
            if !matches(&wanted, project) {
                left_out += 1;
                continue;
            }
            // A name stands for its project unless several paths share it.
            let shared = self.paths.get(&project.name).is_some_and(|paths| paths.len() > 1);
            let own = if shared { &project.path } else { &project.name };
            let own = name(&project.place, own)?;
            let vcs = self.vcs(&mut builder, input, project, &own)?;
            let repeats = Repeats::from([
                ("name".to_owned(), project.name.clone().into()),
                ("path".to_owned(), project.path.clone().into()),
            ]);
            builder.packages.push(Package {
                vcs,
                directory: Some(project.path.clone()),
                path: None,
                depends_on: Vec::new(),
                override_key: own.clone(),
                name: own,
                repeats: Some(Arc::new(repeats)),
            });
        }
        if left_out > 0 {
            let wanted = wanted.join(",");
            builder.note(|| format!("{left_out} projects are in no group of {wanted}: left out"));
        }
        builder.finish()
    }

    fn vcs(
        &self,
        builder: &mut Builder,
        input: &Input<'_>,
        project: &Project,
        own: &Name,
    ) -> Result<Vcs, ManifestError> {
        let place = &project.place;
        let remote_name = project.remote.as_ref().or(self.default_remote.as_ref());
        let Some(remote) = remote_name.and_then(|name| self.remotes.get(name)) else {
            let found = remote_name.map_or_else(|| "none".to_owned(), |name| quoted(name));
            return Err(wrong(place, "a remote of the manifest, or a default one", found));
        };
        // repo resolves it as a browser does: the last part of the source's address is a file.
        let fetch = if remote.fetch.starts_with('.') {
            origin::absolute(place, &format!("../{}", remote.fetch), input.source)?
        } else {
            remote.fetch.clone()
        };
        let url = format!("{}/{}", fetch.trim_end_matches('/'), project.name);
        let url = origin::absolute(place, &url, None)?;
        let revision = project
            .revision
            .as_deref()
            .or(remote.revision.as_deref())
            .or(self.default_revision.as_deref());
        let Some(revision) = revision else {
            return Err(wrong(place, "a `revision`, or a default one", "none".to_owned()));
        };
        let vcs = origin::git(builder, place, own, url, Some(revision))?;
        let upstream = project.upstream.as_deref();
        Ok(match (vcs, upstream.map(|text| text.strip_prefix("refs/heads/").unwrap_or(text))) {
            // A frozen manifest says which branch a commit was taken from.
            (Vcs::Git { url, branch: None, pin: Some(pin) }, Some(upstream))
                if !upstream.starts_with("refs/") && !origin::is_commit(upstream) =>
            {
                Vcs::Git { url, branch: Some(name(place, upstream)?), pin: Some(pin) }
            }
            (vcs, _) => vcs,
        })
    }
}

/// The groups that `repo init --groups` chose.
fn wanted_groups(input: &Input<'_>) -> Vec<String> {
    let config = input.files.iter().find(|(path, _)| path == ".repo/manifests.git/config");
    let config = config.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    let mut section = String::new();
    let mut wanted = Vec::new();
    for line in config.unwrap_or_default().lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.to_ascii_lowercase();
        } else if let Some((key, value)) = line.split_once('=')
            && section == "[manifest]"
            && key.trim() == "groups"
        {
            wanted = groups(Some(value.trim().trim_matches('"')));
        }
    }
    if wanted.is_empty() { vec!["default".to_owned(), "platform-linux".to_owned()] } else { wanted }
}

/// As repo does it: the last group that says something about the project counts.
fn matches(wanted: &[String], project: &Project) -> bool {
    let mut has: BTreeSet<&str> = project.groups.iter().map(String::as_str).collect();
    let (named, at) = (format!("name:{}", project.name), format!("path:{}", project.path));
    has.extend(["all", named.as_str(), at.as_str()]);
    if !has.contains("notdefault") {
        has.insert("default");
    }
    let mut matched = false;
    for group in wanted {
        match group.strip_prefix('-') {
            Some(group) if has.contains(group) => matched = false,
            None if has.contains(group.as_str()) => matched = true,
            _ => {}
        }
    }
    matched
}

#[cfg(test)]
mod tests;
