//! `crosswatch doctor` on this machine, and what it warns of: the sandbox that is missing, secrets that
//! a run could look for.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]
#![expect(clippy::panic, reason = "a check that is not there is named")]

mod sandbox;
mod secrets;

use std::process::Command;

use serde_json::Value;

use crate::support::ordinary;
use crate::support::site::Site;

/// Exit code and checks of a doctor on `site`, started with `program`.
fn doctor(site: &Site, mut program: Command) -> (i32, Vec<Value>) {
    let output = program
        .args(["--json", "--config"])
        .arg(site.path().join("workspaces.yaml"))
        .arg("doctor")
        .env_remove("CROSSWATCH_SOCKET")
        .env_remove("RUNTIME_DIRECTORY")
        .output()
        .expect("it starts");
    let checks = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code().expect("a code"), checks)
}

#[expect(clippy::disallowed_methods, reason = "the command line itself is what is tested")]
fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_crosswatch"))
}

/// Level and text of a check.
fn check(checks: &[Value], name: &str) -> (String, String) {
    let found = checks.iter().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no check {name} in {checks:?}"));
    let text = |key: &str| found[key].as_str().expect("text").to_owned();
    (text("level"), format!("{}: {} → {}", text("found"), text("means"), text("way_out")))
}

fn site() -> Site {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    let ci = site.local_ci("true").replace("sandbox: none", "sandbox: bubblewrap");
    site.configure(&url, &ci, &["one"]);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_in_order_passes_with_and_without_a_daemon() {
    let site = site();
    let (code, checks) = doctor(&site, program());
    assert_eq!(code, 0, "{checks:?}");
    for name in ["configuration", "git", "bubblewrap", "orphans", "clock", "forge mirror"] {
        assert_eq!(check(&checks, name).0, "ok", "{checks:?}");
    }
    assert!(check(&checks, "daemon").1.contains("none runs"));
    assert!(!site.state().exists(), "looking makes nothing");

    let daemon = site.start().await;
    let (code, checks) = doctor(&site, program());
    assert_eq!(code, 0, "{checks:?}");
    assert!(check(&checks, "daemon").1.contains("answers"), "{checks:?}");
    drop(daemon);
    assert!(check(&doctor(&site, program()).1, "daemon").1.contains("none runs"));
}

#[test]
fn what_is_broken_is_said_and_fails() {
    let site = site();
    let path = site.path().join("workspaces.yaml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let gone = text.replace(&site.file_url(), "file:///not/there");
    let token = site.path().join("token");
    std::fs::write(&token, "canary-secret").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, mode).expect("a mode");
    site.write_config(&gone.replace(
        "sandbox: bubblewrap",
        &format!(
            "sandbox: bubblewrap, read_only: [\"{}\"], push_secret: {{file: \"{}\"}}",
            site.path().display(),
            token.display()
        ),
    ));
    let (code, checks) = doctor(&site, program());
    assert_eq!(code, 1, "{checks:?}");
    assert_eq!(check(&checks, "forge mirror").0, "weaker");
    let (level, shown) = check(&checks, "secret ci.here.push_secret");
    assert!(level == "broken" && shown.contains("CI here shows file"), "{shown}");
    assert!(!format!("{checks:?}").contains("canary-secret"));

    site.write_config("version: 1\nnonsense: 2\n");
    let (code, checks) = doctor(&site, program());
    assert_eq!(code, 1);
    assert_eq!(check(&checks, "configuration").0, "broken");
    assert_eq!(check(&checks, "git").0, "ok");
}

#[test]
fn an_ordinary_user_is_told_what_that_user_has() {
    let exe = std::path::Path::new(env!("CARGO_BIN_EXE_crosswatch"));
    if !ordinary::may_run(exe) {
        eprintln!("skipped: an ordinary user may not run {}", exe.display());
        return;
    }
    let site = site();
    ordinary::give(site.path());
    let mut command = ordinary::command(exe);
    command.env("HOME", site.path());
    let (code, checks) = doctor(&site, command);
    assert_eq!(code, 0, "{checks:?}");
    assert_eq!(check(&checks, "user").0, "ok");
    assert_eq!(check(&checks, "bubblewrap").0, "ok");
    assert_eq!(check(&checks, "state directory").0, "ok");
}
