//! Questions that share no word with their answer, with a model and with words alone. `cargo run -p memory-bank-embeddings
//! --example recall` runs the measurements that take minutes. The model is all-MiniLM-L6-v2, which `scripts/setup models` unpacks
//! into `target/test-models`; `MEMORY_BANK_TEST_MODEL` names another folder.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    dead_code,
    unreachable_pub,
    reason = "a test may panic and print, and another program uses the rest"
)]

#[path = "suite/paraphrases.rs"]
mod paraphrases;
#[path = "suite/questions.rs"]
mod questions;
#[path = "../../memory-bank-core/tests/ranking/recall.rs"]
mod recall;

use std::collections::BTreeMap;

use questions::{ask, index, model, share};
use recall::Question;

#[test]
fn dense_search_finds_answers_without_a_shared_word() {
    let model = model();
    let bank = paraphrases::bank(BTreeMap::new());
    let mut index = index(&bank);
    index.set_model(Some(model.id()));
    let passages = index.without_vector(usize::MAX, usize::MAX, |_| false);
    assert!((120..200).contains(&passages.len()), "{}: few enough for a build for tests", passages.len());
    for passage in passages {
        let vector = model.passage(&passage.text).unwrap();
        index.put_vectors(model.id(), [(passage.hash, &vector)]);
    }
    let count = index.dense_count();
    assert_eq!(count.vectors, count.passages);
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
