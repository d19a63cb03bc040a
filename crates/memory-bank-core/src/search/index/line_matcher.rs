//! Finds the best line of a unit and the position of the hit in a line, and scores a text by its closeness to the
//! literal query.

use std::collections::{HashMap, HashSet};

use super::Slot;
use super::rank::Candidate;
use crate::search::lines::Lines;
use crate::search::query::{Query, fold, phrase_text};
use crate::search::words::{TermKind, each_term};
use crate::unicode::is_alphanumeric;

/// The bonus of a text with the literal query, and the same for equal letter case.
const LITERAL_BONUS: f64 = 0.3;
const LETTER_CASE_BONUS: f64 = 0.05;
/// The bonus of a text in which all adjacent words of the query are side by side.
const ADJACENT_BONUS: f64 = 0.15;
/// The most words between two that count as side by side.
const MAX_WORDS_BETWEEN: usize = 2;

pub(super) struct LineMatcher {
    /// The position and the weight of each term of the query.
    weights: HashMap<String, (usize, f64)>,
    words: usize,
    /// The words in their letter case, if that counts.
    cased: Option<Vec<String>>,
    needles: Vec<String>,
    /// The literal query, in lower case; below, in its letter case.
    literal: String,
    typed: String,
    /// Words in upper case.
    capitals: Vec<String>,
}

impl LineMatcher {
    pub(super) fn new(query: &Query, weights: HashMap<String, (usize, f64)>, case_sensitive: bool) -> Self {
        let mut terms: Vec<(&String, &(usize, f64))> = weights.iter().collect();
        terms.sort_by(|(a, (_, a_weight)), (b, (_, b_weight))| {
            b_weight.total_cmp(a_weight).then_with(|| a.cmp(b))
        });
        let needles = std::iter::once(query.folded().trim().to_owned())
            .chain(query.phrases().iter().cloned())
            .chain(terms.into_iter().map(|(term, _)| term.clone()))
            .collect();
        let cased = case_sensitive.then(|| {
            let query_words: HashSet<&str> = query.words().iter().map(|word| word.form.as_str()).collect();
            let typed = query.text().split_whitespace().map(|word| word.trim_matches('"'));
            let counted = typed.filter(|word| {
                let mut counts = false;
                each_term(word, |part| counts |= query_words.contains(part.text));
                counts
            });
            counted.map(str::to_owned).collect()
        });
        let words = query.words().len();
        let literal = phrase_text(query.text().trim().trim_matches('"'));
        let is_capital = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let capitals = query.text().split_whitespace().filter(is_capital).map(str::to_owned).collect();
        Self { weights, words, cased, needles, literal, typed: query.text().trim().to_owned(), capitals }
    }

    /// The line with the rarest words of the query; `None` if letter case counts and no line matches it.
    pub(super) fn best_line(&self, slot: &Slot, lines: &Lines, candidate: &Candidate) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for line in slot.line..slot.line + slot.lines.max(1) {
            let text = lines.get(line as usize);
            if text.trim().is_empty() || !self.matches_case(text) {
                continue;
            }
            let weight = if candidate.has_own_hit && slot.lines > 1 { self.weight(text) } else { 0.0 };
            if best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, line as usize));
            }
        }
        let named = candidate.exact && self.cased.is_none();
        best.map(|(_, line)| line).map(|line| if named { slot.line as usize } else { line })
    }

    fn weight(&self, line: &str) -> f64 {
        let mut best: HashMap<usize, f64> = HashMap::new();
        each_term(line, |term| {
            if let Some((word, weight)) = self.weights.get(term.text) {
                let known = best.entry(*word).or_default();
                *known = known.max(*weight);
            }
        });
        // Sum in the order of the words, so that rounding is deterministic.
        (0..self.words).filter_map(|word| best.get(&word)).sum()
    }

    pub(super) fn matches_case(&self, text: &str) -> bool {
        self.cased.as_ref().is_none_or(|words| words.iter().any(|word| text.contains(word.as_str())))
    }

    /// The offset of the hit, in characters, preferably from `from` on.
    pub(super) fn position(&self, line: &str, from: usize) -> usize {
        let folded = fold(line);
        let start = folded.char_indices().nth(from).map_or(0, |(at, _)| at);
        let (before, behind) = folded.split_at_checked(start).unwrap_or(("", &folded));
        let found = |text: &str| self.needles.iter().find_map(|needle| text.find(needle.as_str()));
        let at = found(behind).map(|at| at + start).or_else(|| found(before)).unwrap_or(start);
        folded.get(..at).map_or(0, |before| before.chars().count())
    }

    /// The factor for texts with the literal query, or its words side by side; at least 1.
    pub(super) fn phrase_factor(&self, text: &str) -> f64 {
        let mut gain = 1.0;
        if contains_whole(&phrase_text(text), &self.literal) {
            gain += LITERAL_BONUS;
            if text.contains(&self.typed) {
                gain += LETTER_CASE_BONUS;
            }
        }
        if self.capitals.iter().any(|word| contains_whole(text, word)) {
            gain += LETTER_CASE_BONUS;
        }
        if self.words > 1 {
            let pairs = f64::from(u32::try_from(self.words - 1).unwrap_or(u32::MAX));
            let side_by_side = f64::from(u32::try_from(self.side_by_side(text)).unwrap_or(0));
            gain += ADJACENT_BONUS * side_by_side / pairs;
        }
        gain
    }

    /// How many words of the query closely follow the preceding word of the query.
    fn side_by_side(&self, text: &str) -> usize {
        let mut last: HashMap<usize, usize> = HashMap::new();
        let mut pairs: HashSet<usize> = HashSet::new();
        let mut at = 0;
        each_term(text, |term| {
            if !matches!(term.kind, TermKind::Whole | TermKind::Date) {
                at += 1;
            }
            if let Some((word, _)) = self.weights.get(term.text) {
                let before = word.checked_sub(1).and_then(|before| last.get(&before));
                if before.is_some_and(|before| at - before <= MAX_WORDS_BETWEEN + 1) {
                    pairs.insert(*word);
                }
                last.insert(*word, at);
            }
        });
        pairs.len()
    }
}

/// Whether a text contains this, and not as a part of a longer word, name or path.
fn contains_whole(text: &str, phrase: &str) -> bool {
    let is_word =
        |c: Option<char>| c.is_some_and(|c| is_alphanumeric(c) || matches!(c, '_' | '/' | '\\' | '-'));
    !phrase.is_empty()
        && text.match_indices(phrase).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let behind = text.get(at + phrase.len()..).and_then(|behind| behind.chars().next());
            let opens = !is_word(phrase.chars().next()) || !is_word(before);
            let closes = !is_word(phrase.chars().next_back()) || !is_word(behind);
            opens && closes
        })
}
