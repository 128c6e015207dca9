//! Repositories with changes in the place of branches.

use std::collections::BTreeMap;
use std::path::Path;

use crosswatch::clock::Clock;
use crosswatch::forge::git::{SharedMirrors, local};
use crosswatch_core::model::identity::Name;
use tokio_util::sync::CancellationToken;

use crate::support::git_repo::{bare, git};
use crate::support::supervisor;

/// A commit of one file beside what its parent has.
fn write(dir: &Path, parent: Option<&str>, path: &str, text: &str) -> String {
    let file = dir.join("text");
    std::fs::write(&file, text).expect("a file");
    let blob = git(dir, &["hash-object", "-w", &file.display().to_string()]);
    match parent {
        Some(parent) => git(dir, &["read-tree", parent]),
        None => git(dir, &["read-tree", "--empty"]),
    };
    git(dir, &["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    let tree = git(dir, &["write-tree"]);
    let mut words = vec!["commit-tree", "-m", path, &tree];
    words.extend(parent.into_iter().flat_map(|parent| ["-p", parent]));
    git(dir, &words)
}

#[tokio::test]
async fn a_change_stands_in_the_place_of_its_base_merged_where_that_goes() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = bare(root.path(), "a.git");
    let first = write(&dir, None, "shared", "1");
    let main = write(&dir, Some(&first), "later", "x");
    git(&dir, &["update-ref", "refs/heads/main", &main]);
    git(&dir, &["update-ref", "refs/heads/other", &first]);
    git(&dir, &["symbolic-ref", "HEAD", "refs/heads/main"]);
    git(&dir, &["tag", "v1", &first]);
    let rows = [
        (
            "behind its base",
            write(&dir, Some(&first), "mine", "y"),
            vec!["later", "mine", "shared"],
        ),
        ("on its base", write(&dir, Some(&main), "mine", "y"), vec!["later", "mine", "shared"]),
        ("in conflict", write(&dir, Some(&first), "later", "z"), vec!["later", "shared"]),
        ("of another history", write(&dir, None, "alone", "z"), vec!["alone"]),
    ];
    let mirrors = SharedMirrors::new(supervisor(), root.path().join("m"), Clock::system());
    let never = CancellationToken::new();
    for (number, (what, head, files)) in rows.iter().enumerate() {
        let into = root.path().join(format!("{number}.git"));
        let heads = BTreeMap::from([(Name::from("main"), head.parse().expect("an oid"))]);
        mirrors.with_heads(&dir, &into, &heads, &never).await.expect(what);
        let clone = root.path().join(format!("clone-{number}"));
        let url = format!("file://{}", into.display());
        git(root.path(), &["clone", "-q", &url, &clone.display().to_string()]);
        let listed = git(&clone, &["ls-tree", "--name-only", "HEAD"]);
        assert_eq!(listed.lines().collect::<Vec<_>>(), *files, "{what}");
        git(&clone, &["merge-base", "--is-ancestor", head, "HEAD"]);
        assert_eq!(git(&clone, &["rev-parse", "origin/other"]), first, "{what}");
        assert_eq!(git(&clone, &["rev-parse", "v1"]), first, "{what}");
        let own = if *what == "in conflict" { "z" } else { "x" };
        if files.contains(&"later") {
            assert_eq!(git(&clone, &["show", "HEAD:later"]), own, "{what}");
        }
    }
    assert_eq!(git(&dir, &["rev-parse", "refs/heads/main"]), main, "the repository itself stays");
    assert_eq!(local(&format!("file://{}/a", root.path().display())), Some(dir));
    assert_eq!(local("https://example.org/a"), None);
}
