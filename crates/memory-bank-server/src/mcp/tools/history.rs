//! The history of documents: lists versions, shows and compares them, brings one back, takes changes back, erases a document's.

mod blame;
mod restore;
mod undo;

use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{DocumentPath, Etag, Part, Selection, part, unified_diff_within};
use memory_bank_core::history::{Subject, Version, VersionPlace, VersionQuery, moment};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, HistoryError, ReadOutcome};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::mcp::rights;
use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{CURSOR, FILE_NAMES, IF_MATCH};
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::room::Room;
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BANK, Call, Family, REPLACES, ToolSpec, boxed};

/// The most versions of a page.
const LISTED: usize = 50;

/// The longest diff, in characters.
const MAX_DIFF_CHARS: usize = 12_000;

pub(crate) const HISTORY: ToolSpec = ToolSpec {
    name: "history",
    title: "History",
    description: "Former versions of documents. `by`: user or session.",
    family: Family::Documents,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: REPLACES,
    bank: BANK,
    arguments: &[
        optional("action", Kind::Word(&["list", "show", "diff", "blame", "restore", "undo", "erase"])),
        optional("filename", Kind::Text).or_called(FILE_NAMES),
        optional("version", Kind::Whole(1, u32::MAX)),
        optional("with", Kind::Whole(1, u32::MAX)),
        optional("since", Kind::Text),
        optional("until", Kind::Text),
        optional("by", Kind::Text).or_called(&["user", "session", "sessionid"]),
        optional("onlyChange", Kind::Flag).or_called(&["change"]),
        optional("acceptForeign", Kind::Flag),
        optional("allOrNothing", Kind::Flag),
        optional("dryRun", Kind::Flag),
        CURSOR,
        IF_MATCH,
    ],
    handler: boxed!(history),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    #[serde(default)]
    action: Action,
    filename: Option<String>,
    version: Option<i64>,
    with: Option<i64>,
    since: Option<String>,
    until: Option<String>,
    by: Option<String>,
    #[serde(default)]
    only_change: bool,
    #[serde(default)]
    accept_foreign: bool,
    #[serde(default)]
    all_or_nothing: bool,
    #[serde(default)]
    dry_run: bool,
    cursor: Option<String>,
    if_match_etag: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    List,
    Show,
    Diff,
    Blame,
    Restore,
    Undo,
    Erase,
}

/// Runs one of the actions.
async fn history(mut call: Call) -> Result<Reply, Failure> {
    let arguments: History = call.parse()?;
    let bank = call.bank()?;
    match arguments.action {
        Action::List => list(&call, &bank, arguments).await,
        Action::Show => show(&call, &bank, &arguments).await,
        Action::Diff => diff(&call, &bank, &arguments).await,
        Action::Blame => blame::blame(&call, &bank, &arguments).await,
        Action::Restore => restore::restore(&call, &bank, &arguments).await,
        Action::Undo => undo::undo(&call, &bank, &arguments).await,
        Action::Erase => erase(&call, &bank, &arguments).await,
    }
}

impl History {
    fn document(&self) -> Result<DocumentPath, Failure> {
        let Some(name) = self.filename.as_deref().filter(|name| !name.trim().is_empty()) else {
            return Err(Failure::Malformed("`filename` is missing: which document?".to_owned()));
        };
        DocumentPath::parse(name).map_err(|error| Failure::Malformed(error.to_string()))
    }

    fn number(&self) -> Result<i64, Failure> {
        let missing = "`version` is missing; the action `list` shows the numbers";
        self.version.ok_or_else(|| Failure::Malformed(missing.to_owned()))
    }

    /// `by` as the id of a session, which no name of a user looks like.
    fn session(&self) -> Option<Uuid> {
        self.by.as_deref().and_then(|by| by.trim().parse().ok())
    }

    fn subject(&self) -> Result<Subject, Failure> {
        match (&self.filename, self.session()) {
            (Some(_), Some(_)) => Err(Failure::Malformed(
                "give `filename` or a session, not both; the versions of a document name their sessions"
                    .to_owned(),
            )),
            (Some(_), None) => Ok(Subject::Document(self.document()?)),
            (None, Some(session)) => Ok(Subject::Session(session.to_string())),
            (None, None) => Ok(Subject::Project),
        }
    }
}

/// A time, or a day; `until` a day includes it.
fn time(name: &str, text: Option<&str>, is_end: bool) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    moment(text, is_end).map(Some).ok_or_else(|| {
        Failure::Malformed(format!("`{name}` is not a time; write 2026-11-27 or 2026-11-27T09:30:00Z"))
    })
}

async fn list(call: &Call, bank: &Arc<dyn Bank>, arguments: History) -> Result<Reply, Failure> {
    let subject = arguments.subject()?;
    let is_session = arguments.session().is_some();
    let History { filename, since, until, by, cursor, .. } = arguments;
    let own = json!({"filename": filename, "since": since, "until": until, "by": by});
    let listing = Listing::new(HISTORY.name, &bank.location(), &own);
    let query = VersionQuery {
        subject,
        since: time("since", since.as_deref(), false)?,
        until: time("until", until.as_deref(), true)?,
        by: by.filter(|_| !is_session),
        after: listing.place::<Option<VersionPlace>>(cursor.as_deref())?,
        limit: LISTED,
    };
    let page = bank.list_versions(&call.caller, &query).await?;
    let mut room = Room::of(&call.services.replies, None, &Value::Null);
    let items = page.versions.iter().map(|version| version_json(version, filename.as_deref()));
    let (shown, left) = room.cut(items, 1)?;
    let last = shown.len().checked_sub(1).and_then(|last| page.versions.get(last));
    let next = if left > 0 { last.map(Version::place) } else { page.next };
    let mut data = json!({"versions": shown});
    if let Some(next) = next {
        put(&mut data, "nextCursor", json!(listing.cursor(Some(next))?));
    }
    Reply::json(&data)
}

/// A version in a reply; the name of the document is omitted where the call gave it.
fn version_json(version: &Version, requested: Option<&str>) -> Value {
    let mut data = json!({
        "version": version.number,
        "at": iso_millis(version.at),
        "kind": version.kind.as_str(),
        "bytes": version.bytes,
    });
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            put(&mut data, name, json!(value));
        }
    };
    add("filename", Some(version.path.as_str()).filter(|name| requested != Some(*name)));
    add("formerName", version.former_path.as_ref().map(DocumentPath::as_str));
    add("by", version.author.as_deref());
    add("key", version.key_prefix.as_deref());
    add("session", version.session.as_deref());
    add("tool", version.tool.as_deref());
    add("etag", version.etag.as_ref().map(Etag::as_str));
    if version.replaced > 0 {
        put(&mut data, "replacedBytes", json!(version.replaced));
    }
    data
}

async fn text_of(
    call: &Call,
    bank: &Arc<dyn Bank>,
    path: &DocumentPath,
    number: i64,
) -> Result<(Version, Option<String>), Failure> {
    // The texts on the way, and the reply.
    call.services.replies.need(4 * limits::DOCUMENT_BYTES).await?;
    let found = bank.read_version(&call.caller, path, number).await?;
    Ok((found.version, found.text))
}

async fn show(call: &Call, bank: &Arc<dyn Bank>, arguments: &History) -> Result<Reply, Failure> {
    let (path, number) = (arguments.document()?, arguments.number()?);
    let (version, text) = text_of(call, bank, &path, number).await?;
    let mut data = version_json(&version, arguments.filename.as_deref());
    let Some(text) = text else { return Reply::json(&data) };
    let listing = Listing::new("history show", &bank.location(), &json!([path.as_str(), number]));
    let (from, from_char) =
        listing.place::<Option<(usize, usize)>>(arguments.cursor.as_deref())?.unwrap_or((1, 1));
    let selection = Selection::Lines { from, from_char, count: None };
    let bounds = Room::of(&call.services.replies, None, &data).bounds();
    let Part { text, from_line, lines, left, .. } =
        part(&text, selection, bounds).map_err(Failure::message)?;
    put(&mut data, "text", json!(text));
    if from > 1 || left.is_some() {
        put(&mut data, "fromLine", json!(from_line));
        put(&mut data, "lines", json!(lines));
    }
    if let Some(left) = left {
        put(&mut data, "nextCursor", json!(listing.cursor(Some((left.from_line, left.from_char)))?));
    }
    Reply::json(&data)
}

async fn diff(call: &Call, bank: &Arc<dyn Bank>, arguments: &History) -> Result<Reply, Failure> {
    let (path, number) = (arguments.document()?, arguments.number()?);
    let (_, old) = text_of(call, bank, &path, number).await?;
    let new = match arguments.with {
        Some(with) => text_of(call, bank, &path, with).await?.1,
        None => match bank.read(&call.caller, std::slice::from_ref(&path)).await?.pop() {
            Some(ReadOutcome::Found(document)) => Some(document.content),
            Some(ReadOutcome::Unreadable(reason)) => return Err(Failure::message(reason)),
            _ => None,
        },
    };
    let most = MAX_DIFF_CHARS.min(call.services.replies.bytes / 4);
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let text = unified_diff_within(path.as_str(), &old, &new, most);
    let other = arguments.with.map_or_else(|| "now".to_owned(), |with| format!("version {with}"));
    let text =
        if text.is_empty() { format!("version {number} and {other} have the same text") } else { text };
    Ok(Reply::text(text.clone(), json!({"filename": path.as_str(), "version": number, "diff": text})))
}

async fn erase(call: &Call, bank: &Arc<dyn Bank>, arguments: &History) -> Result<Reply, Failure> {
    if !call.caller.may(Right::Admin) {
        let lacking = rights::lacking(&call.caller, Right::Admin);
        return Err(Failure::Unquoted(format!("you may not erase history: {lacking}")));
    }
    let path = arguments.document()?;
    let erased = bank.erase(&call.caller, &path).await?;
    Reply::json(&json!({
        "success": true,
        "filename": path.as_str(),
        "erasedVersions": erased,
        "note": "the current text stays, and so do backups and exports",
    }))
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => error.into(),
            other => Self::Message(other.to_string()),
        }
    }
}
