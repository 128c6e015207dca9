//! The git configuration by which a workspace's own git reads mirrors instead of servers.
//!
//! `url.MIRROR.insteadOf` and not alternates: whatever a clone or fetch gets through it is copied into
//! the checkout, which is whole when the mirror is gone; what the checkout remembers is the server's
//! address; and the server is not asked at all. A checkout with alternates would break when the
//! mirror drops an object, and would still ask the server for every workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Git takes a rule for the beginning of an address. What must not be taken for a repository whose
/// name merely begins like it gets a longer rule, which wins: `x.git` begins `x.github.io`.
const AFTER_ENDING: [&str; 1] = ["h"];
/// The same for addresses without `.git`: `x` begins `x-tools`, `x_msgs` and `x.js`.
const AFTER_NAME: [&str; 3] = ["-", "_", "."];

/// One mirror with the addresses that it stands for.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) mirror: PathBuf,
    pub(super) addresses: BTreeSet<String>,
}

/// A git configuration in which `rules` hold and `others`, which are not mirrored, stay themselves.
/// Pushes go to the address as it was written.
pub(super) fn config(rules: &[Rule], others: &BTreeSet<String>) -> String {
    // A submodule may be mirrored too, and git refuses local paths there unless told otherwise.
    let mut text = "[protocol \"file\"]\n\tallow = always\n".to_owned();
    let all: BTreeSet<&str> =
        rules.iter().flat_map(|rule| &rule.addresses).map(String::as_str).collect();
    let mut same: BTreeSet<String> =
        others.iter().filter(|address| begins(&all, address)).cloned().collect();
    for rule in rules {
        let url = format!("file://{}", rule.mirror.display().to_string().replace('%', "%25"));
        text.push_str(&format!("[url \"{}\"]\n", quoted(&url)));
        for address in &rule.addresses {
            text.push_str(&format!("\tinsteadOf = \"{}\"\n", quoted(address)));
            let after: &[&str] =
                if address.ends_with(".git") { &AFTER_ENDING } else { &AFTER_NAME };
            same.extend(after.iter().map(|more| format!("{address}{more}")));
        }
    }
    for address in &same {
        let address = quoted(address);
        text.push_str(&format!("[url \"{address}\"]\n\tinsteadOf = \"{address}\"\n"));
    }
    for address in all {
        let address = quoted(address);
        text.push_str(&format!("[url \"{address}\"]\n\tpushInsteadOf = \"{address}\"\n"));
    }
    text
}

/// Whether one of `all` is the beginning of `address`.
fn begins(all: &BTreeSet<&str>, address: &str) -> bool {
    let mut ends = address.char_indices().map(|(end, _)| end);
    ends.any(|end| address.get(..end).is_some_and(|part| all.contains(part)))
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Whether an address can stand in the configuration: no secret, nothing that ends a line.
pub(super) fn is_fit(address: &str) -> bool {
    let secret = address.starts_with("http") && address.contains('@');
    !secret && !address.is_empty() && !address.chars().any(char::is_control)
}

/// Mirrors lent to one run, which are not removed while this lives. The default lends nothing.
#[derive(Clone, Default)]
pub struct Lent {
    pub(super) config: Option<PathBuf>,
    pub(super) mirrors: Vec<PathBuf>,
    pub(super) _leases: Vec<Arc<()>>,
    pub(super) ended: Option<Arc<dyn Fn(bool) + Send + Sync>>,
}

impl Lent {
    /// Adds the git configuration to the environment of the run, behind what it has of its own.
    pub fn extend(&self, env: &mut BTreeMap<String, String>) {
        let Some(config) = &self.config else { return };
        let count = env.get("GIT_CONFIG_COUNT").and_then(|text| text.parse::<usize>().ok());
        let count = count.unwrap_or(0);
        env.insert(format!("GIT_CONFIG_KEY_{count}"), "include.path".to_owned());
        env.insert(format!("GIT_CONFIG_VALUE_{count}"), config.display().to_string());
        env.insert("GIT_CONFIG_COUNT".to_owned(), count.saturating_add(1).to_string());
    }

    /// What a sandbox has to show, read-only, for that configuration to work.
    pub fn readable(&self) -> Vec<PathBuf> {
        self.config.iter().chain(&self.mirrors).cloned().collect()
    }

    /// The mirrors, by their folders.
    pub fn mirrors(&self) -> &[PathBuf] {
        &self.mirrors
    }

    /// Says how the run ended that it was lent to.
    pub fn ended(self, succeeded: bool) {
        if let Some(ended) = &self.ended {
            ended(succeeded);
        }
    }

    /// Tells `ended` how the run ended.
    #[must_use]
    pub fn telling(mut self, ended: Arc<dyn Fn(bool) + Send + Sync>) -> Self {
        self.ended = Some(ended);
        self
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, mirrors, .. } = self;
        f.debug_struct("Lent").field("config", config).field("mirrors", mirrors).finish()
    }
}

/// Writes a configuration below `folder` under a name of its content, so that none ever changes
/// under a git that reads it.
pub(super) fn write(folder: &Path, text: &str) -> std::io::Result<PathBuf> {
    let name = blake3::hash(text.as_bytes()).to_hex();
    let path = folder.join(format!("{name}.gitconfig"));
    std::fs::create_dir_all(folder)?;
    let new = tempfile::NamedTempFile::new_in(folder)?;
    std::fs::write(new.path(), text)?;
    new.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_addresses_are_taken_and_pushes_stay() {
        let addresses = ["https://h/a/x.git", "https://h/a/y"].map(str::to_owned).into();
        let rule = Rule { mirror: "/m/100%.git".into(), addresses };
        let others = ["https://h/a/y2", "https://h/b"].map(str::to_owned).into();
        let text = config(&[rule], &others);
        let has = |line: &str| assert!(text.contains(line), "{line}\n{text}");
        has("[url \"file:///m/100%25.git\"]\n\tinsteadOf = \"https://h/a/x.git\"");
        has("[url \"https://h/a/x.gith\"]\n\tinsteadOf = \"https://h/a/x.gith\"");
        has("[url \"https://h/a/y2\"]\n\tinsteadOf = \"https://h/a/y2\"");
        has("[url \"https://h/a/y-\"]\n\tinsteadOf = \"https://h/a/y-\"");
        has("[url \"https://h/a/x.git\"]\n\tpushInsteadOf = \"https://h/a/x.git\"");
        assert!(!text.contains("https://h/b"), "what nothing begins needs no rule");
    }

    #[test]
    fn secrets_and_line_ends_never_get_into_the_configuration() {
        assert!(is_fit("git@h:a/b.git") && is_fit("https://h/a"));
        assert!(!is_fit("https://token@h/a") && !is_fit("https://h/a\n[core]"));
    }

    #[test]
    fn the_runs_own_git_configuration_is_kept() {
        let lent = Lent { config: Some("/c".into()), ..Lent::default() };
        let mut env = BTreeMap::from([("GIT_CONFIG_COUNT".to_owned(), "2".to_owned())]);
        lent.extend(&mut env);
        assert_eq!(env.get("GIT_CONFIG_COUNT").map(String::as_str), Some("3"));
        assert_eq!(env.get("GIT_CONFIG_VALUE_2").map(String::as_str), Some("/c"));
        let mut env = BTreeMap::new();
        Lent::default().extend(&mut env);
        assert!(env.is_empty());
    }
}
