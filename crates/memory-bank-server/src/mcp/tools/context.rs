//! Tools that give an overview: the guide and the bundle.

use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::CoreDocument;
use memory_bank_core::store::ReadOutcome;
use serde::Deserialize;
use serde_json::{Map, json};

use super::Call;
use super::documents::{Remaining, yes};
use super::reply::{Failure, Reply};
use super::room::{Bounded, Room, read_within, reading_bytes};
use crate::mcp::instructions;

/// The guide to this server.
pub(crate) async fn get_instructions(call: Call) -> Result<Reply, Failure> {
    let text = instructions::full(&call.caller);
    let data = json!({"instructions": text});
    Ok(Reply::text(text, data))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    #[serde(default = "yes")]
    include_etags: bool,
}

/// All five core documents.
pub(crate) async fn get_context_bundle(mut call: Call) -> Result<Reply, Failure> {
    let Bundle { include_etags } = call.parse()?;
    let bank = call.bank()?;
    let paths = CoreDocument::ALL.map(CoreDocument::path);
    call.services.replies.need(reading_bytes(paths.len())).await?;
    let mut room = Room::new(call.services.replies.bytes);
    let outcomes = read_within(bank.as_ref(), &call.caller, &paths, &mut room).await?;
    let mut bundle = Map::new();
    let mut remaining = Remaining::default();
    let mut warnings = Vec::new();
    for (core, outcome) in CoreDocument::ALL.iter().zip(outcomes) {
        match outcome {
            Bounded::LeftOut(bytes) => remaining.add(core.name(), bytes),
            Bounded::Read(ReadOutcome::Found(document)) => {
                let mut entry = json!({"content": document.content});
                if include_etags && let Some(object) = entry.as_object_mut() {
                    object.insert("etag".into(), json!(document.etag));
                }
                bundle.insert(core.name().to_owned(), entry);
            }
            Bounded::Read(ReadOutcome::Unreadable(reason)) => {
                warnings.push(format!("{} cannot be read: {reason}", core.name()));
            }
            _ => warnings.push(format!("{} does not exist", core.name())),
        }
    }
    if bundle.is_empty() && remaining.len() == 0 {
        return Err(Failure::said(
            "No Memory Bank files found. Use initialize_memory_bank to create the core documents.",
        ));
    }
    let mut metadata = json!({
        "timestamp": iso_millis(call.services.clock.now()),
        "filesLoaded": bundle.len(),
        "totalFiles": CoreDocument::ALL.len(),
        "memoryBankDir": bank.location(),
    });
    if !warnings.is_empty()
        && let Some(object) = metadata.as_object_mut()
    {
        object.insert("warnings".into(), json!(warnings));
    }
    remaining.note(&mut metadata, "batch_read_files");
    Reply::json(&json!({"bundle": bundle, "metadata": metadata}))
}
