//! Machines without a sandbox: refused clearly, by the doctor and by a daemon, and nothing runs.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{check, doctor, program, site};
use crate::support::eventually;

/// A `PATH` with the system's programs and without bubblewrap.
fn without_bubblewrap(folder: &Path) -> String {
    for place in ["/usr/bin", "/bin"] {
        for entry in std::fs::read_dir(place).expect("programs") {
            let entry = entry.expect("an entry");
            if entry.file_name() != "bwrap" {
                // The first of two with one name counts.
                symlink(entry.path(), folder.join(entry.file_name())).ok();
            }
        }
    }
    folder.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bubblewrap_builds_of_changes_are_refused() {
    let (site, folder) = (site(), tempfile::tempdir().expect("a folder"));
    let path = without_bubblewrap(folder.path());
    let mut command = program();
    command.env("PATH", &path);
    let (code, checks) = doctor(&site, command);
    assert_eq!(code, 1, "{checks:?}");
    let (level, text) = check(&checks, "bubblewrap");
    assert_eq!(level, "broken");
    assert!(text.contains("builds of changes on here are refused"), "{text}");
    assert!(text.contains("install the package `bubblewrap`"), "{text}");

    let ran = site.path().join("ran");
    std::fs::write(site.path().join("ci.sh"), format!("#!/bin/sh\ntouch {}\n", ran.display()))
        .expect("a script");
    let _daemon = site.start_with(&[("PATH", &path)]).await;
    eventually("the page says so", async || page(&site.pages()).contains("bubblewrap is not"))
        .await;
    site.settled(&["one"]).await;
    site.change("types", 1, "types");
    eventually("it is refused", async || {
        site.builds().iter().any(|build| build.to_string().contains("bubblewrap is not installed"))
    })
    .await;
    assert!(!ran.exists(), "nothing of the change ran");
}

#[test]
fn forbidden_namespaces_are_named_with_the_way_out() {
    let site = site();
    #[expect(clippy::disallowed_methods, reason = "the command line itself is what is tested")]
    let mut command = Command::new("unshare");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", script]);
    command.arg(env!("CARGO_BIN_EXE_crosswatch"));
    let (code, checks) = doctor(&site, command);
    assert_eq!(code, 1, "{checks:?}");
    let (level, text) = check(&checks, "bubblewrap");
    assert!(level == "broken" && text.contains("max_user_namespaces=15000"), "{text}");
    assert_eq!(check(&checks, "user namespaces").0, "weaker");
}

/// The overview, as far as it comes.
fn page(pages: &str) -> String {
    let address = pages.strip_prefix("http://").expect("an address");
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return String::new() };
    let head = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut text = Vec::new();
    if stream.write_all(head.as_bytes()).is_ok() {
        stream.read_to_end(&mut text).ok();
    }
    String::from_utf8_lossy(&text).into_owned()
}
