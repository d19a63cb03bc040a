//! The vectors of an index: which model made them, and which are missing.

use super::Index;
use super::dense::{Dense, DenseCount, NO_ROW, VectorGap, document_units};
use super::slot::{Body, SourceId};
use crate::search::embedding::{ModelId, Passage, UnitHash, Vector};
use crate::search::query::Query;
use crate::search::unit::Unit;

impl Index {
    /// Sets the model of the vectors, and drops vectors of another model; without a model there are no vectors.
    /// Existing units are cut again, so this is cheapest on an empty index.
    pub fn set_model(&mut self, model: Option<&ModelId>) {
        if self.model() == model {
            return;
        }
        self.dense = model.map(|model| Dense::new(model.clone()));
        for slot in self.slots.iter_mut().flatten() {
            slot.row = NO_ROW;
        }
        let Some(mut dense) = self.dense.take() else { return };
        let mut rows = Vec::new();
        for (id, source) in &self.sources {
            for (unit, slot) in source_units(id, &source.body).iter().zip(&source.units) {
                rows.push((*slot, dense.add(unit)));
            }
        }
        for (at, row) in rows {
            if let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) {
                slot.row = row;
            }
        }
        self.dense = Some(dense);
    }

    /// The model of the vectors.
    #[must_use]
    pub fn model(&self) -> Option<&ModelId> {
        self.dense.as_ref().map(|dense| &dense.model)
    }

    /// Stores vectors of this model, and returns how many belong to a unit. Vectors without a unit, of another model
    /// or of another dimension are ignored.
    pub fn put_vectors<'a>(
        &mut self,
        model: &ModelId,
        vectors: impl IntoIterator<Item = (UnitHash, &'a Vector)>,
    ) -> usize {
        let Some(dense) = self.dense.as_mut().filter(|dense| dense.model == *model) else { return 0 };
        vectors.into_iter().filter(|(hash, vector)| dense.put(*hash, vector)).count()
    }

    /// Passages without a vector, each once: at most `most`, with at most `bytes` of text unless the first is larger.
    /// Those for which `skips` returns true, such as texts that the model refused, are omitted.
    #[must_use]
    pub fn without_vector(
        &self,
        most: usize,
        bytes: usize,
        skips: impl Fn(UnitHash) -> bool,
    ) -> Vec<Passage> {
        let Some(dense) = &self.dense else { return Vec::new() };
        let (mut found, mut room) = (Vec::new(), bytes);
        let mut seen = std::collections::HashSet::new();
        for (id, source) in &self.sources {
            let is_wanted = |at: &u32| {
                let row = self.slot(*at).and_then(|slot| dense.rows.get(slot.row as usize));
                row.is_some_and(|row| row.scale <= 0.0 && !skips(row.hash))
            };
            if !source.units.iter().any(is_wanted) {
                continue;
            }
            for passage in source_units(id, &source.body).iter().filter_map(Passage::of) {
                if dense.has(passage.hash) || skips(passage.hash) || !seen.insert(passage.hash) {
                    continue;
                }
                let left = room.checked_sub(passage.text.len());
                if found.len() >= most || left.is_none() && !found.is_empty() {
                    return found;
                }
                room = left.unwrap_or_default();
                found.push(passage);
            }
        }
        found
    }

    /// The hashes of all passages, in no order. Other stored vectors are obsolete.
    pub fn passage_hashes(&self) -> impl Iterator<Item = UnitHash> {
        self.dense.iter().flat_map(|dense| dense.row_of.keys().copied())
    }

    /// How many vectors exist.
    #[must_use]
    pub fn dense_count(&self) -> DenseCount {
        let gap = self.vector_gap;
        self.dense.as_ref().map_or(DenseCount { gap, ..DenseCount::default() }, |dense| DenseCount {
            passages: dense.row_of.len(),
            vectors: dense.vectors,
            bytes: dense.bytes() as u64,
            gap,
        })
    }

    /// Sets why passages stay without a vector, for the replies of searches.
    pub fn set_vector_gap(&mut self, gap: Option<VectorGap>) {
        self.vector_gap = gap;
    }

    /// How many vectors exist for a query with a vector; `None` while no model is set.
    pub(super) fn meaning(&self, query: &Query) -> Option<DenseCount> {
        let is_known = self.dense.is_some() || self.vector_gap.is_some();
        query.meaning().filter(|_| is_known).map(|_| self.dense_count())
    }
}

/// The units of a source, cut again as when it was indexed. The graph's observations have no rows, since only their
/// lower-case texts are kept.
fn source_units(id: &SourceId, body: &Body) -> Vec<Unit> {
    match (id, body) {
        (SourceId::Document(name), Body::Document(lines)) => document_units(name, lines.text()),
        _ => Vec::new(),
    }
}
