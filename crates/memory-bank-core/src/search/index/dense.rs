//! The vectors of an index, and their similarity to a query's vector. All are compared, without an approximate index.
//! The owner of the index provides the vectors.

use std::collections::HashMap;

use crate::search::embedding::{ModelId, Passage, UnitHash, Vector, cosine};
use crate::search::json::json_units;
use crate::search::markdown::markdown_units;
use crate::search::unit::Unit;

/// The row of units without a row.
pub(super) const NO_ROW: u32 = u32::MAX;
/// How many vectors one piece of memory holds.
const CHUNK_VECTORS: usize = 1024;
/// The bytes of the entry that finds the row of a passage, with the slack of the table.
const ROW_BYTES: usize = 64;

/// Why passages of an index stay without a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorGap {
    /// The project has more passages than are searched by meaning.
    TooManyPassages,
    /// The vectors do not fit into the memory for indexes.
    NoMemory,
}

/// How many vectors of an index exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DenseCount {
    /// The number of distinct passages.
    pub passages: usize,
    /// The number of passages with a vector.
    pub vectors: usize,
    /// The memory of both, in bytes.
    pub bytes: u64,
    /// Why the others stay without one; `None` if they are being computed.
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
    pub(super) model: ModelId,
    pub(super) row_of: HashMap<UnitHash, u32>,
    pub(super) rows: Vec<Row>,
    free: Vec<u32>,
    pieces: Vec<Option<Box<[i8]>>>,
    pub(super) vectors: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) hash: UnitHash,
    /// How many units have this row.
    units: u32,
    /// The scale of the vector; 0 while there is none.
    pub(super) scale: f32,
}

impl Dense {
    pub(super) fn new(model: ModelId) -> Self {
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

    /// Removes a unit with this row.
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

    pub(super) fn put(&mut self, hash: UnitHash, vector: &Vector) -> bool {
        let dimension = self.model.dimension();
        if vector.dimension() != dimension {
            return false;
        }
        let Some(at) = self.row_of.get(&hash).map(|at| *at as usize) else { return false };
        let (piece, place) = (at / CHUNK_VECTORS, at % CHUNK_VECTORS);
        if self.pieces.len() <= piece {
            self.pieces.resize_with(piece + 1, || None);
        }
        let Some(piece) = self.pieces.get_mut(piece) else { return false };
        let values = piece.get_or_insert_with(|| vec![0; CHUNK_VECTORS * dimension].into_boxed_slice());
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

    pub(super) fn has(&self, hash: UnitHash) -> bool {
        let row = self.row_of.get(&hash).and_then(|at| self.rows.get(*at as usize));
        row.is_none_or(|row| row.scale > 0.0)
    }

    /// The cosine of each row with this vector; negative infinity for rows without a vector.
    pub(super) fn cosines(&self, query: &Vector) -> Vec<f32> {
        let dimension = self.model.dimension();
        let mut cosines = vec![f32::NEG_INFINITY; self.rows.len()];
        if query.dimension() != dimension {
            return cosines;
        }
        let rows = self.rows.chunks(CHUNK_VECTORS).zip(cosines.chunks_mut(CHUNK_VECTORS));
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

/// The units of a document by its name.
pub(super) fn document_units(name: &str, text: &str) -> Vec<Unit> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    if extension.eq_ignore_ascii_case("json") { json_units(stem, text) } else { markdown_units(stem, text) }
}
