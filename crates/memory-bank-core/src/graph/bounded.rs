//! Bounds the part of a graph that is loaded for one reply: the first items that fit into a number of bytes, and the
//! number of the others.

use crate::graph::state::size::members_bytes;
use crate::graph::{Entity, Observation, Relation};

/// Overhead of an item beside its texts, in a reply and in memory.
const ITEM_OVERHEAD_BYTES: usize = 256;

/// The first items that fit into a number of bytes, with their order; the others are counted.
#[derive(Debug)]
pub(crate) struct BoundedItems<T> {
    items: Vec<(u64, T)>,
    room: usize,
    is_full: bool,
    left: usize,
}

impl<T> BoundedItems<T> {
    /// Room for this many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { items: Vec::new(), room: bytes, is_full: false, left: 0 }
    }

    /// Keeps an item if it fits and all items before it were kept.
    pub(crate) fn offer(&mut self, order: u64, item: T, bytes: usize) {
        self.is_full |= bytes > self.room;
        if self.is_full {
            self.left = self.left.saturating_add(1);
        } else {
            self.room = self.room.saturating_sub(bytes);
            self.items.push((order, item));
        }
    }

    /// Counts items that are not offered.
    pub(crate) fn leave(&mut self, count: usize) {
        self.is_full |= count > 0;
        self.left = self.left.saturating_add(count);
    }

    /// Whether an item did not fit, so that no other is kept.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// How many of the smallest items may still fit.
    pub(crate) fn most(&self) -> usize {
        self.room / ITEM_OVERHEAD_BYTES + 1
    }

    /// The items sorted by their order, and the number of omitted ones. The sort is stable.
    pub(crate) fn sorted(mut self) -> (impl Iterator<Item = T>, usize) {
        self.items.sort_by_key(|(order, _)| *order);
        (self.items.into_iter().map(|(_, item)| item), self.left)
    }

    /// The items as they were offered, and the number of omitted ones.
    pub(crate) fn offered(self) -> (Vec<T>, usize) {
        (self.items.into_iter().map(|(_, item)| item).collect(), self.left)
    }
}

/// About how many bytes an entity takes.
pub(crate) fn entity_bytes(entity: &Entity) -> usize {
    let attributes = entity.attrs.as_ref().map_or(0, members_bytes);
    ITEM_OVERHEAD_BYTES + entity.id.len() + entity.name.len() + entity.entity_type.len() + attributes
}

/// About how many bytes an observation takes.
pub(crate) fn observation_bytes(observation: &Observation) -> usize {
    let reference = observation.source.as_ref().and_then(|source| source.reference.as_ref());
    ITEM_OVERHEAD_BYTES + observation.text.len() + reference.map_or(0, String::len)
}

/// About how many bytes a relation takes.
pub(crate) fn relation_bytes(relation: &Relation) -> usize {
    ITEM_OVERHEAD_BYTES + relation.from_id.len() + relation.to_id.len() + relation.relation_type.len()
}

/// A set of positions in the storage order, one bit each.
#[derive(Debug, Clone)]
pub(crate) struct BitSet(Vec<u64>);

impl BitSet {
    /// An empty set for positions below `end`.
    pub(crate) fn new(end: u64) -> Self {
        Self(vec![0; usize::try_from(end.div_ceil(64)).unwrap_or_default()])
    }

    /// Adds a position; returns whether it was new.
    pub(crate) fn insert(&mut self, position: u64) -> bool {
        let Some(word) = Self::word(position).and_then(|at| self.0.get_mut(at)) else { return false };
        let bit = 1 << (position % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Whether the set contains a position.
    pub(crate) fn has(&self, position: u64) -> bool {
        Self::word(position)
            .and_then(|at| self.0.get(at))
            .is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    /// The positions in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        (0_u64..).zip(&self.0).filter(|(_, word)| **word != 0).flat_map(|(at, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit)
        })
    }

    fn word(position: u64) -> Option<usize> {
        usize::try_from(position / 64).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_items_that_fit_are_kept_and_the_others_counted() {
        let mut fitting = BoundedItems::new(10);
        for (order, bytes) in [(3, 6), (1, 4), (2, 1), (0, 0)] {
            fitting.offer(order, bytes, bytes);
        }
        fitting.leave(2);
        let (items, left) = fitting.sorted();
        assert_eq!((items.collect::<Vec<_>>(), left), (vec![4, 6], 4));
    }

    proptest! {
        #[test]
        fn marks_are_a_set(positions in proptest::collection::vec(0_u64..300, 0..40)) {
            let mut marks = BitSet::new(300);
            let mut set = std::collections::BTreeSet::new();
            for position in positions {
                prop_assert_eq!(marks.insert(position), set.insert(position));
            }
            prop_assert!((0..300).all(|position| marks.has(position) == set.contains(&position)));
            prop_assert_eq!(marks.iter().collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
        }
    }
}
