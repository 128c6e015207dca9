//! All parts of a workspace's plan. Two plans that differ in few of them share the rest, mostly without a look
//! at it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::identity::RepositoryId;
use super::part::Part;
use super::question::Question;
use super::time::Timestamp;

/// Parts that stand together at most: what is copied where one of them is replaced.
const TOGETHER: usize = 24;

/// Parts in the order of their repositories, the mainline first; one of each.
#[derive(Clone, Default)]
pub struct Parts(Vec<Arc<Chunk>>);

/// Some that follow each other; never none.
struct Chunk {
    parts: Vec<Arc<Part>>,
    asks: bool,
    next_at: Option<Timestamp>,
}

impl Parts {
    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.0.iter().flat_map(|chunk| &chunk.parts)
    }

    /// The part of a repository, or of the mainline.
    pub fn find(&self, repository: Option<&RepositoryId>) -> Option<&Arc<Part>> {
        let after = self.0.partition_point(|chunk| chunk.first() <= repository);
        let parts = &self.0.get(after.checked_sub(1)?)?.parts;
        let at = parts.binary_search_by(|part| part.repository.as_ref().cmp(&repository)).ok()?;
        parts.get(at)
    }

    /// Whether they ask something of the world.
    pub fn ask(&self) -> bool {
        self.0.iter().any(|chunk| chunk.asks)
    }

    /// What they ask of the world.
    pub fn wanted(&self) -> BTreeSet<Question> {
        let asking = self.0.iter().filter(|chunk| chunk.asks).flat_map(|chunk| &chunk.parts);
        asking.flat_map(|part| &part.asked.wanted).cloned().collect()
    }

    /// When one of them stops to hold.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|chunk| chunk.next_at).min()
    }

    /// The same with others in the place of those of the same repositories and of `gone` ones.
    pub fn replaced(&self, gone: &BTreeSet<RepositoryId>, mut new: Vec<Arc<Part>>) -> Self {
        if self.0.is_empty() {
            return new.into();
        }
        new.sort_by(|one, other| one.repository.cmp(&other.repository));
        let (mut new, mut gone) = (new.into_iter().peekable(), gone.iter().peekable());
        let mut chunks = Vec::with_capacity(self.0.len() + 1);
        for (at, chunk) in self.0.iter().enumerate() {
            let end = self.0.get(at + 1).map(|next| next.first());
            let before = |id: Option<&RepositoryId>| end.is_none_or(|end| id < end);
            let mut left: BTreeSet<Option<&RepositoryId>> = BTreeSet::new();
            left.extend(std::iter::from_fn(|| gone.next_if(|id| before(Some(id)))).map(Some));
            let next = || new.next_if(|part| before(part.repository.as_ref()));
            let added: Vec<_> = std::iter::from_fn(next).collect();
            if added.is_empty() && left.is_empty() {
                chunks.push(Arc::clone(chunk));
                continue;
            }
            left.extend(added.iter().map(|part| part.repository.as_ref()));
            let stay = chunk.parts.iter().filter(|part| !left.contains(&part.repository.as_ref()));
            let parts = stay.chain(&added).cloned().collect::<Vec<_>>();
            chunks.extend(Self::from(parts).0);
        }
        Self(chunks)
    }
}

impl Chunk {
    fn first(&self) -> Option<&RepositoryId> {
        self.parts.first().and_then(|part| part.repository.as_ref())
    }
}

impl From<Vec<Arc<Part>>> for Parts {
    fn from(mut parts: Vec<Arc<Part>>) -> Self {
        parts.sort_by(|one, other| one.repository.cmp(&other.repository));
        let chunks = parts.len().div_ceil(TOGETHER).max(1);
        let together = parts.chunks(parts.len().div_ceil(chunks).max(1));
        let chunks = together.map(|parts| {
            Arc::new(Chunk {
                asks: parts.iter().any(|part| !part.asked.wanted.is_empty()),
                next_at: parts.iter().filter_map(|part| part.asked.next_at).min(),
                parts: parts.to_vec(),
            })
        });
        Self(chunks.collect())
    }
}

/// They are the same whatever stands together.
impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Parts {}

impl fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
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
                prop_assert!(parts.0.iter().all(|chunk| (1..=TOGETHER).contains(&chunk.parts.len())));
            }
        }
    }

    #[test]
    fn what_is_far_from_a_replaced_one_stays_as_it_is() {
        let all: Vec<_> = (0..120).map(|number| part(number, 0)).collect();
        let before = Parts::from(all);
        let after = before.replaced(&BTreeSet::new(), vec![part(60, 1)]);
        let shared = after.0.iter().filter(|one| before.0.iter().any(|old| Arc::ptr_eq(one, old)));
        assert_eq!((before.0.len(), after.0.len(), shared.count()), (5, 5, 4));
    }
}
