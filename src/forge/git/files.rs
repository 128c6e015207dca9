//! Which files a change touches, by a supervised git in the mirrors that hold whole histories.

use std::collections::BTreeSet;

use crosswatch_core::model::change::Files;
use crosswatch_core::model::identity::Oid;

use super::GitError;
use super::bare::Source;
use super::commits::{Mirror, Mirrors, TREELESS};
use super::remote::failed;
use super::url::display;
use crate::supervise::Outcome;

impl Mirrors {
    /// What differs between `head` and where it left `base`, by both names where a file was renamed.
    pub async fn files(&self, source: Source<'_>, base: Oid, head: Oid) -> Result<Files, GitError> {
        let git = self.open(source, "history", &[head]).await?;
        let mut found = git.files(base, head).await;
        if git.0.made_again(found.as_ref().err()).await? {
            found = git.files(base, head).await;
        }
        found
    }
}

impl Mirror<'_> {
    async fn files(&self, base: Oid, head: Oid) -> Result<Files, GitError> {
        self.have(&BTreeSet::from([base, head])).await?;
        let (base, head) = (base.to_string(), head.to_string());
        let ended = self.0.run(self.0.git(["merge-base", &base, &head]), Vec::new()).await;
        let text = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
        let left: Oid = match text.parse() {
            Ok(oid) if ended.outcome.success() => oid,
            // Nothing in common, and nothing wrong: each file of it is another one.
            _ if ended.outcome == Outcome::Finished(1) && !self.0.dir.join("shallow").exists() => {
                return Ok(Files::TooMany);
            }
            _ => return Err(failed("git merge-base", self.0.source.url, ended)),
        };
        let left = left.to_string();
        // Without looking for renames: those would need the files' contents, and name only one of two.
        let words = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", &left, &head];
        let mut ended = self.0.run(self.0.git(words), Vec::new()).await;
        if !ended.outcome.success() {
            self.trees([&left, &head]).await?;
            ended = self.0.run(self.0.git(words), Vec::new()).await;
        }
        if !ended.outcome.success() {
            return Err(failed("git diff-tree", self.0.source.url, ended));
        }
        if ended.stdout_truncated {
            return Ok(Files::TooMany);
        }
        let names = || ended.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let texts = names().map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(Files::of(names().take(Files::MOST).count(), texts))
    }

    /// Fetches the folders of commits whose history alone is there; no contents of files.
    async fn trees(&self, commits: [&str; 2]) -> Result<(), GitError> {
        let [one, other] = commits;
        let words = self.0.git(["log", "--no-walk=unsorted", "--format=%T", one, other]);
        let ended = self.0.run(words, Vec::new()).await;
        if !ended.outcome.success() {
            return Err(failed("git log", self.0.source.url, ended));
        }
        let text = String::from_utf8_lossy(&ended.stdout);
        let trees: BTreeSet<Oid> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if trees.is_empty() {
            let (url, why) = (display(self.0.source.url), "a commit has no tree".to_owned());
            return Err(GitError::Protocol { url, why });
        }
        // Commits that we have must not be offered: what they stand for is what is missing.
        let mut settings = TREELESS.to_vec();
        settings.push("fetch.negotiationAlgorithm=noop");
        let options = ["-q", "--filter=blob:none"];
        self.0.fetch(&settings, &options, trees.iter().map(Oid::to_string).collect()).await
    }
}
