//! The action `list`: versions of documents and changes of the graph, the newest first.

use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::graph::history::{
    GraphChange, GraphChangePage, GraphChangeQuery, GraphItem, GraphSubject, Origin, summary_of,
};
use memory_bank_core::history::{Subject, Version, VersionPage, VersionPosition, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, EntityRef, HISTORY_IS_OFF};
use serde_json::{Value, json};

use super::{HISTORY, History, missing, time};
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::tool::Call;

/// The most items of a page, if the call names no number.
const LISTED: usize = 50;
/// The most characters of what a change of the graph was about.
const SUMMARY_CHARS: usize = 300;

/// Where a list continues: among the documents, and among the changes of the graph.
type HistoryPosition = (Option<VersionPosition>, Option<i64>);

/// An item of the list.
enum Item<'p> {
    Document(&'p Version),
    Graph(&'p GraphChange),
}

impl Item<'_> {
    fn at(&self) -> Timestamp {
        match self {
            Self::Document(version) => version.at,
            Self::Graph(change) => change.at,
        }
    }
}

impl History {
    /// The most items of a page.
    fn limit(&self) -> usize {
        self.limit.unwrap_or(LISTED).clamp(1, limits::VERSIONS_LISTED)
    }
}

/// Lists.
pub(super) async fn list(call: &Call, bank: &Arc<dyn Bank>, arguments: History) -> Result<Reply, Failure> {
    let own = json!({
        "filename": arguments.filename, "entity": arguments.entity, "since": arguments.since,
        "until": arguments.until, "by": arguments.by,
    });
    let listing = Listing::new(HISTORY.name, &bank.location(), &own);
    let position = listing.position::<HistoryPosition>(arguments.cursor.as_deref())?;
    let versions = documents(call, bank, &arguments, position.0.clone()).await?;
    let changes = graph(call, bank, &arguments, position.1).await?;
    let mut items = newest_first(&versions.versions, &changes.changes);
    let more = versions.next.is_some() || changes.next.is_some() || items.len() > arguments.limit();
    items.truncate(arguments.limit());
    let requested = arguments.filename.as_deref();
    let mut space = ReplySpace::of(&call.services.replies, None, &Value::Null);
    let (shown, left) = space.cut(
        items.iter().map(|item| match item {
            Item::Document(version) => of_name(version_json(version, requested), version, &versions),
            Item::Graph(change) => change_json(change),
        }),
        1,
    )?;
    let mut next = position;
    for item in items.iter().take(shown.len()) {
        match item {
            Item::Document(version) => next.0 = Some(version.position()),
            Item::Graph(change) => next.1 = Some(change.number),
        }
    }
    let mut data = json!({"versions": shown});
    if left > 0 || more {
        put(&mut data, "nextCursor", json!(listing.cursor(Some(next))?));
    }
    if !bank.keeps_history() {
        put(&mut data, "note", json!(HISTORY_IS_OFF));
    } else if items.is_empty()
        && let Some(by) = &arguments.by
    {
        let note = "none here is by `{by}`: a list without `by` names who changed what, and `by` takes the whole name";
        put(&mut data, "note", json!(note.replace("{by}", by)));
    }
    Reply::json(&data)
}

/// Both lists as one. Each keeps its order, since its next page begins after the last item shown of it: numbers of the graph's changes
/// are not in the order of time once two branches of a repository were merged.
fn newest_first<'p>(versions: &'p [Version], changes: &'p [GraphChange]) -> Vec<Item<'p>> {
    let mut versions = versions.iter().map(Item::Document).peekable();
    let mut changes = changes.iter().map(Item::Graph).peekable();
    let mut items = Vec::new();
    loop {
        let is_document = match (versions.peek(), changes.peek()) {
            (Some(version), Some(change)) => version.at() >= change.at(),
            (Some(_), None) => true,
            (None, _) => false,
        };
        match if is_document { versions.next() } else { changes.next() } {
            Some(item) => items.push(item),
            None => return items,
        }
    }
}

async fn documents(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
    after: Option<VersionPosition>,
) -> Result<VersionPage, Failure> {
    if arguments.entity.is_some() {
        return Ok(VersionPage::default());
    }
    let subject = match (&arguments.filename, arguments.session()) {
        (Some(_), Some(_)) => return Err(session_beside("filename")),
        (Some(_), None) => Subject::Name(arguments.document()?),
        (None, Some(session)) => Subject::Session(session.to_string()),
        (None, None) => Subject::Project,
    };
    let query = VersionQuery {
        subject,
        since: time("since", arguments.since.as_deref(), false)?,
        until: time("until", arguments.until.as_deref(), true)?,
        by: arguments.by.clone().filter(|_| arguments.session().is_none()),
        after,
        limit: arguments.limit(),
    };
    bank.list_versions(&call.caller, &query).await.map_err(|error| missing(bank, error))
}

async fn graph(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
    after: Option<i64>,
) -> Result<GraphChangePage, Failure> {
    if arguments.filename.is_some() {
        return Ok(GraphChangePage::default());
    }
    let subject = match (&arguments.entity, arguments.session()) {
        (Some(_), Some(_)) => return Err(session_beside("entity")),
        (Some(entity), None) => GraphSubject::Entity(EntityRef(entity.clone())),
        (None, Some(session)) => GraphSubject::Session(session.to_string()),
        (None, None) => GraphSubject::Project,
    };
    let query = GraphChangeQuery {
        subject,
        since: time("since", arguments.since.as_deref(), false)?,
        until: time("until", arguments.until.as_deref(), true)?,
        by: arguments.by.clone().filter(|_| arguments.session().is_none()),
        after,
        limit: arguments.limit(),
    };
    // The items before and after each change.
    call.services.replies.need(2 * arguments.limit() * limits::OBSERVATION_BYTES).await?;
    bank.list_graph_changes(&call.caller, &query).await.map_err(|error| missing(bank, error))
}

fn session_beside(name: &str) -> Failure {
    Failure::Malformed(format!("give `{name}` or a session, not both; the versions name their sessions"))
}

/// A version in a reply; the name of the document is omitted where the call gave it.
pub(super) fn version_json(version: &Version, requested: Option<&str>) -> Value {
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
    if version.is_outside_deletion() {
        put(&mut data, "deleted", json!(true));
    }
    if version.replaced > 0 {
        put(&mut data, "replacedBytes", json!(version.replaced));
    }
    if version.imported {
        put(&mut data, "imported", json!(true));
    }
    data
}

/// Adds the id of the document to a version whose name means another one, with which the other actions find it.
fn of_name(mut data: Value, version: &Version, page: &VersionPage) -> Value {
    if page.needs_document(version) {
        put(&mut data, "documentId", json!(version.document));
    }
    data
}

/// The member that an item of the graph has in a reply, and its value; `other` is the name of the target of a relation.
pub(super) fn about(item: &GraphItem, other: Option<&str>) -> (&'static str, String) {
    let member = match item {
        GraphItem::Observation(_) => "observation",
        GraphItem::Relation(_) => "relation",
        GraphItem::Entity(_) => "type",
    };
    (member, summary_of(item, other, SUMMARY_CHARS))
}

/// Marks a change that this installation did not make.
pub(super) fn put_origin(data: &mut Value, origin: Origin) {
    if origin != Origin::Own {
        put(data, "origin", json!(origin.as_str()));
    }
}

/// A change of the graph in a reply.
fn change_json(change: &GraphChange) -> Value {
    let mut data = json!({
        "version": change.number,
        "at": iso_millis(change.at),
        "kind": change.change.as_str(),
    });
    let entity = change.entity.as_deref().or_else(|| change.item().map(GraphItem::entity_id));
    let (about, text) =
        change.item().map(|item| about(item, change.other.as_deref())).unwrap_or(("type", String::new()));
    let members = [
        ("entity", entity),
        (about, Some(text.as_str()).filter(|text| !text.is_empty())),
        ("by", change.author.as_deref()),
        ("key", change.key_prefix.as_deref()),
        ("session", change.session.as_deref()),
        ("tool", change.tool.as_deref()),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            put(&mut data, name, json!(value));
        }
    }
    if change.imported {
        put(&mut data, "imported", json!(true));
    }
    put_origin(&mut data, change.origin);
    data
}
