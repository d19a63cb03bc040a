//! The texts of the documents that a digest is made of, without the decisions that do not hold.

use memory_bank_core::document::{
    DigestSource, DocumentEntry, DocumentFacts, DocumentPath, MAX_SOURCE_BYTES, digest_documents,
    holding_decisions,
};
use memory_bank_core::store::{Bank, ReadOutcome};

use super::lines::{short, size};
use crate::mcp::tools::past::{PastBank, read_documents};
use crate::mcp::tools::reply::Failure;
use crate::mcp::tools::tool::Call;

/// The texts that a digest is made of.
pub(crate) struct Texts {
    documents: Vec<(String, String)>,
    /// The titles of decisions that do not hold, which the texts do not have any more.
    pub(super) ended: Vec<String>,
    /// How many decisions these are.
    pub(super) left_out: usize,
    /// The decisions that will hold.
    pub(super) upcoming: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Texts {
    /// Reads the documents that describe the current state, under any names.
    pub(crate) async fn read(
        call: &Call,
        bank: &dyn Bank,
        present: &[DocumentEntry],
        holding_at: Option<i64>,
        past: Option<&PastBank<'_>>,
    ) -> Result<Self, Failure> {
        let facts: Vec<DocumentFacts<'_>> = present
            .iter()
            .filter(|entry| entry.path.is_some())
            .map(|entry| DocumentFacts {
                name: &entry.name,
                bytes: entry.bytes,
                updated_at: entry.updated_at,
            })
            .collect();
        let paths: Vec<DocumentPath> =
            digest_documents(&facts).into_iter().filter_map(|name| DocumentPath::parse(name).ok()).collect();
        let outcomes = read_documents(call, bank, past, &paths).await?;
        let mut texts = Self {
            documents: Vec::with_capacity(paths.len()),
            ended: Vec::new(),
            left_out: 0,
            upcoming: Vec::new(),
            warnings: past.map(PastBank::warnings).unwrap_or_default(),
        };
        for long in facts
            .iter()
            .filter(|document| document.bytes > MAX_SOURCE_BYTES && document.name.ends_with(".md"))
        {
            let (name, length) = (short(long.name), size(long.bytes));
            texts.warnings.push(format!(
                "{name} is left out: it has {length}, and a digest reads {}",
                size(MAX_SOURCE_BYTES)
            ));
        }
        for (path, outcome) in paths.iter().zip(outcomes) {
            match outcome {
                ReadOutcome::Found(document) => {
                    let name = document.path.as_str().to_owned();
                    let holding = holding_at.and_then(|at| holding_decisions(&name, &document.content, at));
                    let text = match holding {
                        None => document.content,
                        Some(mut holding) => {
                            texts.left_out += holding.left_out;
                            texts.ended.append(&mut holding.ended);
                            texts.upcoming.append(&mut holding.upcoming);
                            holding.text.into_owned()
                        }
                    };
                    texts.documents.push((name, text));
                }
                ReadOutcome::Unreadable(reason) => {
                    texts.warnings.push(format!("{path} cannot be read: {reason}"));
                }
                _ => {}
            }
        }
        Ok(texts)
    }

    pub(crate) fn sources(&self) -> Vec<DigestSource<'_>> {
        self.documents.iter().map(|(name, text)| DigestSource { name, text }).collect()
    }
}
