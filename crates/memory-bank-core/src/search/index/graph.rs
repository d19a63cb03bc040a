//! Finds entities and observations. For a single word, results have the order on which clients rely: equal, begins
//! with it, has it as a word, contains it; all others follow by BM25 in context.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use memchr::memmem::Finder;
use serde::Serialize;

use super::rank::{Candidate, Prepared};
use super::vocabulary::{Form, Scope};
use super::{Body, Index, Slot, SourceId, Texts};
use crate::search::query::Query;

/// The share of a hit in the type of an entity.
const TYPE_SHARE: f64 = 0.8;
/// The share of a hit in the attributes of an entity.
const ATTRS_SHARE: f64 = 0.6;
/// The highest score of a BM25 hit for a single word: less than that of a text that contains it.
const MAX_WORD_SCORE: f64 = 20.0;
/// The highest score of a BM25 hit otherwise: less than that of a name equal to the query.
const MAX_RANKED_SCORE: f64 = 99.0;

/// The weight of a word of a name that replaces a misspelt word.
const REPLACEMENT_WEIGHT: f64 = 0.5;
/// The share of an observation's score that its entity gets, so that it ranks below direct hits.
const ENTITY_SHARE: f64 = 0.9;
/// [`ENTITY_SHARE`] for a query of a single word, since texts that contain it have a score of their own.
const ENTITY_SHARE_OF_WORD: f64 = 0.1;

/// The part of an entity that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchedIn {
    /// Its name.
    Name,
    /// Its type.
    Type,
    /// Its attributes.
    Attrs,
    /// One of its observations.
    Observations,
}

/// An entity that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityHit {
    /// Its id.
    pub id: String,
    /// From 0 to 100.
    pub score: f64,
    /// Where it was found.
    pub matched_in: Vec<MatchedIn>,
}

/// An observation that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationHit {
    /// Its id.
    pub id: String,
    /// The entity that it belongs to.
    pub entity_id: String,
    /// From 0 to 100.
    pub score: f64,
}

/// The best hits, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GraphHits {
    /// Entities that matched themselves or by an observation.
    pub entities: Vec<EntityHit>,
    /// Observations.
    pub observations: Vec<ObservationHit>,
    /// Whether there are more of either.
    pub more: bool,
}

/// A map by slot. Slots are internal small numbers, so they need no hash that resists attacks.
type BySlot<T> = HashMap<u32, T, BuildHasherDefault<SlotHasher>>;

#[derive(Debug, Clone, Copy, Default)]
struct SlotHasher(u64);

impl Hasher for SlotHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, slot: u32) {
        self.0 = (self.0 ^ u64::from(slot)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// A unit with its score and its time, for selecting the best.
#[derive(Debug, Clone, Copy)]
struct Scored {
    slot: u32,
    score: f64,
    at: i64,
}

/// The results of an entity while observations are processed.
#[derive(Debug, Clone, Copy, Default)]
struct EntityMatch {
    score: f64,
    has_own_hit: bool,
    by_observation: bool,
}

/// The matches of a query in the graph.
#[derive(Debug, Default)]
struct GraphMatches {
    entities: BySlot<EntityMatch>,
    observations: Vec<Scored>,
}

impl Index {
    /// Searches the graph; at most `limit` entities and `limit` observations. `shows` selects entities and observations by their ids.
    #[must_use]
    pub fn search_graph(
        &self,
        query: &Query,
        limit: usize,
        mut shows: impl FnMut(&str) -> bool,
    ) -> GraphHits {
        let mut prepared = self.prepare(query, Scope::Graph);
        let meant = self.replacements(query, &prepared);
        for (place, words) in &meant {
            let forms = words.iter().filter_map(|word| self.vocabulary.exact(word));
            if let Some(known) = prepared.words.get_mut(*place) {
                known.extend(forms.map(|form| Form { weight: REPLACEMENT_WEIGHT, ..form }));
            }
        }
        let scored = self.scored(&prepared, Scope::Graph);
        let mut candidates = scored.candidates(query, &prepared, limit, |_| true);
        if !query.is_single() {
            // A fact that is not shown adds no neighbours.
            candidates.retain(|found| self.graph_id(found.slot).is_some_and(&mut shows));
            let adjacent = scored.adjacent(&candidates, usize::MAX, |_| true);
            candidates.extend(adjacent);
        }
        let GraphMatches { entities, mut observations } = self.graph_matches(query, &candidates, &mut shows);
        let more = entities.len() > limit || observations.len() > limit;
        let mut found: Vec<Scored> = entities
            .iter()
            .map(|(at, entity)| Scored {
                slot: *at,
                score: entity.score,
                at: self.slot(*at).map_or(i64::MIN, |slot| slot.at),
            })
            .collect();
        self.keep_best(&mut found, limit);
        self.keep_best(&mut observations, limit);
        let entities = found.iter().filter_map(|found| {
            let gathered = entities.get(&found.slot).copied().unwrap_or_default();
            self.entity_hit(found, gathered, query, &prepared)
        });
        GraphHits {
            entities: entities.collect(),
            observations: observations.iter().filter_map(|found| self.observation_hit(found)).collect(),
            more,
        }
    }

    /// The entities and observations that match, each with its score.
    fn graph_matches(
        &self,
        query: &Query,
        candidates: &[Candidate],
        shows: &mut dyn FnMut(&str) -> bool,
    ) -> GraphMatches {
        let top = candidates.iter().map(|candidate| candidate.score).fold(0.0, f64::max);
        let single = query.is_single();
        let score = |plain: f64, ranked: f64| {
            let share = if top > 0.0 { ranked / top } else { 0.0 };
            let ranked = share * if single { MAX_WORD_SCORE } else { MAX_RANKED_SCORE };
            // A query of several words counts as plain text only if it equals the text; otherwise the words decide.
            if single || plain >= 100.0 { plain.max(ranked) } else { ranked.max(plain * 0.01) }
        };
        let mut plain = if query.phrases().is_empty() { self.find_plain(query) } else { BySlot::default() };
        let mut matches = GraphMatches::default();
        let mut take = |at: u32, score: f64| {
            let Some(slot) = self.slot(at) else { return };
            let Some(owner) = slot.parent else {
                if !matches!(slot.source.as_ref(), SourceId::Entity(id) if shows(id)) {
                    return;
                }
                let entity = matches.entities.entry(at).or_default();
                entity.score = entity.score.max(score);
                entity.has_own_hit = true;
                return;
            };
            if !self.observation_at(slot).is_some_and(|(_, id)| shows(id)) {
                return;
            }
            matches.observations.push(Scored { slot: at, score, at: slot.at });
            let entity = matches.entities.entry(owner).or_default();
            entity.score = entity.score.max(score * if single { ENTITY_SHARE_OF_WORD } else { ENTITY_SHARE });
            entity.by_observation = true;
        };
        for candidate in candidates {
            if query.phrases().is_empty()
                || self.graph_text(candidate.slot).is_some_and(|text| query.admits(text))
            {
                let plain = plain.remove(&candidate.slot).unwrap_or_default();
                take(candidate.slot, score(plain, candidate.score));
            }
        }
        for (at, plain) in plain {
            take(at, score(plain, 0.0));
        }
        matches
    }

    /// The ids of the newest observations of an entity, newest first; of equally old ones the one stored last comes
    /// first. `None` if the entity is unknown.
    #[must_use]
    pub fn newest_observations(&self, entity_id: &str, count: usize) -> Option<Vec<&str>> {
        let source = self.sources.get(&SourceId::Entity(entity_id.to_owned()))?;
        let Body::Entity { observations, .. } = &source.body else { return None };
        let times = source.units.iter().skip(1).map(|at| self.slot(*at).map_or(i64::MIN, |slot| slot.at));
        let mut newest: Vec<(i64, usize)> = times.zip(0..).collect();
        let order = |a: &(i64, usize), b: &(i64, usize)| b.cmp(a);
        if count > 0 && count < newest.len() {
            newest.select_nth_unstable_by(count - 1, order);
        }
        newest.truncate(count);
        newest.sort_unstable_by(order);
        Some(newest.into_iter().filter_map(|(_, at)| observations.get(at).map(String::as_str)).collect())
    }

    /// Scores the units that contain the literal query, by slot.
    fn find_plain(&self, query: &Query) -> BySlot<f64> {
        let phrase = query.folded().trim();
        let finder = Finder::new(phrase);
        let mut found: BySlot<f64> = BySlot::default();
        for source in self.sources.values() {
            let Body::Entity { texts, .. } = &source.body else { continue };
            let mut last = None;
            for at in finder.find_iter(texts.all.as_bytes()) {
                let place = texts.starts.partition_point(|start| *start <= at).saturating_sub(1);
                if last.replace(place) == Some(place) {
                    continue;
                }
                let unit = (place + 1).saturating_sub(Texts::OF_ENTITY);
                let plain = part_share(place) * plain_score(texts.get(place), phrase, &finder);
                if let Some(slot) = source.units.get(unit).filter(|_| plain > 0.0) {
                    let best = found.entry(*slot).or_default();
                    *best = best.max(plain);
                }
            }
        }
        found
    }

    /// Keeps the best, sorted; among equals, newer ones first.
    fn keep_best(&self, found: &mut Vec<Scored>, limit: usize) {
        let order = |a: &Scored, b: &Scored| {
            b.score.total_cmp(&a.score).then_with(|| b.at.cmp(&a.at)).then_with(|| {
                match (self.slot(a.slot), self.slot(b.slot)) {
                    (Some(a), Some(b)) => a.compare_place(b),
                    _ => Ordering::Equal,
                }
            })
        };
        if limit > 0 && limit < found.len() {
            found.select_nth_unstable_by(limit - 1, order);
        }
        found.truncate(limit);
        found.sort_unstable_by(order);
    }

    /// Replacements for words of the query without an occurrence: similar words of names, by the position of the word
    /// in the query.
    fn replacements(&self, query: &Query, prepared: &Prepared) -> Vec<(usize, Vec<&str>)> {
        let words = query.words().iter().zip(&prepared.words).enumerate();
        let unknown = words.filter(|(_, (_, forms))| forms.is_empty());
        let meant = unknown.map(|(place, (word, _))| (place, self.names.similar(&word.form)));
        meant.filter(|(_, words)| !words.is_empty()).collect()
    }

    fn entity_hit(
        &self,
        found: &Scored,
        gathered: EntityMatch,
        query: &Query,
        prepared: &Prepared,
    ) -> Option<EntityHit> {
        let source = self.slot(found.slot)?.source.as_ref();
        let (SourceId::Entity(id), Body::Entity { texts, .. }) = (source, &self.sources.get(source)?.body)
        else {
            return None;
        };
        let phrase = query.folded().trim();
        let has_words = |text: &str| {
            let mut forms = prepared.words.iter().flatten();
            text.contains(phrase) || forms.any(|form| text.contains(self.vocabulary.term(form.term)))
        };
        let parts = [MatchedIn::Name, MatchedIn::Type, MatchedIn::Attrs];
        let own =
            parts.into_iter().enumerate().filter(|(at, _)| gathered.has_own_hit && has_words(texts.get(*at)));
        let mut matched_in: Vec<MatchedIn> = own.map(|(_, part)| part).collect();
        matched_in.extend(gathered.by_observation.then_some(MatchedIn::Observations));
        Some(EntityHit { id: id.clone(), score: rounded(found.score), matched_in })
    }

    fn observation_hit(&self, found: &Scored) -> Option<ObservationHit> {
        let (entity_id, id) = self.observation_at(self.slot(found.slot)?)?;
        Some(ObservationHit {
            id: id.to_owned(),
            entity_id: entity_id.to_owned(),
            score: rounded(found.score),
        })
    }

    /// The ids of the entity and the observation of a unit.
    fn observation_at<'a>(&'a self, slot: &'a Slot) -> Option<(&'a str, &'a str)> {
        let source = slot.source.as_ref();
        let (SourceId::Entity(entity_id), Body::Entity { observations, .. }) =
            (source, &self.sources.get(source)?.body)
        else {
            return None;
        };
        Some((entity_id, observations.get((slot.ordinal as usize).checked_sub(1)?)?))
    }

    /// The id of the entity or the observation of a unit.
    fn graph_id(&self, at: u32) -> Option<&str> {
        let slot = self.slot(at)?;
        match (slot.parent, slot.source.as_ref()) {
            (None, SourceId::Entity(id)) => Some(id),
            (None, SourceId::Document(_)) => None,
            (Some(_), _) => self.observation_at(slot).map(|(_, id)| id),
        }
    }

    /// The text of a unit of the graph, in lower case.
    fn graph_text(&self, at: u32) -> Option<&str> {
        let slot = self.slot(at)?;
        match &self.sources.get(slot.source.as_ref())?.body {
            Body::Entity { texts, .. } => Some(texts.of_unit(slot.ordinal)),
            Body::Document(_) => None,
        }
    }
}

/// The weight of a hit by the part of the entity: name, type, attributes, then observations.
fn part_share(place: usize) -> f64 {
    match place {
        1 => TYPE_SHARE,
        2 => ATTRS_SHARE,
        _ => 1.0,
    }
}

/// The score of a text for one phrase, both in lower case: 100 equal, 80 begins with it, 60 has it between word
/// boundaries by the ASCII rule, 40 contains it.
fn plain_score(text: &str, phrase: &str, finder: &Finder<'_>) -> f64 {
    let Some(first) = finder.find(text.as_bytes()) else { return 0.0 };
    if first == 0 {
        return if text.len() == phrase.len() { 100.0 } else { 80.0 };
    }
    let bytes = text.as_bytes();
    let is_word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let is_boundary = |at: usize| is_word(at.checked_sub(1)) != is_word(Some(at));
    let is_whole_word = |at: usize| is_boundary(at) && is_boundary(at + phrase.len());
    if finder.find_iter(bytes).any(is_whole_word) { 60.0 } else { 40.0 }
}

fn rounded(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}
