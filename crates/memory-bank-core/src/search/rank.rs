//! The ranking: BM25 of a unit and of what stands around it. Every store ranks with these functions, whether it counts
//! words in memory or fetches the counts of its candidates with a query.

use super::query::{Query, QueryWord};

/// BM25's saturation of repeated words.
const K1: f64 = 1.2;
/// BM25's correction for the length of a unit.
const B: f64 = 0.75;
/// The share of the previous unit's score.
const PREVIOUS: f64 = 0.5;
/// The share of the next unit's score.
const NEXT: f64 = 0.3;
/// The share of the score of what the unit belongs to: a heading, a document, an entity.
const PARENT: f64 = 0.4;
/// The share of the weight of a word that was not asked for but may have been meant.
const MEANT: f64 = 0.5;
/// The share of a dense score, when a store has one.
const DENSE: f64 = 0.3;

/// What must be known of all units of one project.
pub trait CorpusStats {
    /// The number of units.
    fn units(&self) -> u64;
    /// The number of words in all units together.
    fn total_length(&self) -> u64;
    /// The number of units that hold the term: a word, or the stem of one.
    fn frequency(&self, term: &str) -> u64;
}

/// What must be known of one unit: how often it holds a term, and how many words it has.
pub trait UnitTerms {
    /// The number of words.
    fn length(&self) -> u32;
    /// How often the term occurs in the unit.
    fn count(&self, term: &str) -> u32;
}

/// The scores of a unit and of its neighbours, each by BM25 alone; 0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Around {
    /// The unit itself.
    pub own: f64,
    /// The unit before it in the same section, or of the same entity.
    pub previous: f64,
    /// The unit after it.
    pub next: f64,
    /// The heading, document or entity that it belongs to.
    pub parent: f64,
}

impl Around {
    /// The score in context.
    #[must_use]
    pub fn score(self) -> f64 {
        self.own + PREVIOUS * self.previous + NEXT * self.next + PARENT * self.parent
    }
}

/// Mixes a lexical score with a dense one. Both must lie between 0 and 1 (divide by the best score of the answer).
/// Without a dense score the lexical one stands as it is.
#[must_use]
pub fn mix(lexical: f64, dense: Option<f64>) -> f64 {
    dense.map_or(lexical, |dense| (1.0 - DENSE) * lexical + DENSE * dense)
}

/// A query made ready to score the units of one project.
#[derive(Debug, Clone)]
pub struct Ranker {
    words: Vec<RankedWord>,
    mean_length: f64,
}

/// A query word with the weight of its forms.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedWord {
    /// The word as it stands, and its stem if that is another one.
    pub forms: Vec<RankedTerm>,
}

/// A term of the index with its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedTerm {
    /// The term.
    pub term: String,
    /// Its inverse document frequency.
    pub weight: f64,
}

impl Ranker {
    /// Weighs the words of the query by how rare they are in the project.
    #[must_use]
    pub fn new(query: &Query, stats: &impl CorpusStats) -> Self {
        let units = stats.units();
        let mean_length = if units == 0 { 1.0 } else { (real(stats.total_length()) / real(units)).max(1.0) };
        let term =
            |term: &str| RankedTerm { term: term.to_owned(), weight: rarity(units, stats.frequency(term)) };
        let forms =
            |word: &QueryWord| std::iter::once(&word.form).chain(&word.stem).map(|form| term(form)).collect();
        let words = query.words().iter().map(|word| RankedWord { forms: forms(word) }).collect();
        Self { words, mean_length }
    }

    /// Lets the word at this place of the query count where one of these stands, too: what it may have been meant to be.
    pub fn take_for<'a>(
        &mut self,
        place: usize,
        meant: impl IntoIterator<Item = &'a str>,
        stats: &impl CorpusStats,
    ) {
        let Some(word) = self.words.get_mut(place) else { return };
        word.forms.extend(meant.into_iter().map(|term| RankedTerm {
            term: term.to_owned(),
            weight: MEANT * rarity(stats.units(), stats.frequency(term)),
        }));
    }

    /// The words with their weights.
    #[must_use]
    pub fn words(&self) -> &[RankedWord] {
        &self.words
    }

    /// What `count` occurrences of a term add to the score of a unit of `length` words.
    #[must_use]
    pub fn term_score(&self, term: &RankedTerm, count: u32, length: u32) -> f64 {
        if count == 0 {
            return 0.0;
        }
        let count = f64::from(count);
        let norm = K1 * (1.0 - B + B * f64::from(length) / self.mean_length);
        term.weight * count * (K1 + 1.0) / (count + norm)
    }

    /// The BM25 score of a unit by itself. A word counts once, by the better one of its form and its stem.
    #[must_use]
    pub fn own(&self, unit: &impl UnitTerms) -> f64 {
        let length = unit.length();
        let score = |term: &RankedTerm| self.term_score(term, unit.count(&term.term), length);
        self.words.iter().map(|word| word.forms.iter().map(score).fold(0.0, f64::max)).sum()
    }
}

/// The inverse document frequency, never negative.
fn rarity(units: u64, frequency: u64) -> f64 {
    let (units, frequency) = (real(units), real(frequency.min(units)));
    (1.0 + (units - frequency + 0.5) / (frequency + 0.5)).ln()
}

/// Counts are far below 2^52, where every whole number is exact.
#[expect(clippy::cast_precision_loss, reason = "counts of units and words are far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Corpus;

    impl CorpusStats for Corpus {
        fn units(&self) -> u64 {
            100
        }
        fn total_length(&self) -> u64 {
            1000
        }
        fn frequency(&self, term: &str) -> u64 {
            if term == "rare" { 1 } else { 50 }
        }
    }

    struct Unit(u32, &'static [(&'static str, u32)]);

    impl UnitTerms for Unit {
        fn length(&self) -> u32 {
            self.0
        }
        fn count(&self, term: &str) -> u32 {
            self.1.iter().find(|(word, _)| *word == term).map_or(0, |(_, count)| *count)
        }
    }

    #[test]
    fn the_score_is_bm25_with_the_usual_constants() {
        let ranker = Ranker::new(&Query::parse("rare").unwrap(), &Corpus);
        let expected = (1.0_f64 + 99.5 / 1.5).ln() * 2.0 * 2.2 / (2.0 + 1.2 * (0.25 + 0.75 * 20.0 / 10.0));
        assert!((ranker.own(&Unit(20, &[("rare", 2)])) - expected).abs() < 1e-12);
        assert!(ranker.own(&Unit(20, &[("common", 2)])).abs() < 1e-12);
    }

    #[test]
    fn a_word_counts_once_though_its_stem_is_found_too() {
        let ranker = Ranker::new(&Query::parse("migrations").unwrap(), &Corpus);
        let by_stem = ranker.own(&Unit(10, &[("migrat", 1)]));
        let by_both = ranker.own(&Unit(10, &[("migrat", 1), ("migrations", 1)]));
        assert!(by_stem > 0.0);
        assert!((by_stem - by_both).abs() < 1e-12);
    }

    #[test]
    fn the_shares_of_the_context_are_fixed() {
        let around = Around { own: 1.0, previous: 1.0, next: 1.0, parent: 1.0 };
        assert!((around.score() - 2.2).abs() < 1e-12);
        assert!((mix(0.5, None) - 0.5).abs() < 1e-12);
        assert!((mix(1.0, Some(0.0)) - 0.7).abs() < 1e-12);
    }
}
