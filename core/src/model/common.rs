//! Values that many have in common, each kept once.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Values that somebody has, by what they are of; one that nobody has any more is not kept here either.
#[derive(Debug)]
pub struct Common<K, V>(BTreeMap<K, Vec<Weak<V>>>);

impl<K, V> Default for Common<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: PartialEq> Common<K, V> {
    /// The known value of `key` that is equal to `value`.
    pub fn find(&self, key: &K, value: &V) -> Option<Arc<V>> {
        self.0.get(key)?.iter().filter_map(Weak::upgrade).find(|known| **known == *value)
    }

    /// The known value of `key` that is equal to `value`, or that.
    pub fn share(&mut self, key: &K, value: Arc<V>) -> Arc<V> {
        if let Some(same) = self.find(key, &value) {
            return same;
        }
        if !self.0.contains_key(key) {
            self.0.insert(key.clone(), Vec::with_capacity(1));
        }
        let Some(known) = self.0.get_mut(key) else { return value };
        known.retain(|known| known.strong_count() > 0);
        known.push(Arc::downgrade(&value));
        value
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets keys of which nobody has a value any more.
    pub fn tidy(&mut self) {
        self.0.retain(|_, known| known.iter().any(|known| known.strong_count() > 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_as_long_as_somebody_has_it() {
        let mut common = Common::default();
        let one = common.share(&1, Arc::new("same".to_owned()));
        assert!(Arc::ptr_eq(&one, &common.share(&1, Arc::new("same".to_owned()))));
        let other = common.share(&1, Arc::new("other".to_owned()));
        assert_eq!(*other, "other");
        let elsewhere = common.share(&2, Arc::new("same".to_owned()));
        assert!(!Arc::ptr_eq(&one, &elsewhere));
        drop((one, other));
        common.tidy();
        assert_eq!(common.0.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(*elsewhere, "same");
    }
}
