//! The data that the index keeps per source and per unit.

use std::sync::Arc;

use super::vocabulary::{Scope, Vocabulary};
use crate::document::DocumentPath;
use crate::document::decision_marks::Bounds;
use crate::search::language::Language;
use crate::search::lines::Lines;
use crate::search::query::fold;
use crate::search::unit::UnitKind;

/// The source of units. Its order is the order of otherwise equal hits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SourceId {
    /// A document by its stored name.
    Document(String),
    /// An entity by its id.
    Entity(String),
}

impl SourceId {
    pub(super) fn is_core(&self) -> bool {
        match self {
            Self::Document(name) => DocumentPath::parse(name).is_ok_and(|path| path.is_core()),
            Self::Entity(_) => false,
        }
    }
}

pub(super) type SourceRef = Arc<SourceId>;

#[derive(Debug)]
pub(super) struct Source {
    pub(super) units: Vec<u32>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Document(Lines),
    Entity {
        texts: Texts,
        /// The ids of the observations, in the order of their units.
        observations: Vec<String>,
    },
}

/// The bytes of a source beside its texts and units.
const SOURCE_BYTES: usize = 256;

/// The bytes of an observation's id.
const NAMED_BYTES: usize = 48;

impl Body {
    pub(super) fn bytes(&self) -> usize {
        let own = match self {
            Self::Document(lines) => lines.bytes(),
            Self::Entity { texts, observations } => {
                texts.all.capacity()
                    + texts.starts.capacity() * size_of::<usize>()
                    + observations.len() * NAMED_BYTES
            }
        };
        SOURCE_BYTES + own
    }
}

/// The texts of an entity and its observations, in lower case and concatenated, so that one search covers all of
/// them.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) all: String,
    /// The offset of each text: name, type, attributes as compact JSON, then the observations. Texts are separated by
    /// one byte.
    pub(super) starts: Vec<usize>,
}

impl Texts {
    /// The number of texts before the observations.
    pub(super) const OF_ENTITY: usize = 3;

    pub(super) fn push(&mut self, text: &str) {
        self.starts.push(self.all.len());
        self.all.push_str(&fold(text));
        self.all.push('\n');
    }

    pub(super) fn get(&self, at: usize) -> &str {
        let start = self.starts.get(at).copied().unwrap_or(self.all.len());
        let end = self.starts.get(at + 1).copied().unwrap_or(self.all.len()).saturating_sub(1);
        self.all.get(start..end).unwrap_or_default()
    }

    /// The text of a unit of the entity, by its position.
    pub(super) fn of_unit(&self, ordinal: u32) -> &str {
        match (ordinal as usize).checked_sub(1) {
            None => self
                .all
                .get(..self.starts.get(Self::OF_ENTITY).copied().unwrap_or(self.all.len()))
                .unwrap_or_default(),
            Some(observation) => self.get(Self::OF_ENTITY + observation),
        }
    }
}

/// The value for units without a date.
pub(super) const UNDATED: i64 = i64::MIN;

/// One indexed unit.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) source: SourceRef,
    pub(super) ordinal: u32,
    pub(super) is_core: bool,
    pub(super) kind: UnitKind,
    pub(super) language: Language,
    pub(super) fingerprint: u64,
    /// Equal for units that differ only in dates and ids; 0 for units without words.
    pub(super) words_hash: u32,
    /// Equal for units that differ only in numbers.
    pub(super) pattern: u32,
    /// When it was last changed, in milliseconds since 1970.
    pub(super) at: i64,
    /// The date at the beginning of its text, in seconds since 1970; [`UNDATED`] without one.
    pub(super) own_date: i64,
    /// Its own date, or that of its entry or section.
    pub(super) date: i64,
    /// When its decision holds.
    pub(super) bounds: Bounds,
    pub(super) length: u32,
    /// Whether it is a question.
    pub(super) is_question: bool,
    pub(super) terms: Box<[u32]>,
    /// The row of its vector.
    pub(super) row: u32,
    pub(super) root: u32,
    pub(super) parent: Option<u32>,
    pub(super) previous: Option<u32>,
    pub(super) next: Option<u32>,
    pub(super) line: u32,
    pub(super) lines: u32,
    pub(super) from: u32,
    pub(super) path: Arc<[String]>,
}

impl Slot {
    /// Its bytes, with its postings and its entry in the list of its source.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Option<Self>>() + Vocabulary::bytes_of(self.terms.len()) + 2 * size_of::<u32>()
    }

    pub(super) fn scope(&self) -> Scope {
        if self.kind.is_in_graph() { Scope::Graph } else { Scope::Documents }
    }

    /// The time of its content, in seconds since 1970: its date, else the last change of its source.
    pub(super) fn moment(&self) -> i64 {
        if self.date == UNDATED { self.at.div_euclid(1000) } else { self.date }
    }
}
