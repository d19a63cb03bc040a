//! The history of documents and of the graph: lists versions, shows and compares them, brings one back, takes changes back,
//! erases a document's or an entity's.

mod blame;
mod entity;
mod list;
mod restore;
mod undo;

use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::document::{DocumentPath, Part, Selection, part, unified_diff_within};
use memory_bank_core::history::{Version, VersionKind, moment};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, EntityRef, HISTORY_IS_OFF, HistoryError, ReadOutcome};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::mcp::rights;
use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{CURSOR, FILE_NAMES, IF_MATCH};
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BANK, Call, Family, REPLACES, ToolSpec, boxed};

/// The most versions of a list.
#[expect(clippy::cast_possible_truncation, reason = "it is a small constant")]
const MAX_LISTED: u32 = limits::VERSIONS_LISTED as u32;
/// The longest diff, in characters.
const MAX_DIFF_CHARS: usize = 12_000;

pub(crate) const HISTORY: ToolSpec = ToolSpec {
    name: "history",
    title: "History",
    description: "Former versions; undo (`by` user or session; dryRun first).",
    family: Family::Documents,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: REPLACES,
    bank: BANK,
    arguments: &[
        optional("action", Kind::Word(&["list", "show", "diff", "blame", "restore", "undo", "erase"])),
        optional("filename", Kind::Text).or_called(FILE_NAMES),
        optional("entity", Kind::Text),
        optional("documentId", Kind::Text).unlisted(),
        optional("version", Kind::Whole(1, u32::MAX)),
        optional("with", Kind::Whole(1, u32::MAX)),
        optional("since", Kind::Text),
        optional("until", Kind::Text),
        optional("by", Kind::Text).or_called(&["user", "session", "sessionid"]),
        optional("onlyChange", Kind::Flag).or_called(&["change"]),
        optional("acceptForeign", Kind::Flag),
        optional("allOrNothing", Kind::Flag).unlisted(),
        optional("dryRun", Kind::Flag),
        optional("withDiff", Kind::Flag).unlisted(),
        optional("limit", Kind::Whole(1, MAX_LISTED)).unlisted(),
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
    entity: Option<String>,
    document_id: Option<String>,
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
    #[serde(default)]
    with_diff: bool,
    limit: Option<usize>,
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
    arguments.expect_own_arguments()?;
    let bank = call.bank()?;
    if let Some(entity) = arguments.entity.clone() {
        if arguments.filename.is_some() {
            return Err(Failure::Malformed("give `filename` or `entity`, not both".to_owned()));
        }
        return match arguments.action {
            Action::List => list::list(&call, &bank, arguments).await,
            Action::Show => entity::show(&call, &bank, &arguments, &entity).await,
            Action::Diff => entity::diff(&call, &bank, &arguments, &entity).await,
            Action::Restore => entity::restore(&call, &bank, &arguments, &entity).await,
            Action::Erase => erase(&call, &bank, &arguments).await,
            Action::Undo => undo::undo(&call, &bank, &arguments).await,
            Action::Blame => {
                Err(Failure::Malformed("this action is for documents; give no `entity`".to_owned()))
            }
        };
    }
    match arguments.action {
        Action::List => list::list(&call, &bank, arguments).await,
        Action::Show => show(&call, &bank, &arguments).await,
        Action::Diff => diff(&call, &bank, &arguments).await,
        Action::Blame => blame::blame(&call, &bank, &arguments).await,
        Action::Restore => restore::restore(&call, &bank, &arguments).await,
        Action::Undo => undo::undo(&call, &bank, &arguments).await,
        Action::Erase => erase(&call, &bank, &arguments).await,
    }
}

impl History {
    /// Refuses arguments that an action which changes something would ignore, such as `dryRun` of an erasure.
    fn expect_own_arguments(&self) -> Result<(), Failure> {
        let (action, of_action): (&str, &[&str]) = match self.action {
            Action::Restore => {
                ("restore", &["documentId", "version", "onlyChange", "acceptForeign", "ifMatchEtag"])
            }
            Action::Undo => ("undo", &["by", "since", "until", "allOrNothing", "dryRun", "withDiff"]),
            Action::Erase => ("erase", &[]),
            Action::List | Action::Blame if self.document_id.is_some() => {
                return Err(Failure::Malformed(
                    "`documentId` is for `show`, `diff` and `restore`, which take one version".to_owned(),
                ));
            }
            Action::List | Action::Show | Action::Diff | Action::Blame => return Ok(()),
        };
        let given = [
            ("documentId", self.document_id.is_some()),
            ("version", self.version.is_some()),
            ("with", self.with.is_some()),
            ("since", self.since.is_some()),
            ("until", self.until.is_some()),
            ("by", self.by.is_some()),
            ("onlyChange", self.only_change),
            ("acceptForeign", self.accept_foreign),
            ("allOrNothing", self.all_or_nothing),
            ("dryRun", self.dry_run),
            ("withDiff", self.with_diff),
            ("limit", self.limit.is_some()),
            ("ifMatchEtag", self.if_match_etag.is_some()),
        ];
        match given.into_iter().find(|(name, is_given)| *is_given && !of_action.contains(name)) {
            Some((name, _)) => Err(Failure::Malformed(format!(
                "`{action}` does not take `{name}`, so nothing was changed; `list`, `show` and `diff` show what it would change"
            ))),
            None => Ok(()),
        }
    }

    fn document(&self) -> Result<DocumentPath, Failure> {
        let Some(name) = self.filename.as_deref().filter(|name| !name.trim().is_empty()) else {
            return Err(Failure::Malformed("`filename` is missing: which document?".to_owned()));
        };
        // What changes something takes exact names only, as all tools.
        let reads = matches!(self.action, Action::List | Action::Show | Action::Diff | Action::Blame);
        let found = match DocumentPath::parse(name) {
            Err(error) if reads => DocumentPath::parse(&format!("{name}.md")).map_err(|_| error),
            found => found,
        };
        found.map_err(|error| Failure::Malformed(error.to_string()))
    }

    fn number(&self) -> Result<i64, Failure> {
        let missing = "`version` is missing; the action `list` shows the numbers";
        self.version.ok_or_else(|| Failure::Malformed(missing.to_owned()))
    }

    /// `by` as the id of a session, which no name of a user looks like.
    fn session(&self) -> Option<Uuid> {
        self.by.as_deref().and_then(|by| by.trim().parse().ok())
    }
}

/// A version of the document that has this name or had it last, or of the one with this id.
async fn text_of(
    call: &Call,
    bank: &Arc<dyn Bank>,
    (path, document): (&DocumentPath, Option<&String>),
    number: i64,
) -> Result<(Version, Option<String>), Failure> {
    // The texts on the way, and the reply.
    call.services.replies.need(4 * limits::DOCUMENT_BYTES).await?;
    let found = match document {
        Some(document) => bank.read_version_of(&call.caller, document, path, number).await,
        None => bank.read_version(&call.caller, path, number).await,
    };
    let found = found.map_err(|error| missing(bank, error))?;
    Ok((found.version, found.text))
}

/// A time, or a day; `until` a day includes it.
fn time(name: &str, text: Option<&str>, is_end: bool) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    moment(text, is_end).map(Some).ok_or_else(|| {
        Failure::Malformed(format!("`{name}` is not a time; write 2026-11-27 or 2026-11-27T09:30:00Z"))
    })
}

async fn show(call: &Call, bank: &Arc<dyn Bank>, arguments: &History) -> Result<Reply, Failure> {
    let (path, number) = (arguments.document()?, arguments.number()?);
    let document = arguments.document_id.as_ref();
    let (version, text) = text_of(call, bank, (&path, document), number).await?;
    let data = list::version_json(&version, arguments.filename.as_deref());
    let Some(text) = text else { return Reply::json(&data) };
    text_page(call, bank, &json!([path.as_str(), document, number]), &text, data, arguments.cursor.as_deref())
}

/// A page of a text, beside what else the reply has.
fn text_page(
    call: &Call,
    bank: &Arc<dyn Bank>,
    own: &Value,
    text: &str,
    mut data: Value,
    cursor: Option<&str>,
) -> Result<Reply, Failure> {
    let listing = Listing::new("history show", &bank.location(), own);
    let (from, from_char) = listing.position::<Option<(usize, usize)>>(cursor)?.unwrap_or((1, 1));
    let selection = Selection::Lines { from, from_char, count: None };
    let bounds = ReplySpace::of(&call.services.replies, None, &data).bounds();
    let Part { text, from_line, lines, left, .. } =
        part(text, selection, bounds).map_err(Failure::message)?;
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
    let named = (&path, arguments.document_id.as_ref());
    let (version, old) = text_of(call, bank, named, number).await?;
    let mut versions = vec![version];
    let new = match arguments.with {
        Some(with) => {
            let (version, text) = text_of(call, bank, named, with).await?;
            versions.push(version);
            text
        }
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
    let is_foreign = |version: &Version| (version.number, version.kind == VersionKind::Foreign);
    let text = with_foreign(text, versions.iter().map(is_foreign));
    Ok(Reply::text(text.clone(), json!({"filename": path.as_str(), "version": number, "diff": text})))
}

/// A difference after a note that names its versions which nobody here wrote.
fn with_foreign(diff: String, versions: impl Iterator<Item = (i64, bool)>) -> String {
    let foreign: Vec<String> =
        versions.filter(|(_, is_foreign)| *is_foreign).map(|(number, _)| number.to_string()).collect();
    if foreign.is_empty() {
        return diff;
    }
    format!("foreign, nobody here wrote it: version {}\n{diff}", foreign.join(" and "))
}

async fn erase(call: &Call, bank: &Arc<dyn Bank>, arguments: &History) -> Result<Reply, Failure> {
    if !call.caller.may(Right::Admin) {
        let lacking = rights::lacking(&call.caller, Right::Admin);
        return Err(Failure::NotAllowed(format!("you may not erase history: {lacking}")));
    }
    let note = "the present text and facts stay (if they still have what should go, edit them and erase again), and so do copies in other documents (archives, what `maintain` folded), in the history of an entity that was merged into this one, in backups and exports";
    if let Some(entity) = &arguments.entity {
        let erased = bank.erase_entity(&call.caller, &EntityRef(entity.clone())).await?;
        return Reply::json(
            &json!({"success": true, "entity": entity, "erasedVersions": erased, "note": note}),
        );
    }
    let path = arguments.document()?;
    let erased = bank.erase(&call.caller, &path).await?;
    Reply::json(&json!({"success": true, "filename": path.as_str(), "erasedVersions": erased, "note": note}))
}

/// Why a version is not there; without a history, that is the reason.
fn missing(bank: &Arc<dyn Bank>, error: impl Into<Failure>) -> Failure {
    match error.into() {
        Failure::Message(text) if !bank.keeps_history() => {
            Failure::Message(format!("{text}; {HISTORY_IS_OFF}"))
        }
        other => other,
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => error.into(),
            other => Self::Message(other.to_string()),
        }
    }
}
