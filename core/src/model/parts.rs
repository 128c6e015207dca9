//! All parts of a workspace's plan, with what is to be known of them without a look at each.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::identity::RepositoryId;
use super::part::Part;
use super::question::Question;
use super::time::Timestamp;

/// Parts in the order of their repositories, the mainline first; one of each.
#[derive(Clone, Default)]
pub struct Parts {
    all: Vec<Arc<Part>>,
    asking: usize,
    next_at: Option<Timestamp>,
}

impl Parts {
    /// In their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Part>> {
        self.all.iter()
    }

    /// The part of a repository, or of the mainline.
    pub fn find(&self, repository: Option<&RepositoryId>) -> Option<&Arc<Part>> {
        let at = self.all.binary_search_by(|part| part.repository.as_ref().cmp(&repository));
        self.all.get(at.ok()?)
    }

    /// Whether they ask something of the world.
    pub fn ask(&self) -> bool {
        self.asking > 0
    }

    /// What they ask of the world.
    pub fn wanted(&self) -> BTreeSet<Question> {
        let asking = if self.ask() { &self.all[..] } else { &[] };
        asking.iter().flat_map(|part| &part.asked.wanted).cloned().collect()
    }

    /// When one of them stops to hold.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    /// The same with others in the place of those of the same repositories and of `gone` ones.
    pub fn replaced(&self, gone: &BTreeSet<RepositoryId>, mut new: Vec<Arc<Part>>) -> Self {
        new.sort_by(|one, other| one.repository.cmp(&other.repository));
        let mut all = Vec::with_capacity(self.all.len() + new.len());
        let (mut new, mut gone) = (new.into_iter().peekable(), gone.iter().map(Some).peekable());
        let (mut rest, mut asking) = (self.all.as_slice(), self.asking);
        let (mut first, mut left) = (None, None);
        // Mostly they are few: what is between two of them is taken over at once.
        loop {
            let next = match (new.peek(), gone.peek()) {
                (None, None) => break,
                (Some(new), None) => new.repository.as_ref(),
                (None, Some(gone)) => *gone,
                (Some(new), Some(gone)) => new.repository.as_ref().min(*gone),
            };
            let (before, from) =
                rest.split_at(rest.partition_point(|part| part.repository.as_ref() < next));
            all.extend_from_slice(before);
            rest = from;
            if let Some((part, after)) = from.split_first()
                && part.repository.as_ref() == next
            {
                asking -= usize::from(!part.asked.wanted.is_empty());
                left = sooner(left, part.asked.next_at);
                rest = after;
            }
            gone.next_if(|gone| *gone == next);
            let next = next.cloned();
            if let Some(part) = new.next_if(|new| new.repository == next) {
                asking += usize::from(!part.asked.wanted.is_empty());
                first = sooner(first, part.asked.next_at);
                all.push(part);
            }
        }
        all.extend_from_slice(rest);
        let next_at = match left.is_none() || left > self.next_at {
            true => sooner(first, self.next_at),
            false => next_at(&all),
        };
        Self { all, asking, next_at }
    }
}

fn next_at(parts: &[Arc<Part>]) -> Option<Timestamp> {
    parts.iter().filter_map(|part| part.asked.next_at).min()
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

impl From<Vec<Arc<Part>>> for Parts {
    fn from(mut all: Vec<Arc<Part>>) -> Self {
        all.sort_by(|one, other| one.repository.cmp(&other.repository));
        let asking = all.iter().filter(|part| !part.asked.wanted.is_empty()).count();
        Self { next_at: next_at(&all), asking, all }
    }
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Parts {}

impl fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.all).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::part::Asked;

    fn id(number: u8) -> Option<RepositoryId> {
        let id = || RepositoryId { forge: "forge".into(), path: format!("{number:03}").into() };
        (number > 0).then(id)
    }

    /// Some of these ask, and hold until their own time.
    fn part(number: u8, until: i64) -> Arc<Part> {
        let mut asked = Asked { next_at: Some(Timestamp(until)), ..Asked::default() };
        if let Some(repository) = id(number).filter(|_| until % 5 == 0) {
            let oid = "0123456789abcdef0123456789abcdef01234567".parse().expect("an id");
            asked.wanted.extend([Question::Commit { repository, oid }]);
        }
        let all = Part::all([], BTreeMap::from([(id(number), asked)]));
        all.into_iter().next().expect("a part")
    }

    proptest! {
        #[test]
        fn whatever_is_replaced_they_are_those_of_a_map(
            first in prop::collection::btree_map(0..120_u8, 0..100_i64, 0..100),
            moves in prop::collection::vec(
                (
                    prop::collection::btree_map(0..120_u8, 0..100_i64, 0..9),
                    prop::collection::btree_set(1..120_u8, 0..9),
                ),
                0..9,
            ),
        ) {
            let mut map: BTreeMap<u8, Arc<Part>> =
                first.iter().map(|(number, until)| (*number, part(*number, *until))).collect();
            let mut parts = Parts::from(map.values().rev().cloned().collect::<Vec<_>>());
            for (new, gone) in &moves {
                let new: BTreeMap<u8, Arc<Part>> =
                    new.iter().map(|(number, until)| (*number, part(*number, *until))).collect();
                let ids = gone.iter().filter_map(|number| id(*number)).collect();
                parts = parts.replaced(&ids, new.values().rev().cloned().collect());
                map.retain(|number, _| !gone.contains(number));
                map.extend(new);
                let same = |(one, other): (&Arc<Part>, &Arc<Part>)| Arc::ptr_eq(one, other);
                prop_assert_eq!(parts.iter().count(), map.len());
                prop_assert!(parts.iter().zip(map.values()).all(same));
                prop_assert_eq!(parts.clone(), Parts::from(map.values().cloned().collect::<Vec<_>>()));
                for number in 0..120 {
                    prop_assert_eq!(parts.find(id(number).as_ref()), map.get(&number));
                }
                let asked = || map.values().map(|part| &part.asked);
                prop_assert_eq!(parts.next_at(), asked().filter_map(|asked| asked.next_at).min());
                let wanted: BTreeSet<_> = asked().flat_map(|asked| asked.wanted.iter().cloned()).collect();
                prop_assert_eq!(parts.ask(), !wanted.is_empty());
                prop_assert_eq!(parts.wanted(), wanted);
            }
        }
    }
}
