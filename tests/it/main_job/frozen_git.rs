//! A git server that stops in the middle of a pack, through the real git of an update.

use std::path::Path;

use crate::support::eventually;
use crate::support::git_http::GitHttpServer;
use crate::support::git_repo::git;
use crate::support::site::Site;

/// Processes that are in `folder` or have `text` among their arguments.
fn running(folder: &Path, text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| process.file_name() != std::process::id().to_string().as_str())
        .filter_map(|process| {
            let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            let there = std::fs::read_link(process.path().join("cwd"));
            let there = there.is_ok_and(|there| there.starts_with(folder));
            (there || arguments.contains(text)).then_some(arguments)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_freezes_ends_by_silence_and_the_next_one_works() {
    let site = Site::new();
    let server = GitHttpServer::start(&site.git_root()).await;
    site.manifest(&server.url, &[("types", &[])]);
    let ci = site.local_ci("true");
    site.configure(&server.url, &ci, &[]);
    let path = site.path().join("workspaces.yaml");
    let mut text = std::fs::read_to_string(&path).expect("the configuration");
    text.push_str(
        "  - name: one\n    update: {run: [git, pull, --ff-only], timeout: 1m, silence: 2s, grace: \
         500ms}\n",
    );
    site.write_config(&text);
    let _daemon = site.start().await;
    site.settled(&["one"]).await;

    // White space that cannot be compressed away, so that half of the pack is a real part of it.
    server.set_freeze(true);
    let noise: String = (0..1000_u16)
        .flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes())
        .flat_map(|byte| (0..8).map(move |bit| if byte >> bit & 1 == 0 { ' ' } else { '\t' }))
        .collect();
    let conf = site.repo("conf");
    let before = git(&conf, &["rev-parse", "refs/heads/main"]);
    let manifest = std::fs::read_to_string(site.path().join("manifest.json")).expect("a file");
    site.source_file(&format!("{manifest}{noise}"));
    let tree = git(&conf, &["rev-parse", "refs/heads/main^{tree}"]);
    let head = git(&conf, &["commit-tree", "-m", "noise", "-p", &before, &tree]);
    git(&conf, &["update-ref", "refs/heads/main", &head]);
    eventually("a pack stops in the middle", async || server.frozen() > 0).await;
    eventually(&format!("its end is said:\n{}", site.log()), async || {
        site.ask(&["workspaces"]).is_some_and(|rows| {
            rows.to_string().contains("wrote nothing for longer than its silence limit")
        })
    })
    .await;
    let checkout = site.state().join("workspaces/one");
    let left = running(&checkout, &format!("{}/conf.git", server.url));
    assert!(left.is_empty(), "a git of the update is left: {left:?}");

    // What a killed git may leave: the next one must not fail on it.
    server.set_freeze(false);
    assert!(site.cli(&["update", "one"]).status.success());
    eventually(&format!("the next update works:\n{}", site.log()), async || {
        git(&checkout, &["rev-parse", "HEAD"]) == head
            && site.ask(&["workspaces"]).is_some_and(|rows| rows[0]["phase"] == "ready")
    })
    .await;
}
