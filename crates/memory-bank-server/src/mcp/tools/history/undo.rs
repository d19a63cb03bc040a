//! The action `undo`: takes back all that one session, or one user since a time, changed in documents and graph.

use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::history::{GraphChange, GraphItem, ItemChange};
use memory_bank_core::history::Version;
use memory_bank_core::limits;
use memory_bank_core::store::{
    Bank, EntityRef, FormerEntity, FormerVersions, HISTORY_IS_OFF, LeftDocument, LeftItem, UndoError,
    UndoReport, UndoRequest, UndoneDocument, UndoneItem, undo as undo_changes,
};
use memory_bank_core::unicode::has_null;
use serde_json::{Value, json};

use super::list::about;
use super::{History, time};
use crate::mcp::rights;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::tool::Call;

/// The longest differences that a list of what an undo would do has, of all documents together, in characters.
const DIFF_CHARS: usize = 60_000;

/// Undoes, or lists what an undo would do.
pub(super) async fn undo(call: &Call, bank: &Arc<dyn Bank>, arguments: &History) -> Result<Reply, Failure> {
    call.must_change("undo changes")?;
    let request = request(call, arguments)?;
    // The steps back of one document, the changes of the graph with the items before and after them, and the texts to write.
    call.services.replies.need(3 * limits::CHAIN_BYTES + limits::UNDO_BYTES).await?;
    let report = undo_changes(bank.as_ref(), &call.caller, &request).await?;
    let is_done = !report.undone.is_empty() || !report.undone_items.is_empty();
    let is_left = !report.left.is_empty() || !report.left_items.is_empty();
    let nothing = !is_done && !is_left && report.unchanged == 0;
    if nothing && report.of_others > 0 {
        return Err(Failure::NotAllowed(format!(
            "these changes are not yours, and you may undo only your own: {}",
            rights::lacking(&call.caller, Right::Admin)
        )));
    }
    if nothing && !bank.keeps_history() {
        return Err(Failure::message(HISTORY_IS_OFF));
    }
    if nothing {
        return Err(Failure::message(
            "the history has no such changes; the action `list` shows who changed what",
        ));
    }
    if request.all_or_nothing && is_left && !request.dry_run {
        let mut data = reply_data(call, &report, &request)?;
        put(&mut data, "error", json!("NOT_ALL"));
        put(&mut data, "message", json!("nothing was undone, since what `left` names must stay as it is"));
        return Err(Failure::Data(data));
    }
    let mut data = reply_data(call, &report, &request)?;
    put(&mut data, "success", json!(true));
    Reply::json(&data)
}

fn request(call: &Call, arguments: &History) -> Result<UndoRequest, Failure> {
    let session = arguments.session().map(|session| session.to_string());
    let by = arguments.by.as_deref().map(str::trim).filter(|by| !by.is_empty() && session.is_none());
    let since = time("since", arguments.since.as_deref(), false)?;
    if session.is_none() && (by.is_none() || since.is_none()) {
        return Err(Failure::Malformed(match by {
            Some(by) => format!(
                "since when? Give `since` beside the user `{by}`, as 2026-11-27 or 2026-11-27T09:30:00Z, or the id of a session as `by`"
            ),
            None => {
                "whose changes? Give `by` with the id of a session, or with a user and `since`".to_owned()
            }
        }));
    }
    if by.is_some_and(|by| by.len() > limits::USER_NAME_BYTES || has_null(by)) {
        return Err(Failure::Malformed(format!(
            "`by` takes the id of a session or the name of a user, of at most {} bytes",
            limits::USER_NAME_BYTES
        )));
    }
    if let Some(by) = by.filter(|by| *by != call.caller.user_name)
        && !call.caller.may(Right::Admin)
    {
        return Err(Failure::NotAllowed(format!(
            "you may not undo changes of `{by}`: {}",
            rights::lacking(&call.caller, Right::Admin)
        )));
    }
    let mut context = call.context.clone();
    context.restores = true;
    Ok(UndoRequest {
        session,
        by: by.map(str::to_owned),
        since,
        until: time("until", arguments.until.as_deref(), true)?,
        document: arguments.filename.as_ref().map(|_| arguments.document()).transpose()?,
        entity: arguments.entity.clone().map(EntityRef),
        all_or_nothing: arguments.all_or_nothing,
        dry_run: arguments.dry_run,
        diff_chars: if arguments.dry_run && arguments.with_diff { DIFF_CHARS } else { 0 },
        now: Some(call.services.clock.now()),
        context,
    })
}

fn reply_data(call: &Call, report: &UndoReport, request: &UndoRequest) -> Result<Value, Failure> {
    let mut data = json!({});
    if request.dry_run {
        put(&mut data, "dryRun", json!(true));
    }
    if report.unchanged > 0 {
        put(&mut data, "unchanged", json!(report.unchanged));
    }
    if report.of_others > 0 {
        put(&mut data, "versionsOfOthers", json!(report.of_others));
    }
    let mut space = ReplySpace::of(&call.services.replies, None, &data);
    // What is left needs attention, so it gets its space first.
    let left = report.left.iter().map(left_json).chain(report.left_items.iter().map(left_item_json));
    let (left, more_left) = space.cut(left, 2)?;
    let undone =
        report.undone.iter().map(undone_json).chain(report.undone_items.iter().map(undone_item_json));
    let (undone, more_undone) = space.cut(undone, 1)?;
    put(&mut data, "undone", json!(undone));
    if !left.is_empty() {
        put(&mut data, "left", json!(left));
    }
    if more_left + more_undone > 0 {
        put(&mut data, "notShown", json!(more_left + more_undone));
    }
    Ok(data)
}

fn undone_json(one: &UndoneDocument) -> Value {
    let name = |path: &Option<DocumentPath>| path.as_ref().map(|path| path.as_str().to_owned());
    let change = match (&one.from, &one.to) {
        (_, None) => "deleted",
        (None, _) => "brought back",
        (Some(from), Some(to)) if from != to => "renamed",
        _ => "changed",
    };
    let mut data = json!({
        "filename": name(&one.to).or_else(|| name(&one.from)),
        "change": change,
        "versions": one.versions,
    });
    if change == "renamed" {
        put(&mut data, "formerName", json!(name(&one.from)));
    }
    if let Some(etag) = &one.etag {
        put(&mut data, "etag", json!(etag.as_str()));
    }
    if one.is_merged {
        put(&mut data, "laterChangesStay", json!(true));
    }
    if let Some(diff) = &one.diff {
        put(&mut data, "diff", json!(diff));
    }
    data
}

fn left_json(one: &LeftDocument) -> Value {
    let mut data = json!({"filename": one.path.as_str(), "reason": one.reason.describe()});
    let author = |version: &Version| {
        author_and_time(version.author.as_deref(), version.imported, version.number, version.at)
    };
    let others: Vec<String> = one.others.iter().map(author).collect();
    if !others.is_empty() {
        put(&mut data, "changedBy", json!(others));
    }
    let FormerVersions { before_newest, before_first } = one.former;
    let versions: Vec<i64> = [before_newest, before_first].into_iter().flatten().collect();
    if let Some(advice) = restorable(one.path.as_str(), before_newest, before_first) {
        put(&mut data, "restorable", json!(versions));
        put(&mut data, "advice", json!(advice));
    }
    data
}

/// Which versions bring a former text back where an undo cannot.
fn restorable(name: &str, before_newest: Option<i64>, before_first: Option<i64>) -> Option<String> {
    let newest = before_newest
        .map(|number| format!("version {number} is the text before the newest of these changes"));
    let first = before_first.filter(|number| before_newest != Some(*number)).map(|number| {
        format!(
            "version {number} is the text before the first of them, also without the later changes of others"
        )
    });
    let parts: Vec<String> = [newest, first].into_iter().flatten().collect();
    (!parts.is_empty())
        .then(|| format!("the action `restore` brings a former text of `{name}` back: {}", parts.join("; ")))
}

fn undone_item_json(one: &UndoneItem) -> Value {
    let mut data = item_json(Some(&one.item), one.entity.as_deref(), one.other.as_deref());
    let change = match one.change {
        ItemChange::Created => "brought back",
        ItemChange::Changed => "changed",
        ItemChange::Deleted => "deleted",
    };
    put(&mut data, "change", json!(change));
    put(&mut data, "versions", json!(one.changes));
    if one.is_merged {
        put(&mut data, "laterChangesStay", json!(true));
    }
    if one.is_ended {
        put(&mut data, "ended", json!(true));
    }
    data
}

fn left_item_json(one: &LeftItem) -> Value {
    let mut data = item_json(one.item.as_ref(), one.entity.as_deref(), one.other.as_deref());
    if one.item.is_none() {
        put(&mut data, "id", json!(one.id));
    }
    put(&mut data, "reason", json!(one.reason.describe()));
    let author = |change: &GraphChange| {
        author_and_time(change.author.as_deref(), change.imported, change.number, change.at)
    };
    let others: Vec<String> = one.others.iter().map(author).collect();
    if !others.is_empty() {
        put(&mut data, "changedBy", json!(others));
    }
    if let Some(FormerEntity { name, number }) = &one.former {
        let advice = format!(
            "the action `restore` brings the whole entity `{name}` back as it was: version {number} is the one before this"
        );
        put(&mut data, "restorable", json!([number]));
        put(&mut data, "advice", json!(advice));
    }
    data
}

/// An entity, observation or relation: its entity, and what it is.
fn item_json(item: Option<&GraphItem>, entity: Option<&str>, other: Option<&str>) -> Value {
    let mut data = json!({"entity": entity.or_else(|| item.map(GraphItem::entity_id))});
    if let Some(item) = item {
        let (about, text) = about(item, other);
        put(&mut data, about, json!(text));
    }
    data
}

/// Who made a version, in words.
pub(super) fn author_and_number(version: &Version) -> String {
    let author = version.author.as_deref().unwrap_or("unknown");
    let imported = if version.imported { "imported " } else { "" };
    format!("{author} ({imported}version {})", version.number)
}

/// Who made a change, and when, in words.
fn author_and_time(author: Option<&str>, is_imported: bool, number: i64, at: Timestamp) -> String {
    let at = at.strftime("%Y-%m-%d %H:%M UTC");
    let author = author.unwrap_or("unknown");
    let imported = if is_imported { "imported " } else { "" };
    format!("{author} ({imported}version {number}, {at})")
}

impl From<UndoError> for Failure {
    fn from(error: UndoError) -> Self {
        match error {
            UndoError::History(error) => error.into(),
            UndoError::Graph(error) => error.into(),
            UndoError::Edit(error) => error.into(),
            other => Self::Message(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use memory_bank_core::document::Etag;

    use super::*;

    #[test]
    fn each_change_has_a_word() {
        let path = |name: &str| DocumentPath::parse(name).ok();
        let word = |from, to| {
            let one = UndoneDocument {
                from,
                to,
                etag: Some(Etag::of("x")),
                versions: 1,
                is_merged: false,
                diff: None,
            };
            undone_json(&one)["change"].as_str().unwrap().to_owned()
        };
        assert_eq!(word(path("a.md"), None), "deleted");
        assert_eq!(word(None, path("a.md")), "brought back");
        assert_eq!(word(path("a.md"), path("b.md")), "renamed");
        assert_eq!(word(path("a.md"), path("a.md")), "changed");
    }
}
