//! The sandbox, by real bubblewrap: what code in it can see, change and reach.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crosswatch::supervise::{Ended, Outcome, SandboxSpec};
use tokio_util::sync::CancellationToken;

use super::script;
use crate::support::{ordinary, supervisor};

/// Runs a script in a sandbox in which `dir` can be written.
async fn caged(dir: &Path, text: &str, edit: impl FnOnce(&mut SandboxSpec)) -> Ended {
    let mut spec = SandboxSpec { writable: dir.to_owned(), ..SandboxSpec::default() };
    edit(&mut spec);
    let mut run = script(text, "x");
    run.dir = dir.to_owned();
    run.sandbox = Some(spec);
    run.capture = Some(1 << 16);
    supervisor().run(run, &CancellationToken::new()).await
}

fn said(ended: &Ended) -> String {
    assert_eq!(ended.outcome, Outcome::Finished(0), "{ended:?}");
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

#[tokio::test]
async fn nothing_but_its_folder_can_be_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret"), "canary").expect("a file");
    let outside = outside.path().display();
    let text = format!(
        "for place in / /usr /etc /dev /proc /opt /tmp/home/.. {outside}; do \
             touch $place/made 2>/dev/null && echo can change $place; done; \
         (echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo can change the kernel; \
         (echo > /proc/sysrq-trigger) 2>/dev/null && echo can press keys; \
         mount -t tmpfs x . 2>/dev/null && echo can mount; \
         mknod node c 1 3 2>/dev/null && echo can make devices; \
         test -e {outside} && echo can see {outside}; \
         test -r /etc/shadow -o -r /etc/ssl/private && echo can read secrets of the system; \
         echo here > made && echo home > $HOME/made && cd $HOME && pwd"
    );
    let ended = caged(dir.path(), &text, |_| ()).await;
    assert_eq!(said(&ended), "can change /tmp/home/..\n/tmp/home\n", "{ended:?}");
    assert_eq!(std::fs::read(dir.path().join("made")).expect("made"), b"here\n");
    assert!(!Path::new("/tmp/made").exists() && !Path::new("/tmp/home/made").exists());
}

#[tokio::test]
async fn the_network_is_off_unless_it_was_chosen() {
    let dir = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let text =
        format!("bash -c '(: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo reached || echo no'");
    assert_eq!(said(&caged(dir.path(), &text, |_| ()).await), "no\n");
    let open = caged(dir.path(), &text, |spec| spec.network = true).await;
    assert_eq!(said(&open), "reached\n");
}

#[tokio::test]
async fn no_process_terminal_or_right_of_the_host_is_in_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = "for pid in /proc/[0-9]*; do tr '\\0' ' ' < $pid/cmdline; echo; done | \
                    grep -v -e bwrap -e '^sh ' -e '^tr ' -e '^grep ' -e '^$'; \
                echo caps $(grep -c 'Cap.*:.0000000000000000' /proc/self/status); \
                for one in user pid ipc uts cgroup net mnt; do readlink /proc/self/ns/$one; done; \
                (: < /dev/tty) 2>/dev/null && echo has a terminal; \
                perl -e 'ioctl(STDIN, 0x5412, \"x\") and print \"can type\\n\"'; \
                unshare --user true 2>/dev/null && echo makes namespaces; \
                cat /proc/sys/kernel/hostname";
    let ended = caged(dir.path(), text, |_| ()).await;
    let said = said(&ended);
    let mut lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.first().copied(), Some("caps 5"), "{said}");
    assert_eq!(lines.pop(), Some("sandbox"), "{said}");
    assert_eq!(lines.len(), 8, "no process, terminal or namespace of the host: {said}");
    for (line, name) in
        lines.iter().skip(1).zip(["user", "pid", "ipc", "uts", "cgroup", "net", "mnt"])
    {
        let own = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        assert!(line.starts_with(&format!("{name}:[")), "{said}");
        assert_ne!(Path::new(line), own, "it is in the host's {name} namespace");
    }
}

#[tokio::test]
async fn nothing_of_the_daemons_environment_is_in_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let said = said(&caged(dir.path(), "env", |_| ()).await);
    let keys: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // Cargo and the shell give a test many more variables than these.
    let known = [
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "TZ",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "PAGER",
        "TEST_MARKER",
        "CROSSWATCH_RUN",
    ];
    for key in &keys {
        let answer = ["GIT_", "SSH_", "GCM_"].iter().any(|start| key.starts_with(start));
        assert!(known.contains(key) || answer, "{key} is in the sandbox");
    }
    assert!(said.contains("HOME=/tmp/home") && said.contains("GIT_ASKPASS=/bin/false"), "{said}");
}

#[tokio::test]
async fn the_daemons_socket_and_state_are_covered() {
    let site = tempfile::tempdir().expect("a folder");
    let state = site.path().join("state");
    let work = state.join("builds/1/work");
    std::fs::create_dir_all(&work).expect("folders");
    std::fs::write(state.join("crosswatch.sqlite"), "canary").expect("a file");
    std::fs::write(state.join("builds/1/request.json"), "request").expect("a file");
    std::fs::write(site.path().join("ci.sh"), "script").expect("a file");
    let _daemon = UnixListener::bind(state.join("api.sock")).expect("a socket");
    let _other = UnixListener::bind(site.path().join("named.sock")).expect("a socket");
    let text = format!(
        "cd {0}; ls state state/builds; cat ci.sh state/builds/1/request.json; echo; \
         test -S state/api.sock && echo socket; test -S named.sock && echo named socket; \
         cat named.sock; touch state/x 2>/dev/null && echo changes",
        site.path().display()
    );
    let ended = caged(&work, &text, |spec| {
        spec.readable = vec![site.path().to_owned(), state.join("builds/1")];
        spec.hidden = vec![state.clone(), site.path().join("named.sock")];
    })
    .await;
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(out, "state:\nbuilds\n\nstate/builds:\n1\nscriptrequest\n", "{ended:?}");
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_as_asked_is_no_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let absent = dir.path().join("absent");
    let ended = caged(dir.path(), "touch ran", |spec| spec.readable = vec![absent]).await;
    let Outcome::CouldNotStart(why) = &ended.outcome else { panic!("{ended:?}") };
    assert!(why.contains("absent") && why.contains("cannot be shown"), "{why}");
    assert!(!dir.path().join("ran").exists());
}

#[tokio::test]
async fn an_ordinary_user_gets_the_same() {
    let own = std::env::current_exe().expect("this program");
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    if !ordinary::may_run(&own) {
        eprintln!("skipped: an ordinary user may not run {}", own.display());
        return;
    }
    let output = ordinary::command(&own)
        .args(["supervise::sandbox", "--skip", "an_ordinary_user"])
        .env("HOME", "/tmp")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("6 passed"), "{text}");
}
