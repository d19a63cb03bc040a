//! Scores the units of the index. The figures are [`Ranker`]'s; this knows only how to find them fast.

use std::cmp::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Index, Slot, SourceId};
use crate::search::query::Query;
use crate::search::rank::{Around, Ranker};
use crate::search::unit::UnitKind;

/// A unit that a query found, before it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Position of the unit in the index.
    pub(super) slot: u32,
    /// Whether its name is the query.
    pub(super) exact: bool,
    /// The BM25 score of the unit alone; 0 if only its context was found.
    pub(super) own: f64,
    /// The score in context.
    pub(super) score: f64,
}

/// How many queries of an index keep their memory for the next.
const SCRATCHES: usize = 1;

/// Memory that queries use one after the other, so that none allocates for all units.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    total: Vec<f64>,
    word: Vec<f64>,
    seen: Vec<bool>,
    touched: Vec<u32>,
    touched_by_word: Vec<u32>,
}

impl Index {
    /// All units that the query finds and `accepts`, in no order.
    ///
    /// A unit is found if it holds a word of the query; when there are several words also if it stands next to such
    /// a unit or belongs to one, since the answer to a question often stands beside the words of the question.
    pub(super) fn candidates(
        &self,
        query: &Query,
        ranker: &Ranker,
        accepts: impl Fn(&Slot) -> bool,
    ) -> Vec<Candidate> {
        let mut scratch = self.borrow_scratch();
        scratch.score(self, ranker);
        if !query.is_single() {
            scratch.spread(self);
        }
        let title = query.folded().trim().to_owned();
        let candidates = scratch
            .touched
            .iter()
            .filter_map(|at| {
                let slot = self.slot(*at).filter(|slot| accepts(slot))?;
                let exact = slot.is_called(&title);
                if slot.kind == UnitKind::Document && !exact {
                    return None;
                }
                let of = |other: Option<u32>| other.map_or(0.0, |other| scratch.total(other));
                let around = Around {
                    own: scratch.total(*at),
                    previous: of(slot.previous),
                    next: of(slot.next),
                    parent: of(slot.parent),
                };
                Some(Candidate { slot: *at, exact, own: around.own, score: around.score() })
            })
            .collect();
        self.return_scratch(scratch);
        candidates
    }

    /// The order of an answer: exact names first, then the score; among equals core documents, then the newer ones,
    /// then by name and place.
    pub(super) fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        b.exact.cmp(&a.exact).then_with(|| b.score.total_cmp(&a.score)).then_with(|| {
            let (Some(a), Some(b)) = (self.slot(a.slot), self.slot(b.slot)) else { return Ordering::Equal };
            b.is_core.cmp(&a.is_core).then_with(|| b.at.cmp(&a.at)).then_with(|| a.compare_place(b))
        })
    }

    /// Puts the best `count` candidates first, in order, and leaves the others behind them in none.
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
        let mut scratch =
            self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let length = self.slots.len();
        scratch.total.resize(length, 0.0);
        scratch.word.resize(length, 0.0);
        scratch.seen.resize(length, false);
        scratch
    }

    fn return_scratch(&self, mut scratch: Scratch) {
        for at in scratch.touched.drain(..) {
            if let Some(total) = scratch.total.get_mut(at as usize) {
                *total = 0.0;
            }
            if let Some(seen) = scratch.seen.get_mut(at as usize) {
                *seen = false;
            }
        }
        let mut kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < SCRATCHES {
            kept.push(scratch);
        }
    }

    /// What the memory takes that queries use one after the other.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Scratch::bytes).sum()
    }
}

impl Slot {
    /// The order of units that are equal in all that matters.
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
            (UnitKind::Heading | UnitKind::Decision, _) => {
                self.path.last().is_some_and(|title| title.to_lowercase() == name)
            }
            _ => false,
        }
    }
}

impl Scratch {
    fn bytes(&self) -> usize {
        (self.total.capacity() + self.word.capacity()) * size_of::<f64>()
            + self.seen.capacity()
            + (self.touched.capacity() + self.touched_by_word.capacity()) * size_of::<u32>()
    }

    fn total(&self, at: u32) -> f64 {
        self.total.get(at as usize).copied().unwrap_or_default()
    }

    /// Adds up the BM25 scores of all units that hold a word of the query.
    fn score(&mut self, index: &Index, ranker: &Ranker) {
        for word in ranker.words() {
            for form in &word.forms {
                for posting in index.postings(&form.term) {
                    let length = index.slot(posting.slot).map_or(0, |slot| slot.length);
                    let score = ranker.term_score(form, posting.count, length);
                    if let Some(best) = self.word.get_mut(posting.slot as usize) {
                        if *best == 0.0 {
                            self.touched_by_word.push(posting.slot);
                        }
                        *best = best.max(score);
                    }
                }
            }
            for at in self.touched_by_word.drain(..) {
                let place = at as usize;
                let (Some(word), Some(total), Some(seen)) =
                    (self.word.get_mut(place), self.total.get_mut(place), self.seen.get_mut(place))
                else {
                    continue;
                };
                *total += std::mem::take(word);
                if !std::mem::replace(seen, true) {
                    self.touched.push(at);
                }
            }
        }
    }

    /// Also touches the neighbours of all units that were found, and what belongs to them.
    fn spread(&mut self, index: &Index) {
        let found = self.touched.len();
        for place in 0..found {
            let Some(at) = self.touched.get(place).copied() else { continue };
            let Some(slot) = index.slot(at) else { continue };
            for neighbour in [slot.previous, slot.next].into_iter().flatten() {
                self.touch(neighbour);
            }
            if !slot.kind.is_container() {
                continue;
            }
            let units =
                index.sources.get(slot.source.as_ref()).map_or(&[][..], |source| source.units.as_slice());
            let inside = units.iter().skip(slot.ordinal as usize + 1).map_while(|child| {
                let child_slot = index.slot(*child)?;
                let leaves = child_slot.kind == UnitKind::Heading && child_slot.path.len() <= slot.path.len();
                (!leaves).then_some((*child, child_slot.parent))
            });
            for (child, parent) in inside {
                if parent == Some(at) {
                    self.touch(child);
                }
            }
        }
    }

    fn touch(&mut self, at: u32) {
        let known = self.seen.get_mut(at as usize).is_none_or(|seen| std::mem::replace(seen, true));
        if !known {
            self.touched.push(at);
        }
    }
}
