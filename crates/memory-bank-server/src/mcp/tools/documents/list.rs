//! Lists the names of documents.

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{DocumentEntry, is_leftover};
use memory_bank_core::unicode::is_invisible;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::CURSOR;
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::{LISTING_BYTES, ReplySpace};
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{Call, FILES, Family, READS, ToolSpec, boxed};

pub(crate) const LIST_MEMORY_BANK_FILES: ToolSpec = ToolSpec {
    name: "list_memory_bank_files",
    title: "List documents",
    description: "List the documents when their names are not known.",
    family: Family::Documents,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: FILES,
    arguments: &[CURSOR, optional("limit", Kind::Whole(1, 10_000)), optional("details", Kind::Flag)],
    handler: boxed!(list_memory_bank_files),
};

/// Lists the names in the bank, page by page; clients parse the lines after the first.
async fn list_memory_bank_files(mut call: Call) -> Result<Reply, Failure> {
    let arguments: ListFiles = call.parse()?;
    let bank = call.bank()?;
    let listing = Listing::new("list_memory_bank_files", &bank.location(), &Value::Null);
    let after: String = listing.position(arguments.cursor.as_deref())?;
    call.services.replies.need(LISTING_BYTES).await?;
    let entries = bank
        .list(&call.caller)
        .await
        .map_err(|error| Failure::from(error).while_doing("Error listing Memory Bank files"))?;
    if arguments.details {
        return detailed(&call, &listing, entries, &after, arguments.limit);
    }
    let all = entries.len();
    let names = entries.into_iter().map(|entry| entry.name).filter(|name| after.is_empty() || *name > after);
    let names: Vec<String> = names.collect();
    let most = arguments.limit.unwrap_or(usize::MAX);
    let wanted = names.len().min(most);
    // They are in the text and in the data.
    let space = ReplySpace::of(&call.services.replies, arguments.limit.map(|_| usize::MAX), &Value::Null);
    let mut space = space.share(if arguments.limit.is_some() { 2 } else { 1 });
    let (shown, cut) = space.names(names.iter().take(wanted).cloned());
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

#[derive(Deserialize)]
struct ListFiles {
    cursor: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    details: bool,
}

/// The documents after a name with size and time of the last change, as data.
fn detailed(
    call: &Call,
    listing: &Listing,
    entries: Vec<DocumentEntry>,
    after: &str,
    limit: Option<usize>,
) -> Result<Reply, Failure> {
    let following: Vec<DocumentEntry> =
        entries.into_iter().filter(|entry| after.is_empty() || entry.name.as_str() > after).collect();
    let wanted = following.iter().take(limit.unwrap_or(usize::MAX)).map(|entry| {
        let mut document =
            json!({"name": entry.name, "bytes": entry.bytes, "updatedAt": iso_millis(entry.updated_at)});
        if is_leftover(&entry.name) {
            put(&mut document, "isLeftover", json!(true));
        }
        document
    });
    let mut space = ReplySpace::of(&call.services.replies, limit.map(|_| usize::MAX), &Value::Null);
    let (shown, _) = space.cut(wanted, 1)?;
    let left = following.len() - shown.len();
    let mut data = json!({"documents": shown});
    if let Some(last) = shown.len().checked_sub(1).and_then(|last| following.get(last)).filter(|_| left > 0) {
        put(&mut data, "remaining", json!({"documents": left}));
        put(&mut data, "nextCursor", json!(listing.cursor(&last.name)?));
    }
    Reply::json(&data)
}

/// A name for one line: plain, or as JSON in which invisible characters, and those that change the direction of text,
/// are escaped.
fn visible(name: &str) -> String {
    let is_hidden = |character: char| character.is_control() || is_invisible(character);
    if !name.contains(is_hidden) {
        return name.to_owned();
    }
    let mut shown = String::new();
    for character in json!(name).to_string().chars() {
        if character > '~' && is_hidden(character) {
            let mut units = [0; 2];
            shown.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_invisible_characters_is_shown_as_json() {
        for name in [
            "bidi\u{202e}.md",
            "a\nprogress.md",
            "x\u{7f}\u{85}.md",
            "q\"\u{200b}.md",
            "tag\u{e0041}.md",
            "\u{3164}.md",
        ] {
            let shown = visible(name);
            assert!(
                shown.starts_with('"') && shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{shown}"
            );
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), name);
        }
        assert_eq!(visible("pl\u{e4}ne \"x\".md"), "pl\u{e4}ne \"x\".md");
    }
}
