//! Ties nodes to documents.

use memory_bank_core::caller::Right;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::document::section::Outline;
use memory_bank_core::error::GraphError;
use memory_bank_core::store::{EntityRef, PointerDraft, ReadOutcome};
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::STORE_ID;
use crate::mcp::tools::editing::edit;
use crate::mcp::tools::extra_members::did_you_mean;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{ADDS, Call, Family, GRAPH, ToolSpec, boxed};

pub(crate) const GRAPH_ADD_DOC_POINTER: ToolSpec = ToolSpec {
    name: "graph_add_doc_pointer",
    title: "Point to a document",
    description: "Tie a node to a document, so that get_targeted_context finds it.",
    family: Family::Graph,
    right: Right::Write,
    without_read: WithoutRead::Members(&[]),
    hints: ADDS,
    bank: GRAPH,
    arguments: &[
        required("entityNameOrId", Kind::Text, ""),
        required("docPath", Kind::Text, "").or_called(&["path", "file", "filepath", "filename"]),
        optional("heading", Kind::Text),
        optional("note", Kind::Text),
        STORE_ID,
    ],
    handler: boxed!(graph_add_doc_pointer),
};

/// Ties an entity to a document.
async fn graph_add_doc_pointer(mut call: Call) -> Result<Reply, Failure> {
    let AddPointer { entity_name_or_id, doc_path, heading, note } = call.parse()?;
    let bank = call.bank()?;
    let invalid = |reason: String| Failure::unquoted(format!("Invalid docPath \"{doc_path}\": {reason}"));
    let path = DocumentPath::parse(&doc_path).map_err(|error| invalid(error.to_string()))?;
    let heading = heading.map(|heading| heading.trim().trim_start_matches('#').trim().to_owned());
    let heading = heading.filter(|heading| !heading.is_empty());
    let stored = if call.caller.may(Right::Read) {
        match bank.read(&call.caller, std::slice::from_ref(&path)).await?.pop() {
            Some(ReadOutcome::Found(document)) => Some((document.path, document.content)),
            Some(ReadOutcome::Unreadable(reason)) => return Err(invalid(reason)),
            _ => None,
        }
    } else {
        // Whether a part of a heading exists would be a question about the text.
        if heading.is_some() {
            call.must_read("point to a heading, since that asks what a document holds")?;
        }
        stored_to_edit(&call, &path).await?
    };
    let Some((path, content)) = stored else {
        return Err(invalid("there is no such document; list_memory_bank_files shows what there is".into()));
    };
    if let Some(heading) = &heading
        && !has_heading(&content, heading)
    {
        return Err(Failure::message(format!(
            "\"{path}\" has no heading that contains `{heading}`; leave `heading` out to point to the whole document"
        )));
    }
    let pointer = PointerDraft { path: path.to_string(), heading, note };
    let pointed =
        bank.add_pointer(&call.caller, &EntityRef(entity_name_or_id), pointer).await.map_err(|error| {
            match error {
                GraphError::EntityNotFound { name: missing, suggestions } => Failure::Hinted {
                    text: format!(
                        "Entity \"{missing}\" not found. Create it first with graph_upsert_entity."
                    ),
                    hint: did_you_mean(&suggestions),
                },
                other => other.into(),
            }
        })?;
    Reply::json(&json!({
        "success": true,
        "entity": pointed.entity.name,
        "actions": [
            format!("Pointer to {path} stored in the attributes of {}", pointed.entity.id),
            format!(
                "Observation {} {}: {}",
                pointed.observation.id,
                if pointed.existed { "was there already" } else { "added" },
                pointed.observation.text
            ),
        ],
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddPointer {
    entity_name_or_id: String,
    doc_path: String,
    heading: Option<String>,
    note: Option<String>,
}

/// Whether a heading contains the words, ignoring case: the rule by which excerpts are found later.
fn has_heading(text: &str, words: &str) -> bool {
    let words = words.to_lowercase();
    Outline::of(text).headings().iter().any(|heading| heading.title.to_lowercase().contains(&words))
}

/// The document of this name as an edit finds it, for a caller who may write and not read; nothing is changed.
async fn stored_to_edit(call: &Call, path: &DocumentPath) -> Result<Option<(DocumentPath, String)>, Failure> {
    edit(call, std::slice::from_ref(path), |drafts| {
        Ok(drafts.stored(path).map(|document| (document.path.clone(), document.content.clone())))
    })
    .await
}
