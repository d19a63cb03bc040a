//! What a bank shows in a digest, in searches, of an entity and of a line's origin, and how changes are taken back, for programs without MCP: the
//! data of the tools' replies, so that no rule is written twice. HTTP uses this module and knows no tool.

use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::document::{Document, DocumentPath};
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::FactView;
use memory_bank_core::store::Bank;
use serde_json::{Map, Value, json};

use crate::mcp::tools::{self, Failure, PastBank};
pub(crate) use crate::mcp::tools::{LISTING_BYTES, survey};
use crate::reply_memory::NoMemory;
use crate::services::Services;

/// Why there is no data.
#[derive(Debug)]
pub(crate) enum NotRead {
    /// The request means nothing; the text has the reason.
    Refused(String),
    /// The caller lacks a right; the text has which.
    NotAllowed(String),
    /// What is stored is against it; the text has the reason.
    Conflict(String),
    /// The store cannot answer now; the text has the reason.
    Busy(String),
    /// The store failed.
    Store(StoreError),
    /// There is no memory for the reply.
    Memory(NoMemory),
}

impl From<Failure> for NotRead {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unquoted(text) | Failure::Malformed(text) => Self::Refused(text),
            // Of a call whose arguments are right.
            Failure::Message(text) => Self::Conflict(text),
            Failure::Busy(text) => Self::Busy(text),
            Failure::Hinted { text, hint } => Self::Refused(text + &hint),
            Failure::NotAllowed(text) => Self::NotAllowed(text),
            Failure::Data(data) => Self::Conflict(match data.get("message").and_then(Value::as_str) {
                Some(message) => message.to_owned(),
                None => data.to_string(),
            }),
            Failure::UnknownTool(text) | Failure::Internal(text) => {
                Self::Store(StoreError::Unavailable(text))
            }
            Failure::Unreachable(text) => Self::Store(StoreError::Unreachable(text)),
            Failure::Overloaded => Self::Store(StoreError::Overloaded),
            Failure::KeyInvalid => Self::Store(StoreError::KeyInvalid),
            Failure::NoMemory(full) => Self::Memory(full),
        }
    }
}

/// The facts and decisions that are shown, and the time of which.
pub(crate) type Facts = tools::WantedFacts;

/// Checks the time of which facts are shown.
///
/// # Errors
/// It is not a valid time; the text has the reason.
pub(crate) fn facts(include_ended: bool, as_of: Option<String>) -> Result<Facts, String> {
    if let Some(as_of) = &as_of {
        FactView::as_of(as_of).map_err(|error| error.to_string())?;
    }
    Ok(Facts { include_ended, as_of })
}

fn put_facts(arguments: &mut Map<String, Value>, facts: &Facts) {
    arguments.insert("includeEnded".to_owned(), json!(facts.include_ended));
    arguments.extend(facts.as_of.as_ref().map(|as_of| ("asOf".to_owned(), json!(as_of))));
}

/// The digest of the caller's bank.
pub(crate) async fn digest(
    services: &Services,
    caller: &Arc<Caller>,
    facts: &Facts,
) -> Result<Value, NotRead> {
    let mut arguments = Map::new();
    put_facts(&mut arguments, facts);
    Ok(tools::data(services, caller, "get_context_digest", arguments).await?)
}

/// A document as it was at a time, with notes on that state.
///
/// # Errors
/// The store failed, or the document is not known at that time: [`NotRead::Refused`].
pub(crate) async fn document_at(
    services: &Services,
    caller: &Caller,
    bank: &dyn Bank,
    path: &DocumentPath,
    as_of: &str,
) -> Result<(Document, Map<String, Value>), NotRead> {
    let view = FactView::as_of(as_of).map_err(|error| NotRead::Refused(error.to_string()))?;
    match PastBank::of(services, caller, bank, view).await? {
        Some(past) => past.document(path).await?.map_err(NotRead::Refused),
        None => Err(NotRead::Refused("give a day or time".to_owned())),
    }
}

/// What is searched for.
#[derive(Debug, Default)]
pub(crate) struct SearchQuery {
    /// Words, or phrases in quotation marks.
    pub(crate) text: String,
    /// The most results of this page.
    pub(crate) limit: u32,
    /// Where the last page ended.
    pub(crate) cursor: Option<String>,
    /// Which facts are found.
    pub(crate) facts: Facts,
}

/// The lines of documents that a query finds.
pub(crate) async fn search_documents(
    services: &Services,
    caller: &Arc<Caller>,
    query: SearchQuery,
) -> Result<Value, NotRead> {
    search(services, caller, ("search_memory_bank", "maxResults"), query).await
}

/// The entities that a query finds; `*` finds all. It searches the graph as [`search_documents`] does documents.
pub(crate) async fn search_graph(
    services: &Services,
    caller: &Arc<Caller>,
    query: SearchQuery,
) -> Result<Value, NotRead> {
    search(services, caller, ("graph_search", "limit"), query).await
}

/// Searches with a tool, which has its own name for the number of results.
async fn search(
    services: &Services,
    caller: &Arc<Caller>,
    (tool, limit): (&'static str, &str),
    query: SearchQuery,
) -> Result<Value, NotRead> {
    let mut arguments = Map::new();
    arguments.insert("query".to_owned(), json!(query.text));
    arguments.insert(limit.to_owned(), json!(query.limit));
    put_facts(&mut arguments, &query.facts);
    if let Some(cursor) = query.cursor {
        arguments.insert("cursor".to_owned(), json!(cursor));
    }
    Ok(tools::data(services, caller, tool, arguments).await?)
}

/// An entity, by name or id, with its observations, relations and neighbours.
pub(crate) async fn open_entity(
    services: &Services,
    caller: &Arc<Caller>,
    entity: &str,
    facts: &Facts,
) -> Result<Value, NotRead> {
    let mut arguments = Map::new();
    arguments.insert("nodes".to_owned(), json!([entity]));
    put_facts(&mut arguments, facts);
    Ok(tools::data(services, caller, "graph_open_nodes", arguments).await?)
}

/// The lines of a document with the version that each of them comes from, a page at a time.
pub(crate) async fn blame(
    services: &Services,
    caller: &Arc<Caller>,
    document: &str,
    cursor: Option<String>,
) -> Result<Value, NotRead> {
    let mut arguments =
        Map::from_iter([("action".to_owned(), json!("blame")), ("filename".to_owned(), json!(document))]);
    if let Some(cursor) = cursor {
        arguments.insert("cursor".to_owned(), json!(cursor));
    }
    Ok(tools::data(services, caller, "history", arguments).await?)
}

/// Takes changes back, or lists what would be taken back. The arguments have the names of the tool.
pub(crate) async fn undo(
    services: &Services,
    caller: &Arc<Caller>,
    mut arguments: Map<String, Value>,
) -> Result<Value, NotRead> {
    arguments.insert("action".to_owned(), json!("undo"));
    Ok(tools::data(services, caller, "history", arguments).await?)
}
