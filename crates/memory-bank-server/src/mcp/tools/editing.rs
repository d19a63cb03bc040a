//! Runs a rule of the core as one edit, and adds to the reply the texts that it moved, removed or did not find.

use memory_bank_core::document::{Archived, DocumentPath, NotFound, Removed, with_archiving};
use memory_bank_core::error::EditError;
use memory_bank_core::store::Drafts;
use serde_json::{Value, json};

use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::tool::Call;

/// Runs one rule as one edit and returns its result.
pub(crate) async fn edit<T: Send>(
    call: &Call,
    paths: &[DocumentPath],
    mut rule: impl FnMut(&mut Drafts) -> Result<T, EditError> + Send,
) -> Result<T, Failure> {
    let mut outcome = None;
    call.bank()?
        .edit(&call.caller, paths, &mut |drafts| {
            drafts.set_context(&call.context);
            outcome = Some(rule(drafts)?);
            Ok(())
        })
        .await?;
    outcome.ok_or_else(|| Failure::Internal("the store did not run the edit".into()))
}

/// Runs an edit by a rule on logs: if a log is full, its oldest entries move to an archive in the same edit.
pub(crate) async fn edit_log<T: Send>(
    call: &Call,
    paths: &[DocumentPath],
    mut rule: impl FnMut(&mut Drafts) -> Result<T, EditError> + Send,
) -> Result<(T, Vec<Archived>), Failure> {
    let now = call.services.clock.now();
    edit(call, paths, |drafts| with_archiving(drafts, now, &mut rule)).await
}

/// Adds the archived entries to a reply, if there are any.
pub(crate) fn with_archived(reply: Reply, archived: &[Archived]) -> Result<Reply, Failure> {
    if archived.is_empty() {
        return Ok(reply);
    }
    let Reply { text, mut structured } = reply;
    if let Some(object) = structured.as_object_mut() {
        object.insert("archived".into(), json!(archived));
    }
    if text.starts_with('{') {
        return Reply::json(&structured);
    }
    let moved: Vec<String> = archived
        .iter()
        .map(|one| {
            let dates = match (&one.from, &one.to) {
                (Some(from), Some(to)) => format!(" ({from} to {to})"),
                _ => String::new(),
            };
            let entries = if one.entries == 1 { "entry" } else { "entries" };
            format!(
                "{} was full: the oldest {} {entries}{dates} moved to {}",
                one.document, one.entries, one.archive
            )
        })
        .collect();
    Ok(Reply::text(format!("{text}\n{}", moved.join("\n")), structured))
}

/// Adds the removed text, in its own member, so that a reply can omit it.
pub(crate) fn note_removed(data: &mut Value, removed: &Removed) {
    if !removed.is_empty()
        && let Some(object) = data.as_object_mut()
    {
        object.insert("removed".into(), json!(removed));
    }
}

/// Adds texts that were not found, with similar ones.
pub(crate) fn note_not_found(data: &mut Value, not_found: &[NotFound]) {
    if !not_found.is_empty()
        && let Some(object) = data.as_object_mut()
    {
        object.insert("notFound".into(), json!(not_found));
    }
}
