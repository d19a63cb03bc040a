//! Stable sorting in few bytes of code. The standard library's sort is compiled for each type and each comparison, some six
//! kilobytes each time; here one compiled sort, of positions, serves them all. Lists that a search sorts keep the standard library's.
//! Must not know what it sorts.

use std::cmp::Ordering;

/// The sorts of a slice.
pub trait CompactSort<T> {
    /// As `sort_by`.
    fn compact_sort_by(&mut self, compare: impl Fn(&T, &T) -> Ordering);

    /// As `sort_by_key`.
    fn compact_sort_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K);
}

impl<T> CompactSort<T> for [T] {
    fn compact_sort_by(&mut self, compare: impl Fn(&T, &T) -> Ordering) {
        let order = positions(self.len(), &|a, b| match (self.get(a), self.get(b)) {
            (Some(a), Some(b)) => compare(a, b),
            _ => a.cmp(&b),
        });
        arrange(order, &mut |a, b| self.swap(a, b));
    }

    fn compact_sort_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.compact_sort_by(|a, b| key(a).cmp(&key(b)));
    }
}

/// For each place, the position of the item that belongs there.
#[inline(never)]
fn positions(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| compare(*a, *b));
    order
}

/// Moves each item to its place, with one swap at most for each.
#[inline(never)]
fn arrange(mut order: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut place = start;
        while let Some(from) = order.get_mut(place).map(|from| std::mem::replace(from, place)) {
            if from == start || from == place {
                break;
            }
            swap(place, from);
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(items in prop::collection::vec((0_u8..8, any::<u16>()), 0..80)) {
            let (mut ours, mut theirs) = (items.clone(), items);
            ours.compact_sort_by_key(|(key, _)| *key);
            theirs.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(&ours, &theirs);
            ours.compact_sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            theirs.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            prop_assert_eq!(ours, theirs);
        }
    }
}
