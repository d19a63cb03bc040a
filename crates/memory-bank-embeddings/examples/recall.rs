//! Recall with a model, beside that of words alone, on the core's banks and on paraphrases among a year of notes:
//! `cargo run -p memory-bank-embeddings --example recall`. Vectors are computed once and kept in the folder that is named as an
//! argument, if one is; a file there is whole or not there.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a measurement may panic and print, and another program uses the rest"
)]

#[path = "../tests/suite/paraphrases.rs"]
mod paraphrases;
#[path = "../tests/suite/questions.rs"]
mod questions;
#[path = "../../memory-bank-core/tests/ranking/recall.rs"]
mod recall;

use std::collections::HashMap;
use std::path::PathBuf;

use memory_bank_core::search::{Index, UnitHash, Vector};
use memory_bank_embeddings::LocalModel;
use questions::{index, model, share};
use recall::Question;

/// Vectors that were made before, since making them takes most of the time.
struct Cache {
    file: Option<PathBuf>,
    known: HashMap<UnitHash, Vector>,
}

impl Cache {
    fn of(model: &LocalModel) -> Self {
        let digest = model.id().to_string();
        let file = std::env::args_os()
            .nth(1)
            .map(|dir| PathBuf::from(dir).join(format!("{}.vectors", digest.get(..16).unwrap())));
        let bytes = file.as_ref().and_then(|file| fs_err::read(file).ok()).unwrap_or_default();
        let known = bytes.chunks_exact(16 + 4 + model.id().dimension()).filter_map(|record| {
            let (hash, vector) = record.split_first_chunk::<16>()?;
            Some((UnitHash::from_bytes(*hash), Vector::from_bytes(vector).ok()?))
        });
        Self { known: known.collect(), file }
    }

    fn fill(&mut self, index: &mut Index, model: &LocalModel) {
        index.set_model(Some(model.id()));
        let missing = index.without_vector(usize::MAX, usize::MAX, |hash| self.known.contains_key(&hash));
        for passage in &missing {
            self.known.insert(passage.hash, model.passage(&passage.text).unwrap());
        }
        if let (Some(file), false) = (&self.file, missing.is_empty()) {
            let record =
                |(hash, vector): (&UnitHash, &Vector)| [hash.as_bytes(), &vector.to_bytes()[..]].concat();
            let bytes: Vec<u8> = self.known.iter().flat_map(record).collect();
            let beside = file.with_extension("new");
            fs_err::write(&beside, bytes).unwrap();
            fs_err::rename(&beside, file).unwrap();
        }
        index.put_vectors(model.id(), self.known.iter().map(|(hash, vector)| (*hash, vector)));
        let count = index.dense_count();
        assert_eq!(count.vectors, count.passages, "each passage has its vector");
    }
}

fn main() {
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

    let bank = paraphrases::bank(recall::year().documents);
    let mut index = index(&bank);
    cache.fill(&mut index, &model);
    let questions: Vec<&Question> = bank.questions.iter().collect();
    let (words, both) = (share(&index, &questions, None, 5), share(&index, &questions, Some(&model), 5));
    println!("paraphrases in a year  recall@5  words {words:5.1} %   with the model {both:5.1} %");
}
