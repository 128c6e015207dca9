//! Manifests of tools, from their bytes to the overrides: autoproj's key by key what the older daemon
//! would have written for the same pull requests, and the pins that it left alone taken away; repo's
//! as its grammar reads them behind the manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{World, repository};
use crate::manifest::{self, Input};
use crate::model::locator::Locator;
use crate::model::settings::ManifestFormat;
use crate::spelling::{Spelling, spell};

/// A world whose forge serves `prefix`, with the packages of a manifest.
fn world(format: ManifestFormat, input: &Input<'_>, prefix: &str, paths: &[&str]) -> World {
    let mut world = World::fresh(&[]);
    let settings = Arc::make_mut(&mut world.snapshot.settings);
    let forge = settings.forges.get_mut("mirror").expect("the forge");
    Arc::make_mut(forge).also = vec![prefix.to_owned()];
    world.snapshot.locator = Arc::new(Locator::new(settings));
    let read = manifest::read_input(format, input).expect("a manifest");
    let packages = read.manifest.packages.into_iter().map(std::sync::Arc::unwrap_or_clone);
    (world.packages, world.definitions) = (packages.collect(), read.manifest.definitions);
    for path in paths {
        world.repository(path);
        world.listing(path, |listing| {
            let head = listing.branches["main"];
            listing.default_branch = Some("master".into());
            listing.branches = BTreeMap::from([("master".into(), head)]);
        });
        assert!(world.snapshot.repositories.contains_key(&repository(path)));
    }
    world.export();
    world.run(0);
    world
}

/// The overrides file of a change by its keys.
fn written(world: &mut World, change: &str) -> BTreeMap<String, Value> {
    world.run(0);
    world.run(90);
    let text = spell(Spelling::Autoproj, &world.planned(change).overrides);
    let list: Vec<BTreeMap<String, Value>> = serde_yaml::from_str(&text).expect("a list of maps");
    assert!(list.iter().all(|entry| entry.len() == 1), "{text}");
    list.into_iter().flatten().collect()
}

fn daemon(reference: &str) -> Value {
    json!({ "remote_branch": reference, "single_branch": false, "shallow": false })
}

fn unpinned(reference: &str) -> Value {
    let mut entry = daemon(reference);
    entry["commit"] = Value::Null;
    entry["tag"] = Value::Null;
    entry
}

#[test]
fn overrides_for_a_workspace_on_a_forge_are_those_of_the_older_daemon() {
    let bytes = include_bytes!("../../manifest/fixtures/autoproj-2.18-github.yml");
    let paths = [
        "rock-core/package_set",
        "rock-core/base-cmake",
        "rock-core/base-types",
        "rock-core/tools-metaruby",
    ];
    let input = Input { bytes, ..Input::default() };
    let mut world = world(ManifestFormat::Autoproj, &input, "https://github.com", &paths);
    world.push("rock-core/package_set#170", &[]);
    world.push("rock-core/base-cmake#7", &[]);
    world.edit("rock-core/base-cmake#7", |listed| listed.merge = true);
    world.push("rock-core/tools-metaruby#3", &[]);
    let below =
        ["rock-core/base-cmake#7", "rock-core/package_set#170", "rock-core/tools-metaruby#3"];
    world.push("rock-core/base-types#15", &below);
    let expected = [
        ("base/types", daemon("refs/pull/15/head")),
        ("base/cmake", daemon("refs/pull/7/merge")),
        ("pkg_set:github:/rock-core/package_set.git", daemon("refs/pull/170/head")),
        ("tools/metaruby", unpinned("refs/pull/3/head")),
    ];
    let expected = expected.map(|(key, entry)| (key.to_owned(), entry));
    assert_eq!(written(&mut world, "rock-core/base-types#15"), BTreeMap::from(expected));
}

#[test]
fn overrides_for_a_workspace_on_plain_git_are_those_of_the_older_daemon() {
    let bytes = include_bytes!("../../manifest/fixtures/autoproj-2.18-local.yml");
    let input = Input { bytes, ..Input::default() };
    let paths = ["set", "cmakepkg", "types", "pin"];
    let mut world = world(ManifestFormat::Autoproj, &input, "file:///srv/git", &paths);
    world.push("set#1", &[]);
    world.push("cmakepkg#2", &["set#1"]);
    world.push("types#3", &["cmakepkg#2"]);
    let expected = [
        ("base/types", daemon("refs/pull/3/head")),
        ("base/cmake", daemon("refs/pull/2/head")),
        ("pkg_set:git:/srv/git/set", daemon("refs/pull/1/head")),
    ];
    let expected = expected.map(|(key, entry)| (key.to_owned(), entry));
    assert_eq!(written(&mut world, "types#3"), BTreeMap::from(expected));
}

#[test]
fn a_local_manifest_moves_the_projects_of_a_set_and_nothing_else() {
    let text = br#"<manifest>
  <remote name="own" fetch=".." revision="refs/heads/master"/>
  <remote name="far" fetch="https://elsewhere.example.org/"/>
  <default remote="own" sync-c="true"/>
  <project name="base/lib" path="deps/lib" groups="core"><linkfile src="a" dest="b"/></project>
  <project name="app"/>
  <project name="shared" path="one"/>
  <project name="shared" path="two" revision="next"/>
  <project name="pinned" revision="0123456789abcdef0123456789abcdef01234567"/>
  <project name="far" remote="far" revision="main"/>
</manifest>"#;
    let source = Some("https://git.example.org/platform/manifest");
    let input = Input { bytes: text, source, ..Input::default() };
    let before = manifest::read_input(ManifestFormat::Repo, &input).expect("a manifest").manifest;
    let prefix = "https://git.example.org";
    let paths = ["base/lib", "app", "shared", "pinned"];
    let mut world = world(ManifestFormat::Repo, &input, prefix, &paths);
    world.push("base/lib#1", &[]);
    world.push("shared#2", &[]);
    world.push("pinned#3", &[]);
    world.push("app#4", &["base/lib#1", "shared#2", "pinned#3"]);
    world.run(0);
    world.run(90);
    let local = spell(Spelling::Repo, &world.planned("app#4").overrides);
    let files = [(".repo/local_manifests/crosswatch.xml".to_owned(), local.into_bytes())];
    let input = Input { files: &files, ..input };
    let after = manifest::read_input(ManifestFormat::Repo, &input).expect("a manifest");
    let moved: Vec<(&str, &str)> =
        after.change_refs.iter().map(|(name, at)| (name.as_str(), at.as_str())).collect();
    assert_eq!(
        moved,
        [
            ("app", "refs/pull/4/head"),
            ("base/lib", "refs/pull/1/head"),
            ("one", "refs/pull/2/head"),
            ("pinned", "refs/pull/3/head"),
        ]
    );
    for (before, after) in before.packages.iter().zip(&after.manifest.packages) {
        assert_eq!((&before.name, &before.directory), (&after.name, &after.directory));
        assert_eq!(before.vcs.git_url(), after.vcs.git_url());
        let untouched = ["far", "two"].contains(&before.name.as_str());
        assert_eq!(before.vcs == after.vcs, untouched, "{}", before.name);
    }
}
