//! Reads one document, or a part of it.

use memory_bank_core::caller::Right;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::store::ReadOutcome;
use serde_json::Map;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{AS_OF, FILENAME, MAX_CHARS};
use crate::mcp::tools::documents::part::ReadOne;
use crate::mcp::tools::past::PastBank;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{Call, FILES, Family, READS, ToolSpec, boxed};

pub(crate) const READ_MEMORY_BANK_FILE: ToolSpec = ToolSpec {
    name: "read_memory_bank_file",
    title: "Read document",
    description: "Read a document, or a part of it: a heading, lines, the tail.",
    family: Family::Documents,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: FILES,
    arguments: &[
        FILENAME,
        optional("heading", Kind::Text),
        optional("fromLine", Kind::Whole(1, u32::MAX)),
        optional("lines", Kind::Whole(1, u32::MAX)),
        optional("tail", Kind::Whole(1, u32::MAX)),
        MAX_CHARS,
        optional("fromChar", Kind::Whole(1, u32::MAX)),
        optional("includeEtag", Kind::Flag),
        AS_OF,
    ],
    handler: boxed!(read_memory_bank_file),
};

/// Reads one document, or a part of it.
async fn read_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
    let arguments: ReadOne = call.parse()?;
    let filename = &arguments.filename;
    let failed = |reason: String| Failure::message(format!("Error reading file {filename}: {reason}"));
    let path = DocumentPath::parse(filename).map_err(|error| failed(error.to_string()))?;
    let bank = call.bank()?;
    if let Some(view) = arguments.past_view()? {
        let past = PastBank::of(&call.services, &call.caller, bank.as_ref(), view).await?;
        let past = past.ok_or_else(|| Failure::Internal("a view of the past has no past".to_owned()))?;
        let (document, notes) = past.document(&path).await?.map_err(failed)?;
        return arguments.reply(document, &notes, &call.services.replies);
    }
    match bank.read(&call.caller, &[path]).await?.pop() {
        Some(ReadOutcome::Found(document)) => {
            // The document, and the reply that is made of it.
            let reply = document.content.len().min(call.services.replies.bytes);
            call.services.replies.need(document.content.len() + reply.saturating_mul(4)).await?;
            arguments.reply(document, &Map::new(), &call.services.replies)
        }
        Some(ReadOutcome::Unreadable(reason)) => Err(failed(reason)),
        _ => Err(failed("there is no such document; list_memory_bank_files shows what there is".into())),
    }
}
