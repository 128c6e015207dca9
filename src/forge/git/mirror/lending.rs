//! What is lent to a run: mirrors as they are, or with changes in the place of branches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crosswatch_core::model::identity::{Name, Oid};
use tokio_util::sync::CancellationToken;

use super::super::GitError;
use super::super::instead::{self, Lent, Rule};
use super::super::overlay;
use super::{Held, SharedMirrors};

impl SharedMirrors {
    /// Has `heads` in the place of branches, above a mirror or a repository on this machine, in a new
    /// repository `into`.
    pub async fn with_heads(
        &self,
        of: &Path,
        into: &Path,
        heads: &BTreeMap<Name, Oid>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        overlay::make(&self.supervisor, of, into, heads, cancel).await
    }

    /// Lends repositories to a sandbox, each in the place of its addresses; `behind` are mirrors that
    /// they get their objects from.
    pub fn lend_to_sandbox(
        &self,
        shown: Vec<(PathBuf, BTreeSet<String>)>,
        behind: Vec<Held>,
        others: &BTreeSet<String>,
    ) -> Result<Lent, GitError> {
        let rules: Vec<Rule> = shown
            .into_iter()
            .map(|(mirror, addresses)| Rule { mirror, addresses: fit(addresses) })
            .collect();
        let mut lent = self.lend_rules(rules, others)?;
        lent.mirrors.extend(behind.iter().map(|held| held.dir.clone()));
        lent._leases = behind.into_iter().map(|held| held.lease).collect();
        Ok(lent)
    }

    /// Lends `held` to a run. Each mirror stands for its addresses; `others` are those of repositories
    /// that are known and not lent.
    pub fn lend(
        &self,
        held: Vec<(Held, BTreeSet<String>)>,
        others: &BTreeSet<String>,
    ) -> Result<Lent, GitError> {
        if held.is_empty() {
            return Ok(Lent::default());
        }
        let mut rules = Vec::new();
        for (held, addresses) in &held {
            rules.push(Rule { mirror: held.dir.clone(), addresses: fit(addresses.clone()) });
        }
        let mut lent = self.lend_rules(rules, others)?;
        lent._leases = held.into_iter().map(|(held, _)| held.lease).collect();
        Ok(lent)
    }

    fn lend_rules(&self, rules: Vec<Rule>, others: &BTreeSet<String>) -> Result<Lent, GitError> {
        let folder = self.root.join("use");
        let others = fit(others.clone());
        let config = instead::write(&folder, &instead::config(&rules, &others)).map_err(|e| {
            GitError::Mirror { path: folder.display().to_string(), why: e.to_string() }
        })?;
        let mirrors = rules.into_iter().map(|rule| rule.mirror).collect();
        Ok(Lent { config: Some(config), mirrors, ..Lent::default() })
    }
}

fn fit(addresses: BTreeSet<String>) -> BTreeSet<String> {
    addresses.into_iter().filter(|address| instead::is_fit(address)).collect()
}
