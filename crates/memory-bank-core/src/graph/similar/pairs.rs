//! Which of many facts of one entity are similar, without comparing each with all others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Similarity, comparable, compared};
use crate::compact_sort::CompactSort as _;
use crate::graph::Observation;
use crate::graph::similar::tokens::{Class, Sentence};

/// With how many of the following facts of its bucket a fact is compared.
const NEIGHBOURS: usize = 12;
/// How many words at an end of a sentence make a fingerprint.
const END_WORDS: usize = 2;

/// Two facts, by their indices in the list, and how the later one relates to the earlier one.
pub(crate) type Pair = (usize, usize, Similarity);

/// The similar pairs of these facts, each once, while `comparisons` last. Similar sentences differ in one place, so they begin or
/// end with the same words, or have the same words in another order: only facts that share such a fingerprint are compared.
pub(crate) fn similar_pairs(facts: &[&Observation], comparisons: &mut usize) -> Vec<Pair> {
    let sentences: Vec<Option<Sentence>> = facts.iter().map(|fact| comparable(&fact.text)).collect();
    let mut buckets: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, sentence) in sentences.iter().enumerate() {
        for fingerprint in sentence.iter().flat_map(fingerprints) {
            buckets.entry(fingerprint).or_default().push(index);
        }
    }
    let (mut compared_pairs, mut found) = (BTreeSet::new(), Vec::new());
    for bucket in buckets.values() {
        for (at, one) in bucket.iter().enumerate() {
            for other in bucket.iter().skip(at + 1).take(NEIGHBOURS) {
                if !compared_pairs.insert((*one, *other)) {
                    continue;
                }
                let Some(left) = comparisons.checked_sub(1) else { return found };
                *comparisons = left;
                let sentence = |index: &usize| sentences.get(*index).and_then(Option::as_ref);
                let (Some(earlier), Some(later)) = (sentence(one), sentence(other)) else { continue };
                if let Some(similarity) = compared(later, earlier) {
                    found.push((*one, *other, similarity));
                }
            }
        }
    }
    found.compact_sort_by_key(|(one, other, _)| (*one, *other));
    found
}

fn fingerprints(sentence: &Sentence) -> Vec<String> {
    let keys: Vec<&str> = sentence.tokens.iter().map(|token| token.key.as_str()).collect();
    let words = if keys.len() > 2 * END_WORDS { END_WORDS } else { 1 };
    let mut sorted: Vec<&str> = sentence
        .tokens
        .iter()
        .filter(|token| token.class == Class::Word)
        .map(|token| token.key.as_str())
        .collect();
    sorted.sort_unstable();
    let start = keys.get(..words.min(keys.len())).unwrap_or_default();
    let end = keys.get(keys.len().saturating_sub(words)..).unwrap_or_default();
    vec![
        format!("start {}", start.join(" ")),
        format!("end {}", end.join(" ")),
        format!("words {}", sorted.join(" ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(texts: &[&str]) -> Vec<Observation> {
        let fact = |(index, text): (usize, &&str)| Observation {
            id: format!("obs_{index}"),
            entity_id: "ent_a".into(),
            text: (*text).into(),
            source: None,
            timestamp: "2026-01-01T00:00:00.000Z".into(),
            author: None,
            validity: None,
        };
        texts.iter().enumerate().map(fact).collect()
    }

    fn pairs(texts: &[&str], comparisons: &mut usize) -> Vec<Pair> {
        let facts = facts(texts);
        similar_pairs(&facts.iter().collect::<Vec<_>>(), comparisons)
    }

    #[test]
    fn similar_facts_are_found_wherever_they_differ() {
        let texts = [
            "uses Postgres 14",
            "uses Postgres 15",
            "The service stores its sessions in the database of the project",
            "The service stores all its sessions in the database of the project",
            "runs on Linux",
        ];
        let found = pairs(&texts, &mut 1000);
        assert_eq!(found, [(0, 1, Similarity::Contradicts), (2, 3, Similarity::Repeats)]);
    }

    #[test]
    fn thousands_of_facts_need_few_comparisons_of_each() {
        let texts: Vec<String> = (0..3_000)
            .map(|n| format!("the job number {n} writes its result to the table of jobs"))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut comparisons = usize::MAX;
        pairs(&texts, &mut comparisons);
        assert!(usize::MAX - comparisons <= 3 * NEIGHBOURS * texts.len());
        let mut few = 10;
        pairs(&texts, &mut few);
        assert_eq!(few, 0);
    }
}
