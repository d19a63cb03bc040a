//! The index in memory: which unit holds which term how often. It is kept up to date by difference, so that a write
//! costs the units that it changes. It reads no file: whoever owns it brings the texts.

mod documents;
mod follow;
mod graph;
mod names;
mod rank;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use self::names::NameWords;
use self::rank::Scratch;
use super::entity::{entity_units, recency};
use super::json::json_units;
use super::lines::Lines;
use super::markdown::markdown_units;
use super::query::fold;
use super::rank::CorpusStats;
use super::unit::{Unit, UnitKind};
use super::words::{each_word, stem};
use crate::document::DocumentPath;
use crate::graph::{Entity, Observation};

pub use documents::{DocumentHits, DocumentQuery, LineHit};
pub use graph::{EntityHit, GraphHits, MatchedIn, ObservationHit};

/// Stems that are remembered; past this the memory starts anew.
const STEMS: usize = 50_000;

/// What a posting takes, in its unit and in its term, with the slack of the list of its term.
const POSTING_BYTES: usize = 20;
/// What a term takes beside its letters and postings.
const TERM_BYTES: usize = 112;
/// What it takes to know the entity of an observation.
const OWNER_BYTES: usize = 128;
/// What a source takes beside its texts and units.
const SOURCE_BYTES: usize = 256;
/// What it takes to name an observation.
const NAMED_BYTES: usize = 48;
/// What a remembered stem takes.
const STEM_BYTES: usize = 128;
/// From this many units on, units are added and removed together: each list of postings is then put in order once,
/// instead of once for each unit.
const TOGETHER: usize = 32;

/// The units of one project, ready to be searched.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<Option<Slot>>,
    free_slots: Vec<u32>,
    sources: HashMap<SourceId, Source>,
    terms: HashMap<Arc<str>, u32>,
    entries: Vec<TermEntry>,
    free_terms: Vec<u32>,
    stems: HashMap<String, Option<String>>,
    /// The entity of each observation, to know it when the observation is gone.
    owners: HashMap<String, String>,
    names: NameWords,
    units: u64,
    total_length: u64,
    /// About how many bytes units, postings, terms and texts take.
    held: usize,
    scratch: Mutex<Vec<Scratch>>,
}

/// Where units come from. The order is the order of otherwise equal hits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum SourceId {
    /// A document by its stored name.
    Document(String),
    /// An entity by its id.
    Entity(String),
}

impl SourceId {
    fn is_core(&self) -> bool {
        match self {
            Self::Document(name) => DocumentPath::parse(name).is_ok_and(|path| path.is_core()),
            Self::Entity(_) => false,
        }
    }
}

#[derive(Debug)]
struct Source {
    units: Vec<u32>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Document(Lines),
    Entity {
        texts: Texts,
        /// The ids of the observations, in the order of their units.
        observations: Vec<String>,
    },
}

/// One indexed unit.
#[derive(Debug)]
struct Slot {
    source: SourceRef,
    ordinal: u32,
    is_core: bool,
    kind: UnitKind,
    fingerprint: u64,
    /// When it was last changed, in milliseconds since 1970.
    at: i64,
    length: u32,
    terms: Box<[u32]>,
    parent: Option<u32>,
    previous: Option<u32>,
    next: Option<u32>,
    line: usize,
    lines: usize,
    path: Arc<[String]>,
}

impl Slot {
    /// What it takes, with its postings and its place among the units of its source.
    fn bytes(&self) -> usize {
        size_of::<Option<Self>>() + self.terms.len() * POSTING_BYTES + 2 * size_of::<u32>()
    }
}

impl Body {
    fn bytes(&self) -> usize {
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

/// What an entity and its observations say, in lower case and one behind the other, so that one pass over it tells
/// whether a text is anywhere in it.
#[derive(Debug, Default)]
struct Texts {
    all: String,
    /// Where each text begins: name, type, attributes as compact JSON, then the observations. A byte stands between two.
    starts: Vec<usize>,
}

impl Texts {
    /// How many texts there are before the observations.
    const OF_ENTITY: usize = 3;

    fn push(&mut self, text: &str) {
        self.starts.push(self.all.len());
        self.all.push_str(&fold(text));
        self.all.push('\n');
    }

    fn get(&self, at: usize) -> &str {
        let start = self.starts.get(at).copied().unwrap_or(self.all.len());
        let end = self.starts.get(at + 1).copied().unwrap_or(self.all.len()).saturating_sub(1);
        self.all.get(start..end).unwrap_or_default()
    }

    /// The text of a unit of the entity, by its place.
    fn of_unit(&self, ordinal: u32) -> &str {
        match (ordinal as usize).checked_sub(1) {
            None => self
                .all
                .get(..self.starts.get(Self::OF_ENTITY).copied().unwrap_or(self.all.len()))
                .unwrap_or_default(),
            Some(observation) => self.get(Self::OF_ENTITY + observation),
        }
    }
}

type SourceRef = Arc<SourceId>;

#[derive(Debug)]
struct TermEntry {
    term: Arc<str>,
    /// Sorted by slot.
    postings: Vec<Posting>,
}

#[derive(Debug, Clone, Copy)]
struct Posting {
    slot: u32,
    count: u32,
}

impl CorpusStats for Index {
    fn units(&self) -> u64 {
        self.units
    }

    fn total_length(&self) -> u64 {
        self.total_length
    }

    fn frequency(&self, term: &str) -> u64 {
        self.postings(term).len() as u64
    }
}

impl Index {
    /// Adds or updates a document.
    pub fn put_document(&mut self, path: &DocumentPath, text: &str, updated_at: Timestamp) {
        let name = path.as_str();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let units = if extension.eq_ignore_ascii_case("json") {
            json_units(stem, text)
        } else {
            markdown_units(stem, text)
        };
        let at = updated_at.as_millisecond();
        let times = vec![at; units.len()];
        let body = Body::Document(Lines::of(text));
        self.put(SourceId::Document(name.to_owned()), &units, &times, body);
    }

    /// Removes a document.
    pub fn remove_document(&mut self, name: &str) {
        self.remove(&SourceId::Document(name.to_owned()));
    }

    /// Adds or updates an entity with all its observations, in storage order.
    pub fn put_entity<'a>(
        &mut self,
        entity: &Entity,
        observations: impl IntoIterator<Item = &'a Observation>,
    ) {
        let observations: Vec<&Observation> = observations.into_iter().collect();
        let id = SourceId::Entity(entity.id.clone());
        self.disown(&id);
        self.names.add(&fold(&entity.name));
        self.owners.extend(observations.iter().map(|one| (one.id.clone(), entity.id.clone())));
        let units = entity_units(entity, observations.iter().copied());
        let times: Vec<i64> = std::iter::once(recency(&entity.updated_at))
            .chain(observations.iter().map(|observation| recency(&observation.timestamp)))
            .collect();
        let attrs = entity.attrs.as_ref().map(|attrs| serde_json::Value::Object(attrs.clone()).to_string());
        let mut texts = Texts::default();
        let own = [entity.name.as_str(), &entity.entity_type, attrs.as_deref().unwrap_or_default()];
        own.into_iter()
            .chain(observations.iter().map(|one| one.text.as_str()))
            .for_each(|text| texts.push(text));
        let body = Body::Entity {
            texts,
            observations: observations.iter().map(|observation| observation.id.clone()).collect(),
        };
        self.put(id, &units, &times, body);
    }

    /// Removes an entity with its observations.
    pub fn remove_entity(&mut self, id: &str) {
        self.remove(&SourceId::Entity(id.to_owned()));
    }

    /// About how many bytes of memory this takes: units, postings, terms, texts and tables, with the slack of lists that
    /// grow. What a search needs for a moment is not among it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let owners = self.owners.len() * OWNER_BYTES;
        let scratch = self.scratch_bytes();
        (self.held + owners + self.names.bytes() + self.stems.len() * STEM_BYTES + scratch) as u64
    }

    /// Gives back what only building needed: the stems that were remembered, and the slack of the lists.
    pub fn compact(&mut self) {
        self.stems = HashMap::new();
        for entry in &mut self.entries {
            entry.postings.shrink_to_fit();
        }
        self.slots.shrink_to_fit();
    }

    /// The names of the documents, in no order.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().filter_map(|id| match id {
            SourceId::Document(name) => Some(name.as_str()),
            SourceId::Entity(_) => None,
        })
    }

    /// The ids of the entities, in no order.
    pub fn entities(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().filter_map(|id| match id {
            SourceId::Entity(id) => Some(id.as_str()),
            SourceId::Document(_) => None,
        })
    }

    /// Replaces the units of a source by difference: a unit whose content was there before keeps its slot.
    fn put(&mut self, id: SourceId, units: &[Unit], times: &[i64], body: Body) {
        let old = self.sources.remove(&id);
        self.held =
            self.held.saturating_sub(old.as_ref().map_or(0, |source| source.body.bytes())) + body.bytes();
        let old = old.map(|source| source.units).unwrap_or_default();
        let mut known: HashMap<u64, VecDeque<u32>> = HashMap::new();
        for slot in old {
            let fingerprint = self.slot(slot).map_or(0, |slot| slot.fingerprint);
            known.entry(fingerprint).or_default().push_back(slot);
        }
        let source = Arc::new(id.clone());
        let kept: Vec<Option<u32>> = units
            .iter()
            .map(|unit| known.get_mut(&unit.fingerprint()).and_then(VecDeque::pop_front))
            .collect();
        self.free_all(known.into_values().flatten().collect());
        let mut unordered =
            (kept.iter().filter(|kept| kept.is_none()).count() >= TOGETHER).then(HashSet::new);
        let slots: Vec<u32> = units
            .iter()
            .zip(&kept)
            .map(|(unit, kept)| kept.unwrap_or_else(|| self.add(unit, &source, unordered.as_mut())))
            .collect();
        for term in unordered.into_iter().flatten() {
            if let Some(entry) = self.entries.get_mut(term as usize) {
                // Two runs that are in order each: this merges them.
                entry.postings.sort_by_key(|posting| posting.slot);
            }
        }
        let at = |position: Option<usize>| position.and_then(|at| slots.get(at)).copied();
        for (ordinal, ((unit, time), slot)) in units.iter().zip(times).zip(&slots).enumerate() {
            let Some(slot) = self.slots.get_mut(*slot as usize).and_then(Option::as_mut) else { continue };
            slot.source = Arc::clone(&source);
            slot.ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
            slot.at = *time;
            slot.parent = at(unit.parent);
            slot.previous = at(unit.previous);
            slot.next = at(unit.next);
            slot.line = unit.line;
            slot.lines = unit.lines;
            slot.path = Arc::clone(&unit.path);
        }
        self.sources.insert(id, Source { units: slots, body });
    }

    fn remove(&mut self, id: &SourceId) {
        self.disown(id);
        let Some(source) = self.sources.remove(id) else { return };
        self.held = self.held.saturating_sub(source.body.bytes());
        self.free_all(source.units);
    }

    /// Forgets the name of this source, and whose its observations are.
    fn disown(&mut self, id: &SourceId) {
        if let Some(Source { body: Body::Entity { observations, texts }, .. }) = self.sources.get(id) {
            for observation in observations {
                self.owners.remove(observation);
            }
            self.names.remove(texts.get(0));
        }
    }

    /// Adds a unit. Lists that are out of order afterwards are noted in `unordered`; without it none is.
    fn add(&mut self, unit: &Unit, source: &SourceRef, unordered: Option<&mut HashSet<u32>>) -> u32 {
        let mut words: Vec<u32> = Vec::new();
        let mut length = 0_u32;
        each_word(&unit.text, |word| {
            length = length.saturating_add(1);
            words.push(self.term(word));
            if let Some(stem) = self.stem(word) {
                words.push(self.term(&stem));
            }
        });
        words.sort_unstable();
        let counts: Vec<(u32, u32)> = words
            .chunk_by(|a, b| a == b)
            .filter_map(|same| Some((*same.first()?, u32::try_from(same.len()).unwrap_or(u32::MAX))))
            .collect();
        let slot = Slot {
            source: Arc::clone(source),
            ordinal: 0,
            is_core: source.is_core(),
            kind: unit.kind,
            fingerprint: unit.fingerprint(),
            at: 0,
            length,
            terms: counts.iter().map(|(term, _)| *term).collect(),
            parent: None,
            previous: None,
            next: None,
            line: unit.line,
            lines: unit.lines,
            path: Arc::clone(&unit.path),
        };
        self.units += 1;
        self.total_length += u64::from(length);
        self.held += slot.bytes();
        let at = self.free_slots.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(at as usize) {
            *place = Some(slot);
        }
        self.post(at, counts, unordered);
        at
    }

    fn post(&mut self, at: u32, counts: Vec<(u32, u32)>, mut unordered: Option<&mut HashSet<u32>>) {
        for (term, count) in counts {
            let Some(entry) = self.entries.get_mut(term as usize) else { continue };
            let posting = Posting { slot: at, count };
            let is_last = entry.postings.last().is_none_or(|last| last.slot < at);
            match &mut unordered {
                _ if is_last => entry.postings.push(posting),
                Some(unordered) => {
                    entry.postings.push(posting);
                    unordered.insert(term);
                }
                None => {
                    let place = entry.postings.partition_point(|posting| posting.slot < at);
                    entry.postings.insert(place, posting);
                }
            }
        }
    }

    /// Takes units out. Many are taken out of a list of postings in one pass over it.
    fn free_all(&mut self, mut slots: Vec<u32>) {
        slots.sort_unstable();
        let together = slots.len() >= TOGETHER;
        let mut terms: HashSet<u32> = HashSet::new();
        // From the last to the first, so that they are handed out again from the first to the last.
        for at in slots.iter().rev() {
            let Some(slot) = self.slots.get_mut(*at as usize).and_then(Option::take) else { continue };
            self.free_slots.push(*at);
            self.held = self.held.saturating_sub(slot.bytes());
            self.units = self.units.saturating_sub(1);
            self.total_length = self.total_length.saturating_sub(u64::from(slot.length));
            if together {
                terms.extend(slot.terms);
            } else {
                for term in slot.terms {
                    let Some(entry) = self.entries.get_mut(term as usize) else { continue };
                    if let Ok(place) = entry.postings.binary_search_by_key(at, |posting| posting.slot) {
                        entry.postings.remove(place);
                    }
                    self.forget_if_unused(term);
                }
            }
        }
        for term in terms {
            if let Some(entry) = self.entries.get_mut(term as usize) {
                entry.postings.retain(|posting| slots.binary_search(&posting.slot).is_err());
            }
            self.forget_if_unused(term);
        }
    }

    fn forget_if_unused(&mut self, term: u32) {
        let Some(entry) = self.entries.get_mut(term as usize).filter(|entry| entry.postings.is_empty())
        else {
            return;
        };
        entry.postings = Vec::new();
        self.terms.remove(&entry.term);
        self.held = self.held.saturating_sub(TERM_BYTES + entry.term.len());
        self.free_terms.push(term);
    }

    fn term(&mut self, term: &str) -> u32 {
        if let Some(id) = self.terms.get(term) {
            return *id;
        }
        let term: Arc<str> = Arc::from(term);
        self.held += TERM_BYTES + term.len();
        let entry = TermEntry { term: Arc::clone(&term), postings: Vec::new() };
        let id = match self.free_terms.pop() {
            Some(id) => {
                if let Some(place) = self.entries.get_mut(id as usize) {
                    *place = entry;
                }
                id
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.terms.insert(term, id);
        id
    }

    fn stem(&mut self, word: &str) -> Option<String> {
        if let Some(stem) = self.stems.get(word) {
            return stem.clone();
        }
        if self.stems.len() >= STEMS {
            self.stems.clear();
        }
        let stem = stem(word);
        self.stems.insert(word.to_owned(), stem.clone());
        stem
    }

    fn postings(&self, term: &str) -> &[Posting] {
        let entry = self.terms.get(term).and_then(|id| self.entries.get(*id as usize));
        entry.map_or(&[], |entry| entry.postings.as_slice())
    }

    fn slot(&self, at: u32) -> Option<&Slot> {
        self.slots.get(at as usize).and_then(Option::as_ref)
    }
}

#[cfg(test)]
mod tests;
