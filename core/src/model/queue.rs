//! Entries of a forge's merge queue, as the branches that it makes for them.

use std::fmt;
use std::str::FromStr;

use super::identity::{ChangeId, Name, Oid, RepositoryId};

/// What GitHub begins the names of such branches with.
pub(super) const FOLDER: &str = "gh-readonly-queue/";

/// Whether a forge's queue made that branch: it is nobody's base, source or mainline.
pub fn made_by_queue(branch: &str) -> bool {
    branch.starts_with(FOLDER)
}

/// Base, last change and commit below of a queue's branch.
pub(super) fn queued(branch: &str) -> Option<(&str, u64, Oid)> {
    let (base, last) = branch.strip_prefix(FOLDER)?.rsplit_once("/pr-")?;
    let (number, on) = last.split_once('-')?;
    let (number, on) = (number.parse().ok().filter(|number| *number > 0)?, on.parse().ok()?);
    // One branch, one entry: what is written in another way is not GitHub's.
    (!base.is_empty() && written(base, number, on) == branch).then_some((base, number, on))
}

/// The name of a queue's branch with another base in it; nothing for another branch.
pub fn with_base(branch: &str, base: impl FnOnce(&Name) -> Name) -> Option<Name> {
    let (old, number, on) = queued(branch)?;
    Some(Name::from(written(&base(&Name::from(old)), number, on)))
}

fn written(base: &str, number: u64, on: Oid) -> String {
    format!("{FOLDER}{base}/pr-{number}-{on}")
}

/// An entry of a merge queue: a branch `gh-readonly-queue/BASE/pr-N-COMMIT` with everything that is
/// queued for `BASE` up to change `N`, on top of `COMMIT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId {
    /// Where the queue is.
    pub repository: RepositoryId,
    /// The branch that it is for.
    pub base: Name,
    /// The last change in it.
    pub number: u64,
    /// What it was put on: the head of the entry before it, or of the base.
    pub on: Oid,
}

impl QueueId {
    /// The entry that a branch is for, if it is one of a queue.
    pub fn of(repository: &RepositoryId, branch: &str) -> Option<Self> {
        let (base, number, on) = queued(branch)?;
        Some(Self { repository: repository.clone(), base: Name::from(base), number, on })
    }

    /// Name of its branch.
    pub fn branch(&self) -> String {
        written(&self.base, self.number, self.on)
    }

    /// Its branch as a ref to fetch.
    pub fn ref_name(&self) -> String {
        format!("refs/heads/{}", self.branch())
    }

    /// The last change in it.
    pub fn change(&self) -> ChangeId {
        self.repository.change(self.number)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.branch())
    }
}

impl FromStr for QueueId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Forges with queues have no `@` in the names of repositories.
        text.split_once('@')
            .and_then(|(repository, branch)| Self::of(&repository.parse().ok()?, branch))
            .ok_or_else(|| format!("{text:?} is no entry of a merge queue, such as FORGE/owner/name@{FOLDER}main/pr-12-COMMIT"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::Subject;
    use super::*;

    const ON: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn an_entry_survives_its_own_writing_and_is_no_change() {
        for base in ["main", "release/1.x", "a/pr-7-b", "x@y"] {
            let text = format!("github.com/o/a@gh-readonly-queue/{base}/pr-12-{ON}");
            let Ok(Subject::Queue(id)) = text.parse::<Subject>() else { panic!("{text}") };
            assert_eq!((&*id.base, id.number, id.on.to_string()), (base, 12, ON.to_owned()));
            assert_eq!(Subject::Queue(id.clone()).to_string(), text);
            assert_eq!(id.ref_name(), format!("refs/heads/gh-readonly-queue/{base}/pr-12-{ON}"));
            assert_eq!(id.change().to_string(), "github.com/o/a#12");
        }
    }

    #[test]
    fn other_branches_are_no_entries() {
        let repository = RepositoryId::new("github.com", "o/a");
        for branch in [
            "main".to_owned(),
            format!("queue/main/pr-1-{ON}"),
            format!("gh-readonly-queue/pr-1-{ON}"),
            format!("gh-readonly-queue//pr-1-{ON}"),
            format!("gh-readonly-queue/main/pr-0-{ON}"),
            format!("gh-readonly-queue/main/pr-01-{ON}"),
            format!("gh-readonly-queue/main/pr-1-{}", ON.to_uppercase()),
            "gh-readonly-queue/main/pr-1-0123".to_owned(),
            format!("gh-readonly-queue/main/pr-1-{ON}/more"),
        ] {
            assert_eq!(QueueId::of(&repository, &branch), None, "{branch}");
        }
        let change = "mirror/a@gh-readonly-queue/main/x#3".parse::<Subject>();
        assert!(matches!(change, Ok(Subject::Change(_))), "a path of plain git may be anything");
    }
}
