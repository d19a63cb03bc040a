//! Requires a minimum quality of the ranking, and prints the figures: `cargo test -p memory-bank-core --test
//! search_ranking -- --nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test may panic and print"
)]

#[path = "ranking/suite.rs"]
mod suite;

use std::collections::HashMap;

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::limits::REPLY_BYTES;
use memory_bank_core::search::{
    Corpus, DocumentQuery, Index, Language, Query, Unit, UnitKind, each_word, entity_units, is_function_word,
    json_units, markdown_units, search_graph,
};
use memory_bank_core::store::GraphSearch;
use suite::{Backend, DOCUMENTS, Found, Recall};

/// The production index, with BM25 in context.
struct InContext {
    index: Index,
    graph: GraphState,
}

impl InContext {
    fn new() -> Self {
        let (mut index, graph) = (Index::default(), suite::graph());
        for (name, text) in DOCUMENTS {
            index.put_document(&DocumentPath::parse(name).unwrap(), text, Timestamp::UNIX_EPOCH);
        }
        index.follow_graph(&graph, None);
        Self { index, graph }
    }
}

impl Backend for InContext {
    fn documents(&self, query: &str, limit: usize) -> Vec<Found> {
        let query = Query::parse(query).unwrap();
        let found = self.index.search_documents(&DocumentQuery {
            query,
            files: None,
            limit,
            case_sensitive: false,
            days: (None, None),
            holding_at: None,
        });
        found.hits.into_iter().map(|hit| Found::Lines(hit.file, hit.unit.0, hit.unit.1)).collect()
    }

    fn graph(&self, query: &str, limit: usize) -> Vec<Found> {
        let query = Some(Query::parse(query).unwrap());
        let found = search_graph(
            &self.graph,
            &self.index,
            &GraphSearch {
                query,
                limit,
                depth: 0,
                bytes: REPLY_BYTES,
                skip: memory_bank_core::store::Skip::default(),
                view: memory_bank_core::graph::FactView::ALL,
            },
        );
        // A reply has two lists; a reader sees the first of each side by side.
        let mut entities = found.entities.into_iter().map(|found| Found::Entity(found.entity.name));
        let mut observations = found
            .observations
            .into_iter()
            .map(|found| Found::Observation(found.entity_name, found.observation.text));
        let mut both = Vec::new();
        for _ in 0..limit {
            both.extend(observations.next());
            both.extend(entities.next());
        }
        both.truncate(limit);
        both
    }
}

/// Every unit by itself, for the two ways that the ranking is measured against.
struct Plain {
    units: Vec<(Found, Unit, Counted)>,
    substring: bool,
}

struct Counted {
    length: u32,
    counts: HashMap<String, u32>,
}

fn stemmed(word: &str) -> String {
    Language::English.stem(word).unwrap_or_else(|| word.to_owned())
}

impl Plain {
    fn new(substring: bool) -> Self {
        let mut units = Vec::new();
        for (name, text) in DOCUMENTS {
            let (stem, extension) = name.rsplit_once('.').unwrap();
            let cut = if extension == "json" { json_units(stem, text) } else { markdown_units(stem, text) };
            for unit in cut {
                let last = unit.line + unit.lines.max(1) - 1;
                units.push((Found::Lines(name.to_owned(), unit.line, last), unit));
            }
        }
        let graph = suite::graph();
        for entity in graph.entities() {
            for unit in entity_units(entity, graph.observations_of(&entity.id)) {
                let found = if unit.kind == UnitKind::Entity {
                    Found::Entity(entity.name.clone())
                } else {
                    Found::Observation(entity.name.clone(), unit.text.clone())
                };
                units.push((found, unit));
            }
        }
        let counted = units.into_iter().map(|(found, unit)| {
            let mut counted = Counted { length: 0, counts: HashMap::new() };
            each_word(&unit.text, |word| {
                counted.length += 1;
                *counted.counts.entry(stemmed(word)).or_default() += 1;
            });
            (found, unit, counted)
        });
        Self { units: counted.collect(), substring }
    }

    fn search(&self, query: &str, limit: usize, accepts: impl Fn(&Found) -> bool) -> Vec<Found> {
        let mut words = Vec::new();
        each_word(query, |word| words.push(word.to_owned()));
        words.retain(|word| !is_function_word(word, Language::English));
        let corpus = Corpus {
            units: self.units.len() as u64,
            words: self.units.iter().map(|(_, _, counted)| u64::from(counted.length)).sum(),
        };
        let weighed: Vec<(String, f64)> = words
            .iter()
            .map(|word| stemmed(word))
            .map(|word| {
                let holds = self.units.iter().filter(|(_, _, counted)| counted.counts.contains_key(&word));
                let rarity = corpus.rarity(holds.count() as u64);
                (word, rarity)
            })
            .collect();
        let score = |unit: &Unit, counted: &Counted| {
            if self.substring {
                return f64::from(u8::from(unit.text.to_lowercase().contains(&query.to_lowercase())));
            }
            let worth = |word: &String| {
                let count = counted.counts.get(word).copied().unwrap_or_default();
                corpus.saturation(f64::from(count), counted.length)
            };
            weighed.iter().map(|(word, rarity)| rarity * worth(word)).sum()
        };
        let mut found: Vec<(f64, &Found)> = self
            .units
            .iter()
            .filter(|(found, unit, _)| unit.kind != UnitKind::Document && accepts(found))
            .map(|(found, unit, counted)| (score(unit, counted), found))
            .filter(|(score, _)| *score > 0.0)
            .collect();
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found.into_iter().take(limit).map(|(_, found)| found.clone()).collect()
    }
}

impl Backend for Plain {
    fn documents(&self, query: &str, limit: usize) -> Vec<Found> {
        self.search(query, limit, |found| matches!(found, Found::Lines(..)))
    }

    fn graph(&self, query: &str, limit: usize) -> Vec<Found> {
        self.search(query, limit, |found| !matches!(found, Found::Lines(..)))
    }
}

fn report(name: &str, backend: &dyn Backend) -> Recall {
    let (recall, missed) = suite::run(backend);
    println!("{name:<22} recall@5 {:5.1} %   recall@10 {:5.1} %", recall.at5 * 100.0, recall.at10 * 100.0);
    if missed.len() < 40 {
        println!("    not all among the first ten: {}", missed.join(" | "));
    }
    recall
}

#[test]
fn the_ranking_suite_is_valid_and_large_enough() {
    let questions = suite::questions();
    assert!(questions.len() >= 60);
    for wanted in questions.iter().flat_map(|question| &question.win) {
        if let Some((file, text)) = wanted.split_once('#').filter(|(file, _)| !file.starts_with('@')) {
            assert!(suite::line_of(file, text) > 0);
        }
    }
    assert!(Plain::new(false).units.len() >= 300, "{}", Plain::new(false).units.len());
}

#[test]
fn bm25_in_context_ranks_expected_answers_first() {
    let substring = report("substring", &Plain::new(true));
    let plain = report("BM25", &Plain::new(false));
    let context = report("BM25 with context", &InContext::new());
    assert!(plain.at10 > substring.at10 && context.at10 > plain.at10);
    assert!(context.at5 >= 0.86, "{context:?}");
    assert!(context.at10 >= 0.90, "{context:?}");
}

#[test]
fn a_misspelt_name_finds_the_intended_entity() {
    let backend = InContext::new();
    for question in suite::typos() {
        let found = backend.graph(&question.ask, 4);
        let wanted = question.win[0].trim_start_matches('@');
        assert!(found.contains(&Found::Entity(wanted.to_owned())), "{}: {found:?}", question.ask);
    }
}

#[test]
fn similar_spellings_are_not_searched_when_the_exact_word_exists() {
    let backend = InContext::new();
    for (query, other) in [("console", "Joris"), ("zzzzzz", "Redis")] {
        assert!(!backend.graph(query, 10).contains(&Found::Entity(other.to_owned())), "{query}");
    }
    assert!(backend.graph("zzzzzz", 10).is_empty());
}
