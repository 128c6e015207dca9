//! Workspaces read the daemon's mirrors: one push is fetched once, whatever happens to the mirrors.

use std::path::{Path, PathBuf};

use crate::support::eventually;
use crate::support::git_http::GitHttpServer;
use crate::support::git_repo::git;
use crate::support::site::Site;

/// Workspaces whose update clones or pulls `types` and `drivers` with git, after any push.
fn configure(site: &Site, url: &str, forge: &str, workspaces: &[&str]) {
    let update = format!(
        "git pull -q --ff-only && for p in types drivers; do if [ -d $p ]; then git -C $p pull -q \
         --ff-only || exit 1; else git clone -q {url}/$p.git || exit 1; fi; done"
    );
    site.configure(url, &site.local_ci("true"), &[]);
    let path = site.path().join("workspaces.yaml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let text = text.replace("    authors: any\n", &format!("    authors: any\n{forge}"));
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("update: {run")).collect();
    let mut text = lines.join("\n").replace(
        "  manifest:",
        &format!(
            "  mirror: on\n  update: {{run: [sh, -c, '{update}'], on: any, timeout: 1m}}\n  manifest:"
        ),
    );
    text.push('\n');
    for name in workspaces {
        text.push_str(&format!("  - name: {name}\n"));
    }
    site.write_config(&text);
}

fn checkout(site: &Site, workspace: &str, name: &str) -> PathBuf {
    site.state().join("workspaces").join(workspace).join(name)
}

async fn have(site: &Site, workspaces: &[&str], name: &str, head: &str) {
    for workspace in workspaces {
        let dir = checkout(site, workspace, name);
        eventually(&format!("{workspace} has {name} at {head}:\n{}", site.log()), async || {
            dir.join(".git/refs/heads/main").exists() && git(&dir, &["rev-parse", "HEAD"]) == head
        })
        .await;
    }
}

fn mirrors(site: &Site) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(site.state().join("mirrors")).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mirrors = paths.filter(|path| path.extension().is_some_and(|ending| ending == "git"));
    // One that is just being made has no branch yet.
    mirrors
        .filter(|dir| {
            let packed = std::fs::read_to_string(dir.join("packed-refs")).unwrap_or_default();
            dir.join("refs/heads/main").exists() || packed.contains("refs/heads/main")
        })
        .collect()
}

/// Files below `dir` that hold `text`.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn one_push_is_fetched_once_for_all_workspaces() {
    let site = Site::new();
    let server = GitHttpServer::start(&site.git_root()).await;
    site.manifest(&server.url, &[("types", &[]), ("drivers", &["types"])]);
    let all = ["one", "two", "three", "four", "five", "six"];
    configure(&site, &server.url, "", &all);
    let daemon = site.start().await;
    site.settled(&all).await;
    eventually("mirrors of three repositories", async || mirrors(&site).len() == 3).await;
    for name in ["first push", "second push"] {
        let before = server.counts().fetch;
        let head = site.push("types", name);
        have(&site, &all, "types", &head).await;
        let fetched = server.counts().fetch - before;
        assert_eq!(fetched, 1, "packs that one push cost:\n{}", site.log());
    }
    // The checkouts know the server alone and are whole without the mirrors.
    drop(daemon);
    std::fs::remove_dir_all(site.state().join("mirrors")).expect("removed");
    for workspace in all {
        let dir = checkout(&site, workspace, "types");
        let origin = git(&dir, &["config", "remote.origin.url"]);
        assert_eq!(origin, format!("{}/types.git", server.url));
        git(&dir, &["fsck", "--full"]);
        git(&dir, &["fetch", "-q"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_needed_a_token_keeps_it_from_every_file_and_run() {
    let site = Site::new();
    let server = GitHttpServer::start(&site.git_root()).await;
    // Basic authentication of `x-access-token:mirror-canary`.
    server.require(Some("Basic eC1hY2Nlc3MtdG9rZW46bWlycm9yLWNhbmFyeQ=="));
    let token = site.path().join("token");
    std::fs::write(&token, "mirror-canary\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, mode).expect("a mode");
    site.manifest(&server.url, &[("types", &[]), ("drivers", &["types"])]);
    let forge = format!("    token: {{file: {}}}\n", token.display());
    configure(&site, &server.url, &forge, &["one"]);
    let _daemon = site.start().await;
    // Its commands have no credential: they get there through the mirror alone.
    eventually(&format!("the source is cloned:\n{}", site.log()), async || {
        checkout(&site, "one", "manifest.json").exists()
    })
    .await;
    let found = holding(&site.state(), "mirror-canary");
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_impossible_mirrors_stop_no_update() {
    let site = Site::new();
    let server = GitHttpServer::start(&site.git_root()).await;
    site.manifest(&server.url, &[("types", &[]), ("drivers", &["types"])]);
    configure(&site, &server.url, "", &["one", "two"]);
    let _daemon = site.start().await;
    site.settled(&["one", "two"]).await;
    eventually("mirrors of three repositories", async || mirrors(&site).len() == 3).await;
    let of = |name: &str| {
        let head = git(&site.repo(name), &["rev-parse", "refs/heads/main"]);
        let all = mirrors(&site);
        let mirror = all.into_iter().find(|mirror| git(mirror, &["rev-parse", "main"]) == head);
        mirror.expect("its mirror")
    };
    // Damage that a fetch meets: the mirror is made again.
    std::fs::write(of("types").join("config"), "[garbage\n").expect("written");
    let head = site.push("types", "after the damage");
    have(&site, &["one", "two"], "types", &head).await;
    assert!(site.log().contains("a damaged mirror is made again"), "{}", site.log());
    // Damage that only a reader meets: it goes without.
    let conf = of("conf");
    std::fs::write(conf.join("packed-refs"), "garbage\n").expect("written");
    std::fs::write(conf.join("config"), "[garbage\n").expect("written");
    let head = site.push("types", "after more damage");
    eventually("an update fails", async || {
        site.ask(&["workspaces"]).is_some_and(|rows| rows.to_string().contains("exited with code"))
    })
    .await;
    for name in ["one", "two"] {
        site.cli(&["update", name]);
    }
    have(&site, &["one", "two"], "types", &head).await;
    std::fs::remove_dir_all(site.state().join("mirrors")).expect("removed");
    std::fs::write(site.state().join("mirrors"), "no folder").expect("written");
    let head = site.push("types", "without mirrors");
    have(&site, &["one", "two"], "types", &head).await;
    let rows = site.ask(&["workspaces"]).expect("an answer").to_string();
    assert!(!rows.contains("failed"), "{rows}");
}
