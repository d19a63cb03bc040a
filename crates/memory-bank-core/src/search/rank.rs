//! The ranking: BM25 of a unit and of its context, word by word. Every store ranks with these functions.

/// BM25's saturation of repeated words.
const K1: f64 = 1.2;
/// BM25's correction for the length of a unit: less than the usual 0.75, since short units of small talk have little content.
const B: f64 = 0.5;
/// The share of the previous unit's score.
const PREVIOUS_SHARE: f64 = 0.5;
/// Raises that share after a question, since the unit that follows it often answers it.
const AFTER_QUESTION_FACTOR: f64 = 1.5;
/// The share of the next unit's score.
const NEXT_SHARE: f64 = 0.3;
/// The factor of these shares for each unit farther away.
const PREVIOUS_DECAY: f64 = 0.6;
const NEXT_DECAY: f64 = 0.5;
/// The share of its score that a question keeps, since a question is seldom the answer.
const QUESTION_FACTOR: f64 = 0.85;
/// How many units before and behind count.
pub(super) const ADJACENT_UNITS: usize = 3;
/// The share of the score of the heading or entity that the unit belongs to; of what that belongs to, half of it, and so on.
const PARENT_SHARE: f64 = 0.4;
/// The share of the score of the name of the document.
const NAME_SHARE: f64 = 0.1;
/// The part of the score that depends on the share of the query that the unit contains.
const COVERAGE_SHARE: f64 = 0.5;
/// The contribution to that share of a word that is only in the context.
const CONTEXT_COVERAGE: f64 = 0.3;
/// The factor for a word in the context of a unit that contains it itself.
const REPEATED_FACTOR: f64 = 0.5;
/// The share of a dense score, when a store has one.
const DENSE_SHARE: f64 = 0.3;
/// How many headings above a unit count.
pub(super) const PARENT_HEADINGS: usize = 4;

/// Statistics of all units of one kind of source, for weighing words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corpus {
    /// The number of units.
    pub units: u64,
    /// The number of words in all units together.
    pub words: u64,
}

impl Corpus {
    /// The inverse document frequency of a word that occurs in `frequency` units, never negative.
    #[must_use]
    pub fn rarity(&self, frequency: u64) -> f64 {
        let (units, frequency) = (real(self.units), real(frequency.min(self.units)));
        (1.0 + (units - frequency + 0.5) / (frequency + 0.5)).ln()
    }

    /// The weight of `count` occurrences of a word in a unit of `length` words, times its rarity.
    #[must_use]
    pub fn saturation(&self, count: f64, length: u32) -> f64 {
        if count <= 0.0 {
            return 0.0;
        }
        let mean = if self.units == 0 { 1.0 } else { (real(self.words) / real(self.units)).max(1.0) };
        let norm = K1 * (1.0 - B + B * f64::from(length) / mean);
        count * (K1 + 1.0) / (count + norm)
    }
}

/// The occurrences of a query word in a unit and its context: [`Corpus::saturation`] for each, 0 without one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Occurrences {
    /// In the unit itself.
    pub own: f64,
    /// In the units before it in the same section, or of the same entity, as [`before`] takes them.
    pub previous: f64,
    /// In the units after it, as [`behind`] takes them.
    pub next: f64,
    /// In the headings above it or the entity that it belongs to, as [`above`] adds them up.
    pub above: f64,
    /// In the name of its document.
    pub name: f64,
}

/// Adds up the headings above a unit, the innermost first.
#[must_use]
pub fn above(headings: impl IntoIterator<Item = f64>) -> f64 {
    headings
        .into_iter()
        .take(PARENT_HEADINGS)
        .zip([1.0, 0.5, 0.25, 0.125])
        .map(|(heading, share)| share * heading)
        .sum()
}

/// The weight of a word in the units before one, the nearest first: the largest counts. `follows_question` is whether the
/// nearest one is a question.
#[must_use]
pub fn before(units: impl IntoIterator<Item = f64>, follows_question: bool) -> f64 {
    nearest(units, PREVIOUS_DECAY) * if follows_question { AFTER_QUESTION_FACTOR } else { 1.0 }
}

/// The weight of a word in the units after one, the nearest first.
#[must_use]
pub fn behind(units: impl IntoIterator<Item = f64>) -> f64 {
    nearest(units, NEXT_DECAY)
}

fn nearest(units: impl IntoIterator<Item = f64>, farther: f64) -> f64 {
    let mut share = 1.0;
    let mut most = 0.0_f64;
    for worth in units.into_iter().take(ADJACENT_UNITS) {
        most = most.max(share * worth);
        share *= farther;
    }
    most
}

/// Whether a text is a question.
#[must_use]
pub fn is_question(text: &str) -> bool {
    let end = text.trim_end().trim_end_matches(['*', '"', '”', ')', '_']);
    end.ends_with(['?', '？', '؟'])
}

/// The score of a unit: its words, each with its rarity and occurrences; and whether the unit is a question.
#[must_use]
pub fn score<W>(words: W, is_question: bool) -> f64
where
    W: IntoIterator<Item = (f64, Occurrences)>,
    W::IntoIter: Clone,
{
    let (mut sum, mut held, mut wanted) = (0.0, 0.0, 0.0);
    let words = words.into_iter().filter(|(rarity, _)| *rarity > 0.0);
    // With a single word the context adds nothing: two neighbours with the same word must not raise each other.
    let only = words.clone().nth(1).is_none();
    for (rarity, occurrences) in words {
        let context = PREVIOUS_SHARE * occurrences.previous
            + NEXT_SHARE * occurrences.next
            + PARENT_SHARE * occurrences.above
            + NAME_SHARE * occurrences.name;
        let repeated = if only { 1.0 } else { REPEATED_FACTOR * (occurrences.own / (K1 + 1.0)) };
        sum += rarity
            * (occurrences.own + if occurrences.own > 0.0 { (1.0 - repeated) * context } else { context });
        wanted += rarity;
        held += rarity
            * if occurrences.own > 0.0 {
                1.0
            } else if context > 0.0 {
                CONTEXT_COVERAGE
            } else {
                0.0
            };
    }
    let kept = if is_question { QUESTION_FACTOR } else { 1.0 };
    if wanted > 0.0 { kept * sum * (1.0 - COVERAGE_SHARE + COVERAGE_SHARE * held / wanted) } else { 0.0 }
}

/// Mixes a lexical score with a dense one. Both must be between 0 and 1 (divide by the best score of the results).
/// Without a dense score the lexical one is unchanged.
#[must_use]
pub fn combine_scores(lexical: f64, dense: Option<f64>) -> f64 {
    dense.map_or(lexical, |dense| (1.0 - DENSE_SHARE) * lexical + DENSE_SHARE * dense)
}

/// Counts are far below 2^52, where every whole number is exact.
#[expect(clippy::cast_precision_loss, reason = "counts of units and words are far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORPUS: Corpus = Corpus { units: 100, words: 1000 };

    #[test]
    fn a_word_scores_by_bm25() {
        let expected = 2.0 * 2.2 / (2.0 + 1.2 * (0.5 + 0.5 * 20.0 / 10.0));
        assert!((CORPUS.saturation(2.0, 20) - expected).abs() < 1e-12);
        assert!((CORPUS.rarity(1) - (1.0_f64 + 99.5 / 1.5).ln()).abs() < 1e-12);
        assert!(CORPUS.saturation(0.0, 20).abs() < 1e-12);
    }

    fn own(own: f64) -> Occurrences {
        Occurrences { own, ..Occurrences::default() }
    }

    #[test]
    fn more_of_the_query_scores_more_than_more_of_one_word() {
        let both = score([(2.0, own(1.0)), (2.0, own(1.0))], false);
        let one = score([(2.0, own(2.0)), (2.0, own(0.0))], false);
        assert!(both > 1.25 * one, "{both} {one}");
    }

    #[test]
    fn context_adds_to_a_unit_and_never_takes_from_it() {
        let alone = score([(1.0, own(1.0)), (1.0, own(0.0))], false);
        let beside = Occurrences { previous: 1.0, ..Occurrences::default() };
        assert!(score([(1.0, own(1.0)), (1.0, beside)], false) > alone);
        assert!(score([(1.0, own(1.0)), (1.0, own(0.0))], true) < alone);
        assert!(before([0.0, 1.0], false) < before([1.0, 0.0], false));
        assert!(before([1.0], true) > before([1.0], false) && behind([1.0, 1.0]) == behind([1.0]));
        assert!(is_question("Is it **cheap**?") && is_question("速い？") && !is_question("It is."));
        assert!(above([1.0, 1.0]) > above([1.0]));
        assert!((combine_scores(0.5, None) - 0.5).abs() < 1e-12);
        assert!((combine_scores(1.0, Some(0.0)) - 0.7).abs() < 1e-12);
    }
}
