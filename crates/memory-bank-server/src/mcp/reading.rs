//! What a bank shows in a digest, in searches and of an entity, for programs without MCP: the data of the tools' replies, so that no rule is
//! written twice. HTTP uses this module and knows no tool.

use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use serde_json::{Map, Value, json};

pub(crate) use crate::mcp::tools::LISTING_BYTES;
use crate::mcp::tools::{self, Failure};
use crate::services::{NoMemory, Services};

/// Why there is no data.
#[derive(Debug)]
pub(crate) enum NotRead {
    /// The request means nothing; the text has the reason.
    Refused(String),
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
            // Of a call whose arguments are right: a store that is busy, or has no index yet.
            Failure::Message(text) => Self::Busy(text),
            Failure::Hinted { text, hint } => Self::Refused(text + &hint),
            Failure::Data(data) => Self::Refused(data.to_string()),
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

/// The digest of the caller's bank.
pub(crate) async fn digest(services: &Services, caller: &Arc<Caller>) -> Result<Value, NotRead> {
    Ok(tools::data(services, caller, "get_context_digest", Map::new()).await?)
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
    /// Whether entries are found that have ended.
    pub(crate) with_ended: bool,
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
    arguments.insert("includeEnded".to_owned(), json!(query.with_ended));
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
    with_ended: bool,
) -> Result<Value, NotRead> {
    let mut arguments = Map::new();
    arguments.insert("nodes".to_owned(), json!([entity]));
    arguments.insert("includeEnded".to_owned(), json!(with_ended));
    Ok(tools::data(services, caller, "graph_open_nodes", arguments).await?)
}
