//! Owner and name of a repository, as they may stand in an address or a query.

use crosswatch_core::model::identity::RepositoryId;

use super::failure::{Failure, Reason};

/// Longest part that is believed.
const LONGEST: usize = 100;

/// `owner/name`, of characters that need no escape anywhere.
pub(super) fn of(repository: &RepositoryId) -> Result<String, Failure> {
    parts(repository).map(|(owner, name)| format!("{owner}/{name}"))
}

/// Owner and name.
pub(super) fn parts(repository: &RepositoryId) -> Result<(&str, &str), Failure> {
    let found =
        repository.path.split_once('/').filter(|(owner, name)| is_part(owner) && is_part(name));
    found.ok_or_else(|| {
        let why = format!("{repository}: a repository of GitHub is written OWNER/NAME");
        Failure::new(Reason::NotFound, why)
    })
}

/// Whether it may be an owner or a name.
pub(super) fn is_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !matches!(part, "" | "." | "..") && part.len() <= LONGEST && part.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owner_and_name_are_asked_for() {
        let path = |path: &str| of(&RepositoryId::new("github.com", path)).ok();
        assert_eq!(path("rock-core/base-types"), Some("rock-core/base-types".to_owned()));
        assert_eq!(path("a/.github"), Some("a/.github".to_owned()));
        for wrong in ["", "a", "a/", "/b", "a/b/c", "a/..", "./b", "a/b?x", "a/b#c", "a/b\"", "a/é"]
        {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }
}
