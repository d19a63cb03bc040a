//! The index in memory: which unit contains which term how often. It is updated incrementally, so that the cost of a
//! write depends on the units that it changes. It reads no files: its owner provides the texts.

mod combined_scores;
mod dense;
mod documents;
mod edit_distance;
mod follow;
mod graph;
mod line_matcher;
mod mentions;
mod names;
mod rank;
mod scratch;
mod slot;
mod text_hashes;
mod vectors;
mod vocabulary;

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use self::dense::{Dense, NO_ROW, document_units};
use self::names::NameWords;
use self::scratch::Scratch;
use self::slot::{Body, Slot, Source, SourceId, SourceRef, Texts, UNDATED};
use self::text_hashes::{TextHashes, languages_of};
use self::vocabulary::{Scope, Vocabulary};
use super::entity::{entity_units, recency};
use super::language::Language;
use super::lines::Lines;
use super::query::fold;
use super::rank::is_question;
use super::unit::{Unit, UnitKind};
use super::words::{TermKind, each_term};
use crate::document::decision_marks::{Bounds, bounded_entries};
use crate::document::{DocumentPath, is_decision_log};
use crate::graph::{Entity, Observation};

pub use dense::{DenseCount, VectorGap};
pub use documents::{DocumentHits, DocumentQuery, LineHit};
pub use graph::{EntityHit, GraphHits, MatchedIn, ObservationHit};
pub use mentions::{MentionPlace, MentionSearch, MentioningDocument, Mentions};

/// The bytes of the entry that maps an observation to its entity.
const OWNER_BYTES: usize = 128;
/// From this many units on, units are added and removed together, so that each list of postings is sorted once
/// instead of once per unit.
const MERGE_AT_LEAST: usize = 32;

/// The units of one project, ready to be searched.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<Option<Slot>>,
    free_slots: Vec<u32>,
    sources: HashMap<SourceId, Source>,
    vocabulary: Vocabulary,
    /// The entity of each observation, for when the observation is deleted.
    owners: HashMap<String, String>,
    names: NameWords,
    /// The units of documents and of the graph, and the words in them.
    units: [u64; 2],
    total_length: [u64; 2],
    /// The approximate bytes of units, postings and texts.
    held: usize,
    /// The vectors, if a model is set.
    dense: Option<Dense>,
    vector_gap: Option<VectorGap>,
    scratch: Mutex<Vec<Scratch>>,
}

impl Index {
    /// Adds or updates a document.
    pub fn put_document(&mut self, path: &DocumentPath, text: &str, updated_at: Timestamp) {
        let name = path.as_str();
        let units = document_units(name, text);
        let at = updated_at.as_millisecond();
        let times = vec![at; units.len()];
        let bounds = bounds_of(name, text, &units);
        let body = Body::Document(Lines::of(text));
        let id = SourceId::Document(name.to_owned());
        self.put(id.clone(), &units, &times, body);
        self.set_bounds(&id, bounds);
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
        self.remove_owner_entries(&id);
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

    /// About how many bytes of memory this takes: units, postings, terms, texts and tables, with the slack of growing
    /// lists, without the temporary memory of searches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let owners = self.owners.len() * OWNER_BYTES;
        let dense = self.dense.as_ref().map_or(0, Dense::bytes);
        (self.held + owners + self.names.bytes() + self.vocabulary.bytes() + self.scratch_bytes() + dense)
            as u64
    }

    /// Releases the slack of the lists, which only a build needs.
    pub fn compact(&mut self) {
        self.vocabulary.compact();
        self.slots.shrink_to_fit();
    }

    /// The number of units.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units.iter().sum()
    }

    /// The number of words in all units together.
    #[must_use]
    pub fn total_length(&self) -> u64 {
        self.total_length.iter().sum()
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

    /// Updates the units of a source: a unit whose content existed before keeps its slot.
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
        let languages = languages_of(units);
        let kept: Vec<Option<u32>> = units
            .iter()
            .zip(&languages)
            .map(|(unit, language)| known.get_mut(&unit.fingerprint(*language)).and_then(VecDeque::pop_front))
            .collect();
        self.free_all(known.into_values().flatten().collect());
        let mut unordered =
            (kept.iter().filter(|kept| kept.is_none()).count() >= MERGE_AT_LEAST).then(HashSet::new);
        let slots: Vec<u32> = units
            .iter()
            .zip(languages)
            .zip(&kept)
            .map(|((unit, language), kept)| {
                kept.unwrap_or_else(|| self.add(unit, language, &source, unordered.as_mut()))
            })
            .collect();
        let scope = if matches!(id, SourceId::Document(_)) { Scope::Documents } else { Scope::Graph };
        for term in unordered.into_iter().flatten() {
            self.vocabulary.put_in_order(term, scope);
        }
        self.place_units(units, times, &slots, &source, scope);
        self.sources.insert(id, Source { units: slots, body });
    }

    /// Sets the places and times of the units of a source, and how they are linked.
    fn place_units(
        &mut self,
        units: &[Unit],
        times: &[i64],
        slots: &[u32],
        source: &SourceRef,
        scope: Scope,
    ) {
        let at = |position: Option<usize>| position.and_then(|at| slots.get(at)).copied();
        let root = slots.first().copied().unwrap_or_default();
        let mut dates: Vec<i64> = Vec::with_capacity(slots.len());
        for (ordinal, ((unit, time), slot)) in units.iter().zip(times).zip(slots).enumerate() {
            let Some(slot) = self.slots.get_mut(*slot as usize).and_then(Option::as_mut) else { continue };
            // A unit without a date has that of the entry before it in the section, else that of the section.
            let over =
                [unit.previous, unit.parent].into_iter().flatten().filter(|_| scope == Scope::Documents);
            let date = over.filter_map(|at| dates.get(at)).find(|date| **date != UNDATED).copied();
            slot.date = if slot.own_date == UNDATED { date.unwrap_or(UNDATED) } else { slot.own_date };
            dates.push(slot.date);
            slot.root = root;
            slot.source = Arc::clone(source);
            slot.ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
            slot.at = *time;
            slot.parent = at(unit.parent);
            slot.previous = at(unit.previous);
            slot.next = at(unit.next);
            slot.line = small(unit.line);
            slot.lines = small(unit.lines);
            slot.from = small(unit.from);
            if let Some(dense) =
                self.dense.as_mut().filter(|_| scope == Scope::Documents && slot.path != unit.path)
            {
                // The same text below another heading is another passage. Add it before the old one is freed.
                let row = dense.add(unit);
                dense.free(std::mem::replace(&mut slot.row, row));
            }
            slot.path = Arc::clone(&unit.path);
        }
    }

    /// Sets when the units of a source hold; an empty list means always.
    fn set_bounds(&mut self, id: &SourceId, bounds: Vec<Bounds>) {
        let Some(source) = self.sources.get(id) else { return };
        let bounds = bounds.into_iter().chain(std::iter::repeat(Bounds::NONE));
        for (slot, bounds) in source.units.iter().zip(bounds) {
            if let Some(slot) = self.slots.get_mut(*slot as usize).and_then(Option::as_mut) {
                slot.bounds = bounds;
            }
        }
    }

    fn remove(&mut self, id: &SourceId) {
        self.remove_owner_entries(id);
        let Some(source) = self.sources.remove(id) else { return };
        self.held = self.held.saturating_sub(source.body.bytes());
        self.free_all(source.units);
    }

    /// Removes the name of this source, and the owner of its observations.
    fn remove_owner_entries(&mut self, id: &SourceId) {
        if let Some(Source { body: Body::Entity { observations, texts }, .. }) = self.sources.get(id) {
            for observation in observations {
                self.owners.remove(observation);
            }
            self.names.remove(texts.get(0));
        }
    }

    /// Adds a unit. Lists that are unsorted afterwards are recorded in `unordered`; without it, all stay sorted.
    fn add(
        &mut self,
        unit: &Unit,
        language: Language,
        source: &SourceRef,
        unordered: Option<&mut HashSet<u32>>,
    ) -> u32 {
        let mut terms: Vec<u32> = Vec::new();
        let mut length = 0_u32;
        let mut hashes = TextHashes::default();
        let vocabulary = &mut self.vocabulary;
        let own_date = each_term(&unit.text, |term| {
            if !matches!(term.kind, TermKind::Whole | TermKind::Date) {
                length = length.saturating_add(1);
            }
            hashes.take(term.text, term.kind);
            terms.push(vocabulary.intern(term.text));
        });
        let counts = count_terms(terms);
        let slot = Slot {
            source: Arc::clone(source),
            ordinal: 0,
            is_core: source.is_core(),
            kind: unit.kind,
            language,
            fingerprint: unit.fingerprint(language),
            // A heading represents its section, so it is never similar to another.
            words_hash: if unit.kind.is_container() { 0 } else { hashes.words },
            pattern: hashes.pattern,
            at: 0,
            own_date: own_date.unwrap_or(UNDATED),
            date: own_date.unwrap_or(UNDATED),
            bounds: Bounds::NONE,
            length,
            is_question: is_question(&unit.text),
            terms: counts.iter().map(|(term, _)| *term).collect(),
            row: self
                .dense
                .as_mut()
                .filter(|_| !unit.kind.is_in_graph())
                .map_or(NO_ROW, |dense| dense.add(unit)),
            root: 0,
            parent: None,
            previous: None,
            next: None,
            line: small(unit.line),
            lines: small(unit.lines),
            from: small(unit.from),
            path: Arc::clone(&unit.path),
        };
        let scope = slot.scope();
        count_up(&mut self.units, scope, 1);
        count_up(&mut self.total_length, scope, u64::from(length));
        self.held += slot.bytes();
        let at = self.occupy_slot(slot);
        self.vocabulary.post(at, scope, language, &counts, unordered);
        at
    }

    fn occupy_slot(&mut self, slot: Slot) -> u32 {
        let at = self.free_slots.pop().unwrap_or_else(|| {
            self.slots.push(None);
            small(self.slots.len() - 1)
        });
        if let Some(place) = self.slots.get_mut(at as usize) {
            *place = Some(slot);
        }
        at
    }

    /// Removes units. Many are removed from a list of postings in one pass.
    fn free_all(&mut self, mut slots: Vec<u32>) {
        slots.sort_unstable();
        let together = slots.len() >= MERGE_AT_LEAST;
        let mut terms: [HashSet<u32>; 2] = Default::default();
        // In descending order, so that they are reused in ascending order.
        for at in slots.iter().rev() {
            let Some(slot) = self.slots.get_mut(*at as usize).and_then(Option::take) else { continue };
            let scope = slot.scope();
            if let Some(dense) = &mut self.dense {
                dense.free(slot.row);
            }
            self.free_slots.push(*at);
            self.held = self.held.saturating_sub(slot.bytes());
            count_down(&mut self.units, scope, 1);
            count_down(&mut self.total_length, scope, u64::from(slot.length));
            self.vocabulary.remove_postings(*at, scope, slot.language, &slot.terms, together);
            if together && let Some(terms) = terms.get_mut(scope as usize) {
                terms.extend(slot.terms);
            }
        }
        for (terms, scope) in terms.into_iter().zip([Scope::Documents, Scope::Graph]) {
            for term in terms {
                self.vocabulary.retain(term, scope, &slots);
            }
        }
    }

    fn slot(&self, at: u32) -> Option<&Slot> {
        self.slots.get(at as usize).and_then(Option::as_ref)
    }
}

/// When the decisions of a log hold, for each unit; empty if they always do.
fn bounds_of(name: &str, text: &str, units: &[Unit]) -> Vec<Bounds> {
    if !is_decision_log(name) {
        return Vec::new();
    }
    let entries = bounded_entries(text);
    if entries.is_empty() {
        return Vec::new();
    }
    let line_at = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    let entries: Vec<(usize, usize, Bounds)> = entries
        .into_iter()
        .map(|one| (line_at(one.range.start), line_at(one.range.end), one.bounds))
        .collect();
    let bounds = |unit: &Unit| {
        let own = entries.iter().filter(|(first, behind, _)| (*first..*behind).contains(&unit.line));
        own.fold(Bounds::NONE, |all, (_, _, bounds)| all.and(*bounds))
    };
    // The document itself does not end with its first entry.
    let is_entry = |unit: &Unit| unit.kind != UnitKind::Document;
    units.iter().map(|unit| if is_entry(unit) { bounds(unit) } else { Bounds::NONE }).collect()
}

/// Each term once, with its number.
fn count_terms(mut terms: Vec<u32>) -> Vec<(u32, u32)> {
    terms.sort_unstable();
    let same = terms.chunk_by(|a, b| a == b);
    same.filter_map(|same| Some((*same.first()?, small(same.len())))).collect()
}

fn count_up(counts: &mut [u64; 2], scope: Scope, more: u64) {
    if let Some(count) = counts.get_mut(scope as usize) {
        *count += more;
    }
}

fn count_down(counts: &mut [u64; 2], scope: Scope, less: u64) {
    if let Some(count) = counts.get_mut(scope as usize) {
        *count = count.saturating_sub(less);
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
