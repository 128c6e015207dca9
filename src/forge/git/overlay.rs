//! A repository in which some branches are what they would be with changes merged into them.
//!
//! That is how the changes of a candidate reach the workspace's tool, whatever tool it is: it fetches
//! the branch that it always fetches. Nothing has to be spelled in the tool's own words, and what it
//! exports then names the branch and not the change.
//!
//! Such a repository is a list of refs and the way to the objects of another one. Only merges are
//! objects of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crosswatch_core::model::identity::{Name, Oid};
use crosswatch_core::model::time::Span;
use tokio_util::sync::CancellationToken;

use super::GitError;
use super::remote::failed;
use super::url::{Way, way};
use crate::supervise::{Ended, Limits, Outcome, Run, Supervisor};

const DEADLINE: Span = Span::minutes(10);
const MAX_OUTPUT: usize = 64 << 20;

/// The folder of a repository on this machine, if `url` names one.
pub fn local(url: &str) -> Option<PathBuf> {
    let Ok(Way::Local { path }) = way(url) else { return None };
    // As git does where the ending is left out.
    [path.clone(), format!("{path}.git")].into_iter().map(PathBuf::from).find(|path| path.is_dir())
}

/// Makes the repository `into` above the one in `of`: with `heads` in the place of branches, merged
/// with what they have where that goes without a conflict.
pub(super) async fn make(
    supervisor: &Supervisor,
    of: &Path,
    into: &Path,
    heads: &BTreeMap<Name, Oid>,
    cancel: &CancellationToken,
) -> Result<(), GitError> {
    let git = Git { supervisor, of, into, cancel };
    let mut refs = git.refs().await?;
    let head = git.head().await?;
    let sha256 = heads.values().next().is_some_and(|head| head.as_bytes().len() == 32);
    git.write(&head, sha256, &refs)?;
    for (branch, head) in heads {
        let name = format!("refs/heads/{branch}");
        let merged = match refs.get(&name) {
            Some(base) => git.merged(*base, *head).await?,
            None => *head,
        };
        refs.insert(name, merged);
    }
    git.write(&head, sha256, &refs)
}

struct Git<'a> {
    supervisor: &'a Supervisor,
    of: &'a Path,
    into: &'a Path,
    cancel: &'a CancellationToken,
}

impl Git<'_> {
    async fn refs(&self) -> Result<BTreeMap<String, Oid>, GitError> {
        let words = ["for-each-ref", "--format=%(objectname) %(refname)"];
        let text = self.said(self.of, &words).await?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.filter_map(|(oid, name)| Some((name.to_owned(), oid.parse().ok()?))).collect())
    }

    async fn head(&self) -> Result<String, GitError> {
        let ended = self.run(self.of, &["symbolic-ref", "HEAD"]).await;
        match ended.outcome {
            Outcome::Finished(0) => Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned()),
            // It is on no branch.
            Outcome::Finished(_) => Ok("refs/heads/main".to_owned()),
            _ => Err(failed("git symbolic-ref", &self.shown(), ended)),
        }
    }

    /// `head` with all that `base` has; `head` alone where they conflict, as its builds have it.
    async fn merged(&self, base: Oid, head: Oid) -> Result<Oid, GitError> {
        let (base_text, head_text) = (base.to_string(), head.to_string());
        let contains = ["merge-base", "--is-ancestor", &base_text, &head_text];
        match self.run(self.into, &contains).await {
            Ended { outcome: Outcome::Finished(0), .. } => return Ok(head),
            Ended { outcome: Outcome::Finished(1), .. } => {}
            ended => return Err(failed("git merge-base", &self.shown(), ended)),
        }
        let ended =
            self.run(self.into, &["merge-tree", "--write-tree", &base_text, &head_text]).await;
        let tree = match ended.outcome {
            Outcome::Finished(0) => String::from_utf8_lossy(&ended.stdout).trim().to_owned(),
            // A conflict, or histories that have nothing to do with each other.
            Outcome::Finished(1 | 128) => return Ok(head),
            _ => return Err(failed("git merge-tree", &self.shown(), ended)),
        };
        let words = ["commit-tree", &tree, "-p", &base_text, "-p", &head_text, "-m", "Candidate"];
        let text = self.said(self.into, &words).await?;
        text.trim().parse().map_err(|why| self.broken(why))
    }

    fn write(
        &self,
        head: &str,
        sha256: bool,
        refs: &BTreeMap<String, Oid>,
    ) -> Result<(), GitError> {
        let objects = [self.of.join("objects"), self.of.join(".git/objects")];
        let objects = objects.into_iter().find(|folder| folder.is_dir());
        let objects = objects.ok_or_else(|| self.broken("it has no objects".to_owned()))?;
        let config = match sha256 {
            true => {
                "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
            }
            false => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
        };
        let serves = "[uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = true\n\
                      [receive]\n\thideRefs = refs\n";
        let mut packed = String::new();
        for (name, oid) in refs {
            writeln!(packed, "{oid} {name}").map_err(|error| self.broken(error.to_string()))?;
        }
        let file = |name: &str, text: String| std::fs::write(self.into.join(name), text);
        std::fs::create_dir_all(self.into.join("objects/info"))
            .and_then(|()| std::fs::create_dir_all(self.into.join("refs")))
            .and_then(|()| file("objects/info/alternates", format!("{}\n", objects.display())))
            .and_then(|()| file("config", format!("{config}{serves}")))
            .and_then(|()| file("packed-refs", packed))
            .and_then(|()| file("HEAD", format!("ref: {head}\n")))
            .map_err(|error| self.broken(error.to_string()))
    }

    async fn said(&self, dir: &Path, words: &[&str]) -> Result<String, GitError> {
        let ended = self.run(dir, words).await;
        match ended.outcome.success() && !ended.stdout_truncated {
            true => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
            false => {
                let what = format!("git {}", words.first().copied().unwrap_or_default());
                Err(failed(&what, &self.shown(), ended))
            }
        }
    }

    async fn run(&self, dir: &Path, words: &[&str]) -> Ended {
        let path = dir.display().to_string();
        let before = ["git", "-c", "safe.directory=*", "-c", "gc.auto=0", "-C", &path];
        let mut run = Run::new(before.iter().chain(words).map(|word| (*word).to_owned()), "/");
        run.limits = Limits { wall: DEADLINE, grace: Span(1000), ..Limits::default() };
        run.capture = Some(MAX_OUTPUT);
        for (key, value) in [("LC_ALL", "C"), ("GIT_NO_LAZY_FETCH", "1")] {
            run.env.insert(key.to_owned(), value.to_owned());
        }
        for who in ["AUTHOR", "COMMITTER"] {
            // The same merge is the same commit, whenever it is made.
            run.env.insert(format!("GIT_{who}_NAME"), "crosswatch".to_owned());
            run.env.insert(format!("GIT_{who}_EMAIL"), "crosswatch@localhost".to_owned());
            run.env.insert(format!("GIT_{who}_DATE"), "1000000000 +0000".to_owned());
        }
        self.supervisor.run(run, self.cancel).await
    }

    fn shown(&self) -> String {
        self.of.display().to_string()
    }

    fn broken(&self, why: String) -> GitError {
        GitError::Mirror { path: self.into.display().to_string(), why }
    }
}
