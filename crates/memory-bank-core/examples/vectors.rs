//! Measures an exact search over 100,000 vectors of 384 values, and the memory of a vector: `cargo run --release -p
//! memory-bank-core --example vectors`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement may panic and print, and its figures are small"
)]

use std::time::Instant;

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::search::{DocumentQuery, Index, ModelId, Query, Vector};

const PASSAGES: usize = 100_000;
const VALUES: usize = 384;
const ROUNDS: usize = 100;

/// SplitMix64: the same numbers each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn vector(&mut self) -> Vector {
        let values: Vec<f32> =
            (0..VALUES).map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32 - 0.5).collect();
        Vector::of(&values).unwrap()
    }
}

fn main() {
    let mut random = Random(7);
    let model = ModelId::new("made-up", VALUES, &[]).unwrap();
    let mut index = Index::default();
    for document in 0..PASSAGES / 1000 {
        let lines: String = (0..1000)
            .map(|line| {
                let words: Vec<String> = (0..8).map(|_| format!("w{}", random.next() % 20_000)).collect();
                format!("- {} n{document}x{line}\n", words.join(" "))
            })
            .collect();
        let path = DocumentPath::parse(&format!("d{document}.md")).unwrap();
        index.put_document(&path, &lines, Timestamp::UNIX_EPOCH);
    }
    index.compact();
    let before = index.bytes();
    index.set_model(Some(&model));
    let hashes: Vec<_> = index.passage_hashes().collect();
    let vectors: Vec<_> = hashes.iter().map(|_| random.vector()).collect();
    index.put_vectors(&model, hashes.iter().copied().zip(&vectors));
    let count = index.dense_count();
    println!(
        "{} passages, {} vectors, {:.1} bytes of memory each; the index without them {:.1} MB",
        count.passages,
        count.vectors,
        count.bytes as f64 / count.vectors as f64,
        before as f64 / 1e6
    );
    for (name, words) in
        [("words that are nowhere", "zebra quagga okapi"), ("three words", "w17 w4242 w19999")]
    {
        for has_meaning in [false, true] {
            let mut times: Vec<f64> =
                (0..ROUNDS).map(|_| search_ms(&index, words, has_meaning.then(|| random.vector()))).collect();
            times.sort_by(f64::total_cmp);
            println!(
                "{name}, {}: median {:.2} ms, p95 {:.2} ms",
                if has_meaning { "with vectors" } else { "words alone" },
                times[ROUNDS / 2],
                times[ROUNDS * 95 / 100]
            );
        }
    }
}

/// The time of one search, in milliseconds.
fn search_ms(index: &Index, words: &str, meaning: Option<Vector>) -> f64 {
    let has_meaning = meaning.is_some();
    let query = Query::parse(words).unwrap();
    let query = match meaning {
        Some(meaning) => query.with_meaning(meaning),
        None => query,
    };
    let request = DocumentQuery {
        query,
        files: None,
        limit: 20,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
    let began = Instant::now();
    let found = index.search_documents(&request);
    assert!(!has_meaning || found.hits.len() == 20);
    began.elapsed().as_secs_f64() * 1000.0
}
