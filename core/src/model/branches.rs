//! Branches that were renamed: what they are called now, and what they were called first.
//!
//! Seen by comparing one look with the one before it. That a forge leads from one name to another is no
//! sign of it: GitHub leads from `master` to the default branch also where nobody renamed anything.

use std::collections::BTreeMap;

use super::change::{Listing, SourceBranch};
use super::identity::{Name, RepositoryId};
use super::queue::made_by_queue;

/// Names of one branch that are remembered.
const NAMES: usize = 8;

impl Listing {
    /// This look, with the names that branches had before it, as far as `before` knows or shows them.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        let mut former = before.former.clone();
        let gone = before.branches.keys().filter(|name| !self.branches.contains_key(*name));
        for old in gone.filter(|name| !made_by_queue(name)) {
            if let Some(new) = self.renamed(before, old) {
                let mut names = former.remove(old).unwrap_or_default();
                if !names.contains(old) {
                    names.push(old.clone());
                }
                names.truncate(NAMES);
                former.insert(new, names);
            }
        }
        // A name that is used again is another branch.
        for (present, names) in &mut former {
            names.retain(|name| name == present || !self.branches.contains_key(name));
        }
        former.retain(|present, names| {
            self.branches.contains_key(present) && names.iter().any(|name| name != present)
        });
        self.former = former;
        self
    }

    /// What a branch that is gone is called now: a name that was not there before, if all the changes
    /// that were for the old one and did not move otherwise are for it now, or if it took the place of
    /// the default branch, or if it alone has the same head.
    fn renamed(&self, before: &Self, old: &Name) -> Option<Name> {
        let new = |name: &&Name| {
            !before.branches.contains_key(*name)
                && self.branches.contains_key(*name)
                && !made_by_queue(name)
        };
        let was_for = before.changes.iter().filter(|change| change.base.as_ref() == Some(old));
        let now_for = was_for.filter_map(|was| {
            let same = self.change(was.number).filter(|now| now.head == was.head)?;
            same.base.as_ref().filter(|base| *base != old)
        });
        let mut now_for: Vec<&Name> = now_for.collect();
        now_for.sort();
        now_for.dedup();
        match now_for.as_slice() {
            [] => {}
            [one] => return Some(*one).filter(new).cloned(),
            _ => return None,
        }
        let default = |listing: &Self| listing.default_branch.clone();
        if default(before).as_ref() == Some(old) {
            return default(self).filter(|name| new(&name));
        }
        let head = before.branches.get(old);
        let twins = before
            .branches
            .iter()
            .filter(|(name, at)| Some(*at) == head && !self.branches.contains_key(*name));
        let mut same = self.branches.iter().filter(|(_, at)| Some(*at) == head);
        let mut same = same.by_ref().map(|(name, _)| name).filter(new);
        let one = same.next().filter(|_| same.next().is_none() && twins.count() == 1);
        one.cloned()
    }

    /// The first name of a branch that is there, by its own or any former name.
    pub fn oldest(&self, branch: &str) -> Option<&Name> {
        let (present, names) = self.names(branch)?;
        names.first().or(Some(present))
    }

    /// The present name of a branch, by any that it had.
    pub fn present(&self, branch: &str) -> Option<&Name> {
        self.names(branch).map(|(present, _)| present)
    }

    /// Present and former names of a branch that was renamed.
    pub fn names(&self, branch: &str) -> Option<(&Name, &[Name])> {
        let of = |(present, names): &(&Name, &Vec<Name>)| {
            present.as_str() == branch || names.iter().any(|name| name.as_str() == branch)
        };
        let found = self.former.iter().find(of);
        found.map(|(present, names)| (present, names.as_slice()))
    }

    /// The same look with each branch by its first name, wherever it is named.
    #[must_use]
    pub fn by_oldest(&self, of: &RepositoryId) -> Self {
        let oldest = |name: &Name| self.oldest(name).unwrap_or(name).clone();
        let mut listing = self.clone();
        listing.default_branch = self.default_branch.as_ref().map(oldest);
        listing.branches = self
            .branches
            .iter()
            .map(|(name, head)| (oldest(name), *head))
            .collect::<BTreeMap<_, _>>();
        for change in &mut listing.changes {
            change.base = change.base.as_ref().map(oldest);
            let source = change.forge.as_mut().and_then(|forge| forge.source.as_mut());
            if let Some(SourceBranch { branch, .. }) = source.filter(|s| s.repository == *of) {
                *branch = oldest(branch);
            }
        }
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::OpenRef;
    use super::super::identity::Oid;
    use super::*;

    fn oid(digit: char) -> Oid {
        digit.to_string().repeat(40).parse().expect("an oid")
    }

    /// `main=a *dev=b #1:main=c`: branches with their heads, the default one starred, and changes.
    fn look(text: &str) -> Listing {
        let mut listing = Listing::default();
        for word in text.split_whitespace() {
            let (name, head) = word.split_once('=').expect("a head");
            let head = oid(head.chars().next().expect("a digit"));
            if let Some((number, base)) = name.strip_prefix('#').and_then(|c| c.split_once(':')) {
                listing.changes.push(OpenRef {
                    number: number.parse().expect("a number"),
                    head,
                    base: Some(base.into()),
                    ref_name: format!("refs/pull/{number}/head").into(),
                    merge: false,
                    forge: None,
                });
                continue;
            }
            let name = Name::from(name.trim_start_matches('*'));
            if word.starts_with('*') {
                listing.default_branch = Some(name.clone());
            }
            listing.branches.insert(name, head);
        }
        listing
    }

    /// What is known of former names after these looks.
    fn former(looks: &[&str]) -> String {
        let mut last = look(looks[0]);
        for next in &looks[1..] {
            last = look(next).after(&last);
        }
        let names = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
        let all = last.former.iter().map(|(present, old)| format!("{present}<{}", names(old)));
        all.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_branch_is_renamed_where_the_look_before_says_so() {
        for (what, looks, expected) in [
            (
                "with its changes",
                &["*master=a #1:master=b", "*main=a #1:main=b"][..],
                "main<master",
            ),
            ("and pushed to at once", &["x=a #1:x=b *m=0", "y=c #1:y=b *m=0"], "y<x"),
            (
                "while a change is pushed to",
                &["x=a #1:x=b #2:x=c *m=0", "y=a #1:y=d #2:y=c *m=0"],
                "y<x",
            ),
            (
                "some changes follow later",
                &["x=a #1:x=b #2:x=c *m=0", "y=a #1:y=b #2:x=c *m=0"],
                "y<x",
            ),
            ("the default branch, pushed to", &["*master=a", "*main=b"], "main<master"),
            ("by its head alone", &["*m=0 x=a", "*m=0 y=a"], "y<x"),
            ("twice", &["*a=1", "*b=1", "*c=1"], "c<a,b"),
            ("and back", &["*a=1", "*b=1", "*a=1"], "a<a,b"),
            ("and is known from then on", &["*a=1", "*b=1", "*b=2 x=3", "*b=4"], "b<a"),
            ("an empty look between", &["*a=1 x=2", "*b=1 x=2", "*b=1"], "b<a"),
            ("changes went to two", &["x=a #1:x=b #2:x=c *m=0", "y=a z=a #1:y=b #2:z=c *m=0"], ""),
            ("changes went to one that was there", &["x=a y=a #1:x=b *m=0", "y=a #1:y=b *m=0"], ""),
            ("deleted", &["*m=0 x=a", "*m=0"], ""),
            ("deleted, and another one made", &["*m=0 x=a", "*m=0 y=b"], ""),
            ("two with that head", &["*m=0 x=a", "*m=0 y=a z=a"], ""),
            ("two that had it", &["*m=0 w=a x=a", "*m=0 y=a"], ""),
            ("another default branch", &["*a=1 b=2", "a=1 *b=2"], ""),
            ("a default branch that was there", &["*a=1 b=1", "*b=1"], ""),
            ("the old name is used again", &["*a=1", "*b=1", "*b=1 a=1"], ""),
            ("it is deleted later", &["*m=0 x=a", "*m=0 y=a", "*m=0"], ""),
            ("a queue's", &["*m=0 gh-readonly-queue/m/pr-1-0=a", "*m=0 x=a"], ""),
            ("to a queue's", &["*m=0 x=a", "*m=0 gh-readonly-queue/m/pr-1-0=a"], ""),
        ] {
            assert_eq!(former(looks), expected, "{what}");
        }
    }

    #[test]
    fn branches_are_called_by_their_first_names() {
        let id = RepositoryId::new("github.com", "o/a");
        let renamed =
            look("*main=b x=c #1:main=d #2:x=e #3:master=f").after(&look("*master=a x=c"));
        for (name, oldest, present) in
            [("main", "master", "main"), ("master", "master", "main"), ("x", "x", "x")]
        {
            assert_eq!(renamed.oldest(name).map_or(name, |name| name), oldest);
            assert_eq!(renamed.present(name).map_or(name, |name| name), present);
        }
        let by_oldest = renamed.by_oldest(&id);
        let expected = look("*master=b x=c #1:master=d #2:x=e #3:master=f");
        assert_eq!(Listing { former: BTreeMap::new(), ..by_oldest.clone() }, expected);
        assert_eq!(by_oldest.former, renamed.former);
    }
}
