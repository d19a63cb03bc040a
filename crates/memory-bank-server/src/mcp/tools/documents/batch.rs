//! Reads and writes several documents in one call.

use std::collections::{HashMap, HashSet};

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{BatchWrite, Document, DocumentPath, json_chars};
use memory_bank_core::limits;
use memory_bank_core::store::ReadOutcome;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{AS_OF, FILE_NAMES, MAX_CHARS, WantedFacts, default_true};
use crate::mcp::tools::editing::edit;
use crate::mcp::tools::extra_members::{note_stored_name, put};
use crate::mcp::tools::past::PastBank;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::{self, Bounded, ReplySpace, read_within, reading_bytes};
use crate::mcp::tools::schema::{Argument, Kind, optional, required};
use crate::mcp::tools::tool::{BANK, Call, Family, READS, REPLACES, ToolSpec, boxed};

pub(crate) const BATCH_READ_FILES: ToolSpec = ToolSpec {
    name: "batch_read_files",
    title: "Read documents",
    description: "Read several documents at once.",
    family: Family::Documents,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BANK,
    arguments: &[
        required("files", Kind::Texts, "Files array is required").or_called(&["filenames", "paths"]),
        MAX_CHARS,
        optional("includeEtags", Kind::Flag),
        AS_OF,
    ],
    handler: boxed!(batch_read_files),
};

/// Reads several documents; one that cannot be read does not fail the others.
async fn batch_read_files(mut call: Call) -> Result<Reply, Failure> {
    let BatchRead { files, include_etags, max_chars, facts } = call.parse()?;
    let view = facts.view(call.services.clock.now())?;
    if files.len() > limits::BATCH_DOCUMENTS {
        return Err(Failure::Malformed(format!(
            "`files` has {} items, at most {} are allowed",
            files.len(),
            limits::BATCH_DOCUMENTS
        )));
    }
    let parsed: Vec<_> = files.iter().map(|name| DocumentPath::parse(name)).collect();
    let mut paths: Vec<DocumentPath> = parsed.iter().filter_map(|path| path.clone().ok()).collect();
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    // The names are repeated, for readable and unreadable documents.
    let mut left = ReplySpace::of(&call.services.replies, max_chars, &json!(files));
    let bank = call.bank()?;
    let past = PastBank::of(&call.services, &call.caller, bank.as_ref(), view).await?;
    let outcomes = match &past {
        Some(past) => {
            past.read(&paths).await?.into_iter().map(|read| reply_space::fitting(read, &mut left)).collect()
        }
        None => {
            call.services.replies.need(reading_bytes(paths.len())).await?;
            read_within(bank.as_ref(), &call.caller, &paths, &mut left).await?
        }
    };
    let mut by_path: HashMap<DocumentPath, Bounded> = paths.into_iter().zip(outcomes).collect();
    let mut results = Map::new();
    let mut remaining = Remaining::default();
    let mut successful = 0;
    for (name, path) in files.iter().zip(&parsed) {
        if results.contains_key(name) {
            continue;
        }
        let outcome = match path {
            Ok(path) => match by_path.remove(path) {
                Some(Bounded::LeftOut(bytes)) => {
                    remaining.add(name, bytes);
                    continue;
                }
                Some(Bounded::Read(ReadOutcome::Found(document))) => Ok(document),
                Some(Bounded::Read(ReadOutcome::Unreadable(reason))) => Err(reason),
                _ if remaining.has(name) => continue,
                _ => Err("there is no such document".to_owned()),
            },
            Err(error) => Err(error.to_string()),
        };
        successful += usize::from(outcome.is_ok());
        // A former text is none to edit.
        results.insert(name.clone(), read_result(name, outcome, include_etags && past.is_none()));
    }
    let read = results.len();
    let mut metadata = json!({
        "requested": read.saturating_add(remaining.len()),
        "successful": successful,
        "failed": read - successful,
        "timestamp": iso_millis(call.services.clock.now()),
    });
    if let Some(past) = &past {
        past.note(&mut metadata);
    }
    remaining.note(&mut metadata, "batch_read_files");
    if max_chars.is_none() {
        // Documents that were read fit already; errors are included only as far as there is space.
        let most = limits::REPLY_CHARS.saturating_sub(metadata.to_string().chars().count() + OMISSIONS_CHARS);
        results = fitting(results, most, &mut metadata);
    }
    Reply::json(&json!({"results": results, "metadata": metadata}))
}

/// The result of one document of a batch.
fn read_result(name: &str, outcome: Result<Document, String>, include_etags: bool) -> Value {
    let document = match outcome {
        Ok(document) => document,
        Err(reason) => return json!({"content": "", "error": format!("Failed to read: {reason}")}),
    };
    let mut result = json!({"content": document.content});
    if include_etags {
        put(&mut result, "etag", json!(document.etag));
    }
    note_stored_name(&mut result, name, &document.path);
    result
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchRead {
    files: Vec<String>,
    #[serde(default = "default_true")]
    include_etags: bool,
    max_chars: Option<usize>,
    #[serde(flatten)]
    facts: WantedFacts,
}

pub(crate) const BATCH_WRITE_FILES: ToolSpec = ToolSpec {
    name: "batch_write_files",
    title: "Write documents",
    description: "Write several documents in order.",
    family: Family::Documents,
    right: Right::Write,
    without_read: WithoutRead::Members(&["results/*/success", "results/*/etag", "metadata"]),
    hints: REPLACES,
    bank: BANK,
    arguments: &[
        required("files", Kind::Objects(BATCH_FILE), "Files array is required"),
        optional("stopOnError", Kind::Flag),
        optional("allOrNothing", Kind::Flag),
    ],
    handler: boxed!(batch_write_files),
};

/// Writes several documents in order.
async fn batch_write_files(mut call: Call) -> Result<Reply, Failure> {
    let batch: BatchWrite = call.parse()?;
    let plan = batch.plan().map_err(|error| Failure::Malformed(error.to_string()))?;
    let written = edit(&call, &plan.paths(), |drafts| plan.apply(drafts))
        .await
        .map_err(|failure| failure.while_doing("Error in batch write"))?;
    let mut results = Map::new();
    let mut successful = 0;
    for file in &written {
        let result = match &file.result {
            Ok(done) => {
                successful += 1;
                let mut result = json!({"success": true, "etag": done.etag});
                if let Some(replaced) = &done.replaced {
                    put(&mut result, "replaced", json!(replaced));
                }
                result
            }
            Err(reason) => json!({"success": false, "error": reason}),
        };
        results.insert(file.filename.clone(), result);
    }
    let mut metadata = json!({
        "requested": written.len(),
        "successful": successful,
        "failed": written.len() - successful,
        "timestamp": iso_millis(call.services.clock.now()),
    });
    let most = limits::REPLY_CHARS.saturating_sub(metadata.to_string().chars().count() + OMISSIONS_CHARS);
    let results = fitting(results, most, &mut metadata);
    Reply::json(&json!({"results": results, "metadata": metadata}))
}

/// Members of an item of `files`.
pub(crate) const BATCH_FILE: &[Argument] = &[
    required("filename", Kind::Text, "").or_called(FILE_NAMES),
    required("content", Kind::Text, "").or_empty(),
    optional("ifMatchEtag", Kind::Text),
];

/// Characters for the repeated names of omitted documents.
const MAX_NAMES_CHARS: usize = 6000;

/// Characters of one of many reasons.
const MAX_REASON_CHARS: usize = 300;

/// The space for the note about omitted results.
const OMISSIONS_CHARS: usize = 600;

/// The results that fit; the others are counted in `metadata`.
fn fitting(results: Map<String, Value>, most: usize, metadata: &mut Value) -> Map<String, Value> {
    /// Quotes, colon and comma.
    const OVERHEAD_CHARS: usize = 6;
    let own = |name: &str, result: &Value| {
        json_chars(name).saturating_add(result.to_string().chars().count()).saturating_add(OVERHEAD_CHARS)
    };
    // Documents that were read have their space already.
    let is_read = |result: &Value| result.get("content").is_some() && result.get("error").is_none();
    let mut chars: usize =
        results.iter().filter(|(_, result)| is_read(result)).map(|(name, result)| own(name, result)).sum();
    let (mut kept, mut left, mut failed) = (Map::new(), 0_usize, 0_usize);
    for (name, mut result) in results {
        if let Some(Value::String(reason)) = result.get_mut("error")
            && reason.chars().nth(MAX_REASON_CHARS).is_some()
        {
            *reason = reason.chars().take(MAX_REASON_CHARS).chain(['…']).collect();
        }
        if is_read(&result) {
            kept.insert(name, result);
            continue;
        }
        let own = own(&name, &result);
        if left == 0 && chars.saturating_add(own) <= most {
            chars = chars.saturating_add(own);
            kept.insert(name, result);
        } else {
            left = left.saturating_add(1);
            failed = failed.saturating_add(usize::from(result.get("error").is_some()));
        }
    }
    if left > 0 {
        put(metadata, "resultsLeftOut", json!({"files": left, "failed": failed}));
    }
    kept
}

/// The documents that did not fit into a reply.
#[derive(Default)]
pub(crate) struct Remaining(Vec<(String, u64)>);

impl Remaining {
    pub(crate) fn add(&mut self, name: &str, bytes: u64) {
        self.0.push((name.to_owned(), bytes));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Adds the omitted documents and how to read them.
    pub(crate) fn note(&self, metadata: &mut Value, several: &str) {
        let Some(object) = metadata.as_object_mut().filter(|_| !self.0.is_empty()) else { return };
        let mut chars = 0_usize;
        let mut left: Vec<Value> = Vec::new();
        for (name, bytes) in &self.0 {
            let one = json!({"filename": name, "bytes": bytes});
            chars = chars.saturating_add(one.to_string().chars().count());
            if chars > MAX_NAMES_CHARS {
                break;
            }
            left.push(one);
        }
        object.insert("truncated".into(), json!(true));
        if left.len() < self.0.len() {
            object.insert("remainingLeft".into(), json!(self.0.len() - left.len()));
        }
        object.insert("remaining".into(), json!(left));
        let next = format!(
            "the reply is full: ask {several} for the documents in `remaining`, and read_memory_bank_file for one that \
             still does not fit"
        );
        object.insert("next".into(), json!(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_with_long_names_are_counted_if_they_do_not_fit() {
        let one = |n: usize| {
            (format!("{n}{}", "x".repeat(300)), json!({"success": false, "error": "y".repeat(900)}))
        };
        let mut metadata = json!({});
        let kept = fitting((0..100).map(one).collect(), 20_000, &mut metadata);
        assert!(json!(kept).to_string().len() <= 20_000 && kept.len() > 20, "{}", kept.len());
        let left = json!({"files": 100 - kept.len(), "failed": 100 - kept.len()});
        assert_eq!(metadata["resultsLeftOut"], left);
        let mut remaining = Remaining::default();
        (0..100).for_each(|n| remaining.add(&format!("{n}{}", "x".repeat(250)), 5));
        remaining.note(&mut metadata, "batch_read_files");
        assert!(metadata.to_string().len() < MAX_NAMES_CHARS + 1000);
        let shown = metadata["remaining"].as_array().unwrap().len();
        assert_eq!(metadata["remainingLeft"], json!(100 - shown));
    }
}
