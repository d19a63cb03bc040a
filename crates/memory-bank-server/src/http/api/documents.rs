//! `GET /api/v1/documents` and `GET /api/v1/document`: the documents of a bank.

use std::collections::BTreeMap;

use axum::response::Response;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{Document, DocumentEntry, DocumentPath, is_leftover};
use memory_bank_core::store::ReadOutcome;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::{ListDocuments, ReadDocument};
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, decoded, encoded};
use crate::mcp::reading::{self, LISTING_BYTES};
use crate::services::Services;

/// The documents of a page, if the request names no number.
const LISTED: u32 = 500;
/// For how many of the documents that changed last the list names who changed them.
const AUTHORS: usize = 200;
/// The bytes of a reply before the length of the document is known.
const READ_BYTES: usize = 64 * 1024;

/// A document in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedDocument {
    /// Its name, with its folders.
    name: String,
    bytes: u64,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The user who changed it last, as far as the history knows, of the 200 that changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    updated_by: Option<String>,
    /// `true` if an editor or a program for synchronisation has left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    is_leftover: Option<bool>,
}

/// Documents, by name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentList {
    documents: Vec<ListedDocument>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A document with its text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentView {
    /// The name under which it is stored.
    name: String,
    text: String,
    /// Of the text, as tools name it.
    etag: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The number of the version that was current at the requested time, unless the document has not changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<i64>,
    /// A note on an uncertain former state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
}

impl DocumentView {
    fn of(document: Document, notes: &Map<String, Value>) -> Self {
        Self {
            version: notes.get("version").and_then(Value::as_i64),
            note: notes.get("note").and_then(Value::as_str).map(str::to_owned),
            name: document.path.as_str().to_owned(),
            etag: document.etag.as_str().to_owned(),
            updated_at: iso_millis(document.updated_at),
            text: document.content,
        }
    }
}

/// Lists the documents of the project by name.
#[utoipa::path(get, path = "/api/v1/documents", tag = "documents", params(ListDocuments), responses(
    (status = 200, body = DocumentList),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListDocuments>,
) -> Response {
    request.answer(LISTING_BYTES, list_of(&request, query)).await
}

/// Reads a document.
#[utoipa::path(get, path = "/api/v1/document", tag = "documents", params(ReadDocument), responses(
    (status = 200, body = DocumentView),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the stored contents cannot be used"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ReadDocument>,
) -> Response {
    request.answer_within(READ_BYTES, |services| document_of(&request, query, services)).await
}

async fn list_of(request: &RestRequest, query: ListDocuments) -> Result<DocumentList, Refusal> {
    let after = query.cursor.as_deref().map(decoded::<String>).transpose()?;
    let bank = request.bank().await?;
    let (entries, authors) = bank.list_with_authors(&request.who.caller, AUTHORS).await?;
    let mut following = entries
        .into_iter()
        .filter(|entry| entry.path.is_some())
        .filter(|entry| after.as_ref().is_none_or(|after| entry.name > *after));
    let limit = usize::try_from(query.limit.unwrap_or(LISTED)).unwrap_or(usize::MAX);
    let documents: Vec<ListedDocument> =
        following.by_ref().take(limit).map(|entry| entry_of(entry, &authors)).collect();
    let is_last = following.next().is_none();
    let next_cursor = match documents.last() {
        Some(last) if !is_last => Some(encoded(&last.name)?),
        _ => None,
    };
    Ok(DocumentList { documents, next_cursor })
}

fn entry_of(entry: DocumentEntry, authors: &BTreeMap<String, String>) -> ListedDocument {
    ListedDocument {
        bytes: entry.bytes,
        updated_at: iso_millis(entry.updated_at),
        updated_by: authors.get(&entry.name).cloned(),
        is_leftover: is_leftover(&entry.name).then_some(true),
        name: entry.name,
    }
}

async fn document_of(
    request: &RestRequest,
    query: ReadDocument,
    services: Services,
) -> Result<DocumentView, Refusal> {
    let path = DocumentPath::parse(&query.filename).map_err(|error| Refusal::NotFound(error.to_string()))?;
    let bank = request.bank().await?;
    if let Some(as_of) = reading::facts(false, query.as_of).map_err(Refusal::Malformed)?.as_of {
        let found = reading::document_at(&services, &request.who.caller, bank.as_ref(), &path, &as_of).await;
        let (document, notes) = found?;
        return Ok(DocumentView::of(document, &notes));
    }
    match bank.read(&request.who.caller, &[path]).await?.pop() {
        Some(ReadOutcome::Found(document)) => {
            // The text, the reply, and the reply as it is sent.
            services.replies.need(document.content.len().saturating_mul(4)).await?;
            Ok(DocumentView::of(document, &Map::new()))
        }
        Some(ReadOutcome::Unreadable(reason)) => Err(Refusal::NotFound(reason)),
        _ => Err(Refusal::NotFound("there is no such document; /api/v1/documents lists them".to_owned())),
    }
}
