//! Creates, replaces, renames and deletes whole documents.

use memory_bank_core::caller::Right;
use memory_bank_core::document::{
    DocumentPath, Etag, NameError, delete_document, rename_document, unified_diff, write_document,
};
use memory_bank_core::error::EditError;
use memory_bank_core::store::{DocumentChange, Drafts, Editor};
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{FILENAME, IF_MATCH};
use crate::mcp::tools::extra_members::{note_stored_name, put};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, required};
use crate::mcp::tools::tool::{ADDS, Call, FILES, Family, REPLACES, ToolSpec, boxed};

pub(crate) const WRITE_MEMORY_BANK_FILE: ToolSpec = ToolSpec {
    name: "write_memory_bank_file",
    title: "Write document",
    description: "Create or replace a whole document; edit_memory_bank_file changes parts.",
    family: Family::Documents,
    right: Right::Write,
    without_read: WithoutRead::Members(&["filename", "etag"]),
    hints: REPLACES,
    bank: FILES,
    arguments: &[FILENAME, required("content", Kind::Text, "Content not specified").or_empty(), IF_MATCH],
    handler: boxed!(write_memory_bank_file),
};

/// Creates or replaces a document; with an etag only if it is unchanged.
async fn write_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
    let Write { filename, content, if_match_etag } = call.parse()?;
    let path = DocumentPath::parse(&filename)
        .map_err(|error| Failure::message(format!("Error writing file {filename}: {error}")))?;
    let mut written = None;
    let changed =
        change(&call, "Error writing file", &filename, std::slice::from_ref(&path), &mut |drafts| {
            written = Some(write_document(drafts, &path, &content, if_match_etag.as_deref())?);
            Ok(())
        })
        .await?;
    let written = written.ok_or_else(|| Failure::Internal("the store did not run the edit".into()))?;
    let mut data = json!({
        "success": true,
        "message": format!("File {filename} successfully written to Memory Bank"),
        "filename": filename,
        "etag": written.etag,
    });
    if let Some(replaced) = written.replaced {
        put(&mut data, "replaced", json!(replaced));
    }
    if let Some(change) = changed.first() {
        note_stored_name(&mut data, &filename, &change.path);
    }
    Reply::json(&data)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Write {
    filename: String,
    content: String,
    if_match_etag: Option<String>,
}

pub(crate) const RENAME_MEMORY_BANK_FILE: ToolSpec = ToolSpec {
    name: "rename_memory_bank_file",
    title: "Rename document",
    description: "Rename a document; core files refuse.",
    family: Family::Documents,
    right: Right::Write,
    without_read: WithoutRead::Members(&[]),
    hints: ADDS,
    bank: FILES,
    arguments: &[FILENAME, required("newFilename", Kind::Text, "New filename not specified"), IF_MATCH],
    handler: boxed!(rename_memory_bank_file),
};

/// Renames a document.
async fn rename_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
    let Rename { filename, new_filename, if_match_etag } = call.parse()?;
    let failed = |error: NameError| Failure::message(format!("Error renaming file {filename}: {error}"));
    let from = DocumentPath::parse(&filename).map_err(failed)?;
    let to = DocumentPath::parse(&new_filename).map_err(failed)?;
    let paths = [from.clone(), to.clone()];
    let changed = change(&call, "Error renaming file", &filename, &paths, &mut |drafts| {
        rename_document(drafts, &from, &to, if_match_etag.as_deref())
    })
    .await?;
    let stored = changed.get(1).map_or(new_filename.as_str(), |change| change.path.as_str());
    Reply::json(&json!({
        "success": true,
        "message": format!("File {filename} renamed to {stored}"),
        "filename": stored,
        "etag": changed.get(1).and_then(|change| change.etag.clone()),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rename {
    filename: String,
    new_filename: String,
    if_match_etag: Option<String>,
}

pub(crate) const DELETE_MEMORY_BANK_FILE: ToolSpec = ToolSpec {
    name: "delete_memory_bank_file",
    title: "Delete document",
    description: "Delete a document; core files refuse.",
    family: Family::Documents,
    right: Right::Admin,
    without_read: WithoutRead::Members(&[]),
    hints: REPLACES,
    bank: FILES,
    // A lost etag must not cause the deletion that it was to prevent.
    arguments: &[FILENAME, IF_MATCH.keeping_empty()],
    handler: boxed!(delete_memory_bank_file),
};

/// Deletes a document.
async fn delete_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
    let Delete { filename, if_match_etag } = call.parse()?;
    let path = DocumentPath::parse(&filename)
        .map_err(|error| Failure::message(format!("Error deleting file {filename}: {error}")))?;
    let mut deleted = None;
    let changed =
        change(&call, "Error deleting file", &filename, std::slice::from_ref(&path), &mut |drafts| {
            deleted = Some(delete_document(drafts, &path, if_match_etag.as_deref())?);
            Ok(())
        })
        .await?;
    let deleted = deleted.ok_or_else(|| Failure::Internal("the store did not run the edit".into()))?;
    let stored = changed.first().map_or(filename.as_str(), |change| change.path.as_str());
    Reply::json(&json!({
        "success": true,
        "message": format!("File {stored} deleted"),
        "filename": stored,
        "replaced": deleted.former,
        "removed": deleted.removed,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    filename: String,
    if_match_etag: Option<String>,
}

/// Edits the document `filename` and maps errors to those that clients know.
pub(crate) async fn change(
    call: &Call,
    doing: &str,
    filename: &str,
    paths: &[DocumentPath],
    editor: &mut Editor<'_>,
) -> Result<Vec<DocumentChange>, Failure> {
    let bank = call.bank()?;
    let mut edit = |drafts: &mut Drafts| {
        drafts.set_context(&call.context);
        editor(drafts)
    };
    match bank.edit(&call.caller, paths, &mut edit).await {
        Ok(changes) => Ok(changes),
        // A caller who may not read learns that the document differs, and not how.
        Err(EditError::EtagMismatch { .. }) if !call.caller.may(Right::Read) => {
            Err(Failure::Data(json!({"error": "ETAG_MISMATCH"})))
        }
        Err(EditError::EtagMismatch { path, expected, current, content }) => {
            let before = bank.content_at(&call.caller, &path, &Etag::claimed(&expected)).await?;
            let advice = if before.is_some() {
                "Look at `changedMeanwhile`, then edit again with currentEtag as ifMatchEtag."
            } else {
                "Read it again, then edit with the etag of that reply as ifMatchEtag."
            };
            let meanwhile = match before {
                Some(before) => unified_diff(path.as_str(), &before, &content),
                None => format!(
                    "the version {expected} is not known any more, so what changed cannot be shown; read the document \
                     again"
                ),
            };
            Err(Failure::Data(json!({
                "error": "ETAG_MISMATCH",
                "message": format!("{filename} has changed since you read it. {advice}"),
                "expectedEtag": expected,
                "currentEtag": current,
                "changedMeanwhile": meanwhile,
            })))
        }
        Err(EditError::NotFound(_)) => Err(Failure::Data(json!({
            "error": "FILE_NOT_FOUND",
            "message": format!("{filename} does not exist; list_memory_bank_files shows what does"),
        }))),
        Err(other) => Err(Failure::from(other).while_doing(&format!("{doing} {filename}"))),
    }
}
