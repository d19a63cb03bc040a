//! The bundle: the digest, then the most valuable parts of every core document, within a budget, then the omitted
//! parts and the calls that read them.

use std::sync::Arc;

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::{
    CORE_DOCUMENTS, CoreDocument, Document, DocumentPath, DocumentSize, condense, json_chars,
};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, ReadOutcome};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{AS_OF, INCLUDE_ENDED, MAX_CHARS, WantedFacts, default_true};
use crate::mcp::tools::digest::get_context_digest;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::past::{PastBank, read_documents};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::LISTING_BYTES;
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BANK, Call, Family, READS, ToolSpec, boxed};

/// The most documents of a bank with another layout.
const MAX_OTHER_DOCUMENTS: usize = 20;

/// The largest share of the digest, as a divisor of the budget. A longer one is omitted and named.
const DIGEST_SHARE: usize = 3;

/// The default share of [`limits::BUNDLE_CHARS`]. Entries are full of dates and numbers, which cost a model a token
/// for about three characters, and a bundle should cost at most 6,500.
const DEFAULT_CHARS: usize = limits::BUNDLE_CHARS / 7 * 6;

/// Overhead of a document: its name, its etag, brackets.
const DOCUMENT_OVERHEAD_CHARS: usize = 120;

/// The space for the metadata and the list of omissions.
const METADATA_CHARS: usize = 500;

/// Length of the call that reads an omitted document.
const CALL_CHARS: usize = 60;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    #[serde(default = "default_true")]
    include_etags: bool,
    max_chars: Option<usize>,
    #[serde(flatten)]
    facts: WantedFacts,
}

pub(crate) const GET_CONTEXT_BUNDLE: ToolSpec = ToolSpec {
    name: "get_context_bundle",
    title: "Read all core documents",
    description: "Digest and the newest parts of the core files.",
    family: Family::Context,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BANK,
    arguments: &[MAX_CHARS, optional("includeEtags", Kind::Flag), AS_OF, INCLUDE_ENDED],
    handler: boxed!(get_context_bundle),
};

/// The digest and the core documents.
async fn get_context_bundle(mut call: Call) -> Result<Reply, Failure> {
    let Bundle { include_etags, max_chars, facts } = call.parse()?;
    let view = facts.view(call.services.clock.now())?;
    let bank = call.bank()?;
    let replies = call.services.replies.clone();
    let budget = max_chars.unwrap_or(DEFAULT_CHARS).min(replies.bytes);
    // A digest of a time has a turn of its own.
    let former_digest = match view.is_past {
        true => Some(digest(&call, &bank, &facts).await),
        false => None,
    };
    let past = PastBank::of(&call.services, &call.caller, bank.as_ref(), view).await?;
    let Found { documents, mut warnings } = documents(&call, bank.as_ref(), past.as_ref()).await?;
    if documents.is_empty() && past.is_some() {
        return Err(Failure::message(
            "no document of that time is known; `history` lists the versions that are kept",
        ));
    }
    if documents.is_empty() {
        return Err(Failure::message(
            "No Memory Bank files found. Use initialize_memory_bank to create the core documents.",
        ));
    }
    let mut metadata = json!({
        "timestamp": iso_millis(call.services.clock.now()),
        "filesLoaded": documents.len(),
        "totalFiles": documents.len().max(CORE_DOCUMENTS.len()),
        "memoryBankDir": bank.location(),
    });
    if let Some(past) = &past {
        past.note(&mut metadata);
        warnings.extend(past.warnings());
    }
    if !warnings.is_empty() {
        put(&mut metadata, "warnings", json!(warnings));
    }
    let digest = match former_digest {
        Some(digest) => digest,
        None => digest(&call, &bank, &facts).await,
    };
    let digest_chars = digest.to_string().chars().count();
    let mut data = Map::new();
    let mut space = budget.saturating_sub(metadata.to_string().chars().count() + METADATA_CHARS);
    if digest_chars <= space / DIGEST_SHARE {
        space -= digest_chars;
        data.insert("digest".into(), digest);
    } else {
        data.insert("digest".into(), json!("it is long: get_context_digest gives it"));
    }
    let Filled { bundle, mut calls } = fill(&documents, space, include_etags && past.is_none());
    if let Some(as_of) = facts.as_of.as_ref().filter(|_| past.is_some()) {
        calls.iter_mut().for_each(|call| put(call, "asOf", json!(as_of)));
    }
    data.insert("bundle".into(), Value::Object(bundle));
    if !calls.is_empty() {
        data.insert("leftOut".into(), json!({"tool": "read_memory_bank_file", "calls": calls}));
        put(&mut metadata, "truncated", json!(true));
    }
    data.insert("metadata".into(), metadata);
    Reply::json(&Value::Object(data))
}

/// The documents of a bundle by name, and the calls that read the omitted parts.
struct Filled {
    bundle: Map<String, Value>,
    calls: Vec<Value>,
}

/// Divides the space among the documents. A short document is included completely and leaves its share to the others.
fn fill(documents: &[Document], mut space: usize, include_etags: bool) -> Filled {
    let mut by_length: Vec<(usize, usize)> = documents
        .iter()
        .enumerate()
        .map(|(at, document)| {
            (json_chars(&document.content) + document.path.as_str().len() + DOCUMENT_OVERHEAD_CHARS, at)
        })
        .collect();
    by_length.sort_unstable();
    let mut entries: Vec<Option<Value>> = vec![None; documents.len()];
    let mut calls: Vec<(usize, Vec<Value>)> = Vec::new();
    let mut waiting = by_length.len();
    for (length, at) in by_length {
        let share = space / waiting.max(1);
        waiting = waiting.saturating_sub(1);
        let (Some(document), Some(entry)) = (documents.get(at), entries.get_mut(at)) else { continue };
        if length <= share {
            space -= length;
            let mut whole = json!({"content": document.content});
            if include_etags {
                put(&mut whole, "etag", json!(document.etag));
            }
            *entry = Some(whole);
            continue;
        }
        let (shown, left) = in_part(document, share.saturating_sub(DOCUMENT_OVERHEAD_CHARS));
        let name = document.path.as_str().len();
        let chars = |value: &Value| value.to_string().chars().count();
        let cost =
            left.iter().map(|call| chars(call) + 1).sum::<usize>() + shown.as_ref().map_or(0, chars) + name;
        space = space.saturating_sub(cost);
        *entry = shown;
        calls.push((at, left));
    }
    let bundle: Map<String, Value> = documents
        .iter()
        .zip(entries)
        .filter_map(|(document, entry)| Some((document.path.as_str().to_owned(), entry?)))
        .collect();
    calls.compact_sort_by_key(|(at, _)| *at);
    Filled { bundle, calls: calls.into_iter().flat_map(|(_, calls)| calls).collect() }
}

/// The most valuable parts of a document, and the arguments of the calls that read the rest.
fn in_part(document: &Document, space: usize) -> (Option<Value>, Vec<Value>) {
    let name = document.path.as_str();
    let extent = DocumentSize::of(&document.content);
    // Each part has a call with the name; a long name needs more than the estimate.
    let names = 13 * name.len().saturating_sub(20);
    let condensed = condense(&document.content, space.saturating_sub(CALL_CHARS + name.len() + names));
    if condensed.pieces.is_empty() {
        return (None, vec![json!({"filename": name})]);
    }
    let parts: Vec<Value> = condensed
        .pieces
        .iter()
        .map(|piece| json!({"fromLine": piece.from_line, "lines": piece.lines, "text": piece.text}))
        .collect();
    let left = condensed.left_out.iter();
    let calls =
        left.map(|(from, lines)| json!({"filename": name, "fromLine": from, "lines": lines})).collect();
    let shown = json!({"parts": parts, "totalLines": extent.lines, "totalChars": extent.chars});
    (Some(shown), calls)
}

/// The result of `get_context_digest`.
async fn digest(call: &Call, bank: &Arc<dyn Bank>, facts: &WantedFacts) -> Value {
    let own = Call {
        caller: Arc::clone(&call.caller),
        services: call.services.clone(),
        arguments: match json!(facts) {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        },
        ignored_names: Vec::new(),
        tools: call.tools,
        bank: Some(Arc::clone(bank)),
        context: call.context.clone(),
    };
    match get_context_digest(own).await {
        Ok(reply) => reply.structured.get("digest").cloned().unwrap_or_default(),
        Err(error) => {
            tracing::warn!(?error, "the bundle omits the digest");
            json!("it cannot be created now; get_context_digest gives the reason")
        }
    }
}

struct Found {
    documents: Vec<Document>,
    warnings: Vec<String>,
}

/// The core documents; if some are missing, also others, since the bank may have another layout.
async fn documents(call: &Call, bank: &dyn Bank, past: Option<&PastBank<'_>>) -> Result<Found, Failure> {
    let paths = CoreDocument::ALL.map(CoreDocument::path);
    let mut found = Found { documents: Vec::new(), warnings: Vec::new() };
    let outcomes = read_documents(call, bank, past, &paths).await?;
    for (core, outcome) in CoreDocument::ALL.iter().zip(outcomes) {
        match outcome {
            ReadOutcome::Found(document) => found.documents.push(document),
            ReadOutcome::Unreadable(reason) => {
                found.warnings.push(format!("{} cannot be read: {reason}", core.name()));
            }
            _ => found.warnings.push(format!("{} does not exist", core.name())),
        }
    }
    if found.warnings.is_empty() {
        return Ok(found);
    }
    let known: Vec<DocumentPath> = found.documents.iter().map(|document| document.path.clone()).collect();
    let mut entries = match past {
        Some(past) => past.entries(),
        None => {
            call.services.replies.need(LISTING_BYTES).await?;
            bank.list(&call.caller).await?
        }
    };
    entries.retain(|entry| entry.path.as_ref().is_some_and(|path| !known.contains(path)));
    // A shorter document is more likely to fit; archives are long.
    entries.compact_sort_by_key(|entry| entry.bytes);
    let others: Vec<DocumentPath> =
        entries.into_iter().filter_map(|entry| entry.path).take(MAX_OTHER_DOCUMENTS).collect();
    let mut space = limits::DOCUMENT_BYTES * paths.len();
    for path in others {
        let outcome = read_documents(call, bank, past, std::slice::from_ref(&path)).await?.pop();
        let Some(ReadOutcome::Found(document)) = outcome else { continue };
        let Some(left) = space.checked_sub(document.content.len()) else { break };
        space = left;
        if known.contains(&document.path) {
            continue;
        }
        found.documents.push(document);
    }
    Ok(found)
}
