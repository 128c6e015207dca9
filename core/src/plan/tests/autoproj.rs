//! Real installation manifests, from their bytes to the overrides: key by key what the older daemon
//! would have written for the same pull requests, and the pins that it left alone taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{World, repository};
use crate::manifest;
use crate::model::locator::Locator;
use crate::model::settings::ManifestFormat;
use crate::spelling::{Spelling, spell};

/// A world whose forge serves `prefix`, with the packages of a manifest.
fn world(bytes: &[u8], prefix: &str, paths: &[&str]) -> World {
    let mut world = World::fresh(&[]);
    let settings = Arc::make_mut(&mut world.snapshot.settings);
    let forge = settings.forges.get_mut("mirror").expect("the forge");
    Arc::make_mut(forge).also = vec![prefix.to_owned()];
    world.snapshot.locator = Arc::new(Locator::new(settings));
    let read = manifest::read(ManifestFormat::Autoproj, bytes).expect("a manifest");
    (world.packages, world.definitions) = (read.manifest.packages, read.manifest.definitions);
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
    let mut world = world(bytes, "https://github.com", &paths);
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
    let mut world = world(bytes, "file:///srv/git", &["set", "cmakepkg", "types", "pin"]);
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
