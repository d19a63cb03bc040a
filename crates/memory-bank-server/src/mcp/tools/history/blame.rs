//! The action `blame`: who wrote each line of a document, and when.

use std::sync::Arc;

use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::history::{Blamed, ChainQuery, Link, Subject, VersionQuery, blame as origins};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, HISTORY_IS_OFF, HistoryError};
use serde_json::{Value, json};

use super::{HISTORY, History, missing};
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::tool::Call;

/// The most characters of the lines of one item.
const PART_CHARS: usize = 4000;

/// The lines of a document with their origins.
pub(super) async fn blame(call: &Call, bank: &Arc<dyn Bank>, arguments: &History) -> Result<Reply, Failure> {
    let path = arguments.document()?;
    call.services.replies.need(limits::CHAIN_BYTES + 4 * limits::DOCUMENT_BYTES).await?;
    let document = document_of(call, bank, &path).await?;
    let query = ChainQuery { document, path: path.clone(), from: 0, most: limits::CHAIN_VERSIONS };
    let chain = bank.chain(&call.caller, &query).await?;
    let Some(current) = &chain.current else {
        return Err(Failure::message(format!("`{path}` was deleted, so it has no lines")));
    };
    let damaged = |damage: memory_bank_core::history::Damage| {
        missing(bank, Failure::message(format!("the lines of `{path}` cannot be followed back: {damage}")))
    };
    let blamed = origins(&chain).map_err(damaged)?;
    let lines: Vec<&str> = current.content.split_inclusive('\n').collect();
    let mut data = json!({"filename": path.as_str(), "etag": current.etag.as_str()});
    if blamed.iter().any(|one| one.link.is_none()) {
        let note = if bank.keeps_history() {
            format!("lines without a version are older than the last {} versions", chain.links.len())
        } else {
            format!(
                "lines without a version are not of the {} versions that there are; {HISTORY_IS_OFF}",
                chain.links.len()
            )
        };
        put(&mut data, "note", json!(note));
    }
    // A page continues with the text that it began with.
    let own = json!([path.as_str(), current.etag.as_str()]);
    let listing = Listing::new(&format!("{} blame", HISTORY.name), &bank.location(), &own);
    let from = listing.position::<Option<usize>>(arguments.cursor.as_deref())?.unwrap_or_default();
    let mut space = ReplySpace::of(&call.services.replies, None, &data);
    let ranges: Vec<Blamed<'_>> = blamed.iter().flat_map(|one| parts(one, &lines)).collect();
    let items = ranges.iter().skip(from).map(|one| range_json(one, &lines));
    let (shown, left) = space.cut(items, 1)?;
    if left > 0 {
        put(&mut data, "nextCursor", json!(listing.cursor(Some(from + shown.len()))?));
    }
    put(&mut data, "ranges", json!(shown));
    Reply::json(&data)
}

/// The store's own name of the document that has this name.
async fn document_of(call: &Call, bank: &Arc<dyn Bank>, path: &DocumentPath) -> Result<String, Failure> {
    let query = VersionQuery {
        subject: Subject::Document(path.clone()),
        since: None,
        until: None,
        by: None,
        after: None,
        limit: 1,
    };
    let page = bank.list_versions(&call.caller, &query).await.map_err(|error| missing(bank, error))?;
    let newest = page.versions.into_iter().next();
    Ok(newest.ok_or_else(|| missing(bank, HistoryError::NoDocument(path.clone())))?.document)
}

/// The lines in parts that a page has space for.
fn parts<'c>(one: &Blamed<'c>, lines: &[&str]) -> Vec<Blamed<'c>> {
    let mut parts: Vec<Blamed<'c>> = Vec::new();
    let mut chars = 0;
    for at in one.lines.clone() {
        chars += lines.get(at).map_or(0, |line| line.chars().count());
        match parts.last_mut() {
            Some(last) if chars <= PART_CHARS => last.lines.end = at + 1,
            _ => {
                chars = lines.get(at).map_or(0, |line| line.chars().count());
                parts.push(Blamed { lines: at..at + 1, ..one.clone() });
            }
        }
    }
    parts
}

fn range_json(one: &Blamed<'_>, lines: &[&str]) -> Value {
    let text = lines.get(one.lines.clone()).unwrap_or_default().concat();
    let mut data = json!({"fromLine": one.lines.start + 1});
    if let Some(link) = one.link {
        put_version(&mut data, link);
    }
    if let Some(first) = one.first {
        let mut version = json!({});
        put_version(&mut version, first);
        put(&mut data, "first", version);
    }
    put(&mut data, "text", json!(text));
    data
}

/// Adds the version that wrote lines.
fn put_version(data: &mut Value, link: &Link) {
    let version = &link.version;
    put(data, "version", json!(version.number));
    put(data, "at", json!(iso_millis(version.at)));
    for (name, value) in [("by", &version.author), ("tool", &version.tool)] {
        if let Some(value) = value {
            put(data, name, json!(value));
        }
    }
    if version.imported {
        put(data, "imported", json!(true));
    }
}
