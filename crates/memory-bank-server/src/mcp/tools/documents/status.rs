//! The state of a bank, and the names of its core documents.

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document;
use memory_bank_core::document::{CORE_DOCUMENTS, OLD_NAMES, migration_paths};
use memory_bank_core::store::Bank;
use serde::Serialize;
use serde_json::{Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::STORE_ID;
use crate::mcp::tools::editing::edit;
use crate::mcp::tools::extra_members::{note_left, put};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::{LISTING_BYTES, ReplySpace};
use crate::mcp::tools::tool::{BankNeed, Call, FILES, Family, READS, SETS, ToolSpec, boxed};

pub(crate) const GET_MEMORY_BANK_STATUS: ToolSpec = ToolSpec {
    name: "get_memory_bank_status",
    title: "Memory bank status",
    description: "Where the bank is and whether core files are missing.",
    family: Family::Workspace,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: FILES,
    arguments: &[STORE_ID],
    handler: boxed!(get_memory_bank_status),
};

/// Returns where the bank is and whether it is complete.
async fn get_memory_bank_status(call: Call) -> Result<Reply, Failure> {
    Reply::json(&status(&call, call.bank()?.as_ref()).await?)
}

/// The reply of `get_memory_bank_status`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    path: String,
    files: Vec<String>,
    core_files_present: Vec<&'static str>,
    missing_core_files: Vec<&'static str>,
    is_complete: bool,
    language: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated: Option<String>,
}

/// How to find the names that do not fit.
const MORE_NAMES: &str =
    "list_memory_bank_files pages through all names, and search_memory_bank finds documents by their words";

/// Where a bank is and whether it is complete.
pub(crate) async fn status(call: &Call, bank: &dyn Bank) -> Result<Value, Failure> {
    call.services.replies.need(LISTING_BYTES).await?;
    let entries = bank
        .list(&call.caller)
        .await
        .map_err(|error| Failure::from(error).while_doing("Error checking Memory Bank status"))?;
    let last_updated = entries.iter().map(|entry| entry.updated_at).max().map(iso_millis);
    let (present, missing): (Vec<_>, Vec<_>) =
        CORE_DOCUMENTS.into_iter().partition(|core| entries.iter().any(|entry| is_core(&entry.name, core)));
    let mut space = ReplySpace::of(&call.services.replies, None, &json!(bank.location()));
    let (files, left) = space.names(entries.into_iter().map(|entry| entry.name));
    let status = Status {
        path: bank.location(),
        files,
        is_complete: missing.is_empty(),
        core_files_present: present,
        missing_core_files: missing,
        language: "en",
        last_updated,
    };
    let mut status = serde_json::to_value(status).map_err(|error| Failure::Internal(error.to_string()))?;
    note_left(&mut status, &[("files", left)], MORE_NAMES);
    if let Some(notice) = call.services.workspace.notice(&call.caller) {
        put(&mut status, "notice", json!(notice));
    }
    Ok(status)
}

/// Whether a document is this core document, under its current name or the one that older banks use.
fn is_core(name: &str, core: &str) -> bool {
    name == core || OLD_NAMES.iter().any(|(old, current)| *current == core && *old == name)
}

pub(crate) const MIGRATE_FILE_NAMING: ToolSpec = ToolSpec {
    name: "migrate_file_naming",
    title: "Migrate old file names",
    description: "Rename core files of old banks from camelCase.",
    family: Family::Workspace,
    right: Right::Write,
    without_read: WithoutRead::Sentence(|_| "Migration completed.".to_owned()),
    hints: SETS,
    bank: BankNeed::BeforeArguments(
        "Memory Bank directory not found. Use initialize_memory_bank to create one.",
    ),
    arguments: &[STORE_ID],
    handler: boxed!(migrate_file_naming),
};

/// Renames old core documents to their current names.
async fn migrate_file_naming(call: Call) -> Result<Reply, Failure> {
    let done = edit(&call, &migration_paths(), document::migrate_file_naming)
        .await
        .map_err(|failure| failure.while_doing("Error migrating file naming"))?;
    let mut text = format!("Migration completed. {} files migrated.", done.migrated.len());
    if !done.skipped.is_empty() {
        text.push_str(&format!(
            " Left as they are, since the new name is taken: {}. Merge them by hand.",
            done.skipped.join(", ")
        ));
    }
    Ok(Reply::text(text, json!({"migrated": done.migrated, "skipped": done.skipped})))
}
