//! The vectors of an index: the vector of each unit, and its nearness to that of a query. All of them are compared,
//! without an approximate index. It knows no model: the owner of the index provides the vectors.

use std::collections::HashMap;

use super::{Body, Index, SourceId};
use crate::search::embedding::{ModelId, Passage, UnitHash, Vector, cosine};
use crate::search::json::json_units;
use crate::search::markdown::markdown_units;
use crate::search::query::Query;
use crate::search::unit::Unit;

/// A unit without a row has this.
pub(super) const NO_ROW: u32 = u32::MAX;
/// How many vectors are kept in one piece of memory.
const PIECE: usize = 1024;
/// What it takes to find the row of a passage, with the slack of the table.
const ROW_BYTES: usize = 64;

/// Why passages of an index stay without a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorGap {
    /// There are more of them than are searched by meaning.
    TooManyPassages,
    /// The vectors do not fit into the memory for indexes.
    NoMemory,
}

/// How far the vectors of an index are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DenseCount {
    /// Passages: units of different text.
    pub passages: usize,
    /// Those that have a vector.
    pub vectors: usize,
    /// The bytes that all of this takes.
    pub bytes: u64,
    /// Why the others stay without one; none if they are being made.
    pub gap: Option<VectorGap>,
}

impl DenseCount {
    /// Both counts together, such as those of several indexes.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            passages: self.passages.saturating_add(other.passages),
            vectors: self.vectors.saturating_add(other.vectors),
            bytes: self.bytes.saturating_add(other.bytes),
            gap: self.gap.or(other.gap),
        }
    }
}

/// A row for each passage of the index, some with a vector.
#[derive(Debug)]
pub(super) struct Dense {
    model: ModelId,
    row_of: HashMap<UnitHash, u32>,
    rows: Vec<Row>,
    free: Vec<u32>,
    pieces: Vec<Option<Box<[i8]>>>,
    pub(super) vectors: usize,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    hash: UnitHash,
    /// How many units have it.
    units: u32,
    /// The scale of the vector; 0 while there is none.
    scale: f32,
}

impl Dense {
    fn new(model: ModelId) -> Self {
        let (row_of, rows, free, pieces) = Default::default();
        Self { model, row_of, rows, free, pieces, vectors: 0 }
    }

    /// The row of a unit that is added.
    pub(super) fn add(&mut self, unit: &Unit) -> u32 {
        let Some(Passage { hash, .. }) = Passage::of(unit) else { return NO_ROW };
        if let Some(at) = self.row_of.get(&hash) {
            if let Some(row) = self.rows.get_mut(*at as usize) {
                row.units = row.units.saturating_add(1);
            }
            return *at;
        }
        let row = Row { hash, units: 1, scale: 0.0 };
        let at = match self.free.pop() {
            Some(at) => at,
            None => match u32::try_from(self.rows.len()) {
                Ok(at) if at != NO_ROW => {
                    self.rows.push(row);
                    at
                }
                _ => return NO_ROW,
            },
        };
        if let Some(place) = self.rows.get_mut(at as usize) {
            *place = row;
        }
        self.row_of.insert(hash, at);
        at
    }

    /// Takes a unit out that had this row.
    pub(super) fn free(&mut self, at: u32) {
        let Some(row) = self.rows.get_mut(at as usize).filter(|row| row.units > 0) else { return };
        row.units -= 1;
        if row.units == 0 {
            self.vectors -= usize::from(row.scale > 0.0);
            row.scale = 0.0;
            self.row_of.remove(&row.hash);
            self.free.push(at);
        }
    }

    fn put(&mut self, hash: UnitHash, vector: &Vector) -> bool {
        let dimension = self.model.dimension();
        if vector.dimension() != dimension {
            return false;
        }
        let Some(at) = self.row_of.get(&hash).map(|at| *at as usize) else { return false };
        let (piece, place) = (at / PIECE, at % PIECE);
        if self.pieces.len() <= piece {
            self.pieces.resize_with(piece + 1, || None);
        }
        let Some(piece) = self.pieces.get_mut(piece) else { return false };
        let values = piece.get_or_insert_with(|| vec![0; PIECE * dimension].into_boxed_slice());
        let (Some(values), Some(row)) =
            (values.get_mut(place * dimension..(place + 1) * dimension), self.rows.get_mut(at))
        else {
            return false;
        };
        let (scale, from) = vector.parts();
        values.copy_from_slice(from);
        self.vectors += usize::from(row.scale <= 0.0);
        row.scale = scale;
        true
    }

    fn has(&self, hash: UnitHash) -> bool {
        let row = self.row_of.get(&hash).and_then(|at| self.rows.get(*at as usize));
        row.is_none_or(|row| row.scale > 0.0)
    }

    /// How near each row is to this vector; nothing where there is no vector to compare.
    pub(super) fn cosines(&self, query: &Vector) -> Vec<f32> {
        let dimension = self.model.dimension();
        let mut cosines = vec![f32::NEG_INFINITY; self.rows.len()];
        if query.dimension() != dimension {
            return cosines;
        }
        let rows = self.rows.chunks(PIECE).zip(cosines.chunks_mut(PIECE));
        for (piece, (rows, cosines)) in self.pieces.iter().zip(rows) {
            let Some(values) = piece else { continue };
            for ((row, values), near) in rows.iter().zip(values.chunks_exact(dimension)).zip(cosines) {
                if row.scale > 0.0 {
                    *near = cosine(query.parts(), (row.scale, values));
                }
            }
        }
        cosines
    }

    pub(super) fn bytes(&self) -> usize {
        let pieces = self.pieces.iter().flatten().map(|piece| piece.len()).sum::<usize>();
        pieces + self.rows.capacity() * size_of::<Row>() + self.row_of.len() * ROW_BYTES
    }
}

impl Index {
    /// Sets which model's vectors the index holds, and drops those of another; without a model it holds none. The units that
    /// are in the index already are read again, so this is cheapest on an empty one.
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

    /// Which model's vectors the index holds.
    #[must_use]
    pub fn model(&self) -> Option<&ModelId> {
        self.dense.as_ref().map(|dense| &dense.model)
    }

    /// Takes vectors of this model over, and says of how many there is a unit. Vectors of no unit, of another model or of
    /// another dimension are left out.
    pub fn put_vectors<'a>(
        &mut self,
        model: &ModelId,
        vectors: impl IntoIterator<Item = (UnitHash, &'a Vector)>,
    ) -> usize {
        let Some(dense) = self.dense.as_mut().filter(|dense| dense.model == *model) else { return 0 };
        vectors.into_iter().filter(|(hash, vector)| dense.put(*hash, vector)).count()
    }

    /// Passages that have no vector yet, each once: at most so many, with at most so many bytes of text but for the first. Those
    /// for which `skips` holds are passed over, such as what the model refused.
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

    /// The hashes of all passages, in no order: whatever else is stored is of no use.
    pub fn passage_hashes(&self) -> impl Iterator<Item = UnitHash> {
        self.dense.iter().flat_map(|dense| dense.row_of.keys().copied())
    }

    /// How far the vectors are made.
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

    /// Notes why passages stay without a vector, for the answers of searches.
    pub fn set_vector_gap(&mut self, gap: Option<VectorGap>) {
        self.vector_gap = gap;
    }

    /// How far the vectors are made that a query with a vector meets; none while no model is set.
    pub(super) fn meaning(&self, query: &Query) -> Option<DenseCount> {
        let is_known = self.dense.is_some() || self.vector_gap.is_some();
        query.meaning().filter(|_| is_known).map(|_| self.dense_count())
    }
}

/// The units of a source, cut again as they were cut when it was put in. The graph's observations have no rows: their texts are
/// kept in lower case alone.
fn source_units(id: &SourceId, body: &Body) -> Vec<Unit> {
    match (id, body) {
        (SourceId::Document(name), Body::Document(lines)) => document_units(name, lines.text()),
        _ => Vec::new(),
    }
}

/// The units of a document by its name.
pub(super) fn document_units(name: &str, text: &str) -> Vec<Unit> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    if extension.eq_ignore_ascii_case("json") { json_units(stem, text) } else { markdown_units(stem, text) }
}
