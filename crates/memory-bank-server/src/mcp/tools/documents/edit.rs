//! Changes parts of a document.

use memory_bank_core::caller::Right;
use memory_bank_core::document::{DocumentPath, Edit, edit_document};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{FILENAME, IF_MATCH};
use crate::mcp::tools::documents::write::change;
use crate::mcp::tools::extra_members::{note_stored_name, put};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Argument, Kind, optional, required};
use crate::mcp::tools::tool::{CHANGES, Call, FILES, Family, ToolSpec, boxed};

pub(crate) const EDIT_MEMORY_BANK_FILE: ToolSpec = ToolSpec {
    name: "edit_memory_bank_file",
    title: "Edit document",
    description: "Change parts of a document instead of rewriting it; all edits or none. replace: old, new, count \
                  (of old, 1); insert_*: match or heading, text; archive: match; others: heading, text.",
    family: Family::Documents,
    right: Right::Write,
    without_read: WithoutRead::Members(&["filename"]),
    hints: CHANGES,
    bank: FILES,
    arguments: &[FILENAME, required("edits", Kind::Objects(EDIT), "Edits not specified"), IF_MATCH],
    handler: boxed!(edit_memory_bank_file),
};

/// Changes parts of a document, all edits or none.
async fn edit_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
    let EditFile { filename, edits, if_match_etag } = call.parse()?;
    let mut parsed: Vec<Edit> = Vec::with_capacity(edits.len());
    for (index, edit) in edits.into_iter().enumerate() {
        let edit: Edit = serde_json::from_value(without_foreign_members(edit))
            .map_err(|error| Failure::Malformed(format!("`edits[{index}]`: {error}; {EDIT_TAKES}")))?;
        // Whether a text exists is a question about the document, and enough such questions read all of it.
        if edit.matches_text() {
            call.must_read("edit by `old` or `match`, since that asks what a document holds")?;
        }
        parsed.push(edit);
    }
    let path = DocumentPath::parse(&filename)
        .map_err(|error| Failure::message(format!("Error editing file {filename}: {error}")))?;
    let mut edited = None;
    let changed =
        change(&call, "Error editing file", &filename, std::slice::from_ref(&path), &mut |drafts| {
            edited = Some(edit_document(drafts, &path, &parsed, if_match_etag.as_deref())?);
            Ok(())
        })
        .await?;
    let edited = edited.ok_or_else(|| Failure::Internal("the store did not run the edit".into()))?;
    let mut data = json!({
        "success": true,
        "filename": filename,
        "etag": edited.etag,
        "diff": edited.diff,
    });
    if edited.removed_lines > 0 {
        let mut removed = json!({"lines": edited.removed_lines});
        if !edited.removed_sections.is_empty() {
            put(&mut removed, "sections", json!(edited.removed_sections));
        }
        put(&mut data, "removed", removed);
    }
    if let Some(change) = changed.first() {
        note_stored_name(&mut data, &filename, &change.path);
    }
    Reply::json(&data)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EditFile {
    filename: String,
    edits: Vec<Value>,
    if_match_etag: Option<String>,
}

/// Members of an item of `edits`.
pub(crate) const EDIT: &[Argument] = &[
    required(
        "op",
        Kind::Word(&[
            "replace",
            "insert_before",
            "insert_after",
            "append",
            "prepend",
            "replace_section",
            "archive",
        ]),
        "",
    )
    .or_called(&["type", "operation", "action"]),
    optional("old", Kind::Text).or_called(&["oldtext", "oldstring", "oldstr"]),
    optional("new", Kind::Text).keeping_empty().or_called(&["newtext", "newstring", "newstr"]),
    optional("count", Kind::Whole(1, u32::MAX)),
    optional("match", Kind::Text),
    optional("heading", Kind::Text),
    optional("text", Kind::Text).keeping_empty().or_called(&["content"]),
];

/// The accepted members of an edit, for one with missing or extra members.
const EDIT_TAKES: &str = "replace takes `old`, `new` and maybe `count`; insert_before and insert_after take `match` or \
    `heading`, and `text`; archive takes `match` or `heading`; the others take `heading` and `text`; for example \
    {\"op\":\"append\",\"heading\":\"Next Steps\",\"text\":\"- write the tests\"}";

/// Removes the empty text, and the count of one, that belong to an edit of another kind: some clients send every
/// member.
fn without_foreign_members(mut edit: Value) -> Value {
    let replaces = edit.get("op") == Some(&json!("replace"));
    let (foreign, counted) = if replaces { ("text", None) } else { ("new", Some("count")) };
    if let Some(members) = edit.as_object_mut() {
        if members.get(foreign) == Some(&json!("")) {
            members.shift_remove(foreign);
        }
        if let Some(count) = counted.filter(|count| members.get(*count) == Some(&json!(1))) {
            members.shift_remove(count);
        }
    }
    edit
}
