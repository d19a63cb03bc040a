//! Rows in insertion order, and indexes on them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::graph::{Entity, Observation, Relation};

/// Rows by id, in insertion order. An update does not change the order.
#[derive(Debug, Clone)]
pub(super) struct Table<T> {
    pub(super) rows: BTreeMap<u64, T>,
    ids: HashMap<String, u64>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), ids: HashMap::new() }
    }
}

pub(super) trait Row {
    fn id(&self) -> &str;
}

impl Row for Entity {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Row for Observation {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Row for Relation {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<T: Row> Table<T> {
    pub(super) fn seq(&self, id: &str) -> Option<u64> {
        self.ids.get(id).copied()
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(self.ids.get(id)?)
    }

    pub(super) fn put(&mut self, at: u64, id: &str, row: T) -> Option<T> {
        if !self.ids.contains_key(id) {
            self.ids.insert(id.to_owned(), at);
        }
        self.rows.insert(at, row)
    }

    pub(super) fn remove(&mut self, at: u64) -> Option<T> {
        let row = self.rows.remove(&at)?;
        self.ids.remove(row.id());
        Some(row)
    }

    pub(super) fn remove_id(&mut self, id: &str) -> Option<(u64, T)> {
        let at = self.seq(id)?;
        Some((at, self.remove(at)?))
    }
}

pub(super) fn index_add<K, Q>(index: &mut HashMap<K, Vec<u64>>, key: &Q, at: u64)
where
    K: Borrow<Q> + Hash + Eq,
    Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
{
    if let Some(seqs) = index.get_mut(key) {
        if let Err(position) = seqs.binary_search(&at) {
            seqs.insert(position, at);
        }
    } else {
        index.insert(key.to_owned(), vec![at]);
    }
}

pub(super) fn index_remove<K, Q>(index: &mut HashMap<K, Vec<u64>>, key: &Q, at: u64)
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    let Some(seqs) = index.get_mut(key) else { return };
    if let Ok(position) = seqs.binary_search(&at) {
        seqs.remove(position);
    }
    if seqs.is_empty() {
        index.remove(key);
    }
}
