//! Measures the search engine: `cargo run --release -p memory-bank-core --example bench_search`.
//!
//! Texts consist of words with a natural distribution of frequencies, always the same.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark may panic and tell"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::ids::{entity_id, observation_id};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Observation};
use memory_bank_core::search::{DocumentQuery, Index, Query, search_graph};
use memory_bank_core::store::GraphSearch;

const UNITS_PER_DOCUMENT: usize = 2_000;
const OBSERVATIONS_PER_ENTITY: usize = 20;
const TS: &str = "2026-01-01T00:00:00.000Z";
const ROUNDS: u32 = 200;

fn main() {
    println!("{:<44} {:>9} {:>12} {:>12}", "what", "units", "median", "slowest");
    for size in [100, 10_000, 100_000] {
        documents(size);
        graph(size);
    }
}

fn documents(size: usize) {
    let mut words = Words(7);
    let mut index = Index::default();
    let texts: Vec<String> = (0..size.div_ceil(UNITS_PER_DOCUMENT))
        .map(|_| words.document(size.min(UNITS_PER_DOCUMENT)))
        .collect();
    let begun = Instant::now();
    for (number, text) in texts.iter().enumerate() {
        index.put_document(&path(number), text, Timestamp::UNIX_EPOCH);
    }
    report("documents: index from nothing", index.units(), &[begun.elapsed()]);
    let mut log = texts[0].clone();
    let appends: Vec<Duration> = (0..20)
        .map(|_| {
            log.push_str(&format!("- {}\n", words.sentence()));
            let begun = Instant::now();
            index.put_document(&path(0), &log, Timestamp::UNIX_EPOCH);
            begun.elapsed()
        })
        .collect();
    report("documents: append a line to a document", index.units(), &appends);
    for (what, query) in [
        ("a rare word", "w4000".to_owned()),
        ("the most common word", "w1".to_owned()),
        ("a question of five words", "w3 w40 w400 w900 w2500".to_owned()),
        ("a question of common words", "w1 w2 w3 w4 w5 w6".to_owned()),
        ("a phrase", "\"w1 w2\"".to_owned()),
        ("a part of a word", "4000".to_owned()),
        ("nothing", "zzzzzz".to_owned()),
    ] {
        let wanted = DocumentQuery {
            query: Query::parse(&query).unwrap(),
            files: None,
            limit: 20,
            case_sensitive: false,
            days: (None, None),
            holding_at: None,
        };
        let times = repeated(|| {
            black_box(index.search_documents(&wanted));
        });
        report(&format!("documents: {what}"), index.units(), &times);
    }
}

fn graph(size: usize) {
    let mut words = Words(11);
    let mut graph = GraphState::default();
    for number in 0..size.div_ceil(OBSERVATIONS_PER_ENTITY) {
        let name = format!("{} {number}", words.word());
        let entity = Entity {
            id: entity_id(&name, "thing"),
            name,
            entity_type: "thing".to_owned(),
            attrs: None,
            created_at: TS.to_owned(),
            updated_at: TS.to_owned(),
        };
        let owner = entity.id.clone();
        graph.apply(Event::EntityUpsert { entity, ts: TS.to_owned() });
        for _ in 0..OBSERVATIONS_PER_ENTITY {
            observe(&mut graph, &owner, words.sentence());
        }
    }
    let mut index = Index::default();
    let begun = Instant::now();
    index.follow_graph(&graph, None);
    report("graph: index from nothing", index.units(), &[begun.elapsed()]);
    let owner = graph.entities().next().unwrap().id.clone();
    let appends: Vec<Duration> = (0..100)
        .map(|_| {
            let before = graph.generation();
            observe(&mut graph, &owner, words.sentence());
            let begun = Instant::now();
            index.follow_graph(&graph, Some(before));
            begun.elapsed()
        })
        .collect();
    report("graph: follow one new observation", index.units(), &appends);
    for (what, query) in [
        ("a rare word", "w4000"),
        ("the most common word", "w1"),
        ("a question of five words", "w3 w40 w400 w900 w2500"),
        ("nothing", "zzzzzz"),
    ] {
        let wanted = GraphSearch {
            query: Some(Query::parse(query).unwrap()),
            limit: 10,
            depth: 1,
            bytes: 256 * 1024,
            skip: Default::default(),
            view: memory_bank_core::graph::FactView::ALL,
        };
        let times = repeated(|| {
            black_box(search_graph(&graph, &index, &wanted));
        });
        report(&format!("graph: {what}"), index.units(), &times);
    }
}

fn observe(graph: &mut GraphState, owner: &str, text: String) {
    let observation = Observation {
        id: observation_id(owner, &text, TS),
        entity_id: owner.to_owned(),
        text,
        source: None,
        timestamp: Timestamp::from_second(graph.generation().cast_signed()).unwrap().to_string(),
        author: None,
        validity: None,
    };
    graph.apply(Event::ObservationAdd { observation, ts: TS.to_owned() });
}

fn path(number: usize) -> DocumentPath {
    DocumentPath::parse(&format!("document-{number}.md")).unwrap()
}

fn repeated(mut work: impl FnMut()) -> Vec<Duration> {
    work();
    (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect()
}

fn report(what: &str, units: u64, times: &[Duration]) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what:<44} {units:>9} {median:>12.1?} {slowest:>12.1?}");
}

/// Words `w1` to `w8000`, the n-th about n times rarer than the first.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self) -> String {
        let share = (self.next() % 1_000_000) as u32;
        format!("w{}", 8000_f64.powf(f64::from(share) / 1_000_000.0) as u32)
    }

    fn sentence(&mut self) -> String {
        (0..14).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    fn document(&mut self, units: usize) -> String {
        let mut text = String::from("# Document\n\n");
        for number in 0..units {
            if number % 20 == 0 {
                text.push_str(&format!("\n## Section {}\n\n", self.word()));
            }
            text.push_str(&format!("- {}\n", self.sentence()));
        }
        text
    }
}
