//! Reads branches and changes out of a plain list of refs.

use std::collections::BTreeMap;

use crosswatch_core::model::change::{Listing, OpenRef};
use crosswatch_core::model::identity::Name;

use super::RefList;

const HEADS: &str = "refs/heads/";

/// Which refs are changes and what they want to be merged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingRules {
    /// Names of refs with one `*` where the number stands.
    pub patterns: Vec<String>,
    /// The base of every change whose own refs do not say another.
    pub base: Option<Name>,
}

impl Default for ListingRules {
    fn default() -> Self {
        let patterns = ["refs/pull/*/head", "refs/merge-requests/*/head"];
        Self { patterns: patterns.map(str::to_owned).to_vec(), base: None }
    }
}

impl ListingRules {
    /// The beginnings of names to ask a server for.
    pub fn prefixes(&self) -> Vec<String> {
        let mut prefixes = vec![HEADS.to_owned()];
        for pattern in &self.patterns {
            prefixes.extend(pattern.split_once('*').map(|(before, _)| before.to_owned()));
        }
        prefixes.sort();
        prefixes.dedup();
        prefixes
    }
}

/// Branches and changes of `refs`. Of two refs with one number the first pattern's counts.
pub fn listing(refs: &RefList, rules: &ListingRules) -> Listing {
    let default_branch = refs.head_symref.as_deref().and_then(branch);
    let branches = refs
        .refs
        .iter()
        .filter_map(|(name, oid)| Some((branch(name)?, *oid)))
        .collect::<BTreeMap<_, _>>();
    let mut changes = BTreeMap::new();
    for pattern in &rules.patterns {
        let Some((before, after)) = pattern.split_once('*') else { continue };
        for (name, head) in refs.refs.range(before.to_owned()..) {
            let Some(rest) = name.strip_prefix(before) else { break };
            let Some(number) = rest.strip_suffix(after).and_then(number) else { continue };
            let sibling = |last: &str| {
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{last}")
            };
            let said = refs.symrefs.get(&sibling("base")).and_then(|target| branch(target));
            changes.entry(number).or_insert_with(|| OpenRef {
                number,
                head: *head,
                base: said.or_else(|| rules.base.clone()).or_else(|| default_branch.clone()),
                ref_name: Name::from(name.as_str()),
                // A pattern without a name of its own behind the number has no siblings.
                merge: after.starts_with('/') && refs.refs.contains_key(&sibling("merge")),
                forge: None,
            });
        }
    }
    let changes = changes.into_values().collect();
    Listing { default_branch, branches, changes, ..Listing::default() }
}

fn branch(name: &str) -> Option<Name> {
    name.strip_prefix(HEADS).filter(|short| !short.is_empty()).map(Name::from)
}

/// `012` and `+12` are other refs than `12`, which a change is found by.
fn number(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok().filter(|number| *number > 0)?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_found_by_patterns_and_bases_by_siblings() {
        let oid = "0123456789abcdef0123456789abcdef01234567".parse().expect("an oid");
        let mut refs = RefList::default();
        refs.add("HEAD", Some(oid), Some("refs/heads/main"));
        for name in [
            "refs/heads/main",
            "refs/heads/a/b",
            "refs/pull/2/head",
            "refs/pull/2/merge",
            "refs/pull/10/head",
            "refs/pull/010/head",
            "refs/pull/x/head",
            "refs/pull/0/head",
            "refs/merge-requests/2/head",
            "refs/tags/v1",
        ] {
            refs.add(name, Some(oid), None);
        }
        refs.add("refs/pull/10/base", Some(oid), Some("refs/heads/a/b"));
        let found = listing(&refs, &ListingRules::default());
        let names: Vec<_> = found.branches.keys().map(Name::as_str).collect();
        assert_eq!(names, ["a/b", "main"]);
        let changes: Vec<_> = found
            .changes
            .iter()
            .map(|one| (one.number, one.base.as_deref(), &*one.ref_name, one.merge))
            .collect();
        assert_eq!(
            changes,
            [
                (2, Some("main"), "refs/pull/2/head", true),
                (10, Some("a/b"), "refs/pull/10/head", false)
            ]
        );
        let rules = ListingRules { base: Some("next".into()), ..ListingRules::default() };
        assert_eq!(listing(&refs, &rules).changes[0].base, Some("next".into()));
        assert_eq!(rules.prefixes(), ["refs/heads/", "refs/merge-requests/", "refs/pull/"]);
    }
}
