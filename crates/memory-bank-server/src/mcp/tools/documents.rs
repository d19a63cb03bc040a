//! Tools on whole documents.

use std::collections::{HashMap, HashSet};

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{
    self, BatchWrite, CORE_DOCUMENTS, DocumentPath, Edit, Etag, NameError, delete_document, edit_document,
    is_leftover, json_chars, migration_paths, rename_document, unified_diff, write_document,
};
use memory_bank_core::error::EditError;
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, DocumentChange, Editor, ReadOutcome};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Call;
use super::cursor::Listing;
use super::graph::note_left;
use super::part::ReadOne;
use super::progress::edit;
use super::reply::{Failure, Reply};
use super::room::{Bounded, LISTING_BYTES, Room, read_within, reading_bytes};
use super::schema::{Argument, Kind, optional, required};
use super::table::FILE_NAMES;

pub(super) fn yes() -> bool {
    true
}

/// Reads one document, or a part of it.
pub(crate) async fn read_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
    let asked: ReadOne = call.parse()?;
    let filename = &asked.filename;
    let failed = |reason: String| Failure::message(format!("Error reading file {filename}: {reason}"));
    let path = DocumentPath::parse(filename).map_err(|error| failed(error.to_string()))?;
    match call.bank()?.read(&call.caller, &[path]).await?.pop() {
        Some(ReadOutcome::Found(document)) => {
            // The document, and the reply that is made of it.
            let reply = document.content.len().min(call.services.replies.bytes);
            call.services.replies.need(document.content.len() + reply.saturating_mul(4)).await?;
            asked.reply(document, &call.services.replies)
        }
        Some(ReadOutcome::Unreadable(reason)) => Err(failed(reason)),
        _ => Err(failed("there is no such document; list_memory_bank_files shows what there is".into())),
    }
}

/// Adds a member to an object. Removed text is in its own members, so that a reply can omit it.
fn put(data: &mut Value, name: &str, value: Value) {
    if let Some(object) = data.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Adds the stored name of a document, if it differs from the requested one.
pub(super) fn note_stored_name(data: &mut Value, asked: &str, stored: &DocumentPath) {
    if stored.as_str() != asked
        && let Some(object) = data.as_object_mut()
    {
        object.insert("storedAs".into(), json!(stored.as_str()));
    }
}

/// A name for one line: plain, or as JSON in which invisible characters, and those that change the direction of text,
/// are escaped.
fn visible(name: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}')
    };
    if !name.contains(hides) {
        return name.to_owned();
    }
    let escaped = |c: char| {
        if c > '\u{7e}' && hides(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
    };
    json!(name).to_string().chars().map(escaped).collect()
}

/// How to find the names that do not fit.
const MORE_NAMES: &str =
    "list_memory_bank_files pages through all names, and search_memory_bank finds documents by their words";

#[derive(Deserialize)]
struct ListFiles {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Lists the names in the bank, page by page; clients parse the lines after the first.
pub(crate) async fn list_memory_bank_files(mut call: Call) -> Result<Reply, Failure> {
    let asked: ListFiles = call.parse()?;
    let bank = call.bank()?;
    let listing = Listing::new("list_memory_bank_files", &bank.location(), &Value::Null);
    let after: String = listing.place(asked.cursor.as_deref())?;
    call.services.replies.need(LISTING_BYTES).await?;
    let entries = bank
        .list(&call.caller)
        .await
        .map_err(|error| Failure::from(error).while_doing("Error listing Memory Bank files"))?;
    let all = entries.len();
    let names = entries.into_iter().map(|entry| entry.name).filter(|name| after.is_empty() || *name > after);
    let names: Vec<String> = names.collect();
    let most = asked.limit.unwrap_or(usize::MAX);
    let wanted = names.len().min(most);
    // They are in the text and in the data.
    let room = Room::of(&call.services.replies, asked.limit.map(|_| usize::MAX), &Value::Null);
    let mut room = room.share(if asked.limit.is_some() { 2 } else { 1 });
    let (shown, cut) = room.names(names.iter().take(wanted).cloned());
    let left = cut + names.len() - wanted;
    // A file may have any name; each stays on its line, and invisible characters are escaped as in JSON.
    let on_line = |name: &String| {
        let line = visible(name);
        if is_leftover(name) {
            format!("{line} (left by an editor or sync tool, not searched)")
        } else {
            line
        }
    };
    let lines: Vec<String> = shown.iter().map(on_line).collect();
    let mut data = json!({"files": shown});
    let leftovers: Vec<&String> = shown.iter().filter(|name| is_leftover(name)).collect();
    if !leftovers.is_empty() {
        put(&mut data, "leftovers", json!(leftovers));
    }
    let mut only = String::new();
    if let Some(last) = shown.last().filter(|_| left > 0) {
        let cursor = listing.cursor(last)?;
        only = format!(" ({} of {all}, {left} follow; go on with cursor `{cursor}`)", shown.len());
        put(&mut data, "remaining", json!({"files": left}));
        put(&mut data, "nextCursor", json!(cursor));
    }
    Ok(Reply::text(format!("Files in Memory Bank{only}:\n{}", lines.join("\n")), data))
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

/// Where a bank is and whether it is complete.
pub(super) async fn status(call: &Call, bank: &dyn Bank) -> Result<Value, Failure> {
    call.services.replies.need(LISTING_BYTES).await?;
    let entries = bank
        .list(&call.caller)
        .await
        .map_err(|error| Failure::from(error).while_doing("Error checking Memory Bank status"))?;
    let last_updated = entries.iter().map(|entry| entry.updated_at).max().map(iso_millis);
    let (present, missing): (Vec<_>, Vec<_>) =
        CORE_DOCUMENTS.into_iter().partition(|core| entries.iter().any(|entry| entry.name == *core));
    let mut room = Room::of(&call.services.replies, None, &json!(bank.location()));
    let (files, left) = room.names(entries.into_iter().map(|entry| entry.name));
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

/// Returns where the bank is and whether it is complete.
pub(crate) async fn get_memory_bank_status(call: Call) -> Result<Reply, Failure> {
    Reply::json(&status(&call, call.bank()?.as_ref()).await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchRead {
    files: Vec<String>,
    #[serde(default = "yes")]
    include_etags: bool,
    max_chars: Option<usize>,
}

/// Reads several documents; one that cannot be read does not fail the others.
pub(crate) async fn batch_read_files(mut call: Call) -> Result<Reply, Failure> {
    let BatchRead { files, include_etags, max_chars } = call.parse()?;
    if files.len() > limits::BATCH_DOCUMENTS {
        return Err(Failure::Malformed(format!(
            "`files` has {} items, at most {} are allowed",
            files.len(),
            limits::BATCH_DOCUMENTS
        )));
    }
    let parsed: Vec<_> = files.iter().map(|name| DocumentPath::parse(name)).collect();
    let paths: Vec<DocumentPath> = parsed.iter().filter_map(|path| path.clone().ok()).collect();
    let mut paths = paths;
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    call.services.replies.need(reading_bytes(paths.len())).await?;
    // The names are repeated, for readable and unreadable documents.
    let mut room = Room::of(&call.services.replies, max_chars, &json!(files));
    let outcomes = read_within(call.bank()?.as_ref(), &call.caller, &paths, &mut room).await?;
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
        let result = match outcome {
            Ok(document) => {
                successful += 1;
                let mut result = json!({"content": document.content});
                if include_etags && let Some(object) = result.as_object_mut() {
                    object.insert("etag".into(), json!(document.etag));
                }
                note_stored_name(&mut result, name, &document.path);
                result
            }
            Err(reason) => json!({"content": "", "error": format!("Failed to read: {reason}")}),
        };
        results.insert(name.clone(), result);
    }
    let read = results.len();
    let mut metadata = json!({
        "requested": read.saturating_add(remaining.len()),
        "successful": successful,
        "failed": read - successful,
        "timestamp": iso_millis(call.services.clock.now()),
    });
    remaining.note(&mut metadata, "batch_read_files");
    if max_chars.is_none() {
        // Documents that were read fit already; errors are included only as far as there is room.
        let most = limits::REPLY_CHARS.saturating_sub(metadata.to_string().chars().count() + NOTES);
        results = fitting(results, most, &mut metadata);
    }
    Reply::json(&json!({"results": results, "metadata": metadata}))
}

/// Characters for the repeated names of omitted documents.
const NAMES_CHARS: usize = 6000;
/// Characters of one of many reasons.
const REASON_CHARS: usize = 300;

/// Room for the note about omitted results.
const NOTES: usize = 600;

/// The results that fit; the others are counted in `metadata`.
fn fitting(results: Map<String, Value>, most: usize, metadata: &mut Value) -> Map<String, Value> {
    /// Quotes, colon and comma.
    const BESIDE: usize = 6;
    let own = |name: &str, result: &Value| {
        json_chars(name).saturating_add(result.to_string().chars().count()).saturating_add(BESIDE)
    };
    // Documents that were read have their room already.
    let is_read = |result: &Value| result.get("content").is_some() && result.get("error").is_none();
    let mut chars: usize =
        results.iter().filter(|(_, result)| is_read(result)).map(|(name, result)| own(name, result)).sum();
    let (mut kept, mut left, mut failed) = (Map::new(), 0_usize, 0_usize);
    for (name, mut result) in results {
        if let Some(Value::String(reason)) = result.get_mut("error")
            && reason.chars().nth(REASON_CHARS).is_some()
        {
            *reason = reason.chars().take(REASON_CHARS).chain(['…']).collect();
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
pub(super) struct Remaining(Vec<(String, u64)>);

impl Remaining {
    pub(super) fn add(&mut self, name: &str, bytes: u64) {
        self.0.push((name.to_owned(), bytes));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Adds the omitted documents and how to read them.
    pub(super) fn note(&self, metadata: &mut Value, several: &str) {
        let Some(object) = metadata.as_object_mut().filter(|_| !self.0.is_empty()) else { return };
        let mut chars = 0_usize;
        let mut left: Vec<Value> = Vec::new();
        for (name, bytes) in &self.0 {
            let one = json!({"filename": name, "bytes": bytes});
            chars = chars.saturating_add(one.to_string().chars().count());
            if chars > NAMES_CHARS {
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Write {
    filename: String,
    content: String,
    if_match_etag: Option<String>,
}

/// Creates or replaces a document; with an etag only if it is unchanged.
pub(crate) async fn write_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
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

/// Edits the document `filename` and maps errors to those that clients know.
async fn change(
    call: &Call,
    doing: &str,
    filename: &str,
    paths: &[DocumentPath],
    editor: &mut Editor<'_>,
) -> Result<Vec<DocumentChange>, Failure> {
    let bank = call.bank()?;
    match bank.edit(&call.caller, paths, editor).await {
        Ok(changes) => Ok(changes),
        // A caller who may not read learns that the document differs, and not how.
        Err(EditError::EtagMismatch { .. }) if !call.caller.may(Right::Read) => {
            Err(Failure::Data(json!({"error": "ETAG_MISMATCH"})))
        }
        Err(EditError::EtagMismatch { path, expected, current, content }) => {
            let meanwhile = match bank.content_at(&call.caller, &path, &Etag::claimed(&expected)).await? {
                Some(before) => unified_diff(path.as_str(), &before, &content),
                None => format!(
                    "the version {expected} is not known any more, so what changed cannot be shown; read the document \
                     again"
                ),
            };
            Err(Failure::Data(json!({
                "error": "ETAG_MISMATCH",
                "message": format!(
                    "{filename} has changed since you read it. Look at `changedMeanwhile`, then edit again with \
                     currentEtag as ifMatchEtag."
                ),
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

/// Members of an item of `edits`.
pub(crate) const EDIT: &[Argument] = &[
    required(
        "op",
        Kind::Word(&["replace", "insert_before", "insert_after", "append", "prepend", "replace_section"]),
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
    `heading`, and `text`; the others take `heading` and `text`; for example \
    {\"op\":\"append\",\"heading\":\"Next Steps\",\"text\":\"- write the tests\"}";

/// Removes the empty text, and the count of one, that belong to an edit of another kind: some clients send every
/// member.
fn without_strangers(mut edit: Value) -> Value {
    let replaces = edit.get("op") == Some(&json!("replace"));
    let (stranger, counted) = if replaces { ("text", None) } else { ("new", Some("count")) };
    if let Some(members) = edit.as_object_mut() {
        if members.get(stranger) == Some(&json!("")) {
            members.shift_remove(stranger);
        }
        if let Some(count) = counted.filter(|count| members.get(*count) == Some(&json!(1))) {
            members.shift_remove(count);
        }
    }
    edit
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EditFile {
    filename: String,
    edits: Vec<Value>,
    if_match_etag: Option<String>,
}

/// Changes parts of a document, all edits or none.
pub(crate) async fn edit_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
    let EditFile { filename, edits, if_match_etag } = call.parse()?;
    let mut parsed: Vec<Edit> = Vec::with_capacity(edits.len());
    for (index, edit) in edits.into_iter().enumerate() {
        let edit: Edit = serde_json::from_value(without_strangers(edit))
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
struct Rename {
    filename: String,
    new_filename: String,
    if_match_etag: Option<String>,
}

/// Renames a document.
pub(crate) async fn rename_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
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
struct Delete {
    filename: String,
    if_match_etag: Option<String>,
}

/// Deletes a document.
pub(crate) async fn delete_memory_bank_file(mut call: Call) -> Result<Reply, Failure> {
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

/// Renames old core documents to their current names.
pub(crate) async fn migrate_file_naming(call: Call) -> Result<Reply, Failure> {
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

/// Members of an item of `files`.
pub(crate) const BATCH_FILE: &[Argument] = &[
    required("filename", Kind::Text, "").or_called(FILE_NAMES),
    required("content", Kind::Text, "").or_empty(),
    optional("ifMatchEtag", Kind::Text),
];

/// Writes several documents in order.
pub(crate) async fn batch_write_files(mut call: Call) -> Result<Reply, Failure> {
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
    let most = limits::REPLY_CHARS.saturating_sub(metadata.to_string().chars().count() + NOTES);
    let results = fitting(results, most, &mut metadata);
    Reply::json(&json!({"results": results, "metadata": metadata}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_hides_something_is_shown_as_json() {
        for name in ["bidi\u{202e}.md", "a\nprogress.md", "x\u{7f}\u{85}.md", "q\"\u{200b}.md"] {
            let shown = visible(name);
            assert!(
                shown.starts_with('"') && shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{shown}"
            );
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), name);
        }
        assert_eq!(visible("pl\u{e4}ne \"x\".md"), "pl\u{e4}ne \"x\".md");
    }

    #[test]
    fn results_with_long_names_are_counted_where_they_do_not_fit() {
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
        assert!(metadata.to_string().len() < NAMES_CHARS + 1000);
        let shown = metadata["remaining"].as_array().unwrap().len();
        assert_eq!(metadata["remainingLeft"], json!(100 - shown));
    }
}
