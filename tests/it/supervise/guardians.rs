//! What becomes of a run when its guardians are attacked: the keeper, the daemon, the parent.

use std::path::Path;
use std::process::{Command, Stdio};

use crosswatch::supervise::{Cgroups, Outcome};
use crosswatch_core::model::time::Span;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, chown};
use tokio_util::sync::CancellationToken;

use super::{marked, marker, script};
use crate::support::site::{Launch, Site};
use crate::support::{eventually, ordinary, supervisor};

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal).expect("sent");
}

#[tokio::test]
async fn a_stopped_keeper_is_woken_and_keeps_its_deadline() {
    let (never, marker) = (CancellationToken::new(), marker());
    let mut run = script("kill -STOP $PPID; sleep 20", &marker);
    run.limits.wall = Span(500);
    let ended = supervisor().run(run, &never).await;
    assert!(matches!(ended.outcome, Outcome::TimedOut(_)), "{ended:?}");
    assert_eq!(marked(&marker), [].into());
}

#[tokio::test]
async fn a_control_group_is_made_and_removed() {
    let cgroups = match Cgroups::find() {
        Ok(found) => found,
        Err(error) => {
            eprintln!("skipped a_control_group_is_made_and_removed: {error}");
            return;
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    let supervisor = supervisor().with_cgroups(Some(cgroups.prepare(folder.path())));
    let (never, marker) = (CancellationToken::new(), marker());
    // What leaves the session, closes everything and forgets its environment is still in it.
    let text = "cat /proc/self/cgroup; \
                setsid env -i sh -c 'setsid sleep 20 </dev/null >/dev/null 2>&1 &'; exit 0";
    let mut run = script(text, &marker);
    run.capture = Some(10_000);
    let ended = supervisor.run(run, &never).await;
    assert!(ended.outcome.success(), "{ended:?}");
    let groups = String::from_utf8(ended.stdout).expect("text");
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).expect("a group");
    assert!(own.contains("/crosswatch-"), "{groups}");
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let mount = mount.and_then(|line| line.split(' ').nth(1)).expect("it is mounted");
    assert!(!Path::new(mount).join(own.trim_start_matches('/')).exists(), "{own} is left");
}

/// An ordinary user whose group was handed over, as systemd does with `Delegate=yes`.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_handed_over_has_groups_of_runs_below_it() {
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let mount = mount.and_then(|line| line.split(' ').nth(1)).unwrap_or("/none");
    let name = format!("crosswatch-test-{}", std::process::id());
    let group = Path::new(mount).join(&name);
    if std::fs::create_dir(&group).is_err() {
        eprintln!("skipped: only root can hand over a control group, and there is none here");
        return;
    }
    for path in ["", "cgroup.procs", "cgroup.subtree_control"] {
        chown(&group.join(path), Some(65_534.into()), Some(65_534.into())).expect("handed over");
    }
    let site = Site::new();
    let seen = site.path().join("seen");
    updating(&site, &format!("cat /proc/self/cgroup > {}; sleep 60 &", seen.display()));
    let exe = site.path().join("crosswatch");
    std::fs::copy(env!("CARGO_BIN_EXE_crosswatch"), &exe).expect("a copy");
    ordinary::give(site.path());
    let (enter, exe) = (group.join("cgroup.procs"), exe.display().to_string());
    let script = format!("echo $$ > {} && exec \"$@\"", enter.display());
    let drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let mut words = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    words.extend(drop.map(str::to_owned));
    words.push(exe);
    let variables = vec![("HOME".to_owned(), site.path().display().to_string())];
    let daemon = site.launch(Launch { words, variables, stdin: Stdio::null() }).await;
    eventually("the update ran", async || {
        std::fs::read_to_string(&seen).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    let text = std::fs::read_to_string(&seen).expect("its groups");
    assert!(text.contains(&format!("/{name}/crosswatch-")), "{text}");
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", daemon.id())).expect("groups");
    assert!(own.contains(&format!("/{name}/crosswatch-daemon")), "{own}");
    daemon.kill();
    eventually("the groups are empty", async || {
        let below = std::fs::read_dir(&group).into_iter().flatten().flatten();
        below.for_each(|entry| drop_group(&entry.path()));
        std::fs::remove_dir(&group).is_ok()
    })
    .await;
}

/// What is no empty group stays.
fn drop_group(path: &Path) {
    std::fs::remove_dir(path).ok();
}

/// What runs under a freezer of the first version cannot be killed before it thaws.
#[tokio::test]
async fn what_cannot_be_killed_is_named() {
    let freezer = Path::new("/sys/fs/cgroup/freezer").join(format!("test-{}", std::process::id()));
    if std::fs::create_dir(&freezer).is_err() || !freezer.join("freezer.state").exists() {
        eprintln!("skipped what_cannot_be_killed_is_named: no freezer can be made here");
        return;
    }
    let (never, marker) = (CancellationToken::new(), marker());
    let text = format!(
        "(echo 0 > {0}/tasks; sleep 60) & sleep 0.2; echo FROZEN > {0}/freezer.state; exit 0",
        freezer.display()
    );
    let ended = supervisor().run(script(&text, &marker), &never).await;
    std::fs::write(freezer.join("freezer.state"), "THAWED").expect("thawed");
    eventually("it thaws and dies", async || marked(&marker).is_empty()).await;
    eventually("the freezer is removed", async || std::fs::remove_dir(&freezer).is_ok()).await;
    let Outcome::Unkillable { pid, state, wchan } = ended.outcome else { panic!("{ended:?}") };
    assert!(pid > 1 && state == 'D' && !wchan.is_empty(), "{pid} {state} {wchan}");
}

/// The update of the one workspace of a site runs `script`.
fn updating(site: &Site, script: &str) {
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &[]);
    let path = site.path().join("workspaces.yaml");
    let mut text = std::fs::read_to_string(&path).expect("the configuration");
    text.push_str(&format!(
        "  - {{name: one, update: {{run: [sh, -c, {script:?}], timeout: 30s, grace: 300ms}}}}\n"
    ));
    site.write_config(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_keeper_guarded_goes_to_the_parent_and_dies() {
    let (site, marker) = (Site::new(), marker());
    // The environment is cleared and the session left: only being below the parent tells it.
    let hidden = format!("setsid env -i sh -c 'sleep 60; : {marker}' & ");
    updating(&site, &format!("{hidden} sleep 0.3; kill -9 $PPID; sleep 60; : {marker}"));
    let _daemon = site.start_with(&[("CROSSWATCH_CGROUP", "off")]).await;
    eventually("the end is said", async || {
        site.ask(&["workspaces"])
            .is_some_and(|rows| rows.to_string().contains("its keeper process died"))
    })
    .await;
    // It may run again by now: what is asked is that a run ends.
    let pids = marked(&marker);
    eventually("nothing of that run is left", async || marked(&marker).is_disjoint(&pids)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_and_its_parent_end_each_other() {
    for victim in ["daemon", "parent"] {
        let (site, marker) = (Site::new(), marker());
        updating(
            &site,
            &format!("setsid env -i sh -c 'sleep 60; : {marker}' & sleep 60; : {marker}"),
        );
        let mut daemon = site.start().await;
        eventually("the update runs", async || marked(&marker).len() >= 2).await;
        let (inner, outer) = (daemon.id(), daemon.parent_id());
        signal(if victim == "daemon" { inner } else { outer }, Signal::SIGKILL);
        daemon.wait();
        eventually("nothing is left", async || {
            marked(&marker).is_empty() && !Path::new(&format!("/proc/{inner}/fd/0")).exists()
        })
        .await;
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the daemon itself is what is tested")]
fn the_code_of_the_daemon_is_the_code_of_its_parent() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crosswatch"));
        command.args(arguments).stderr(Stdio::null()).status().expect("it starts").code()
    };
    assert_eq!(run(&["run", "--config", "/no/such/file.yaml"]), Some(2));
    assert_eq!(run(&["run", "--no-such-flag"]), Some(2));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the daemon itself is what is tested")]
fn children_from_before_are_spared() {
    let shell = "sleep 60 >/dev/null 2>&1 & echo $!; exec \"$0\" run --config /no/such/file.yaml";
    let mut command = Command::new("sh");
    command.args(["-c", shell, env!("CARGO_BIN_EXE_crosswatch")]);
    let output = command.stderr(Stdio::null()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let sleeper: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a pid");
    assert!(Path::new(&format!("/proc/{sleeper}")).exists());
    signal(sleeper, Signal::SIGKILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_has_no_secrets() {
    let site = Site::new();
    updating(&site, "true");
    let daemon = site.start_with(&[("CANARY", "a-secret-of-the-daemon")]).await;
    let read =
        |pid: u32, file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    assert_eq!(read(daemon.parent_id(), "environ"), b"");
    assert!(!String::from_utf8_lossy(&read(daemon.parent_id(), "cmdline")).contains("workspaces"));
}
