//! The vocabulary of an index: its terms, their postings, and which of them are forms of one word. Forms are grouped
//! per term at query time, not per occurrence, so that a stem needs one entry per form.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::edit_distance::{Shape, edit_distance, tolerance};
use crate::search::aliases::aliases_of;
use crate::search::language::Language;
use crate::search::query::QueryWord;
use crate::search::words::{TermKind, with_umlauts_spelt, without_accents};
use crate::unicode::is_alphabetic;

/// The bytes of a posting, in its unit and in its term, with the slack of the term's list.
const POSTING_BYTES: usize = 20;
/// The bytes of a term beside its letters and postings.
const TERM_BYTES: usize = 208;
/// The bytes of the entry that finds a term by another form.
const KEY_BYTES: usize = 72;

/// The weight of a form that differs only in accents or letter case.
const FOLDED_WEIGHT: f64 = 0.95;
/// The factor for other forms if there is one that differs only in accents.
const WITH_FOLDED_FACTOR: f64 = 0.8;
/// The lowest weight of a form with the same stem; it increases with the number of common letters.
const MIN_STEMMED_WEIGHT: f64 = 0.5;
/// The weight of a form that shares all letters.
const MAX_STEMMED_WEIGHT: f64 = 0.8;
/// The weight of another name of the same thing.
const ALIAS_WEIGHT: f64 = 0.8;
/// The weight of a longer word that begins with the query word or contains it, and of a part of the query word.
const PREFIX_WEIGHT: f64 = 0.6;
const INSIDE_WEIGHT: f64 = 0.5;
const PART_WEIGHT: f64 = 0.4;
/// The weight of a compound if the word itself occurs, too.
const COMPOUND_WEIGHT: f64 = 0.4;
/// The weight of a replacement of a misspelt word.
const REPLACEMENT_WEIGHT: f64 = 0.5;
/// The shortest word that is searched within longer ones, in letters.
const MIN_PART_CHARS: usize = 4;
/// The shortest word that is searched at the beginning of longer ones, in letters.
const MIN_PREFIX_CHARS: usize = 3;
/// The most forms of a word that a scan of the vocabulary returns.
const MAX_SIMILAR: usize = 16;
/// From this length on, similar words are searched for a word that does not occur itself, even if other forms of it
/// occur.
const LONG_WORD_CHARS: usize = 8;

/// The searched part of a project: documents or the graph. Their statistics are separate, so that one does not affect
/// the ranking of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Documents,
    Graph,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Posting {
    pub(super) slot: u32,
    pub(super) count: u32,
}

#[derive(Debug)]
struct Entry {
    term: Arc<str>,
    /// In documents and in the graph, sorted by slot.
    postings: [Vec<Posting>; 2],
    /// The number of units of each language that contain it, if it is an inflected word.
    languages: Vec<(Language, u32)>,
}

/// The terms of an index.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    ids: HashMap<Arc<str>, u32>,
    entries: Vec<Entry>,
    shapes: Vec<Shape>,
    free: Vec<u32>,
    /// The terms by stem, and by letters without accents.
    keys: HashMap<u64, Vec<u32>>,
    /// The units of each language.
    units: [u32; Language::COUNT],
    held: usize,
}

/// A term that is searched for a query word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Form {
    pub(super) term: u32,
    pub(super) weight: f64,
}

impl Vocabulary {
    /// The approximate bytes of terms and keys.
    pub(super) fn bytes(&self) -> usize {
        self.held + self.keys.len() * KEY_BYTES
    }

    /// The bytes of the postings of a unit with this many terms.
    pub(super) fn bytes_of(terms: usize) -> usize {
        terms * POSTING_BYTES
    }

    /// The number of a term; adds it if it is missing.
    pub(super) fn intern(&mut self, term: &str) -> u32 {
        if let Some(id) = self.ids.get(term) {
            return *id;
        }
        let text: Arc<str> = Arc::from(term);
        self.held += TERM_BYTES + term.len();
        let entry =
            Entry { term: Arc::clone(&text), postings: [Vec::new(), Vec::new()], languages: Vec::new() };
        let shape = Shape::of(term);
        let id = match self.free.pop() {
            Some(id) => {
                if let (Some(place), Some(old)) =
                    (self.entries.get_mut(id as usize), self.shapes.get_mut(id as usize))
                {
                    *place = entry;
                    *old = shape;
                }
                id
            }
            None => {
                self.entries.push(entry);
                self.shapes.push(shape);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.ids.insert(text, id);
        for key in folded_keys(term) {
            self.keys.entry(key).or_default().push(id);
        }
        id
    }

    pub(super) fn term(&self, id: u32) -> &str {
        self.entries.get(id as usize).map_or("", |entry| &entry.term)
    }

    pub(super) fn postings(&self, id: u32, scope: Scope) -> &[Posting] {
        self.entries
            .get(id as usize)
            .and_then(|entry| entry.postings.get(scope as usize))
            .map_or(&[], Vec::as_slice)
    }

    /// Adds postings of these terms for a unit; records lists that are unsorted afterwards.
    pub(super) fn post(
        &mut self,
        slot: u32,
        scope: Scope,
        language: Language,
        counts: &[(u32, u32)],
        mut unordered: Option<&mut HashSet<u32>>,
    ) {
        if let Some(units) = self.units.get_mut(language as usize) {
            *units += 1;
        }
        for (term, count) in counts {
            let Some(entry) = self.entries.get_mut(*term as usize) else { continue };
            let posting = Posting { slot, count: *count };
            let Some(postings) = entry.postings.get_mut(scope as usize) else { continue };
            let is_last = postings.last().is_none_or(|last| last.slot < slot);
            match &mut unordered {
                _ if is_last => postings.push(posting),
                Some(unordered) => {
                    postings.push(posting);
                    unordered.insert(*term);
                }
                None => {
                    let place = postings.partition_point(|posting| posting.slot < slot);
                    postings.insert(place, posting);
                }
            }
            if let Some((_, units)) = entry.languages.iter_mut().find(|(known, _)| *known == language) {
                *units += 1;
            } else if is_inflected(&entry.term) {
                entry.languages.push((language, 1));
                if let Some(key) = stem_key(language, &entry.term) {
                    self.keys.entry(key).or_default().push(*term);
                }
            }
        }
    }

    /// Sorts the postings of a term after several were appended.
    pub(super) fn put_in_order(&mut self, term: u32, scope: Scope) {
        let postings =
            self.entries.get_mut(term as usize).and_then(|entry| entry.postings.get_mut(scope as usize));
        if let Some(postings) = postings {
            // The list consists of two sorted runs, which this sort merges.
            postings.sort_by_key(|posting| posting.slot);
        }
    }

    /// Removes the postings of these terms for a unit. With `together` the postings stay until [`Self::retain`]
    /// removes them.
    pub(super) fn remove_postings(
        &mut self,
        slot: u32,
        scope: Scope,
        language: Language,
        terms: &[u32],
        together: bool,
    ) {
        if let Some(units) = self.units.get_mut(language as usize) {
            *units = units.saturating_sub(1);
        }
        for id in terms {
            let Some(entry) = self.entries.get_mut(*id as usize) else { continue };
            if !together
                && let Some(postings) = entry.postings.get_mut(scope as usize)
                && let Ok(place) = postings.binary_search_by_key(&slot, |posting| posting.slot)
            {
                postings.remove(place);
            }
            let known = entry.languages.iter().position(|(known, _)| *known == language);
            if let Some(place) = known
                && let Some((_, units)) = entry.languages.get_mut(place)
            {
                *units = units.saturating_sub(1);
                if *units == 0 {
                    entry.languages.swap_remove(place);
                    let term = Arc::clone(&entry.term);
                    if let Some(key) = stem_key(language, &term) {
                        self.forget_key(key, *id);
                    }
                }
            }
            if !together {
                self.forget_if_unused(*id);
            }
        }
    }

    /// Removes the postings of units from a list; `slots` is sorted.
    pub(super) fn retain(&mut self, term: u32, scope: Scope, slots: &[u32]) {
        let postings =
            self.entries.get_mut(term as usize).and_then(|entry| entry.postings.get_mut(scope as usize));
        if let Some(postings) = postings {
            postings.retain(|posting| slots.binary_search(&posting.slot).is_err());
        }
        self.forget_if_unused(term);
    }

    /// Releases the slack of the lists.
    pub(super) fn compact(&mut self) {
        for entry in &mut self.entries {
            entry.postings.iter_mut().for_each(Vec::shrink_to_fit);
        }
        self.keys.values_mut().for_each(Vec::shrink_to_fit);
    }

    fn forget_if_unused(&mut self, id: u32) {
        let unused = |entry: &&mut Entry| entry.postings.iter().all(Vec::is_empty);
        let Some(entry) = self.entries.get_mut(id as usize).filter(unused) else { return };
        entry.postings = [Vec::new(), Vec::new()];
        entry.languages = Vec::new();
        let term = Arc::clone(&entry.term);
        if self.ids.remove(&term).is_none() {
            return;
        }
        if let Some(shape) = self.shapes.get_mut(id as usize) {
            *shape = Shape::default();
        }
        for key in folded_keys(&term) {
            self.forget_key(key, id);
        }
        self.held = self.held.saturating_sub(TERM_BYTES + term.len());
        self.free.push(id);
    }

    fn forget_key(&mut self, key: u64, id: u32) {
        let Some(terms) = self.keys.get_mut(&key) else { return };
        if let Some(place) = terms.iter().position(|term| *term == id) {
            terms.swap_remove(place);
        }
        if terms.is_empty() {
            self.keys.remove(&key);
        }
    }

    /// The terms that are searched for a word of a query, with their weights: the word itself, with other accents,
    /// its other forms, and its synonyms.
    pub(super) fn forms(&self, word: &QueryWord, scope: Scope) -> Vec<Form> {
        let mut forms = Forms { vocabulary: self, scope, found: Vec::new() };
        forms.add_word(&word.form, 1.0);
        for (place, other) in word.others.iter().enumerate() {
            forms.add(other, if place == 0 { 0.6 } else { 0.5 });
        }
        if matches!(word.kind, TermKind::Word | TermKind::Part) {
            for alias in aliases_of(&word.form) {
                forms.add_word(alias, ALIAS_WEIGHT);
            }
        }
        forms.finish()
    }

    /// A term in its exact form.
    pub(super) fn exact(&self, term: &str) -> Option<Form> {
        self.ids.get(term).map(|id| Form { term: *id, weight: 1.0 })
    }

    /// Whether similar words are searched for a word of a query, since it does not occur in any form.
    pub(super) fn is_close_wanted(&self, word: &QueryWord, forms: &[Form], scope: Scope) -> bool {
        if !matches!(word.kind, TermKind::Word | TermKind::Part) {
            return false;
        }
        let occurs = self.ids.get(word.form.as_str()).is_some_and(|id| !self.postings(*id, scope).is_empty());
        let length = word.form.chars().count();
        forms.is_empty() || (!occurs && length >= LONG_WORD_CHARS)
    }

    /// The terms similar to a word without an occurrence: longer ones that begin with it or contain it, shorter ones
    /// of which it is composed, and those that differ in a few letters.
    pub(super) fn close(&self, word: &str, scope: Scope) -> Vec<Form> {
        let length = word.chars().count();
        if length < MIN_PREFIX_CHARS {
            return Vec::new();
        }
        let query_shape = Shape::of(word);
        let bound = if length < MIN_PART_CHARS { 0 } else { tolerance(length) };
        let mut found: Vec<Form> = Vec::new();
        let mut meant: Vec<(usize, u32)> = Vec::new();
        for (id, shape) in (0_u32..).zip(&self.shapes) {
            let holds = query_shape.may_be_in(shape);
            let is_part = length >= 2 * MIN_PART_CHARS && shape.may_be_in(&query_shape);
            let is_near = bound > 0 && query_shape.is_near(shape, bound);
            if !(holds || is_part || is_near) || self.postings(id, scope).is_empty() {
                continue;
            }
            let term = self.term(id);
            if term.starts_with('@') || term == word {
                continue;
            }
            let letters = term.chars().count();
            let weight = if letters > length && term.starts_with(word) {
                PREFIX_WEIGHT
            } else if letters > length && length >= MIN_PART_CHARS && term.contains(word) {
                INSIDE_WEIGHT
            } else if letters > MIN_PART_CHARS
                && letters < length
                && (word.starts_with(term) || word.ends_with(term))
            {
                PART_WEIGHT
            } else {
                if is_near && let Some(changed) = edit_distance(word, term, bound) {
                    meant.push((changed, id));
                }
                continue;
            };
            found.push(Form { term: id, weight });
        }
        // Only the closest words count.
        let least = meant.iter().map(|(changed, _)| *changed).min().unwrap_or_default();
        found.extend(
            meant
                .iter()
                .filter(|(changed, _)| *changed == least)
                .map(|(_, id)| Form { term: *id, weight: REPLACEMENT_WEIGHT }),
        );
        self.best(found, MAX_SIMILAR)
    }

    /// German compounds of a word: terms of German units that begin or end with it.
    pub(super) fn compounds(&self, word: &QueryWord, scope: Scope) -> Vec<Form> {
        let has_german = self.units.get(Language::German as usize).is_some_and(|units| *units > 0);
        let length = word.form.chars().count();
        if !has_german || word.kind != TermKind::Word || length <= MIN_PART_CHARS {
            return Vec::new();
        }
        let query_shape = Shape::of(&word.form);
        let candidates = (0_u32..).zip(&self.shapes).filter(|(_, shape)| query_shape.may_be_in(shape));
        let found = candidates.filter_map(|(id, _)| {
            let entry = self.entries.get(id as usize)?;
            let is_german = entry.languages.iter().any(|(language, _)| *language == Language::German);
            let longer = entry.term.chars().count() >= length + MIN_PART_CHARS;
            let is_compound = longer
                && (entry.term.starts_with(word.form.as_str()) || entry.term.ends_with(word.form.as_str()));
            (is_german && is_compound && !self.postings(id, scope).is_empty())
                .then_some(Form { term: id, weight: COMPOUND_WEIGHT })
        });
        self.best(found.collect(), MAX_SIMILAR)
    }

    /// The best forms without duplicates, in a deterministic order.
    fn best(&self, mut found: Vec<Form>, most: usize) -> Vec<Form> {
        found.sort_by(|a, b| {
            b.weight.total_cmp(&a.weight).then_with(|| self.term(a.term).cmp(self.term(b.term)))
        });
        let mut seen = HashSet::new();
        found.retain(|form| seen.insert(form.term));
        found.truncate(most);
        found
    }
}

/// Forms while they are gathered.
struct Forms<'a> {
    vocabulary: &'a Vocabulary,
    scope: Scope,
    found: Vec<Form>,
}

impl Forms<'_> {
    fn add(&mut self, term: &str, weight: f64) {
        if let Some(id) = self.vocabulary.ids.get(term) {
            self.push(*id, weight);
        }
    }

    fn push(&mut self, term: u32, weight: f64) {
        if !self.vocabulary.postings(term, self.scope).is_empty() {
            self.found.push(Form { term, weight });
        }
    }

    fn add_key(&mut self, key: u64, weight: impl Fn(&str) -> f64) {
        let vocabulary = self.vocabulary;
        for id in vocabulary.keys.get(&key).into_iter().flatten() {
            self.push(*id, weight(vocabulary.term(*id)));
        }
    }

    fn add_word(&mut self, word: &str, share: f64) {
        self.add(word, share);
        for plain in without_accents(word).into_iter().chain(with_umlauts_spelt(word)) {
            self.add(&plain, FOLDED_WEIGHT * share);
            self.add_key(key_of(FOLD, &plain), |_| FOLDED_WEIGHT * share);
        }
        self.add_key(key_of(FOLD, word), |_| FOLDED_WEIGHT * share);
        if !is_inflected(word) {
            return;
        }
        let languages = Language::ALL
            .into_iter()
            .filter(|language| self.vocabulary.units.get(*language as usize).is_some_and(|units| *units > 0));
        for language in languages {
            let stem = language.stem(word);
            let plain = stem.as_deref().unwrap_or(word);
            let folded = without_accents(plain).unwrap_or_else(|| plain.to_owned());
            self.add_key(key_of(language as u8, &folded), |term| share * stem_weight(word, term));
            if let Some(stem) = stem {
                self.add(&stem, share * stem_weight(word, &stem));
            }
        }
    }

    /// Each form once, with its greatest weight. If the word occurs with other accents, its other forms count less.
    fn finish(mut self) -> Vec<Form> {
        let best = self.found.iter().map(|form| form.weight).fold(0.0, f64::max);
        if (best - FOLDED_WEIGHT).abs() < f64::EPSILON {
            let others = self.found.iter_mut().filter(|form| form.weight < FOLDED_WEIGHT);
            others.for_each(|form| form.weight *= WITH_FOLDED_FACTOR);
        }
        let most = self.found.len();
        self.vocabulary.best(self.found, most)
    }
}

/// The weight of a form with the same stem, by the length of the common prefix.
fn stem_weight(word: &str, term: &str) -> f64 {
    // `y` becomes `i` before an ending.
    let same = |(a, b): &(char, char)| a == b || matches!((a, b), ('y', 'i') | ('i', 'y'));
    let shared = word.chars().zip(term.chars()).take_while(same).count();
    let all = word.chars().count().max(1);
    let share = f64::from(u32::try_from(shared).unwrap_or(0)) / f64::from(u32::try_from(all).unwrap_or(1));
    MIN_STEMMED_WEIGHT + (MAX_STEMMED_WEIGHT - MIN_STEMMED_WEIGHT) * share.min(1.0)
}

/// The mark of keys of letters without accents; other keys are marked with their language.
const FOLD: u8 = u8::MAX;

fn key_of(kind: u8, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, text).hash(&mut hasher);
    hasher.finish()
}

fn folded_keys(term: &str) -> impl Iterator<Item = u64> {
    let plain = without_accents(term);
    let spelt = with_umlauts_spelt(term).filter(|spelt| plain.as_ref() != Some(spelt));
    plain.into_iter().chain(spelt).map(|plain| key_of(FOLD, &plain))
}

fn stem_key(language: Language, term: &str) -> Option<u64> {
    let stem = language.stem(term)?;
    let folded = without_accents(&stem).unwrap_or(stem);
    Some(key_of(language as u8, &folded))
}

/// Whether a term is a word that may have other forms.
fn is_inflected(term: &str) -> bool {
    term.chars().count() > 1 && term.chars().all(is_alphabetic)
}
