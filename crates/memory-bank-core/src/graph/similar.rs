//! Facts of an entity that say nearly the same as a new one, or the contrary: the same words but for a number, a name or a
//! negation. It is a hint for the caller, so a wrong warning is worse than a missing one: facts about different subjects,
//! events, and lists of things that are used together do not warn.

pub(crate) mod pairs;
mod tokens;

use std::collections::HashSet;
use std::ops::Range;

use serde::Serialize;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use self::tokens::{Class, Sentence, Token, are_opposites, is_without_exception};
use crate::graph::Observation;
use crate::limits;
use crate::words::word_enum;

word_enum! {
    /// How two facts relate.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Similarity {
        /// They say nearly the same.
        Repeats = "repeats",
        /// They differ only in a number, a name or a negation.
        Contradicts = "contradicts",
    }
}

/// A fact that is nearly the same as a new one, or its contrary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimilarFact {
    /// Its id, to be superseded.
    pub id: String,
    /// Its text.
    pub text: String,
    /// How the new one relates to it.
    #[serde(rename = "newFact")]
    pub similarity: Similarity,
}

/// The most similar facts that one reply names.
const MAX_NAMED: usize = 5;

/// The facts that are similar to this text, in the order given.
#[must_use]
pub fn similar_facts<'a>(text: &str, facts: impl IntoIterator<Item = &'a Observation>) -> Vec<SimilarFact> {
    let Some(new) = comparable(text) else { return Vec::new() };
    let similar = facts.into_iter().filter_map(|fact| {
        let known = comparable(&fact.text)?;
        let similarity = compared(&new, &known)?;
        Some(SimilarFact { id: fact.id.clone(), text: fact.text.clone(), similarity })
    });
    similar.take(MAX_NAMED).collect()
}

/// How a new fact relates to a known one; `None` if they are about different things.
#[must_use]
pub fn similarity(new: &str, known: &str) -> Option<Similarity> {
    compared(&comparable(new)?, &comparable(known)?)
}

fn comparable(text: &str) -> Option<Sentence> {
    (text.len() <= limits::COMPARED_BYTES).then(|| Sentence::of(text))
}

/// The differences of two sentences, by their kinds.
#[derive(Debug, Default)]
struct Differences {
    numbers: usize,
    names: usize,
    negations: usize,
    misspelt: usize,
    extra: usize,
}

fn compared(new: &Sentence, known: &Sentence) -> Option<Similarity> {
    let (ours, theirs) = (&new.tokens, &known.tokens);
    if ours.is_empty() || theirs.is_empty() {
        return None;
    }
    // A word is the same whether it is spelt as a name or not.
    let names: HashSet<&str> = ours
        .iter()
        .chain(theirs)
        .filter(|token| token.class == Class::Name)
        .map(|token| token.word.as_str())
        .collect();
    let key = |token: &Token| {
        if names.contains(token.word.as_str()) { token.word.clone() } else { token.key.clone() }
    };
    let keys = |tokens: &[Token]| tokens.iter().map(key).collect::<Vec<_>>();
    let (our_keys, their_keys) = (keys(ours), keys(theirs));
    if our_keys == their_keys || is_reordered(ours, theirs) {
        return Some(Similarity::Repeats);
    }
    let ops = capture_diff_slices(Algorithm::Myers, &our_keys, &their_keys);
    let common = ops.iter().filter_map(|op| match op {
        DiffOp::Equal { old_index, len, .. } => ours.get(*old_index..old_index + len),
        _ => None,
    });
    let common = common.flatten().filter(|token| token.class != Class::Negation).count();
    let mut found = Differences::default();
    for op in &ops {
        let (_, old, new_range) = op.as_tag_tuple();
        if !matches!(op, DiffOp::Equal { .. }) && !found.note(new, old, known, new_range, common) {
            return None;
        }
    }
    found.similarity(common, new.is_event || known.is_event)
}

impl Differences {
    /// Counts one difference; `false` if the sentences are about different things.
    fn note(
        &mut self,
        new: &Sentence,
        ours: Range<usize>,
        known: &Sentence,
        theirs: Range<usize>,
        common: usize,
    ) -> bool {
        let our_part = new.tokens.get(ours.clone()).unwrap_or_default();
        let their_part = known.tokens.get(theirs.clone()).unwrap_or_default();
        match (our_part, their_part) {
            ([one], []) | ([], [one]) => match one.class {
                Class::Negation => self.negations += 1,
                Class::Word => self.extra += 1,
                _ => return false,
            },
            ([one], [other]) if one.class == Class::Word && other.class == Class::Word => {
                if are_opposites(&one.key, &other.key) {
                    self.negations += 1;
                } else if is_misspelt(&one.word, &other.word) {
                    self.misspelt += 1;
                } else {
                    return false;
                }
            }
            ([one], [other])
                if (one.class == Class::Negation && is_without_exception(&other.word))
                    || (other.class == Class::Negation && is_without_exception(&one.word)) =>
            {
                self.negations += 1;
            }
            (one, other) if is_amount(one) && is_amount(other) => {
                if new.is_label(ours.start) || known.is_label(theirs.start) {
                    return false;
                }
                self.numbers += 1;
            }
            (one, other) if is_name(one) && is_name(other) => {
                if !(new.is_value(&ours, common) && known.is_value(&theirs, common)) {
                    return false;
                }
                self.names += 1;
            }
            _ => return false,
        }
        true
    }

    fn similarity(&self, common: usize, is_event: bool) -> Option<Similarity> {
        let Self { numbers, names, negations, misspelt, extra } = *self;
        match (numbers, names, negations, extra) {
            (0, 0, 1, 0) if common >= 1 => Some(Similarity::Contradicts),
            (1..=2, 0, 0, 0) | (0, 1, 0, 0) if common >= 1 && misspelt == 0 && !is_event => {
                Some(Similarity::Contradicts)
            }
            (0, 0, 0, 0) if common >= 2 && misspelt == 1 => Some(Similarity::Repeats),
            (0, 0, 0, 1) if common >= 5 && misspelt == 0 => Some(Similarity::Repeats),
            _ => None,
        }
    }
}

/// A number, alone or with its unit.
fn is_amount(tokens: &[Token]) -> bool {
    match tokens {
        [number] => number.class == Class::Number,
        [number, unit] => number.class == Class::Number && tokens::is_unit(&unit.key),
        _ => false,
    }
}

fn is_name(tokens: &[Token]) -> bool {
    (1..=3).contains(&tokens.len()) && tokens.iter().all(|token| token.class == Class::Name)
}

/// Whether two long words differ in one letter, or two very long ones in two.
fn is_misspelt(one: &str, other: &str) -> bool {
    let most = match one.chars().count().min(other.chars().count()) {
        0..=6 => return false,
        7..=9 => 1,
        _ => 2,
    };
    strsim::osa_distance(one, other) <= most
}

/// Whether both have the same words in another order, with names and numbers in the same one.
fn is_reordered(ours: &[Token], theirs: &[Token]) -> bool {
    let sorted = |tokens: &[Token]| {
        let mut keys: Vec<String> = tokens.iter().map(|token| token.key.clone()).collect();
        keys.sort_unstable();
        keys
    };
    let fixed = |tokens: &[Token]| {
        let fixed = tokens.iter().filter(|token| token.class != Class::Word);
        fixed.map(|token| token.key.clone()).collect::<Vec<_>>()
    };
    ours.len() >= 4
        && ours.len() == theirs.len()
        && fixed(ours) == fixed(theirs)
        && sorted(ours) == sorted(theirs)
}

#[cfg(test)]
mod tests;
