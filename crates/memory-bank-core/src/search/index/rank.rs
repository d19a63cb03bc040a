//! Scores the units of the index. The weights are [`crate::search::rank`]'s; this module finds the units fast.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use super::scratch::Scratch;
use super::vocabulary::{Form, Scope};
use super::{Index, Slot, SourceId};
use crate::search::query::Query;
use crate::search::rank::{
    ADJACENT_UNITS, Corpus, Occurrences, PARENT_HEADINGS, above, before, behind, score,
};
use crate::search::unit::UnitKind;

/// A unit that a query found, before it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Position of the unit in the index.
    pub(super) slot: u32,
    /// Whether its name is the query.
    pub(super) exact: bool,
    /// Whether the unit, and not only its neighbours, contains a word of the query.
    pub(super) has_own_hit: bool,
    /// Whether it contains an unwanted word.
    pub(super) excluded: bool,
    /// The score in context.
    pub(super) score: f64,
}

/// A query prepared for one index: the terms of each of its words.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared {
    pub(super) words: Vec<Vec<Form>>,
    /// The words without an occurrence, by their position in the query, for which similar words were searched.
    pub(super) close: Vec<usize>,
    excluded: Vec<Form>,
}

impl Prepared {
    /// The words of the query without an occurrence, for which similar words were searched.
    pub(super) fn unknown_words(&self, query: &Query) -> Vec<String> {
        let unknown = self.close.iter().filter_map(|place| query.words().get(*place));
        unknown.map(|word| word.form.clone()).collect()
    }
}

/// The most words of a query for which the vocabulary is scanned.
const MAX_SCANNED_WORDS: usize = 6;
/// Up to this many matching units, all are scored in context.
const MAX_IN_CONTEXT: usize = 4000;
/// The number of units that are scored in context if more match, selected by their own words.
const MAX_STRONG: usize = 1000;
/// The most units below one heading.
const MAX_CHILDREN: usize = 200;
/// How many scratch buffers an index keeps.
const MAX_KEPT_BUFFERS: usize = 1;
/// The most bytes of a kept scratch buffer.
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// The rows of one query, with the weights of its words.
pub(super) struct Scored<'a> {
    index: &'a Index,
    scratch: Scratch,
    rarity: Vec<f64>,
}

impl Index {
    /// The terms of each word of a query.
    pub(super) fn prepare(&self, query: &Query, scope: Scope) -> Prepared {
        let mut prepared = Prepared::default();
        for (place, word) in query.words().iter().enumerate() {
            let mut forms = self.vocabulary.forms(word, scope);
            if scope == Scope::Documents && prepared.close.len() < MAX_SCANNED_WORDS {
                if self.vocabulary.is_close_wanted(word, &forms, scope) {
                    prepared.close.push(place);
                    let close = self.vocabulary.close(&word.form, scope);
                    forms.extend(close.into_iter().filter(|one| forms_lack(&forms, one)).collect::<Vec<_>>());
                } else {
                    let compounds = self.vocabulary.compounds(word, scope);
                    forms.extend(
                        compounds.into_iter().filter(|one| forms_lack(&forms, one)).collect::<Vec<_>>(),
                    );
                }
            }
            prepared.words.push(forms);
        }
        for term in query.excluded() {
            prepared.excluded.extend(self.vocabulary.exact(term));
        }
        prepared
    }

    /// The statistics of all units of a kind of source.
    pub(super) fn corpus(&self, scope: Scope) -> Corpus {
        let at = scope as usize;
        let of = |counts: &[u64; 2]| counts.get(at).copied().unwrap_or_default();
        Corpus { units: of(&self.units), words: of(&self.total_length) }
    }

    /// Scores all units that contain a word of the query.
    pub(super) fn scored(&self, prepared: &Prepared, scope: Scope) -> Scored<'_> {
        let mut scratch = self.borrow_scratch();
        let rarity = scratch.score(self, prepared, scope);
        Scored { index: self, scratch, rarity }
    }

    /// The order of results: exact names first, then units that contain a word themselves, then by score; among
    /// equals core documents, then newer ones, then by name and position.
    pub(super) fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let rank = |one: &Candidate| (one.exact, !one.excluded, one.has_own_hit);
        rank(b).cmp(&rank(a)).then_with(|| b.score.total_cmp(&a.score)).then_with(|| {
            let (Some(a), Some(b)) = (self.slot(a.slot), self.slot(b.slot)) else { return Ordering::Equal };
            b.is_core
                .cmp(&a.is_core)
                .then_with(|| b.moment().cmp(&a.moment()))
                .then_with(|| a.compare_place(b))
        })
    }

    /// Sorts the best `count` candidates to the front; the order of the others is undefined.
    pub(super) fn best_first(&self, candidates: &mut [Candidate], count: usize) {
        let order = |a: &Candidate, b: &Candidate| self.compare(a, b);
        if count < candidates.len() && count > 0 {
            candidates.select_nth_unstable_by(count - 1, order);
        }
        if let Some(best) = candidates.get_mut(..count.min(candidates.len())) {
            best.sort_unstable_by(order);
        }
    }

    fn borrow_scratch(&self) -> Scratch {
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        scratch.row_of.resize(self.slots.len(), 0);
        scratch
    }

    /// The bytes of the kept scratch buffers.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.scratch.lock().iter().map(Scratch::bytes).sum()
    }
}

fn forms_lack(forms: &[Form], one: &Form) -> bool {
    forms.iter().all(|form| form.term != one.term)
}

impl Scored<'_> {
    /// The accepted units that contain a word of the query, in no order.
    pub(super) fn candidates(
        &self,
        query: &Query,
        prepared: &Prepared,
        limit: usize,
        accepts: impl Fn(&Slot) -> bool,
    ) -> Vec<Candidate> {
        let title = query.folded().trim().to_owned();
        let accepted: Vec<(u32, &Slot)> = self
            .scratch
            .rows
            .iter()
            .filter_map(|at| Some((*at, self.index.slot(*at).filter(|slot| accepts(slot))?)))
            .collect();
        let strong = (accepted.len() > MAX_IN_CONTEXT && query.phrases().is_empty())
            .then(|| self.strong(&accepted, limit));
        let mut occurrences = vec![Occurrences::default(); self.rarity.len()];
        let mut candidates = Vec::new();
        for (at, slot) in accepted {
            if strong.as_ref().is_some_and(|strong| !strong.contains(&at)) {
                continue;
            }
            let exact = slot.is_called(&title);
            if slot.kind == UnitKind::Document && !exact {
                continue;
            }
            let has_own_hit = self.gather(at, slot, &mut occurrences);
            let excluded = !prepared.excluded.is_empty() && self.index.holds(at, slot, &prepared.excluded);
            let score = score(self.rarity.iter().copied().zip(occurrences.iter().copied()), slot.is_question);
            candidates.push(Candidate { slot: at, exact, has_own_hit, excluded, score });
        }
        candidates
    }

    /// Selects the best of very many units by their own words and their neighbours; no others can be the best in
    /// context. All units that equal the last one are included, so that the selection is deterministic.
    fn strong(&self, accepted: &[(u32, &Slot)], limit: usize) -> HashSet<u32> {
        let own = |at: u32| -> f64 {
            let row = self.row(at).unwrap_or_default();
            row.iter().zip(&self.rarity).map(|(worth, rarity)| f64::from(*worth) * rarity).sum()
        };
        let mut scores: Vec<f64> = accepted.iter().map(|(at, _)| own(*at)).collect();
        let most = MAX_STRONG.max(limit.saturating_mul(2)).min(scores.len().saturating_sub(1));
        let mut sorted = scores.clone();
        let (_, least, _) = sorted.select_nth_unstable_by(most, |a, b| b.total_cmp(a));
        let least = *least;
        let mut strong = HashSet::new();
        for ((at, slot), score) in accepted.iter().zip(scores.drain(..)) {
            if score < least {
                continue;
            }
            strong.insert(*at);
            for step in [|slot: &Slot| slot.previous, |slot: &Slot| slot.next] {
                let mut next = step(slot);
                for _ in 0..ADJACENT_UNITS {
                    let Some(here) = next else { break };
                    strong.insert(here);
                    next = self.index.slot(here).and_then(step);
                }
            }
            if slot.kind.is_container() {
                strong.extend(self.index.children(*at, slot).take(MAX_CHILDREN));
            }
        }
        strong
    }

    /// A unit as a candidate.
    pub(super) fn candidate(&self, at: u32) -> Option<Candidate> {
        let slot = self.index.slot(at)?;
        let mut occurrences = vec![Occurrences::default(); self.rarity.len()];
        let has_own_hit = self.gather(at, slot, &mut occurrences);
        let score = score(self.rarity.iter().copied().zip(occurrences.iter().copied()), slot.is_question);
        Some(Candidate { slot: at, exact: false, has_own_hit, excluded: false, score })
    }

    /// Units without a word of the query that are neighbours or children of these.
    pub(super) fn adjacent(
        &self,
        candidates: &[Candidate],
        most: usize,
        accepts: impl Fn(&Slot) -> bool,
    ) -> Vec<Candidate> {
        let mut seen = HashSet::new();
        let mut occurrences = vec![Occurrences::default(); self.rarity.len()];
        let mut found = Vec::new();
        for candidate in candidates {
            let Some(slot) = self.index.slot(candidate.slot) else { continue };
            let neighbours = [slot.previous, slot.next].into_iter().flatten();
            let children = slot.kind.is_container().then(|| self.index.children(candidate.slot, slot));
            for at in neighbours.chain(children.into_iter().flatten()) {
                if found.len() >= most {
                    return found;
                }
                if self.row(at).is_some() || !seen.insert(at) {
                    continue;
                }
                let Some(slot) = self.index.slot(at).filter(|slot| accepts(slot)) else { continue };
                if slot.kind == UnitKind::Document || slot.length == 0 {
                    continue;
                }
                self.gather(at, slot, &mut occurrences);
                let score =
                    score(self.rarity.iter().copied().zip(occurrences.iter().copied()), slot.is_question);
                found.push(Candidate { slot: at, exact: false, has_own_hit: false, excluded: false, score });
            }
        }
        found
    }

    /// Collects the occurrences of each word in a unit and around it; returns whether the unit itself contains a
    /// word.
    fn gather(&self, at: u32, slot: &Slot, occurrences: &mut [Occurrences]) -> bool {
        let own = self.row(at);
        let follows_question =
            slot.previous.and_then(|at| self.index.slot(at)).is_some_and(|before| before.is_question);
        let (previous, next) = (self.walk(slot, |slot| slot.previous), self.walk(slot, |slot| slot.next));
        let mut headings: [Option<&[f32]>; PARENT_HEADINGS] = [None; PARENT_HEADINGS];
        let mut name = None;
        let mut parent = slot.parent;
        for heading in &mut headings {
            let Some((at, above)) = parent.and_then(|at| Some((at, self.index.slot(at)?))) else { break };
            if above.kind == UnitKind::Document {
                break;
            }
            *heading = self.row(at);
            parent = above.parent;
        }
        if slot.scope() == Scope::Documents {
            name = self.row(slot.root);
        }
        let of = |row: Option<&[f32]>, word: usize| {
            row.and_then(|row| row.get(word)).copied().map_or(0.0, f64::from)
        };
        for (word, occurrences) in occurrences.iter_mut().enumerate() {
            *occurrences = Occurrences {
                own: of(own, word),
                previous: before(previous.iter().map(|row| of(*row, word)), follows_question),
                next: behind(next.iter().map(|row| of(*row, word))),
                above: above(headings.iter().map(|heading| of(*heading, word))),
                name: of(name, word),
            };
        }
        own.is_some()
    }

    /// The rows of the nearest units in one direction.
    fn walk(&self, slot: &Slot, step: impl Fn(&Slot) -> Option<u32>) -> [Option<&[f32]>; ADJACENT_UNITS] {
        let mut rows = [None; ADJACENT_UNITS];
        let mut at = step(slot);
        for row in &mut rows {
            let Some(here) = at else { break };
            *row = self.row(here);
            at = self.index.slot(here).and_then(&step);
        }
        rows
    }

    fn row(&self, at: u32) -> Option<&[f32]> {
        let row = self.scratch.row_of.get(at as usize)?.checked_sub(1)? as usize;
        let words = self.rarity.len();
        self.scratch.worth.get(row * words..(row + 1) * words)
    }

    /// The rarity of each word of the query; 0 for words without an occurrence.
    pub(super) fn rarity(&self) -> &[f64] {
        &self.rarity
    }
}

impl Drop for Scored<'_> {
    fn drop(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        for at in scratch.rows.drain(..) {
            if let Some(row) = scratch.row_of.get_mut(at as usize) {
                *row = 0;
            }
        }
        scratch.worth.clear();
        if scratch.worth.capacity() * size_of::<f32>() > MAX_KEPT_BYTES {
            scratch.worth = Vec::new();
        }
        let mut kept = self.index.scratch.lock();
        if kept.len() < MAX_KEPT_BUFFERS {
            kept.push(scratch);
        }
    }
}

impl Index {
    /// Whether a unit contains one of these terms.
    fn holds(&self, at: u32, slot: &Slot, terms: &[Form]) -> bool {
        let scope = slot.scope();
        terms.iter().any(|form| {
            self.vocabulary
                .postings(form.term, scope)
                .binary_search_by_key(&at, |posting| posting.slot)
                .is_ok()
        })
    }

    /// The direct children of a heading, a document or an entity, in order.
    fn children<'a>(&'a self, at: u32, slot: &'a Slot) -> impl Iterator<Item = u32> + 'a {
        let units = self.sources.get(slot.source.as_ref()).map_or(&[][..], |source| source.units.as_slice());
        units
            .iter()
            .skip(slot.ordinal as usize + 1)
            .map_while(move |child| {
                let child_slot = self.slot(*child)?;
                let leaves = child_slot.kind == UnitKind::Heading && child_slot.path.len() <= slot.path.len();
                (!leaves).then_some((*child, child_slot.parent))
            })
            .filter_map(move |(child, parent)| (parent == Some(at)).then_some(child))
    }
}

impl Slot {
    /// The order of units of equal rank.
    pub(super) fn compare_place(&self, other: &Self) -> Ordering {
        let by_source = || {
            if Arc::ptr_eq(&self.source, &other.source) {
                Ordering::Equal
            } else {
                self.source.cmp(&other.source)
            }
        };
        by_source().then_with(|| self.ordinal.cmp(&other.ordinal))
    }

    /// Whether `name`, in lower case, is the name of the document or the text of the heading.
    fn is_called(&self, name: &str) -> bool {
        match (self.kind, self.source.as_ref()) {
            (UnitKind::Document, SourceId::Document(file)) => {
                let file = file.to_lowercase();
                file == name || file.rsplit_once('.').is_some_and(|(stem, _)| stem == name)
            }
            (UnitKind::Heading, _) => self.path.last().is_some_and(|title| title.to_lowercase() == name),
            _ => false,
        }
    }
}

impl Scratch {
    /// Counts and weighs the words in all units that contain one; returns the rarity of each word.
    fn score(&mut self, index: &Index, prepared: &Prepared, scope: Scope) -> Vec<f64> {
        let words = prepared.words.len();
        let corpus = index.corpus(scope);
        let mut rarity = Vec::with_capacity(words);
        for (word, forms) in prepared.words.iter().enumerate() {
            let mut frequency = 0;
            for form in forms {
                #[expect(clippy::cast_possible_truncation, reason = "a weight between 0 and 1")]
                let weight = form.weight as f32;
                for posting in index.vocabulary.postings(form.term, scope) {
                    let Some(row) = self.row(posting.slot, words) else { continue };
                    let Some(count) = self.worth.get_mut(row * words + word) else { continue };
                    if *count == 0.0 {
                        frequency += 1;
                    }
                    #[expect(clippy::cast_precision_loss, reason = "few occurrences")]
                    let more = weight * posting.count as f32;
                    *count += more;
                }
            }
            rarity.push(if frequency == 0 { 0.0 } else { corpus.rarity(frequency) });
        }
        for (row, at) in self.worth.chunks_mut(words.max(1)).zip(&self.rows) {
            let length = index.slot(*at).map_or(0, |slot| slot.length);
            for count in row.iter_mut().filter(|count| **count > 0.0) {
                #[expect(clippy::cast_possible_truncation, reason = "a figure between 0 and 2.2")]
                let worth = corpus.saturation(f64::from(*count), length) as f32;
                *count = worth;
            }
        }
        rarity
    }
}
