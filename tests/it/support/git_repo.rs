//! Real repositories for tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs git in `dir`, with fixed names and times, and gives its output.
#[expect(clippy::disallowed_methods, reason = "tests build their repositories themselves")]
pub fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]);
    command.arg("-C").arg(dir).args(args).stdin(Stdio::null());
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@b");
        command.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
    }
    let output = command.output().expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes an empty bare repository `name` below `root`.
pub fn bare(root: &Path, name: &str) -> PathBuf {
    let dir = root.join(name);
    std::fs::create_dir_all(&dir).expect("a folder");
    git(&dir, &["init", "-q", "--bare"]);
    git(&dir, &["config", "uploadpack.allowFilter", "true"]);
    dir
}

/// Commits an empty tree with `message` on top of `parents` and points `name` at it.
pub fn commit(dir: &Path, name: &str, message: &str, parents: &[&str]) -> String {
    let tree = git(dir, &["mktree"]);
    let mut args = vec!["commit-tree", "-m", message];
    for parent in parents {
        args.extend(["-p", parent]);
    }
    args.push(&tree);
    let oid = git(dir, &args);
    git(dir, &["update-ref", name, &oid]);
    oid
}
