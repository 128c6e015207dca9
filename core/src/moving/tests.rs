//! The files of autoproj-daemon, and what is made of them.

use super::*;

const PLAIN: &str = include_str!("fixtures/workspace-config.yml");
const DAEMON: &str = include_str!("fixtures/daemon-config.yml");
const CACHE: &str = include_str!("fixtures/pull_request_cache.v2.yml");

#[test]
fn a_configuration_of_each_kind_is_carried_over() {
    let plain = configuration(PLAIN).expect("a configuration");
    insta::assert_snapshot!("plain", written(&plain, "rock"));
    let daemon = configuration(DAEMON).expect("a configuration");
    let text = written(&daemon, "rock");
    assert!(!text.contains("canary"), "no token is written");
    insta::assert_snapshot!("daemon", text);
    assert!(!format!("{daemon:?}").contains("canary"), "nor kept");
}

#[test]
fn the_key_of_older_ones_is_that_of_github() {
    let daemon = configuration("daemon_api_key: canary\n").expect("a configuration");
    let service = daemon.services.first().expect("a service");
    assert_eq!((&*service.host, service.has_token), ("github.com", true));
    assert!(!format!("{daemon:?}{}", written(&daemon, "x")).contains("canary"));
}

#[test]
fn what_is_no_configuration_is_refused_with_its_place() {
    for (text, place) in [
        ("- a\n", "the file"),
        ("daemon_max_age: soon\n", "daemon_max_age"),
        ("daemon_services: [a]\n", "daemon_services"),
        ("manifest_source: git\n", "manifest_source"),
        ("a: [\n", "cannot be parsed"),
    ] {
        let error = configuration(text).expect_err(text).to_string();
        assert!(error.contains(place), "{text:?}: {error}");
    }
}

#[test]
fn names_are_names_of_workspaces() {
    for (project, name) in
        [("rock core", "rock-core"), ("_x", "x"), ("äö", "workspace"), ("a.b", "a.b")]
    {
        let daemon = Daemon { project: Some(project.to_owned()), ..Daemon::default() };
        assert_eq!(workspace_name(&daemon, "folder"), name, "{project}");
    }
    assert_eq!(workspace_name(&Daemon::default(), "folder"), "folder");
}

#[test]
fn a_cache_is_read_with_its_ruby_types() {
    let cached = cache(CACHE).expect("a cache");
    let [first, second] = &cached[..] else { panic!("{cached:?}") };
    assert_eq!((first.number, second.number, first.draft, second.draft), (15, 7, false, true));
    let dependency = first.dependencies.first().expect("a dependency");
    assert_eq!(
        (&*dependency.repository, dependency.number),
        ("github.com/rock-core/base-cmake", 7)
    );
    assert_eq!(cache("--- []\n"), Ok(Vec::new()));
    for (text, place) in [
        ("- {number: 1}\n", "pull request 1: repo_url"),
        ("- {repo_url: a, number: x}\n", "pull request 1: number"),
        ("a: 1\n", "a list of pull requests"),
    ] {
        let error = cache(text).expect_err(text).to_string();
        assert!(error.contains(place), "{text:?}: {error}");
    }
}
