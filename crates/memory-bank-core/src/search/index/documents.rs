//! Finds lines in documents: ranked units first, then every other line that contains the query as plain text.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::dense::DenseCount;
use super::line_matcher::LineMatcher;
use super::rank::{Candidate, Prepared, Scored};
use super::vocabulary::Scope;
use super::{Body, Index, Slot, SourceId};
use crate::document::core_rank;
use crate::limits;
use crate::search::lines::{Lines, clip};
use crate::search::markdown::is_template_row;
use crate::search::query::Query;
use crate::search::unit::UnitKind;

/// How many of the best candidates are rescored by their text.
const MAX_RESCORED: usize = 60;
/// How many units are checked for a phrase before whole texts are searched.
const MAX_PHRASE_UNITS: usize = 2000;
/// How many units that differ only in numbers are shown before other units.
const MAX_SIMILAR_FIRST: usize = 3;
/// The most units that are shown because of their neighbours.
const MAX_ADJACENT: usize = 1000;

/// A search in documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentQuery {
    /// The words and phrases.
    pub query: Query,
    /// Stored names to search; `None` = all documents.
    pub files: Option<Vec<String>>,
    /// The most hits to return.
    pub limit: usize,
    /// Whether a hit must contain a word of the query (or the whole query) in the same letter case.
    pub case_sensitive: bool,
    /// The first and the last day of hits, in UTC.
    pub days: (Option<Date>, Option<Date>),
    /// The moment at which decisions must hold, in milliseconds since 1970; `None` finds ended ones, too.
    pub holding_at: Option<i64>,
}

/// One line that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct LineHit {
    /// The document.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The trimmed line, cut around the hit if it is long.
    pub content: String,
    /// The line before, the line, and the line after it, each cut if it is long.
    pub context: String,
    /// The score, comparable within one reply only; 0 for plain-text hits.
    pub score: f64,
    /// The headings above it, outermost first, and its own if it has one.
    pub heading_path: Vec<String>,
    /// The first and the last line of the unit that was found.
    pub unit: (usize, usize),
    /// How many other results differ only in dates and ids; they are not shown.
    pub similar: usize,
    /// The documents and first lines of the first [`limits::SIMILAR_PLACES`] of them.
    pub similar_in: Vec<(String, usize)>,
}

impl LineHit {
    fn bytes(&self) -> usize {
        let path = self.heading_path.iter().map(|heading| heading.len() + size_of::<String>());
        size_of::<Self>() + self.file.len() + self.content.len() + self.context.len() + path.sum::<usize>()
    }
}

/// The best hits, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DocumentHits {
    /// At most as many as requested, within [`limits::HITS_BYTES`].
    pub hits: Vec<LineHit>,
    /// Whether there are more.
    pub more: bool,
    /// Phrases without an occurrence, so that their words were searched.
    pub missing_phrases: Vec<String>,
    /// Words without an occurrence, so that similar words were searched.
    pub unknown_words: Vec<String>,
    /// How many units with words of the query are left out, since their decisions have ended or have not begun.
    pub ended: usize,
    /// How many vectors exist; `None` for a query without a vector, or while no model is set.
    pub meaning: Option<DenseCount>,
}

impl Index {
    /// Searches documents.
    #[must_use]
    pub fn search_documents(&self, request: &DocumentQuery) -> DocumentHits {
        let files: Option<HashSet<&str>> =
            request.files.as_ref().map(|files| files.iter().map(String::as_str).collect());
        let in_files = |name: &str| files.as_ref().is_none_or(|files| files.contains(name));
        let days = Days::of(request.days, request.holding_at);
        let is_searched = |slot: &Slot| {
            files.is_none() || matches!(slot.source.as_ref(), SourceId::Document(name) if in_files(name))
        };
        let accepts = |slot: &Slot| days.hold(slot) && is_searched(slot);
        let ended = Cell::new(0);
        let counted = |slot: &Slot| {
            // The unit of a whole document is none of an entry.
            let is_entry = slot.kind != UnitKind::Document;
            let is_ended = is_entry && days.is_ended(slot) && days.hold_date(slot) && is_searched(slot);
            ended.set(ended.get() + usize::from(is_ended));
            accepts(slot)
        };
        let prepared = self.prepare(&request.query, Scope::Documents);
        let scored = self.scored(&prepared, Scope::Documents);
        let mut candidates = scored.candidates(&request.query, &prepared, request.limit, counted);
        let sorted = (request.limit.saturating_mul(2) + 20).max(MAX_RESCORED).min(candidates.len());
        self.best_first(&mut candidates, sorted);
        let missing = self.missing_phrases(&request.query, &candidates, &in_files);
        let query = request.query.without_phrases(&missing);
        let matcher = LineMatcher::new(&query, self.weights(&prepared, &scored), request.case_sensitive);
        self.rescore(&matcher, candidates.get_mut(..sorted).unwrap_or_default());
        let meaning = self.meaning(&query);
        let sorted = if self.combine_with_meaning(&query, &scored, &mut candidates, accepts) {
            let sorted = (request.limit.saturating_mul(2) + 20).min(candidates.len());
            self.best_first(&mut candidates, sorted);
            sorted
        } else {
            sorted
        };
        let hits = DocumentHits { missing_phrases: missing, meaning, ..DocumentHits::default() };
        let mut answer = HitCollector::new(self, request, query, matcher, hits);
        let (first, rest) = candidates.split_at_mut_checked(sorted).unwrap_or_default();
        answer.take(first);
        if !answer.is_full() {
            self.best_first(rest, rest.len());
            answer.take(rest);
        }
        answer.take_later();
        if !answer.is_full() {
            answer.take_plain(&in_files, &days);
        }
        if !answer.is_full() && !request.query.is_single() {
            let mut adjacent = scored.adjacent(&candidates, MAX_ADJACENT, accepts);
            self.best_first(&mut adjacent, MAX_ADJACENT);
            answer.take(&adjacent);
            answer.take_later();
        }
        answer.count_similar(&candidates);
        answer.hits.unknown_words = prepared.unknown_words(&request.query);
        answer.hits.ended = ended.get();
        answer.hits
    }

    /// The phrases that no searched unit and no line contains.
    fn missing_phrases(
        &self,
        query: &Query,
        candidates: &[Candidate],
        in_files: &impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let occurs = |phrase: &String| {
            let only = query.without_phrases(
                &query.phrases().iter().filter(|other| *other != phrase).cloned().collect::<Vec<_>>(),
            );
            candidates.iter().take(MAX_PHRASE_UNITS).any(|candidate| {
                let slot = self.slot(candidate.slot);
                let lines = slot.and_then(|slot| Some((slot, self.lines_of(&slot.source)?)));
                lines.is_some_and(|(slot, lines)| only.admits(&slot.text(lines)))
            }) || self
                .texts()
                .any(|(name, lines)| in_files(name) && !lines.containing(phrase, true).is_empty())
        };
        query.phrases().iter().filter(|phrase| !occurs(phrase)).cloned().collect()
    }

    /// Rescores the best candidates: texts with the literal query, or its words side by side, rank higher.
    fn rescore(&self, matcher: &LineMatcher, candidates: &mut [Candidate]) {
        for candidate in candidates.iter_mut() {
            let Some(slot) = self.slot(candidate.slot) else { continue };
            let Some(lines) = self.lines_of(&slot.source) else { continue };
            candidate.score *= matcher.phrase_factor(&slot.text(lines));
        }
        candidates.sort_by(|a, b| self.compare(a, b));
    }

    /// The weight of each term of the query, with the position of its word.
    fn weights(&self, prepared: &Prepared, scored: &Scored<'_>) -> HashMap<String, (usize, f64)> {
        let mut weights: HashMap<String, (usize, f64)> = HashMap::new();
        for (place, (forms, rarity)) in prepared.words.iter().zip(scored.rarity()).enumerate() {
            for form in forms {
                let weight = rarity * form.weight;
                let known =
                    weights.entry(self.vocabulary.term(form.term).to_owned()).or_insert((place, weight));
                if known.1 < weight {
                    *known = (place, weight);
                }
            }
        }
        weights
    }

    fn lines_of(&self, source: &SourceId) -> Option<&Lines> {
        match &self.sources.get(source)?.body {
            Body::Document(lines) => Some(lines),
            Body::Entity { .. } => None,
        }
    }

    /// The documents, in no order.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &Lines)> {
        self.sources.iter().filter_map(|(id, source)| match (id, &source.body) {
            (SourceId::Document(name), Body::Document(lines)) => Some((name.as_str(), lines)),
            _ => None,
        })
    }
}

/// The range of days of hits, in seconds since 1970, and the moment at which decisions must hold.
struct Days {
    from: Option<i64>,
    until: Option<i64>,
    holding_at: Option<i64>,
}

impl Days {
    fn of((first, last): (Option<Date>, Option<Date>), holding_at: Option<i64>) -> Self {
        let midnight =
            |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp().as_second());
        let after = last.and_then(|last| last.tomorrow().ok());
        Self { from: first.and_then(midnight), until: after.and_then(midnight), holding_at }
    }

    fn hold(&self, slot: &Slot) -> bool {
        !self.is_ended(slot) && self.hold_date(slot)
    }

    fn is_ended(&self, slot: &Slot) -> bool {
        self.holding_at.is_some_and(|at| !slot.bounds.hold(at))
    }

    fn hold_date(&self, slot: &Slot) -> bool {
        (self.from.is_none() && self.until.is_none()) || {
            let at = slot.moment();
            self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until)
        }
    }
}

impl Slot {
    /// The text of the unit: its lines, or its part of a long line.
    fn text(&self, lines: &Lines) -> String {
        if self.lines <= 1 {
            let line = lines.get(self.line as usize);
            // The next part may be included; the excess does not matter.
            return if self.from == 0 {
                line.to_owned()
            } else {
                line.chars().skip(self.from as usize).take(1000).collect()
            };
        }
        let all: Vec<&str> =
            (self.line..self.line + self.lines).map(|line| lines.get(line as usize)).collect();
        all.join("\n")
    }
}

struct HitCollector<'a> {
    index: &'a Index,
    limit: usize,
    is_cased: bool,
    query: Query,
    matcher: LineMatcher,
    hits: DocumentHits,
    /// Lines that were returned already.
    taken: HashSet<(&'a str, usize)>,
    /// The hits by the hash of their words.
    by_words_hash: HashMap<u32, usize>,
    /// The number of hits that differ only in numbers, by pattern.
    patterns: HashMap<u32, usize>,
    /// Candidates that differ from others only in numbers.
    later: Vec<Candidate>,
    /// Whether a unit contains all phrases.
    admitted: HashMap<(&'a str, u32, u32), bool>,
    /// How many more bytes of hits may be loaded.
    room: usize,
}

impl<'a> HitCollector<'a> {
    fn new(
        index: &'a Index,
        request: &DocumentQuery,
        query: Query,
        matcher: LineMatcher,
        hits: DocumentHits,
    ) -> Self {
        Self {
            index,
            limit: request.limit,
            is_cased: request.case_sensitive,
            query,
            matcher,
            hits,
            taken: HashSet::new(),
            by_words_hash: HashMap::new(),
            patterns: HashMap::new(),
            later: Vec::new(),
            admitted: HashMap::new(),
            room: limits::HITS_BYTES,
        }
    }

    fn is_full(&self) -> bool {
        self.hits.more
    }

    fn take(&mut self, candidates: &[Candidate]) {
        for candidate in candidates {
            if self.is_full() {
                return;
            }
            let Some(slot) = self.index.slot(candidate.slot) else { continue };
            if slot.pattern != 0 && !candidate.exact {
                let alike = self.patterns.entry(slot.pattern).or_default();
                *alike += 1;
                if *alike > MAX_SIMILAR_FIRST {
                    self.later.push(*candidate);
                    continue;
                }
            }
            self.take_one(candidate);
        }
    }

    fn take_later(&mut self) {
        for candidate in std::mem::take(&mut self.later) {
            if self.is_full() {
                return;
            }
            self.take_one(&candidate);
        }
    }

    fn take_one(&mut self, candidate: &Candidate) {
        let Some(slot) = self.index.slot(candidate.slot) else { return };
        let Some(lines) = self.index.lines_of(&slot.source) else { return };
        let SourceId::Document(file) = slot.source.as_ref() else { return };
        if !candidate.exact && !self.admits(file, slot, lines) {
            return;
        }
        let Some(line) = self.matcher.best_line(slot, lines, candidate) else { return };
        self.push(file, lines, line, candidate.score, Some(slot));
    }

    /// Whether the unit contains the phrases; a phrase may continue on the next line or in the next part of a long
    /// line.
    fn admits(&mut self, file: &'a str, slot: &Slot, lines: &Lines) -> bool {
        if self.query.phrases().is_empty() {
            return true;
        }
        let query = &self.query;
        *self.admitted.entry((file, slot.line, slot.lines)).or_insert_with(|| {
            let text: Vec<&str> =
                (slot.line..slot.line + slot.lines.max(1)).map(|line| lines.get(line as usize)).collect();
            query.admits(&text.join("\n"))
        })
    }

    /// Adds lines that contain the literal query, such as a part of a word or punctuation.
    fn take_plain(&mut self, in_files: &impl Fn(&str) -> bool, days: &Days) {
        let phrase = self.query.phrases().first().cloned();
        let needle = match &phrase {
            Some(phrase) => phrase.clone(),
            None if self.is_cased => self.query.text().to_owned(),
            None => self.query.folded().to_owned(),
        };
        let mut documents: Vec<(&'a str, &'a Lines)> =
            self.index.texts().filter(|(name, _)| in_files(name)).collect();
        documents.sort_by_key(|(name, _)| (core_rank(name), *name));
        for (name, lines) in documents {
            for line in lines.containing(&needle, phrase.is_some() || !self.is_cased) {
                if self.is_full() {
                    return;
                }
                let text = lines.get(line);
                let slot = self.index.slot_at(name, line);
                let admitted = !is_template_row(text)
                    && self.query.admits(text)
                    && (phrase.is_none() || !self.is_cased || self.matcher.matches_case(text))
                    && slot.is_none_or(|slot| days.hold(slot));
                if admitted {
                    self.push(name, lines, line, 0.0, slot);
                }
            }
        }
    }

    fn push(&mut self, file: &'a str, lines: &Lines, line: usize, score: f64, slot: Option<&Slot>) {
        if self.taken.contains(&(file, line)) {
            return;
        }
        let words_hash = slot.map_or(0, |slot| slot.words_hash);
        if words_hash != 0 && self.by_words_hash.contains_key(&words_hash) {
            return;
        }
        if self.hits.hits.len() >= self.limit {
            self.hits.more = true;
            return;
        }
        self.taken.insert((file, line));
        let text = lines.get(line);
        let from = slot.filter(|slot| slot.line as usize == line).map_or(0, |slot| slot.from as usize);
        let hit = self.matcher.position(text, from);
        let trimmed_before = text.chars().take_while(|c| c.is_whitespace()).count();
        let path = slot.map(|slot| slot.path.as_ref()).unwrap_or_default();
        let found = LineHit {
            file: file.to_owned(),
            line,
            content: clip(text.trim(), hit.saturating_sub(trimmed_before), limits::RESULT_LINE_CHARS),
            context: lines.context(line, hit),
            score,
            heading_path: path.iter().map(|heading| clip(heading, 0, limits::RESULT_LINE_CHARS)).collect(),
            unit: slot.map_or((line, line), |slot| {
                (slot.line as usize, (slot.line + slot.lines.max(1) - 1) as usize)
            }),
            similar: 0,
            similar_in: Vec::new(),
        };
        match self.room.checked_sub(found.bytes()) {
            Some(room) => {
                self.room = room;
                self.by_words_hash.insert(words_hash, self.hits.hits.len());
                self.hits.hits.push(found);
            }
            None => self.hits.more = true,
        }
    }

    /// Counts the results that are similar to a hit, and notes where the first ones are.
    fn count_similar(&mut self, candidates: &[Candidate]) {
        let shown = &self.taken;
        for candidate in candidates {
            let Some(slot) = self.index.slot(candidate.slot).filter(|slot| slot.words_hash != 0) else {
                continue;
            };
            let Some(hit) = self.by_words_hash.get(&slot.words_hash) else { continue };
            let SourceId::Document(file) = slot.source.as_ref() else { continue };
            if slot.kind == UnitKind::Document || shown.contains(&(file.as_str(), slot.line as usize)) {
                continue;
            }
            if let Some(hit) = self
                .hits
                .hits
                .get_mut(*hit)
                .filter(|hit| hit.unit.0 != slot.line as usize || hit.file != *file)
            {
                hit.similar += 1;
                if hit.similar_in.len() < limits::SIMILAR_PLACES {
                    hit.similar_in.push((file.clone(), slot.line as usize));
                }
            }
        }
    }
}

impl Index {
    /// The unit that contains a line of a document.
    pub(super) fn slot_at(&self, name: &str, line: usize) -> Option<&Slot> {
        let units = &self.sources.get(&SourceId::Document(name.to_owned()))?.units;
        let after = units.partition_point(|at| self.slot(*at).is_none_or(|slot| slot.line as usize <= line));
        units.get(..after)?.iter().rev().find_map(|at| {
            let slot = self.slot(*at)?;
            (slot.kind != UnitKind::Document && line < (slot.line + slot.lines) as usize).then_some(slot)
        })
    }
}
