//! How much of the answers a search finds, with a model or with words alone.

use std::path::PathBuf;

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::search::{DocumentQuery, Index, Query};
use memory_bank_embeddings::LocalModel;

use super::recall::{Bank, Question};

/// The model of the tests.
pub fn model() -> LocalModel {
    let folder = std::env::var_os("MEMORY_BANK_TEST_MODEL").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    LocalModel::open(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; run scripts/setup", folder.display()))
}

/// The bank in an index, without vectors.
pub fn index(bank: &Bank) -> Index {
    let mut index = Index::default();
    for (name, text) in &bank.documents {
        index.put_document(&DocumentPath::parse(name).unwrap(), text, Timestamp::UNIX_EPOCH);
    }
    index
}

/// The share of the answer among the first results.
pub fn ask(index: &Index, question: &Question, model: Option<&LocalModel>, limit: usize) -> f64 {
    let mut query = Query::parse(&question.ask).unwrap();
    if let Some(model) = model {
        query = query.with_meaning(model.query(&question.ask).unwrap());
    }
    let wanted = DocumentQuery {
        query,
        files: None,
        limit,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
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

/// The mean of that over questions, in percent.
pub fn share(index: &Index, questions: &[&Question], model: Option<&LocalModel>, limit: usize) -> f64 {
    let found: f64 = questions.iter().map(|question| ask(index, question, model, limit)).sum();
    100.0 * found / questions.len() as f64
}
