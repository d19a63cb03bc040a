//! Entities of one type whose names differ by case, accents or plural only.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Fold, GraphFold, Precondition, Proposal, ProposalKind, Step, facts::counted, merge, quoted};
use crate::compact_sort::CompactSort as _;
use crate::graph::ids::{normalise, normalise_type};
use crate::graph::state::GraphState;
use crate::graph::{Entity, Observation, Relation};
use crate::limits;
use crate::unicode::{folded, nfc, nfd};

/// With how many others of a bucket an entity is compared.
const MAX_BUCKET: usize = 64;
/// The shortest word that has a plural.
const SHORTEST: usize = 3;
/// Words that only look like a plural.
const NO_PLURALS: [&str; 2] = ["news", "lens"];

/// Proposes to merge an entity into the one of the same name that has more facts and relations.
pub(super) fn same_names(graph: &GraphState) -> Vec<Proposal> {
    let mut buckets: BTreeMap<(String, String), Vec<(&Entity, String)>> = BTreeMap::new();
    for entity in graph.entities() {
        let name = without_accents(&entity.name);
        let stem = name.trim_end_matches(['e', 's', 'i', 'y']).to_owned();
        buckets.entry((normalise_type(&entity.entity_type), stem)).or_default().push((entity, name));
    }
    let mut proposals = Vec::new();
    for mut bucket in buckets.into_values().filter(|bucket| bucket.len() > 1) {
        let size =
            |entity: &Entity| graph.observation_count_of(&entity.id) + graph.relation_count_of(&entity.id);
        bucket.compact_sort_by_key(|(entity, _)| {
            (Reverse(size(entity)), entity.created_at.clone(), entity.id.clone())
        });
        bucket.truncate(MAX_BUCKET);
        let mut is_merged = vec![false; bucket.len()];
        for (place, (into, name)) in bucket.iter().enumerate() {
            for (other, (from, from_name)) in bucket.iter().enumerate().skip(place + 1) {
                let is_free = |at: usize| is_merged.get(at) == Some(&false);
                if !is_free(place) || !is_free(other) {
                    continue;
                }
                let Some(reason) = difference((&into.name, name), (&from.name, from_name)) else { continue };
                let Some(proposal) = merger(graph, from, into, reason) else { continue };
                proposals.push(proposal);
                if let Some(merged) = is_merged.get_mut(other) {
                    *merged = true;
                }
            }
        }
    }
    proposals
}

/// How two names differ, each with its form without case and accents; `None` if they differ in anything else.
fn difference(one: (&str, &str), other: (&str, &str)) -> Option<&'static str> {
    if one.1 == other.1 {
        let is_case = nfc(one.0).to_lowercase() == nfc(other.0).to_lowercase();
        return Some(if is_case { "case" } else { "accents" });
    }
    (is_plural(one, other.1) || is_plural(other, one.1)).then_some("plural")
}

/// Whether the last word of the first name is the plural of the last word of the second, after the same words.
fn is_plural(plural: (&str, &str), singular: &str) -> bool {
    let last = |name: &str| name.rsplit(' ').next().unwrap_or_default().to_owned();
    let (many, one) = (last(plural.1), last(singular));
    let before = |name: &str, word: &str| {
        name.len().checked_sub(word.len()).and_then(|at| name.get(..at).map(str::to_owned))
    };
    let letters = |word: &str| word.chars().all(|character| character.is_ascii_alphabetic());
    if before(plural.1, &many) != before(singular, &one)
        || one.len() < SHORTEST
        || !letters(&one)
        || NO_PLURALS.contains(&many.as_str())
    {
        return false;
    }
    let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|end| one.ends_with(end));
    if hisses {
        return many == format!("{one}es");
    }
    let vowel_before = |word: &str| word.chars().rev().nth(1).is_some_and(|letter| "aeiou".contains(letter));
    if let Some(stem) = one.strip_suffix('y').filter(|_| !vowel_before(&one)) {
        return many == format!("{stem}ies");
    }
    // `Redis` and `Status` are no plurals, `APIs` is one.
    let is_abbreviation = || {
        let word = plural.0.rsplit(' ').next().unwrap_or_default();
        word.strip_suffix('s').is_some_and(|stem| stem.chars().all(char::is_uppercase))
    };
    many == format!("{one}s") && (!["is", "us"].iter().any(|end| many.ends_with(end)) || is_abbreviation())
}

/// A name in lower case, without the accents of Latin and Greek letters. In other scripts such marks make other letters.
fn without_accents(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut takes_accents = false;
    for character in nfd(&normalise(name)).chars() {
        if unicode_normalization::char::is_combining_mark(character) {
            if !takes_accents {
                plain.push(character);
            }
            continue;
        }
        takes_accents = matches!(character, 'a'..='z' | '\u{df}'..='\u{24f}' | '\u{370}'..='\u{3ff}');
        plain.push(character);
    }
    folded(&plain)
}

/// The proposal to merge two entities; `None` if something would be lost: attributes that differ, relations between the two,
/// which show that they are two things, or more than one change holds.
fn merger(graph: &GraphState, from: &Entity, into: &Entity, differs: &str) -> Option<Proposal> {
    let observations: Vec<Observation> = graph.observations_of(&from.id).cloned().collect();
    let relations: Vec<Relation> = graph.relations_of(&from.id).cloned().collect();
    if observations.len() + relations.len() > limits::GRAPH_BATCH_ITEMS
        || relations.iter().any(|one| one.from_id == into.id || one.to_id == into.id)
        || merge::attributes(from, into).is_none()
    {
        return None;
    }
    let mut ids =
        vec![into.id.clone(), from.id.clone(), serde_json::to_string(&from.attrs).unwrap_or_default()];
    ids.extend(observations.iter().map(|fact| fact.id.clone()));
    ids.extend(relations.iter().map(|relation| relation.id.clone()));
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    Some(Proposal {
        why: format!(
            "{} and {} are both of type {} and differ by {differs} only",
            quoted(&from.name),
            quoted(&into.name),
            quoted(&into.entity_type)
        ),
        change: format!(
            "moves {} and {} of {} to {}, which notes the name in `alsoCalled`, and deletes {}",
            counted(observations.len(), "fact"),
            counted(relations.len(), "relation"),
            quoted(&from.name),
            quoted(&into.name),
            quoted(&from.name)
        ),
        fold: Some(Fold::Graph(GraphFold {
            step: Step::Merge { from: from.id.clone(), into: into.id.clone() },
            precondition: Precondition {
                entities: vec![from.clone()],
                observations,
                relations,
                whole: Some(from.id.clone()),
                present: Some(into.id.clone()),
                holds: false,
            },
        })),
        ..Proposal::new(ProposalKind::SameName, &into.name, &ids)
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn differs(one: &str, other: &str) -> Option<&'static str> {
        difference((one, &without_accents(one)), (other, &without_accents(other)))
    }

    #[rstest]
    #[case("Bus", "Buses", Some("plural"))]
    #[case("pass", "passes", Some("plural"))]
    #[case("Glass", "Glasses", Some("plural"))]
    #[case("API", "APIs", Some("plural"))]
    #[case("User Session", "user sessions", Some("plural"))]
    #[case("Query", "queries", Some("plural"))]
    #[case("Key", "Keys", Some("plural"))]
    #[case("Café", "cafe", Some("accents"))]
    #[case("Cafe\u{301}", "CAFÉ", Some("case"))]
    #[case("Άλφα", "αλφα", Some("accents"))]
    #[case("Glas", "Glass", None)]
    #[case("Redi", "Redis", None)]
    #[case("Statu", "Status", None)]
    #[case("New", "News", None)]
    #[case("Server 1", "Server 2", None)]
    #[case("Server 1", "Server 1s", None)]
    #[case("Session user", "Sessions user", None)]
    #[case("Os", "Oss", None)]
    #[case("bas", "base", None)]
    #[case("か", "が", None)]
    #[case("и", "й", None)]
    #[case("Postgres 14", "Postgres 15", None)]
    fn names_are_the_same_but_for_case_accents_and_plural(
        #[case] one: &str,
        #[case] other: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(differs(one, other), expected);
        assert_eq!(differs(other, one), expected);
    }
}
