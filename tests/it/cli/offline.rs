//! Snapshots, what-if and explanations: with a daemon, without one, and far away from it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::{ask, get, site};
use crate::support::eventually;
use crate::support::site::Site;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs the program where nothing of the site is: no configuration, no socket, another time zone.
#[expect(clippy::disallowed_methods, reason = "the command line itself is what is tested")]
fn elsewhere(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crosswatch"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("TZ", "Asia/Tokyo")
        .output()
        .expect("the program starts")
}

/// `types#1` and `drivers#1` on it, built once.
async fn built(site: &Site) {
    site.settled(&["one"]).await;
    site.together("one", &["mirror/types#1", "mirror/drivers#1"], || {
        site.change("types", 1, "a body with the word marmalade in it");
        site.change("drivers", 1, "drivers\n\nDepends-On: types#1\nDepends-On: nowhere#7");
    })
    .await;
    eventually("it is built", async || site.succeeded("one", "mirror/drivers#1") == 1).await;
    eventually("it is decided", async || {
        site.decision("one", "mirror/drivers#1").starts_with("unchanged")
    })
    .await;
}

/// The daemon's plan and the snapshot that it was made from, of one pass.
async fn plan_and_snapshot(site: &Site, file: &str) -> String {
    let mut plan = String::new();
    eventually("plan and snapshot are of one pass", async || {
        plan = good(&site.cli(&["--json", "plan"]));
        good(&site.cli(&["snapshot", "save", file]));
        let saved: Value =
            serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON");
        serde_json::from_str::<Value>(&plan).expect("JSON")["at"] == saved["at"]
    })
    .await;
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_a_saved_snapshot_is_the_daemons_own_byte_by_byte_anywhere() {
    let site = site("true", "");
    let config = std::fs::read_to_string(site.path().join("workspaces.yaml")).expect("a file");
    site.write_config(&format!("{config}    env: {{PLACE: s3cret-s3cret}}\n"));
    let daemon = site.start().await;
    built(&site).await;
    let file = site.path().join("saved.json").display().to_string();
    let plan = plan_and_snapshot(&site, &file).await;
    let away = tempfile::tempdir().expect("a folder");
    let same = good(&elsewhere(away.path(), &["plan", "--offline", &file, "--json"]));
    assert_eq!(plan, same);

    let saved = std::fs::read_to_string(&file).expect("a file");
    for secret in ["s3cret", "marmalade", "ci.sh", "state_dir\":\"/"] {
        assert!(!saved.contains(secret), "{secret} in {saved}");
    }
    let mode = std::fs::metadata(&file).expect("a file").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let piped = good(&site.cli(&["snapshot", "save", "-"]));
    assert!(piped.starts_with("{\"format\":\"crosswatch snapshot\",\"version\":1,"), "{piped:.80}");
    let tables = good(&elsewhere(away.path(), &["snapshot", "show", &file]));
    assert!(tables.contains("names\tas they are\n"), "{tables}");
    assert!(tables.contains("\none\t2\t2\t1\t0\tknown\t-\n"), "{tables}");
    assert!(tables.contains("\nmirror/types\t1\t1\tknown\n"), "{tables}");
    let why = good(&elsewhere(away.path(), &["explain", "one", "drivers#1", "--offline", &file]));
    assert!(
        why.contains("depends on   mirror/types#1 (line 3: types#1, a Depends-On: trailer)"),
        "{why}"
    );
    let late = good(&elsewhere(
        away.path(),
        &["plan", "one", "--offline", &file, "--at", "2099-01-01T00:00:00Z", "--json"],
    ));
    assert!(late.starts_with("{\"at\":4070908800000,"), "{late:.80}");

    let hidden = site.path().join("hidden.json").display().to_string();
    good(&site.cli(&["snapshot", "save", "--anonymous", &hidden]));
    let content = std::fs::read_to_string(&hidden).expect("a file");
    for name in ["types", "drivers", "mirror/", "\"one\"", "file://", "\"main\""] {
        assert!(!content.contains(name), "{name} in {content}");
    }
    let rows = good(&elsewhere(away.path(), &["plan", "--offline", &hidden]));
    assert!(rows.contains("workspace-1\tforge-1/repository-2#1\tunchanged\t"), "{rows}");

    drop(daemon);
    let without = site.path().join("without.json").display().to_string();
    good(&site.cli(&["snapshot", "save", &without]));
    let at = serde_json::from_slice::<Value>(&std::fs::read(&without).expect("a file"));
    let at = at.expect("JSON")["at"].as_i64().expect("a time");
    let rows = good(&elsewhere(away.path(), &["plan", "--offline", &without]));
    assert!(at > 0 && rows.contains("mirror/drivers#1\tunchanged\t"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_built_is_said_with_and_without_a_daemon_and_done_by_nobody() {
    let site = site("true", "");
    let daemon = site.start().await;
    built(&site).await;
    let builds = site.builds().len();
    let row = |rows: &str, subject: &str| {
        let row = rows.lines().find(|line| line.starts_with(&format!("one\t{subject}\t")));
        row.unwrap_or_else(|| panic!("no {subject} in {rows}")).to_owned()
    };
    let sha = "0123456789abcdef0123456789abcdef01234567";
    let push = format!("head:types#1={sha}");
    let ask_all = || {
        let merged = good(&site.cli(&["plan", "--if", "merged:types#1"]));
        assert!(row(&merged, "mainline").contains("\tbuild: "), "{merged}");
        let drivers = row(&merged, "mirror/drivers#1");
        assert!(
            drivers.contains("mirror/types#1 on main left") && drivers.contains("on here: "),
            "{drivers}"
        );
        assert!(row(&merged, "mirror/types#1").ends_with("\t-\t-"), "{merged}");
        let closed = good(&site.cli(&["plan", "one", "--if", "closed:mirror/types#1"]));
        assert!(
            row(&closed, "mirror/drivers#1").contains("\tblocked: mirror/types#1 was closed"),
            "{closed}"
        );
        let both = good(&site.cli(&["plan", "--if", &push, "--if", "closed:drivers#1"]));
        assert!(
            row(&both, "mirror/types#1").contains("on here: mirror/types#1 at 0123456789"),
            "{both}"
        );
        let json = good(&site.cli(&["--json", "plan", "--if", &push]));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["edits"][0], format!("head:mirror/types#1={sha}"));
        for (arguments, said) in [
            (
                &["plan", "--if", "merged:types#9"][..],
                "merged:types#9: no watched repository has such",
            ),
            (&["plan", "nine", "--if", "merged:types#1"], "there is no workspace nine"),
        ] {
            let output = site.cli(arguments);
            let error = text(&output.stderr);
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
            assert!(error.contains(said), "{error}");
        }
        let output = site.cli(&["plan", "--if", "broken:types#1"]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    };
    ask_all();
    assert_eq!(get(&site, "/api/v1/what-if?if=closed:types%231").0, 404, "over the socket alone");
    assert_eq!(ask(&site, "GET", "/api/v1/snapshot", &[], "").0, 404, "over the socket alone");
    let why = good(&site.cli(&["--json", "explain", "one", "drivers#1"]));
    let why: Value = serde_json::from_str(&why).expect("JSON");
    assert_eq!(why["set"][0]["change"], "mirror/types#1");
    assert_eq!(why["references"][0]["via"], "trailer");
    assert!(get(&site, "/workspaces/one").1.contains("package drivers of the manifest of one"));
    assert_eq!(site.builds().len(), builds, "asking is not doing");
    daemon.kill();
    ask_all();
}

#[test]
fn a_file_that_is_no_snapshot_is_refused_in_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    let name = file.display().to_string();
    for (content, said) in [
        (&b"\xff\xfe"[..], "it is no snapshot; `crosswatch snapshot save FILE` writes one"),
        (b"{\"format\":\"crosswatch snapshot\",\"version\":9}", "it has version 9 of the format"),
        (b"{\"format\":\"crosswatch snapshot\",\"version\":1,\"at\":0", "line 1, column "),
    ] {
        std::fs::write(&file, content).expect("a file");
        for arguments in [&["plan", "--offline", &name][..], &["snapshot", "show", &name]] {
            let output = elsewhere(folder.path(), arguments);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.starts_with(&format!("crosswatch: {name}: {said}")), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
    // Sparse: it takes no room, and nobody reads it to its end.
    std::fs::File::create(&file).and_then(|file| file.set_len(1 << 40)).expect("a file");
    let error = text(&elsewhere(folder.path(), &["plan", "--offline", &name]).stderr);
    assert!(error.contains("it is larger than 256 MiB"), "{error}");
    let error = text(&elsewhere(folder.path(), &["snapshot", "show", "nowhere"]).stderr);
    assert!(error.starts_with("crosswatch: nowhere: No such file"), "{error}");
}
