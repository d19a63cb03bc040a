//! Finds entities and observations. A single word keeps the order that clients know: equal, begins with it, has it as
//! a word, contains it; everything else follows by BM25 in context.

use std::cmp::Reverse;
use std::collections::HashMap;

use memchr::memmem::Finder;
use serde::Serialize;

use super::{Body, Index, SourceId};
use crate::search::query::Query;
use crate::search::rank::Ranker;
use crate::search::unit::UnitKind;

/// The share of a hit in the type of an entity.
const TYPE_SHARE: f64 = 0.8;
/// The share of a hit in the attributes of an entity.
const ATTRS_SHARE: f64 = 0.6;
/// The most that a hit by BM25 gets where the query is a single word: less than anything that contains it.
const BELOW_CONTAINED: f64 = 20.0;
/// The most that a hit by BM25 gets otherwise: less than a name that is equal to the query.
const BELOW_EQUAL: f64 = 99.0;

/// What of an entity was found.
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
    /// Entities that were found themselves or through an observation.
    pub entities: Vec<EntityHit>,
    /// Observations.
    pub observations: Vec<ObservationHit>,
    /// Whether there are more of either.
    pub more: bool,
}

#[derive(Default)]
struct Found {
    /// The score as plain text.
    plain: f64,
    /// The BM25 score in context.
    ranked: f64,
    matched: Vec<MatchedIn>,
}

impl Index {
    /// Searches the graph; at most `limit` entities and `limit` observations.
    #[must_use]
    pub fn search_graph(&self, query: &Query, limit: usize) -> GraphHits {
        let found = self.find_in_graph(query);
        let top = found.values().map(|found| found.ranked).fold(0.0, f64::max);
        let score = |found: &Found| {
            let share = if top > 0.0 { found.ranked / top } else { 0.0 };
            let ranked = share * if query.is_single() { BELOW_CONTAINED } else { BELOW_EQUAL };
            // A phrase of several words counts as plain text when it is the whole name; else the words decide.
            if query.is_single() || found.plain >= 100.0 {
                found.plain.max(ranked)
            } else {
                ranked.max(found.plain * 0.01)
            }
        };
        let mut observations: Vec<(u32, f64)> = Vec::new();
        let mut entities: HashMap<&str, (f64, Vec<MatchedIn>)> = HashMap::new();
        for (at, found) in &found {
            let Some(slot) = self.slot(*at) else { continue };
            let SourceId::Entity(id) = slot.source.as_ref() else { continue };
            let score = score(found);
            if slot.kind == UnitKind::Observation {
                observations.push((*at, score));
                // The owner comes after what was found by itself with the same score.
                let owner = entities.entry(id).or_default();
                let share = if query.is_single() { 0.1 } else { 0.9 };
                owner.0 = owner.0.max(score * share);
                owner.1.push(MatchedIn::Observations);
            } else {
                let entity = entities.entry(id).or_default();
                entity.0 = entity.0.max(score);
                entity.1.extend(&found.matched);
            }
        }
        let more = entities.len() > limit || observations.len() > limit;
        GraphHits {
            entities: self.best_entities(entities, limit),
            observations: self.best_observations(observations, limit),
            more,
        }
    }

    fn find_in_graph(&self, query: &Query) -> HashMap<u32, Found> {
        let ranker = Ranker::new(query, self);
        let mut found: HashMap<u32, Found> = HashMap::new();
        if query.phrases().is_empty() {
            self.find_plain(query, &mut found);
        }
        let candidates =
            self.candidates(query, &ranker, |slot| matches!(slot.source.as_ref(), SourceId::Entity(_)));
        for candidate in candidates {
            let Some(slot) = self.slot(candidate.slot) else { continue };
            if !query.admits(&slot.folded) {
                continue;
            }
            let entry = found.entry(candidate.slot).or_default();
            entry.ranked = candidate.score;
            if slot.kind == UnitKind::Entity && entry.matched.is_empty() && candidate.own > 0.0 {
                entry.matched = self.matched_words(&slot.source, query);
            }
        }
        found
    }

    /// Scores what contains the query as one text.
    fn find_plain(&self, query: &Query, found: &mut HashMap<u32, Found>) {
        let phrase = query.folded().trim();
        let finder = Finder::new(phrase);
        for source in self.sources.values() {
            let Body::Entity { folded: [name, kind, attrs], all, .. } = &source.body else { continue };
            let mut units = source.units.iter();
            if let Some(entity) = units.next().filter(|_| finder.find(all.as_bytes()).is_some()) {
                let scores = [
                    (MatchedIn::Name, plain_score(name, phrase, &finder)),
                    (MatchedIn::Type, TYPE_SHARE * plain_score(kind, phrase, &finder)),
                    (MatchedIn::Attrs, ATTRS_SHARE * plain_score(attrs, phrase, &finder)),
                ];
                let plain = scores.iter().map(|(_, score)| *score).fold(0.0, f64::max);
                let matched =
                    scores.iter().filter(|(_, score)| *score > 0.0).map(|(part, _)| *part).collect();
                if plain > 0.0 {
                    found.insert(*entity, Found { plain, ranked: 0.0, matched });
                }
            }
            for at in units {
                let Some(text) = self.slot(*at).map(|slot| slot.folded.as_str()) else { continue };
                let plain = plain_score(text, phrase, &finder);
                if plain > 0.0 {
                    found.insert(*at, Found { plain, ..Found::default() });
                }
            }
        }
    }

    fn matched_words(&self, source: &SourceId, query: &Query) -> Vec<MatchedIn> {
        let Some(Body::Entity { folded: [name, kind, attrs], .. }) =
            self.sources.get(source).map(|source| &source.body)
        else {
            return Vec::new();
        };
        let has = |text: &str| {
            query.words().iter().any(|word| {
                text.contains(&word.form) || word.stem.as_ref().is_some_and(|stem| text.contains(stem))
            })
        };
        [(MatchedIn::Name, name), (MatchedIn::Type, kind), (MatchedIn::Attrs, attrs)]
            .into_iter()
            .filter_map(|(part, text)| has(text).then_some(part))
            .collect()
    }

    fn best_entities(&self, entities: HashMap<&str, (f64, Vec<MatchedIn>)>, limit: usize) -> Vec<EntityHit> {
        let at = |id: &str| {
            let source = self.sources.get(&SourceId::Entity(id.to_owned()));
            source
                .and_then(|source| source.units.first())
                .and_then(|at| self.slot(*at))
                .map_or(i64::MIN, |slot| slot.at)
        };
        let mut hits: Vec<(Reverse<i64>, EntityHit)> = entities
            .into_iter()
            .map(|(id, (score, mut matched_in))| {
                matched_in.sort_unstable();
                matched_in.dedup();
                (Reverse(at(id)), EntityHit { id: id.to_owned(), score, matched_in })
            })
            .collect();
        hits.sort_by(|(a_at, a), (b_at, b)| {
            b.score.total_cmp(&a.score).then_with(|| a_at.cmp(b_at)).then_with(|| a.id.cmp(&b.id))
        });
        hits.truncate(limit);
        hits.into_iter().map(|(_, hit)| EntityHit { score: rounded(hit.score), ..hit }).collect()
    }

    fn best_observations(&self, mut found: Vec<(u32, f64)>, limit: usize) -> Vec<ObservationHit> {
        let place = |at: u32| self.slot(at).map(|slot| (Reverse(slot.at), &slot.source, slot.ordinal));
        found.sort_by(|(a, a_score), (b, b_score)| {
            b_score.total_cmp(a_score).then_with(|| place(*a).cmp(&place(*b)))
        });
        found.truncate(limit);
        let hits = found.into_iter().filter_map(|(at, score)| {
            let slot = self.slot(at)?;
            let SourceId::Entity(entity_id) = slot.source.as_ref() else { return None };
            let Body::Entity { observations, .. } = &self.sources.get(slot.source.as_ref())?.body else {
                return None;
            };
            let id = observations.get((slot.ordinal as usize).checked_sub(1)?)?.clone();
            Some(ObservationHit { id, entity_id: entity_id.clone(), score: rounded(score) })
        });
        hits.collect()
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
    let stands_alone = |at: usize| is_boundary(at) && is_boundary(at + phrase.len());
    if finder.find_iter(bytes).any(stands_alone) { 60.0 } else { 40.0 }
}

fn rounded(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}
