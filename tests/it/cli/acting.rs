//! Who may do what over the Unix socket, by the kernel's word.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use super::site;
use crate::support::site::Site;

/// A user and a group without any rights.
const NOBODY: u32 = 65_534;

/// Runs the command line as nobody, with the group `gid`.
#[expect(clippy::disallowed_methods, reason = "the command line itself is what is tested")]
fn as_nobody(program: &Path, site: &Site, gid: u32, arguments: &[&str]) -> Output {
    Command::new(program)
        .arg("--socket")
        .arg(site.state().join("api.sock"))
        .args(arguments)
        .current_dir("/")
        .uid(NOBODY)
        .gid(gid)
        .output()
        .expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_user_acts_the_sockets_group_reads_and_others_are_kept_out() {
    let site = site("true", "");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    let socket = site.state().join("api.sock");
    let metadata = std::fs::metadata(&socket).expect("a socket");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);

    let paused = site.cli(&["pause", "one"]);
    assert!(paused.status.success(), "{}", said(&paused));
    assert!(site.cli(&["resume", "one"]).status.success());

    // Only root can be somebody else.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let open = |path: &Path| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("a mode");
    };
    open(site.path());
    open(&site.state());
    let program = site.path().join("crosswatch");
    std::fs::copy(env!("CARGO_BIN_EXE_crosswatch"), &program).expect("a copy");
    let gid = nix::unistd::Gid::from_raw(NOBODY);
    nix::unistd::chown(&socket, None, Some(gid)).expect("another group");

    let read = as_nobody(&program, &site, NOBODY, &["workspaces"]);
    assert!(read.status.success(), "{}", said(&read));
    for act in [&["pause", "one"][..], &["rebuild", "one", "mainline"], &["reload", "--yes"]] {
        let refused = as_nobody(&program, &site, NOBODY, act);
        assert_eq!(refused.status.code(), Some(1), "{act:?}");
        assert!(said(&refused).contains("may read, not act"), "{}", said(&refused));
    }
    let outside = as_nobody(&program, &site, NOBODY - 1, &["workspaces"]);
    assert_eq!(outside.status.code(), Some(1));
    assert!(said(&outside).contains("is not open to you"), "{}", said(&outside));
    assert_ne!(metadata.gid(), NOBODY, "the group was another one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_understood_is_refused() {
    let site = site("true", "");
    let _daemon = site.start().await;
    for body in ["", "{}", r#"{"do":"explode"}"#, r#"{"do":"pause"}"#] {
        let mut stream = UnixStream::connect(site.state().join("api.sock")).expect("a socket");
        let head = format!(
            "POST /api/v1/do HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 4"), "{body}: {answer}");
    }
}
