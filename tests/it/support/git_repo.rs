//! Real repositories for tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs git in `dir`, with fixed names and times, and gives its output.
pub fn git(dir: &Path, args: &[&str]) -> String {
    git_with(dir, args, &[])
}

#[expect(clippy::disallowed_methods, reason = "tests build their repositories themselves")]
fn git_with(dir: &Path, args: &[&str], environment: &[(&str, &Path)]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]);
    command.arg("-C").arg(dir).args(args).stdin(Stdio::null());
    command.envs(environment.iter().copied());
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

/// Commits these files (path and content) with nothing else beside them.
pub fn commit_files(dir: &Path, name: &str, files: &[(&str, &str)], parents: &[&str]) -> String {
    let index = dir.join("index-of-a-test");
    std::fs::remove_file(&index).ok();
    let source = dir.join("content-of-a-test");
    let with = |args: &[&str]| git_with(dir, args, &[("GIT_INDEX_FILE", &index)]);
    for (path, content) in files {
        std::fs::write(&source, content).expect("a file");
        let blob = git(dir, &["hash-object", "-w", &source.display().to_string()]);
        with(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    }
    let tree = with(&["write-tree"]);
    let mut args = vec!["commit-tree", "-m", "files"];
    for parent in parents {
        args.extend(["-p", parent]);
    }
    args.push(&tree);
    let oid = git(dir, &args);
    git(dir, &["update-ref", name, &oid]);
    oid
}
